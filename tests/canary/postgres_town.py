"""A town whose data sources are PostgreSQL, real ones and one that says what it was told."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from tests.canary.capture import PostgresRecorder
from tests.canary.forms import Canary
from tests.canary.town import ROTATED_PASSWORD, Town
from tests.hostile.fake_server import SALT, FakeServer, Peer, error, server_context
from tests.hostile.raw import RawClient
from tests.servers import roles
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.roles import CERT

# Each holds what escaping changes, and is unlike any other string of the run.
SCRAM_PASSWORD = 'Canary-scram "7f3a91/Heron%\\+'
MD5_PASSWORD = 'Canary-md5 "52c8d0/Kestrel%\\+'
CLEAR_PASSWORD = 'Canary-clear "e19b44/Osprey%\\+'
WRONG_PASSWORD = 'Canary-wrong "a9d517/Merlin%\\+'
ECHOED_PASSWORD = 'Canary-echoed "0c44f8/Shrike%\\+'
STORE_PASSWORD = 'Canary-store "d7713e/Buzzard%\\+'

_ROLES = {
    "canary_scram": ("scram-sha-256", SCRAM_PASSWORD, "host"),
    "canary_md5": ("md5", MD5_PASSWORD, "host"),
    "canary_clear": ("password", CLEAR_PASSWORD, "hostssl"),
    "canary_store": ("scram-sha-256", STORE_PASSWORD, "host"),
}


def furnish(server: PostgresServer) -> None:
    """Make the roles whose passwords are canaries."""
    lines = roles.hba_lines(has_tls=True)
    for name, (method, password, connection) in _ROLES.items():
        encryption = "md5" if method == "md5" else "scram-sha-256"
        literal = password.replace("'", "''")
        server.execute(f"SET password_encryption = '{encryption}'")
        server.execute(
            f"SET password_encryption = '{encryption}';"
            f" SET standard_conforming_strings = on; CREATE ROLE {name} LOGIN"
            f" PASSWORD '{literal}'; GRANT ALL ON SCHEMA public TO {name};"
            f" GRANT CREATE, CONNECT ON DATABASE {server.database} TO {name}"
        )
        lines += f"{connection} all {name} 127.0.0.1/32 {method}\n"
    server.write_hba(lines)
    server.reload()


def scram_of(server: PostgresServer, role: str) -> tuple[tuple[bytes, int], ...]:
    """Under which salt and count the server knows a role's password."""
    text = str(
        server.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (role,))[0][0]
    )
    found = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$.*", text)
    assert found is not None, text
    return ((base64.b64decode(found[2]), int(found[1])),)


class PostgresTown(Town):
    """A town whose sources speak PostgreSQL."""

    listener: ClassVar[Mapping[str, Any]] = {"protocol": "postgres"}
    recorder_type = PostgresRecorder
    names = ("scram", "md5", "clear", "wrong", "cert", "echo")
    first = "scram"
    landmarks: ClassVar[Mapping[str, str]] = {"pg_stat_activity": "canary_scram"}

    def __init__(
        self,
        folder: Path,
        certificates: Certificates,
        server: PostgresServer,
        fake: FakeServer,
        *,
        store_url: str | None = None,
    ) -> None:
        super().__init__(folder, certificates, store_url=store_url)
        self.server = server
        self.fake = fake

    def build(self) -> None:
        run = self.recorder.run_once
        ca = ("--ca", str(self.certificates.ca))
        url = f"postgresql://127.0.0.1:{self.server.port}/{self.server.database}"
        for name, role, password, methods in (
            ("scram", "canary_scram", SCRAM_PASSWORD, ()),
            ("md5", "canary_md5", MD5_PASSWORD, ("--auth-method", "md5")),
            ("clear", "canary_clear", CLEAR_PASSWORD, ("--auth-method", "cleartext")),
            ("wrong", "canary_scram", WRONG_PASSWORD, ()),
            ("rotated", "canary_scram", SCRAM_PASSWORD, ()),
        ):
            self.add(name, url, role, *ca, *methods, password=password.encode() + b"\n")
            # A second time, and by a file: both are errors that quote what they were given.
            again = ("source", "add", "finance", name, url, "--username", role, *ca, *methods)
            run(*again, "--password-file", self.private("password", password.encode()))
        client = self.certificates
        key = self.private("client.key", client.key("client").read_bytes())
        certificate = ("--client-cert", str(client.certificate("client")), "--client-key", key)
        self.add("cert", url, CERT.name, *ca, *certificate, password=None)
        url = f"postgresql://127.0.0.1:{self.fake.port}/fakedb"
        for name, options in (
            ("echo", ["--tls", "disable"]),
            ("echo-md5", ["--tls", "disable", "--auth-method", "md5"]),
            ("echo-clear", [*ca, "--auth-method", "cleartext"]),
        ):
            self.add(name, url, "fake_user", *options, password=ECHOED_PASSWORD.encode())

    def use(self) -> None:
        for name in ("scram", "md5", "clear", "cert", "scram", "cert"):
            for tls in (False, True):
                told = self.recorder.log_in(
                    "finance", self.tokens[0], name,
                    "SELECT current_user, version()", "SELECT * FROM pg_stat_activity",
                    "SHOW ALL", "SELECT 1/0", "SELECT nothing",
                    tls=tls,
                )  # fmt: skip
                assert told == "", told

    def misuse(self) -> None:
        log_in = self.recorder.log_in
        assert "password authentication failed" in log_in("finance", self.tokens[1] + "x", "scram")
        assert "password authentication failed" in log_in("nobody", self.tokens[1], "scram")
        assert log_in("finance", self.tokens[1], "no-such-source")
        assert log_in(self.tokens[1], self.tokens[1], self.tokens[1])
        assert log_in("finance", self.tokens[1], "wrong")
        for script in (_echo_before, _echo_after_scram, _echo_in_a_field):
            self.fake.play(script)
            assert log_in("finance", self.tokens[1], "echo")
        self.fake.play(_echo_md5)
        assert log_in("finance", self.tokens[1], "echo-md5")
        self.fake.play(self._echo_clear)
        assert log_in("finance", self.tokens[1], "echo-clear")
        self.fake.play(Peer.drain)

    def look(self) -> None:
        with RawClient(self.proxy.port) as client:
            client.log_in("finance", self.tokens[0], "scram")
            rows = self.server.execute("SELECT to_json(a)::text FROM pg_stat_activity a")
            shown = "\n".join(str(row[0]) for row in rows)
            self.recorder.look({"pg_stat_activity": shown})

    def _echo_clear(self, peer: Peer) -> None:
        context = server_context(
            str(self.certificates.certificate("server")), str(self.certificates.key("server"))
        )
        peer.accept_tls(context)
        peer.startup()
        peer.send(b"R\0\0\0\x08\0\0\0\x03")
        # It has the password now, and says so.
        _, body = peer.message()
        peer.send(error(f"password {body.rstrip(bytes(1)).decode()} is wrong"))

    # --- what is secret ----------------------------------------------------------------

    def canaries(self) -> list[Canary]:
        server = self.server
        fake_scram = ((SALT, 4096),)
        found = [
            Canary("the SCRAM password", SCRAM_PASSWORD.encode(), ("canary_scram",),
                   scram_of(server, "canary_scram")),
            Canary("the md5 password", MD5_PASSWORD.encode(), ("canary_md5",)),
            Canary("the cleartext password", CLEAR_PASSWORD.encode(), ("canary_clear",),
                   scram_of(server, "canary_clear")),
            Canary("a password that is refused", WRONG_PASSWORD.encode(), ("canary_scram",),
                   scram_of(server, "canary_scram")),
            Canary("a rotated password", ROTATED_PASSWORD.encode(), ("canary_scram",),
                   scram_of(server, "canary_scram")),
            Canary("a password that is echoed", ECHOED_PASSWORD.encode(), ("fake_user",),
                   fake_scram),
            Canary("the store's password", STORE_PASSWORD.encode(), ("canary_store",),
                   scram_of(server, "canary_store"), at_home=("accode.toml",),
                   also={"in its URL": quote(STORE_PASSWORD, safe="").encode()}),
        ]  # fmt: skip
        return found + self.token_canaries() + self.key_canaries()


def _echo_before(peer: Peer) -> None:
    peer.startup()
    peer.send(error(f'password "{ECHOED_PASSWORD}" is wrong'))


def _echo_after_scram(peer: Peer) -> None:
    peer.startup()
    peer.scram(ECHOED_PASSWORD)
    peer.send(error(f'password "{ECHOED_PASSWORD}" is wrong', code="28000"))


def _echo_in_a_field(peer: Peer) -> None:
    peer.startup()
    peer.send(error("no", code=ECHOED_PASSWORD[:12], severity=ECHOED_PASSWORD))


def _echo_md5(peer: Peer) -> None:
    peer.startup()
    peer.send(b"R\0\0\0\x0c\0\0\0\x05salt")
    _, body = peer.message()
    peer.send(error(f"{body!r} is not the hash of {ECHOED_PASSWORD}"))
