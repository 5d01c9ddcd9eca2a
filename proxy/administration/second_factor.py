"""The second factor: codes by time (TOTP, RFC 6238) and recovery codes. Knows no account.

SHA-1, six digits and thirty seconds, because that is what every authenticator takes for
granted; HMAC does not rest on what is broken in SHA-1. A few lines over the standard
library, which the RFC's own test vectors hold, are less than a dependency.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from urllib.parse import quote, urlencode

from vault import Secret

STEP_SECONDS = 30
DIGITS = 6
SKEW = 1
"""Steps before and after now whose code is taken: RFC 6238, 5.2, advises one."""
SECRET_LENGTH = 20
"""Bytes: RFC 4226, 4, asks for 128 bits and advises 160."""
RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
_RECOVERY = re.compile(r"[a-z2-7]{16}")
_TOTP = re.compile(rf"[0-9]{{{DIGITS}}}")
_PURPOSE = b"accode-proxy recovery code 1\0"
_ISSUER = "Accode Proxy"


def new_totp_secret(entropy: Callable[[int], bytes] = os.urandom) -> Secret:
    """160 random bits."""
    return Secret(entropy(SECRET_LENGTH))


def totp_code(secret: Secret, step: int, digits: int = DIGITS) -> str:
    """The code of a time step (RFC 4226, 5.3)."""
    mac = hmac.digest(secret.reveal(), step.to_bytes(8, "big"), "sha1")
    offset = mac[-1] & 15
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def step_at(moment: datetime) -> int:
    """The time step of a moment."""
    return int(moment.timestamp()) // STEP_SECONDS


def matching_step(secret: Secret, code: str, now: datetime) -> int | None:
    """The step whose code this is, near now; all of them are compared in any case."""
    found, middle = None, step_at(now)
    for step in range(middle - SKEW, middle + SKEW + 1):
        if hmac.compare_digest(totp_code(secret, step).encode(), code.encode()):
            found = step
    return found


def otpauth_uri(secret: Secret, name: str) -> str:
    """What an authenticator reads, as a QR code or pasted."""
    label = quote(f"{_ISSUER}:{name}", safe="")
    query = urlencode({"secret": base32(secret), "issuer": _ISSUER}, quote_via=quote)
    return f"otpauth://totp/{label}?{query}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"


def base32(secret: Secret) -> str:
    """The secret as it is typed into an authenticator."""
    return base64.b32encode(secret.reveal()).decode()


def new_recovery_codes(entropy: Callable[[int], bytes] = os.urandom) -> tuple[str, ...]:
    """Ten codes of 80 random bits, as they are shown: four groups of four."""
    return tuple(_grouped(entropy(_RECOVERY_BYTES)) for _ in range(RECOVERY_CODES))


def _grouped(random: bytes) -> str:
    text = base64.b32encode(random).decode().lower()
    return "-".join(text[place : place + 4] for place in range(0, len(text), 4))


def recovery_digest(code: str) -> bytes | None:
    """What is kept of a recovery code; None where the text is none. 80 bits need no stretching."""
    plain = code.replace("-", "").replace(" ", "").lower()
    if _RECOVERY.fullmatch(plain) is None:
        return None
    return hashlib.sha256(_PURPOSE + plain.encode("ascii")).digest()


def recovery_digests(codes: Iterable[str]) -> tuple[bytes, ...]:
    """The same of several that are codes."""
    return tuple(digest for code in codes if (digest := recovery_digest(code)) is not None)


def is_totp_code(code: str) -> bool:
    """Whether it could be a code by time."""
    return _TOTP.fullmatch(code) is not None
