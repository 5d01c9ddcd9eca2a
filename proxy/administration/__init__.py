"""What administrators do, each change with its audit records.

``trail``       where their audit records go: the running proxy's log, or our own
``workspaces``, ``tokens``, ``sources``, ``keys``  the changes themselves

Called by the command line; another door calls the same functions.
"""
