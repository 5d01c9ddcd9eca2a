"""Refusals as problem documents (RFC 9457): one sentence each, and nothing secret in it.

Knows which of our exceptions are written to be shown. Must never show another exception's
text, nor what a caller sent: it may be a secret in the wrong place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from policies.document import PolicyError
from proxy.administration.audit_log import SearchTooLong
from proxy.administration.passwords import TooManyHashes
from proxy.administration.staff import InvalidInvitation, WrongCode
from proxy.administration.support import OwnRequest
from proxy.administration.trail import TrailError
from proxy.administration.trying_apart import TrialFailed
from proxy.audit.files import AuditFolderError
from proxy.content.answers import StepFailed
from proxy.content.csvimport import ImportStopped
from proxy.content.problems import ContentRefused
from proxy.control import ControlError, NotRunningError
from proxy.oidc.failures import Busy
from proxy.store.errors import (
    AlreadyExists,
    Conflict,
    InvalidSetting,
    InvalidToken,
    LimitReached,
    NotFound,
    RoutingChangeNeedsSecret,
    StoreUnavailable,
)

MEDIA_TYPE = "application/problem+json"

# What may be repeated of a caller's own words: names of fields, which ours look like.
_FIELD = re.compile(r"[a-z][a-z_]{0,39}")
# In a document there are names of its own besides, and numbers.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_LONGEST_LIST = 50


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong at one place: a JSON pointer (RFC 6901) into the body, or a parameter."""

    detail: str
    pointer: str = ""
    parameter: str = ""

    def to_value(self) -> dict[str, str]:
        """As it is written."""
        place = {"pointer": self.pointer, "parameter": self.parameter}
        return {"detail": self.detail} | {name: text for name, text in place.items() if text}


class Problem(Exception):
    """A call is refused. ``slug`` is the end of its type; ``detail`` one sentence."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        errors: Sequence[Wrong] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(slug)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.errors = tuple(errors)[:_LONGEST_LIST]
        self.headers = dict(headers or {})

    def response(self, request_id: str) -> Response:
        """The document."""
        document: dict[str, Any] = {
            "type": f"urn:accode-proxy:problem:{self.slug}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": as_sentence(self.detail),
            "instance": f"urn:uuid:{request_id}",
        }
        if self.errors:
            document["errors"] = [wrong.to_value() for wrong in self.errors]
        return Response(
            json.dumps(document), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def not_found() -> Problem:
    """One answer for what is not there and what is another workspace's: names are not repeated."""
    return Problem(404, "not-found", "There is no such resource.")


def bug() -> Problem:
    """Whatever went wrong that nobody thought of; nothing of it is shown."""
    return Problem(500, "internal", "The call could not be answered; this is a bug.")


@dataclass(frozen=True, slots=True)
class _Rule:
    status: int
    slug: str
    headers: Mapping[str, str] = field(default_factory=dict)


_SOON = {"Retry-After": "1"}
# Their texts are one clear sentence without a secret, by their contracts.
_RULES: tuple[tuple[type[Exception], _Rule], ...] = (
    (AlreadyExists, _Rule(409, "already-exists")),
    (OwnRequest, _Rule(403, "own-request")),
    (Conflict, _Rule(409, "changed-meanwhile")),
    (LimitReached, _Rule(409, "limit-reached")),
    (RoutingChangeNeedsSecret, _Rule(400, "secret-needed")),
    (StoreUnavailable, _Rule(503, "store-unavailable", _SOON)),
    (TrailError, _Rule(503, "audit-unavailable", _SOON)),
    (AuditFolderError, _Rule(503, "audit-unavailable", _SOON)),
    (NotRunningError, _Rule(503, "proxy-not-running", _SOON)),
    (ControlError, _Rule(502, "proxy-refused")),
    (SearchTooLong, _Rule(503, "search-too-long")),
    (TrialFailed, _Rule(503, "trial-failed")),
    (TooManyHashes, _Rule(503, "busy", _SOON)),
    (Busy, _Rule(503, "busy", _SOON)),
    (InvalidInvitation, _Rule(401, "invalid-invitation")),
    (WrongCode, _Rule(401, "wrong-code")),
)


def problem_for(error: Exception) -> Problem | None:
    """The problem that an exception is, where it is one that may be shown."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, NotFound | InvalidToken):
        return not_found()
    if isinstance(error, InvalidSetting):
        wrong = Wrong(error.problem, pointer="/" + error.field.replace(".", "/").replace(" ", "_"))
        return Problem(422, "invalid", str(error), errors=[wrong])
    if isinstance(error, PolicyError):
        wrongs = [Wrong(said, pointer="/policy" + pointer(place)) for place, said in error.problems]
        return Problem(422, "invalid", "The policy is not one that can be put.", errors=wrongs)
    if isinstance(error, ContentRefused):
        return _refused(error)
    if isinstance(error, ImportStopped):
        bad = [Wrong(f"Line {one.number}: {one.problem}") for one in error.report.bad]
        return Problem(422, "not-imported", str(error), errors=bad)
    if isinstance(error, StepFailed):
        return _failed_at_source(error)
    if isinstance(error, NotRunningError):
        # Not with the socket's path: it is the host's own affair.
        return Problem(503, "proxy-not-running", "No proxy is running here.", headers=_SOON)
    for kind, rule in _RULES:
        if isinstance(error, kind):
            return Problem(rule.status, rule.slug, str(error), headers=rule.headers)
    if isinstance(error, HTTPException):
        return _of_framework(error)
    return None


def pointer(place: Sequence[object]) -> str:
    """A JSON pointer; what does not look like a field of ours is not repeated."""
    parts = []
    for part in place:
        if isinstance(part, int) or str(part).isdigit() or _FIELD.fullmatch(str(part)):
            parts.append(f"/{part}")
        else:
            parts.append("/(unknown)")
    return "".join(parts)


def as_sentence(text: str) -> str:
    """With a capital and an end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _invalid(error: RequestValidationError) -> Problem:
    wrongs = []
    for item in error.errors():
        where, *place = item["loc"]
        detail = _sentence(item)
        if where == "body":
            wrongs.append(Wrong(detail, pointer=pointer(place) or "/"))
        else:
            wrongs.append(Wrong(detail, parameter=pointer(place).lstrip("/")))
    return Problem(422, "invalid", "The call holds what cannot be used.", errors=wrongs)


def _sentence(item: Mapping[str, Any]) -> str:
    """What is wrong, from the kind of error alone where pydantic would quote what was sent."""
    if item["type"] == "extra_forbidden":
        return "This field is not known."
    if item["type"] == "missing":
        return "This field is needed."
    if item["type"] == "value_error":
        return "This value cannot be used."
    return as_sentence(str(item["msg"]))


def _refused(error: ContentRefused) -> Problem:
    """What speaks against a document, in the words of ``proxy.content``, which are to be shown."""
    wrongs = [
        Wrong(as_sentence(one.message), pointer=_place(one.pointer)) for one in error.problems
    ]
    detail = "What was given cannot be used; the errors name each place."
    if len(wrongs) == 1 and not wrongs[0].pointer:
        return Problem(422, "invalid", wrongs[0].detail)
    return Problem(422, "invalid", detail, errors=wrongs)


def _place(text: str) -> str:
    return "".join(
        f"/{part}" if _NAME.fullmatch(part) else "/(unknown)" for part in text.split("/")[1:]
    )


# Codes of ``proxy.content`` and of MySQL's client for a proxy that cannot be entered.
_UNREACHED = ("login", "no-listener", "2003")


def _failed_at_source(error: StepFailed) -> Problem:
    """A statement that failed on its way, or was refused, by a policy too; a run tells the same."""
    if error.is_transient or error.code in _UNREACHED:
        return Problem(502, "source-unavailable", str(error))
    return Problem(422, "source-refused", str(error))


def _of_framework(error: HTTPException) -> Problem:
    """What the router and the framework say."""
    if error.status_code == 404:
        return not_found()
    if error.status_code == 405:
        return Problem(
            405, "method-not-allowed", "This method is not for this resource.",
            headers=error.headers,
        )  # fmt: skip
    return Problem(error.status_code, "malformed", "The call cannot be read.")
