"""One HTTP call of a workflow, through the egress guard.

The name is resolved once, each address is checked, and the one that was checked is dialled
(``proxy.gateway.dial``), so no answer of a name server leads inside. h11 speaks HTTP/1.1
over that very connection: there is no client library that could look the name up again,
follow a redirect, keep a cookie or ask a proxy of the environment.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import h11

from policies.document import Policy
from policies.egress import EgressRules
from policies.upstream import Destination, check_upstream, narrowed
from protocols.errors import Refusal
from proxy.content.answers import StepFailed
from proxy.content.webaddress import WebAddress, read_address
from proxy.gateway.dial import dial

MAX_REQUEST: Final = 1024 * 1024
"""Bytes of a body: a few thousand rows of numbers."""
MAX_ANSWER: Final = 1024 * 1024
"""Bytes of an answer that are read; they are counted and thrown away."""
_MAX_HEAD: Final = 64 * 1024
PORTS: Final = ((80, 80), (443, 443), (1024, 65_535))
"""The web's own ports besides what databases may have: never mail, shells or directories."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as it is sent. ``body`` None: none."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None
    timeout: float


class Caller(Protocol):
    """Makes HTTP calls."""

    async def call(self, call: Call) -> int:
        """Make it; the answer's status. Raises StepFailed where there is none."""
        ...


class FakeCaller:
    """The fake ``Caller``: answers as its function says, remembers what it was asked."""

    def __init__(self, answer: Callable[[Call], int]) -> None:
        self.calls: list[Call] = []
        self._answer = answer

    async def call(self, call: Call) -> int:
        """Answer."""
        self.calls.append(call)
        return self._answer(call)


Dial = Callable[[str, int, EgressRules], Awaitable[Any]]


class EgressCaller:
    """The real ``Caller`` of one workspace. ``allow_plain``: http:// too, not only https://.

    ``rules`` are the operator's for data sources; the web's ports are open besides. What the
    workspace's policy says of where its sources may be holds for its calls, too.
    """

    def __init__(
        self,
        rules: EgressRules,
        policy: Policy | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        allow_plain: bool = False,
        connect: Dial = dial,
    ) -> None:
        self._rules = narrowed(replace(rules, ports=PORTS), policy, None)
        self._policy = policy
        self._tls = tls or ssl.create_default_context()
        self._allow_plain = allow_plain
        self._connect = connect

    async def call(self, call: Call) -> int:
        """See ``Caller``."""
        address = read_address(call.url)
        if not address.is_encrypted and not self._allow_plain:
            raise StepFailed(
                "http:// is not allowed here: use https://", "http", had_no_effect=True
            )
        self._judge(address)
        body = b"" if call.body is None else json.dumps(call.body).encode()
        if len(body) > MAX_REQUEST:
            raise StepFailed(
                f"the body has more than {MAX_REQUEST} bytes", "http", had_no_effect=True
            )
        progress = _Progress()
        try:
            async with asyncio.timeout(call.timeout):
                return await self._exchange(address, call, body, progress)
        except TimeoutError:
            raise StepFailed(
                f"no answer came within {call.timeout:g} seconds",
                "http-timeout",
                had_no_effect=not progress.is_sent,
                is_transient=True,
            ) from None

    def _judge(self, address: WebAddress) -> None:
        place = Destination(
            address.host, address.port, "intermediate" if address.is_encrypted else "none"
        )
        refusal = check_upstream((self._policy,), (place,), now=datetime.now(UTC))
        if refusal is not None:
            raise StepFailed(_words(refusal), "http-policy", had_no_effect=True)

    async def _exchange(
        self, address: WebAddress, call: Call, body: bytes, progress: _Progress
    ) -> int:
        try:
            sock = await self._connect(address.host, address.port, self._rules)
            reader, writer = await asyncio.open_connection(
                sock=sock,
                ssl=self._tls if address.is_encrypted else None,
                server_hostname=address.host if address.is_encrypted else None,
                limit=_MAX_HEAD,
            )
        except Refusal as refusal:
            # The public words: a tenant is not told what is inside our network.
            raise StepFailed(
                f"the call cannot be made: {_words(refusal)}",
                "http-connect",
                had_no_effect=True,
                is_transient=True,
            ) from None
        except ssl.SSLError:
            raise StepFailed(
                "the server's certificate is not valid for its name, or TLS failed",
                "http-tls",
                had_no_effect=True,
            ) from None
        except OSError:
            raise StepFailed(
                "the server cannot be reached",
                "http-connect",
                had_no_effect=True,
                is_transient=True,
            ) from None
        try:
            return await _speak(reader, writer, address, call, body, progress)
        except (OSError, h11.RemoteProtocolError):
            raise StepFailed(
                "the server did not answer in HTTP", "http-answer", is_transient=True
            ) from None
        finally:
            writer.transport.abort()


@dataclass(slots=True)
class _Progress:
    is_sent: bool = False


def _words(refusal: Refusal) -> str:
    return refusal.public.replace("data source", "server")


async def _speak(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    address: WebAddress,
    call: Call,
    body: bytes,
    progress: _Progress,
) -> int:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    headers = [
        ("Host", address.authority),
        ("User-Agent", "accode-proxy"),
        ("Accept", "*/*"),
        # No compression: an answer's bytes are counted as they come.
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
        *(("Content-Type", "application/json"),) * (call.body is not None),
        *call.headers.items(),
    ]
    if call.method not in ("GET", "DELETE"):
        headers.append(("Content-Length", str(len(body))))
    try:
        request = h11.Request(method=call.method, target=address.target, headers=headers)
    except h11.LocalProtocolError:
        raise StepFailed(
            "a header's value cannot be sent in HTTP", "http", had_no_effect=True
        ) from None
    data = connection.send(request) or b""
    if body:
        data += connection.send(h11.Data(body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    progress.is_sent = True
    writer.write(data)
    await writer.drain()
    status, received = 0, 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_MAX_HEAD))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            received += len(event.data)
            if received > MAX_ANSWER:
                raise StepFailed(f"the answer has more than {MAX_ANSWER} bytes", "http-answer")
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            return status
