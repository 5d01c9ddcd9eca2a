"""MySQL and MariaDB on the wire.

Codecs: ``encoding`` (integers and strings), ``framing`` (packets), ``capabilities``
(flags), ``messages`` (the packets of a login), ``refuse`` and ``explain`` (how a no is
worded). Computations: ``native``, ``caching_sha2``, ``parsec``; ``crypto`` names the
public-key operations that the gateway brings.

Conversations: ``accept`` (we play server; ``arrive`` reads what the client asks for),
``connect`` and ``log_in`` (we play client), ``cancel`` (KILL QUERY).

Around both, where a leg has agreed on it: ``compression`` (the codec of compressed packets)
and ``compressed`` (who counts them, and from where).
"""
