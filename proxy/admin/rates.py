"""How often one may call: a bucket of tokens for each name. Knows no HTTP; time is an argument."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from math import ceil

BUCKETS = 10_000
"""Names remembered; the one longest unused is forgotten first, and then may begin anew."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """``wait``: whole seconds until the next one; 0: go on. ``is_first``: the first no since a yes,
    which is the one that is recorded.
    """

    wait: int
    is_first: bool = False


class Rates:
    """At most ``per_minute``, in bursts of a tenth of it and at least ten."""

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60
        self._burst = max(per_minute / 10, 10.0)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str, now: float, cost: float = 1.0) -> Answer:
        """Ask for one call at ``now``, in seconds of a clock that never goes back."""
        bucket = self._filled(name, now)
        if bucket.tokens < 1.0:
            is_first, bucket.is_told = not bucket.is_told, True
            return Answer(max(1, ceil((1.0 - bucket.tokens) / self._rate)), is_first)
        bucket.is_told = False
        bucket.tokens -= cost
        return Answer(0)

    def charge(self, name: str, now: float, cost: float) -> None:
        """Take more for a call that was let through, at most down to one burst of debt."""
        bucket = self._filled(name, now)
        bucket.tokens = max(bucket.tokens - cost, -self._burst)

    def _filled(self, name: str, now: float) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(self._burst, now)
            if len(self._buckets) > BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        return bucket
