# cython: annotation_typing=False
"""What stands in the few answers whose content matters: errors, settings, DEALLOCATE.

Pure functions over bytes; nothing here knows the session.

Plain Python; compiled with the types in ``answers.pxd``.
"""

from __future__ import annotations

import re

from protocols.errors import PeerViolation
from protocols.postgres.prepared import NAME_LENGTH

# Settings that change how statements are read (WIRE: followed, for the policy's sake).
FOLLOWED = frozenset(
    {b"standard_conforming_strings", b"client_encoding", b"is_superuser", b"session_authorization"}
)

_DEALLOCATE = re.compile(
    rb"\bdeallocate\s+(?:prepare\s+)?"
    rb"(?:\"((?:[^\"]|\"\")+)\"|([A-Za-z_\x80-\xff][\w$\x80-\xff]*))",
    re.IGNORECASE,
)


def error_fields(data: bytes, at: int, stop: int) -> tuple[bytes, str]:
    """Severity (not localized) and SQLSTATE of an ErrorResponse; "" where missing.

    A server may leave out the SQLSTATE (CVE-2026-6666 was a crash over that).
    """
    severity = b""
    sqlstate = ""
    while at < stop:
        field = data[at]
        if field == 0:
            break
        end = data.find(b"\0", at + 1, stop)
        if end < 0:
            break
        if field == 0x56 or (field == 0x53 and not severity):
            severity = data[at + 1 : end]
        elif field == 0x43:
            value = data[at + 1 : end]
            if len(value) == 5 and value.isalnum():
                sqlstate = value.decode("ascii")
            break
        at = end + 1
    return severity, sqlstate or "XX000"


def deallocated_names(text: bytes) -> list[bytes]:
    """The names after DEALLOCATE in a text; none where they cannot be read."""
    return [
        (quoted.replace(b'""', b'"') if quoted else plain.lower())[:NAME_LENGTH]
        for quoted, plain in _DEALLOCATE.findall(text)
    ]


def followed_setting(data: bytes, at: int, stop: int) -> tuple[bytes, bytes] | None:
    """Name and value in the body of a ParameterStatus, if the name is one to follow."""
    name_end = data.find(b"\0", at, stop)
    if name_end < 0:
        raise PeerViolation("the data source sent an invalid ParameterStatus")
    name = data[at:name_end]
    return (name, data[name_end + 1 : stop - 1]) if name in FOLLOWED else None
