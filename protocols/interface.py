"""What each protocol offers to the gateway. Knows no protocol and no I/O.

The gateway works with these types alone; a new protocol is a new folder that
exports one ``PROTOCOL`` satisfying ``WireProtocol``, and a line of configuration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

from protocols.channel import Channel
from protocols.errors import Refusal, UpstreamRefused
from protocols.metering import ResultMeter
from protocols.remains import Remains
from protocols.roles import ServerRole
from protocols.scanner import Scanner
from protocols.statements import StatementSink
from protocols.verifiers import TokenVerifiers

Entropy = Callable[[int], bytes]
"""Random bytes, as many as asked for: ``os.urandom``, or a fixed source in tests."""

Derive = Callable[[bytes, bytes, int], Awaitable[bytes]]
"""``await derive(password, salt, iterations)`` -> 32 bytes: PBKDF2-HMAC-SHA-256 off the loop."""

Kill = Callable[[int, bool], bool]
"""``kill(number, only_statement)``: end another session of the same workspace and data
source, or what it runs; whether there is one. ``number`` is the one its client was given,
or the data source's own. Returns at once."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A client that wants a session, before it has proved anything.

    ``workspace`` and ``source`` are what it wrote as user and database, decoded and
    bounded. ``parameters`` are the start-up parameters that may reach the upstream,
    checked against the allow-list. ``version`` is the protocol version granted.
    ``detail`` belongs to the protocol and is opaque to the gateway.
    """

    workspace: str
    source: str
    application_name: str
    parameters: dict[str, str]
    version: tuple[int, int]
    is_encrypted: bool
    detail: Any = None


@dataclass(frozen=True, slots=True)
class CancelArrival:
    """A client that wants the current statement of another session stopped."""

    key: bytes
    is_encrypted: bool


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What our client may present to cancel its session: ours, never the upstream's.

    ``number`` (1 to 2**31-1) is shown as the backend's process id; ``secret`` is 32
    random bytes, of which a client of an older protocol version gets the first four.
    """

    number: int
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionRules:
    """What the database session must be, whatever its role's own settings say.

    Always: settings that change how a text is read have their safe values.
    ``is_read_only``: its transactions only read. ``search_path``: the one schema where
    names without one are looked up; "" leaves it as it is.
    """

    is_read_only: bool = False
    search_path: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamLogin:
    """How to log in at the data source. ``password`` None: no secret is stored.

    ``methods`` is the source's allow-list of authentication methods, by the
    protocol's own words. ``require_tls`` is False only for TLS mode ``disable``.
    ``is_tls_verified`` tells whether the handshake verifies the server; cleartext
    passwords need it. ``is_tls_direct``: it is spoken at once, without asking for it in the
    protocol's own way. ``max_iterations`` caps what the server may make us compute.
    ``server_public_key`` (PEM) is pinned for methods that encrypt the password with it.
    ``detail`` is the arrival's: what the protocol must agree on with both ends; None
    where no client waits. ``rules``: what must hold before the client is welcomed, or None.
    ``compression``: the algorithm this leg must be compressed with; "" for none.
    ``is_kept``: the connection will be reset for other clients, so what a fresh session looks
    like is to be learned. ``asks_role``: what the server is must be learned.
    """

    username: str
    database: str
    password: bytes | None = field(repr=False)
    parameters: dict[str, str]
    methods: frozenset[str]
    require_tls: bool
    is_tls_verified: bool
    version: tuple[int, int]
    max_iterations: int = 100_000
    server_public_key: bytes | None = None
    detail: Any = field(repr=False, default=None)
    rules: SessionRules | None = None
    compression: str = ""
    is_tls_direct: bool = False
    is_kept: bool = False
    asks_role: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """A data source that said yes.

    ``detail`` belongs to the protocol (its parameters, cancel key, state).
    ``method`` is the authentication method used, for the audit record.
    ``server_version`` is as the server reports it. ``number`` is the server's own for
    the session where clients stop sessions by number, else 0. ``is_resettable``: what
    ``reset`` needs to know of it is known. ``role`` is the server's, where it was asked;
    what this session itself has asked for does not count.
    """

    method: str
    server_version: str
    version: tuple[int, int]
    number: int = 0
    detail: Any = field(repr=False, default=None)
    is_resettable: bool = False
    role: ServerRole | None = None


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """Bounds of one session's scanner, in bytes and counts.

    ``text``: how much of a statement's text is kept. ``message``: the largest message
    either side may announce. ``prepared`` and ``prepared_bytes``: how many prepared
    statements, and how much of their text, one session may hold. ``outstanding``: how
    many unanswered messages, before the client is read no further. ``values``: how much
    of a statement's bound values is kept for the log; 0 for none.
    """

    text: int = 64 * 1024
    message: int = 0x3FFFFFFF
    prepared: int = 65_536
    prepared_bytes: int = 16 * 1024 * 1024
    outstanding: int = 16_384
    values: int = 0


class Wrapping(Protocol):
    """What one leg of an open session wraps its bytes in. Pure and synchronous.

    ``receive`` takes what has arrived, and ``unwrap`` is then called until it returns
    nothing; each piece must have passed the scanner before the next one is asked for.
    """

    def receive(self, data: bytes) -> None:
        """Keep bytes of the peer, in any slices."""
        ...

    def unwrap(self) -> bytes:
        """The next piece of what was kept, at most 64 KiB; b"" where more has to come first.

        Raises PeerViolation; nothing is unwrapped after that.
        """
        ...

    def wrap(self, data: bytes) -> bytes:
        """What to send to the peer for these bytes."""
        ...


class ClientLeg(Protocol):
    """We play server to one client, up to its welcome.

    One for each connection: it may remember what its conversation needs (a scramble, a
    sequence number).
    """

    async def greet(self, channel: Channel) -> Arrival | CancelArrival:
        """Play server up to knowing who asks for what. TLS happens in here.

        Raises PeerViolation, PeerClosed, or Refusal (with the client still to be told).
        """
        ...

    async def authenticate(
        self, channel: Channel, arrival: Arrival, verifiers: TokenVerifiers, entropy: Entropy
    ) -> str | None:
        """Play server for the password exchange: the id of the token it proved, or None.

        On success the last message of the exchange is written; nothing says yet that
        the session is granted.
        """
        ...

    def welcome(self, arrival: Arrival, upstream: Upstream) -> bytes:
        """All that tells the client that its session is open, in upstream's own words."""
        ...

    def refusal(self, refusal: Refusal) -> bytes:
        """A refusal that ends the login, in its place in the conversation."""
        ...


class Sharing(Protocol):
    """How sessions of a protocol have a data source's connections for one transaction each.

    ``texts`` belongs to a pool, ``memory`` to one of its connections; both are opaque.
    """

    def texts(self) -> object:
        """What is known of the statements of one pool."""
        ...

    def memory(self, upstream: Upstream, texts: object) -> object:
        """What is known of a connection of this pool that has just logged in, or was just reset."""
        ...

    def scanner(
        self,
        upstream: Upstream,
        sink: StatementSink,
        limits: ScanLimits,
        texts: object,
        remains: Remains,
        on_pin: Callable[[str], None],
        on_reset: Callable[[], None],
        meter: ResultMeter | None = None,
    ) -> Scanner:
        """As ``WireProtocol.scanner``, of a session that is given connections by ``attach``.

        ``upstream`` is what its client is welcomed with. ``on_pin`` is called with the cause
        where it does not give its connection back any more, and ``on_reset`` where its client
        has then had it reset: it will, to be reset for others.
        """
        ...


class WireProtocol(Protocol):
    """One protocol, complete: both ends of a login, the scanner, and how to say no.

    ``upstream_version`` is asked of every data source. ``cancels_as_user``: a cancel
    request is a session of its own, logged in as the first one was. ``default_schema``:
    where its server looks for a table without a schema; "" for the session's database.
    ``goodbye``: what a client says before it closes. ``sharing``: None where a session has its
    connection from its login to its end in any case.
    """

    name: str
    engine: str
    schemes: tuple[str, ...]
    default_port: int
    source_port: int
    alpn: str | None
    upstream_version: tuple[int, int]
    cancels_as_user: bool
    default_schema: str
    goodbye: bytes
    sharing: Sharing | None

    def client_leg(self, key: SessionKey, entropy: Entropy) -> ClientLeg:
        """For a connection just accepted, whose session would have this key."""
        ...

    async def connect(
        self, channel: Channel, login: UpstreamLogin, derive: Derive, entropy: Entropy
    ) -> Upstream:
        """Play client to the data source, TLS first, up to its ready state.

        Raises UpstreamRefused, Refusal (SOURCE_UNTRUSTED, CREDENTIAL_UNUSABLE),
        PeerViolation, PeerClosed.
        """
        ...

    async def knock(self, channel: Channel, *, is_tls_direct: bool) -> None:
        """See whether a server answers at all, whatever it says; no secret is near.

        Raises PeerClosed, and whatever the channel does.
        """
        ...

    def session_settings(self, arrival: Arrival) -> Hashable:
        """What a client has chosen for its session at the login, and no reset changes.

        Two clients with the same may have the same connection, one after the other.
        """
        ...

    async def reset(
        self,
        channel: Channel,
        upstream: Upstream,
        arrival: Arrival,
        rules: SessionRules | None,
        entropy: Entropy,
        *,
        is_in_transaction: bool,
    ) -> Upstream:
        """Make the session what it was right after the login of ``arrival``, and see that it is.

        For a connection whose scanner has called it reusable. A server whose role was asked
        must still have it. Raises UpstreamRefused, Refusal, PeerViolation, PeerClosed: it is
        then to be closed.
        """
        ...

    async def cancel(self, channel: Channel, upstream: Upstream, require_tls: bool) -> None:
        """Ask the data source, over a connection of its own, to stop the statement.

        Where ``cancels_as_user``, the connection has logged in; otherwise it is fresh.
        """
        ...

    def match_cancel(
        self, arrival: CancelArrival, key: SessionKey, version: tuple[int, int]
    ) -> bool:
        """Whether a cancel request names this session; in constant time."""
        ...

    def cancel_number(self, arrival: CancelArrival) -> int:
        """The session number a cancel request names, to look its session up."""
        ...

    def scanner(
        self,
        arrival: Arrival,
        upstream: Upstream,
        sink: StatementSink,
        limits: ScanLimits,
        kill: Kill,
        meter: ResultMeter | None = None,
    ) -> Scanner:
        """A scanner for a session that has just been welcomed.

        ``meter`` bounds its answers; None: they are not counted.
        """
        ...

    def wrappings(
        self, arrival: Arrival, upstream: Upstream, scanner: Scanner
    ) -> tuple[Wrapping | None, Wrapping | None]:
        """What stands between the scanner and the client's leg, and the data source's.

        For the scanner of the same session; None: nothing does. From the welcome on, which
        itself is not wrapped, and from the end of ``connect`` on.
        """
        ...

    def refusal(self, refusal: Refusal) -> bytes:
        """A refusal to a client that nothing was said to yet."""
        ...

    def explain(self, error: UpstreamRefused) -> Refusal:
        """What the client is told where the data source refused our login."""
        ...
