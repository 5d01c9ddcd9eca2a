"""One MySQL proxy for all attacks; every test leaves it as it found it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.store import TlsSettings
from tests.hostile.conftest import LIMITS
from tests.hostile.fake_server import FakeServer, server_context
from tests.hostile.mysql.fake_server import MysqlPeer, serve
from tests.hostile.mysql.raw import MysqlClient
from tests.hostile.play import Performance
from tests.hostile.stage import PASSWORD, PLAIN, Theatre
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer


class MysqlStage(Theatre[MysqlClient]):
    """A stage for MySQL. ``home`` is the honest server of all its sessions."""

    engine = "mysql"

    def __init__(self, proxy: ProxyServer, home: FakeServer) -> None:
        super().__init__(proxy)
        self.home = home

    def client(self, **options: Any) -> MysqlClient:
        """A connection that has said nothing."""
        return MysqlClient(self.proxy.port, **options)

    def log_in(self, workspace: str, source: str, **options: Any) -> MysqlClient:
        """A session. Raises Refused."""
        client = self.client()
        try:
            return client.log_in(workspace, self.tokens[workspace], source, **options)
        except BaseException:
            client.close()
            raise

    @property
    def last(self) -> MysqlPeer:
        """What the honest server knows of the newest session."""
        peer = self.home.peers[-1]
        assert isinstance(peer, MysqlPeer)
        return peer


class MysqlPlay(Performance[MysqlClient]):
    """Logins at hostile MySQL servers."""

    forms = (
        PASSWORD.encode(),
        PASSWORD.encode().hex().encode(),
        base64.b64encode(PASSWORD.encode()),
        hashlib.sha1(PASSWORD.encode()).digest(),
        hashlib.sha256(PASSWORD.encode()).digest(),
        hashlib.sha256(PASSWORD.encode()).hexdigest().encode(),
    )


@contextmanager
def open_theatre(
    folder: Path,
    certificates: Certificates,
    places: Sequence[tuple[str, str]],
    **listener: Any,
) -> Iterator[MysqlStage]:
    """A proxy before an honest server, with workspaces and a source of each.

    At the last of them there is a bystander. The proxy must have logged no error at the end.
    """
    proxy = ProxyServer(
        folder,
        certificates,
        limits=LIMITS,
        audit={"sync_interval": 0.01},
        listener={"protocol": "mysql", **listener},
    )
    with FakeServer(MysqlPeer) as home:
        home.play(serve)
        try:
            proxy.start()
            stage = MysqlStage(proxy, home)
            for workspace, source in places:
                stage.create_workspace(workspace)
                stage.add_fake_source(workspace, source, home.port)
            stage.bystander = stage.log_in(*places[-1])
            yield stage
            stage.bystander.close()
            errors = [line for line in proxy.log_text().splitlines() if '"level": "error"' in line]
            assert errors == []
        finally:
            proxy.remove()


@pytest.fixture(scope="session")
def theatre(server_folder: Path, certificates: Certificates) -> Iterator[MysqlStage]:
    """Workspaces alpha (source orders) and beta (source ledger) on an honest server."""
    places = (("alpha", "orders"), ("beta", "ledger"))
    with open_theatre(server_folder / "hostile-mysql-proxy", certificates, places) as stage:
        yield stage


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeServer]:
    """A hostile server; each test gives it its script."""
    with FakeServer(MysqlPeer) as server:
        yield server


@pytest.fixture(scope="session")
def fake_sources(
    theatre: MysqlStage, fake: FakeServer, certificates: Certificates
) -> Iterator[None]:
    """Workspace alpha's sources on the hostile server, one for each way to trust it."""
    verified = TlsSettings(ca_pem=certificates.ca.read_text())
    for name, tls, methods in (
        ("plain", PLAIN, None),
        ("native", PLAIN, frozenset({"mysql_native_password"})),
        ("sha2", PLAIN, frozenset({"caching_sha2_password"})),
        ("tls", TlsSettings(mode="require"), None),
        ("full", verified, None),
        ("clear", verified, frozenset({"caching_sha2_password", "mysql_clear_password"})),
    ):
        theatre.add_fake_source("alpha", name, fake.port, tls=tls, auth_methods=methods)
    trust = frozenset({"trust"})
    theatre.add_fake_source("alpha", "trust", fake.port, auth_methods=trust, password=None)
    yield
    MysqlPlay.check_files(theatre)


@pytest.fixture
def play(stage: MysqlStage, fake: FakeServer, fake_sources: None) -> Iterator[MysqlPlay]:
    """Log in to a source that plays a script; the attack must fail and give nothing away."""
    yield MysqlPlay(stage, fake)
    fake.play(MysqlPeer.drain)


@pytest.fixture(scope="session")
def context(certificates: Certificates) -> Any:
    """A server's TLS with the right certificate."""
    return server_context(str(certificates.certificate("server")), str(certificates.key("server")))
