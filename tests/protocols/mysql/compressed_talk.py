"""A session whose legs are compressed, with a client and a server played by hand.

Both sides are told in plain packets and in the numbers that compressed packets must have,
which a test says itself.
"""

from __future__ import annotations

from protocols.mysql.compressed import ClientWrapping, SourceWrapping
from protocols.mysql.compression import HEADER_LENGTH, Algorithm, Unpacking, Zlib, packets
from tests.protocols.mysql.conversation import Slicing, Talk, whole

Numbered = list[tuple[int, bytes]]
"""Compressed packets: each one's number, and what is in it."""


def wrapped(data: bytes, number: int, algorithm: Algorithm) -> bytes:
    """What a peer sends: compressed packets from this number on."""
    return packets(algorithm, data, number)[0]


def unwrapped(stream: bytes, algorithm: Algorithm) -> Numbered:
    """Compressed packets as (number, content)."""
    found = []
    at = 0
    while at < len(stream):
        end = at + HEADER_LENGTH + int.from_bytes(stream[at : at + 3], "little")
        unpacking = Unpacking(algorithm, lambda number: None)
        unpacking.receive(stream[at:end])
        content = b""
        while piece := unpacking.unwrap():
            content += piece
        found.append((stream[at + 3], content))
        at = end
    return found


class CompressedTalk(Talk):
    """A ``Talk`` between two compressed legs, as the relay joins them."""

    def __init__(
        self,
        slicing: Slicing = whole,
        *,
        algorithm: Algorithm | None = None,
        deprecates: bool = True,
        refused: bytes = b"",
    ) -> None:
        super().__init__(
            local_infile=True, is_compressed=True, deprecates=deprecates, refused=refused
        )
        self.algorithm = algorithm or Zlib()
        self._slices = slicing
        self._client = ClientWrapping(self.algorithm, self.scanner)
        self._source = SourceWrapping(self.algorithm, self.scanner)

    def sends(self, data: bytes, number: int = 0) -> Numbered:
        """The client sends plain packets in compressed ones; what the server gets."""
        out = b""
        self._now += 1
        for part in self._slices(wrapped(data, number, self.algorithm)):
            self._client.receive(part)
            while piece := self._client.unwrap():
                if passed := self.scanner.from_client(piece, self._now):
                    out += self._source.wrap(passed)
        return unwrapped(out, self.algorithm)

    def answers(self, data: bytes, number: int = 1) -> Numbered:
        """The server answers; what the client gets."""
        out = b""
        self._now += 1
        for part in self._slices(wrapped(data, number, self.algorithm)):
            self._source.receive(part)
            while piece := self._source.unwrap():
                if passed := self.scanner.from_server(piece, self._now):
                    out += self._client.wrap(passed)
        return unwrapped(out, self.algorithm)

    def says(self, data: bytes) -> Numbered:
        """What the proxy itself tells the client."""
        return unwrapped(self._client.wrap(data), self.algorithm)
