"""A proxy all of whose secrets are unique, used on every path there is.

``live`` through it and everything it emitted is in ``evidence``; ``canaries`` are what
must not be found there. A subclass for each protocol knows its sources.
"""

from __future__ import annotations

import re
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from proxy.store import parse_token
from tests.canary.capture import Recorder
from tests.canary.forms import Canary, Evidence
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer
from vault import LocalKeyFile

ROTATED_PASSWORD = 'Canary-rotated "be6021/Harrier%\\+'
"""Like every canary: it holds what escaping changes, and is unlike any other string."""

STORE = ("store.db", "store.db-wal")
"""The files that hold the verifiers of tokens."""


class Town(ABC):
    """The proxy, its upstreams, and what is known of its secrets."""

    listener: ClassVar[Mapping[str, Any]]
    recorder_type: ClassVar[type[Recorder]]
    names: ClassVar[tuple[str, ...]]
    """The sources that are shown and tested; ``first`` is a good one."""
    first: ClassVar[str]
    landmarks: ClassVar[Mapping[str, str]]
    """Texts that captures of that name must hold, else nothing was searched."""

    def __init__(
        self, folder: Path, certificates: Certificates, *, store_url: str | None = None
    ) -> None:
        store = {} if store_url is None else {"store": {"url": store_url}}
        self.certificates = certificates
        self.proxy = ProxyServer(
            folder,
            certificates,
            logs={"level": "debug"},
            audit={"sync_interval": 0.05},
            limits={"login_deadline": 5.0, "connect_timeout": 5.0, "failure_floor": 0.0},
            listener=dict(self.listener),
            **store,
        )
        self.evidence = Evidence()
        self.recorder = self.recorder_type(self.proxy, self.evidence, folder.name)
        self.tokens: list[str] = []

    # --- life -------------------------------------------------------------------------

    def live(self) -> None:
        """Go every path, and keep all that is emitted."""
        self.proxy.start()
        try:
            self.found()
            self.build()
            self.use()
            self.misuse()
            self.look()
            self.administer()
            self.recorder.files()
            self.crash()
            self.proxy.stop()
            self.without_a_proxy()
        finally:
            self.proxy.kill()
        self.recorder.files()

    def found(self) -> None:
        """A workspace and its tokens, made by the command line."""
        run = self.recorder.run_once
        run("workspace", "create", "finance")
        self.tokens = [
            self.token_in(run("token", "create", "finance", "--json", keep=False)) for _ in range(3)
        ]

    @abstractmethod
    def build(self) -> None:
        """Its sources, made by the command line."""

    @abstractmethod
    def use(self) -> None:
        """Logins that are right."""

    @abstractmethod
    def misuse(self) -> None:
        """Logins that are wrong, on either side."""

    @abstractmethod
    def look(self) -> None:
        """See the running proxy from outside, with a session open."""

    @abstractmethod
    def canaries(self) -> list[Canary]:
        """Everything that must not be found."""

    def add(
        self, name: str, url: str, username: str, *options: str, password: bytes | None
    ) -> None:
        """A source, made by the command line; ``password`` by standard input."""
        given = ("--no-password",) if password is None else ("--password-stdin",)
        output = self.recorder.run_once(
            *("source", "add", "finance", name, url, "--username", username, *options, *given),
            stdin=password,
        )
        assert "Added source" in output, output

    def administer(self) -> None:
        """Every command, with and without --json."""
        run, once, private = self.recorder.run, self.recorder.run_once, self.private
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
        for name in self.names:
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
        self.recorder.log_in("finance", self.tokens[0], self.first, "SELECT 1")
        self.recorder.look()

    def without_a_proxy(self) -> None:
        """The commands that do the work themselves where no proxy runs."""
        for command in (
            ("source", "test", "finance", self.first),
            ("source", "test", "finance", "echo"),
            ("session", "list"),
            ("audit", "verify"),
            ("check-config",),
        ):
            self.recorder.run(*command)

    def private(self, name: str, data: bytes) -> str:
        """A file that an operator made, outside of what the proxy writes."""
        folder = self.proxy.folder.with_name(f"{self.proxy.folder.name}-desk")
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_bytes(data)
        path.chmod(0o600)
        return str(path)

    @staticmethod
    def token_in(output: str) -> str:
        found = re.search(r"acp_[0-9A-Za-z_-]+", output)
        assert found is not None, output
        return found[0]

    # --- what is secret ----------------------------------------------------------------

    def token_canaries(self) -> list[Canary]:
        """The tokens, whole and in part."""
        found = [
            Canary(f"token {number}", token.encode(), ("finance",), self.token_salt(), (), STORE)
            for number, token in enumerate(self.tokens)
        ]
        found += [
            Canary(f"the secret part of token {number}", token.rpartition("_")[2].encode())
            for number, token in enumerate(self.tokens)
        ]
        return found

    def token_salt(self) -> tuple[tuple[bytes, int], ...]:
        found = self.proxy.workspace("finance")
        return ((found.scram_salt, found.scram_iterations),)

    def key_canaries(self) -> list[Canary]:
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
