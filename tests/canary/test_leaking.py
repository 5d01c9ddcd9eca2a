"""A build that leaks turns the suite red, wherever and in whatever form it leaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary.capture import PostgresRecorder
from tests.canary.forms import Canary, Evidence
from tests.canary.leaking_proxy import FORMS
from tests.canary.postgres_town import SCRAM_PASSWORD
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import SCRAM, Role

PASSWORD = Canary("the password", SCRAM_PASSWORD.encode(), ("canary_scram",))


class LeakingServer(ProxyServer):
    program = "tests.canary.leaking_proxy"


@pytest.fixture
def leaking(
    server_folder: Path, certificates: Certificates, request: pytest.FixtureRequest
) -> Iterator[LeakingServer]:
    folder = server_folder / f"leak-{sum(1 for _ in server_folder.glob('leak-*'))}"
    server = LeakingServer(folder, certificates)
    yield server
    server.remove()


def evidence_of(server: LeakingServer, upstream: PostgresServer, place: str, form: str) -> Evidence:
    """Everything a proxy with this leak emits in one login."""
    (server.folder / "leak").write_text(f"{place} {form}")
    role = Role("canary_scram", SCRAM_PASSWORD, "scram-sha-256")
    server.start()
    token = server.create_workspace("finance")
    server.add_source("finance", "orders", upstream, role)
    evidence = Evidence()
    recorder = PostgresRecorder(server, evidence, "leaking")
    recorder.log_in("finance", token, "orders", "SELECT 1")
    server.wait_until_quiet()
    recorder.look()
    recorder.run("audit", "search")
    server.stop()
    recorder.files()
    return evidence


@pytest.mark.parametrize(
    ("place", "form", "where"),
    [
        ("stderr", "raw", "files/proxy.log"),
        ("log", "base64", "files/proxy.log"),
        ("file", "hex", "files/debug.txt"),
        ("client", "url", "bytes to the client"),
        ("audit", "json", "files/audit/"),
        ("audit", "md5", "audit search"),
        ("client", "md5", "error's fields"),
    ],
)
def test_a_planted_leak_is_found(
    leaking: LeakingServer, aviary: PostgresServer, place: str, form: str, where: str
):
    found = evidence_of(leaking, aviary, place, form).leaks([PASSWORD])
    assert any(where in leak for leak in found), found


def test_every_form_is_planted():
    assert set(FORMS) == {"raw", "base64", "hex", "url", "json", "md5"}
    assert SCRAM.password != SCRAM_PASSWORD


def test_a_bug_that_quotes_the_secret_in_an_exception_leaks_nothing(
    leaking: LeakingServer, aviary: PostgresServer
):
    evidence = evidence_of(leaking, aviary, "crash", "raw")
    assert evidence.leaks([PASSWORD]) == []
    # It did happen, and the log tells where.
    assert "ValueError" in evidence.text("files/proxy.log")
    assert "RuntimeError" in evidence.text("files/proxy.log")
    assert "internal error of the proxy" in evidence.text("bytes to the client")
