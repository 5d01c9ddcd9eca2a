from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from proxy.gateway.loop import SessionLoop, session_poller
from proxy.gateway.poller import Poller


def pytest_asyncio_loop_factories() -> dict[str, type[SessionLoop]]:
    """These tests run on the program's own loop."""
    return {"sessions": SessionLoop}


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end, which the channel owns, and the peer's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname(), timeout=10)
        ours, _ = listener.accept()
    ours.setblocking(False)
    yield ours, peer
    ours.close()
    peer.close()


@pytest.fixture
async def poller() -> Poller:
    return session_poller()
