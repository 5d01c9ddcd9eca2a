"""Codes by time (TOTP, RFC 6238) of a key that does not leave: made, and compared with.

SHA-1, six digits and thirty seconds, because that is what every authenticator takes for
granted; HMAC does not rest on what is broken in SHA-1. A few lines over the standard
library, which the RFCs' own test vectors hold, are less than a dependency. Knows no clock,
no account, and not which steps were used.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Callable, Iterable

from vault.secret import Secret

STEP_SECONDS = 30
DIGITS = 6
KEY_LENGTH = 20
"""Bytes: RFC 4226, 4, asks for 128 bits and advises 160."""


def new_totp_key(entropy: Callable[[int], bytes] = os.urandom) -> tuple[Secret, str]:
    """160 random bits, and their text in base32 for an authenticator.

    The text exists here alone: what was stored cannot be had as text again.
    """
    key = entropy(KEY_LENGTH)
    return Secret(key), base64.b32encode(key).decode("ascii")


def totp_code(key: Secret, step: int, digits: int = DIGITS) -> str:
    """The code of a time step, with its leading zeros (RFC 4226, 5.3)."""
    mac = hmac.digest(key.reveal(), step.to_bytes(8, "big"), "sha1")
    offset = mac[-1] & 15
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def matching_step(key: Secret, code: str, steps: Iterable[int]) -> int | None:
    """The last of the steps whose code this is. All are compared, each in constant time."""
    # No code has a "?": what is not ASCII, half a surrogate pair too, matches nothing.
    given = code.encode("ascii", "replace")
    found = None
    for step in steps:
        if hmac.compare_digest(totp_code(key, step).encode("ascii"), given):
            found = step
    return found
