"""The hash of a line, as plain Python.

Compiled, ``chain`` takes the ``hash_hex`` of ``digest.pxd`` instead, which asks the same
OpenSSL for the same hash without two objects and a search for the algorithm each time;
``tests/audit/test_chain.py`` compares them.
"""

from __future__ import annotations

import hashlib


def hash_hex(line: bytes) -> str:
    """The SHA-256 of a line as 64 hex digits."""
    return hashlib.sha256(line).hexdigest()
