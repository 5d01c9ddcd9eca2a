"""Our client against our server, over a pair of channels in memory."""

from __future__ import annotations

import asyncio

import pytest

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, Reason, Refusal, UpstreamRefused
from protocols.interface import (
    Arrival,
    CancelArrival,
    ScanLimits,
    SessionKey,
    Upstream,
    UpstreamLogin,
    WireProtocol,
)
from protocols.postgres import PROTOCOL
from protocols.postgres.upstream import UpstreamDetail
from protocols.statements import AllowAll
from protocols.verifiers import TokenVerifiers
from tests.protocols.postgres.login import (
    BINDING,
    TwinChannel,
    derive,
    entropy,
    login,
    twins,
    verifiers,
)

KEY = SessionKey(42, bytes(range(32)))
BEHIND = Upstream(
    "scram-sha-256",
    "15.8",
    (3, 0),
    detail=UpstreamDetail(((b"server_version", b"15.8"),), 4711, b"them", b"I", (b"Mhi\0\0",)),
)


async def serve(channel: TwinChannel, against: TokenVerifiers) -> Arrival:
    """What the gateway does with one client, without the gateway."""
    leg = PROTOCOL.client_leg(KEY, entropy)
    try:
        arrival = await leg.greet(channel)
        assert isinstance(arrival, Arrival)
        token_id = await leg.authenticate(channel, arrival, against, entropy)
        if token_id is None:
            refusal = Refusal(Reason.AUTHENTICATION_FAILED, "password authentication failed")
            channel.write(leg.refusal(refusal))
        else:
            channel.write(leg.welcome(arrival, BEHIND))
        return arrival
    finally:
        channel.close()


async def meet(
    entry: UpstreamLogin, against: TokenVerifiers, binding: bytes | None = BINDING
) -> tuple[Upstream | BaseException, Arrival | BaseException, TwinChannel]:
    client, server = twins(binding)
    upstream, arrival = await asyncio.gather(
        PROTOCOL.connect(client, entry, derive, entropy),
        serve(server, against),
        return_exceptions=True,
    )
    return upstream, arrival, server


def test_the_protocol_is_what_the_gateway_expects():
    protocol: WireProtocol = PROTOCOL
    assert (protocol.name, protocol.engine) == ("postgres", "postgresql")
    assert (protocol.default_port, protocol.source_port) == (6432, 5432)
    assert protocol.alpn == "postgresql"
    assert "postgres" in protocol.schemes


@pytest.mark.parametrize("version", [(3, 0), (3, 2)])
@pytest.mark.parametrize(
    ("require_tls", "binding", "method"),
    [
        (False, BINDING, "scram-sha-256"),
        (True, BINDING, "scram-sha-256-plus"),
        (True, None, "scram-sha-256"),
    ],
)
async def test_our_client_logs_in_at_our_server(version, require_tls, binding, method: str):
    entry = login(require_tls=require_tls, version=version, parameters={"TimeZone": "UTC"})
    upstream, arrival, _ = await meet(entry, verifiers(b"other", b"pencil"), binding)
    assert isinstance(upstream, Upstream)
    assert isinstance(arrival, Arrival)
    assert (upstream.method, upstream.version) == (method, version)
    assert upstream.server_version == "15.8"
    assert upstream.detail.notices == (b"Mhi\0\0",)
    assert (arrival.workspace, arrival.source) == ("app", "shop")
    assert arrival.parameters == {"TimeZone": "UTC"}
    assert arrival.is_encrypted == require_tls


@pytest.mark.parametrize("against", [verifiers(b"pencil", is_real=False), verifiers(b"other")])
async def test_our_server_turns_our_client_away(against: TokenVerifiers):
    upstream, _, _ = await meet(login(require_tls=True), against)
    assert isinstance(upstream, UpstreamRefused)
    assert upstream.code == "28P01"


async def test_the_key_in_our_welcome_cancels_its_session_and_no_other():
    for version in ((3, 0), (3, 2)):
        upstream, _, _ = await meet(login(version=version), verifiers(b"pencil"))
        assert isinstance(upstream, Upstream)
        client, server = twins()

        async def ask(channel: TwinChannel = client, target: Upstream = upstream) -> None:
            await PROTOCOL.cancel(channel, target, require_tls=True)

        async def answer(channel: TwinChannel = server) -> Arrival | CancelArrival:
            try:
                return await PROTOCOL.client_leg(KEY, entropy).greet(channel)
            finally:
                channel.close()

        _, request = await asyncio.gather(ask(), answer())
        assert isinstance(request, CancelArrival)
        assert request.is_encrypted
        assert PROTOCOL.cancel_number(request) == KEY.number
        assert PROTOCOL.match_cancel(request, KEY, version)
        assert not PROTOCOL.match_cancel(request, SessionKey(42, b"x" * 32), version)
        assert not PROTOCOL.match_cancel(request, SessionKey(43, KEY.secret), version)


async def test_a_client_that_leaves_at_any_byte_is_a_closed_connection():
    """What our client sent in a whole login, cut everywhere, against our server alone."""
    _, _, server = await meet(login(version=(3, 2)), verifiers(b"pencil"), binding=None)
    whole = bytes(server.received)

    async def accept(channel: MemoryChannel) -> str | None:
        leg = PROTOCOL.client_leg(KEY, entropy)
        arrival = await leg.greet(channel)
        assert isinstance(arrival, Arrival)
        return await leg.authenticate(channel, arrival, verifiers(b"pencil"), entropy)

    assert run(accept(MemoryChannel(whole))) == "pencil"
    for end in range(len(whole)):
        with pytest.raises(PeerClosed):
            run(accept(MemoryChannel(whole[:end])))


async def test_a_server_that_leaves_at_any_byte_is_a_closed_connection():
    """What our server sent in a whole login, cut everywhere, against our client alone."""
    client, server = twins(None)
    await asyncio.gather(
        PROTOCOL.connect(client, login(), derive, entropy), serve(server, verifiers(b"pencil"))
    )
    whole = bytes(client.received)
    assert run(PROTOCOL.connect(MemoryChannel(whole), login(), derive, entropy)).method
    for end in range(len(whole)):
        with pytest.raises(PeerClosed):
            run(PROTOCOL.connect(MemoryChannel(whole[:end]), login(), derive, entropy))


def test_a_scanner_is_made_for_a_session():
    arrival = Arrival("finance", "orders", "", {}, (3, 0), True)

    def kill(number: int, only_statement: bool) -> bool:
        raise AssertionError("PostgreSQL's clients stop statements by key")

    scanner = PROTOCOL.scanner(arrival, BEHIND, AllowAll(), ScanLimits(), kill)
    assert scanner.is_idle
