"""CSV over HTTP out of and into real servers: whole, at the pace of the slower side, in bounds."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest

from tests.admin.process import AdminProcess
from tests.content.test_csv import GROWTH, ROWS, SOURCES, Desk
from tests.content.town import Town
from tests.servers.roles import SCRAM
from tests.servers.waiting import wait_until


class Desks:
    """One workspace over HTTP. Answers are not collected, as ``AdminProcess.ok`` does."""

    def __init__(self, town: Town, admin: AdminProcess, key: str) -> None:
        self.desk = Desk(town)
        self.admin = admin
        self.key = key
        self.http = httpx.Client(
            base_url=admin.http.base_url,
            headers={"Authorization": f"Bearer {key}"},
            verify=ssl.create_default_context(cafile=str(town.proxy.certificates.ca)),
            timeout=600,
        )

    def path(self, source: str, verb: str) -> str:
        return f"/v1/workspaces/{self.desk.workspace}/sources/{source}/csv/{verb}"

    def send(self, source: str, content: Iterator[bytes], **query: str) -> httpx.Response:
        return self.http.post(
            self.path(source, "import"),
            content=content,
            params=query,
            headers={"Content-Type": "text/csv"},
        )

    def read(self, source: str, table: str) -> Iterator[bytes]:
        path = self.path(source, "export")
        with self.http.stream("POST", path, json={"table": table}) as answer:
            assert answer.status_code == 200, answer.read()
            yield from answer.iter_raw()

    def connection(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.desk.town.proxy.certificates.ca))
        port = self.admin.http.base_url.port
        assert port is not None
        sock = socket.create_connection(("127.0.0.1", port))
        return context.wrap_socket(sock, server_hostname="127.0.0.1")

    def head(self, path: str, *headers: str) -> bytes:
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {self.key}"]
        return ("\r\n".join([*lines, *headers]) + "\r\n\r\n").encode()


@pytest.fixture
def desks(town: Town, admin: AdminProcess, operator: str) -> Iterator[Desks]:
    made = Desks(town, admin, operator)
    yield made
    made.http.close()


def lines(rows: int) -> Iterator[bytes]:
    yield b"id,note\n"
    for at in range(0, rows, 100):
        yield b"".join(b"%d,%b\n" % (n, b"x" * 990) for n in range(at, min(at + 100, rows)))


@pytest.fixture
def fresh(town: Town, operator: str) -> Iterator[Desks]:
    """A process that has passed nothing yet."""
    admin = AdminProcess(town.proxy)
    made = Desks(town, admin, operator)
    yield made
    made.http.close()
    assert admin.stop() == 0


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_of_any_size_passes_in_bounded_memory(fresh: Desks, source: str):
    idle = fresh.admin.memory()
    grown: dict[str, int] = {}

    def measured(what: str, work: Callable[[], int]) -> None:
        fresh.admin.forget_peak()
        began = time.monotonic()
        size = work()
        seconds = time.monotonic() - began
        grown[what] = fresh.admin.memory("VmHWM") - idle
        rate = size / 1e6 / seconds
        print(
            f"{source} over HTTP, {what}: {size} bytes in {seconds:.1f} s ({rate:.1f} MB/s),",
            end="",
        )
        print(f" {grown[what]} bytes more than the {idle} of the idle process")

    def imported(table: str, create: str) -> int:
        report = fresh.send(source, lines(ROWS), table=table, create=create).json()
        assert (report["rows"], report["is_stored"]) == (ROWS, True)
        return int(report["bytes"])

    made, known = (f"http_{form}_{source}_{fresh.desk.workspace}" for form in ("made", "known"))
    fresh.desk.make(source, known, "id int, note text")
    measured("import into a new table", lambda: imported(made, "true"))
    measured("import into a table", lambda: imported(known, "false"))
    measured("export", lambda: sum(map(len, fresh.read(source, known))))
    assert max(grown.values()) <= GROWTH, grown


def test_an_export_waits_for_its_reader(desks: Desks):
    town = desks.desk.town
    table = desks.desk.make("orders", f"slow_{desks.desk.workspace}", "id int, note text")
    town.postgres.execute(
        f"INSERT INTO {table} SELECT g, repeat('x', 10000) FROM generate_series(1, 6000) g"
    )
    memory = desks.admin.memory()
    body = b'{"table": "%b"}' % table.encode()
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'"
        f" AND query LIKE 'COPY%{table}%'"
    )
    with desks.connection() as sock:
        head = (f"Content-Length: {len(body)}", "Content-Type: application/json")
        sock.sendall(desks.head(desks.path("orders", "export"), *head) + body)
        assert sock.recv(1_000).startswith(b"HTTP/1.1 200")
        # Nobody reads: the server of the data source is the one that waits.
        wait_until(lambda: town.postgres.execute(waits) == [(1,)], what="the server to wait")
        assert desks.admin.memory() - memory < 32 * 1024 * 1024
    wait_until(lambda: town.postgres.execute(waits) == [(0,)], what="the statement to end")


def test_an_import_waits_for_its_table(desks: Desks):
    town = desks.desk.town
    table = desks.desk.make("orders", f"held_{desks.desk.workspace}", "id int, note text")
    rows = 60_000
    content = b"".join(lines(rows))
    path = f"{desks.path('orders', 'import')}?table={table}"
    head = (f"Content-Length: {len(content)}", "Content-Type: text/csv", "Connection: close")
    memory = desks.admin.memory()
    with psycopg.connect(town.postgres.dsn()) as holding, desks.connection() as sock:
        holding.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        sock.sendall(desks.head(path, *head))
        sock.setblocking(False)
        sent = 0
        while select.select([], [sock], [], 2.0)[1]:
            try:
                sent += sock.send(content[sent : sent + 65_536])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                continue
        assert sent < 20 * 1024 * 1024
        assert desks.admin.memory() - memory < 32 * 1024 * 1024
        holding.rollback()
        sock.setblocking(True)
        sock.sendall(content[sent:])
        answer = b""
        while piece := sock.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200")
    assert f'"rows":{rows}'.encode() in answer
    assert town.postgres.execute(f"SELECT count(*) FROM {table}") == [(rows,)]


def test_the_policy_holds_and_its_words_are_told(desks: Desks):
    workspace = desks.desk.workspace
    path = f"/v1/workspaces/{workspace}/policy"
    etag = desks.http.get(path).headers["etag"]
    policy = {"version": 1, "access": "read-only", "features": ["copy"]}
    put = desks.http.put(path, json={"policy": policy}, headers={"If-Match": etag})
    assert put.status_code == 200
    table = desks.desk.make("orders", f"kept_{workspace}", "id int")
    assert b"".join(desks.read("orders", table)).split() == [b"id"]
    refused = desks.send("orders", iter([b"id\n1\n"]), table=table)
    assert refused.status_code == 422
    assert "Refused by policy" in refused.json()["detail"]
    assert SCRAM.password not in refused.text
