"""HTTP calls at a real server on loopback, in TLS and not, and at hostile ones."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from policies.document import Policy
from policies.egress import EgressRules
from proxy.content.answers import StepFailed
from proxy.content.webhook import MAX_ANSWER, MAX_REQUEST, Call, EgressCaller
from proxy.gateway.dial import dial
from tests.servers.certificates import Certificates
from tests.servers.ports import free_port

OPEN = EgressRules(allow_private=True)
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class Server:
    """Answers every connection with the same bytes, and remembers what it was sent."""

    def __init__(self, answer: bytes, *, is_silent: bool = False) -> None:
        self.port = 0
        self.received = b""
        self._answer = answer
        self._is_silent = is_silent
        self.connections = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            self.received += await reader.readuntil(b"\r\n\r\n")
            while b"Content-Length: " in self.received and len(self.body) < self.length:
                self.received += await reader.read(65_536)
            if not self._is_silent:
                writer.write(self._answer)
                await writer.drain()
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    @property
    def head(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[2]

    @property
    def length(self) -> int:
        return int(self.head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])


@asynccontextmanager
async def serving(
    answer: bytes = OK, tls: ssl.SSLContext | None = None, *, is_silent: bool = False
) -> AsyncIterator[Server]:
    server = Server(answer, is_silent=is_silent)
    opened = await asyncio.start_server(server.talk, "127.0.0.1", 0, ssl=tls)
    server.port = opened.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        opened.close()


def call(url: str, **fields: Any) -> Call:
    defaults: dict[str, Any] = {
        "method": "POST",
        "headers": {"X-Run": "r1"},
        "body": {"n": 1},
        "timeout": 20.0,
    }
    return Call(url=url, **(defaults | fields))


def plain(rules: EgressRules = OPEN, policy: Policy | None = None) -> EgressCaller:
    return EgressCaller(rules, policy, allow_plain=True)


async def failure(caller: EgressCaller, made: Call) -> StepFailed:
    with pytest.raises(StepFailed) as failed:
        await caller.call(made)
    return failed.value


def contexts(certificates: Certificates) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.certificate("server"), certificates.key("server"))
    return server, ssl.create_default_context(cafile=str(certificates.ca))


def to_loopback(seen: list[str]) -> Callable[..., Any]:
    """A dial whose resolver says that every name is this machine."""

    async def connect(host: str, port: int, rules: EgressRules) -> Any:
        async def resolve(name: str, _port: int) -> list[Any]:
            seen.append(name)
            return [ip_address("127.0.0.1")]

        return await dial(host, port, rules, resolve)

    return connect


async def test_a_call_goes_in_tls_to_the_address_that_was_checked(certificates: Certificates):
    server_tls, client_tls = contexts(certificates)
    seen: list[str] = []
    async with serving(tls=server_tls) as server:
        caller = EgressCaller(OPEN, tls=client_tls, connect=to_loopback(seen))
        status = await caller.call(call(f"https://localhost:{server.port}/hook?a=%20"))
    assert (status, seen, server.connections) == (204, ["localhost"], 1)
    assert server.head.startswith(b"POST /hook?a=%20 HTTP/1.1\r\n")
    assert f"Host: localhost:{server.port}".encode() in server.head
    assert b"X-Run: r1" in server.head
    assert json.loads(server.body) == {"n": 1}


async def test_a_certificate_of_another_name_or_authority_is_refused(certificates: Certificates):
    server_tls, client_tls = contexts(certificates)
    async with serving(tls=server_tls) as server:
        other = EgressCaller(OPEN, tls=client_tls, connect=to_loopback([]))
        failed = await failure(other, call(f"https://other.example:{server.port}/"))
        assert failed.code == "http-tls"
        unknown = EgressCaller(OPEN, connect=to_loopback([]))
        failed = await failure(unknown, call(f"https://localhost:{server.port}/"))
        assert (failed.code, failed.had_no_effect) == ("http-tls", True)
    assert server.received == b""


async def test_without_tls_only_where_it_is_allowed():
    async with serving() as server:
        url = f"http://127.0.0.1:{server.port}/"
        failed = await failure(EgressCaller(OPEN), call(url))
        assert "use https://" in str(failed)
        assert server.connections == 0
        assert await plain().call(call(url)) == 204


async def test_a_redirect_is_an_answer_and_is_not_followed():
    async with serving() as elsewhere:
        place = f"Location: http://127.0.0.1:{elsewhere.port}/\r\nContent-Length: 0"
        to = f"HTTP/1.1 302 Found\r\n{place}\r\n\r\n"
        async with serving(to.encode()) as server:
            assert await plain().call(call(f"http://127.0.0.1:{server.port}/")) == 302
        assert elsewhere.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[fe80::1]"])
async def test_what_the_egress_rules_refuse_is_not_dialled(host: str):
    failed = await failure(plain(EgressRules()), call(f"http://{host}:8080/"))
    assert failed.code == "http-connect"
    assert host.strip("[]") not in str(failed)


async def test_a_name_that_resolves_to_the_inside_is_not_dialled():
    async with serving() as server:
        caller = EgressCaller(EgressRules(), allow_plain=True, connect=to_loopback([]))
        failed = await failure(caller, call(f"http://hooks.example:{server.port}/"))
    assert failed.code == "http-connect"
    assert server.connections == 0


@pytest.mark.parametrize("port", [22, 25, 389, 1023])
async def test_the_ports_of_other_services_are_closed(port: int):
    failed = await failure(plain(), call(f"http://127.0.0.1:{port}/"))
    assert failed.code == "http-connect"


async def test_the_workspaces_policy_says_where_calls_may_go():
    policy = Policy.model_validate({"version": 1, "upstream": {"hosts": ["*.example.com"]}})
    failed = await failure(plain(policy=policy), call("http://127.0.0.1:8080/"))
    assert failed.code == "http-policy"
    assert str(failed).startswith("refused by policy")
    narrow = Policy.model_validate({"version": 1, "upstream": {"private": ["10.0.0.0/8"]}})
    failed = await failure(plain(policy=narrow), call("http://127.0.0.1:8080/"))
    assert failed.code == "http-connect"


async def test_a_server_that_is_silent_is_given_up():
    async with serving(is_silent=True) as server:
        made = call(f"http://127.0.0.1:{server.port}/", timeout=1.0)
        failed = await failure(plain(), made)
    assert (failed.code, failed.is_transient, failed.had_no_effect) == ("http-timeout", True, False)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        b"",
    ],
)
async def test_what_is_not_http_fails(answer: bytes):
    async with serving(answer) as server:
        made = call(f"http://127.0.0.1:{server.port}/", timeout=2.0)
        failed = await failure(plain(), made)
    assert failed.code in ("http-answer", "http-timeout")
    assert not failed.had_no_effect


async def test_an_answer_without_an_end_is_cut():
    body = b"x" * (MAX_ANSWER + 70_000)
    async with serving(b"HTTP/1.1 200 OK\r\n\r\n" + body) as server:
        failed = await failure(plain(), call(f"http://127.0.0.1:{server.port}/"))
    assert str(failed) == f"the answer has more than {MAX_ANSWER} bytes"


async def test_a_body_that_is_too_large_is_not_sent():
    failed = await failure(plain(), call("http://127.0.0.1:8080/", body={"x": "x" * MAX_REQUEST}))
    assert failed.had_no_effect


async def test_a_header_cannot_carry_another_one():
    async with serving() as server:
        made = call(f"http://127.0.0.1:{server.port}/", headers={"X": "a\r\nY: b"})
        failed = await failure(plain(), made)
    assert "header" in str(failed)
    assert server.received == b""


async def test_nobody_listens():
    failed = await failure(plain(), call(f"http://127.0.0.1:{free_port()}/"))
    assert (failed.code, failed.had_no_effect, failed.is_transient) == ("http-connect", True, True)
