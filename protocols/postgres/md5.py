"""PostgreSQL's md5 password method, client side only: for old data sources.

Knows one formula. We never ask a client of ours for it: it lets whoever reads the
store, or the wire, log in.
"""

from __future__ import annotations

import hashlib


def md5_response(password: bytes, username: bytes, salt: bytes) -> bytes:
    """``md5`` + md5(md5(password + username) + salt), in lower-case hex (manual, "Start-up")."""
    return b"md5" + _hex(_hex(password + username) + salt)


def _hex(data: bytes) -> bytes:
    # usedforsecurity: the protocol demands MD5; a FIPS build of OpenSSL must not stop it.
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode("ascii")
