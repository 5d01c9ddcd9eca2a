"""An endpoint as the tables of ``endpoints/`` name it, with every answer that it may give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import FastAPI

from proxy.admin.problems import MEDIA_TYPE
from proxy.admin.roles import OPERATIONS
from proxy.admin.route import AdminRoute, UploadRoute
from proxy.admin.shapes import ProblemDocument

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

_REASONS = {
    400: "The call cannot be read, or a secret is needed with it.",
    401: "No live API key was given, or what was given with the call proves nothing.",
    403: "The key's role may not do this.",
    404: "There is no such resource, or not for this key.",
    408: "The body did not arrive in time.",
    409: "The name is taken, a limit is reached, or somebody else was faster.",
    412: "The resource is no longer as it was read.",
    413: "The body is too large.",
    415: "The body is not of the media type that is read here.",
    421: "Calls are not answered under this host name.",
    422: "A value cannot be used.",
    428: "The call must name the ETag that was read.",
    429: "Too many calls.",
    500: "A bug of the proxy.",
    502: "The running proxy refused, or the data source or identity provider cannot be used.",
    503: "The store, the audit log or the running proxy cannot be used now.",
}
_ALWAYS = (400, 401, 403, 421, 422, 429, 500, 503)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``has_body``, ``is_guarded`` (If-Match) and ``asks_proxy`` say what else it may answer.

    ``upload``: the media type of a body that the endpoint reads itself, as it comes.
    """

    method: Method
    path: str
    operation_id: str
    function: Callable[..., Any]
    summary: str
    status: int = 200
    has_body: bool = False
    is_guarded: bool = False
    asks_proxy: bool = False
    may_conflict: bool = False
    may_be_missing: bool = False
    answers: dict[int | str, dict[str, Any]] | None = None
    upload: str = ""

    def add_to(self, app: FastAPI) -> None:
        """Make it a route. Raises KeyError for one that the table of roles does not have."""
        operation = OPERATIONS[self.operation_id]
        roles = ", ".join(sorted(operation.roles)) or "everybody, without a key"
        app.router.add_api_route(
            self.path,
            self.function,
            methods=[self.method],
            operation_id=self.operation_id,
            summary=self.summary,
            description=f"For: {roles}.",
            status_code=self.status,
            tags=[self.path.split("/")[2]],
            response_model_exclude_unset=False,
            responses=self._problems() | (self.answers or {}),
            route_class_override=UploadRoute if self.upload else AdminRoute,
            openapi_extra={"parameters": self._headers()}
            | self._uploaded()
            | ({"security": []} if operation.is_open else {}),
        )

    def _problems(self) -> dict[int | str, dict[str, Any]]:
        statuses = set(_ALWAYS)
        if "{" in self.path or self.may_be_missing:
            statuses.add(404)
        if self.has_body or self.upload:
            statuses |= {408, 413, 415}
        if self.may_conflict or OPERATIONS[self.operation_id].is_creation:
            statuses.add(409)
        if self.is_guarded:
            statuses |= {409, 412, 428}
        if self.asks_proxy:
            statuses.add(502)
        schema = {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}
        return {
            status: {"description": _REASONS[status], "content": {MEDIA_TYPE: schema}}
            for status in sorted(statuses)
        }

    def _uploaded(self) -> dict[str, Any]:
        if not self.upload:
            return {}
        content = {self.upload: {"schema": {"type": "string"}, "example": "id,note\n1,one\n"}}
        return {"requestBody": {"required": True, "content": content}}

    def _headers(self) -> list[dict[str, Any]]:
        found = []
        if self.is_guarded:
            found.append(_header("If-Match", "The ETag that the resource was read with.", True))
        if OPERATIONS[self.operation_id].is_creation:
            said = "Names this call: given again, the first answer is given again for a day."
            found.append(_header("Idempotency-Key", said, False))
        return found


def _header(name: str, description: str, is_required: bool) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": is_required,
        "description": description,
        "schema": {"type": "string"},
    }
