"""MySQL and MariaDB on the wire.

``crypto``: the public-key operations that logins need, brought by the gateway.
"""
