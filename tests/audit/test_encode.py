import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.statements import Kind, Outcome, Via
from protocols.values import BoundValue, BoundValues
from proxy.audit.chain import Link, parse_link
from proxy.audit.encode import (
    SessionFragments,
    encode_event,
    encode_recovered,
    encode_session,
    encode_statement,
    is_plain,
)
from proxy.audit.expand import FileLines, record_of
from proxy.audit.json_text import MAXIMUM_STRING
from proxy.audit.line import join_statement
from proxy.audit.ocsf import Event, EventClass
from tests.audit.rig import NOON, context, finish, statement
from tests.audit.schema import problems

PREV = "ab" * 32
FRAGMENTS = SessionFragments.of(context())
SESSION = encode_session(context(), 6, PREV)


def read(*lines):
    """What the last of a file's lines is as a record."""
    reader = FileLines()
    taken = [reader.take(line) for line in lines]
    assert taken[-1] is not None
    return record_of(taken[-1])


def encoded(made, **changes):
    line = encode_statement(FRAGMENTS, made, 7, PREV, NOON - 1000.0, **changes)
    return line.decode(), read(SESSION, line)


@given(st.binary(max_size=300))
def test_any_text_is_one_ascii_line_that_reads_back(text):
    made = finish(statement(text))
    line, record = encoded(made)
    assert line.isascii()
    assert line.isprintable()
    shown = record["query_info"]["query_string"]
    try:
        assert shown == text.decode()
        assert "is_text_lossy" not in record["unmapped"]
    except UnicodeDecodeError:
        assert shown == text.decode("utf-8", "backslashreplace")
        assert record["unmapped"]["is_text_lossy"] is True
    link = parse_link(line.encode())
    assert link is not None
    assert link == Link(7, PREV, "s1/0", session="s1")


@pytest.mark.parametrize(
    "text",
    [
        b'"}}\n{"metadata":{"sequence":1}}',
        b'","prev":"' + b"0" * 64 + b'"}}',
        b"\x1b[2J\x00\r\n\x7f",
        b"\xed\xa0\x80 lone surrogate",
        "\u202e\u2028 right to left".encode(),
    ],
)
def test_a_text_cannot_forge_a_line_or_drive_a_terminal(text):
    line, record = encoded(finish(statement(text)))
    assert line.count("\n") == 0
    assert line.isprintable()
    assert record["metadata"]["sequence"] == 7
    assert record["unmapped"]["prev"] == PREV


@given(kind=st.sampled_from(Kind), via=st.sampled_from(Via), outcome=st.sampled_from(Outcome))
def test_every_kind_via_and_outcome_makes_a_valid_event(kind, via, outcome):
    made = finish(statement(), outcome)
    made.kind, made.via = kind, via
    _, record = encoded(made)
    assert problems(record) == []
    assert record["unmapped"]["kind"] == kind
    assert record["unmapped"]["via"] == via
    assert record["unmapped"]["outcome"] == outcome
    assert record["action_id"] == (2 if outcome is Outcome.REFUSED else 1)


def test_a_record_holds_what_happened():
    made = finish(statement(b"COPY t FROM STDIN"), Outcome.FAILED)
    made.kind, made.code, made.bytes_in, made.bytes_out = Kind.COPY, "22P04", 99, 12
    made.name, made.number, made.tag = b"p1", 3, b""
    _, record = encoded(made)
    assert record["status_code"] == "22P04"
    assert record["status_id"] == 2
    assert record["time"] == int((NOON + 1) * 1000)
    assert record["duration"] == 250
    assert record["query_info"] == {
        "query_string": "COPY t FROM STDIN",
        "uid": "s1/3",
        "bytes": 12,
    }
    extra = record["unmapped"]
    assert extra["bytes_in"] == 99
    assert extra["name"] == "p1"
    assert extra["client_tls"]["version"] == "TLSv1.3"
    assert extra["upstream_tls"]["version"] == "TLSv1.2"
    assert record["actor"]["user"]["uid"] == "tok-1"
    assert record["actor"]["app_name"] == "psql"
    assert record["metadata"]["tenant_uid"] == "w-1"


@given(st.binary(max_size=80))
def test_a_plain_text_is_one_that_needs_no_escape(text):
    shown = text.decode("latin-1")
    assert is_plain(text) == (json.dumps(shown) == f'"{shown}"')


NUMBERS = st.integers(-(2**63), 2**63 - 1)


@given(
    made=st.builds(finish, st.builds(statement, st.binary(max_size=50).filter(is_plain))),
    numbers=st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.just(0) | NUMBERS),
    tag=st.sampled_from([b"", b"SELECT 1", b"INSERT 0 9999999"]),
)
def test_a_line_is_the_one_that_plain_python_joins(made, numbers, tag):
    sequence, made.number, made.rows, made.bytes_out, made.bytes_in = numbers
    made.tag = tag
    expected = join_statement(
        sequence,
        ',"statement":"s1/',
        made.number,
        int((NOON + 1) * 1000),
        250_000,
        ',"kind":"select","via":"simple","rows":',
        made.rows,
        made.bytes_out,
        f',"tag":"{tag.decode()}"' if tag else "",
        made.bytes_in,
        "",
        made.text,
        PREV,
    )
    assert encode_statement(FRAGMENTS, made, sequence, PREV, NOON - 1000.0) == expected


def test_what_is_not_ascii_is_no_part_of_a_line():
    with pytest.raises(ValueError, match=r"ascii|ASCII"):
        encode_statement(FRAGMENTS, finish(statement()), 7, "\xe9", NOON)


def test_every_byte_that_is_not_plain_is_seen_wherever_it_stands():
    plain = bytes(set(range(0x20, 0x7F)) - {0x22, 0x5C})
    assert is_plain(plain)
    assert is_plain(b"")
    for byte in set(range(256)) - set(plain):
        for place in range(40):
            assert not is_plain(b"x" * place + bytes([byte]) + b"x" * (40 - place))


def test_bound_values_are_text_null_or_hex_with_the_type():
    made = finish(statement())
    assert "parameters" not in encoded(made)[0]
    made.values = BoundValues(
        (
            BoundValue(b'4111 "1111"', 11, is_binary=False, type=25),
            BoundValue(None, 0, is_binary=False, type=0),
            BoundValue(b"\0\0\0\x2a", 4, is_binary=True, type=23),
            BoundValue(b"\0", 1, is_binary=True, type=0),
            BoundValue(b"\xffab", 2_000, is_binary=False, type=0),
            BoundValue(b"\1", 9_000, is_binary=True, type=17),
            BoundValue(None, 0, is_binary=False, type=252, is_separate=True),
        ),
        count=9,
    )
    extra = encoded(made)[1]["unmapped"]
    assert extra["parameters"] == [
        '4111 "1111"',
        None,
        {"hex": "0000002a", "type": 23},
        {"hex": "00"},
        {"text": "\\xffab", "length": 2_000},
        {"hex": "01", "type": 17, "length": 9_000},
        {"long_data": True},
    ]
    assert extra["parameters_count"] == 9
    made.values = BoundValues((), count=0)
    assert encoded(made)[1]["unmapped"]["parameters"] == []
    assert "parameters_count" not in encoded(made)[0]


def test_a_copy_into_a_table_is_a_write_and_one_out_of_it_a_query():
    made = finish(statement())
    made.kind = Kind.COPY
    assert encoded(made)[1]["activity_id"] == 4
    made.bytes_in = 10
    assert encoded(made)[1]["activity_id"] == 5


def test_a_recovered_statement_is_a_valid_event_of_unknown_outcome():
    line = encode_recovered(context(), 9, NOON, b"DELETE FROM t\xff", 4000, 7, PREV)
    record = json.loads(line)
    assert problems(record) == []
    assert record["status_id"] == 0
    assert record["unmapped"]["outcome"] == "interrupted"
    assert record["unmapped"]["is_recovered"] is True
    assert record["unmapped"]["text_length"] == 4000


def test_an_events_strings_are_bounded_and_free_of_lone_surrogates():
    event = Event(
        EventClass.ENTITY_MANAGEMENT,
        1,
        attributes={"entity": {"name": "\ud800" + "x" * 20_000}},
    )
    name = json.loads(encode_event(event, 1, PREV, NOON))["entity"]["name"]
    assert name.startswith("\\ud800xxx")
    assert len(name) < MAXIMUM_STRING + 10


@pytest.mark.parametrize("value", [b"bytes", object(), {1, 2}, float("nan")])
def test_an_event_that_is_not_json_is_refused(value):
    event = Event(EventClass.ENTITY_MANAGEMENT, 1, extra={"value": value})
    with pytest.raises((TypeError, ValueError)):
        encode_event(event, 1, PREV, NOON)


def test_what_is_no_command_tag_is_not_written_down():
    made = finish(statement(b"SELECT 1"))
    made.tag = b"hunter2-password"
    assert encoded(made)[1]["unmapped"]["tag"] == "?"
    made.tag = b"INSERT 0 5"
    assert encoded(made)[1]["unmapped"]["tag"] == "INSERT 0 5"
