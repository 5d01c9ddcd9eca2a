from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.audit import sheet
from proxy.audit.events import api_called
from proxy.audit.read import Filters, search
from tests.audit.rig import context, finish, opened, statement, statements_of_every_sort

DOCUMENTED = Path(__file__).resolve().parents[2] / "docs/admin.md"


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


async def test_records_of_every_sort_are_lines(tmp_path: Path):
    async with opened(tmp_path) as log:
        recorder = log.recorder(context())
        made = statements_of_every_sort()
        for one in made:
            recorder.begin(one)
            recorder.end(one)
        recorder.close("client_left", duration=1.0)
        log.record(
            api_called(1, actor="API key a", ip="192.0.2.1", port=1, operation="x", status_code=404)
        )
    records = list(search(tmp_path, Filters()))
    data = sheet.header() + sheet.lines(records)
    assert data.count(b"\r\n") == data.count(b"\n") == len(records) + 1
    told = rows(data)
    assert [row["sequence"] for row in told] == [str(r["metadata"]["sequence"]) for r in records]
    statement_rows = [row for row in told if row["kind"]]
    assert len(statement_rows) == len(made)
    first = statement_rows[0]
    assert first["time"] == "2027-01-15T12:00:01.000Z"
    assert (first["chain"], first["class"]) == ("main", "datastore_activity")
    assert (first["workspace"], first["workspace_id"], first["source"]) == (
        "finance",
        "w-1",
        "orders",
    )
    assert (first["actor_id"], first["address"], first["session"]) == ("tok-1", "192.0.2.7", "s1")
    assert (first["text"], first["rows"], first["duration_us"]) == ("SELECT 1", "1", "250000")
    refused = next(row for row in told if row["outcome"] == "refused")
    assert (refused["code"], refused["rule"]) == ("42501", "no drops")
    (call,) = (row for row in told if row["operation"])
    assert (call["actor"], call["code"], call["outcome"]) == ("API key a", "404", "Failure")


@pytest.mark.parametrize("first", "=+-@\uff1d\uff0b\uff0d\uff20")
def test_what_could_begin_a_formula_is_made_harmless(first: str):
    assert sheet.safe(f"{first}1+1") == f"'{first}1+1"
    assert sheet.safe(f"  {first}1+1") == f"'  {first}1+1"
    assert sheet.safe(f"1{first}1") == f"1{first}1"


def test_numbers_stay_numbers():
    assert sheet.safe(-5) == "-5"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\n=1", "a\\r\\n=1"),
        ("\t=1", "\\t=1"),
        ("\x1b[2J", "\\u001b[2J"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
        ("\0", "\\u0000"),
        ("Z\u00fcrich", "Z\u00fcrich"),
    ],
)
def test_what_is_not_printable_is_an_escape(text: str, shown: str):
    assert sheet.safe(text) == shown


@given(st.text(), st.text())
def test_no_text_leaves_its_field_or_its_line(text: str, name: str):
    record = {"query_info": {"query_string": text}, "actor": {"app_name": name}}
    data = sheet.lines([record])
    assert data.count(b"\n") == 1
    (row,) = csv.reader(io.StringIO(data.decode(), newline=""))
    assert len(row) == len(sheet.COLUMNS)
    assert row[-1] == sheet.safe(text)
    assert not row[-1].lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))
    assert data.decode().strip().isprintable()


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


members = st.sampled_from(["time", "metadata", "class_uid", "actor", "unmapped"])


@given(st.dictionaries(members, junk))
def test_a_record_that_was_changed_is_still_a_line(record: dict[str, Any]):
    assert len(next(csv.reader(io.StringIO(sheet.lines([record]).decode())))) == len(sheet.COLUMNS)


def test_the_columns_are_those_that_are_documented():
    text = DOCUMENTED.read_text()
    assert ", ".join(f"`{name}`" for name in sheet.COLUMNS) in " ".join(text.split())


def test_no_column_reads_bound_values():
    made = finish(statement(b"SELECT $1"))
    record = {"unmapped": {"parameters": ["card 4111"], "kind": "select"}}
    assert "4111" not in sheet.lines([record | {"text": json.dumps(made.tag.decode())}]).decode()
