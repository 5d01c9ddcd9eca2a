"""The places to accept connections, and which worker takes those of which."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proxy.workers.member import Member

# A worker that was silent for so long has its queue looked after by another one.
SILENT_SECONDS = 2.0
# Before a worker that died is started again, the first time.
BACKOFF_FIRST = 0.1


@dataclass(slots=True)
class Slot:
    """One place to accept connections, and who has it now."""

    sockets: Sequence[socket.socket]
    member: Member | None = None
    restart: asyncio.TimerHandle | None = None
    backoff: float = BACKOFF_FIRST


def shares_of(slots: Sequence[Slot]) -> Iterator[tuple[Member, frozenset[int]]]:
    """Each slot to its worker; that of one that is gone or silent to another one as well."""
    wanted: dict[int, set[int]] = {}
    members = [slot.member for slot in slots if slot.member is not None]
    able = [member for member in members if member.answers(SILENT_SECONDS)]
    for number, slot in enumerate(slots):
        if slot.member is not None:
            wanted.setdefault(slot.member.seat, set()).add(number)
        if able and slot.member not in able:
            stand_in = min(able, key=lambda one: len(wanted.get(one.seat, ())))
            wanted.setdefault(stand_in.seat, set()).add(number)
    for member in members:
        yield member, frozenset(wanted[member.seat])
