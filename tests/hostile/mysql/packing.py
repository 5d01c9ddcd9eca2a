"""A MySQL client whose session is compressed; compressed packets written down once more."""

from __future__ import annotations

import sys
import zlib
from typing import ClassVar

from tests.hostile.mysql.fake_server import COMPRESS
from tests.hostile.mysql.raw import USUAL, ZSTD, MysqlClient, query, take_lenenc

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def stored(data: bytes, number: int = 0) -> bytes:
    """One compressed packet that is not compressed."""
    return len(data).to_bytes(3, "little") + bytes((number & 0xFF, 0, 0, 0)) + data


def packed(data: bytes, number: int = 0, size: int | None = None) -> bytes:
    """One compressed packet, which declares ``size``."""
    body = zlib.compress(data)
    declared = len(data) if size is None else size
    return (
        len(body).to_bytes(3, "little")
        + bytes((number & 0xFF,))
        + declared.to_bytes(3, "little")
        + body
    )


class PackingClient(MysqlClient):
    """It compares every number, and keeps no more than the packet at hand."""

    capability: ClassVar[int] = COMPRESS
    tail: ClassVar[bytes] = b""
    plain = b""
    number = 0

    def open(self, workspace: str, token: str, source: str) -> PackingClient:
        """Log in, with compression behind the OK. Raises Refused."""
        self.log_in(workspace, token, source, capabilities=USUAL | self.capability, tail=self.tail)
        return self

    def decompress(self, body: bytes) -> bytes:
        return zlib.decompress(body)

    def read_packed(self) -> None:
        header = super().read(7)
        assert header[3] == self.number & 0xFF, (header, self.number)
        self.number += 1
        body = super().read(int.from_bytes(header[:3], "little"))
        size = int.from_bytes(header[4:], "little")
        data = self.decompress(body) if size else body
        assert size in (0, len(data))
        self.plain += data

    def unpacked(self, count: int) -> bytes:
        while len(self.plain) < count:
            self.read_packed()
        data, self.plain = self.plain[:count], self.plain[count:]
        return data

    def payload(self) -> bytes:
        """The next plain packet's."""
        return self.unpacked(int.from_bytes(self.unpacked(4)[:3], "little"))

    def payloads(self, count: int, number: int = 1) -> list[bytes]:
        """So many plain packets of an answer, whose first compressed packet has this number."""
        self.number = number
        return [self.payload() for _ in range(count)]

    def select(self, sql: str) -> bytes:
        self.send(packed(query(sql)))
        row = self.payloads(4)[2]
        size, at = take_lenenc(row, 0)
        return row[at : at + size]


class ZstdClient(PackingClient):
    """The same by zstd; what it sends itself it does not compress."""

    capability = ZSTD
    # The level that it asks for.
    tail = b"\x03"

    def decompress(self, body: bytes) -> bytes:
        return zstd.decompress(body)
