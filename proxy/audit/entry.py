"""How an entry of the journal lies in memory, as plain Python.

Compiled, ``journal`` takes the ``write_entry`` of ``entry.pxd`` instead, which writes the
same bytes for a tenth of the cost; ``tests/audit/test_journal.py`` reads what either wrote.
"""

from __future__ import annotations

import struct
from zlib import crc32

# settled, type, bytes stored, epoch, session, number, wall time, whole length; the
# checksum behind it is over these (settled as 0) and the text.
HEAD = struct.Struct("<BBHIIQdI")
CHECK = struct.Struct("<I")
HEAD_SIZE = HEAD.size + CHECK.size


def write_entry(
    view: memoryview,
    place: int,
    kind: int,
    epoch: int,
    session: int,
    number: int,
    time: float,
    length: int,
    text: bytes,
    stored: int,
) -> None:
    """Write the head and the first ``stored`` bytes of ``text``, of ``length`` in all."""
    text = text[:stored]
    head = HEAD.pack(0, kind, stored, epoch, session, number, time, length)
    end = place + HEAD_SIZE + stored
    view[place:end] = head + CHECK.pack(crc32(text, crc32(head))) + text
