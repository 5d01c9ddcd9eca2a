"""What we keep of a PostgreSQL server that let us in.

Plain values that ``connect`` makes and ``welcome`` and ``cancel`` use.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class UpstreamDetail:
    """The server's own words, as raw bytes in its own encoding.

    ``parameters`` are what it reported, the last value of each name, in order.
    ``cancel_key`` is empty where it gave none, 4 bytes in protocol 3.0, 4 to 256 in 3.2.
    ``notices`` are bodies of NoticeResponse. ``is_tls_direct``: how a cancel request has to
    come, too.
    """

    parameters: tuple[tuple[bytes, bytes], ...]
    process_id: int
    cancel_key: bytes = field(repr=False)
    transaction_status: bytes
    notices: tuple[bytes, ...] = ()
    is_tls_direct: bool = False
