from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.content.csvtext import (
    MAX_RECORD,
    CsvReader,
    Line,
    neutralised,
    written,
)
from proxy.content.csvtypes import check_header, guesses, problem_of

FIELD = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0\ufffd"))
ROW = st.lists(FIELD, min_size=2, max_size=5)


def read(data: bytes, size: int = 1 << 20) -> list[Line]:
    reader = CsvReader()
    lines: list[Line] = []
    for at in range(0, len(data), size):
        lines += reader.feed(data[at : at + size])
    return lines + list(reader.feed(b"", is_last=True))


@given(st.lists(ROW, max_size=6), st.integers(1, 40))
def test_what_is_written_is_read_however_it_is_cut(rows: list[list[str | None]], size: int):
    data = b"".join(map(written, rows))
    assert [list(line.fields) for line in read(data, size)] == rows


@given(st.lists(st.lists(st.text(), min_size=2, max_size=4), max_size=5))
def test_another_reader_reads_what_is_written(rows: list[list[str]]):
    data = b"".join(written(row) for row in rows)
    assert list(csv.reader(io.StringIO(data.decode(), newline=""))) == rows


@given(st.binary(max_size=200), st.integers(1, 40))
def test_any_bytes_are_lines_and_the_cut_does_not_matter(data: bytes, size: int):
    assert read(data, size) == read(data)


def test_null_and_the_empty_text_are_two_things():
    assert written([None, "", "a"]) == b',"",a\r\n'
    assert read(b',"",a\n') == [Line(1, (None, "", "a"))]


def test_lines_are_counted_with_those_inside_texts():
    lines = read(b'a,"b\r\nc"\r\nd,e\nf,g')
    assert lines == [Line(1, ("a", "b\r\nc")), Line(3, ("d", "e")), Line(4, ("f", "g"))]


@pytest.mark.parametrize(
    "bad", [b'a,b"c', b'a,"b"c', b'"a" ,b', b"a,\xff", b"a,\0", b",".join([b"x"] * 1601)]
)
def test_a_bad_line_is_told_and_the_next_is_read(bad: bytes):
    lines = read(b"1,2\n" + bad + b"\n3,4\n")
    assert [line.number for line in lines if line.problem] == [2]
    assert lines[-1] == Line(3, ("3", "4"))


def test_a_quote_that_is_not_closed_costs_its_line():
    lines = read(b'1,2\n3,"4\n5,6\n7,8')
    assert [(line.number, bool(line.problem)) for line in lines] == [
        (1, False),
        (2, True),
        (3, False),
        (4, False),
    ]


def test_in_a_long_file_it_costs_its_line_too():
    count = MAX_RECORD // 90
    rest = b"5,%b\n" % (b"x" * 100) * count
    lines = read(b'1,2\n3,"4\n' + rest, 65_536)
    assert [line.number for line in lines if line.problem] == [2]
    assert len(lines) == 2 + count


def test_a_line_without_an_end_is_given_up():
    lines = read(b"x" * (3 * MAX_RECORD) + b"\n1\n", 65_536)
    assert lines[0].problem
    assert lines[-1].fields == ("1",)


def test_a_mark_at_the_beginning_is_passed_over():
    assert read(b"\xef\xbb\xbfa,b\n") == [Line(1, ("a", "b"))]


def test_copys_end_mark_is_quoted():
    assert written(["\\."]) == b'"\\."\r\n'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_formulas_are_made_harmless_on_request(text: str):
    assert read(written([text, "a"]))[0].fields == (text, "a")
    assert read(written([text, "a"], neutralise=True))[0].fields == ("'" + text, "a")
    line = Line(1, (text, None, "-5"))
    assert read(neutralised(line, [False, False, True]))[0].fields == ("'" + text, None, "-5")


def test_a_number_is_no_formula():
    assert written([-5, -1.5, True, b"\x01"], neutralise=True) == b"-5,-1.5,true,\\x01\r\n"


@pytest.mark.parametrize(
    ("values", "postgres", "mysql"),
    [
        (["1", None, "-2"], "bigint", "bigint"),
        (["1", "2.50"], "numeric", "decimal(3,2)"),
        (["007", "1"], "text", "longtext"),
        (["9223372036854775808"], "numeric", "decimal(19,0)"),
        (["true", "FALSE"], "boolean", "boolean"),
        (["2026-05-04"], "date", "date"),
        (["2026-05-04 12:30", "2026-05-04T12:30:15.5"], "timestamp", "datetime(6)"),
        (["2026-02-30"], "text", "longtext"),
        (["1", "x"], "text", "longtext"),
        (["", "1"], "text", "longtext"),
        ([None], "text", "longtext"),
        (["1" * 65 + "." + "1" * 30], "numeric", "longtext"),
    ],
)
def test_the_narrowest_type_of_all_values_is_found(
    values: list[str | None], postgres: str, mysql: str
):
    (guess,) = guesses(1)
    for value in values:
        guess.see(value)
    assert (guess.type_name("postgresql"), guess.type_name("mysql")) == (postgres, mysql)


@pytest.mark.parametrize(
    ("value", "kind", "is_good"),
    [
        ("12", "int4", True),
        ("2147483648", "int4", False),
        ("12.5", "int8", False),
        ("1e5", "numeric", True),
        ("x", "float8", False),
        ("yes", "bool", True),
        ("2", "bool", False),
        ("2026-05-04", "date", True),
        ("2026-13-01", "date", False),
        ("x", "text", True),
        ("anything", "point", True),
        (None, "int4", True),
    ],
)
def test_a_value_is_checked_by_its_columns_type(value: str | None, kind: str, is_good: bool):
    assert (problem_of(value, kind, "n") is None) is is_good


@pytest.mark.parametrize("names", [("a", "a"), ("",), (None, "b"), ("x" * 64,), ("a\x07",)])
def test_a_header_names_each_column_once(names: tuple[str | None, ...]):
    with pytest.raises(ValueError, match=r"first line"):
        check_header(names)
