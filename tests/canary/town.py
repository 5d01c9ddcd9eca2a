"""A proxy all of whose secrets are unique, used on every path there is.

``live`` through it and everything it emitted is in ``evidence``; ``canaries`` are what
must not be found there.
"""

from __future__ import annotations

import base64
import re
import signal
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from proxy.store import parse_token
from tests.canary.capture import Recorder
from tests.canary.forms import Canary, Evidence
from tests.hostile.fake_server import SALT, FakeServer, Peer, error, server_context
from tests.hostile.raw import RawClient
from tests.servers import roles
from tests.servers.certificates import Certificates
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import ProxyServer
from tests.servers.roles import CERT
from vault import LocalKeyFile

# Each holds what escaping changes, and is unlike any other string of the run.
SCRAM_PASSWORD = 'Canary-scram "7f3a91/Heron%\\+'
MD5_PASSWORD = 'Canary-md5 "52c8d0/Kestrel%\\+'
CLEAR_PASSWORD = 'Canary-clear "e19b44/Osprey%\\+'
WRONG_PASSWORD = 'Canary-wrong "a9d517/Merlin%\\+'
ROTATED_PASSWORD = 'Canary-rotated "be6021/Harrier%\\+'
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


class Town:
    """The proxy, its upstreams, and what is known of its secrets."""

    def __init__(
        self,
        folder: Path,
        certificates: Certificates,
        server: PostgresServer,
        fake: FakeServer,
        *,
        store_url: str | None = None,
    ) -> None:
        store = {} if store_url is None else {"store": {"url": store_url}}
        self.certificates = certificates
        self.server = server
        self.fake = fake
        self.proxy = ProxyServer(
            folder,
            certificates,
            logs={"level": "debug"},
            audit={"sync_interval": 0.05},
            limits={"login_deadline": 3.0, "connect_timeout": 3.0, "failure_floor": 0.0},
            **store,
        )
        self.evidence = Evidence()
        self.recorder = Recorder(self.proxy, self.evidence, folder.name)
        self.tokens: list[str] = []

    # --- life -------------------------------------------------------------------------

    def live(self) -> None:
        """Go every path, and keep all that is emitted."""
        self.proxy.start()
        try:
            self.build()
            self.use()
            self.misuse()
            with RawClient(self.proxy.port) as client:
                client.log_in("finance", self.tokens[0], "scram")
                self.recorder.look([self.server])
            self.administer()
            self.recorder.files()
            self.crash()
            self.proxy.stop()
            self.without_a_proxy()
        finally:
            self.proxy.kill()
        self.recorder.files()

    def build(self) -> None:
        """A workspace and its sources, made by the command line."""
        run, private = self.recorder.run_once, self._private
        run("workspace", "create", "finance")
        self.tokens = [
            self._token(run("token", "create", "finance", "--json", keep=False)) for _ in range(3)
        ]
        ca = ("--ca", str(self.certificates.ca))
        for name, role, password, methods in (
            ("scram", "canary_scram", SCRAM_PASSWORD, ()),
            ("md5", "canary_md5", MD5_PASSWORD, ("--auth-method", "md5")),
            ("clear", "canary_clear", CLEAR_PASSWORD, ("--auth-method", "cleartext")),
            ("wrong", "canary_scram", WRONG_PASSWORD, ()),
            ("rotated", "canary_scram", SCRAM_PASSWORD, ()),
        ):
            url = f"postgresql://127.0.0.1:{self.server.port}/{self.server.database}"
            add = ("source", "add", "finance", name, url, "--username", role, *ca, *methods)
            output = run(*add, "--password-stdin", stdin=password.encode() + b"\n")
            assert "Added source" in output, output
            # A second time, and by a file: both are errors that quote what they were given.
            run(*add, "--password-file", private("password", password.encode()))
        client = self.certificates
        output = run(
            *("source", "add", "finance", "cert", url, "--username", CERT.name, *ca),
            *("--no-password", "--client-cert", str(client.certificate("client"))),
            *("--client-key", private("client.key", client.key("client").read_bytes())),
        )
        assert "Added source" in output, output
        url = f"postgresql://127.0.0.1:{self.fake.port}/fakedb"
        for name, options in (
            ("echo", ["--tls", "disable"]),
            ("echo-md5", ["--tls", "disable", "--auth-method", "md5"]),
            ("echo-clear", [*ca, "--auth-method", "cleartext"]),
        ):
            output = run(
                *("source", "add", "finance", name, url, "--username", "fake_user", *options),
                "--password-stdin",
                stdin=ECHOED_PASSWORD.encode(),
            )
            assert "Added source" in output, output

    def use(self) -> None:
        """Logins that are right."""
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
        """Logins that are wrong, on either side."""
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

    def administer(self) -> None:
        """Every command, with and without --json."""
        run, once, private = self.recorder.run, self.recorder.run_once, self._private
        for command in (
            ("check-config",),
            ("workspace", "list"),
            ("workspace", "show", "finance"),
            ("token", "list", "finance"),
            ("source", "list", "finance"),
            ("session", "list"),
            ("session", "kill", "nobody", "--yes"),
            ("audit", "tail", "-n", "1000"),
            ("audit", "search", "--limit", "0"),
            ("audit", "verify"),
            ("key", "status"),
            ("key", "rotate"),
            ("completion", "bash"),
            ("no-such-command",),
            ("source", "show", "finance", "nothing"),
            # Who mistakes one argument for another shows a secret in the process list
            # and must not find it repeated anywhere else.
            ("token", "revoke", "finance", "--yes", parse_token(self.tokens[2])),
        ):
            run(*command)
        for name in ("scram", "md5", "clear", "wrong", "cert", "echo"):
            run("source", "show", "finance", name)
            run("source", "test", "finance", name)
        once(
            *("source", "rotate", "finance", "rotated", "--password-file"),
            private("new", ROTATED_PASSWORD.encode()),
        )
        run("source", "test", "finance", "rotated")
        # Keys that are none, secrets with wrong modes.
        key = self.certificates.key("client").read_bytes()
        broken = private("broken.key", key.replace(b"PRIVATE", b"PIRATE"))
        certificate = str(self.certificates.certificate("client"))
        rotate = ("source", "rotate", "finance", "cert", "--client-cert", certificate)
        once(*rotate, "--client-key", broken)
        once(
            *rotate,
            "--client-key",
            private("other.key", self.certificates.key("server").read_bytes()),
        )
        open_file = private("open", ROTATED_PASSWORD.encode())
        Path(open_file).chmod(0o644)
        once("source", "rotate", "finance", "rotated", "--password-file", open_file)
        once("source", "remove", "finance", "wrong", "--yes")
        once("workspace", "suspend", "finance", "--yes")
        once("workspace", "resume", "finance")

    def crash(self) -> None:
        """End it in the middle of a session, start it over what was left."""
        assert self.proxy.process is not None
        self.proxy.process.send_signal(signal.SIGABRT)
        self.proxy.process.wait(20)
        self.recorder.files()
        self.recorder.run("audit", "verify")
        self.proxy.start()
        self.recorder.log_in("finance", self.tokens[0], "scram", "SELECT 1")
        self.recorder.look()

    def without_a_proxy(self) -> None:
        """The commands that do the work themselves where no proxy runs."""
        for command in (
            ("source", "test", "finance", "scram"),
            ("source", "test", "finance", "echo"),
            ("session", "list"),
            ("audit", "verify"),
            ("check-config",),
        ):
            self.recorder.run(*command)

    def _private(self, name: str, data: bytes) -> str:
        """A file that an operator made, outside of what the proxy writes."""
        folder = self.proxy.folder.with_name(f"{self.proxy.folder.name}-desk")
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_bytes(data)
        path.chmod(0o600)
        return str(path)

    @staticmethod
    def _token(output: str) -> str:
        found = re.search(r"acp_[0-9A-Za-z_-]+", output)
        assert found is not None, output
        return found[0]

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
        """Everything that must not be found."""
        server = self.server
        fake_scram = ((SALT, 4096),)
        store = ("store.db", "store.db-wal")
        workspace = self._workspace()
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
        found += [
            Canary(f"token {number}", token.encode(), ("finance",), workspace, (), store)
            for number, token in enumerate(self.tokens)
        ]
        found += [
            Canary(f"the secret part of token {number}", token.rpartition("_")[2].encode())
            for number, token in enumerate(self.tokens)
        ]
        return found + self._keys()

    def _workspace(self) -> tuple[tuple[bytes, int], ...]:
        found = self.proxy.workspace("finance")
        return ((found.scram_salt, found.scram_iterations),)

    def _keys(self) -> list[Canary]:
        text = self.proxy.key_file.read_text()
        found = [
            Canary(f"key file, {line.split()[0]}", bytes.fromhex(line.split()[-1]),
                   at_home=("local.key",))
            for line in text.splitlines()
            if line.startswith(("seed", "kek"))
        ]  # fmt: skip
        provider = LocalKeyFile.load(self.proxy.key_file)
        for purpose in ("audit signing", "audit-signing", "fake-salt"):
            found.append(Canary(f"derived key {purpose}", provider.derive_key(purpose).reveal()))
        signing = self.proxy.vault.signing_key().private_bytes_raw()
        found.append(Canary("the audit log's signing key", signing))
        found.append(Canary("the fake salts' key", self.proxy.vault.fake_salt_key()))
        pem = self.certificates.key("client").read_bytes()
        key = load_pem_private_key(pem, None)
        numbers = key.private_numbers()  # type: ignore[union-attr]
        for name in ("private_value", "d", "p", "q"):
            value = getattr(numbers, name, None)
            if value is not None:
                size = (value.bit_length() + 7) // 8
                found.append(Canary(f"the client key's {name}", value.to_bytes(size, "big")))
        found += [
            Canary(f"line {number} of the client key's PEM", line)
            for number, line in enumerate(pem.splitlines())
            # The first ones name the kind of key, as every key's do.
            if number >= 2 and len(line) >= 32 and not line.startswith(b"-----")
        ]
        return found


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
