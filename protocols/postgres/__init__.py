"""PostgreSQL, frontend/backend protocol 3.0 and 3.2.

The map of this package, from the bytes up:

``encoding``       how fields and frames are laid out
``frontend``       the messages a client sends while it logs in
``backend``        the messages a server sends while a client logs in
``messages``       both, as one vocabulary
``framing``        reading one message from a channel, each length bounded
``scram``, ``scram_server``, ``scram_client``, ``saslprep``, ``md5``   authentication, pure
``parameters``     which settings a client may bring, and how ``options`` is read
``startup``        what a StartupMessage asks for
``direct_tls``     a connection that begins with a ClientHello
``accept``         we play server: greet, authenticate, welcome
``encrypt``, ``log_in``, ``connect``   we play client: TLS, the password, the whole login
``role``           whether a server is a standby, and whether its sessions only read
``upstream``       what is kept of a server that let us in
``cancel``         cancel requests, both ends
``refuse``         how we say no
``ledger``, ``scan``   the running session: what is outstanding, what is asked
``protocol``       all of it as the gateway's ``WireProtocol``
"""

from protocols.postgres.protocol import Postgres

PROTOCOL = Postgres()

__all__ = ["PROTOCOL", "Postgres"]
