"""What policies let be used in a minute and in a day, counted over all sessions at once.

An account is a workspace's or a source's; a session has a meter over those that limit it.
Counts live in memory, this process's and that shared with its proxy's other workers: a
restart of the proxy begins anew. Knows no protocol and no SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from time import monotonic
from typing import Final

from policies.decide import ALLOWED, Verdict
from policies.document import Limits
from protocols.errors import Reason, Refusal
from protocols.statements import Kind, Statement
from proxy.gateway.counting import NO_SHARE, Minute, Share, Shares, no_shares
from proxy.metrics.metrics import Metrics
from proxy.store.store import Clock, utc_now

UNBOUNDED: Final = 1 << 60
MINUTE: Final = 60
ACCOUNT_LIMIT: Final = 4_096
"""Accounts kept before those that nobody uses and that remember nothing are dropped."""

# What ends a transaction, alone in its text, is never refused for its number.
_ENDS: Final = re.compile(
    rb"\s*(?:commit|rollback|abort|end)(?:\s+(?:work|transaction))?\s*;?\s*\Z", re.IGNORECASE
)
_ENDS_LIMIT: Final = 64


class Window:
    """How often something was done in the last sixty whole seconds, here and elsewhere."""

    def __init__(self, share: Share = NO_SHARE, what: Minute = Minute.SESSIONS) -> None:
        self._share = share
        self._what = what
        self._seconds = [0] * MINUTE
        self._at = 0
        self._sum = 0

    def take(self, limit: int, now: float) -> bool:
        """Do it once more, unless it was done ``limit`` times; whether it may be done."""
        second = int(now)
        self._move(second)
        if self._sum + self._share.minute(self._what, self._at) >= limit:
            return False
        self._add(1)
        # Told first and looked at again: of two workers that take the last one at once
        # neither may overlook the other.
        if self._sum + self._share.minute(self._what, self._at) > limit:
            self._add(-1)
            return False
        return True

    def count(self, now: float) -> int:
        """How often it was done here."""
        self._move(int(now))
        return self._sum

    def _add(self, count: int) -> None:
        place = self._at % MINUTE
        self._seconds[place] += count
        self._sum += count
        self._share.tell_minute(self._what, self._at, self._seconds[place])

    def _move(self, second: int) -> None:
        if second - self._at >= MINUTE:
            self._seconds = [0] * MINUTE
            self._sum = 0
            self._at = second
        while self._at < second:
            self._at += 1
            place = self._at % MINUTE
            self._sum -= self._seconds[place]
            self._seconds[place] = 0


class Account:
    """What one workspace or source has used. ``users``: the sessions that count here."""

    def __init__(self, share: Share = NO_SHARE) -> None:
        self.users = 0
        self.share = share
        self.sessions = Window(share, Minute.SESSIONS)
        self.statements = Window(share, Minute.STATEMENTS)
        self._day = date.min
        self._rows = 0
        self._size = 0

    def spend(self, rows: int, size: int, today: date) -> None:
        """So much has passed."""
        self._turn(today)
        self._rows += rows
        self._size += size
        self.share.tell_day(today, self._rows, self._size)

    def used(self, today: date) -> tuple[int, int]:
        """Rows and bytes of this day, of all workers."""
        self._turn(today)
        rows, size = self.share.day(today)
        return self._rows + rows, self._size + size

    def _turn(self, today: date) -> None:
        if today != self._day:
            self._day, self._rows, self._size = today, 0, 0

    def is_empty(self, now: float, today: date) -> bool:
        """Whether it remembers nothing of its own that counts."""
        self._turn(today)
        return not (
            self.users
            or self._rows
            or self._size
            or self.sessions.count(now)
            or self.statements.count(now)
        )


class Quotas:
    """The accounts of this process, by the id of a workspace or a source."""

    def __init__(
        self,
        *,
        clock: Clock = utc_now,
        time: Callable[[], float] = monotonic,
        shares: Shares = no_shares,
    ) -> None:
        self._clock = clock
        self._time = time
        self._shares = shares
        self._accounts: dict[str, Account] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def account(self, owner: str) -> Account:
        """The account of a workspace or source. Raises Refusal where there are too many."""
        found = self._accounts.get(owner)
        if found is None:
            if len(self._accounts) >= ACCOUNT_LIMIT:
                self._drop_empty()
            found = self._accounts[owner] = Account(self._shares(owner))
        return found

    def _drop_empty(self) -> None:
        now, today = self._time(), self.today()
        kept = {}
        for owner, account in self._accounts.items():
            if account.is_empty(now, today):
                account.share.forget()
            else:
                kept[owner] = account
        self._accounts = kept

    def admit(self, owner: str, limit: int | None) -> None:
        """Count a session of this owner's. Raises Refusal where there were too many."""
        if limit is not None and not self.account(owner).sessions.take(limit, self._time()):
            raise Refusal(
                Reason.TOO_MANY_SESSIONS,
                f"refused by policy: {limit} sessions a minute are allowed"
                " (limits.sessions_per_minute)",
            )

    def today(self) -> date:
        """The day that counts, in UTC."""
        return self._clock().date()

    def meter(self, limited: Sequence[tuple[str, Limits]], metrics: Metrics) -> Meter | None:
        """One session's meter over these owners; None where none of them is limited.

        Close it at the session's end.
        """
        bounds = [(self.account(owner), limits) for owner, limits in limited if limits.bound_use]
        return Meter(self, bounds, metrics) if bounds else None

    def now(self) -> float:
        """Monotonic seconds."""
        return self._time()


class Meter:
    """One session's ``protocols.metering.ResultMeter``, and its statements' count.

    ``on_cut`` asks the data source to stop, ``on_end`` ends the session: whoever opens the
    session says how. ``cut_at`` is when the answer at hand was cut, in monotonic seconds:
    until its end has come.
    """

    def __init__(
        self, quotas: Quotas, bounds: Sequence[tuple[Account, Limits]], metrics: Metrics
    ) -> None:
        self._quotas = quotas
        self._bounds = bounds
        self._metrics = metrics
        self.rows = min(limits.result_rows or UNBOUNDED for _, limits in bounds)
        self.size = min(limits.result_bytes or UNBOUNDED for _, limits in bounds)
        self._has_day = any(limits.rows_per_day or limits.bytes_per_day for _, limits in bounds)
        self._rule = ""
        self.cut_at: float | None = None
        self.on_cut: Callable[[], object] = _nothing
        self.on_end: Callable[[Refusal], object] = _nothing
        for account, _ in bounds:
            account.users += 1

    def close(self) -> None:
        """The session is over; called once."""
        # They hold the session, which holds this.
        self.on_cut = self.on_end = _nothing
        for account, _ in self._bounds:
            account.users -= 1

    # -- before a statement -------------------------------------------------------------

    def verdict(self, statement: Statement) -> Verdict:
        """Whether one more statement may run now."""
        text = statement.text
        if len(text) <= _ENDS_LIMIT and _ENDS.match(text):
            return ALLOWED
        now = self._quotas.now()
        for account, limits in self._bounds:
            limit = limits.statements_per_minute
            if limit is not None and not account.statements.take(limit, now):
                return _no(
                    "limits.statements_per_minute", f"{limit} statements a minute are allowed"
                )
        if self._has_day and statement.kind is not Kind.TRANSACTION:
            rule = self._day_is_spent()
            if rule:
                return _no(rule, f"the day's {_thing(rule)} are used up")
        return ALLOWED

    def _day_is_spent(self) -> str:
        today = self._quotas.today()
        for account, limits in self._bounds:
            rows, size = account.used(today)
            if limits.rows_per_day is not None and rows >= limits.rows_per_day:
                return "limits.rows_per_day"
            if limits.bytes_per_day is not None and size >= limits.bytes_per_day:
                return "limits.bytes_per_day"
        return ""

    # -- in the middle of an answer ------------------------------------------------------

    def left(self) -> tuple[int, int]:
        """How many rows and bytes the day still has."""
        left_rows = left_size = UNBOUNDED
        if self._has_day:
            today = self._quotas.today()
            for account, limits in self._bounds:
                rows, size = account.used(today)
                if limits.rows_per_day is not None:
                    left_rows = min(left_rows, max(limits.rows_per_day - rows, 0))
                if limits.bytes_per_day is not None:
                    left_size = min(left_size, max(limits.bytes_per_day - size, 0))
        return left_rows, left_size

    def spend(self, rows: int, size: int) -> None:
        """So much has passed."""
        if self._has_day:
            today = self._quotas.today()
            for account, _ in self._bounds:
                account.spend(rows, size, today)

    def cut(self, rows: int, size: int) -> Refusal:
        """The answer ends here: by which rule, in words for its client."""
        if rows > self.rows:
            rule, words = "limits.result_rows", f"{self.rows} rows"
        elif size > self.size:
            rule, words = "limits.result_bytes", f"{self.size} bytes"
        else:
            # What is left was asked before the last piece of the answer, which this ends.
            left_rows, _ = self.left()
            rule = "limits.rows_per_day" if rows > left_rows else "limits.bytes_per_day"
            words = f"the end of the day's {_thing(rule)}"
        self._rule = rule
        self.cut_at = self._quotas.now()
        self._metrics.policy_refusals.add("limits")
        self.on_cut()
        return Refusal(
            Reason.QUOTA_EXCEEDED, f"refused by policy: the result was cut at {words} ({rule})"
        )

    def give_up(self, refusal: Refusal) -> None:
        """End the session."""
        self.on_end(refusal)

    def take_rule(self) -> str:
        """The rule that cut the statement which ends now, once; "" where none did."""
        rule, self._rule = self._rule, ""
        self.cut_at = None
        return rule


def _thing(rule: str) -> str:
    return "rows" if rule == "limits.rows_per_day" else "bytes"


def _no(rule: str, sentence: str) -> Verdict:
    return Verdict(is_allowed=False, rule=rule, message=sentence, reason=Reason.QUOTA_EXCEEDED)


def _nothing(*_: object) -> None:
    pass
