from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import Reason, Refusal
from protocols.interface import SessionRules
from protocols.postgres.parameters import admit, parse_options, pin, printable, split_options


@pytest.mark.parametrize("encoding", ["UTF8", "utf-8", "'utf-8'", "UTF_8", "unicode"])
def test_utf8_is_pinned_however_a_driver_writes_it(encoding: str):
    assert pin({"client_encoding": encoding}, SessionRules())["client_encoding"] == "UTF8"


@pytest.mark.parametrize("encoding", ["SJIS", "utf8x", "utf16", "", "\uff55tf8"])
def test_another_encoding_is_refused_where_statements_are_judged(encoding: str):
    with pytest.raises(Refusal, match="client_encoding must be UTF8"):
        pin({"client_encoding": encoding}, SessionRules())


@pytest.mark.parametrize("name", ["DateStyle", "datestyle", "DATESTYLE", "dateStyle"])
def test_a_setting_is_known_in_any_case_and_gets_its_proper_name(name: str):
    assert admit(name, "ISO") == ("DateStyle", "ISO")


@pytest.mark.parametrize(
    "name",
    [
        # What asyncpg, pgjdbc, npgsql, libpq, lib/pq, sqlx, node-postgres and postgres.js send.
        "client_encoding",
        "DateStyle",
        "TimeZone",
        "application_name",
        "extra_float_digits",
        "search_path",
        "geqo",
        "statement_timeout",
        "lock_timeout",
        "jit",
        "IntervalStyle",
        "idle_in_transaction_session_timeout",
        "default_transaction_isolation",
    ],
)
def test_what_drivers_send_is_permitted(name: str):
    assert admit(name, "x") == (name, "x")


@pytest.mark.parametrize(
    "name",
    [
        "role",
        "session_authorization",
        "tcp_user_timeout",
        "tcp_keepalives_idle",
        "session_replication_role",
        "local_preload_libraries",
        "log_statement",
        "is_superuser",
        "transaction_read_only",
        "",
        "date style",
        "DateStyl\u00e9",
        "\u0131ntervalstyle",
    ],
)
def test_what_is_not_on_the_list_is_refused_by_name(name: str):
    with pytest.raises(Refusal, match="is not permitted") as caught:
        admit(name, "x")
    assert caught.value.reason is Reason.PARAMETER_REFUSED
    assert caught.value.public.isascii()


def test_the_name_in_a_refusal_is_bounded_and_printable():
    with pytest.raises(Refusal) as caught:
        admit("evil\n\x1b[2J" + "x" * 5_000, "x")
    assert len(caught.value.public) < 150
    assert caught.value.public.isprintable()


@pytest.mark.parametrize("value", ["on", "ON", "true", "1", "yes"])
def test_standard_conforming_strings_may_be_on(value: str):
    assert admit("standard_conforming_strings", value)[1] == value


@pytest.mark.parametrize("value", ["off", "false", "0", "", "onoff"])
def test_standard_conforming_strings_may_not_be_off(value: str):
    with pytest.raises(Refusal, match="must be on"):
        admit("standard_conforming_strings", value)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("", {}),
        ("  \t\n", {}),
        ("-c geqo=off", {"geqo": "off"}),
        ("-cgeqo=off", {"geqo": "off"}),
        ("--geqo=off", {"geqo": "off"}),
        ("--search-path=a", {"search_path": "a"}),
        ("-c search-path=a", {"search_path": "a"}),
        ("-c search_path=a=b", {"search_path": "a=b"}),
        ("-c search_path=", {"search_path": ""}),
        (r"-c search_path=a,\ b", {"search_path": "a, b"}),
        (r"-c search_path=a\\b", {"search_path": r"a\b"}),
        (r"-c\ geqo=off", None),
        ("-c geqo=on -c geqo=off", {"geqo": "off"}),
        ("-c geqo=on --jit=off  -cDateStyle=ISO", {"geqo": "on", "jit": "off", "DateStyle": "ISO"}),
    ],
)
def test_options_are_read_as_postgresql_reads_them(options: str, settings: dict[str, str] | None):
    if settings is None:
        with pytest.raises(Refusal):
            parse_options(options)
    else:
        assert parse_options(options) == settings


@pytest.mark.parametrize(
    "options",
    [
        "-c",
        "-c ",
        "--",
        "-",
        "x",
        "-c geqo",
        "--geqo",
        "--geqo off",
        "-c =off",
        "-d 5",
        "-f s",
        "-e",
        "-h",
        "-W 9",
        "-c role=postgres",
        "--role=postgres",
        "-c session-authorization=x",
        "-c geqo=on -c role=postgres",
        r"-c ro\le=postgres",
        "\\",
    ],
)
def test_other_options_are_refused(options: str):
    with pytest.raises(Refusal):
        parse_options(options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", ["a", "b"]),
        (r"a\ b", ["a b"]),
        (r"\ ", [" "]),
        ("a\\", ["a"]),
        ("a \\", ["a", ""]),
        (r"a\\\ b c", ["a\\ b", "c"]),
        ("\v\fa\r\nb\u00a0c", ["a", "b\u00a0c"]),
    ],
)
def test_words_are_split_as_by_pg_split_opts(text: str, words: list[str]):
    assert split_options(text) == words


@given(st.text("-c geqo=\\ \tabc_", max_size=60))
def test_any_options_are_settings_or_a_refusal(text: str):
    said = ""
    try:
        assert set(parse_options(text)) <= {"geqo"}
    except Refusal as refusal:
        said = refusal.public
    assert said.isprintable()


def test_text_for_logs_is_cut_and_cleaned():
    assert printable("a\u00e9\nb") == "a??b"
    assert printable("x" * 65) == "x" * 64 + "..."
