"""Clients that write, each until something goes wrong; and one that must notice nothing.

Each writes lines of its own into a table, so that what reached the server, what the audit
log says, and what the client was told can be held against each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.conformance.driver import Session, Told
from tests.hostile.raw import Closed
from tests.servers.waiting import wait_until

Open = Callable[[], Session]


@dataclass(frozen=True, slots=True)
class Failure:
    """How a session, or a login, went wrong for its client. ``code`` is "closed" where the
    connection ended without a word, and "silence" where nothing came in time.
    """

    code: str
    text: str = ""


def _failure(error: BaseException) -> Failure:
    match error:
        case Told():
            return Failure(error.code, error.text)
        case TimeoutError():
            return Failure("silence")
        case _:
            return Failure("closed")


class Writer(threading.Thread):
    """One client. After a failure it waits until it is told to try again."""

    def __init__(self, open_session: Open, table: str, name: str, patience: float) -> None:
        super().__init__(name=name)
        self._open = open_session
        self._table = table
        self._patience = patience
        self._is_over = threading.Event()
        self.go = threading.Event()
        self.sent: list[str] = []
        self.answered: list[str] = []
        self.failures: list[Failure] = []

    def run(self) -> None:
        while not self._is_over.is_set():
            try:
                with self._open() as session:
                    session.wait_at_most(self._patience)
                    session.may_be_lost()
                    while not self._is_over.is_set():
                        self._write(session)
            except (Told, Closed, OSError) as error:
                self.go.clear()
                self.failures.append(_failure(error))
                self.go.wait(30)

    def _write(self, session: Session) -> None:
        line = f"{self.name} {len(self.sent)}"
        self.sent.append(line)
        session.rows(f"INSERT INTO {self._table} VALUES ('{line}')")
        self.answered.append(line)

    def end(self) -> None:
        self._is_over.set()
        self.go.set()
        self.join(60)


class Load:
    """Writers, and a bystander: a client of another workspace and another connection."""

    def __init__(self, writers: Sequence[Writer], bystander: Open) -> None:
        self.writers = writers
        self._open_bystander = bystander
        self._is_over = threading.Event()
        self._bystander = threading.Thread(target=self._stand_by, name="bystander")
        self.seen = 0
        self.disturbed: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Begin, and end however the block does."""
        threads = [*self.writers, self._bystander]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for writer in self.writers:
                writer.end()
            self._bystander.join(60)

    def _stand_by(self) -> None:
        try:
            with self._open_bystander() as session:
                while not self._is_over.is_set():
                    assert session.value("SELECT 'beside'") == "beside"
                    self.seen += 1
        except (Told, Closed, OSError, AssertionError) as error:
            self.disturbed.append(repr(error))

    # --- what the test waits for ---------------------------------------------------------

    def wait_for_more(self, more: int = 5) -> None:
        """Until every writer has had so many more answers, and the bystander, too."""
        wanted = [len(writer.answered) + more for writer in self.writers]
        seen = self.seen + more

        def have_more() -> bool:
            counts = [len(writer.answered) for writer in self.writers]
            return self.seen >= seen and all(
                count >= least for count, least in zip(counts, wanted, strict=True)
            )

        wait_until(have_more, what=f"more answers; {self.failures()}, {self.disturbed}")

    def wait_until_failed(self, count: int = 1) -> None:
        """Until each writer has failed so often."""
        wait_until(
            lambda: all(len(writer.failures) >= count for writer in self.writers),
            what="every client to be told of the fault",
        )

    def resume(self) -> None:
        """Let every writer that has failed try again."""
        for writer in self.writers:
            writer.go.set()

    # --- what became of them ---------------------------------------------------------------

    def failures(self) -> list[Failure]:
        return [failure for writer in self.writers for failure in writer.failures]

    def codes(self) -> set[str]:
        return {failure.code for failure in self.failures()}

    def answered(self) -> set[str]:
        return {line for writer in self.writers for line in writer.answered}

    def sent(self) -> set[str]:
        return {line for writer in self.writers for line in writer.sent}
