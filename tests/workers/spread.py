"""Sessions at every worker, and the workers' processes.

The kernel gives a connection to any worker, so one asks until one has what one wants.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.conformance.driver import Session, Told
from tests.conformance.office import Office
from tests.servers.proxy import ProxyServer
from tests.servers.waiting import wait_until

# Two hundred connections that all hash to one of two sockets: one in 2**199.
_MOST = 200
_SEATS = 0xFF


def seat_of(session: Session) -> int:
    """The worker that has a session: its number says so."""
    return session.number & _SEATS


@contextmanager
def sessions_at_both(office: Office) -> Iterator[tuple[Session, Session]]:
    """Two sessions, each at a worker of its own."""
    with ExitStack() as stack:
        first = stack.enter_context(office.session())
        yield first, stack.enter_context(session_elsewhere(office, seat_of(first)))


@contextmanager
def session_elsewhere(office: Office, seat: int) -> Iterator[Session]:
    """A session that another worker has."""
    for _ in range(_MOST):
        session = office.session()
        if seat_of(session) != seat:
            with session:
                yield session
            return
        session.close()
    raise AssertionError("every connection went to one worker")


def session_when_free(office: Office) -> Session:
    """A session, as soon as there is a place: a client knows of its end before the proxy does."""
    found: list[Session] = []

    def is_open() -> bool:
        with suppress(Told):
            found.append(office.session())
        return bool(found)

    wait_until(is_open, what="a place to be free")
    return found[0]


def events(proxy: ProxyServer, name: str) -> list[dict[str, object]]:
    """The lines of its log that tell of something."""
    # A last line that is half written is none yet.
    whole = proxy.log_text().rpartition("\n")[0]
    lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def pids(proxy: ProxyServer) -> dict[int, int]:
    """The process of every seat's newest worker, as the log tells them."""
    return {
        int(str(line["worker"])): int(str(line["pid"])) for line in events(proxy, "worker started")
    }


def signal_worker(proxy: ProxyServer, seat: int, number: signal.Signals) -> None:
    """Send a signal to the worker of a seat."""
    os.kill(pids(proxy)[seat], number)


def wait_for_restarts(proxy: ProxyServer, count: int, workers: int) -> None:
    """Until so many workers were replaced since the start, and all ``workers`` serve.

    That all serve says nothing where one was killed just now, and nobody has noticed.
    """
    wait_until(
        lambda: proxy.metrics()["worker_restarts_total"] >= count, what="workers to be replaced"
    )
    wait_for_workers(proxy, workers)


def wait_for_workers(proxy: ProxyServer, count: int) -> None:
    """Until so many workers serve, and none drains or starts."""

    def is_so() -> bool:
        samples = proxy.metrics()
        found = {state: samples[f"workers{{state={state}}}"] for state in _STATES}
        return found == {"starting": 0, "ready": count, "draining": 0}

    wait_until(is_so, what=f"{count} workers to serve")


_STATES = ("starting", "ready", "draining")
