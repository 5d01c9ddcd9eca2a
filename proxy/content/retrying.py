"""What is tried again, and after how long. Pure: randomness and failures are arguments."""

from __future__ import annotations

from proxy.content.answers import StepFailed
from proxy.content.workflow import Retry


def may_retry(failure: StepFailed, *, attempt: int, retry: Retry, is_idempotent: bool) -> bool:
    """Whether a step that failed in its ``attempt``-th try (from 1) is tried once more.

    Never where the failure would come again, and never where the step may have had an
    effect, unless its author says that doing it twice is doing it once.
    """
    if attempt >= retry.attempts or not failure.is_transient:
        return False
    return failure.had_no_effect or is_idempotent


def pause(attempt: int, retry: Retry, chance: float) -> float:
    """Seconds after the ``attempt``-th try. ``chance`` from 0 to 1 is the jitter.

    Doubled each time up to the longest, then between half of it and all of it: many runs
    that failed together do not come back together.
    """
    longest = max(retry.first_pause_seconds, retry.longest_pause_seconds)
    full = min(retry.first_pause_seconds * 2.0 ** (attempt - 1), longest)
    return full * (0.5 + chance / 2)
