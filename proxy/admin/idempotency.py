"""Idempotency-Key on calls that make something: asked again, the first answer is given again.

The name is bound to the key that calls and to the whole call: the same name with another
body is refused. What is kept of an answer holds no secret, so that a secret is shown once
in any case.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from proxy.admin.call import Call
from proxy.admin.problems import Problem
from proxy.admin.roles import Operation

HEADER = "idempotency-key"
REPLAYED = "Idempotency-Replayed"

_NAME = re.compile(r'"?([A-Za-z0-9_-]{8,64})"?')
_KEPT_HEADERS = ("location", "etag")


async def once(
    request: Request,
    call: Call,
    operation: Operation,
    body: bytes,
    work: Callable[[], Awaitable[Response]],
) -> Response:
    """The answer of ``work``, done at most once for the name that the call gives itself."""
    given = request.headers.getlist(HEADER)
    if not given:
        return await work()
    match = _NAME.fullmatch(given[0])
    if len(given) != 1 or match is None:
        raise Problem(
            400, "malformed", "An Idempotency-Key is 8 to 64 letters, digits, hyphens, underscores."
        )
    name, calls = match[1], call.office.store.calls
    fingerprint = _fingerprint(call, request, body)
    before = await calls.claim(call.key.id, name, fingerprint)
    if before is not None:
        if not hmac.compare_digest(before.fingerprint, fingerprint):
            raise Problem(
                422, "idempotency-key-reused", "This Idempotency-Key was given with another call."
            )
        if before.status is None or before.answer is None:
            raise Problem(
                409,
                "still-under-way",
                "The call of this Idempotency-Key has not ended, or its end is not known.",
            )
        return _again(before.status, before.answer)
    try:
        response = await work()
    except Problem as problem:
        # Refused: nothing was done. After a 5xx nobody knows, and the name stays taken.
        if problem.status < 500:
            await calls.forget(call.key.id, name)
        raise
    await calls.finish(call.key.id, name, response.status_code, _kept(response, operation))
    return response


def _fingerprint(call: Call, request: Request, body: bytes) -> bytes:
    # Keyed: the body may hold a password that can be guessed.
    text = f"{request.method} {request.url.path}?{request.url.query}\0".encode()
    return hmac.digest(
        call.office.vault.fingerprint_key(), b"idempotency\0" + text + body, "sha256"
    )


def _kept(response: Response, operation: Operation) -> str:
    value = json.loads(bytes(response.body))
    if operation.shown_once:
        value[operation.shown_once] = None
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    return json.dumps({"headers": headers, "value": value})


def _again(status: int, answer: str) -> Response:
    kept = json.loads(answer)
    return Response(
        json.dumps(kept["value"]),
        status,
        headers=kept["headers"] | {REPLAYED: "true"},
        media_type="application/json",
    )
