"""The application on a real port, in a thread with a loop of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from proxy.admin.app import build_app
from proxy.admin.server import DeadlineProtocol, uvicorn_config
from proxy.sockets import bind_tcp
from tests.admin.rig import Prepared, Rig, rigged
from tests.admin.town import settled
from tests.servers.loops import run_to_end


class HastyProtocol(DeadlineProtocol):
    """With a deadline that a test can wait for."""

    head_seconds = 0.3


@dataclass(frozen=True)
class Served:
    """Where it listens, and the rig behind it."""

    port: int
    rig: Rig

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def served(
    folder: Path, prepared: Prepared, protocol: type[DeadlineProtocol] = DeadlineProtocol
) -> Iterator[Served]:
    """A settled town, served until the block ends."""
    made: list[Served] = []
    servers: list[uvicorn.Server] = []
    is_ready = threading.Event()

    async def serve() -> None:
        async with rigged(folder, prepared) as rig:
            await settled(rig)
            sock = bind_tcp("127.0.0.1", 0, "admin")
            server = uvicorn.Server(uvicorn_config(build_app(rig.office), None, protocol))
            servers.append(server)
            made.append(Served(sock.getsockname()[1], rig))
            # The socket listens already: who connects now is answered in a moment.
            is_ready.set()
            await server.serve(sockets=[sock])

    thread = threading.Thread(target=lambda: run_to_end(serve()))
    thread.start()
    assert is_ready.wait(60)
    try:
        yield made[0]
    finally:
        servers[0].should_exit = True
        thread.join(60)
        assert not thread.is_alive()
