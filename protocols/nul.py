"""Where a string of the wire ends. Compiled modules take ``nul.pxd``'s, which does the same."""

from __future__ import annotations


def find_nul(data: bytes, start: int, stop: int) -> int:
    """The place of the first NUL from ``start`` on and before ``stop``, or -1."""
    return data.find(b"\0", start, stop)
