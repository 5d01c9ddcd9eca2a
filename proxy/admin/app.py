"""The application: every endpoint, held against the table of roles before it is served."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from proxy.admin.call import Office
from proxy.admin.endpoint import Endpoint
from proxy.admin.endpoints import (
    archives,
    audit,
    csv,
    dashboards,
    document,
    keys,
    oidc,
    oidc_login,
    own_account,
    policies,
    portability,
    runs,
    session_stream,
    sessions,
    sources,
    staff,
    support,
    tokens,
    transfers,
    trials,
    workflows,
    workspaces,
)
from proxy.admin.problems import bug, problem_for
from proxy.admin.roles import OPERATIONS
from proxy.admin.route import AdminRoute
from proxy.admin.shapes import ProblemDocument
from proxy.admin.threshold import Threshold
from proxy.metrics.exposition import program_version

ENDPOINTS: tuple[Endpoint, ...] = (
    *keys.ENDPOINTS,
    *own_account.ENDPOINTS,
    *oidc_login.ENDPOINTS,
    *staff.ENDPOINTS,
    *workspaces.ENDPOINTS,
    *tokens.ENDPOINTS,
    *sources.ENDPOINTS,
    *policies.ENDPOINTS,
    *trials.ENDPOINTS,
    *oidc.ENDPOINTS,
    *sessions.ENDPOINTS,
    *session_stream.ENDPOINTS,
    *support.ENDPOINTS,
    *audit.ENDPOINTS,
    *workflows.ENDPOINTS,
    *runs.ENDPOINTS,
    *dashboards.ENDPOINTS,
    *csv.ENDPOINTS,
    *transfers.ENDPOINTS,
    *portability.ENDPOINTS,
    *archives.ENDPOINTS,
    *document.ENDPOINTS,
)


def bare_app() -> FastAPI:
    """The endpoints without what stands before them, for their description.

    Raises RuntimeError where an endpoint and the table of roles do not know each other.
    """
    app = FastAPI(
        title="Accode Proxy administration",
        version=program_version(),
        # The description is an endpoint like any other, for who has a key.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.router.route_class = AdminRoute
    for endpoint in ENDPOINTS:
        endpoint.add_to(app)
    _check(app)
    app.add_exception_handler(HTTPException, _refused)
    # The framework answers, and raises on; the threshold then logs what may be logged.
    app.add_exception_handler(Exception, _failed)
    app.openapi = cache(partial(describe, app))  # type: ignore[method-assign]
    return app


def build_app(office: Office, clock: Callable[[], float] = time.monotonic) -> ASGIApp:
    """The whole application. ``clock`` is for the rates."""
    open_calls = frozenset(
        (endpoint.method, endpoint.path)
        for endpoint in ENDPOINTS
        if OPERATIONS[endpoint.operation_id].is_open
    )
    return Threshold(bare_app(), office, clock, open_calls)


def _check(app: FastAPI) -> None:
    """Every route is one of ours and in the table, and nothing in the table is without one."""
    found = []
    for route in app.routes:
        if not isinstance(route, AdminRoute) or route.operation_id is None:
            raise RuntimeError(f"the route {route} has no guards")
        found.append(route.operation_id)
    if sorted(found) != sorted(OPERATIONS):
        raise RuntimeError("the endpoints and the table of roles do not name the same operations")


async def _refused(request: Request, error: Exception) -> Response:
    """Nothing is there, or not by this method."""
    problem = problem_for(error) or bug()
    return problem.response(request.state.request_id)


async def _failed(request: Request, error: Exception) -> Response:
    """A bug of ours."""
    return bug().response(request.state.request_id)


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=(
            "Every call but logging in and enrolling needs an API key, or the token of a "
            "session, as a bearer token. Answers never hold a stored secret. "
            "docs/admin.md tells more."
        ),
        routes=app.routes,
    )
    parts = document.setdefault("components", {})
    refusal = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = parts.setdefault("schemas", {})
    schemas.update(refusal.pop("$defs"))
    schemas[ProblemDocument.__name__] = refusal
    parts["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"apiKey": []}]
    return document
