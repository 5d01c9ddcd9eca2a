from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.content.sqltext import SqlTextError, bind, unmatched

POSTGRES = [
    ("SELECT :a", "SELECT $1", ["a"]),
    ("SELECT :a, :b, :a", "SELECT $1, $2, $3", ["a", "b", "a"]),
    ("SELECT :a::date", "SELECT $1::date", ["a"]),
    ("SELECT 'it''s :a', :b", "SELECT 'it''s :a', $1", ["b"]),
    (r"SELECT E'\' :a', :b", r"SELECT E'\' :a', $1", ["b"]),
    (r"SELECT '\', :b", r"SELECT '\', $1", ["b"]),
    ('SELECT ":a", :b', 'SELECT ":a", $1', ["b"]),
    ("SELECT $$ :a $$, :b", "SELECT $$ :a $$, $1", ["b"]),
    ("SELECT $x$ $$ :a $$ $x$, :b", "SELECT $x$ $$ :a $$ $x$, $1", ["b"]),
    ("SELECT 1 -- :a\n, :b", "SELECT 1 -- :a\n, $1", ["b"]),
    ("SELECT /* /* :a */ :a */ :b", "SELECT /* /* :a */ :a */ $1", ["b"]),
    ("SELECT f(x := :a)", "SELECT f(x := $1)", ["a"]),
    ("SELECT a[1:2], a$b, type'x' FROM t", "SELECT a[1:2], a$b, type'x' FROM t", []),
    ("SELECT data ? 'k', :a", "SELECT data ? 'k', $1", ["a"]),
]
MYSQL = [
    ("SELECT :a", "SELECT ?", ["a"]),
    ("SELECT :a, :a", "SELECT ?, ?", ["a", "a"]),
    (r"SELECT 'it\' :a', :b", r"SELECT 'it\' :a', ?", ["b"]),
    ('SELECT "it\\" :a", :b', 'SELECT "it\\" :a", ?', ["b"]),
    ("SELECT `:a`, :b", "SELECT `:a`, ?", ["b"]),
    ("SELECT 1 # :a\n, :b", "SELECT 1 # :a\n, ?", ["b"]),
    ("SELECT 1 -- :a\n, :b", "SELECT 1 -- :a\n, ?", ["b"]),
    ("SELECT 1--:b", "SELECT 1--?", ["b"]),
    ("SELECT /* :a */ :b", "SELECT /* :a */ ?", ["b"]),
    ("SELECT @x := :a", "SELECT @x := ?", ["a"]),
    ("SELECT doc->'$.a:b', :b", "SELECT doc->'$.a:b', ?", ["b"]),
]


@pytest.mark.parametrize(("written", "sent", "names"), POSTGRES)
def test_names_become_postgresqls_placeholders(written: str, sent: str, names: list[str]):
    found = bind(written, "postgresql")
    assert (found.text, list(found.names)) == (sent, names)


@pytest.mark.parametrize(("written", "sent", "names"), MYSQL)
def test_names_become_mysqls_placeholders(written: str, sent: str, names: list[str]):
    found = bind(written, "mysql")
    assert (found.text, list(found.names)) == (sent, names)


@pytest.mark.parametrize(
    ("engine", "text", "says"),
    [
        ("postgresql", "SELECT $1", r"\$1"),
        ("mysql", "SELECT ?", r"\?"),
        ("mysql", "SELECT /*!50000 :a */ 1", "executable"),
        ("mysql", "SELECT /*M! 1 */", "executable"),
        ("postgresql", "SELECT 'open", "quoted text"),
        ("postgresql", "SELECT $a$ :b $b$", "quoted text"),
        ("postgresql", 'SELECT "open', "quoted text"),
        ("postgresql", "SELECT /* /* */ 1", "comment"),
        ("mysql", "SELECT /* 1", "comment"),
        ("mysql", "SELECT `open", "quoted text"),
        ("mysql", "SELECT 'a\0b'", "NUL"),
        ("mysql", "SELECT " + ", ".join([":a"] * 1001), "1000 parameters"),
    ],
)
def test_what_cannot_be_told_is_refused(engine: str, text: str, says: str):
    with pytest.raises(SqlTextError, match=says):
        bind(text, engine)


# Pieces whose boundaries are known, and what each becomes.
_INNER = st.text("ab:'\"` \\-#*/$\n?", max_size=8)
_POSTGRES_PIECES = st.one_of(
    _INNER.map(lambda s: ("'" + s.replace("'", "''") + "'", None)),
    _INNER.map(lambda s: ('"' + s.replace('"', '""') + '"', None)),
    _INNER.map(lambda s: ("$q$" + s + "$q$", None)),
    _INNER.map(lambda s: ("--" + s.replace("\n", "") + "\n", None)),
    _INNER.map(lambda s: ("/*" + s.replace("*", "").replace("/", "") + "*/", None)),
    st.sampled_from([("::int", None), ("SELECT", None), (", ", None), ("a := 1", None)]),
    st.sampled_from("abc").map(lambda name: (f":{name}", name)),
)
_MYSQL_PIECES = st.one_of(
    _INNER.map(lambda s: ("'" + s.replace("\\", "\\\\").replace("'", "\\'") + "'", None)),
    _INNER.map(lambda s: ('"' + s.replace("\\", "\\\\").replace('"', '""') + '"', None)),
    _INNER.map(lambda s: ("`" + s.replace("`", "``") + "`", None)),
    _INNER.map(lambda s: ("-- " + s.replace("\n", "") + "\n", None)),
    _INNER.map(lambda s: ("#" + s.replace("\n", "") + "\n", None)),
    _INNER.map(lambda s: ("/*" + s.replace("*", "").replace("/", "") + "*/", None)),
    st.sampled_from([("SELECT", None), (", ", None), ("@a := 1", None)]),
    st.sampled_from("abc").map(lambda name: (f":{name}", name)),
)


@given(st.lists(_POSTGRES_PIECES, max_size=12))
def test_only_what_is_code_is_a_parameter_in_postgresql(pieces: list[tuple[str, str | None]]):
    _check(pieces, "postgresql")


@given(st.lists(_MYSQL_PIECES, max_size=12))
def test_only_what_is_code_is_a_parameter_in_mysql(pieces: list[tuple[str, str | None]]):
    _check(pieces, "mysql")


def _check(pieces: list[tuple[str, str | None]], engine: str) -> None:
    # A space keeps two pieces from being one: 'a''b' is one text.
    found = bind(" ".join(text for text, _ in pieces), engine)
    names = [name for _, name in pieces if name is not None]
    assert list(found.names) == names
    expected, number = [], 0
    for text, name in pieces:
        number += name is not None
        mark = f"${number}" if engine == "postgresql" else "?"
        expected.append(text if name is None else mark)
    assert found.text == " ".join(expected)


@given(st.text(max_size=60), st.sampled_from(["postgresql", "mysql"]))
def test_any_text_is_bound_or_refused(text: str, engine: str):
    with suppress(SqlTextError):
        bind(text, engine)


def test_names_that_do_not_meet_are_told_with_their_place():
    found = [str(problem) for problem in unmatched(("sql", "parameters"), "SELECT :a", {"b"})]
    assert found == [
        "/sql/parameters: nothing is said of :a",
        "/sql/parameters/b: the statement has no :b",
    ]
