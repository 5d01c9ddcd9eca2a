from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from policies.document import Policy, PolicyError, policy_from, read_policy
from policies.egress import EgressRules, check_address
from policies.upstream import Destination, check_upstream, narrowed

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)
CLOSED = EgressRules()
OPEN = EgressRules(allow_private=True)


def policy(**upstream: Any) -> Policy:
    return policy_from({"version": 1, "access": "full", "upstream": upstream})


def rule(found: Policy | None, host: str = "db.example", port: int = 5432, tls: str = "modern"):
    refusal = check_upstream((None, found), [Destination(host, port, tls)], now=NOW)
    return "" if refusal is None else refusal.public.rpartition("(")[2].rstrip(")")


@pytest.mark.parametrize(
    ("pattern", "host", "is_allowed"),
    [
        ("db.example", "db.example", True),
        ("db.example", "DB.Example", True),
        ("db.example", "dbxexample", False),
        ("db.example", "db.example.evil.test", False),
        ("*.example", "a.b.example", True),
        ("*.example", "example", False),
        ("*.example", "a.example.evil.test", False),
        ("db-*", "db-1.internal", True),
        ("10.1.*", "10.1.2.3", True),
        ("10.1.*", "10.10.2.3", False),
        ("*", "anything", True),
    ],
)
def test_a_host_is_matched_whole(pattern: str, host: str, is_allowed: bool):
    assert rule(policy(hosts=[pattern]), host) == ("" if is_allowed else "upstream.hosts")


@pytest.mark.parametrize(
    ("port", "is_allowed"), [(5432, True), (6000, True), (6010, True), (6011, False), (1, False)]
)
def test_ports_are_numbers_and_ranges(port: int, is_allowed: bool):
    found = policy(ports=[5432, "6000-6010"])
    assert rule(found, port=port) == ("" if is_allowed else "upstream.ports")


def test_a_weak_profile_is_allowed_by_name_and_until_its_day_is_over():
    assert rule(policy(), tls="legacy") == ""
    strict = policy(tls=[{"profile": "modern"}, {"profile": "intermediate"}])
    assert rule(strict) == ""
    assert [rule(strict, tls=tls) for tls in ("compat", "legacy", "none")] == ["upstream.tls"] * 3
    answered = {"owner": "ops", "reason": "MySQL 5.5"}
    until = policy(tls=[{"profile": "legacy", "expires": "2030-06-01", **answered}])
    over = policy(tls=[{"profile": "legacy", "expires": "2030-05-31", **answered}])
    assert rule(until, tls="legacy") == ""
    assert rule(over, tls="legacy") == "upstream.tls"


@pytest.mark.parametrize(
    ("upstream", "problem"),
    [
        ({"ports": [0]}, "upstream.ports.0: 0 is no range of ports"),
        ({"ports": ["9-1"]}, "upstream.ports.0: '9-1' is no range of ports"),
        ({"ports": [True]}, "upstream.ports.0: True is no port"),
        ({"ports": ["1-2-3"]}, "upstream.ports.0: '1-2-3' is no port"),
        ({"hosts": ["a,b"]}, "upstream.hosts.0: 'a,b' is no host name"),
        ({"hosts": ["*a*b*"]}, "upstream.hosts.0: '*a*b*' is no host name"),
        ({"private": ["10.0.0.1/8"]}, "upstream.private.0: '10.0.0.1/8' is no network"),
        ({"tls": [{"profile": "legacy"}]}, "upstream.tls.0: legacy needs an owner"),
        ({"tls": [{"profile": "none", "owner": "x"}]}, "upstream.tls.0: none needs an owner"),
        ({"tls": [{"profile": "ssl3"}]}, "upstream.tls.0.profile:"),
        ({"host": ["a"]}, "upstream.host: unknown key"),
    ],
)
def test_an_error_names_its_place(upstream: dict[str, Any], problem: str):
    with pytest.raises(PolicyError) as raised:
        policy(**upstream)
    assert str(raised.value).startswith(problem)


def test_it_is_the_same_in_toml_and_back():
    written = """
version = 1
[upstream]
hosts = ["*.Example"]
ports = [5432, "6000-6010"]
private = ["10.1.0.0/16"]
[[upstream.tls]]
profile = "compat"
owner = "ops"
reason = "an old server"
expires = 2031-01-01
"""
    found = read_policy(written, "toml")
    assert read_policy(found.to_json(), "json") == found
    assert found.to_value()["upstream"]["ports"] == ["5432", "6000-6010"]
    assert found.to_value()["upstream"]["tls"][0]["expires"] == "2031-01-01"


def may_dial(address: str, rules: EgressRules) -> bool:
    return check_address(ip_address(address), 5432, rules) is None


def test_a_workspace_opens_private_networks_that_the_operator_has_not():
    rules = narrowed(CLOSED, policy(private=["10.1.0.0/16"]), None)
    assert may_dial("10.1.2.3", rules)
    assert not may_dial("10.2.2.3", rules)
    assert may_dial("93.184.216.34", rules)


def test_a_workspace_narrows_what_the_operator_has_opened():
    rules = narrowed(OPEN, policy(private=["10.1.0.0/16"]), None)
    assert may_dial("10.1.2.3", rules)
    assert not may_dial("127.0.0.1", rules)
    assert narrowed(OPEN, policy(), policy()) == OPEN


def test_a_source_narrows_and_never_opens():
    source = policy(private=["10.1.2.0/24", "10.0.0.0/8", "fd00::/8"])
    assert not may_dial("10.1.2.3", narrowed(CLOSED, None, source))
    assert not may_dial("10.1.2.3", narrowed(CLOSED, policy(), source))
    assert may_dial("10.1.2.3", narrowed(OPEN, None, source))
    assert not may_dial("192.168.0.1", narrowed(OPEN, None, source))
    both = narrowed(CLOSED, policy(private=["10.1.0.0/16"]), policy(private=["10.1.2.0/24"]))
    assert may_dial("10.1.2.3", both)
    assert not may_dial("10.1.3.3", both)
    apart = narrowed(CLOSED, policy(private=["10.1.0.0/16"]), policy(private=["10.2.0.0/16"]))
    assert not may_dial("10.1.2.3", apart)
    assert not may_dial("10.2.2.3", apart)


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "0.0.0.0", "224.0.0.1"])
def test_no_policy_opens_what_is_never_dialled(address: str):
    everything = policy(private=["0.0.0.0/0", "::/0"])
    assert not may_dial(address, narrowed(CLOSED, everything, None))


def test_no_policy_opens_the_proxys_own_services_or_what_the_operator_denies():
    rules = EgressRules(
        forbidden=frozenset({(ip_address("127.0.0.1"), 5432)}),
        denied_networks=(ip_network("10.9.0.0/16"),),
    )
    opened = narrowed(rules, policy(private=["127.0.0.0/8", "10.0.0.0/8"]), None)
    assert not may_dial("127.0.0.1", opened)
    assert not may_dial("10.9.1.1", opened)
    assert may_dial("10.8.1.1", opened)
