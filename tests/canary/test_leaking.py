"""A build that leaks turns the suite red, wherever and in whatever form it leaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.canary.capture import PostgresRecorder, Recorder
from tests.canary.forms import Canary, Evidence
from tests.canary.leaking_proxy import FORMS
from tests.canary.mysql_capture import MysqlRecorder
from tests.canary.mysql_town import NATIVE_PASSWORD
from tests.canary.postgres_town import SCRAM_PASSWORD
from tests.servers.certificates import Certificates
from tests.servers.proxy import DataServer, ProxyServer
from tests.servers.roles import Role


class LeakingServer(ProxyServer):
    program = "tests.canary.leaking_proxy"


@dataclass(frozen=True)
class Engine:
    """A protocol, and whose password its leaking build gives away."""

    protocol: str
    fixture: str
    role: Role
    recorder: type[Recorder]

    @property
    def canary(self) -> Canary:
        return Canary("the password", self.role.password.encode(), (self.role.name,))


ENGINES = {
    "postgres": Engine(
        "postgres", "aviary", Role("canary_scram", SCRAM_PASSWORD, ""), PostgresRecorder
    ),
    "mysql": Engine("mysql", "roost", Role("canary_native", NATIVE_PASSWORD, ""), MysqlRecorder),
}

Leaks = Callable[[str, str, str], Evidence]

CASES = [
    ("postgres", "stderr", "raw", "files/proxy.log"),
    ("postgres", "log", "base64", "files/proxy.log"),
    ("postgres", "file", "hex", "files/debug.txt"),
    ("postgres", "client", "url", "bytes to the client"),
    ("postgres", "audit", "json", "files/audit/"),
    ("postgres", "audit", "md5", "audit search"),
    ("postgres", "client", "md5", "error's fields"),
    ("mysql", "stderr", "raw", "files/proxy.log"),
    ("mysql", "log", "native-hash", "files/proxy.log"),
    ("mysql", "client", "native-hash", "bytes to the client"),
    ("mysql", "client", "sha1", "error's fields"),
    ("mysql", "audit", "sha2-hash", "audit search"),
    ("mysql", "file", "ed25519-seed", "files/debug.txt"),
]


@pytest.fixture
def leaks(
    server_folder: Path, certificates: Certificates, request: pytest.FixtureRequest
) -> Iterator[Leaks]:
    """Everything that a proxy with a leak emits in one login: engine, place, form."""
    made: list[ProxyServer] = []

    def run(name: str, place: str, form: str) -> Evidence:
        engine = ENGINES[name]
        upstream: DataServer = request.getfixturevalue(engine.fixture)
        folder = server_folder / f"leak-{sum(1 for _ in server_folder.glob('leak-*'))}"
        server = LeakingServer(folder, certificates, listener={"protocol": engine.protocol})
        made.append(server)
        (server.folder / "leak").write_text(f"{place} {form}")
        server.start()
        token = server.create_workspace("finance")
        server.add_source("finance", "orders", upstream, engine.role)
        evidence = Evidence()
        recorder = engine.recorder(server, evidence, "leaking")
        recorder.log_in("finance", token, "orders", "SELECT 1")
        server.wait_until_quiet()
        recorder.look()
        recorder.run("audit", "search")
        server.stop()
        recorder.files()
        return evidence

    yield run
    for server in made:
        server.remove()


@pytest.mark.parametrize(("engine", "place", "form", "where"), CASES)
def test_a_planted_leak_is_found(leaks: Leaks, engine: str, place: str, form: str, where: str):
    found = leaks(engine, place, form).leaks([ENGINES[engine].canary])
    assert any(where in leak for leak in found), found


def test_every_form_is_planted():
    assert {form for _, _, form, _ in CASES} == set(FORMS)


@pytest.mark.parametrize("engine", list(ENGINES))
def test_a_bug_that_quotes_the_secret_in_an_exception_leaks_nothing(leaks: Leaks, engine: str):
    evidence = leaks(engine, "crash", "raw")
    assert evidence.leaks([ENGINES[engine].canary]) == []
    # It did happen, and the log tells where.
    assert "ValueError" in evidence.text("files/proxy.log")
    assert "RuntimeError" in evidence.text("files/proxy.log")
    assert "internal error of the proxy" in evidence.text("bytes to the client")
