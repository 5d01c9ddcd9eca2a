"""The second factor: codes by time, near now, and recovery codes. Knows no account.

The codes themselves are computed where the key is, in ``vault.totp``.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from urllib.parse import quote, urlencode

from vault import Secret
from vault.totp import DIGITS, STEP_SECONDS, matching_step

SKEW = 1
"""Steps before and after now whose code is taken: RFC 6238, 5.2, advises one."""
RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
_RECOVERY = re.compile(r"[a-z2-7]{16}")
_TOTP = re.compile(rf"[0-9]{{{DIGITS}}}")
_PURPOSE = b"accode-proxy recovery code 1\0"
_ISSUER = "Accode Proxy"


def step_at(moment: datetime) -> int:
    """The time step of a moment."""
    return int(moment.timestamp()) // STEP_SECONDS


def step_near(key: Secret, code: str, now: datetime) -> int | None:
    """The step whose code this is, near now; all of them are compared in any case."""
    middle = step_at(now)
    return matching_step(key, code, range(middle - SKEW, middle + SKEW + 1))


def otpauth_uri(base32: str, name: str) -> str:
    """What an authenticator reads, as a QR code or pasted. ``base32``: of a key just made."""
    label = quote(f"{_ISSUER}:{name}", safe="")
    query = urlencode({"secret": base32, "issuer": _ISSUER}, quote_via=quote)
    return f"otpauth://totp/{label}?{query}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"


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
