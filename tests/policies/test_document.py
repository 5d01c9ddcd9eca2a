from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decide import decide
from policies.document import (
    MAX_DOCUMENT,
    UNRESTRICTED,
    Access,
    Policy,
    PolicyError,
    policy_from,
    read_policy,
)
from policies.effective import EffectivePolicy
from policies.facts import Feature, Name, StatementFacts, TextFacts
from policies.patterns import Pattern, PatternError
from protocols.statements import Kind

FULL = """
version = 1
access = "read-write"
features = ["copy", "prepared"]

[statements]
allow = ["select", "insert"]
deny = ["call"]

[tables]
read = ["public.*", 'app."Odd.Name"']
write = ["public.orders"]
schema = "app"

[columns]
deny = ["public.users.password"]

[functions]
allow = ["public.total", "now_utc"]

[settings]
allow = ["app.user_id"]

[limits]
sessions = 5
statement_seconds = 30
session_seconds = 3600
idle_seconds = 600
statement_bytes = 10000

[client]
networks = ["10.0.0.0/8", "2001:db8::/32"]
require_tls = true

[[client.hours]]
days = ["mon", "fri"]
start = 22:00:00
until = 06:00:00
zone = "Europe/Berlin"
"""


def test_a_whole_document_is_read() -> None:
    policy = read_policy(FULL, "toml")
    assert policy.access is Access.READ_WRITE
    assert policy.features == {Feature.COPY, Feature.PREPARED}
    assert policy.tables.schema_ == "app"
    assert policy.client.networks == (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert policy.limits.statement_seconds == 30
    assert policy.is_restricted
    assert not policy.is_read_only


def test_what_is_not_said_is_safe() -> None:
    policy = read_policy("version = 1", "toml")
    assert policy.access is Access.READ_ONLY
    assert policy.features == frozenset()
    assert policy.is_read_only


def test_full_with_nothing_else_said_judges_nothing() -> None:
    assert not UNRESTRICTED.is_restricted
    assert decide(UNRESTRICTED, TextFacts(problem="anything"), "public").is_allowed
    denying = policy_from({"version": 1, "access": "full", "statements": {"deny": ["drop"]}})
    assert denying.is_restricted


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ("access = 'full'", "version: missing"),
        ("version = 2", "version: "),
        ("version = 1\nacess = 'full'", "acess: unknown key"),
        ("version = 1\naccess = 'all'", "access: "),
        ("version = 1\nfeatures = ['fly']", "features.0: "),
        ("version = 1\n[tables]\nread = ['orders']", "tables.read.0: 'orders' has 1 names"),
        ("version = 1\n[tables]\nread = ['a.b.c']", "tables.read.0: "),
        ("version = 1\n[tables]\nread = [1]", "tables.read.0: a pattern is a text"),
        ("version = 1\n[tables]\nread = ['a.***']", "more than two *"),
        ("version = 1\n[columns]\ndeny = ['a.b']", "columns.deny.0: "),
        ("version = 1\n[limits]\nsessions = 0", "limits.sessions: "),
        ("version = 1\n[limits]\nsessions = '5'", "limits.sessions: "),
        ("version = 1\n[limits]\nrows = 5", "limits.rows: unknown key"),
        ("version = 1\n[client]\nnetworks = ['10.0.0.1/8']", "client.networks.0: "),
        ("version = 1\n[client]\nrequire_tls = 1", "client.require_tls: "),
        ("version = 1\n[[client.hours]]\nzone = 'Mars'", "client.hours.0.zone: 'Mars' is no time"),
        ("version = 1\n[[client.hours]]\ndays = []", "client.hours.0.days: "),
        ("version = 1\n[[client.hours]]\ndays = ['someday']", "client.hours.0.days"),
        ("version = ", "the policy is not TOML"),
        ("x" * (MAX_DOCUMENT + 1), "at most"),
    ],
)
def test_an_error_names_its_place(document: str, error: str) -> None:
    with pytest.raises(PolicyError, match=error.replace("*", r"\*").replace("[", r"\[")):
        read_policy(document, "toml")


def test_json_may_say_nothing_twice() -> None:
    with pytest.raises(PolicyError, match="twice"):
        read_policy('{"version": 1, "access": "read-only", "access": "full"}', "json")
    with pytest.raises(PolicyError, match="not JSON"):
        read_policy("[" * 30_000, "json")


def test_what_is_stored_is_read_back_the_same() -> None:
    policy = read_policy(FULL, "toml")
    again = read_policy(policy.to_json(), "json")
    assert again == policy
    assert again.digest == policy.digest
    assert json.loads(policy.to_json())["version"] == 1


_POLICIES = st.builds(
    lambda access, features, allow, deny, read, sessions: policy_from(
        {
            "version": 1,
            "access": access,
            "features": features,
            "statements": {"allow": allow, "deny": deny},
            "tables": {"read": read, "write": read},
            "limits": {"sessions": sessions},
        }
    ),
    st.sampled_from(list(Access)),
    st.lists(st.sampled_from(list(Feature)), max_size=4),
    st.none() | st.lists(st.sampled_from(list(Kind)), max_size=4),
    st.lists(st.sampled_from(list(Kind)), max_size=2),
    st.none() | st.lists(st.sampled_from(["public.*", "*.orders", "app.users"]), max_size=2),
    st.none() | st.integers(1, 5),
)
_NAMES = st.frozensets(
    st.builds(Name, st.sampled_from(["", "public", "app"]), st.sampled_from(["orders", "users"])),
    max_size=2,
)
_FACTS = st.builds(
    StatementFacts,
    kind=st.sampled_from(list(Kind)),
    changes=st.sampled_from(["", "rows"]),
    forbidden=st.sampled_from(["", "", "", "a file"]),
    features=st.frozensets(st.sampled_from(list(Feature)), max_size=1),
    reads=_NAMES,
    writes=_NAMES,
)


@given(_POLICIES)
def test_any_policy_is_read_back_the_same(policy: Policy) -> None:
    assert read_policy(policy.to_json(), "json") == policy


@given(_POLICIES, _POLICIES, st.lists(_FACTS, max_size=2))
def test_what_holds_is_never_wider_than_either(
    one: Policy, other: Policy, statements: list[StatementFacts]
) -> None:
    facts = TextFacts(tuple(statements))
    both = EffectivePolicy.of(one, other)
    allowed = both.decide(facts, "public").is_allowed
    assert allowed == (
        decide(one, facts, "public").is_allowed and decide(other, facts, "public").is_allowed
    )
    said = [policy.limits.sessions for policy in (one, other) if policy.limits.sessions]
    assert both.limits.sessions == (min(said) if said else None)
    assert both.is_read_only == (one.is_read_only or other.is_read_only)
    assert both.digest != EffectivePolicy.of(other, one, one).digest


@given(_POLICIES, _FACTS)
def test_read_only_lets_nothing_change(policy: Policy, facts: StatementFacts) -> None:
    verdict = decide(policy, TextFacts((facts,)), "public")
    if policy.is_read_only and facts.changes:
        assert not verdict.is_allowed
    if facts.forbidden and policy.is_restricted:
        assert not verdict.is_allowed
    assert verdict.is_allowed or (verdict.rule and verdict.message)


@pytest.mark.parametrize(
    ("pattern", "names", "matches"),
    [
        ("public.*", ("public", "orders"), True),
        ("public.*", ("app", "orders"), False),
        ("*.ord*s", ("app", "orders"), True),
        ("*.ord*s", ("app", "ord"), False),
        ("*.a*b*", ("x", "a-b-"), True),
        ('public."a.b"', ("public", "a.b"), True),
        ('public."a*"', ("public", "ab"), False),
        ('public."a""b"', ("public", 'a"b'), True),
        ("public.a+", ("public", "aa"), False),
        ("public.orders", ("public", "Orders"), False),
        ("public.orders", ("public", "orders\n"), False),
        ("public.*", ("public", "two\nlines"), True),
    ],
)
def test_a_pattern_matches_whole_names(pattern: str, names: tuple[str, str], matches: bool) -> None:
    assert Pattern.parse(pattern, 2).matches(*names) is matches


def test_a_pattern_for_denying_may_match_whatever_the_case() -> None:
    assert Pattern.parse("public.users", 2).matches("PUBLIC", "Users", fold=True)


@pytest.mark.parametrize("text", ["", ".", "a..b", "a.", 'a."', "a b.c", "x" * 500, 'a."b'])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        Pattern.parse(text, 2)


def test_the_examples_of_the_documentation_are_policies() -> None:
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```toml\n")[1:]]
    assert len(blocks) >= 3
    for block in blocks:
        read_policy(block, "toml")
