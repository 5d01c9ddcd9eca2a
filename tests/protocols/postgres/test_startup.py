from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import Reason, Refusal
from protocols.interface import Arrival
from protocols.postgres.messages import NegotiateProtocolVersion, StartupMessage
from protocols.postgres.startup import arrival_of, check_major, negotiate


def arrive(*pairs: tuple[bytes, bytes], user: bytes | None = b"finance") -> Arrival:
    first = () if user is None else ((b"user", user),)
    return arrival_of(StartupMessage((3, 0), (*first, *pairs)), (3, 0), True)


def test_user_and_database_are_workspace_and_source():
    arrival = arrive((b"database", b"orders"), (b"application_name", b"psql"))
    assert (arrival.workspace, arrival.source) == ("finance", "orders")
    assert arrival.application_name == "psql"
    assert arrival.parameters == {"application_name": "psql"}
    assert arrival.is_encrypted


@pytest.mark.parametrize("pairs", [(), ((b"database", b""),)])
def test_a_database_that_is_not_given_is_the_user(pairs):
    assert arrive(*pairs).source == "finance"


@pytest.mark.parametrize("user", [None, b""])
def test_a_session_needs_a_user(user: bytes | None):
    with pytest.raises(Refusal, match="no PostgreSQL user name") as caught:
        arrive(user=user)
    assert caught.value.code == "28000"


@pytest.mark.parametrize("name", [b"user", b"database", b"options", b"replication"])
def test_what_steers_the_connection_may_not_come_twice(name: bytes):
    pairs = ((name, b""), (name, b"")) if name != b"user" else ((b"user", b"other"),)
    with pytest.raises(Refusal, match="given twice") as caught:
        arrive(*pairs)
    assert caught.value.reason is Reason.PROTOCOL_VIOLATION


@pytest.mark.parametrize(
    ("name", "value"), [(b"user", b"\xff"), (b"database", b"\xc3"), (b"search_path", b"\xfe")]
)
def test_what_is_not_utf8_is_refused(name: bytes, value: bytes):
    with pytest.raises(Refusal, match="not valid UTF-8"):
        arrive((name, value), user=None if name == b"user" else b"finance")


@pytest.mark.parametrize("name", [b"user", b"database"])
@pytest.mark.parametrize("value", [b"a\nb", b"a\x1b", "a\u2028b".encode(), "a\u202eb".encode()])
def test_a_name_that_could_forge_a_line_of_a_log_is_refused(name: bytes, value: bytes):
    with pytest.raises(Refusal, match="not printable"):
        arrive((name, value), user=None if name == b"user" else b"finance")


@pytest.mark.parametrize("name", [b"user", b"database"])
def test_names_have_at_most_128_bytes(name: bytes):
    user = None if name == b"user" else b"finance"
    arrival = arrive((name, "\u00e9".encode() * 64), user=user)
    assert "\u00e9" * 64 in (arrival.workspace, arrival.source)
    with pytest.raises(Refusal, match="longer than 128 bytes"):
        arrive((name, "\u00e9".encode() * 64 + b"x"), user=user)


@pytest.mark.parametrize("value", [b"on", b"true", b"1", b"database", b"DATABASE", b"", b"o", b"x"])
def test_replication_is_refused(value: bytes):
    with pytest.raises(Refusal, match="replication") as caught:
        arrive((b"replication", value))
    assert caught.value.reason is Reason.NOT_PERMITTED


@pytest.mark.parametrize("value", [b"off", b"OFF", b"false", b"f", b"no", b"0"])
def test_replication_switched_off_is_no_replication(value: bytes):
    assert arrive((b"replication", value)).parameters == {}


def test_a_parameter_wins_over_the_same_one_within_options():
    arrival = arrive((b"search_path", b"a"), (b"options", b"-c search_path=b -c geqo=off"))
    assert arrival.parameters == {"search_path": "a", "geqo": "off"}


def test_the_last_of_several_equal_settings_wins_whatever_its_case():
    assert arrive((b"TimeZone", b"UTC"), (b"timezone", b"CET")).parameters == {"TimeZone": "CET"}


@pytest.mark.parametrize("pair", [(b"role", b"x"), (b"options", b"-c role=x"), (b"USER", b"x")])
def test_a_setting_that_is_not_permitted_ends_the_login(pair: tuple[bytes, bytes]):
    with pytest.raises(Refusal, match="not permitted"):
        arrive(pair)


def test_protocol_extensions_do_not_reach_the_data_source():
    assert arrive((b"_pq_.grease", b"1")).parameters == {}


def test_an_application_name_for_logs_is_bounded_and_printable():
    arrival = arrive((b"application_name", b"x\n" + b"y" * 500))
    assert arrival.application_name == "x?" + "y" * 61
    assert len(arrival.parameters["application_name"]) == 502


@pytest.mark.parametrize(
    ("asked", "granted", "is_told"),
    [
        ((3, 0), (3, 0), False),
        ((3, 1), (3, 0), True),
        ((3, 2), (3, 2), False),
        ((3, 3), (3, 2), True),
        ((3, 9999), (3, 2), True),
        ((3, 65535), (3, 2), True),
    ],
)
def test_a_version_is_granted_or_negotiated_down(asked, granted, is_told: bool):
    version, answer = negotiate(StartupMessage(asked, ()))
    assert version == granted
    assert answer == (NegotiateProtocolVersion(granted) if is_told else None)


def test_protocol_extensions_are_declined_by_name():
    message = StartupMessage((3, 0), ((b"_pq_.b", b""), (b"user", b"x"), (b"_pq_.a", b"1")))
    assert negotiate(message)[1] == NegotiateProtocolVersion((3, 0), (b"_pq_.b", b"_pq_.a"))


@pytest.mark.parametrize("version", [(0, 0), (1, 0), (2, 0), (4, 0), (1234, 5681), (65535, 65535)])
def test_another_major_version_is_refused_in_postgresql_words(version: tuple[int, int]):
    with pytest.raises(Refusal, match=r"server supports 3\.0 to 3\.2") as caught:
        check_major(version)
    assert caught.value.reason is Reason.UNSUPPORTED


names = st.sampled_from([b"user", b"database", b"options", b"replication", b"_pq_.x", b"geqo"])


@given(st.lists(st.tuples(names | st.binary(max_size=9), st.binary(max_size=40)), max_size=6))
def test_any_parameters_make_an_arrival_or_a_refusal(pairs: list[tuple[bytes, bytes]]):
    said = ""
    try:
        arrival = arrival_of(StartupMessage((3, 0), tuple(pairs)), (3, 0), False)
        assert arrival.workspace
        assert arrival.source
    except Refusal as refusal:
        said = refusal.public
    assert said.isprintable()
