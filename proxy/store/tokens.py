"""Tokens: how they are made, recognised and checked. Knows no store.

``acp_`` id(10) ``_`` secret(43) checksum(6), all base62: 64 ASCII characters. The id
names the token in lists and in the audit log. The secret is 256 random bits, which
43 base62 digits hold (62**43 > 2**256). The checksum is CRC-32 of everything before
it, so that a truncated or mistyped token is told from a wrong one and secret scanners
can recognise a real one without asking us. A token is ASCII, so SASLprep (RFC 4013)
leaves it as it is.

A token is returned once, by ``new_token``, and never stored: only its verifiers are.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import string
import zlib
from collections.abc import Callable

from protocols.verifiers import TokenVerifier
from proxy.store.errors import InvalidToken

PREFIX = "acp_"
ID_LENGTH = 10
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
TOKEN_LENGTH = len(PREFIX) + ID_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH

DEFAULT_ITERATIONS = 4096
"""RFC 5802's least, and pg8000 refuses fewer; stretching 256 random bits adds nothing."""

SALT_LENGTH = 16
"""PostgreSQL's own SCRAM_DEFAULT_SALT_LEN."""

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHAPE = re.compile(
    rf"(?P<prefix>[a-z]{{3}}_)(?P<id>[0-9A-Za-z]{{{ID_LENGTH}}})"
    rf"_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"
)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), CHECKSUM_LENGTH)


def new_token(entropy: Callable[[int], bytes] = os.urandom, *, prefix: str = PREFIX) -> str:
    """A new token's text, to be shown once. ``prefix``: another kind's, of the same shape."""
    # The id needs to be distinct, not evenly spread: 16 bytes make the bias of the
    # remainder negligible, and 62**10 ids keep 100,000 tokens apart.
    token_id = _base62(int.from_bytes(entropy(16)), ID_LENGTH)
    secret = _base62(int.from_bytes(entropy(32)), SECRET_LENGTH)
    body = f"{prefix}{token_id}_{secret}"
    return body + _checksum(body)


def parse_token(text: str, *, prefix: str = PREFIX) -> str:
    """The id of a well-formed token. Raises InvalidToken, without repeating the text."""
    match = _SHAPE.fullmatch(text)
    if match is None or match["prefix"] != prefix:
        raise InvalidToken(
            f"this is not a token: a token is {prefix} and 60 more letters and digits"
        )
    body, checksum = text[:-CHECKSUM_LENGTH], text[-CHECKSUM_LENGTH:]
    if not hmac.compare_digest(_checksum(body), checksum):
        raise InvalidToken("this token is mistyped or incomplete: its checksum does not match")
    return match["id"]


def verifiers_for(token: str, salt: bytes, iterations: int) -> TokenVerifier:
    """Everything kept of a token: RFC 5802's keys and the two MySQL double hashes.

    Costs ``iterations`` rounds of PBKDF2 (4,096: about 2 ms); run it in a thread where
    an event loop waits. Raises InvalidToken.
    """
    token_id = parse_token(token)
    password = token.encode("ascii")
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    sha1 = hashlib.sha1  # the algorithm of mysql_native_password, over 256 random bits
    return TokenVerifier(
        token_id=token_id,
        stored_key=hashlib.sha256(client_key).digest(),
        server_key=hmac.digest(salted, b"Server Key", "sha256"),
        sha256_sha256=hashlib.sha256(hashlib.sha256(password).digest()).digest(),
        sha1_sha1=sha1(sha1(password).digest()).digest(),
    )
