"""A workspace with a source on the protocol's real server, behind the real proxy."""

from __future__ import annotations

from contextlib import closing
from functools import partial

from policies.document import Policy
from protocols.errors import Reason
from proxy.store import SealedCredential, Store, Workspace, seal_credential
from tests.conformance.driver import Driver, Session, Told
from tests.servers.proxy import ProxyServer, Record
from tests.servers.tenant import Tenant
from tests.servers.waiting import wait_until
from vault import Secret

SOURCE = "orders"


class Office(Tenant):
    """A workspace, its token, and its source ``orders``."""

    def __init__(self, proxy: ProxyServer, driver: Driver, name: str) -> None:
        super().__init__(proxy, name)
        self.driver = driver
        self.add_source(SOURCE)

    def add_source(self, name: str) -> None:
        """One more source on the same server."""
        self.proxy.add_source(self.name, name, self.driver.server, self.driver.account)

    # --- sessions -------------------------------------------------------------------

    def session(self, source: str = SOURCE, *, tls: bool = False) -> Session:
        """A session. Raises Told."""
        session = self.driver.connect(self.proxy.port)
        try:
            return session.log_in(self.name, self.token, source, tls=tls)
        except BaseException:
            session.close()
            raise

    def refusal(
        self,
        *,
        workspace: str | None = None,
        token: str | None = None,
        source: str = SOURCE,
        tls: bool = False,
    ) -> Told:
        """What a login that must fail is told; its words are this office's unless given."""
        with closing(self.driver.connect(self.proxy.port)) as session:
            try:
                session.log_in(workspace or self.name, token or self.token, source, tls=tls)
            except Told as told:
                return told
        raise AssertionError("the login was not refused")

    def can_log_in(self) -> bool:
        """Whether a login succeeds now."""
        try:
            self.session().close()
        except Told:
            return False
        return True

    def id_of(self, session: Session) -> str:
        """The id that the audit log has for a session."""
        (found,) = [one["id"] for one in self.sessions() if one["number"] == session.number]
        return str(found)

    def code(self, reason: Reason) -> str:
        """What a client of this protocol is told for a reason."""
        return self.driver.codes[reason]

    # --- statements -----------------------------------------------------------------

    def run_for_long(self, session: Session, word: str, seconds: float = 60.0) -> None:
        """Start a statement that takes so long and contains ``word``; wait until it runs."""
        session.send(self.driver.sleep(seconds, word))
        self.wait_until_running(word)

    def wait_until_running(self, word: str) -> None:
        """Until the server runs a statement that contains ``word``."""
        wait_until(partial(self._runs, word), what=f"the server to run {word}")

    def wait_until_not_running(self, word: str) -> None:
        """Until it runs none."""
        wait_until(lambda: not self._runs(word), what=f"the server to stop {word}")

    def _runs(self, word: str) -> bool:
        return self.driver.running(word) > 0

    # --- changes --------------------------------------------------------------------

    def govern(self, policy: Policy | None) -> None:
        """Give the workspace a policy; back when the proxy has it."""

        async def work(store: Store, workspace: Workspace) -> None:
            await store.policies.set_of_workspace(workspace, policy)

        self.change(work)

    def rotate(self, password: str) -> None:
        """Store another password for the source."""

        async def work(store: Store, workspace: Workspace) -> None:
            stored = await store.source(workspace, SOURCE)
            secret = Secret(password.encode())
            sealed = seal_credential(self.proxy.vault, workspace, stored, secret)
            await store.rotate_credential(stored, SealedCredential(sealed))

        self.change(work)

    # --- the audit log --------------------------------------------------------------

    def records_of_session(self, session_id: str) -> list[Record]:
        """The statement records of a session that is over, in the log's order."""

        def of_session(records: list[Record]) -> list[Record]:
            return [r for r in records if r["metadata"].get("correlation_uid") == session_id]

        def is_closed(records: list[Record]) -> bool:
            return any(r.get("message") == "Session closed" for r in of_session(records))

        found = of_session(self.proxy.audit_events(is_closed))
        return [record for record in found if "query_info" in record]
