"""Compressed packets that no honest peer sends, from clients and from data sources."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.hostile.fake_server import FakeServer
from tests.hostile.mysql.conftest import MysqlStage, open_theatre
from tests.hostile.mysql.fake_server import (
    ALL,
    COMPRESS,
    FAST,
    MysqlPeer,
    greeting,
    numbered,
    ok,
    rows,
)
from tests.hostile.mysql.packing import PackingClient, packed, stored
from tests.hostile.mysql.raw import MysqlClient, packet, query, refused, text
from tests.hostile.raw import Closed, Refused
from tests.servers.certificates import Certificates


@pytest.fixture(scope="module")
def house(server_folder: Path, certificates: Certificates) -> Iterator[MysqlStage]:
    """A proxy that compresses, with an honest server that does not."""
    folder = server_folder / "compressing-proxy"
    both = ["zlib", "zstd"]
    with open_theatre(folder, certificates, [("alpha", "orders")], compression=both) as stage:
        yield stage


@pytest.fixture(scope="module")
def villain(house: MysqlStage) -> Iterator[FakeServer]:
    """A server whose source is compressed; each test gives it its script."""
    with FakeServer(MysqlPeer) as server:
        house.add_fake_source("alpha", "villain", server.port, compression="zlib")
        yield server


def opened(house: MysqlStage, source: str = "orders") -> PackingClient:
    return PackingClient(house.proxy.port).open("alpha", house.tokens["alpha"], source)


def test_an_honest_client_is_served(house: MysqlStage):
    with house.unharmed(), opened(house) as client:
        for word in ("one", "x" * 190, "two"):
            assert client.select(f"SELECT '{word}'") == word.encode()
        client.send(stored(query("SELECT 'in two")[:9]) + stored(query("SELECT 'in two")[9:], 1))
        assert client.payloads(4, number=2)[2] == text(b"in two")
    # The data source was not asked to compress.
    assert not int.from_bytes(house.last.login[:4], "little") & COMPRESS


LONG = query("SELECT '" + "x" * 500 + "'")
BROKEN_BY_CLIENT = {
    "a bomb": packed(bytes(10_000_000), size=100),
    "shorter than declared": packed(LONG, size=5_000),
    "longer than declared": packed(LONG, size=50),
    "no zlib": stored(LONG)[:4] + (100).to_bytes(3, "little") + LONG,
    "something behind the end": (lambda one: (len(one) - 6).to_bytes(3, "little") + one[3:] + b"x")(
        packed(LONG)
    ),
    "empty": stored(b""),
    "empty, but declared": stored(b"")[:4] + b"\x64\0\0",
    "a wrong number": stored(LONG, 1),
    "a wrong number behind the first": stored(LONG[:99]) + stored(LONG[99:], 2),
    "a wrong checksum": packed(LONG)[:-1] + b"\0",
}


@pytest.mark.parametrize("name", BROKEN_BY_CLIENT)
def test_a_client_that_breaks_the_layer_is_told_and_ended(house: MysqlStage, name: str):
    with house.unharmed(), opened(house) as client:
        client.send(BROKEN_BY_CLIENT[name])
        header = client.read(7)
        body = client.read(int.from_bytes(header[:3], "little"))
        error = refused((zlib.decompress(body) if any(header[4:]) else body)[4:])
        assert error.text.startswith("protocol violation: ")
        assert client.read_to_end() == b""


def test_plain_packets_in_a_compressed_session_are_a_violation(house: MysqlStage):
    with house.unharmed(), opened(house) as client:
        client.send(query("SELECT 1") * 8)
        with suppress(Closed):
            client.read(7)
        client.read_to_end()


def test_a_session_that_is_cut_by_its_client_in_a_packet_leaves_nothing(house: MysqlStage):
    whole = packed(LONG)
    with house.unharmed():
        for size in (1, 7, 8, len(whole) - 1):
            with opened(house) as client:
                client.send(whole[:size])


# --- data sources -------------------------------------------------------------------------


def welcome(peer: MysqlPeer) -> None:
    """A server that compresses, up to its OK; and the first command's packet."""
    peer.greet(greeting(capabilities=ALL | COMPRESS))
    assert int.from_bytes(peer.login[:4], "little") & COMPRESS
    peer.put(FAST)
    peer.put(ok())


def command(peer: MysqlPeer) -> bytes:
    header = peer.read(7)
    assert header[3] == 0
    body = peer.read(int.from_bytes(header[:3], "little"))
    return zlib.decompress(body) if any(header[4:]) else body


ANSWER = numbered(*rows(b"y" * 180))


def test_an_honest_server_is_understood(house: MysqlStage, villain: FakeServer):
    def script(peer: MysqlPeer) -> None:
        welcome(peer)
        for _ in range(2):
            assert command(peer) == query("SELECT 'hello'")
            peer.send(packed(ANSWER[:99], 1) + stored(ANSWER[99:], 2))
        peer.drain()

    villain.play(script)
    with house.unharmed():
        with opened(house, "villain") as client:
            assert client.select("SELECT 'hello'") == b"y" * 180
            assert client.select("SELECT 'hello'") == b"y" * 180
        # And for a client that knows nothing of compression.
        with house.log_in("alpha", "villain") as plain:
            assert plain.value("SELECT 'hello'") == "y" * 180


BROKEN_BY_SERVER = {
    "a bomb": packed(bytes(10_000_000), 1, size=200),
    "shorter than declared": packed(ANSWER, 1, size=5_000),
    "longer than declared": packed(ANSWER, 1, size=20),
    "no compression at all": ANSWER,
    "empty": stored(b"", 1),
    "a wrong number within its answer": stored(ANSWER[:30], 1) + stored(ANSWER[30:], 1),
    "an answer that nobody asked for": stored(ANSWER, 1) + stored(ANSWER, 1),
    "16 MiB of nothing": packed(bytes(0xFFFFFF), 1),
}


UNTOLD = {"a wrong number within its answer", "longer than declared"}
"""Where the client has half of a packet, nothing can be said."""


def all_of(stream: bytes) -> bytes:
    """What is in compressed packets."""
    found = b""
    while stream:
        end = 7 + int.from_bytes(stream[:3], "little")
        found += zlib.decompress(stream[7:end]) if any(stream[4:7]) else stream[7:end]
        stream = stream[end:]
    return found


@pytest.mark.parametrize("is_compressed", [True, False], ids=["compressed", "plain"])
@pytest.mark.parametrize("name", BROKEN_BY_SERVER)
def test_a_server_that_breaks_the_layer_ends_its_session(
    house: MysqlStage, villain: FakeServer, name: str, is_compressed: bool
):
    def script(peer: MysqlPeer) -> None:
        welcome(peer)
        command(peer)
        peer.send(BROKEN_BY_SERVER[name])
        peer.drain()

    villain.play(script)
    with house.unharmed():
        client = opened(house, "villain") if is_compressed else house.log_in("alpha", "villain")
        with client:
            client.send(packed(LONG) if is_compressed else LONG)
            heard = client.read_to_end()
            said = all_of(heard) if is_compressed else heard
            assert (b"the data source broke the protocol" in said) == (name not in UNTOLD)
            assert bytes(1_000) not in said


def test_a_server_that_does_not_offer_it_is_not_logged_in_to(
    house: MysqlStage, villain: FakeServer
):
    villain.play(lambda peer: peer.put(greeting(capabilities=ALL)))
    with house.unharmed():
        client = MysqlClient(house.proxy.port)
        with client, pytest.raises(Refused, match="does not offer zlib compression"):
            client.log_in("alpha", house.tokens["alpha"], "villain")
    assert bytes(villain.peers[-1].received) == b""


def test_a_packet_is_a_packet():
    # The helper of this file against the header that the manual describes.
    assert packed(b"a" * 46, 3)[3:7] == b"\3\x2e\0\0"
    assert packet(3, b"x") == b"\1\0\0\3x"
