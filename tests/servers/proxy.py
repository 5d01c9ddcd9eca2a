"""A real proxy in a process of its own, with a folder, ports, store and keys of its own.

Workspaces, tokens and sources are made behind the running proxy, through the store and
the vault, as the command line does; the proxy learns them as it learns any change.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.error import URLError
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families
from psycopg.conninfo import make_conninfo

from proxy.audit.read import Filters, search
from proxy.store import (
    Failover,
    PoolSettings,
    SealedCredential,
    Source,
    Store,
    TlsSettings,
    Workspace,
    draft_source,
    new_id,
    new_token,
    parse_token,
    seal_credential,
    verifiers_for,
)
from tests.servers.certificates import Certificates
from tests.servers.loops import run_to_end
from tests.servers.roles import SCRAM, Role
from tests.servers.waiting import wait_until
from vault import LocalKeyFile, Secret, Vault

T = TypeVar("T")
Record = dict[str, Any]
Settings = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "accode_proxy_"


class DataServer(Protocol):
    """What a source needs to know of its server; ``certificates`` None: it has no TLS."""

    @property
    def engine(self) -> str: ...

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def database(self) -> str: ...

    @property
    def certificates(self) -> Certificates | None: ...


class ProxyServer:
    """A proxy. Each keyword is a section of the configuration, over what tests need.

    ``ProxyServer(folder, certificates, limits={"idle_timeout": 2}, listener={...})``;
    ``listener`` is the one listener. ``port`` and ``metrics_port`` are known after
    ``start``; a restarted proxy has new ones.
    """

    host = "127.0.0.1"
    program = "tests.servers.serve_proxy"
    """The module that is the process: takes the configuration and where to write its ports."""

    def __init__(self, folder: Path, certificates: Certificates, **overrides: Settings) -> None:
        folder.mkdir(mode=0o755)
        self.folder = folder
        self.certificates = certificates
        self.config_file = folder / "accode.toml"
        self.audit_folder = folder / "audit"
        self.store_url = overrides.get("store", {}).get("url", f"sqlite:///{folder / 'store.db'}")
        self.key_file = folder / "local.key"
        self.log = folder / "proxy.log"
        self.environment: dict[str, str] = {}
        """Variables that its process has besides what it needs; for the next ``start``."""
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.metrics_port = 0
        self._write_config(overrides)
        LocalKeyFile.create(self.key_file)
        self.vault = Vault(LocalKeyFile.load(self.key_file))
        self.log.touch()
        self.with_store(_nothing)

    def _write_config(self, overrides: dict[str, Settings]) -> None:
        listener = {
            "port": 0,
            "tls_certificate": str(self.certificates.certificate("server")),
            "tls_key": str(self.certificates.key("server")),
        } | overrides.pop("listener", {})
        sections: dict[str, Settings] = {
            "store": {"url": self.store_url},
            "keys": {"file": str(self.key_file)},
            "audit": {"folder": str(self.audit_folder)},
            "egress": {"allow_private": True},
            # The floor hides a cause's time from strangers; tests have nothing to hide.
            "limits": {"failure_floor": 0.0, "drain_deadline": 2.0},
            "metrics": {"port": 0},
            "control": {"socket": str(self.folder / "control.sock")},
            "workers": {"count": 1},
        }
        for name, section in overrides.items():
            sections[name] = sections.get(name, {}) | section
        lines = ["[[listeners]]", *_toml(listener)]
        for name, section in sections.items():
            lines += [f"[{name}]", *_toml(section)]
        self.config_file.touch(mode=0o600)
        self.config_file.write_text("\n".join(lines) + "\n")

    # --- life ---------------------------------------------------------------------

    def start(self) -> ProxyServer:
        """Start and wait until it takes sessions. Raises RuntimeError with its log."""
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", self.program),
                    *(str(self.config_file), str(ready)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name in _KEPT}
                | self.environment,
                start_new_session=True,
            )
        try:
            wait_until(
                lambda: ready.exists() or not self.is_running, within=40, what="the proxy to start"
            )
            if self.is_running:
                ports = json.loads(ready.read_text())
                self.port, self.metrics_port = ports["listeners"][0], ports["metrics"]
                wait_until(
                    lambda: self.is_ready or not self.is_running, what="the proxy to be ready"
                )
        except TimeoutError:
            self.kill()
            raise
        if not self.is_running:
            raise RuntimeError(f"the proxy did not start:\n{self.log_text()}")
        return self

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.poll() is None

    @property
    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        with suppress(URLError, ConnectionError):
            self._get("/readyz")
            return True
        return False

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None, "this proxy has not been started"
        return self.process.pid

    def socket_count(self) -> int:
        """How many sockets its process has open."""
        count = 0
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                count += os.readlink(entry).startswith("socket:")
        return count

    def resident_bytes(self) -> int:
        """How much memory its process holds: VmRSS of proc(5)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    def stop(self, *, within: float = 45.0) -> int | None:
        """Stop as an operator would, by SIGTERM; returns its exit code."""
        if self.process is None:
            return None
        if self.is_running:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self.process = None

    def kill(self) -> None:
        """End it at once with SIGKILL: a crash."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(20)
        self.process = None

    def restart(self) -> None:
        """Stop and start with the same folder, on new ports."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop it and delete its folder."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- who may log in, and where to -----------------------------------------------

    def create_workspace(self, name: str) -> str:
        """Make a workspace; returns a token for it."""

        async def work(store: Store) -> None:
            await store.create_workspace(name, self.vault.new_root_key(new_id()))

        self.with_store(work)
        return self.create_token(name)

    def create_token(self, workspace: str, label: str = "test") -> str:
        """Make one more token for a workspace."""

        async def work(store: Store) -> str:
            found = await store.workspace(workspace)
            text = new_token()
            verifier = verifiers_for(text, found.scram_salt, found.scram_iterations)
            await store.create_token(found, label, None, verifier)
            return text

        return self.with_store(work)

    def add_source(
        self,
        workspace: str,
        name: str,
        server: DataServer,
        role: Role = SCRAM,
        *,
        tls: TlsSettings | None = None,
        auth_methods: frozenset[str] | None = None,
        host: str | None = None,
        port: int | None = None,
        database: str | None = None,
        password: str | None = None,
        pooling: PoolSettings | None = None,
        failover: Failover | None = None,
    ) -> Source:
        """Store a source and its password. ``tls`` None: verified where the server has TLS.

        The other keywords stand in for what ``server`` and ``role`` say.
        """
        if tls is None:
            tls = TlsSettings(mode="disable")
            if server.certificates is not None:
                tls = TlsSettings(ca_pem=server.certificates.ca.read_text())

        async def work(store: Store) -> Source:
            found = await store.workspace(workspace)
            draft = draft_source(
                found,
                name,
                engine=server.engine,
                host=host or server.host,
                port=port or server.port,
                database=database or server.database,
                username=role.name,
                tls=tls,
                auth_methods=auth_methods,
                pooling=pooling or PoolSettings(),
                failover=failover or Failover(),
            )
            secret = Secret((password or role.password).encode())
            sealed = SealedCredential(seal_credential(self.vault, found, draft, secret))
            return await store.add_source(draft, sealed)

        return self.with_store(work)

    def remove_source(self, workspace: str, name: str) -> None:
        """Delete a source."""

        async def work(store: Store) -> None:
            await store.remove_source(await store.source(await store.workspace(workspace), name))

        self.with_store(work)

    def revoke_token(self, workspace: str, token: str) -> None:
        """End a token, given as its text or its id."""
        token_id = parse_token(token) if token.startswith("acp_") else token

        async def work(store: Store) -> None:
            await store.revoke_token(await store.workspace(workspace), token_id)

        self.with_store(work)

    def suspend(self, workspace: str) -> None:
        """Refuse a workspace's logins and end its sessions."""

        async def work(store: Store) -> None:
            await store.suspend_workspace(await store.workspace(workspace))

        self.with_store(work)

    def resume(self, workspace: str) -> None:
        """Allow its logins again."""

        async def work(store: Store) -> None:
            await store.resume_workspace(await store.workspace(workspace))

        self.with_store(work)

    def workspace(self, name: str) -> Workspace:
        """What is stored of a workspace."""
        return self.with_store(lambda store: store.workspace(name))

    def with_store(self, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """Run ``work`` in a thread with a loop of its own: a test may have one running."""

        async def run() -> T:
            store = await Store.open(self.store_url)
            try:
                return await work(store)
            finally:
                await store.close()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: run_to_end(run())).result(60)

    # --- use ------------------------------------------------------------------------

    def dsn(self, workspace: str, token: str, source: str, **params: str | int) -> str:
        """A libpq connection string; ``params`` over it, for example ``sslmode="disable"``."""
        values: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": workspace,
            "password": token,
            "dbname": source,
            "connect_timeout": 20,
        }
        values |= params
        if str(values.get("sslmode", "")).startswith("verify"):
            values.setdefault("sslrootcert", str(self.certificates.ca))
        return make_conninfo("", **values)

    def url(
        self,
        workspace: str,
        token: str,
        source: str,
        *,
        scheme: str = "postgresql",
        query: str = "",
    ) -> str:
        """``scheme://workspace:token@127.0.0.1:port/source``."""
        place = f"{quote(workspace)}:{token}@{self.host}:{self.port}/{quote(source)}"
        return f"{scheme}://{place}{'?' + query if query else ''}"

    # --- what it says ---------------------------------------------------------------

    def metrics(self) -> dict[str, float]:
        """Every sample: ``sessions{state=open}``, without the common prefix, labels sorted."""
        samples = {}
        for family in text_string_to_metric_families(self._get("/metrics")):
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                name = sample.name.removeprefix(PREFIX)
                samples[f"{name}{{{labels}}}" if labels else name] = sample.value
        return samples

    def wait_until_quiet(self) -> None:
        """Until it has no connection and nothing to write to the audit log."""

        def is_quiet() -> bool:
            samples = self.metrics()
            connections = sum(
                value for name, value in samples.items() if name.startswith("sessions{")
            )
            return connections == 0 and samples["audit_queue_depth"] == 0

        wait_until(is_quiet, what="the proxy's sessions to end and be recorded")

    def audit_events(self, until: Callable[[list[Record]], bool] | None = None) -> list[Record]:
        """Every record of the audit log's files, in order.

        Waits until ``until`` is true of them; without it, until a running proxy is quiet:
        close your sessions first.
        """
        if until is None:
            if self.is_running:
                self.wait_until_quiet()
            return self._read_audit()
        wait_until(lambda: until(self._read_audit()), what="the audit log to hold the records")
        return self._read_audit()

    def _read_audit(self) -> list[Record]:
        # A last line that is half written is none yet.
        return list(search(self.audit_folder, Filters()))

    def audit_text(self) -> str:
        """All of the audit folder as text, for searches."""
        return "".join(
            path.read_bytes().decode("utf-8", "replace")
            for path in sorted(self.audit_folder.iterdir())
        )

    def log_text(self) -> str:
        """Its structured log."""
        return self.log.read_text(errors="replace")

    def _get(self, path: str) -> str:
        url = f"http://{self.host}:{self.metrics_port}{path}"
        with urllib.request.urlopen(url, timeout=40) as answer:
            body: bytes = answer.read()
        return body.decode()


_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "ACCODE_PROXY_PURE", "PYTHONPATH")


async def _nothing(store: Store) -> None:
    """Opening the store has made it."""


def _toml(section: Settings) -> list[str]:
    # TOML's values are JSON's, as far as a configuration uses them.
    return [f"{name} = {json.dumps(value)}" for name, value in section.items()]
