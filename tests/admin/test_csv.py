"""CSV over HTTP: what is asked and answered; tests/content/test_csv_over_http.py has real rows."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from proxy.admin.app import bare_app
from proxy.admin.endpoints import csv
from proxy.admin.route import UploadRoute
from proxy.store import ApiRole
from tests.admin.rig import Prepared, Rig, problem
from tests.admin.served import Served, served
from tests.admin.town import a_source
from tests.servers.waiting import wait_until

CSV = "/v1/workspaces/finance/sources/orders/csv"
EXPORT, IMPORT = f"{CSV}/export", f"{CSV}/import"


@pytest.fixture(autouse=True)
async def orders(rig: Rig) -> None:
    await a_source(rig, "finance", "orders")


async def put(rig: Rig, content: Any, kind: str = "text/csv", **query: Any) -> httpx.Response:
    params = {"table": "orders"} | query
    return await rig.call(
        "POST", IMPORT, content=content, headers={"Content-Type": kind}, params=params
    )


async def test_rows_come_out_with_a_header(rig: Rig):
    answer = await rig.call("POST", EXPORT, {"table": "orders"})
    assert answer.content == b"id,note\r\n1,one\n2,\n"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="orders.csv"'
    assert "content-length" not in answer.headers
    assert rig.source.is_open == 0
    rig.source.pieces = [b"1,=2+2\n"]
    answer = await rig.call("POST", EXPORT, {"query": "SELECT 1", "neutralise": True})
    assert answer.content == b"id,note\r\n1,'=2+2\r\n"


async def test_an_export_is_of_a_table_or_a_query(rig: Rig):
    for body in ({}, {"table": "a", "query": "SELECT 1"}, {"table": "a.b.c"}):
        problem(await rig.call("POST", EXPORT, body), 422, "invalid")
    assert rig.source.visits == []


async def test_what_fails_before_the_first_rows_is_a_problem_document(rig: Rig):
    rig.source.refuses = asyncpg.UndefinedTableError('relation "orders" does not exist')
    told = problem(await rig.call("POST", EXPORT, {"table": "orders"}), 422, "source-refused")
    assert told["detail"] == 'Relation "orders" does not exist.'
    rig.source.refuses = None
    rig.source.fails = asyncpg.DivisionByZeroError("division by zero")
    problem(await rig.call("POST", EXPORT, {"table": "orders"}), 422, "source-refused")
    rig.source.fails = asyncpg.ConnectionDoesNotExistError("gone")
    problem(await rig.call("POST", EXPORT, {"table": "orders"}), 502, "source-unavailable")
    ended = [event for event in rig.trail.events if event.status_detail == "StepFailed"]
    assert len(ended) == 3


async def test_a_file_goes_in_and_the_report_tells_of_it(rig: Rig):
    answer = await put(rig, b"id,note\n1,one\n2,\n")
    assert answer.json() == {
        "rows": 2,
        "bytes": 17,
        "is_stored": True,
        "columns": [{"name": "id", "type": "int4"}, {"name": "note", "type": "text"}],
        "bad_lines": [],
    }
    assert b"".join(rig.source.stored) == b"1,one\n2,\n"


BAD = b"id,note\n1,one\nx,two\n3\n4,four\n"


async def test_bad_lines_are_named_and_nothing_is_stored(rig: Rig):
    told = problem(await put(rig, BAD), 422, "not-imported")
    assert told["detail"] == "Nothing was imported: line 3: id: this is not an integer."
    assert told["errors"] == [{"detail": "Line 3: id: this is not an integer"}]
    assert rig.source.stored == []
    dry = (await put(rig, BAD, dry_run=True)).json()
    assert (dry["rows"], dry["is_stored"]) == (2, False)
    assert [one["line"] for one in dry["bad_lines"]] == [3, 4]
    assert rig.source.stored == []
    skipped = (await put(rig, BAD, skip_bad_lines=True)).json()
    assert (skipped["rows"], skipped["is_stored"]) == (2, True)
    assert [one["line"] for one in skipped["bad_lines"]] == [3, 4]
    assert b"".join(rig.source.stored) == b"1,one\n4,four\n"


async def test_a_file_comes_in_pieces_of_any_size(rig: Rig):
    for size in (1, 5, 1_000):

        async def pieces(size: int = size) -> AsyncIterator[bytes]:
            for at in range(0, len(BAD), size):
                yield BAD[at : at + size]

        for create in (False, True):
            rig.source.stored.clear()
            report = (await put(rig, pieces(), skip_bad_lines=True, create=create)).json()
            assert report["bytes"] == len(BAD)
            assert [one["line"] for one in report["bad_lines"]] == ([4] if create else [3, 4])


async def test_a_table_that_is_made_has_types_of_the_whole_file(rig: Rig):
    report = (await put(rig, b"id,note\n1,2\n2,x\n", create=True, dry_run=True)).json()
    assert report["columns"] == [
        {"name": "id", "type": "bigint"},
        {"name": "note", "type": "text"},
    ]


async def test_a_file_has_its_media_type_and_its_limit(rig: Rig):
    for kind in ("application/json", "text/plain", "text/csv; charset=latin-1", ""):
        problem(await put(rig, b"id\n1\n", kind), 415, "not-csv")
    assert (await put(rig, b"id,note\n", "text/csv; charset=UTF-8")).status_code == 200
    answer = await rig.call(
        "POST",
        IMPORT,
        content=b"x",
        headers={"Content-Type": "text/csv", "Content-Encoding": "gzip"},
        params={"table": "orders"},
    )
    problem(answer, 415, "encoded")
    config = rig.office.config
    rig.office.config = replace(config, admin=replace(config.admin, csv_limit=20))
    assert (await put(rig, b"id,note\n" + b"1,a\n" * 3)).status_code == 200
    rig.source.stored.clear()
    problem(await put(rig, b"id,note\n" + b"1,a\n" * 4), 413, "too-large")

    async def unannounced() -> AsyncIterator[bytes]:
        yield b"id,note\n"
        for _ in range(4):
            yield b"1,a\n"

    for create in (False, True):
        problem(await put(rig, unannounced(), create=create), 413, "too-large")
    assert rig.source.stored == []


async def test_so_many_files_are_on_their_way_at_once_and_no_more(rig: Rig):
    async with (
        rig.office.transfer(),
        rig.office.transfer(),
        rig.office.transfer(),
        rig.office.transfer(),
        rig.office.transfer(),
        rig.office.transfer(),
        rig.office.transfer(),
        rig.office.transfer(),
    ):
        for answer in (
            await put(rig, b"id,note\n"),
            await rig.call("POST", EXPORT, {"table": "orders"}),
        ):
            problem(answer, 503, "busy")
            assert answer.headers["retry-after"] == "5"
    assert (await put(rig, b"id,note\n")).status_code == 200


def test_only_endpoints_that_read_the_body_themselves_are_left_to_it():
    left = {one.operation_id for one in bare_app().routes if isinstance(one, UploadRoute)}
    assert left == {one.operation_id for one in csv.ENDPOINTS if one.upload} == {"importCsv"}


# --- on a real port ------------------------------------------------------------------


@pytest.fixture
def town(tmp_path: Path, prepared: Prepared) -> Iterator[Served]:
    folder = tmp_path / "served"
    folder.mkdir()
    with served(folder, prepared) as made:
        yield made


def head(town: Served, path: str, *headers: str) -> bytes:
    key = town.rig.keys[ApiRole.OPERATOR]
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {key}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_an_answer_that_fails_in_the_middle_is_no_whole_answer(town: Served):
    town.rig.source.pieces = [b"1,%b\n" % (b"x" * 70_000)] * 3
    town.rig.source.fails = asyncpg.ConnectionDoesNotExistError("gone")
    headers = {"Authorization": f"Bearer {town.rig.keys[ApiRole.OPERATOR]}"}
    with (
        httpx.Client(base_url=town.url, headers=headers) as http,
        http.stream("POST", EXPORT, json={"table": "orders"}) as answer,
    ):
        assert answer.status_code == 200
        pieces = answer.iter_raw()
        assert next(pieces)
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            b"".join(pieces)
    wait_until(lambda: town.rig.source.is_open == 0, what="the session to be closed")


def test_who_leaves_ends_what_was_begun(town: Served):
    class Endless(list[bytes]):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"1,%b\n" % (b"x" * 65_536)

    town.rig.source.pieces = Endless()
    body = json.dumps({"table": "orders"})
    sent = head(town, EXPORT, "Content-Type: application/json", f"Content-Length: {len(body)}")
    with socket.create_connection(("127.0.0.1", town.port)) as sock:
        sock.sendall(sent + body.encode())
        assert sock.recv(4_096).startswith(b"HTTP/1.1 200")
        assert town.rig.source.is_open == 1
    wait_until(lambda: town.rig.source.is_open == 0, what="the session to be closed")

    sent = head(town, f"{IMPORT}?table=orders", "Content-Type: text/csv", "Content-Length: 99")
    with socket.create_connection(("127.0.0.1", town.port)) as sock:
        sock.sendall(sent + b"id,note\n1,one\n")
        wait_until(lambda: town.rig.source.is_open == 1, what="the import to begin")
    wait_until(lambda: town.rig.source.is_open == 0, what="the session to be closed")
    assert town.rig.source.stored == []


def test_a_refusal_is_heard_by_who_still_sends(town: Served):
    """The rest is read for a while, else the reset of the connection takes the answer away."""
    sent = head(
        town, f"{IMPORT}?table=orders", "Content-Type: text/csv", "Content-Length: 20000000"
    )
    with socket.create_connection(("127.0.0.1", town.port)) as sock:
        sock.sendall(sent + b"id,note\nx,bad\n")
        began = time.monotonic()
        for _ in range(19_999_986 // 65_536):
            sock.sendall(b"1,two\n" * 10_922 + b"1,2\n")
        rest = 19_999_986 - (19_999_986 // 65_536) * 65_536
        sock.sendall(b"\n" * rest)
        answer = sock.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 422")
        assert time.monotonic() - began < 5
