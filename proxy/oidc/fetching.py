"""One HTTPS exchange with an identity provider: as a value, with its bounds, and its fake.

Knows what an answer must look like before it is read; resolves and dials nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from proxy.oidc.failures import ProviderFailed

ANSWER_LIMIT: Final = 64 * 1024
"""Bytes of an answer: a discovery document has some 3 KB, fifty keys some 25 KB."""
FETCH_SECONDS: Final = 5.0
"""For one exchange, from the look-up of the name to the answer's end."""


@dataclass(frozen=True, slots=True)
class Request:
    """GET, or where there is a ``form`` (application/x-www-form-urlencoded) POST."""

    url: str
    form: str | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """As it came, of a bounded size, from the address that was checked: no redirect is followed."""

    status: int
    media_type: str
    body: bytes = field(repr=False)


class Fetch(Protocol):
    """Makes exchanges for one workspace."""

    async def __call__(self, request: Request) -> Answer:
        """Make one. Raises ProviderFailed where there is no answer."""
        ...


async def ask_nobody(request: Request) -> Answer:
    """The ``Fetch`` of a process that asks no identity provider."""
    raise ProviderFailed("identity providers are not asked from here")


class FakeFetch:
    """The fake ``Fetch``: answers by URL, remembers what it was asked."""

    def __init__(self, answers: Mapping[str, Callable[[Request], Answer]]) -> None:
        self.asked: list[Request] = []
        self._answers = answers

    async def __call__(self, request: Request) -> Answer:
        """Answer."""
        self.asked.append(request)
        if request.url not in self._answers:
            raise ProviderFailed("the identity provider cannot be reached")
        return self._answers[request.url](request)


def read_object(answer: Answer, what: str) -> dict[str, Any]:
    """The JSON object of a good answer. Raises ProviderFailed."""
    if 300 <= answer.status < 400:
        raise ProviderFailed(f"{what} leads elsewhere (status {answer.status}): that is not done")
    if answer.status != 200:
        raise ProviderFailed(f"{what} was answered with status {answer.status}")
    if answer.media_type != "application/json" and not answer.media_type.endswith("+json"):
        raise ProviderFailed(f"{what} is not sent as JSON")
    value = parse_object(answer.body)
    if value is None:
        raise ProviderFailed(f"{what} is not an object in JSON")
    return value


def parse_object(text: bytes) -> dict[str, Any] | None:
    """A JSON object whose keys are there once and whose numbers are finite; None: it is none."""
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_once,
            parse_constant=_no_number,
            parse_float=_finite,
        )
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is there twice")
    return value


def _no_number(text: str) -> float:
    raise ValueError("no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("no finite number")
    return value
