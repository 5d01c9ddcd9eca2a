"""What every call passes first and last, whatever it asks for, also where nothing is there.

In: how many there are, its address's rate, the host it names, its key, its key's rate.
Out: the audit record, durable before the first byte of the answer, and the headers that
keep an answer from being stored or framed. Knows no endpoint.
"""

from __future__ import annotations

import re
import traceback
import uuid
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.admin.call import Office
from proxy.admin.problems import Problem, bug
from proxy.admin.rates import Rates
from proxy.administration.api_keys import actor_name, recognise
from proxy.administration.trail import TrailError
from proxy.audit.events import CREATE, DELETE, READ, UPDATE, api_called
from proxy.store import StoreError

log = structlog.get_logger("admin")

MOST_AT_ONCE = 64
"""Calls under way: each may hold a body of half a megabyte and wait for the store."""
COST_OF_A_WRONG_KEY = 10.0
"""A wrong key counts as so many calls of its address."""

_ACTIVITY = {"GET": READ, "HEAD": READ, "POST": CREATE, "DELETE": DELETE}
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_HSTS = (b"strict-transport-security", b"max-age=31536000")
_BEARER = re.compile(r"(?i:bearer) ([!-~]{1,128})")
# A part of a path that may be repeated in a record; a token, key or invitation put there may not.
_NAME = re.compile(r"(?!ac[a-z]_)[A-Za-z0-9_-]{1,63}")


class Threshold:
    """The outermost part of the application.

    ``open_calls``: the methods and paths for who has no key yet.
    """

    def __init__(
        self,
        app: ASGIApp,
        office: Office,
        clock: Callable[[], float],
        open_calls: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        self._app = app
        self._open_calls = open_calls
        self._office = office
        self._clock = clock
        self._under_way = 0
        settings = office.config.admin
        self._names = frozenset({"localhost", settings.host.lower(), *settings.names})
        self._by_address = Rates(settings.calls_per_address)
        self._by_key = Rates(settings.calls_per_key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call, or the server's own start and end."""
        if scope["type"] != "http":
            # Lifespan. A WebSocket cannot come: the server is told to speak none.
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["office"] = self._office
        state["request_id"] = str(uuid.uuid4())
        state["address"], state["port"] = scope.get("client") or ("127.0.0.1", 0)
        answering = _Answering(self._office, scope, send)
        self._under_way += 1
        try:
            await self._admit(Request(scope), state, answering)
            await self._app(scope, receive, answering.send)
        except Problem as problem:
            with suppress(_WithheldError):
                await problem.response(state["request_id"])(scope, receive, answering.send)
        except _WithheldError:
            pass
        except Exception as error:  # noqa: BLE001
            # Nothing of it is shown, and of its text nothing logged: it may quote anything.
            await answering.fail(error, receive)
        finally:
            self._under_way -= 1

    async def _admit(
        self, request: Request, state: MutableMapping[str, Any], answering: _Answering
    ) -> None:
        if self._under_way > MOST_AT_ONCE:
            answering.is_recorded = False
            raise Problem(
                503, "busy", "Too many calls are under way.", headers={"Retry-After": "1"}
            )
        address = _network_of(request)
        self._take(self._by_address, address, answering)
        state["network"] = address
        self._check_host(request)
        if (request.method, request.scope["path"]) in self._open_calls:
            return
        key = None
        given = request.headers.getlist("authorization")
        match = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
        if match is not None:
            try:
                key = await recognise(self._office.store, match[1], self._office.clock())
            except StoreError as error:
                raise Problem(
                    503, "store-unavailable", str(error), headers={"Retry-After": "1"}
                ) from None
        if key is None:
            self._by_address.charge(address, self._clock(), COST_OF_A_WRONG_KEY)
            raise Problem(
                401,
                "unauthenticated",
                "Give a live API key, or a session's token, as a bearer token.",
                headers={"WWW-Authenticate": 'Bearer realm="accode-proxy"'},
            )
        state["key"] = key
        self._take(self._by_key, key.id, answering)

    def _take(self, rates: Rates, name: str, answering: _Answering) -> None:
        answer = rates.take(name, self._clock())
        if answer.wait:
            # One record for each run of them: else who calls too often fills the log.
            answering.is_recorded = answer.is_first
            raise Problem(
                429,
                "too-many-calls",
                "There are too many calls; wait before the next one.",
                headers={"Retry-After": str(answer.wait)},
            )

    def _check_host(self, request: Request) -> None:
        """Raise Problem for a name that is not ours: a page elsewhere that resolves to us."""
        given = request.headers.getlist("host")
        if len(given) != 1 or not self._is_ours(given[0].lower()):
            raise Problem(
                421, "misdirected", "Calls are not answered under this host name (admin.names)."
            )

    def _is_ours(self, host: str) -> bool:
        match = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?", host)
        if match is None:
            return False
        name = match[1].strip("[]")
        if name in self._names:
            return True
        try:
            # No name, so nothing that could be made to resolve to us.
            ip_address(name)
        except ValueError:
            return False
        return True


class _WithheldError(Exception):
    """The answer is not sent on: its call could not be recorded."""


class _Answering:
    """The way back of one call."""

    def __init__(self, office: Office, scope: Scope, send: Send) -> None:
        self._office = office
        self._scope = scope
        self._send = send
        self._is_begun = False
        self._is_withheld = False
        self.is_recorded = True

    async def send(self, message: Message) -> None:
        """Record, then answer."""
        if self._is_withheld:
            raise _WithheldError
        if message["type"] == "http.response.start" and not self._is_begun:
            self._is_begun = True
            try:
                await self._record(message["status"])
            except TrailError:
                self._is_withheld = True
                await self._answer_unrecorded()
                return
            message["headers"] = [*message.get("headers", ()), *self._own_headers()]
        await self._send(message)

    async def fail(self, error: Exception, receive: Receive) -> None:
        """A bug of ours: say so, or where the answer has begun, break it off."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        log.error("admin call failed", kind=type(error).__name__, place=place)
        if self._is_begun:
            return
        response = bug().response(self._scope["state"]["request_id"])
        await response(self._scope, receive, self.send)

    async def _record(self, status: int) -> None:
        if not self.is_recorded:
            return
        scope, state = self._scope, self._scope["state"]
        key, workspace, call = state.get("key"), None, state.get("call")
        actor = "unknown" if key is None else actor_name(key)
        if call is not None:
            actor, workspace = call.actor, call.workspace
        # A path of ours with another method is nobody's operation.
        route = None if status == 405 else scope.get("route")
        named = {
            name: text
            for name, text in scope.get("path_params", {}).items()
            if _NAME.fullmatch(str(text))
        }
        if call is not None and call.grant is not None:
            named["support_grant"] = call.grant.id
        # What a workspace's key asks for elsewhere, its own workspace's log tells.
        tenant = "" if key is None else key.workspace_id or ""
        if workspace is not None:
            tenant = workspace.id
        event = api_called(
            _ACTIVITY.get(scope["method"], UPDATE),
            actor=actor,
            ip=state["address"],
            port=state["port"],
            operation=getattr(route, "operation_id", None) or "unknown",
            status_code=status,
            workspace_id=tenant,
            named=named,
            role="" if key is None else str(key.role),
            request_id=state["request_id"],
        )
        await self._office.trail.record(event)

    async def _answer_unrecorded(self) -> None:
        problem = Problem(
            503,
            "audit-unavailable",
            "The call could not be recorded, so its answer is withheld; "
            "a change that it asked for may have been made.",
            headers={"Retry-After": "1"},
        )
        response = problem.response(self._scope["state"]["request_id"])
        headers = [*response.raw_headers, *self._own_headers()]
        await self._send(
            {"type": "http.response.start", "status": problem.status, "headers": headers}
        )
        await self._send({"type": "http.response.body", "body": bytes(response.body)})

    def _own_headers(self) -> list[tuple[bytes, bytes]]:
        found = [*_HEADERS, (b"x-request-id", self._scope["state"]["request_id"].encode())]
        return [*found, _HSTS] if self._scope.get("scheme") == "https" else found


def _network_of(request: Request) -> str:
    """Who calls, for the rate: an IPv6 host has all of its /64."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((address, 64), strict=False))
    return str(address)
