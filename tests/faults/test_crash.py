"""kill -9 under load: the log says exactly which statements have no record, and then has them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

from proxy.audit.verify import verify
from tests.faults.office import Office
from tests.hostile.raw import Closed, first_column, query
from tests.servers.fixtures import ProxyFactory
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Record
from tests.servers.waiting import wait_until


class Worker(threading.Thread):
    """Runs statements, each with a name of its own, until its session ends."""

    def __init__(self, office: Office, name: str) -> None:
        super().__init__(name=name)
        self.client = office.session()
        self.sent: list[str] = []
        self.answered: list[str] = []

    def run(self) -> None:
        try:
            while True:
                text = f"SELECT '{self.name} {len(self.sent)}'"
                self.sent.append(text)
                self.client.send(query(text))
                assert len(first_column(self.client.until(b"Z"))) == 1
                self.answered.append(text)
        except (Closed, OSError):
            self.client.close()


def texts(records: list[Record]) -> list[str]:
    found = [record.get("query_info", {}).get("query_string", "") for record in records]
    return [text for text in found if text.startswith("SELECT 'worker")]


def verify_by_command(office: Office) -> tuple[int, Any, str]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "proxy.cli", "audit", "verify", "--json"),
            *("--config", str(office.proxy.config_file)),
        ],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def test_after_a_crash_verify_names_the_missing_statements_and_the_next_start_writes_them(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    office = Office(start_proxy(audit={"sync_interval": 10.0}), postgres)
    long_one = office.session()
    long_one.send(query("SELECT pg_sleep(60), 'worker-long'"))
    office.wait_until_running("worker-long")
    workers = [Worker(office, f"worker-{number}") for number in range(4)]
    for worker in workers:
        worker.start()
    wait_until(lambda: all(len(worker.answered) > 300 for worker in workers), what="load")
    office.proxy.kill()
    for worker in workers:
        worker.join(20)
    long_one.close()

    recorded = texts(office.proxy.audit_events())
    code, report, told = verify_by_command(office)
    assert code == 1
    # A kill in mid-write leaves half a line, which is named as such.
    assert report["fault"] is None or "the last line is not whole" in report["fault"]
    missing = [one["text"] for one in report["unrecorded"]]
    assert told.count("was let through and has no record") == len(missing)
    answered = {text for worker in workers for text in worker.answered}
    sent = {text for worker in workers for text in worker.sent}
    # Every statement that was answered is in the chain or named, and none is in both.
    assert answered <= set(recorded) | set(missing)
    assert not set(recorded) & set(missing)
    assert "SELECT pg_sleep(60), 'worker-long'" in missing
    assert set(missing) - {"SELECT pg_sleep(60), 'worker-long'"} <= sent
    assert len(missing) == len(set(missing))

    office.proxy.start()
    records = office.proxy.audit_events()
    late = [record for record in records if texts([record]) and texts([record])[0] in missing]
    late += [
        record
        for record in records
        if "worker-long" in record.get("query_info", {}).get("query_string", "")
        and record not in late
    ]
    assert sorted(r["query_info"]["query_string"] for r in late) == sorted(missing)
    assert {record["unmapped"]["outcome"] for record in late} == {"interrupted"}
    code, report, _ = verify_by_command(office)
    assert (code, report["unrecorded"], report["open_sessions"]) == (0, [], [])
    assert verify(office.proxy.audit_folder, office.proxy.vault.verification_key()).is_intact
    with office.session() as client:
        assert client.value("SELECT 1") == "1"


def test_a_crash_leaves_no_statement_running_at_the_server(
    start_proxy: ProxyFactory, postgres: PostgresServer
):
    office = Office(start_proxy(), postgres)
    # PostgreSQL sees a lost client when it next sends; the check interval makes it look.
    with office.session() as client:
        client.query("SET client_connection_check_interval = '100ms'")
        client.send(query("SELECT pg_sleep(60), 'orphan'"))
        office.wait_until_running("orphan")
        office.proxy.kill()
        office.wait_until_not_running("orphan")
