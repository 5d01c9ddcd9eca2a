"""What a pattern takes at once is what is read and accepted field by field, no more and no else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.content.csvpatterns import (
    MOST_COLUMNS,
    Guesser,
    guessed_pattern,
    harmless_pattern,
    known_pattern,
)
from proxy.content.csvtext import MAX_RECORD, CsvReader, Line, Run, neutralised, written
from proxy.content.csvtypes import guesses, problem_of

KINDS = (
    *("int2", "smallint", "mediumint", "int4", "int", "int8", "bigint", "numeric", "decimal"),
    *("float4", "float8", "float", "double", "bool", "tinyint", "date", "datetime", "text"),
    *("timestamp", "varchar"),
)
LIKELY = st.sampled_from(
    [
        *("0", "-1", "+7", "99", "100", "9999", "10000", "999999", "9" * 9, "9" * 10, "9" * 18),
        *("9" * 19, "-" + "9" * 18, "007", "1.5", "-0", "-0.25", "1.", ".5", "1e5", "1e", "NaN"),
        *("true", "FALSE", "t", "yes", "2", "2026-05-04", "2026-02-28", "2026-02-29", "2024-02-29"),
        *("2026-02-30", "2026-04-31", "2026-12-31", "2026-00-10", "2026-01-00", "0000-01-01"),
        *("2026-05-04 12:30", "2026-05-04T12:30:15.5", "2026-05-04 24:00", "2026-05-04 12:60"),
        *("", " 1", "1 ", "\\.", "\\", "x", "a,b", 'a"b', "a\nb", "a\r\nb", "\r"),
        *("\u00e9", "\ufffd"),
    ]
)
FIELD = st.none() | LIKELY | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
ENDS = st.sampled_from([b"\n", b"\r\n"])


def pieces(reader: CsvReader, data: bytes, size: int) -> list[Line | Run]:
    found: list[Line | Run] = []
    for at in range(0, len(data), size):
        found += reader.pieces(data[at : at + size])
    return found + list(reader.pieces(b"", is_last=True))


def exploded(found: list[Line | Run]) -> list[Line]:
    lines: list[Line] = []
    for piece in found:
        if isinstance(piece, Run):
            assert piece.rows == len(piece.lines())
            lines += piece.lines()
        else:
            lines.append(piece)
    return lines


@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    st.lists(st.lists(FIELD, min_size=1, max_size=4), max_size=8),
    ENDS,
    ENDS,
    st.integers(1, 60),
)
def test_a_run_has_lines_that_each_are_read_and_accepted(
    kinds: list[str], rows: list[list[str | None]], end: bytes, other: bytes, size: int
):
    data = b"".join(written(row, line_end=end if n % 3 else other) for n, row in enumerate(rows))
    reader = CsvReader()
    reader.pattern = known_pattern(kinds, end)
    found = pieces(reader, data, size)
    assert exploded(found) == exploded(list(CsvReader().feed(data, is_last=True)))
    for piece in found:
        if isinstance(piece, Run):
            for line in piece.lines():
                for value, kind in zip(line.fields, kinds, strict=True):
                    assert problem_of(value, kind, "x") is None


@given(st.binary(max_size=300), ENDS, st.integers(1, 60), st.integers(1, 3))
@example(b'1,"\xff\n"\n2,\xff\n3,x\n', b"\n", 60, 2)
@example(b"\xef\xbb\xbfa,b\n", b"\n", 2, 2)
def test_any_bytes_are_the_same_lines_with_a_pattern(
    data: bytes, end: bytes, size: int, count: int
):
    reader = CsvReader()
    reader.pattern = known_pattern(["text"] * count, end)
    assert exploded(pieces(reader, data, size)) == list(CsvReader().feed(data, is_last=True))


@given(st.lists(st.lists(FIELD, min_size=2, max_size=3), max_size=12), ENDS)
def test_a_guess_with_patterns_is_that_of_every_value(rows: list[list[str | None]], end: bytes):
    data = b"".join(written(row, line_end=end) for row in rows)
    plain = guesses(2)
    for line in CsvReader().feed(data, is_last=True):
        if len(line.fields) == 2:
            for guess, value in zip(plain, line.fields, strict=True):
                guess.see(value)
    reader = CsvReader()
    guesser = Guesser(2, reader)
    for piece in reader.pieces(data, is_last=True):
        guesser.see(piece)
        # As late as a guesser may be, and as early.
        reader.pattern = guessed_pattern(guesser.guesses, end)
    for engine in ("postgresql", "mysql"):
        assert [one.type_name(engine) for one in guesser.guesses] == [
            one.type_name(engine) for one in plain
        ]


@given(
    st.lists(st.sampled_from(("int4", "numeric", "text")), min_size=1, max_size=3),
    st.lists(st.lists(FIELD, min_size=1, max_size=3), max_size=8),
)
def test_what_is_called_harmless_is_as_it_would_be_written(
    kinds: list[str], rows: list[list[str | None]]
):
    are_numbers = [kind != "text" for kind in kinds]
    data = b"".join(written(row[:1] * len(kinds), line_end=b"\n") for row in rows)
    reader = CsvReader()
    reader.pattern = harmless_pattern(kinds)
    for piece in pieces(reader, data, 100):
        if isinstance(piece, Run):
            again = [neutralised(line, are_numbers) for line in piece.lines()]
            assert piece.data.replace(b"\n", b"\r\n") == b"".join(again)


def test_a_good_file_is_runs_but_for_what_a_chunk_cuts():
    data = b"".join(b'%d,"text, %d",2026-05-04\r\n' % (n, n) for n in range(20_000))
    reader = CsvReader()
    reader.pattern = known_pattern(["int4", "text", "date"], b"\r\n")
    found = pieces(reader, data, 65_536)
    assert len(found) < 3 * (len(data) // 65_536 + 1)
    assert sum(piece.rows for piece in found if isinstance(piece, Run)) > 19_900


def test_a_guessed_file_is_runs_when_its_types_have_shown():
    data = b"".join(b"%d,%d.5,true,x\n" % (n, n) for n in range(20_000))
    reader = CsvReader()
    guesser = Guesser(4, reader)
    found = []
    for at in range(0, len(data), 65_536):
        for piece in reader.pieces(data[at : at + 65_536]):
            guesser.see(piece)
            found.append(piece)
    assert len(found) < 2_000
    assert [guess.type_name("mysql") for guess in guesser.guesses] == [
        "bigint",
        "decimal(6,1)",
        "boolean",
        "longtext",
    ]


def test_a_run_is_of_bounded_size_however_much_comes_at_once():
    data = b"1\n" * 200_000
    reader = CsvReader()
    reader.pattern = known_pattern(["int4"], b"\n")
    found = pieces(reader, data, len(data))
    assert sum(piece.rows if isinstance(piece, Run) else 1 for piece in found) == 200_000
    assert max(piece.rows for piece in found if isinstance(piece, Run)) <= 32_768


def test_a_line_that_is_too_long_is_in_no_run():
    data = b"1,%b\n" % (b"x" * MAX_RECORD) + b"2,y\n"
    reader = CsvReader()
    reader.pattern = known_pattern(["int4", "text"], b"\n")
    first, second = exploded(pieces(reader, data, len(data)))
    assert (bool(first.problem), second.fields) == (True, ("2", "y"))


@pytest.mark.parametrize("columns", [MOST_COLUMNS, MOST_COLUMNS + 1])
def test_so_many_columns_have_a_pattern(columns: int):
    assert (known_pattern(["int4"] * columns, b"\n") is None) is (columns > MOST_COLUMNS)
