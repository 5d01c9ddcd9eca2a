"""What a call passes once its endpoint is known: role, workspace, and strict input.

In this order, so that nobody learns of an endpoint's rules who may not call it: the role,
the workspace, the query, the body. Only then does the endpoint see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from proxy.admin import idempotency
from proxy.admin.bounds import USUAL, Bounds, bounds_of
from proxy.admin.call import Call, Office
from proxy.admin.problems import Problem, not_found, problem_for
from proxy.admin.roles import OPERATIONS, Operation
from proxy.admin.strict_json import read_json
from proxy.store import ApiRole, Workspace
from proxy.store.validate import is_name

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

SUSPENDED = "The workspace of this key is suspended."


class AdminRoute(APIRoute):
    """The kind of every route of the application."""

    is_upload = False
    """Whether its endpoint reads the body itself as it comes, within a limit of its own."""

    def get_route_handler(self) -> Handler:
        """The endpoint behind its guards."""
        endpoint = super().get_route_handler()
        operation_id = self.operation_id or ""
        # A route that nobody has thought about must not exist.
        operation = OPERATIONS[operation_id]
        parameters = frozenset(_query_names(self.dependant))
        bounds = bounds_of(operation_id) if self.body_field is not None else None

        async def handle(request: Request) -> Response:
            state = request.state
            key = None if operation.is_open else state.key
            call = Call(state.office, key, operation_id, state.address, state.port, state.network)
            request.state.call = call
            _check_role(call, operation)
            if await call.is_suspended():
                # Whatever is named: what others have is not told apart from what nobody has.
                raise Problem(403, "workspace-suspended", SUSPENDED)
            if "workspace" in request.path_params:
                call.workspace = await _workspace(call, request.path_params["workspace"])
            _check_query(request, parameters)
            if self.is_upload:
                return await _translated(endpoint, request)
            async with _turn(call.office, bounds):
                body = await _read_body(request, bounds)
                strict = _StrictRequest(request.scope, request.receive, body)

                async def work() -> Response:
                    return await _translated(endpoint, strict)

                if operation.is_creation:
                    return await idempotency.once(request, call, operation, body, work)
                return await work()

        async def guarded(request: Request) -> Response:
            try:
                return await _translated(handle, request)
            except Problem as problem:
                return problem.response(request.state.request_id)

        return guarded


class UploadRoute(AdminRoute):
    """The kind of a route whose endpoint reads the body itself."""

    is_upload = True


def _check_role(call: Call, operation: Operation) -> None:
    if operation.is_open:
        return
    if call.key.role not in operation.roles:
        raise Problem(403, "forbidden", "This key's role may not do this.")
    if operation.is_persons and call.key.staff_id is None:
        raise Problem(403, "forbidden", "This is for a person who has logged in, not for a key.")


class _StrictRequest(Request):
    """A request whose body has been read and found good."""

    def __init__(self, scope: Any, receive: Any, body: bytes) -> None:
        super().__init__(scope, receive)
        self._body = body


async def _translated(handler: Handler, request: Request) -> Response:
    """Run it; an exception that may be shown becomes a Problem, any other one goes on."""
    try:
        return await handler(request)
    except Exception as error:
        # Which may be shown is one list, in ``problem_for``; whatever else goes on as it came.
        problem = problem_for(error)
        if problem is None:
            raise
        raise problem from None


async def _workspace(call: Call, name: str) -> Workspace:
    """The workspace of the path, where this key reaches it; the same steps for every name."""
    found = await call.office.store.find_workspace(name if is_name(name) else "")
    if found is None:
        raise not_found()
    if call.key.role is ApiRole.WORKSPACE_ADMIN and found.id != call.key.workspace_id:
        raise not_found()
    if call.key.role is ApiRole.SUPPORT:
        # Looked up for each call: where it has ended or is revoked, the next one is refused.
        call.grant = await call.office.store.support.live(found.id, call.key.staff_id or "")
        if call.grant is None:
            raise not_found()
    return found


def _turn(office: Office, bounds: Bounds | None) -> AbstractAsyncContextManager[None]:
    """A large body waits for nobody: there are few of them in memory, or it is refused."""
    if bounds is None or bounds.size <= USUAL.size:
        return nullcontext()
    return office.transfer()


def _query_names(dependant: Dependant) -> Iterator[str]:
    for parameter in dependant.query_params:
        yield parameter.alias
    for inner in dependant.dependencies:
        yield from _query_names(inner)


def _check_query(request: Request, known: frozenset[str]) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    if not known.issuperset(names):
        allowed = f"only {', '.join(sorted(known))} can be given" if known else "it takes none"
        raise Problem(422, "unknown-parameter", f"A query parameter is not known here: {allowed}.")
    if len(set(names)) != len(names):
        raise Problem(422, "duplicate-parameter", "A query parameter is there twice.")


async def _read_body(request: Request, taken: Bounds | None) -> bytes:
    """The body, checked; ``taken`` None: there must be none."""
    bounds = taken or USUAL
    if taken is not None:
        _check_type(request)
    received = bytearray()
    try:
        async with asyncio.timeout(bounds.seconds):
            async for piece in request.stream():
                received += piece
                if len(received) > bounds.size:
                    raise Problem(
                        413, "too-large", f"A body may have at most {bounds.size} bytes.",
                        headers={"Connection": "close"},
                    )  # fmt: skip
    except TimeoutError:
        raise Problem(
            408, "too-slow", "The body did not arrive in time.", headers={"Connection": "close"}
        ) from None
    except ClientDisconnect:
        raise Problem(400, "malformed", "The body did not arrive.") from None
    if taken is None:
        if received:
            raise Problem(400, "no-body-here", "This endpoint takes no body.")
        return b""
    read_json(bytes(received), bounds.depth, bounds.items)
    return bytes(received)


def _check_type(request: Request) -> None:
    given = [value.lower().replace(" ", "") for value in request.headers.getlist("content-type")]
    if given not in (["application/json"], ["application/json;charset=utf-8"]):
        raise Problem(415, "not-json", "The body must be application/json.")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "encoded", "The body must not be compressed.")
