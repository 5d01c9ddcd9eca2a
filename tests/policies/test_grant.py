from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.grant import (
    AUTHENTICATION_FAILED,
    UNKNOWN_SOURCE,
    ArrivalFacts,
    Grant,
    SourceFacts,
    TokenFacts,
    WorkspaceFacts,
    decide_access,
)
from protocols.errors import Reason, Refusal

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORKSPACE = WorkspaceFacts("w1", "active")
TOKEN = TokenFacts("t1", "w1", NOW + timedelta(days=1), is_revoked=False)
SOURCE = SourceFacts("s1", "w1")
ARRIVAL = ArrivalFacts(ip_address("198.51.100.7"), is_encrypted=True)


def decide(
    workspace: WorkspaceFacts | None = WORKSPACE,
    token: TokenFacts | None = TOKEN,
    source: SourceFacts | None = SOURCE,
    arrival: ArrivalFacts = ARRIVAL,
    now: datetime = NOW,
) -> Grant | Refusal:
    return decide_access(workspace, token, source, arrival, now=now)


def granted(answer: Grant | Refusal) -> Grant:
    assert isinstance(answer, Grant)
    return answer


def refused(answer: Grant | Refusal, reason: Reason) -> Refusal:
    assert isinstance(answer, Refusal)
    assert answer.reason is reason
    return answer


def test_an_own_live_token_opens_an_own_source():
    grant = granted(decide())
    assert (grant.workspace_id, grant.source_id, grant.token_id) == ("w1", "s1", "t1")
    assert grant.valid_until == TOKEN.expires_at
    assert grant.function_call
    assert not grant.replication


def test_a_grant_carries_what_the_source_allows():
    grant = granted(decide(source=replace(SOURCE, function_call=False, replication=True)))
    assert not grant.function_call
    assert grant.replication


def test_only_decide_access_makes_a_grant():
    for maker in (None, object(), "decide_access"):
        with pytest.raises(TypeError, match="only decide_access"):
            Grant("w1", "s1", "t1", None, True, True, maker)
    with pytest.raises(TypeError):
        Grant("w1", "s1", "t1", None, True, True)  # type: ignore[call-arg]


def test_a_grant_is_not_turned_into_another_one():
    grant = granted(decide())
    with pytest.raises(FrozenInstanceError):
        grant.source_id = "s2"  # type: ignore[misc]
    with pytest.raises(ValueError, match="made_by"):
        replace(grant, source_id="s2")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        replace(grant, source_id="s2", made_by=object())
    assert copy.copy(grant) == grant


def test_whatever_is_wrong_with_workspace_or_token_has_one_answer():
    answers = [
        decide(workspace=None),
        decide(workspace=None, token=None),
        decide(token=None),
        decide(token=replace(TOKEN, workspace_id="w2")),
        decide(token=replace(TOKEN, is_revoked=True)),
        decide(token=replace(TOKEN, expires_at=NOW)),
        decide(token=replace(TOKEN, expires_at=NOW - timedelta(days=400))),
    ]
    texts = {refused(answer, Reason.AUTHENTICATION_FAILED).public for answer in answers}
    assert texts == {AUTHENTICATION_FAILED}
    assert {answer.code for answer in answers if isinstance(answer, Refusal)} == {None}


def test_a_token_lives_to_its_last_moment_and_no_longer():
    end = NOW + timedelta(days=1)
    granted(decide(now=end - timedelta(microseconds=1)))
    refused(decide(now=end), Reason.AUTHENTICATION_FAILED)


def test_a_token_without_an_end_does_not_expire():
    grant = granted(decide(token=replace(TOKEN, expires_at=None)))
    assert grant.valid_until is None
    assert grant.is_valid_at(NOW + timedelta(days=36_500))


def test_a_grant_ends_with_its_token():
    grant = granted(decide())
    assert grant.is_valid_at(NOW)
    assert not grant.is_valid_at(NOW + timedelta(days=1))


def test_a_foreign_source_and_an_unknown_one_have_one_answer():
    foreign = refused(decide(source=replace(SOURCE, workspace_id="w2")), Reason.UNKNOWN_SOURCE)
    unknown = refused(decide(source=None), Reason.UNKNOWN_SOURCE)
    assert foreign.public == unknown.public == UNKNOWN_SOURCE


def test_a_foreign_source_that_is_switched_off_is_unknown_too():
    foreign = replace(SOURCE, workspace_id="w2", state="off")
    assert refused(decide(source=foreign), Reason.UNKNOWN_SOURCE).public == UNKNOWN_SOURCE


def test_the_source_is_not_spoken_of_before_the_token_is_proved():
    answer = decide(token=replace(TOKEN, is_revoked=True), source=None)
    refused(answer, Reason.AUTHENTICATION_FAILED)


@pytest.mark.parametrize("state", ["suspended", "deleted", "", "ACTIVE"])
def test_only_an_active_workspace_opens_anything(state: str):
    refused(decide(workspace=replace(WORKSPACE, state=state)), Reason.NOT_PERMITTED)


@pytest.mark.parametrize("state", ["off", "", "ACTIVE"])
def test_only_an_active_source_opens(state: str):
    refused(decide(source=replace(SOURCE, state=state)), Reason.NOT_PERMITTED)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_plaintext_is_accepted_from_loopback(address: str):
    granted(decide(arrival=ArrivalFacts(ip_address(address), is_encrypted=False)))


@pytest.mark.parametrize("address", ["10.0.0.1", "198.51.100.7", "2001:db8::1", "::ffff:10.0.0.1"])
def test_plaintext_from_elsewhere_needs_the_listeners_leave(address: str):
    arrival = ArrivalFacts(ip_address(address), is_encrypted=False)
    refused(decide(arrival=arrival), Reason.TLS_REQUIRED)
    refused(decide(workspace=None, arrival=arrival), Reason.TLS_REQUIRED)
    granted(decide(arrival=replace(arrival, allows_plaintext=True)))


IDS = st.sampled_from(["a", "b"])
STATES = st.sampled_from(["active", "suspended"])
TIMES = st.none() | st.integers(-2, 2).map(lambda days: NOW + timedelta(days=days))


@given(
    st.none() | st.builds(WorkspaceFacts, IDS, STATES),
    st.none() | st.builds(TokenFacts, IDS, IDS, TIMES, st.booleans()),
    st.none() | st.builds(SourceFacts, IDS, IDS, STATES),
    st.builds(ArrivalFacts, st.ip_addresses(), st.booleans(), st.booleans()),
)
def test_a_grant_is_given_only_where_everything_is_right(
    workspace: WorkspaceFacts | None,
    token: TokenFacts | None,
    source: SourceFacts | None,
    arrival: ArrivalFacts,
):
    answer = decide(workspace, token, source, arrival)
    if isinstance(answer, Refusal):
        return
    assert workspace is not None
    assert token is not None
    assert source is not None
    assert workspace.state == source.state == "active"
    assert workspace.id == token.workspace_id == source.workspace_id == answer.workspace_id
    assert not token.is_revoked
    assert token.expires_at is None or token.expires_at > NOW
    assert (answer.source_id, answer.token_id) == (source.id, token.id)
