"""Where an administrator's audit records go, and the order of record and change.

A running proxy owns the audit log, so its records go to it over the control socket and
count only when it answers that they are durable. Where no proxy runs, the log is opened
here, under its exclusive lock. Where neither is possible the change is refused.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from protocols.errors import Refusal
from proxy.audit.ocsf import Action, Event, EventClass, Severity, Status
from proxy.audit.people import ADMINISTRATOR, STAFF
from proxy.control import ControlClient, ControlError, Handler, NotRunningError, SocketClient

T = TypeVar("T")

# Half of what the control socket takes, so that others get through as well.
_RECORDS_AT_ONCE = 8

RECORD_VERB = "audit.record"
PING_VERB = "ping"

# What a command or the admin endpoints may ask the running proxy to record; never a session
# or a statement, and of logins those of people alone.
_PERMITTED = frozenset(
    {
        EventClass.ACCOUNT_CHANGE,
        EventClass.API_ACTIVITY,
        EventClass.ENTITY_MANAGEMENT,
        EventClass.DATASTORE_ACTIVITY,
        EventClass.APPLICATION_LIFECYCLE,
        EventClass.AUTHENTICATION,
    }
)


class TrailError(Exception):
    """The audit record could not be made durable, so nothing was changed; one sentence."""


class Trail(Protocol):
    """Takes audit records and answers when they are durable."""

    async def record(self, event: Event) -> None:
        """Returns when the record is durable. Raises TrailError."""
        ...


class MemoryTrail:
    """The fake Trail: remembers, or fails from the ``fail_at``-th record on."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.events: list[Event] = []
        self._fail_at = fail_at

    async def record(self, event: Event) -> None:
        """Remember it."""
        if self._fail_at is not None and len(self.events) >= self._fail_at:
            raise TrailError("The audit log cannot be written.")
        self.events.append(event)


class DurableLog(Protocol):
    """What is needed of ``proxy.audit.AuditLog``."""

    async def record_durably(self, event: Event) -> None:
        """Returns when the record is durable. Raises Refusal."""
        ...


class LogTrail:
    """A Trail into an audit log of this process."""

    def __init__(self, log: DurableLog) -> None:
        self._log = log

    async def record(self, event: Event) -> None:
        """Hand it to the log."""
        try:
            await self._log.record_durably(event)
        except Refusal as refusal:
            raise TrailError(refusal.private) from None


class ProxyTrail:
    """A Trail into the running proxy's log."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client
        self._turns = asyncio.Semaphore(_RECORDS_AT_ONCE)

    async def record(self, event: Event) -> None:
        """Ask the running proxy."""
        try:
            async with self._turns:
                await asyncio.to_thread(self._client.call, RECORD_VERB, event_to_json(event))
        except ControlError as error:
            raise TrailError(f"The running proxy did not record it: {error}") from None


@asynccontextmanager
async def open_trail(
    socket: Path, open_log: Callable[[], AbstractAsyncContextManager[DurableLog]]
) -> AsyncIterator[Trail]:
    """The trail to use now. ``open_log`` opens the log itself, where no proxy runs.

    Raises ControlError where a proxy runs and does not answer, and what ``open_log``
    raises where another process holds the log.
    """
    client = SocketClient(socket)
    try:
        await asyncio.to_thread(client.call, PING_VERB, {})
    except NotRunningError:
        async with open_log() as log:
            yield LogTrail(log)
    else:
        yield ProxyTrail(client)


async def audited(
    trail: Trail, event: Event, act: Callable[[], Awaitable[T]], warn: Callable[[str], None]
) -> T:
    """Record what is asked for, do it, record how it ended.

    The first record is durable before ``act`` begins; where it is not, TrailError is
    raised and nothing is done. Where only the last one fails the change stands, the
    log holds its beginning, and ``warn`` is given a sentence.
    """
    await trail.record(
        replace(event, status=Status.UNKNOWN, status_detail="asked for; its end is recorded apart")
    )
    try:
        result = await act()
    except BaseException as error:
        # Also a Ctrl-C: whatever ends the change ends it in the log.
        failed = replace(event, status=Status.FAILURE, status_detail=type(error).__name__)
        await _record_end(trail, failed, warn)
        raise
    await _record_end(trail, event, warn)
    return result


async def _record_end(trail: Trail, event: Event, warn: Callable[[str], None]) -> None:
    try:
        await trail.record(event)
    except TrailError as error:
        warn(f"The change has ended, but how it ended could not be recorded: {error}")


def operator_name() -> str:
    """Who runs this process, as the audit log names an administrator of the host."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    before = os.environ.get("SUDO_USER", "")
    return f"{name} (sudo by {before})" if before.isprintable() and 0 < len(before) < 64 else name


def event_to_json(event: Event) -> dict[str, Any]:
    """An event as the control socket carries it."""
    return asdict(event)


def event_from_json(value: Mapping[str, Any]) -> Event:
    """What ``event_to_json`` made, checked. Raises ControlError."""
    try:
        event = Event(
            event_class=EventClass(value["event_class"]),
            activity=_typed(value["activity"], int),
            workspace=_typed(value["workspace"], str),
            attributes=_typed(value["attributes"], dict),
            extra=_typed(value["extra"], dict),
            action=Action(value["action"]),
            status=Status(value["status"]),
            status_code=_typed(value["status_code"], str),
            status_detail=_typed(value["status_detail"], str),
            severity=Severity(value["severity"]),
            message=_typed(value["message"], str),
            activity_name=_typed(value["activity_name"], str),
            correlation=_typed(value["correlation"], str),
            # The log's own clock decides: a record cannot be back-dated from outside.
            time=0.0,
        )
    except (KeyError, ValueError, TypeError):
        raise ControlError("The audit event is malformed.") from None
    if event.event_class not in _PERMITTED:
        raise ControlError("An event of this class cannot be recorded from outside.")
    if event.event_class is EventClass.AUTHENTICATION and not _is_of_people(event):
        raise ControlError("Logins with a token are the proxy's own to record.")
    return event


def _is_of_people(event: Event) -> bool:
    user = event.attributes.get("user")
    return isinstance(user, dict) and user.get("type") in (STAFF, ADMINISTRATOR)


def _typed(value: object, kind: type[T]) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError
    return value


def control_handlers(log: DurableLog) -> dict[str, Handler]:
    """The running proxy's side: the verbs that ``open_trail`` and ``ProxyTrail`` call."""

    async def ping(arguments: dict[str, Any]) -> object:
        return "alive"

    async def record(arguments: dict[str, Any]) -> object:
        event = event_from_json(arguments)
        try:
            await log.record_durably(event)
        except Refusal as refusal:
            raise ControlError(refusal.private) from None
        except (TypeError, ValueError):
            raise ControlError("The audit event is malformed.") from None
        return None

    return {PING_VERB: ping, RECORD_VERB: record}
