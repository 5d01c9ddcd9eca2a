"""The relay fails as it says, and only as long as it is told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from tests.faults.relay import DRIP, HOLD, Delay, Flip, Relay, Way
from tests.servers.waiting import wait_until

TEXT = b"0123456789"
# Longer than anything takes here, and short enough to wait for it to be over.
A_WHILE = 0.3


@pytest.fixture
def ends() -> Iterator[tuple[Relay, socket.socket, socket.socket]]:
    """A relay, and both ends of a connection through it: who connected, and who was asked."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        with (
            Relay(server.getsockname()[1]) as relay,
            closing(connected(relay)) as near,
            closing(server.accept()[0]) as far,
        ):
            far.settimeout(40)
            wait_until(lambda: relay.open == 1, what="the relay to have both")
            yield relay, near, far
        wait_until(
            lambda: not any(thread.name == "relay" for thread in threading.enumerate()),
            what="the relay's thread to end",
        )


def connected(relay: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.port), timeout=40)


def read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        assert part, f"closed after {data!r}"
        data += part
    return data


def read_to_end(sock: socket.socket) -> None:
    while sock.recv(1_000_000):
        pass


def is_silent(sock: socket.socket) -> bool:
    sock.settimeout(A_WHILE)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(40)
    return False


def test_it_passes_on_both_ways_and_counts(ends: tuple[Relay, socket.socket, socket.socket]):
    relay, near, far = ends
    near.sendall(TEXT)
    assert read(far, len(TEXT)) == TEXT
    far.sendall(TEXT * 2)
    assert read(near, 2 * len(TEXT)) == TEXT * 2
    wait_until(lambda: relay.passed == {Way.UP: len(TEXT), Way.DOWN: 2 * len(TEXT)})
    assert relay.open == 1


def test_a_goodbye_is_passed_on_and_ends_the_connection(
    ends: tuple[Relay, socket.socket, socket.socket],
):
    relay, near, far = ends
    near.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b""
    far.sendall(TEXT)
    assert read(near, len(TEXT)) == TEXT
    far.close()
    assert near.recv(1) == b""
    wait_until(lambda: relay.open == 0, what="the connection to be over")


@pytest.mark.parametrize("way", list(Way))
def test_what_is_held_comes_once_it_heals_and_the_other_way_is_open(
    ends: tuple[Relay, socket.socket, socket.socket], way: Way
):
    relay, near, far = ends
    source, target = (near, far) if way is Way.UP else (far, near)
    relay.fail(HOLD, way)
    source.sendall(TEXT)
    assert is_silent(target)
    target.sendall(b"back")
    assert read(source, 4) == b"back"
    relay.heal()
    assert read(target, len(TEXT)) == TEXT


def test_new_connections_are_held_too(ends: tuple[Relay, socket.socket, socket.socket]):
    relay, _, _ = ends
    relay.fail(HOLD)
    with closing(connected(relay)) as late:
        late.sendall(TEXT)
        assert is_silent(late)
        wait_until(lambda: relay.open == 2, what="the connection to be taken")


def test_a_delay_keeps_the_order(ends: tuple[Relay, socket.socket, socket.socket]):
    relay, near, far = ends
    relay.fail(Delay(5 * A_WHILE), Way.UP)
    near.sendall(TEXT)
    assert is_silent(far)
    near.sendall(b"behind it")
    assert read(far, len(TEXT) + 9) == TEXT + b"behind it"


def test_a_drip_comes_byte_by_byte(ends: tuple[Relay, socket.socket, socket.socket]):
    relay, near, far = ends
    relay.fail(DRIP, Way.UP)
    near.sendall(TEXT)
    assert read(far, len(TEXT)) == TEXT
    segments = far.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    # tcpi_data_segs_in of linux/tcp.h: tcp_info, behind 8 bytes, 24 words and 6 of 64 bits.
    assert int.from_bytes(segments[152:156], "little") == len(TEXT)


def test_one_bit_of_one_byte_is_flipped(ends: tuple[Relay, socket.socket, socket.socket]):
    relay, near, far = ends
    near.sendall(TEXT)
    assert read(far, len(TEXT)) == TEXT
    relay.fail(Flip(len(TEXT) + 3), Way.UP)
    near.sendall(TEXT)
    assert read(far, len(TEXT)) == TEXT
    near.sendall(TEXT)
    assert read(far, len(TEXT)) == b"0122456789"


def test_a_reset_is_one_for_both_sides(ends: tuple[Relay, socket.socket, socket.socket]):
    relay, near, far = ends
    relay.reset()
    for sock in (near, far):
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert relay.open == 0


def test_a_reset_does_not_wait_for_who_takes_nothing(
    ends: tuple[Relay, socket.socket, socket.socket],
):
    relay, near, far = ends
    near.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            near.send(bytes(1_000_000))
    near.settimeout(40)
    relay.reset()
    with pytest.raises(ConnectionResetError):
        near.recv(1)
    with pytest.raises(ConnectionResetError):
        read_to_end(far)


@pytest.mark.parametrize("way", list(Way))
def test_one_direction_is_closed_and_the_other_goes_on(
    ends: tuple[Relay, socket.socket, socket.socket], way: Way
):
    relay, near, far = ends
    source, target = (near, far) if way is Way.UP else (far, near)
    relay.half_close(way)
    assert target.recv(1) == b""
    target.sendall(TEXT)
    assert read(source, len(TEXT)) == TEXT


def test_new_connections_are_refused_until_it_heals(
    ends: tuple[Relay, socket.socket, socket.socket],
):
    relay, _, _ = ends
    relay.refuse()
    # Perhaps while it is still being made.
    with pytest.raises(ConnectionResetError), closing(connected(relay)) as refused:
        refused.recv(1)
    relay.heal()
    with closing(connected(relay)):
        wait_until(lambda: relay.open == 2, what="the connection to be taken")
