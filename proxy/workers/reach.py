"""The other workers' sessions, reached over the supervisor.

``proxy.gateway.neighbours.Neighbours`` of a worker. A session's number names its worker's seat
in its lowest eight bits; who may stop it is decided where it is, never here.
"""

from __future__ import annotations

import secrets

from protocols.interface import CancelArrival
from proxy.gateway.live_session import STOP_SECONDS
from proxy.workers.desk import Desk
from proxy.workers.link import Link, LinkError

SEAT_BITS = 8
_SEAT_MASK = (1 << SEAT_BITS) - 1
_RANDOM_LIMIT = 1 << (31 - SEAT_BITS)
# The owner's own time to stop a statement, and the way there and back.
_CANCEL_SECONDS = STOP_SECONDS + 2.0


class Reach:
    """See ``Neighbours``. ``link`` is the way to the supervisor."""

    def __init__(self, desk: Desk, link: Link) -> None:
        self._desk = desk
        self._link = link

    def new_number(self) -> int:
        """Random, but for the seat; never 0."""
        return (secrets.randbelow(_RANDOM_LIMIT - 1) + 1) << SEAT_BITS | self._desk.seat

    def has(self, number: int) -> bool:
        """Whether its seat is another one."""
        return seat_of_number(number) != self._desk.seat

    def opened(self, number: int, upstream_number: int, workspace: str, source: str) -> None:
        """Write it where the others look."""
        self._desk.opened(number, upstream_number, workspace, source)

    def ended(self, number: int) -> None:
        """Take it away."""
        self._desk.ended(number)

    def kill(self, number: int, only_statement: bool, workspace: str, source: str) -> bool:
        """Tell its worker, which looks again; whether there is one."""
        seat = self._desk.find(number, workspace, source)
        if seat is None:
            return False
        self._link.tell(
            "kill",
            seat=seat,
            number=number,
            only_statement=only_statement,
            workspace=workspace,
            source=source,
        )
        return True

    async def cancel(self, protocol: str, number: int, arrival: CancelArrival) -> bool:
        """Take it to its worker, and wait until the data source has taken note."""
        seat = seat_of_number(number)
        if seat not in self._desk.counts.seats():
            return False
        try:
            await self._link.call(
                "cancel",
                _CANCEL_SECONDS,
                seat=seat,
                protocol=protocol,
                key=arrival.key.hex(),
                is_encrypted=arrival.is_encrypted,
            )
        except LinkError:
            return False
        return True


def seat_of_number(number: int) -> int:
    """The seat that a session's number names."""
    return number & _SEAT_MASK
