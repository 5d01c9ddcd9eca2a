from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.errors import Reason, Refusal, UpstreamRefused
from proxy import logs
from vault import Secret

CANARY = "correct-horse-battery-staple"
TOKEN = "acp_4fT9aQ2xZk_" + "A" * 49


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is one for the process; give it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    structlog.reset_defaults()


def configured(shape: Any = "json", level: str = "debug") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(shape, level, stream)
    return stream


def only(stream: io.StringIO) -> dict[str, Any]:
    (line,) = stream.getvalue().splitlines()
    parsed: dict[str, Any] = json.loads(line)
    return parsed


@pytest.mark.parametrize("kind", ["acp_", "ack_", "acs_", "aci_", "acd_", "aco_"])
def test_no_secret_text_of_ours_is_logged_whatever_its_kind(kind: str):
    stream = configured()
    secret = "4fT9aQ2xZk_" + "B" * 49
    logs.get_logger("admin").warning(f"somebody gave {kind}{secret}", note=f"{kind}{secret}")
    assert "BBBB" not in stream.getvalue()
    assert stream.getvalue().count(kind) == 2


def test_an_event_is_one_line_of_json_with_level_and_utc_time():
    stream = configured()
    logs.get_logger("gateway").info("listening", port=6432)
    event = only(stream)
    assert (event["event"], event["level"], event["port"]) == ("listening", "info", 6432)
    assert event["logger"] == "gateway"
    assert event["timestamp"].endswith("Z")


def test_auto_is_json_where_the_stream_is_no_terminal():
    stream = configured("auto")
    logs.get_logger().info("x")
    assert only(stream)["event"] == "x"


def test_console_lines_stay_one_line_and_steer_no_terminal():
    stream = configured("console")
    logs.get_logger().warning("two\nlines \x1b[2J", name="a\nb\x1b]0;title\x07\u202e")
    (line,) = stream.getvalue().splitlines()
    assert "\x1b" not in line
    assert "\u202e" not in line


def test_lines_below_the_level_are_not_written():
    stream = configured(level="warning")
    logs.get_logger().info("quiet")
    logging.getLogger("some.library").info("quiet")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"password": CANARY},
        {"db_password": CANARY},
        {"token": CANARY},
        {"dsn": CANARY},
        {"store_url": CANARY},
        {"client_key": CANARY},
        {"salt": CANARY},
        {"value": Secret(CANARY.encode())},
        {"values": [Secret(CANARY.encode())]},
        {"nested": {"password": CANARY, "more": {"secret": CANARY}}},
        {"raw": CANARY.encode()},
        {"raw": bytearray(CANARY.encode())},
        {"where": f"postgresql://app:{CANARY}@db.example.com/orders"},
        {"text": f"host=db password={CANARY} user=app"},
        {"deep": {"a": {"b": {"c": {"d": {"e": CANARY}}}}}},
        {"error": ValueError(CANARY)},
        {"object": type("Thing", (), {"__repr__": lambda self: CANARY})()},
    ],
)
@pytest.mark.parametrize("shape", ["json", "console"])
def test_no_secret_is_written_whatever_way_it_comes(fields: dict[str, Any], shape: str):
    stream = configured(shape)
    logs.get_logger().info("event", **fields)
    assert len(stream.getvalue().splitlines()) == 1
    assert CANARY not in stream.getvalue()


def test_a_token_is_redacted_in_any_text_and_its_id_field_is_kept():
    stream = configured()
    logs.get_logger().info(f"login with {TOKEN}", token_id="4fT9aQ2xZk", note=TOKEN)
    assert TOKEN not in stream.getvalue()
    assert only(stream)["token_id"] == "4fT9aQ2xZk"


def test_harmless_names_that_resemble_secrets_are_kept():
    stream = configured()
    logs.get_logger().info("x", key_file="keys/local.key", key_id="k1", has_password=True)
    event = only(stream)
    assert (event["key_file"], event["key_id"], event["has_password"]) == (
        "keys/local.key", "k1", True,
    )  # fmt: skip


def test_an_unexpected_error_has_its_places_and_neither_values_nor_variables():
    stream = configured()

    def fail(password: str) -> None:
        local = password
        raise ValueError(f"invalid literal {local}")

    try:
        try:
            fail(CANARY)
        except ValueError as error:
            raise KeyError(CANARY) from error
    except KeyError:
        logs.get_logger().exception("it broke")
    event = only(stream)
    assert CANARY not in stream.getvalue()
    assert event["error"] == "KeyError"
    assert any("test_logs.py" in place and "in fail" in place for place in event["places"])
    assert "after ValueError" in event["places"]


def test_the_message_of_our_own_errors_and_of_the_systems_is_shown():
    assert logs.describe(Refusal(Reason.TIMED_OUT, "too slow")) == "Refusal: too slow"
    assert "No such file" in logs.describe(FileNotFoundError(2, "No such file", "x"))
    assert logs.describe(ValueError(CANARY)) == "ValueError"


def test_what_a_hostile_server_said_is_not_shown():
    error = UpstreamRefused("28P01", f"password {CANARY} is wrong")
    assert CANARY not in logs.describe(error)


def test_the_standard_librarys_records_become_the_same_lines():
    stream = configured()
    logging.getLogger("some.library").error("failed for %s", f"postgresql://u:{CANARY}@h/d")
    event = only(stream)
    assert (event["level"], event["logger"]) == ("error", "some.library")
    assert CANARY not in stream.getvalue()


def test_only_the_first_line_of_a_librarys_message_is_kept():
    # asyncio appends reprs of futures and exceptions, a line each.
    stream = configured()
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: %s", CANARY)
    assert only(stream)["event"] == "Task exception was never retrieved"


def test_a_librarys_broken_format_is_still_a_line():
    stream = configured()
    logging.getLogger("some.library").error("%d items", CANARY)
    assert CANARY not in stream.getvalue()
    assert "could not be formatted" in only(stream)["event"]


def test_warnings_are_lines_too():
    stream = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert only(stream)["logger"] == "py.warnings"


def test_a_closed_stream_ends_nothing_and_is_counted():
    stream = io.StringIO()
    writer = logs.configure("json", "info", stream)
    stream.close()
    logs.get_logger().info("x")
    logs.get_logger().info("y")
    assert writer.lost == 2


def test_the_event_loops_own_report_shows_no_objects():
    stream = configured()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(logs.loop_exception_handler)
    loop.call_exception_handler(
        {"message": "it broke", "exception": ValueError(CANARY), "future": CANARY}
    )
    loop.close()
    assert CANARY not in stream.getvalue()
    assert only(stream)["error"] == "ValueError"


def test_uncaught_errors_are_lines_without_values():
    stream = configured()
    sys.excepthook(ValueError, ValueError(CANARY), None)
    thread = threading.Thread(target=lambda: int(CANARY))
    thread.start()
    thread.join()
    assert len(stream.getvalue().splitlines()) == 2
    assert CANARY not in stream.getvalue()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.text(), st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text()))
def test_any_text_is_one_line(event: str, fields: dict[str, str]):
    fields.pop("event", None)
    for shape in ("json", "console"):
        stream = configured(shape)
        logs.get_logger().info(event, **fields)
        assert len(stream.getvalue().splitlines()) == 1
