"""Our client against real servers, and libpq against our server."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import psycopg.conninfo
import pytest

from protocols.channel import run
from protocols.errors import PeerClosed, PeerViolation, Refusal, UpstreamRefused
from protocols.interface import Arrival, CancelArrival, SessionKey, Upstream, UpstreamLogin
from protocols.postgres import PROTOCOL
from tests.protocols.postgres.login import derive, verifiers
from tests.protocols.postgres.sockets import SocketChannel
from tests.protocols.postgres.test_protocol import BEHIND
from tests.servers import roles
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.roles import Role
from tests.servers.waiting import wait_until

ALL = frozenset({"scram-sha-256-plus", "scram-sha-256", "md5", "cleartext", "trust", "cert"})
KEY = SessionKey(42, bytes(range(32)))
WAIT = 20.0


def entry(role: Role, *, tls: bool, version: tuple[int, int] = (3, 0)) -> UpstreamLogin:
    return UpstreamLogin(
        username=role.name,
        database=roles.DATABASE,
        password=None if role.method in ("trust", "cert") else role.password.encode(),
        parameters={"application_name": "wire", "TimeZone": "Asia/Tokyo"},
        methods=ALL,
        require_tls=tls,
        is_tls_verified=tls,
        version=version,
    )


@contextmanager
def dialled(server: PostgresServer, role: Role = roles.SCRAM) -> Iterator[SocketChannel]:
    context = ssl.create_default_context()
    if server.certificates is not None:
        context.load_verify_locations(server.certificates.ca)
        if role is roles.CERT:
            own = server.certificates
            context.load_cert_chain(own.certificate("client"), own.key("client"))
    context.check_hostname = False
    sock = socket.create_connection((server.host, server.port), timeout=WAIT)
    channel = SocketChannel(sock, context)
    try:
        yield channel
    finally:
        channel.close()


def enter(server: PostgresServer, login: UpstreamLogin, role: Role = roles.SCRAM) -> Upstream:
    with dialled(server, role) as channel:
        return run(PROTOCOL.connect(channel, login, derive, os.urandom))


@pytest.mark.parametrize(
    ("role", "tls", "method"),
    [
        (roles.SCRAM, False, "scram-sha-256"),
        (roles.SCRAM, True, "scram-sha-256-plus"),
        (roles.TLS_ONLY, True, "scram-sha-256-plus"),
        (roles.PLAIN_ONLY, False, "scram-sha-256"),
        (roles.CLEAR, True, "cleartext"),
        (roles.TRUST, False, "trust"),
        (roles.CERT, True, "cert"),
    ],
)
def test_each_role_is_entered_by_its_own_method(
    postgres: PostgresServer, role: Role, tls: bool, method: str
):
    upstream = enter(postgres, entry(role, tls=tls), role)
    assert upstream.method == method
    reported = dict(upstream.detail.parameters)
    assert reported[b"TimeZone"] == b"Asia/Tokyo"
    assert reported[b"application_name"] == b"wire"
    assert upstream.server_version.split(".")[0].isdigit()
    assert len(upstream.detail.cancel_key) == 4


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_keeps_md5_hashes_is_entered_by_md5(own_postgres: PostgresServer, tls: bool):
    role = roles.MD5
    # In one go, so that both statements run in one session.
    own_postgres.execute(
        f"SET password_encryption = 'md5'; ALTER ROLE {role.name} PASSWORD '{role.password}'"
    )
    assert enter(own_postgres, entry(role, tls=tls)).method == "md5"


def test_binding_that_is_not_listed_is_not_used_and_the_server_does_not_mind(
    postgres: PostgresServer,
):
    login = replace(entry(roles.SCRAM, tls=True), methods=frozenset({"scram-sha-256"}))
    assert enter(postgres, login).method == "scram-sha-256"


def test_cleartext_is_kept_from_a_server_without_tls(postgres: PostgresServer):
    with pytest.raises(Refusal, match="not verified"):
        enter(postgres, entry(roles.CLEAR, tls=False))


def test_a_stored_password_is_kept_from_a_server_that_trusts(postgres: PostgresServer):
    login = replace(entry(roles.TRUST, tls=False), password=b"stored")
    with pytest.raises(Refusal, match="did not ask"):
        enter(postgres, login)


@pytest.mark.parametrize("role", [roles.SCRAM, roles.MD5, roles.CLEAR])
def test_a_wrong_password_is_refused_by_the_server(postgres: PostgresServer, role: Role):
    login = replace(entry(role, tls=True), password=b"wrong")
    with pytest.raises(UpstreamRefused) as caught:
        enter(postgres, login)
    assert caught.value.code == "28P01"


def test_an_unknown_database_is_refused_by_its_code(postgres: PostgresServer):
    login = replace(entry(roles.SCRAM, tls=False), database="nowhere")
    with pytest.raises(UpstreamRefused) as caught:
        enter(postgres, login)
    assert caught.value.code == "3D000"


def test_an_older_server_negotiates_3_2_down(postgres: PostgresServer):
    upstream = enter(postgres, entry(roles.SCRAM, tls=True, version=(3, 2)))
    assert upstream.version == (3, 0)


def test_postgresql_18_grants_3_2_and_a_long_key(postgres18: PostgresServer):
    upstream = enter(postgres18, entry(roles.SCRAM, tls=False, version=(3, 2)))
    assert upstream.version == (3, 2)
    assert len(upstream.detail.cancel_key) == 32


def test_a_server_without_tls_is_refused_where_tls_is_required(postgres18: PostgresServer):
    with pytest.raises(Refusal, match="does not offer TLS"):
        enter(postgres18, entry(roles.SCRAM, tls=True))


@pytest.mark.parametrize("tls", [False, True])
def test_a_cancel_request_stops_the_running_statement(postgres: PostgresServer, tls: bool):
    with dialled(postgres) as session:
        login = entry(roles.SCRAM, tls=tls)
        upstream = run(PROTOCOL.connect(session, login, derive, os.urandom))
        query = b"select pg_sleep(60)\0"
        session.write(b"Q" + (len(query) + 4).to_bytes(4, "big") + query)
        session.flush()

        def has_stopped() -> bool:
            # The request may come before the statement has begun: then it is repeated.
            with dialled(postgres) as channel:
                run(PROTOCOL.cancel(channel, upstream, require_tls=tls))
            return session.has_unread()

        wait_until(has_stopped, what="the statement to be cancelled")
        reply = b""
        while b"C57014\0" not in reply:
            reply += run(session.read_exactly(1))


class Door:
    """Our server for one client at a time, in a thread; what it saw is in ``outcome``."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificate = certificates.certificate("server")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self._certificate, certificates.key("server"))
        self._context.set_alpn_protocols(["postgresql"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT)
        self.port: int = self._listener.getsockname()[1]
        self.outcome: Arrival | CancelArrival | Exception | None = None
        self.token_id: str | None = None
        self.leg = PROTOCOL.client_leg(KEY, os.urandom)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        sock, _ = self._listener.accept()
        sock.settimeout(WAIT)
        channel = SocketChannel(sock, self._context, self._certificate)
        try:
            self.outcome = run(self.leg.greet(channel))
            if isinstance(self.outcome, Arrival):
                self.token_id = run(
                    self.leg.authenticate(channel, self.outcome, verifiers(b"pencil"), os.urandom)
                )
                channel.write(self.leg.welcome(self.outcome, BEHIND))
                run(channel.read_exactly(5))  # Terminate
        except Refusal as error:
            self.outcome = error
            channel.write(self.leg.refusal(error))
        except (PeerViolation, PeerClosed) as error:
            self.outcome = error
        finally:
            channel.close()

    def wait(self) -> None:
        self._thread.join(WAIT)
        self._listener.close()


@pytest.fixture
def door(certificates: Certificates) -> Iterator[Door]:
    opened = Door(certificates)
    yield opened
    opened.wait()


def dsn(door: Door, **more: str) -> str:
    return psycopg.conninfo.make_conninfo(
        "user=finance dbname=orders password=pencil host=127.0.0.1 connect_timeout=20",
        port=door.port,
        **more,
    )


@pytest.mark.parametrize(
    ("options", "is_encrypted"),
    [
        ({"sslmode": "disable", "channel_binding": "disable"}, False),
        ({"sslmode": "prefer"}, True),
        ({"sslmode": "require", "channel_binding": "require"}, True),
        ({"sslmode": "require", "channel_binding": "disable"}, True),
        ({"sslmode": "require", "sslnegotiation": "direct"}, True),
        ({"sslmode": "require", "options": "-c geqo=off -c search_path=a,\\ b"}, True),
    ],
)
def test_libpq_logs_in_at_our_server(door: Door, options: dict[str, str], is_encrypted: bool):
    with psycopg.connect(dsn(door, **options), autocommit=True) as connection:
        assert connection.info.backend_pid == KEY.number
        assert connection.info.parameter_status("server_version") == "15.8"
    door.wait()
    assert isinstance(door.outcome, Arrival)
    assert (door.outcome.workspace, door.outcome.source) == ("finance", "orders")
    assert door.outcome.is_encrypted == is_encrypted
    assert door.token_id == "pencil"
    if "options" in options:
        assert door.outcome.parameters["search_path"] == "a, b"


@pytest.mark.parametrize("version", ["3.0", "3.2", "latest"])
def test_libpq_gets_the_version_it_asks_for(door: Door, version: str):
    psycopg.connect(dsn(door, max_protocol_version=version), autocommit=True).close()
    door.wait()
    assert isinstance(door.outcome, Arrival)
    assert door.outcome.version == ((3, 0) if version == "3.0" else (3, 2))


def test_libpq_shows_our_refusal(door: Door):
    with pytest.raises(psycopg.OperationalError, match='parameter "role" is not permitted'):
        psycopg.connect(dsn(door, options="-c role=postgres", sslmode="require"))
