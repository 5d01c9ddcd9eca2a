"""MySQL and MariaDB on the wire.

Codecs: ``encoding`` (integers and strings), ``framing`` (packets), ``capabilities``
(flags), ``messages`` (the packets of a login).

``crypto``: the public-key operations that logins need, brought by the gateway.
"""
