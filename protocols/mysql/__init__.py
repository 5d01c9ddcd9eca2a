"""MySQL and MariaDB on the wire.

Codecs: ``encoding`` (integers and strings), ``framing`` (packets), ``capabilities``
(flags), ``messages`` (the packets of a login), ``refuse`` and ``explain`` (how a no is
worded). Computations: ``native``, ``caching_sha2``, ``parsec``; ``crypto`` names the
public-key operations that the gateway brings.

Conversations: ``accept`` (we play server; ``arrive`` reads what the client asks for),
``connect`` and ``log_in`` (we play client), ``cancel`` (KILL QUERY), ``role`` (whether the
server takes changes) by ``row`` (one question of ours).

Scanner: ``scan``, with ``scan_client`` (``dispatch`` and ``prepared_commands`` know the
commands, ``command`` the one at hand) and ``scan_server`` (``packets`` knows what each is,
``answer`` where an answer ends, ``answers`` and ``limited`` what is read and counted of it);
both share ``ledger`` and ``prepared``, and refuse by ``in_place``.

Around both, where a leg has agreed on it: ``compression`` (the codec of compressed packets)
and ``compressed`` (who counts them, and from where).
"""
