"""One proxy for all attacks, with short deadlines; every test leaves it as it found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.store import TlsSettings
from tests.hostile.fake_server import FakeServer, Peer
from tests.hostile.play import Play
from tests.hostile.stage import PLAIN, Stage, Theatre
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer

# Long enough for a login on a busy machine, short enough to wait for.
LIMITS = {"login_deadline": 4.0, "connect_timeout": 4.0}


@pytest.fixture(scope="session")
def theatre(
    server_folder: Path, certificates: Certificates, postgres: PostgresServer
) -> Iterator[Stage]:
    """Workspaces alpha (source orders) and beta (source ledger) on a real PostgreSQL."""
    proxy = ProxyServer(
        server_folder / "hostile-proxy",
        certificates,
        limits=LIMITS,
        audit={"sync_interval": 0.01},
    )
    try:
        proxy.start()
        stage = Stage(proxy)
        for workspace, source in (("alpha", "orders"), ("beta", "ledger")):
            stage.create_workspace(workspace)
            proxy.add_source(workspace, source, postgres)
        stage.bystander = stage.log_in("beta", "ledger")
        yield stage
        stage.bystander.close()
    finally:
        proxy.remove()


@pytest.fixture
def stage(theatre: Theatre[Any]) -> Iterator[Theatre[Any]]:
    """The proxy of either protocol, whose bystander and descriptors the test must not harm."""
    with theatre.unharmed():
        yield theatre


@pytest.fixture
def marker(stage: Theatre[Any]) -> str:
    """A marker in the audit log from before the test."""
    return stage.mark()


@pytest.fixture(scope="session")
def fake(certificates: Certificates) -> Iterator[FakeServer]:
    """A hostile server; each test gives it its script."""
    with FakeServer() as server:
        yield server


@pytest.fixture(scope="session")
def fake_sources(theatre: Stage, fake: FakeServer, certificates: Certificates) -> Iterator[None]:
    """Workspace alpha's sources on the hostile server, one for each way to trust it.

    At the end no attack of them all has put their password into any file.
    """
    verified = TlsSettings(ca_pem=certificates.ca.read_text())
    for name, tls, methods in (
        ("plain", PLAIN, None),
        ("md5", PLAIN, frozenset({"scram-sha-256", "md5"})),
        ("tls", TlsSettings(mode="require"), None),
        ("full", verified, None),
        ("plus", verified, frozenset({"scram-sha-256-plus"})),
        ("clear", verified, frozenset({"scram-sha-256", "cleartext"})),
    ):
        theatre.add_fake_source("alpha", name, fake.port, tls=tls, auth_methods=methods)
    trust = frozenset({"trust"})
    theatre.add_fake_source("alpha", "trust", fake.port, auth_methods=trust, password=None)
    yield
    Play.check_files(theatre)


@pytest.fixture
def play(stage: Stage, fake: FakeServer, fake_sources: None) -> Iterator[Play]:
    """Log in to a source that plays a script; the attack must fail and give nothing away."""
    yield Play(stage, fake)
    fake.play(Peer.drain)
