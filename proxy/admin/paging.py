"""Pages and the opaque cursors between them. A cursor says where to go on, and gives no right."""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from proxy.admin.problems import Problem

T = TypeVar("T")
Rank = tuple[int, str]
"""By what a list is sorted: a number, and where that is equal, a text."""

MOST = 200
DEFAULT = 50
CURSOR_LIMIT = 4_096
"""Characters: the places in sixty-four audit chains."""


def cursor_of(kind: str, *place: Any) -> str:
    """A cursor for one kind of list."""
    text = json.dumps([kind, *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_of(kind: str, cursor: str) -> list[Any]:
    """What ``cursor_of`` was given. Raises Problem for what is no cursor of that kind."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        value = json.loads(raw)
    except (ValueError, binascii.Error, RecursionError):
        raise bad_cursor() from None
    if not isinstance(value, list) or not value or value[0] != kind:
        raise bad_cursor()
    return value[1:]


def bad_cursor() -> Problem:
    """The one answer to every cursor that is not ours."""
    return Problem(400, "bad-cursor", "The cursor is not one that this list has given.")


def page_of(
    kind: str, entries: Sequence[T], rank: Callable[[T], Rank], cursor: str | None, limit: int
) -> tuple[list[T], str | None]:
    """One page of a bounded list that is sorted by ``rank``, and the cursor to the next.

    Entries that come and go between two pages are seen or not; none is seen twice.
    """
    start = 0
    if cursor is not None:
        number, text = rank_of(kind, cursor)
        start = bisect_right(entries, (number, text), key=rank)
    found = list(entries[start : start + limit])
    is_more = start + limit < len(entries)
    return found, cursor_of(kind, *rank(found[-1])) if is_more else None


def rank_of(kind: str, cursor: str) -> Rank:
    """The place of the last entry that was given. Raises Problem."""
    place = place_of(kind, cursor)
    if len(place) != 2 or type(place[0]) is not int or type(place[1]) is not str:
        raise bad_cursor()
    return place[0], place[1]
