"""Sources where none may be: refused when dialled, in the words of a closed port."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostile.fake_server import FakeServer
from tests.hostile.raw import RawClient, Refused
from tests.hostile.stage import CONNECT, CREDENTIAL_USED, Stage, of_type
from tests.servers.fixtures import ProxyFactory
from tests.servers.ports import free_port
from tests.servers.proxy import ProxyServer

ANSWER = ("08001", "the data source cannot be reached")


def attempt(stage: Stage, workspace: str, source: str) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        stage.log_in(workspace, source)
    return refused.value.code, refused.value.text


def add(stage: Stage, workspace: str, host: str, port: int) -> str:
    name = f"at-{host.replace('.', '-').replace(':', '_')}-{port}"
    stage.add_fake_source(workspace, name, port, host=host)
    return name


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "0.0.0.0", "::", "fe80::1", "224.0.0.1", "255.255.255.255"]
)
def test_an_address_that_is_never_allowed_is_refused(stage: Stage, marker: str, host: str):
    name = add(stage, "alpha", host, 5432)
    assert attempt(stage, "alpha", name) == ANSWER
    events = stage.events_since(marker)
    assert of_type(events, CREDENTIAL_USED) == []
    (failure,) = of_type(events, CONNECT)
    assert (failure["status"], "egress to" in failure["status_detail"]) == ("Failure", True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("service", ["port", "metrics_port"])
def test_the_proxy_does_not_dial_itself(stage: Stage, marker: str, host: str, service: str):
    name = add(stage, "alpha", host, getattr(stage.proxy, service))
    assert attempt(stage, "alpha", name) == ANSWER
    events = stage.events_since(marker)
    (failure,) = of_type(events, CONNECT)
    assert "egress to" in failure["status_detail"]
    assert of_type(events, CREDENTIAL_USED) == []


def test_a_closed_port_and_an_unknown_name_are_told_alike(stage: Stage, marker: str):
    for host in ("127.0.0.1", "no-such-host.invalid"):
        name = add(stage, "alpha", host, free_port())
        assert attempt(stage, "alpha", name) == ANSWER
    assert of_type(stage.events_since(marker), CREDENTIAL_USED) == []


class Rule:
    """A proxy with other rules, its own workspace, and servers that must stay alone."""

    def __init__(self, start: ProxyFactory, **egress: Any) -> None:
        self.proxy: ProxyServer = start(egress=egress)
        self.stage = Stage(self.proxy)
        self.stage.create_workspace("alpha")


@pytest.fixture
def other() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def test_private_addresses_are_refused_unless_allowed(start_proxy: ProxyFactory, other: FakeServer):
    rule = Rule(start_proxy, allow_private=False)
    for host in ("127.0.0.1", "localhost", "::1", "10.0.0.1", "192.168.0.1", "fd00::1"):
        name = add(rule.stage, "alpha", host, other.port)
        assert attempt(rule.stage, "alpha", name) == ANSWER
    assert other.peers == []
    failures = of_type(rule.proxy.audit_events(), CONNECT)
    assert len(failures) == 6
    assert all("egress to" in failure["status_detail"] for failure in failures)
    assert of_type(rule.proxy.audit_events(), CREDENTIAL_USED) == []


def test_ports_are_refused_unless_allowed(
    start_proxy: ProxyFactory, other: FakeServer, fake: FakeServer
):
    fake.play(lambda peer: peer.socket.close())
    rule = Rule(start_proxy, ports=[fake.port])
    name = add(rule.stage, "alpha", "127.0.0.1", other.port)
    assert attempt(rule.stage, "alpha", name) == ANSWER
    assert other.peers == []
    # The one that is allowed is dialled, hangs up, and is told in the same words.
    allowed = add(rule.stage, "alpha", "127.0.0.1", fake.port)
    assert attempt(rule.stage, "alpha", allowed) == ANSWER
    assert len(fake.peers) == 1


def test_low_ports_belong_to_other_services(stage: Stage, marker: str):
    name = add(stage, "alpha", "127.0.0.1", 25)
    assert attempt(stage, "alpha", name) == ANSWER
    (failure,) = of_type(stage.events_since(marker), CONNECT)
    assert "the port is not allowed" in failure["status_detail"]


def test_a_refused_source_leaves_the_way_open_for_others(stage: Stage):
    name = add(stage, "alpha", "169.254.169.253", 5432)
    assert attempt(stage, "alpha", name) == ANSWER
    with stage.log_in("alpha", "orders") as client:
        assert isinstance(client, RawClient)
        assert client.value("SELECT 1") == "1"
