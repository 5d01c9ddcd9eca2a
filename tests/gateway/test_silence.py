"""Peers on real sockets: one whose machine is gone, and others that only stand still."""

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest

from proxy.gateway.silence import is_silent
from tests.faults.relay import mute
from tests.servers.waiting import wait_until

# Of struct tcp_info: how often in a row the wait for an answer was doubled.
BACKOFF = 4

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Both ends of a connection over TCP; the first writes without waiting."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.setblocking(False)
    with near, far:
        yield near, far


def test_a_peer_that_takes_everything_is_not_silent(pair: Pair):
    near, far = pair
    assert not is_silent(near, 0.0)
    near.send(b"x" * 1000)
    assert far.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
    assert not is_silent(near, 0.0)


def test_a_machine_that_is_gone_is_silent_once_it_should_have_answered(pair: Pair):
    near, far = pair
    mute(far)
    near.send(b"x")
    assert not is_silent(near, 0.0)
    wait_until(lambda: is_silent(near, 1.0), what="the retransmissions to be in vain")
    assert not is_silent(near, 3600.0)


def test_a_peer_that_reads_nothing_is_not_silent_until_its_machine_is_gone(pair: Pair):
    near, far = pair
    with suppress(BlockingIOError):
        while True:
            near.send(b"x" * 65_536)

    def tries() -> int:
        return near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[BACKOFF]

    # Its full window is asked for again and again, and answered each time.
    wait_until(lambda: tries() >= 3, what="a full window to be probed")
    assert not is_silent(near, 0.0)
    mute(far)
    wait_until(lambda: is_silent(near, 1.0), what="the probes to be in vain")


def test_a_connection_that_is_over_or_no_tcp_is_not_silent(pair: Pair):
    near, far = pair
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    assert not is_silent(near, 0.0)
    left, right = socket.socketpair()
    with left, right:
        assert not is_silent(left, 0.0)
