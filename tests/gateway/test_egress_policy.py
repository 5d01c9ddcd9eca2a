"""Where policies let sources be, at connect time: a fake resolver, and no connect() made."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, cast

import pytest

from policies.document import Policy, policy_from
from policies.egress import UNREACHABLE, EgressRules
from protocols.errors import Reason, Refusal
from protocols.interface import WireProtocol
from protocols.mysql.protocol import MySQL
from protocols.postgres import Postgres
from proxy.gateway.crypto import ThreadedCrypto
from proxy.gateway.upstream import Upstreams
from proxy.metrics import Metrics
from proxy.store.records import Source, TlsSettings, Workspace
from tests.gateway.fakes import source
from tests.gateway.test_dial import Resolver, port_of, was_called

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CLOSED = EgressRules()
PROTOCOLS: list[WireProtocol] = [Postgres(), MySQL(ThreadedCrypto())]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def upstream(**rules: Any) -> Policy:
    return policy_from({"version": 1, "access": "full", "upstream": rules})


def workspace(policy: Policy | None) -> Workspace:
    return Workspace("w1", "finance", "active", b"", 4096, (), NOW, policy)


async def refused(
    protocol: WireProtocol,
    resolver: Resolver,
    one: Source,
    policy: Policy | None,
    rules: EgressRules = CLOSED,
) -> Refusal:
    """What a session is refused with. Neither vault nor log is there: both come behind."""
    nothing = cast(Any, None)
    upstreams = Upstreams(
        nothing, nothing, Metrics(), rules, os.urandom, 5.0, nothing,
        resolve=resolver, clock=lambda: NOW,
    )  # fmt: skip
    with pytest.raises(Refusal) as caught:
        await upstreams.open(
            protocol, workspace(policy), replace(one, engine=protocol.engine), None, nothing
        )
    return caught.value


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
class TestBothProtocols:
    async def test_a_host_or_port_that_no_policy_allows_is_not_even_looked_up(
        self, protocol: WireProtocol, listener: socket.socket
    ) -> None:
        resolver = Resolver(["127.0.0.1"])
        one = source(host="db.example", port=port_of(listener))
        for rules, name in (
            ({"hosts": ["*.internal"]}, "upstream.hosts"),
            ({"ports": [1]}, "upstream.ports"),
        ):
            for layers in ((upstream(**rules), None), (None, upstream(**rules))):
                refusal = await refused(
                    protocol, resolver, replace(one, policy=layers[1]), layers[0],
                    EgressRules(allow_private=True),
                )  # fmt: skip
                assert refusal.reason is Reason.NOT_PERMITTED
                assert name in refusal.public
        assert resolver.asked == []
        assert not was_called(listener)

    async def test_a_tls_profile_that_no_policy_allows_is_not_dialled(
        self, protocol: WireProtocol, listener: socket.socket
    ) -> None:
        strict = upstream(tls=[{"profile": "modern"}])
        for tls in (TlsSettings(), TlsSettings(mode="disable"), TlsSettings(profile="legacy")):
            one = source(port=port_of(listener), tls=tls)
            refusal = await refused(protocol, Resolver(["127.0.0.1"]), one, strict)
            assert "upstream.tls" in refusal.public
        assert not was_called(listener)

    async def test_an_exception_ends_with_its_day(
        self, protocol: WireProtocol, listener: socket.socket
    ) -> None:
        yesterday = (NOW - timedelta(days=1)).date().isoformat()
        over = upstream(
            tls=[{"profile": "none", "owner": "o", "reason": "r", "expires": yesterday}]
        )
        one = source(port=port_of(listener), tls=TlsSettings(mode="disable"))
        assert "upstream.tls" in (await refused(protocol, Resolver([]), one, over)).public
        assert not was_called(listener)

    async def test_a_name_that_turns_to_a_network_that_is_not_opened_is_not_dialled(
        self, protocol: WireProtocol, listener: socket.socket
    ) -> None:
        # The first answer was good when the source was made; this connect hears the second.
        resolver = Resolver(["10.1.2.3"], ["127.0.0.1"])
        assert await resolver("db.example", 1)
        one = source(host="db.example", port=port_of(listener))
        for operator in (EgressRules(), EgressRules(allow_private=True)):
            refusal = await refused(
                protocol, resolver, one, upstream(private=["10.1.0.0/16"]), operator
            )
            assert (refusal.reason, refusal.public) == (Reason.SOURCE_UNREACHABLE, UNREACHABLE)
            assert "loopback or private" in refusal.private
        assert not was_called(listener)

    async def test_of_two_addresses_one_outside_refuses_both(
        self, protocol: WireProtocol, listener: socket.socket
    ) -> None:
        one = source(host="db.example", port=port_of(listener))
        resolver = Resolver(["127.0.0.1", "10.1.2.3"])
        await refused(protocol, resolver, one, upstream(private=["127.0.0.0/8"]))
        assert not was_called(listener)

    async def test_a_policy_opens_neither_metadata_nor_the_proxys_own_ports(
        self, protocol: WireProtocol, listener: socket.socket
    ) -> None:
        everything = upstream(private=["0.0.0.0/0", "::/0"])
        port = port_of(listener)
        one = source(host="db.example", port=port)
        for address in ("169.254.169.254", "::ffff:169.254.169.254", "0.0.0.0", "fd00:ec2::254"):
            await refused(protocol, Resolver([address]), one, everything)
        own = EgressRules(forbidden=frozenset({(ip_address("127.0.0.1"), port)}))
        refusal = await refused(protocol, Resolver(["127.0.0.1"]), one, everything, own)
        assert "service of the proxy itself" in refusal.private
        assert not was_called(listener)
