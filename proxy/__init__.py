"""Does it: I/O, tasks, TLS, time-outs, the store, audit, command line, wiring.

The map of this package:

``app``         the composition root: the one place that wires the rest together
``serve``       a proxy of one process, from its start to the signal that ends it
``doors``       what a listener speaks, and with which certificate
``config/``     the operator's settings, checked
``gateway/``    the data path: listener, login, session, relay, cancel, live sessions
``store/``      the control-plane database: schema, migrations, queries
``directory``   the store's answers for logins, cached and kept current
``oidc/``       logins with the identity providers of workspaces
``audit/``      events, hash chain, files, verification
``cli``, ``commands/``  the command line, one file per group of verbs
``control``     the unix socket between the command line and the running proxy
``standing``    tasks that stand to the process's end, whatever happens in them
``logs``        the structured log
``metrics/``    counters, and how Prometheus reads them
``health``      the port of /metrics, /healthz and /readyz
``demo/``       a whole proxy with a real PostgreSQL, for a first look
"""
