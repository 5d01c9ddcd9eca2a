"""Sessions at every worker: the kernel gives a connection to any, so one asks until it has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.conformance.driver import Session
from tests.conformance.office import Office

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
