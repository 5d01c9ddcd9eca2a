"""A free loopback port. Knows no server."""

from __future__ import annotations

import socket

_recent: set[int] = set()


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody listens on now, never the same twice."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _recent:
            _recent.add(port)
            return port
