"""A loopback port to be listened on later, or never. Knows no server.

A port that the kernel chose and got back is the next one that it may give to anybody: to a
listener, or to the near end of a connection. It never chooses one below its range of
ephemeral ports (ip(7), ``ip_local_port_range``); those are only taken by who names them.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_000  # below it are the services that a machine may have
_FEWEST = 1_000


def _candidates() -> Iterator[int]:
    """Yield this process's share of the ports, from somewhere in it, again and again.

    pytest-xdist numbers its processes: no two of them share a port. Other runs on the same
    machine begin elsewhere.
    """
    end = int(_EPHEMERAL.read_text().split()[0])
    if end - _FIRST < _FEWEST:
        return itertools.repeat(0)  # the kernel hands out nearly all ports: it may choose
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(_FIRST + process, end, processes)
    begin = random.randrange(len(ports))
    return itertools.cycle([*ports[begin:], *ports[:begin]])


_ports = _candidates()
_given: set[int] = set()


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody listens on now, never the same twice."""
    for candidate in _ports:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port
    raise AssertionError("the ports come round again")
