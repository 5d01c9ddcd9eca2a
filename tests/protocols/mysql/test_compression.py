from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PeerViolation
from protocols.mysql.compression import (
    HEADER_LENGTH,
    MIN_COMPRESS_LENGTH,
    PIECE,
    Algorithm,
    Decompressor,
    Unpacking,
    Zlib,
    packets,
)
from proxy.gateway.zstd import Zstd

ZLIB, ZSTD = Zlib(), Zstd()
BOTH = pytest.mark.parametrize("algorithm", [ZLIB, ZSTD], ids=["zlib", "zstd"])

# "Compression" in the MySQL source documentation: a COM_QUERY of 46 bytes, compressed.
MANUAL = bytes.fromhex(
    "22000000 320000789cd3636060602e4ecd494d2e51503230343236313533b7b0c4cd5202000cd10a6c"
)
MANUAL_QUERY = b'\x2e\0\0\0\3select "012345678901234567890123456789012345"'


class Counting:
    """An algorithm that counts what its decompressors put out."""

    def __init__(self, inner: Algorithm) -> None:
        self.name = inner.name
        self.compress = inner.compress
        self._inner = inner
        self.most = 0

    def decompressor(self) -> Decompressor:
        counting, inner = self, self._inner.decompressor()

        class One:
            eof = property(lambda _: inner.eof)
            needs_input = property(lambda _: inner.needs_input)
            unused_data = property(lambda _: inner.unused_data)

            def decompress(self, data: bytes, max_length: int) -> bytes:
                found = inner.decompress(data, max_length)
                counting.most += len(found)
                return found

        return One()


def packet(body: bytes, size: int, number: int = 0) -> bytes:
    return len(body).to_bytes(3, "little") + bytes((number,)) + size.to_bytes(3, "little") + body


def pieces(algorithm: Algorithm, slices: Iterable[bytes]) -> list[bytes]:
    unpacking = Unpacking(algorithm, lambda number: None)
    found = []
    for part in slices:
        unpacking.receive(part)
        while piece := unpacking.unwrap():
            found.append(piece)
    return found


def plain(algorithm: Algorithm, *slices: bytes) -> bytes:
    return b"".join(pieces(algorithm, slices))


def byte_by_byte(stream: bytes) -> Iterator[bytes]:
    for at in range(len(stream)):
        yield stream[at : at + 1]


def text(size: int) -> bytes:
    return (b"a line of a result, number 12345\n" * (size // 33 + 1))[:size]


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_the_manuals_packet_is_read():
    assert plain(ZLIB, MANUAL) == MANUAL_QUERY
    assert plain(ZLIB, *byte_by_byte(MANUAL)) == MANUAL_QUERY


@BOTH
@pytest.mark.parametrize("size", [1, 49, 50, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])
@pytest.mark.parametrize("content", [text, noise])
def test_what_is_packed_is_unpacked(algorithm: Algorithm, size: int, content: object):
    assert callable(content)
    data = content(size)
    packed, number = packets(algorithm, data, 250)
    assert number == (250 + -(-size // PIECE)) & 0xFF
    for slices in ([packed], [packed[:5], packed[5:]], byte_by_byte(packed)):
        assert plain(algorithm, *slices) == data


@BOTH
def test_what_is_short_or_does_not_shrink_is_stored(algorithm: Algorithm):
    for data in (text(MIN_COMPRESS_LENGTH - 1), noise(1000)):
        assert packets(algorithm, data, 7)[0] == packet(data, 0, 7)
    packed, _ = packets(algorithm, text(MIN_COMPRESS_LENGTH * 2), 7)
    assert packed[4:7] == (MIN_COMPRESS_LENGTH * 2).to_bytes(3, "little")


@BOTH
def test_each_packet_is_one_piece_of_the_stream_and_numbers_wrap(algorithm: Algorithm):
    packed, _ = packets(algorithm, text(4 * PIECE), 254)
    numbers: list[int] = []
    unpacking = Unpacking(algorithm, numbers.append)
    unpacking.receive(packed)
    while unpacking.unwrap():
        pass
    assert numbers == [254, 255, 0, 1]


@BOTH
def test_a_whole_16_mebibytes_come_in_bounded_pieces(algorithm: Algorithm):
    data = bytes(0xFFFFFF)
    found = pieces(algorithm, [packet(algorithm.compress(data), len(data))])
    assert b"".join(found) == data
    assert max(map(len, found)) <= PIECE


def test_a_whole_16_mebibytes_that_are_stored_come_in_bounded_pieces():
    data = noise(0xFFFFFF)
    found = pieces(ZLIB, [packet(data, 0)])
    assert b"".join(found) == data
    assert max(map(len, found)) <= PIECE


@BOTH
@pytest.mark.parametrize("declared", [1, 100, PIECE, PIECE + 1])
def test_a_bomb_goes_off_one_byte_behind_what_it_declares(algorithm: Algorithm, declared: int):
    counting = Counting(algorithm)
    bomb = packet(algorithm.compress(bytes(5_000_000)), declared)
    with pytest.raises(PeerViolation, match="longer than it declares"):
        pieces(counting, [bomb])
    assert counting.most <= declared + 1


@BOTH
def test_nothing_is_inflated_before_it_is_asked_for(algorithm: Algorithm):
    counting = Counting(algorithm)
    unpacking = Unpacking(counting, lambda number: None)
    unpacking.receive(packet(algorithm.compress(bytes(0xFFFFFF)), 0xFFFFFF))
    assert counting.most == 0
    unpacking.unwrap()
    assert counting.most <= PIECE


@BOTH
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda body: packet(body, 1_001), "shorter than it declares"),
        (lambda body: packet(body, 999), "longer than it declares"),
        (lambda body: packet(body + b"x", 1_000), "behind its end"),
        (lambda body: packet(body[:-1], 1_000), "damaged"),
        (lambda body: packet(b"\xff" + body[1:], 1_000), "damaged"),
        (lambda body: packet(b"", 1_000), "empty"),
        (lambda body: packet(b"", 0), "empty"),
    ],
)
def test_what_is_not_as_it_declares_is_a_violation(
    algorithm: Algorithm, change: object, words: str
):
    assert callable(change)
    stream = change(algorithm.compress(text(1_000))) + packet(b"next", 0)
    for slices in ([stream], byte_by_byte(stream)):
        with pytest.raises(PeerViolation, match=words):
            plain(algorithm, *slices)


def test_a_checksum_that_is_wrong_is_a_violation():
    body = bytearray(zlib.compress(text(1_000)))
    body[-1] ^= 1
    with pytest.raises(PeerViolation, match="damaged"):
        plain(ZLIB, packet(bytes(body), 1_000))


def test_a_frame_that_looks_back_further_than_a_packet_is_long_is_a_violation():
    # RFC 8878, 3.1.1: a frame without a content size, whose window is 16 or 32 MiB, and one
    # raw block, the last.
    def frame(window_log: int) -> bytes:
        magic, descriptor = bytes.fromhex("28b52ffd"), b"\0"
        block = (100 << 3 | 1).to_bytes(3, "little") + text(100)
        return magic + descriptor + bytes(((window_log - 10) << 3,)) + block

    assert plain(ZSTD, packet(frame(24), 100)) == text(100)
    with pytest.raises(PeerViolation, match="damaged"):
        plain(ZSTD, packet(frame(25), 100))


def test_a_second_frame_in_a_packet_is_a_violation():
    body = ZSTD.compress(text(500))
    with pytest.raises(PeerViolation, match="behind its end"):
        plain(ZSTD, packet(body + body, 500))


def test_what_is_compressed_by_the_other_algorithm_is_a_violation():
    for one, other in ((ZLIB, ZSTD), (ZSTD, ZLIB)):
        with pytest.raises(PeerViolation, match="damaged"):
            plain(one, packet(other.compress(text(500)), 500))


@BOTH
def test_a_packet_whose_number_is_refused_is_not_looked_into(algorithm: Algorithm):
    counting = Counting(algorithm)

    def refuse(number: int) -> None:
        raise PeerViolation(f"number {number}")

    unpacking = Unpacking(counting, refuse)
    unpacking.receive(packet(algorithm.compress(text(500)), 500, 9))
    with pytest.raises(PeerViolation, match="number 9"):
        unpacking.unwrap()
    assert counting.most == 0


@BOTH
def test_a_stream_that_is_cut_anywhere_gives_a_beginning_and_no_more(algorithm: Algorithm):
    data = text(300) + noise(60)
    stream = packets(algorithm, data[:300], 0)[0] + packets(algorithm, data[300:], 1)[0]
    for size in range(len(stream)):
        assert data.startswith(plain(algorithm, stream[:size]))


@given(
    st.sampled_from([ZLIB, ZSTD]),
    st.lists(st.binary(min_size=1, max_size=200).map(lambda one: one * 7), max_size=6),
    st.integers(1, 40),
)
def test_any_stream_is_unpacked_from_any_slices(
    algorithm: Algorithm, parts: list[bytes], width: int
):
    stream, number = b"", 0
    for part in parts:
        packed, number = packets(algorithm, part, number)
        stream += packed
    slices = [stream[at : at + width] for at in range(0, len(stream), width)]
    assert plain(algorithm, *slices) == b"".join(parts)


@given(
    st.sampled_from([ZLIB, ZSTD]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_stream_that_is_changed_anywhere_is_a_violation_or_bounded(
    algorithm: Algorithm, changes: list[tuple[int, int]]
):
    stream = bytearray(packets(algorithm, text(5_000), 0)[0] + packets(algorithm, noise(99), 1)[0])
    for at, value in changes:
        stream[at % len(stream)] = value
    declared, at = 0, 0
    while at + HEADER_LENGTH <= len(stream):
        length = int.from_bytes(stream[at : at + 3], "little")
        declared += int.from_bytes(stream[at + 4 : at + 7], "little") or length
        at += HEADER_LENGTH + length
    counting = Counting(algorithm)
    with suppress(PeerViolation):
        assert len(plain(counting, bytes(stream))) <= declared
    assert counting.most <= declared + 1


@given(st.sampled_from([ZLIB, ZSTD]), st.binary(max_size=300))
def test_noise_is_a_violation_or_waits(algorithm: Algorithm, stream: bytes):
    with suppress(PeerViolation):
        plain(algorithm, stream)
