"""The command line's verbs, one file for each group.

``frame``       what every command has: --config, --json, examples, one-sentence errors
``display``     tables, JSON, moments; ``source_display`` a data source
``secrets``     how a secret comes in: standard input or a file, never an argument
``workplace``   the configuration, store and vault opened for one command
``init``, ``serve``, ``check``, ``completion``        one command each
``workspace``, ``token``, ``source``, ``policy``, ``session``, ``audit``, ``key``  one group each

Commands parse, call and print; what they do is in ``proxy/administration.py`` and in
the packages it uses, so that other doors can do the same.
"""
