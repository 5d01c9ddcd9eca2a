"""A proxy with two workspaces and a bystander, and what an attack left behind.

The audit log is read as it grows. A marker, a statement of the bystander's, tells that
everything before it has been written: the log keeps its order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

from proxy.audit.expand import FileLines, record_of
from proxy.audit.files import audit_files
from proxy.store import (
    SealedCredential,
    Source,
    Store,
    TlsSettings,
    draft_source,
    seal_credential,
)
from tests.hostile.raw import RawClient
from tests.servers.loops import run_to_end
from tests.servers.proxy import ProxyServer, Record
from tests.servers.waiting import wait_until
from vault import Secret

PASSWORD = "Stored-81c6fe-Shrike"
"""What is stored for every source that is a fake server."""

USERNAME = "fake_user"

CREDENTIAL_USED = 600510
CONNECT = 600503
LOGON = 300201

PLAIN = TlsSettings(mode="disable")


class Trail:
    """The records of an audit folder, from a moment on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[Path, int] = {}
        self._readers: dict[Path, FileLines] = {}
        self.records: list[Record] = []

    def read(self) -> list[Record]:
        """All records so far."""
        for path in audit_files(self._folder):
            with path.open("rb") as file:
                file.seek(self._places.get(path, 0))
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._places[path] = self._places.get(path, 0) + len(whole)
            reader = self._readers.setdefault(path, FileLines())
            shown = filter(None, map(reader.take, whole.splitlines()))
            self.records += filter(None, map(record_of, shown))
        return self.records


class Bystander(Protocol):
    """A session beside an attack, which asks questions of its own."""

    def query(self, sql: str) -> object: ...

    def value(self, sql: str) -> str: ...

    def close(self) -> None: ...


C = TypeVar("C", bound=Bystander)


class Theatre(ABC, Generic[C]):
    """One proxy, the token of each of its workspaces, and a session that must not suffer.

    ``engine`` is that of its fake sources; ``C`` speaks the protocol of its listener.
    """

    engine: str

    def __init__(self, proxy: ProxyServer) -> None:
        self.proxy = proxy
        self.tokens: dict[str, str] = {}
        self.trail = Trail(proxy.audit_folder)
        self.bystander: C | None = None
        self._log_place = 0

    def create_workspace(self, name: str) -> None:
        self.tokens[name] = self.proxy.create_workspace(name)

    def add_fake_source(
        self,
        workspace: str,
        name: str,
        port: int,
        *,
        host: str = "127.0.0.1",
        tls: TlsSettings = PLAIN,
        auth_methods: frozenset[str] | None = None,
        password: str | None = PASSWORD,
        compression: str = "",
    ) -> Source:
        """A source that is no real server. ``password`` None: nothing is stored."""
        proxy = self.proxy
        methods: dict[str, Any] = {} if auth_methods is None else {"auth_methods": auth_methods}

        async def add() -> Source:
            store = await Store.open(proxy.store_url)
            try:
                found = await store.workspace(workspace)
                draft = draft_source(
                    found,
                    name,
                    engine=self.engine,
                    host=host,
                    port=port,
                    database="fakedb",
                    username=USERNAME,
                    tls=tls,
                    compression=compression,
                    **methods,
                )
                sealed = None
                if password is not None:
                    secret = Secret(password.encode())
                    sealed = SealedCredential(seal_credential(proxy.vault, found, draft, secret))
                return await store.add_source(draft, sealed)
            finally:
                await store.close()

        return run_to_end(add())

    @abstractmethod
    def client(self, **options: Any) -> C:
        """A connection that has said nothing."""

    @abstractmethod
    def log_in(self, workspace: str, source: str) -> C:
        """A session. Raises Refused."""

    # --- what is left behind ----------------------------------------------------------

    def mark(self) -> str:
        """Put a marker into the audit log and wait until it is there."""
        assert self.bystander is not None
        marker = f"SELECT '{uuid4().hex}'"
        self.bystander.query(marker)

        def is_there() -> bool:
            return any(text_of(record) == marker for record in self.trail.read()[-500:])

        wait_until(is_there, what="the marker in the audit log")
        return marker

    def events_since(self, marker: str) -> list[Record]:
        """Every record between an earlier marker and now."""
        now = self.mark()
        records = self.trail.records
        start, stop = (
            next(i for i, record in enumerate(records) if text_of(record) == text)
            for text in (marker, now)
        )
        return records[start + 1 : stop]

    def log_since(self) -> bytes:
        """What the proxy has logged since this was last asked."""
        with self.proxy.log.open("rb") as log:
            log.seek(self._log_place)
            data = log.read()
            self._log_place = log.tell()
        return data

    def socket_count(self) -> int:
        """How many sockets the proxy's process has open."""
        return self.proxy.socket_count()

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        """What happens inside leaves the bystander and the proxy's descriptors as they were."""
        assert self.bystander is not None
        assert self.bystander.value("SELECT 1") == "1"
        before = self.socket_count()
        yield
        assert self.bystander.value("SELECT 1") == "1"
        wait_until(
            lambda: self.socket_count() <= before,
            what=f"the proxy to have {before} sockets again",
        )


class Stage(Theatre[RawClient]):
    """A stage for PostgreSQL."""

    engine = "postgresql"

    def client(self, **options: Any) -> RawClient:
        """A connection that has said nothing."""
        return RawClient(self.proxy.port, **options)

    def log_in(self, workspace: str, source: str, *extra: tuple[str, str]) -> RawClient:
        """A session. Raises Refused."""
        client = self.client()
        try:
            return client.log_in(workspace, self.tokens[workspace], source, *extra)
        except BaseException:
            client.close()
            raise


def text_of(record: Record) -> str:
    """A statement's text, or nothing."""
    info = record.get("query_info")
    return str(info.get("query_string", "")) if isinstance(info, dict) else ""


def of_type(records: list[Record], type_uid: int) -> list[Record]:
    return [record for record in records if record.get("type_uid") == type_uid]


def wrong_logins(stage: Theatre[Any]) -> list[tuple[str, str, str]]:
    """Eight logins (workspace, token, source) that nobody may tell apart by their answer."""
    good, other = stage.tokens["alpha"], stage.tokens["beta"]
    return [
        ("alpha", "acp_wrong", "orders"),
        ("alpha", other, "orders"),
        ("alpha", good[:-1] + ("a" if good[-1] != "a" else "b"), "orders"),
        ("no-such-workspace", good, "orders"),
        ("no-such-workspace", good, "no-such-source"),
        ("alpha", "acp_wrong", "no-such-source"),
        ("Alpha", good, "orders"),
        ("al'pha\"--", good, "orders"),
    ]
