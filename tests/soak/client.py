"""A client of the soak: connects, runs steps of a driver's, leaves in one way or another, again.

Every operation has a time limit, every statement an entry in the book, every result a check
that it is this client's own. Knows no driver: ``postgres_*`` and ``mysql_*`` have the steps.
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from tests.soak.disturbances import HUNG, Disturbances, Failure
from tests.soak.ledger import Sent
from tests.soak.marks import Key, Marker, key_of
from tests.soak.pace import rest
from tests.soak.sources import Place

T = TypeVar("T")

LIMIT = 30.0
"""Seconds that any one operation may take. The longest wait of its own is a pool's queue."""
_REST = 0.2  # seconds at the most between two steps
_STEPS = 8  # at the most in one session
_LIGHT = 0.75  # of the sessions whose connection is shared: the others keep one to their end


class Mixed(Exception):
    """A client saw what is not its own."""


class Hung(Exception):
    """An operation did not end within ``LIMIT``."""


@dataclass(slots=True)
class Access:
    """How clients reach the proxy. ``tokens``: each workspace's newest; it is replaced."""

    ports: dict[str, int]
    tokens: dict[str, str]


@dataclass(slots=True)
class Book:
    """What all clients did and saw. ``mixed``: sentences about what was not their own."""

    disturbances: Disturbances
    sent: dict[Key, Sent] = field(default_factory=dict)
    sessions: int = 0
    light_sessions: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    mixed: list[str] = field(default_factory=list)

    def entry(self, text: str, values: Sequence[str] = ()) -> Sent:
        """The entry of a statement; who sends it counts it."""
        return self.sent.setdefault(key_of(text, values), Sent())


class Session(ABC):
    """One session of a driver's. ``step`` and others raise whatever the driver does."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.place = client.place
        self.number = 0
        """The proxy's number for it, as ``session list`` shows."""
        self.backend = 0
        """The server's process or connection; where it is shared, the one of its first turn."""
        self.is_light = self.place.kind.is_shared and client.random.random() < _LIGHT
        """It leaves nothing in its session, so that each transaction may be elsewhere."""

    @abstractmethod
    async def open(self) -> None:
        """Log in, and learn the numbers."""

    @property
    @abstractmethod
    def steps(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """What may be done in it, each by itself."""

    @abstractmethod
    async def look_around(self) -> None:
        """Find nothing that another session left, and leave something, unless it is light.

        Raises Mixed.
        """

    @abstractmethod
    async def close(self) -> None:
        """Say goodbye."""

    @abstractmethod
    async def vanish(self) -> None:
        """Leave in the middle of a statement, by a reset of the connection."""

    @abstractmethod
    def drop(self) -> None:
        """Close the socket, whatever state it is in. Raises nothing."""

    # --- for the steps -----------------------------------------------------------------

    def mark(self) -> str:
        """A new mark of this client's."""
        return self.client.marker.mark()

    async def run(
        self,
        work: Awaitable[T],
        *statements: tuple[str, Sequence[str]] | str,
        fails: Sequence[str] = (),
    ) -> T | None:
        """Wait for a result of statements: texts, or texts with their bound values.

        ``fails``: kinds of errors it has to end with; it may not succeed then.
        """
        book = self.client.book
        entries = [
            book.entry(statement) if isinstance(statement, str) else book.entry(*statement)
            for statement in statements
        ]
        for entry in entries:
            entry.times += 1
        try:
            value = await self.client.bounded(work)
        except self.client.errors as error:
            if self.client.kind_of(error) in fails:
                return None
            raise
        if fails:
            raise Mixed(f"{statements[0]} succeeded instead of failing with {' or '.join(fails)}")
        for entry in entries:
            entry.answered += 1
        return value

    def expect(self, found: object, expected: object) -> None:
        """Compare a result with what it must be."""
        if found != expected:
            raise Mixed(f"expected {expected!r} and saw {str(found)[:200]!r}")


class Client(ABC):
    """One after the other session at one place, until told to stop."""

    errors: tuple[type[Exception], ...] = ()
    """What its driver raises, and what the operating system does."""

    def __init__(self, name: str, place: Place, access: Access, book: Book, seed: int) -> None:
        self.name = name
        self.place = place
        self.access = access
        self.book = book
        self.random = random.Random(f"{seed}/{name}")
        self.marker = Marker(name)
        self.session: Session | None = None
        self._operation = ""
        self._began = 0.0

    @abstractmethod
    def new_session(self) -> Session:
        """Not open yet."""

    @abstractmethod
    def kind_of(self, error: Exception) -> str:
        """The error's number, or LOST."""

    async def bounded(self, work: Awaitable[T]) -> T:
        """Wait within the limit. Raises Hung."""
        try:
            async with asyncio.timeout(LIMIT) as limit:
                return await work
        except TimeoutError:
            if limit.expired():
                raise Hung(f"no answer within {LIMIT:g} s") from None
            raise

    @contextmanager
    def cancelling(self) -> Iterator[None]:
        """A cancel request of its own is on its way: it may come too late for what it means."""
        disturbance = self.book.disturbances.begin(
            "own cancel",
            time.monotonic(),
            workspace=self.place.workspace,
            source=self.place.source,
            client=self.name,
        )
        try:
            yield
        finally:
            disturbance.ended = time.monotonic()

    async def live(self, stop: asyncio.Event) -> None:
        """Session after session, until ``stop``; whatever goes wrong is in the book."""
        told: tuple[type[Exception], ...] = (*self.errors, Hung, Mixed)
        while not stop.is_set():
            session = self.new_session()
            try:
                await self._live_once(session, stop)
            except told as error:
                self._tell(error)
                # Nobody hammers at a door that has just been shut.
                await rest(0.1)
            finally:
                self.session = None
                session.drop()

    async def _live_once(self, session: Session, stop: asyncio.Event) -> None:
        self._begin("open")
        await self.bounded(session.open())
        self.book.sessions += 1
        self.book.light_sessions += session.is_light
        self.session = session
        self._begin("look_around")
        await session.look_around()
        for _ in range(self.random.randint(0, _STEPS)):
            if stop.is_set():
                break
            step = self.random.choice(session.steps)
            self._begin(step.__name__)
            await step()
            await rest(self.random.uniform(0, _REST))
        way = self.random.random()
        if way < 0.1:
            # Its errors are its own doing.
            await self.bounded(session.vanish())
        elif way < 0.9:
            self._begin("close")
            await self.bounded(session.close())

    def _begin(self, operation: str) -> None:
        self._operation, self._began = operation, time.monotonic()

    def _tell(self, error: Exception) -> None:
        if isinstance(error, Mixed):
            self.book.mixed.append(f"client {self.name} of {self.place}: {error}")
            return
        kind = HUNG if isinstance(error, Hung) else self.kind_of(error)
        text = " ".join(str(error).split())[:300] or type(error).__name__
        failure = Failure(
            self.name, self.place, self._operation, kind, self._began, time.monotonic(), text
        )
        self.book.errors[kind] += 1
        self.book.disturbances.judge(failure)


def is_lost(error: Exception) -> bool:
    """Whether the operating system says that the connection is gone."""
    return isinstance(error, OSError | EOFError) and not isinstance(error, TimeoutError)
