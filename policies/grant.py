"""May this token open this source? The one place that answers.

Knows states and times as values. Must never know how they are stored, nor a secret.
A ``Grant`` can only be made by ``decide_access``; what opens a source takes a Grant, so
that no path leads to a source around the decision.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

from protocols.errors import Reason, Refusal

AUTHENTICATION_FAILED = "authentication failed: the workspace or its token is not valid"
UNKNOWN_SOURCE = "the data source does not exist, or this workspace may not use it"

_MADE_HERE = object()


@dataclass(frozen=True, slots=True)
class WorkspaceFacts:
    """A workspace as it is stored. ``state`` is ``active`` or ``suspended``."""

    id: str
    state: str


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """The token that was proved. ``expires_at`` knows its time zone; None: never."""

    id: str
    workspace_id: str
    expires_at: datetime | None
    is_revoked: bool


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The source that was asked for, with what it allows. ``state``: only ``active`` opens."""

    id: str
    workspace_id: str
    state: str = "active"
    function_call: bool = True
    replication: bool = False


@dataclass(frozen=True, slots=True)
class ArrivalFacts:
    """How the client came. ``allows_plaintext`` is the listener's own setting."""

    client_address: IPv4Address | IPv6Address
    is_encrypted: bool
    allows_plaintext: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """The permission to open one source for one session.

    ``valid_until`` is the token's end, or None. ``function_call`` and ``replication``
    are what the session may do besides statements. Raises TypeError when made anywhere
    but in ``decide_access``.
    """

    workspace_id: str
    source_id: str
    token_id: str
    valid_until: datetime | None
    function_call: bool
    replication: bool
    made_by: InitVar[object]

    def __post_init__(self, made_by: object) -> None:
        if made_by is not _MADE_HERE:
            raise TypeError("only decide_access makes a Grant")

    def is_valid_at(self, now: datetime) -> bool:
        """Whether the token it came from has not expired at ``now``."""
        return self.valid_until is None or now < self.valid_until


def decide_access(
    workspace: WorkspaceFacts | None,
    token: TokenFacts | None,
    source: SourceFacts | None,
    arrival: ArrivalFacts,
    *,
    now: datetime,
) -> Grant | Refusal:
    """Decide over facts; None stands for what does not exist.

    ``now`` knows its time zone. What belongs to another workspace gets the answer of what
    does not exist. The order is the session's: transport, token, workspace, source.
    """
    if not arrival.is_encrypted and not _may_be_plaintext(arrival):
        return Refusal(
            Reason.TLS_REQUIRED,
            "this proxy accepts only encrypted connections",
            f"plaintext login from {arrival.client_address}",
        )
    refusal = _refuse_token(workspace, token, now)
    if refusal is not None or workspace is None or token is None:
        return refusal or _authentication_failed("no facts")
    if workspace.state != "active":
        return Refusal(
            Reason.NOT_PERMITTED,
            "the workspace is suspended",
            f"workspace state is {workspace.state!r}",
        )
    if source is None:
        return Refusal(Reason.UNKNOWN_SOURCE, UNKNOWN_SOURCE, "no such source")
    if source.workspace_id != workspace.id:
        return Refusal(
            Reason.UNKNOWN_SOURCE, UNKNOWN_SOURCE, "the source belongs to another workspace"
        )
    if source.state != "active":
        return Refusal(
            Reason.NOT_PERMITTED,
            "the data source is switched off",
            f"source state is {source.state!r}",
        )
    return Grant(
        workspace_id=workspace.id,
        source_id=source.id,
        token_id=token.id,
        valid_until=token.expires_at,
        function_call=source.function_call,
        replication=source.replication,
        made_by=_MADE_HERE,
    )


def _may_be_plaintext(arrival: ArrivalFacts) -> bool:
    address = arrival.client_address
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return arrival.allows_plaintext or address.is_loopback


def _refuse_token(
    workspace: WorkspaceFacts | None, token: TokenFacts | None, now: datetime
) -> Refusal | None:
    if workspace is None:
        return _authentication_failed("no such workspace")
    if token is None:
        return _authentication_failed("no such token")
    if token.workspace_id != workspace.id:
        return _authentication_failed("the token belongs to another workspace")
    if token.is_revoked:
        return _authentication_failed("the token is revoked")
    if token.expires_at is not None and now >= token.expires_at:
        return _authentication_failed("the token has expired")
    return None


def _authentication_failed(private: str) -> Refusal:
    return Refusal(Reason.AUTHENTICATION_FAILED, AUTHENTICATION_FAILED, private)
