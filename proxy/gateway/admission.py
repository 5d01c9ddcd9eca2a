"""May this client come in: its grant, its places, its policy, decided once and in order.

Everything is refused here that can be refused before a data source is dialled. Knows no
protocol but through its interface, and opens nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from policies.classifiers import classifier_for
from policies.client import check_client
from policies.document import Policy
from policies.effective import EffectivePolicy
from policies.egress import Address
from policies.grant import (
    ArrivalFacts,
    Grant,
    SourceFacts,
    TokenFacts,
    WorkspaceFacts,
    decide_access,
)
from protocols.errors import Reason, Refusal, insist
from protocols.interface import Arrival, SessionRules
from proxy.gateway.authenticate import Authenticated
from proxy.gateway.quotas import Meter
from proxy.gateway.rooms import Door, Rooms
from proxy.store.records import Source


@dataclass(frozen=True, slots=True)
class Admitted:
    """A session that may be opened. Only ``Admission`` makes it.

    ``schema`` is where the server will look for a table's name that has none; ``rules``
    are what the database session must be, None where no statement is judged.
    """

    source: Source
    grant: Grant
    policy: EffectivePolicy
    schema: str
    rules: SessionRules | None
    meter: Meter | None


class Admission:
    """One client's, from its proof to its end: it holds the client's places."""

    def __init__(
        self, door: Door, rooms: Rooms, arrival: Arrival, proved: Authenticated, client_ip: Address
    ) -> None:
        self._door = door
        self._rooms = rooms
        self._arrival = arrival
        self._proved = proved
        self._client_ip = client_ip
        self._places: list[str] = []
        self._meter: Meter | None = None

    def close(self) -> None:
        """Give back what was taken."""
        for owner in self._places:
            self._rooms.live.leave_place(owner)
        self._places = []
        if self._meter is not None:
            self._meter.close()

    def enter(self) -> None:
        """Take the workspace's place. Raises Refusal."""
        workspace = self._proved.entry.workspace
        self._take_place(workspace.id, workspace.policy)

    async def grant(self) -> tuple[Grant, Source]:
        """The grant, and the source it opens. Raises Refusal."""
        source = await self._rooms.authenticator.source(self._proved, self._arrival.source)
        workspace, token = self._proved.entry.workspace, self._proved.token
        decision = decide_access(
            WorkspaceFacts(workspace.id, workspace.state),
            TokenFacts(
                token.id, token.workspace_id, token.expires_at, token.revoked_at is not None
            ),
            None if source is None else SourceFacts(source.id, source.workspace_id),
            ArrivalFacts(
                self._client_ip,
                self._arrival.is_encrypted,
                self._door.config.plaintext == "always",
            ),
            now=self._rooms.clock(),
        )
        if isinstance(decision, Refusal):
            try:
                raise decision
            finally:
                # As ``insist`` says.
                del decision
        assert source is not None, "a grant is for a source that is there"
        return decision, source

    async def admit(self, grant: Grant, source: Source) -> Admitted:
        """Hold the client against the policies, and take the source's place. Raises Refusal."""
        workspace = self._proved.entry.workspace
        policy = EffectivePolicy.of(workspace.policy, source.policy)
        schema = policy.schema(self._default_schema(source))
        rules = await self._check_policy(policy, source, schema)
        self._take_place(source.id, source.policy)
        self._meter = self._rooms.quotas.meter(
            [
                (owner, limited.limits)
                for owner, limited in ((workspace.id, workspace.policy), (source.id, source.policy))
                if limited is not None
            ],
            self._rooms.metrics,
        )
        return Admitted(source, grant, policy, schema, rules, self._meter)

    def _take_place(self, owner: str, policy: Policy | None) -> None:
        """Count this session for its workspace or source. Raises Refusal."""
        limits = None if policy is None else policy.limits
        self._rooms.live.take_place(owner, None if limits is None else limits.sessions)
        self._places.append(owner)
        if limits is not None:
            self._rooms.quotas.admit(owner, limits.sessions_per_minute)

    def _default_schema(self, source: Source) -> str:
        """Where the server will look for a table's name that has no schema."""
        fixed = self._door.protocol.default_schema
        return fixed or self._arrival.parameters.get("database") or source.database

    async def _check_policy(
        self, policy: EffectivePolicy, source: Source, schema: str
    ) -> SessionRules | None:
        """What the database session must be; None where no statement is judged.

        Raises Refusal where this client may not come now, or the engine cannot be judged.
        """
        insist(
            check_client(
                policy,
                self._client_ip,
                now=self._rooms.clock(),
                is_encrypted=self._arrival.is_encrypted,
            )
        )
        if not policy.is_restricted:
            return None
        # In a thread: its first call loads a grammar, for a tenth of a second.
        if await asyncio.to_thread(classifier_for, source.engine) is None:
            raise Refusal(
                Reason.UNSUPPORTED,
                f"refused by policy: statements for {source.engine} cannot be judged yet",
            )
        return SessionRules(
            is_read_only=policy.is_read_only,
            search_path=schema if policy.names_tables else "",
        )
