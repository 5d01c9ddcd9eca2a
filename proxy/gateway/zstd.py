"""zstd for compressed connections: ``protocols.mysql.compression.Algorithm``.

The standard library has it from Python 3.14 on; its backport has the same interface. Its
decompressor is told how much it may put out, which other bindings' are not.
"""

from __future__ import annotations

import sys

from protocols.mysql.compression import Decompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# The largest piece has 16 MiB - 1, so no honest frame looks back further than 16 MiB. What
# is looked back at must be kept, and a frame may ask for 2 GiB.
_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 24}


class _Frame:
    """One frame's decompressor, whose error is a ValueError."""

    def __init__(self) -> None:
        self._inner = zstd.ZstdDecompressor(options=_OPTIONS)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return self._inner.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return self._inner.decompress(data, max_length)
        except zstd.ZstdError as error:
            raise ValueError(str(error)) from None


class Zstd:
    """CLIENT_ZSTD_COMPRESSION_ALGORITHM, at level 1: see ``Zlib``."""

    name = "zstd"

    def compress(self, data: bytes) -> bytes:
        """See ``Algorithm.compress``."""
        return zstd.compress(data, 1)

    def decompressor(self) -> Decompressor:
        """See ``Algorithm.decompressor``."""
        return _Frame()
