"""The data sources of the soak: which engines, and how each keeps its connections.

Each workspace has every source, and each of these its own account at the server with a schema
or database of its own, so that whose session one is in shows in ``current_user`` and in what
can be read. A mode of pooling that is new gets a line in ``KINDS``.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.store import PoolSettings

WORKSPACES = ("finance", "sales")
IDLE_SECONDS = 2.0
"""How long a pooled connection is kept: what is left after the load has to be gone soon."""
POSTGRES, MYSQL = "postgresql", "mysql"

# For each worker. Hardly more than clients, so that some wait for one, generously long on a busy
# machine; MySQL's stop each other from a second session, which must find a place beside theirs.
_POOLED = PoolSettings("session", maximum=3, idle_seconds=IDLE_SECONDS, queue_seconds=30.0)
_SHARED = PoolSettings("transaction", maximum=2, idle_seconds=IDLE_SECONDS, queue_seconds=30.0)


@dataclass(frozen=True, slots=True)
class Kind:
    """A source, whoever's it is."""

    name: str
    engine: str
    pooling: PoolSettings

    @property
    def is_shared(self) -> bool:
        """Whether a session there has a connection for one transaction at a time."""
        return self.pooling.mode == "transaction"


KINDS = (
    Kind("orders", POSTGRES, PoolSettings()),
    Kind("kept", POSTGRES, _POOLED),
    Kind("lent", POSTGRES, _SHARED),
    Kind("shop", MYSQL, PoolSettings()),
    Kind("stock", MYSQL, _POOLED),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A workspace's source."""

    workspace: str
    kind: Kind

    @property
    def source(self) -> str:
        """What clients name as their database."""
        return self.kind.name

    @property
    def account(self) -> str:
        """The source's user at the server, its schema there, and its database."""
        return f"soak_{self.workspace}_{self.kind.name}"

    def __str__(self) -> str:
        return f"{self.workspace}/{self.source}"


def places(engines: tuple[str, ...]) -> list[Place]:
    """Every source of these engines."""
    return [
        Place(workspace, kind)
        for kind in KINDS
        if kind.engine in engines
        for workspace in WORKSPACES
    ]
