"""A soak: a mixed load with disturbances through a real proxy, and what must hold afterwards.

``options``         the command line; ``completion``: in bash
``sources``         the data sources, and how each keeps its connections
``setting``         the servers and the proxy: all started, all stopped
``client``          a client's life, whatever its driver; ``postgres_*`` and ``mysql_*``: drivers
``pace``            the pauses of a load
``marks``           words that name one statement wherever its text is kept
``disturbances``    what is done to clients, and which errors that excuses
``disturber``       does it, an ``administrator``'s part with the program's own commands
``starvation``      notices when the machine had no time for us
``census``          what the proxy holds: memory, descriptors, tasks, sessions, connections
``statement_logs``  what the servers say that they were asked to run
``ledger``          clients, servers and the audit log, held against each other
``secrets_search``  passwords and tokens in what the proxy wrote
``progress``, ``report``, ``plot``   how it gets on, and what it found
``soak``            a run from its begin to its verdicts
"""
