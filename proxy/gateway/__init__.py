"""The data path: from an accepted connection to the last byte of its session.

The map of this room, in the order of a session's life:

``listener``      accepts, counts and limits; nothing slow in the accept loop
``channel``       one socket during its login: exact reads, TLS by request
``inbox``         what arrives while no relay has a connection
``tls``           contexts, profiles, pins, channel binding
``authenticate``  which workspace is this, and is its token good: once for all protocols
``dial``          resolve once, check every address, connect to the one that was checked
``failover``      which host of a source a session gets, and its share of the time
``breaker``, ``hosts``  which hosts do not answer, and when they are tried again
``secrets``       a stored secret opened for use, never before its record is durable
``upstream``      open a data source: dial, TLS, login with what ``secrets`` gave
``blame``         what went wrong there, and whether another host may do
``pool``          who gets which connection of a source, and when: decisions alone
``lease``         one connection, and a session's hold on it
``pooling``       connections kept, reset, watched and handed on
``sharing``       the same, of sources whose connections are had for a transaction each
``turns``         a session that has a connection for one transaction at a time
``rotation``      a credential that changes while sessions are being opened
``session``       a connection's life as a script: greet, authenticate, serve, refuse
``rooms``         what sessions work with
``admission``     grant, places and policy of a client that has proved its token
``serving``       opens its source, relays, and writes start and end to the log
``judge``         a statement held against the session's policy, remembered
``record``        a session's statements, judged, to the audit log and the metrics
``relay``         bytes both ways, through the scanner
``ends``          how a session ends, whoever ends it
``live``          the sessions there are: time-outs, revocation, kill, drain
``live_session``  one of them: whose it is, what is shown of it, how long it may stay
``cancel``        a client's wish to stop a statement
``probe``         the same way to a data source, for ``source test``

It knows no protocol but through ``protocols.interface``, and never imports the admin or
content rooms.
"""
