"""The real ``Fetch``: HTTPS over a connection to an address that the egress rules let pass.

The name is resolved once, each address is checked, and the one that was checked is dialled
(``proxy.gateway.dial``). h11 speaks HTTP/1.1 over that very connection: nothing looks the
name up again, follows a redirect, keeps a cookie or asks a proxy of the environment.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

import h11

from policies.document import Policy
from policies.egress import EgressRules
from policies.upstream import narrowed
from protocols.errors import Refusal
from proxy.content.webaddress import WebAddress
from proxy.gateway.dial import dial
from proxy.oidc.failures import ProviderFailed
from proxy.oidc.fetching import ANSWER_LIMIT, FETCH_SECONDS, Answer, Request
from proxy.oidc.settings import read_https

PORTS: Final = ((443, 443), (1024, 65_535))
"""The web's own besides those of services of their own: never mail, shells or directories."""
_HEAD_LIMIT: Final = 16 * 1024

Dial = Callable[[str, int, EgressRules], Awaitable[Any]]


class EgressFetch:
    """Exchanges for one workspace, whose ``policy`` may open private networks to it."""

    def __init__(
        self,
        rules: EgressRules,
        policy: Policy | None,
        tls: ssl.SSLContext,
        *,
        connect: Dial = dial,
        seconds: float = FETCH_SECONDS,
    ) -> None:
        self._rules = narrowed(replace(rules, ports=PORTS), policy, None)
        self._tls = tls
        self._connect = connect
        self._seconds = seconds

    async def __call__(self, request: Request) -> Answer:
        """See ``Fetch``."""
        address = read_https(request.url)
        if address is None:
            raise ProviderFailed("the identity provider names an address that is not https")
        try:
            async with asyncio.timeout(self._seconds):
                return await self._exchange(address, request)
        except TimeoutError:
            raise ProviderFailed(
                f"the identity provider did not answer within {self._seconds:g} seconds"
            ) from None

    async def _exchange(self, address: WebAddress, request: Request) -> Answer:
        try:
            sock = await self._connect(address.host, address.port, self._rules)
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=self._tls, server_hostname=address.host, limit=_HEAD_LIMIT
            )
        except Refusal:
            # One sentence for every cause: nobody learns from it what is inside.
            raise ProviderFailed("the identity provider cannot be reached") from None
        except ssl.SSLError:
            raise ProviderFailed(
                "the identity provider's certificate is not valid for its name, or TLS failed"
            ) from None
        except OSError:
            raise ProviderFailed("the identity provider cannot be reached") from None
        try:
            return await _speak(reader, writer, address, request)
        except (OSError, h11.ProtocolError):
            raise ProviderFailed("the identity provider did not answer in HTTP") from None
        finally:
            writer.transport.abort()


async def _speak(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    address: WebAddress,
    request: Request,
) -> Answer:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
    body = b"" if request.form is None else request.form.encode("ascii")
    headers = [
        ("Host", address.authority),
        ("User-Agent", "accode-proxy"),
        ("Accept", "application/json"),
        # No compression: an answer's bytes are counted as they come.
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    if request.form is not None:
        headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        headers.append(("Content-Length", str(len(body))))
    if request.authorization is not None:
        headers.append(("Authorization", request.authorization))
    method = "GET" if request.form is None else "POST"
    head = h11.Request(method=method, target=address.target, headers=headers)
    data = connection.send(head) or b""
    if body:
        data += connection.send(h11.Data(body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    writer.write(data)
    await writer.drain()
    answer: h11.Response | None = None
    received = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_HEAD_LIMIT))
        elif isinstance(event, h11.Response):
            answer = event
        elif isinstance(event, h11.Data):
            received += event.data
            if len(received) > ANSWER_LIMIT:
                raise ProviderFailed(
                    f"the identity provider's answer has more than {ANSWER_LIMIT} bytes"
                )
        elif isinstance(event, h11.EndOfMessage):
            assert answer is not None, "an end comes after a head"
            return Answer(answer.status_code, _media_type(answer), bytes(received))
        elif isinstance(event, h11.ConnectionClosed):
            raise ProviderFailed("the identity provider closed the connection")


def _media_type(answer: h11.Response) -> str:
    given = [value for name, value in answer.headers if name == b"content-type"]
    if len(given) != 1:
        return ""
    return given[0].partition(b";")[0].strip().lower().decode("ascii", "replace")
