"""Data sources that do not play the reset's game: their connections are never handed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from proxy.store import TlsSettings
from tests.hostile.fake_server import READY, FakeServer, Peer, notice, parameter
from tests.hostile.raw import RawClient, message
from tests.pool.pooled import POOLED, SOURCE
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM
from tests.servers.tenant import Tenant
from tests.servers.waiting import wait_until

_NUMBERS = count()
ANSWERS = {
    b"DISCARD ALL\0": message(b"C", b"DISCARD ALL\0") + READY,
    b"RESET ROLE\0": message(b"C", b"RESET\0") + READY,
}
ROW = message(b"T", b"\0\0") + message(
    b"D", b"\0\3" + b"".join(len(v).to_bytes(4, "big") + v for v in (b"15.8", b"UTF8", b"ISO"))
)
SELECTED = ROW + message(b"C", b"SELECT 1\0") + READY


def answer(text: bytes) -> bytes:
    """An honest server's answer to each command of the reset, and to a client's."""
    if text.startswith(b"SET SEED"):
        return message(b"C", b"SET\0") + READY
    if text.startswith(b"SELECT pg_catalog"):
        return SELECTED
    return ANSWERS.get(text, message(b"C", b"SELECT 0\0") + READY)


def serving(
    answers: Callable[[bytes], bytes] = answer, idle: bytes = b""
) -> Callable[[Peer], None]:
    """A server that says ``idle`` when a reset is over."""

    def script(peer: Peer) -> None:
        peer.startup()
        peer.scram(SCRAM.password)
        peer.welcome()
        while True:
            code, text = peer.message()
            if code == b"X":
                return
            peer.send(answers(text))
            if text.startswith(b"SELECT pg_catalog") and idle:
                peer.send(idle)

    return script


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


class Source(Tenant):
    """A workspace with a pooled source on the fake server."""

    def __init__(self, proxy: ProxyServer, fake: FakeServer, postgres: PostgresServer) -> None:
        super().__init__(proxy, f"hostile{next(_NUMBERS)}")
        self.fake = fake
        tls = TlsSettings(mode="disable")
        proxy.add_source(self.name, SOURCE, postgres, pooling=POOLED, tls=tls, port=fake.port)

    def use(self) -> None:
        """A session with a statement, up to its end."""
        with RawClient(self.proxy.port) as client:
            client.log_in(self.name, self.token, SOURCE)
            client.query("SELECT")
            client.send(message(b"X"))
            assert client.read_to_end() == b""

    def counts(self, name: str) -> dict[str, float]:
        return {k: v for k, v in self.proxy.metrics().items() if k.startswith(name)}


@pytest.fixture
def source(pool_proxy: ProxyServer, fake: FakeServer, postgres: PostgresServer) -> Source:
    return Source(pool_proxy, fake, postgres)


def closed(source: Source, cause: str) -> float:
    return source.proxy.metrics()[f"pool_closes_total{{cause={cause}}}"]


def test_an_honest_servers_connection_is_kept(source: Source):
    source.fake.play(serving())
    for _ in range(3):
        source.use()
        wait_until(
            lambda: source.proxy.metrics()["pool_connections{state=resetting}"] == 0,
            what="the reset to be over",
        )
    # The news that the source was added may have come between two of them.
    assert len(source.fake.peers) < 3


@pytest.mark.parametrize(
    "idle",
    [
        notice("psst"),
        parameter("TimeZone", "Asia/Kathmandu"),
        message(b"A", b"\0\0\0\1channel\0\0"),
        READY,
        message(b"C", b"SELECT 1\0") + READY,
        b"\0",
    ],
)
def test_a_server_that_speaks_while_nobody_has_it_is_left(source: Source, idle: bytes):
    source.fake.play(serving(idle=idle))
    before = closed(source, "lost") + closed(source, "reset_failed")
    source.use()
    wait_until(
        lambda: closed(source, "lost") + closed(source, "reset_failed") == before + 1,
        what="the connection to be closed",
    )
    assert source.proxy.metrics()["pool_connections{state=resetting}"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        message(b"E", b"SERROR\0VERROR\0C42501\0Mno\0\0") + READY,
        message(b"C", b"DISCARD ALL\0") + message(b"Z", b"T"),
        message(b"C", b"DISCARD\0") + READY,
        b"Z" + b"\x7f" * 4,
    ],
)
def test_a_server_that_answers_the_reset_wrongly_is_left(source: Source, wrong: bytes):
    source.fake.play(serving(lambda text: wrong if text == b"DISCARD ALL\0" else answer(text)))
    before = closed(source, "reset_failed")
    source.use()
    # The client after it is served all the same, by another connection.
    source.use()
    wait_until(
        lambda: closed(source, "reset_failed") == before + 2, what="the connections to be closed"
    )
    assert len(source.fake.peers) == 2


def test_a_server_that_never_answers_the_reset_is_left_after_a_while(source: Source):
    source.fake.play(serving(lambda text: b"" if text == b"DISCARD ALL\0" else answer(text)))
    before = closed(source, "reset_failed")
    source.use()
    wait_until(
        lambda: closed(source, "reset_failed") == before + 1,
        within=20,
        what="the connection to be closed",
    )
