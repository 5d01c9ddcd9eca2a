"""Hostile data sources that have let us in, and then break the protocol or flood."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from pathlib import Path

import pytest

from tests.hostile.fake_server import (
    AUTH_OK,
    KEY,
    READY,
    Gone,
    Peer,
    Script,
    error,
    notice,
    parameter,
    parameters,
    server_context,
)
from tests.hostile.play import Play
from tests.hostile.raw import (
    SYNC,
    TIMEOUT,
    RawClient,
    Refused,
    execute,
    first_column,
    message,
    parse,
    query,
    startup_packet,
)
from tests.hostile.stage import PASSWORD, text_of
from tests.servers.certificates import Certificates

BROKEN = "the data source broke the protocol and the session was ended"


@pytest.fixture(scope="module")
def context(certificates: Certificates) -> ssl.SSLContext:
    return server_context(str(certificates.certificate("server")), str(certificates.key("server")))


def row(value: bytes) -> bytes:
    return message(b"D", struct.pack("!hI", 1, len(value)) + value)


def description() -> bytes:
    column = b"c\0" + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0)
    return message(b"T", struct.pack("!h", 1) + column)


def complete(tag: str) -> bytes:
    return message(b"C", tag.encode() + b"\0")


def answering(*data: bytes) -> Script:
    """A server that answers the first message it gets with ``data``."""

    def script(peer: Peer) -> None:
        peer.startup()
        peer.scram(PASSWORD)
        peer.welcome()
        peer.message()
        peer.send(b"".join(data))

    return script


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * 4096


# --- broken answers -------------------------------------------------------------------

BROKEN_ANSWERS = {
    "a length of 0": b"D\0\0\0\0",
    "a length of 3": b"C\0\0\0\3",
    "a negative length": b"D\xff\xff\xff\xff",
    "a length past a gigabyte": b"D\x40\0\0\0",
    "a message type that does not exist": message(b"?", b"what"),
    "a request for a password": message(b"R", struct.pack("!I", 3)),
    "another login": AUTH_OK,
    "a cancel key": KEY,
    "another protocol": b"HTTP/1.1 200 OK\r\n\r\n",
    "BindComplete for a query": message(b"2"),
    "ParseComplete for a query": message(b"1"),
    "CloseComplete for a query": message(b"3"),
    "a portal suspended for a query": message(b"s"),
    "a function's result for a query": message(b"V", b"\xff\xff\xff\xff"),
    "ReadyForQuery twice": complete("SELECT 0") + READY + READY,
    "a row behind ReadyForQuery": complete("SELECT 0") + READY + row(b"x"),
    "an answer behind ReadyForQuery": complete("SELECT 0") + READY + complete("SELECT 0"),
    "ReadyForQuery with a status that does not exist": message(b"Z", b"!"),
    "ReadyForQuery without a status": message(b"Z"),
    "a command tag without an end": message(b"C", b"S" * 5_000),
    "a setting without a name": message(b"S", b"x"),
}


@pytest.mark.parametrize("name", BROKEN_ANSWERS)
def test_a_broken_answer_ends_the_session_with_one_sentence(play: Play, name: str):
    marker = play.stage.mark()
    with play.session(answering(BROKEN_ANSWERS[name])) as client:
        client.send(query("SELECT 'broken answer'"))
        refused = client.refusal()
    assert (refused.code, refused.text) == ("08006", BROKEN)
    play.fake.received()
    statements = [e for e in play.stage.events_since(marker) if "broken answer" in text_of(e)]
    assert len(statements) == 1
    assert statements[0]["unmapped"]["outcome"] in ("interrupted", "succeeded")


UNASKED = {
    "a row": row(b"x"),
    "copied data": message(b"d", b"x"),
    "CommandComplete": complete("SELECT 1"),
    "ReadyForQuery": READY,
    "RowDescription": description(),
    "CopyInResponse": message(b"G", b"\0\0\0"),
    "CopyBothResponse": message(b"W", b"\0\0\0"),
    "ParseComplete": message(b"1"),
    "NoData": message(b"n"),
}


@pytest.mark.parametrize("name", UNASKED)
def test_an_answer_that_nobody_asked_for_ends_an_idle_session(play: Play, name: str):
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.startup()
        peer.scram(PASSWORD)
        peer.welcome()
        assert go.wait(TIMEOUT)
        peer.send(UNASKED[name])

    with play.session(script) as client:
        go.set()
        refused = client.refusal()
    assert (refused.code, refused.text) == ("08006", BROKEN)


def test_answers_to_the_extended_protocol_must_come_in_order(play: Play):
    wrong = message(b"2") + message(b"1") + complete("SELECT 0") + READY
    with play.session(answering(wrong)) as client:
        client.send(parse("", "SELECT 1") + execute() + SYNC)
        assert client.refusal().text == BROKEN


def test_a_message_that_has_begun_ends_before_we_speak(play: Play):
    whole = row(b"0123456789")
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.startup()
        peer.scram(PASSWORD)
        peer.welcome()
        peer.message()
        peer.send(description() + whole[:-4])
        assert go.wait(TIMEOUT)
        # In one piece: the end of the row, and what breaks the protocol.
        peer.send(whole[-4:] + message(b"?", b"what"))

    with play.session(script) as client:
        client.send(query("SELECT 1"))
        assert client.receive()[0] == b"T"
        assert client.read(len(whole) - 4) == whole[:-4]
        go.set()
        assert client.read(4) == whole[-4:]
        assert client.refusal().text == BROKEN


@pytest.mark.parametrize("cut", [1, 4, 5, 9])
def test_a_message_cut_by_the_servers_end_is_followed_by_nothing(play: Play, cut: int):
    data = row(b"0123456789")[:cut]

    def script(peer: Peer) -> None:
        answering(description(), data)(peer)
        peer.socket.close()
        raise Gone

    with play.session(script) as client:
        client.send(query("SELECT 1"))
        assert client.receive()[0] == b"T"
        rest = client.read_to_end()
    # Either what came of the row, or, where that was held back, our sentence instead.
    assert rest == data or b"C08006\0" in rest


def test_an_error_without_a_sqlstate_passes(play: Play):
    # CVE-2026-6666.
    bare = message(b"E", b"SERROR\0Mno code\0\0")
    with play.session(answering(bare, READY)) as client:
        assert client.query("SELECT 1") == [(b"E", bare[5:]), (b"Z", b"I")]


def test_a_fatal_error_is_told_once(play: Play):
    def script(peer: Peer) -> None:
        answering(error("going down", code="57P01"))(peer)
        peer.socket.close()
        raise Gone

    with play.session(script) as client:
        client.send(query("SELECT 1"))
        assert client.refusal().code == "57P01"


def test_a_reset_behind_the_last_data_of_a_tls_server_is_noticed(
    play: Play, context: ssl.SSLContext
):
    def script(peer: Peer) -> None:
        peer.accept_tls(context)
        peer.startup()
        peer.scram(PASSWORD)
        peer.welcome()
        peer.message()
        peer.send(description())
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.socket.close()
        raise Gone

    for _ in range(5):
        with play.session(script, "full") as client:
            client.send(query("SELECT 1"))
            with pytest.raises(Refused) as refused:
                client.until(b"Z")
            assert refused.value.code == "08006"


# --- floods ---------------------------------------------------------------------------


class Flood:
    """A server that sends one piece again and again, and tells when it can no more."""

    def __init__(self, piece: bytes, limit: int) -> None:
        self.piece = piece
        self.limit = limit
        self.sent = 0
        self.is_stuck = threading.Event()

    def pour(self, peer: Peer) -> None:
        peer.socket.setblocking(False)
        view = memoryview(self.piece)
        place = 0
        try:
            while self.sent < self.limit:
                _, writable, _ = select.select([], [peer.socket], [], 1.0)
                if not writable:
                    self.is_stuck.set()
                    _, writable, _ = select.select([], [peer.socket], [], TIMEOUT)
                    if not writable:
                        raise Gone
                try:
                    count = peer.socket.send(view[place:])
                except (BlockingIOError, ssl.SSLWantWriteError):
                    continue
                except OSError as gone:
                    raise Gone from gone
                place = (place + count) % len(view)
                self.sent += count
        finally:
            self.is_stuck.set()
        peer.socket.settimeout(TIMEOUT)


# What kernel and proxy may hold of a flood: the sockets' buffers on both legs and ours.
HELD = 32 * 1024 * 1024
# How much the proxy's process may grow by it.
GROWTH = 12 * 1024 * 1024


def test_rows_for_a_reader_that_stops_wait_at_the_server(play: Play):
    rows = 600
    piece = row(b"x" * (1024 * 1024))
    flood = Flood(piece, rows * len(piece))

    def script(peer: Peer) -> None:
        peer.startup()
        peer.scram(PASSWORD)
        peer.welcome()
        peer.message()
        peer.send(description())
        flood.pour(peer)
        peer.send(complete(f"SELECT {rows}") + READY)

    with play.session(script) as client:
        before = memory(play.stage.proxy.pid)
        client.send(query("SELECT everything"))
        assert flood.is_stuck.wait(TIMEOUT)
        assert flood.sent < HELD
        assert memory(play.stage.proxy.pid) - before < GROWTH
        assert client.receive()[0] == b"T"
        left = flood.limit
        buffer = bytearray(4 * 1024 * 1024)
        while left:
            count = client.socket.recv_into(buffer, min(left, len(buffer)))
            assert count
            left -= count
        assert client.until(b"Z")[0] == (b"C", f"SELECT {rows}\0".encode())
        assert memory(play.stage.proxy.pid) - before < GROWTH


def _welcome_and_flood(flood: Flood) -> Script:
    # As large as a login may be, so that it does not fit into a small client's buffers.
    large = b"".join(parameter(f"n{n}", "v" * 60_000) for n in range(2))

    def script(peer: Peer) -> None:
        peer.startup()
        peer.scram(PASSWORD)
        peer.send(AUTH_OK + parameters() + large + notice("n" * 29_000) * 2 + KEY + READY)
        flood.pour(peer)

    return script


@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "tls"])
def test_a_client_that_never_takes_its_welcome_costs_bounded_memory(play: Play, tls: bool):
    flood = Flood(notice("n" * 20_000), 400 * 1024 * 1024)
    play.fake.play(_welcome_and_flood(flood))
    before = memory(play.stage.proxy.pid)
    with RawClient(play.stage.proxy.port, receive_buffer=4096) as client:
        if tls:
            client.start_tls()
        client.send(startup_packet(("user", "alpha"), ("database", "plain")))
        client.prove(play.stage.tokens["alpha"])
        assert flood.is_stuck.wait(TIMEOUT)
        assert flood.sent < HELD
        assert memory(play.stage.proxy.pid) - before < GROWTH
    play.fake.received()


def test_notices_without_end_pass_and_leave_the_session_usable(play: Play):
    count = 20_000
    answers = notice("again") * count + complete("SELECT 0") + READY
    with play.session(answering(answers)) as client:
        got = client.query("SELECT 1")
        assert sum(code == b"N" for code, _ in got) == count


def test_a_server_that_never_answers_does_not_fill_memory(play: Play):
    def script(peer: Peer) -> None:
        peer.startup()
        peer.scram(PASSWORD)
        peer.welcome()

    before = memory(play.stage.proxy.pid)
    with play.session(script) as client:
        client.socket.settimeout(1.0)
        piece = parse("", "SELECT '" + "x" * 50_000 + "'") * 20
        with pytest.raises(TimeoutError):
            client.socket.sendall(piece * 200)
        assert memory(play.stage.proxy.pid) - before < 2 * GROWTH


def test_rows_reach_the_client_as_the_server_sent_them(play: Play):
    # The judge of all the above: this server, when it behaves, is believed.
    rows = b"".join(row(b"%d" % n) for n in range(3))
    with play.session(answering(description(), rows, complete("SELECT 3"), READY)) as client:
        assert first_column(client.query("SELECT 1")) == ["0", "1", "2"]
