"""The wire: bytes in, values out. Pure: no sockets, no clock, no event loop.

The map of this package:

``errors``      who is to blame: the peer, the data source, or a refusal of ours
``channel``     the four methods a conversation needs of a connection, and their fake
``statements``  the vocabulary shared with policies and audit: statement, kind, outcome
``roles``       what a server says that it is, and where a session may be
``verifiers``   what is kept of a workspace's tokens: enough to check, not to log in
``interface``   what each protocol offers to the gateway, as typed interfaces
``postgres/``   PostgreSQL, frontend/backend protocol 3.0 and 3.2

Every protocol folder has the same file names (``framing``, ``messages``,
``accept``, ``connect``, ``scan``, ``refuse``) and exports one ``PROTOCOL``.
Protocols do not know each other.
"""
