"""One session's end is not the next one's beginning: DISCARD ALL, and what that leaves.

Knows what a session can leave behind in PostgreSQL ("DISCARD" in the manual) and what a
fresh login would have shown. Nothing here is taken on trust: every command is answered
in its place, and the settings that a client is told are asked for again. Must never know
when a session may be reset: its scanner does.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache

from protocols.channel import Channel
from protocols.errors import PeerViolation, UpstreamRefused
from protocols.interface import Entropy, SessionRules, Upstream
from protocols.postgres import messages
from protocols.postgres.encoding import Reader, cstring, frame
from protocols.postgres.messages import ErrorResponse, ReadyForQuery
from protocols.postgres.parameters import pin
from protocols.postgres.refuse import is_sqlstate
from protocols.postgres.upstream import UpstreamDetail

MESSAGE_LIMIT = 131_072
"""Length word of one message. The answer with the settings is the longest: what the login
may have reported of them."""

MESSAGES_LIMIT = 2_000
"""Messages of a whole reset. What comes unasked are settings that change back, and the
notifications and notices that were on their way to the client."""

QUESTIONS = 128
"""Sets of settings whose question is kept: each connection asks the same after each session."""

_QUERY = b"Q"
_ROW_DESCRIPTION = b"T"
_DATA_ROW = b"D"
_COMMAND_COMPLETE = b"C"
_UNASKED = frozenset({messages.PARAMETER_STATUS, messages.NOTICE_RESPONSE, b"A"})
_HEADER = struct.Struct("!ci")
_COUNT = struct.Struct("!h")
_SETTING = re.compile(rb"[A-Za-z_][A-Za-z0-9_]{0,62}(?:\.[A-Za-z_][A-Za-z0-9_]{0,62})?")


def is_resettable(detail: UpstreamDetail) -> bool:
    """Whether each setting that the server reported can be asked for by its name."""
    return all(_SETTING.fullmatch(name) for name, _ in detail.parameters)


async def reset(
    channel: Channel,
    upstream: Upstream,
    rules: SessionRules | None,
    entropy: Entropy,
    *,
    is_in_transaction: bool,
) -> None:
    """Make the session what it was after its login: see ``WireProtocol.reset``.

    One round trip, two inside a transaction. Raises UpstreamRefused, PeerViolation,
    PeerClosed.
    """
    conversation = Conversation(channel)
    if is_in_transaction:
        # By itself: where it fails, what follows must not run in the transaction.
        conversation.send(b"ROLLBACK")
        await conversation.done(b"ROLLBACK")
    question, answer = _asked(upstream.detail.parameters, rules)
    for text in (b"DISCARD ALL", b"RESET ROLE", _seed(entropy), question):
        conversation.send(text)
    await conversation.done(b"DISCARD ALL")
    await conversation.done(b"RESET")
    await conversation.done(b"SET")
    if await conversation.row() != answer:
        raise PeerViolation("the session's settings are not what they were after its login")
    if channel.has_unread():
        raise PeerViolation("the server said more than it was asked")


@lru_cache(QUESTIONS)
def _asked(
    parameters: tuple[tuple[bytes, bytes], ...], rules: SessionRules | None
) -> tuple[bytes, list[bytes]]:
    """The question for all settings, and what the answer must be."""
    expected = _expected(parameters, rules)
    return _question(expected), list(expected.values())


def _expected(
    parameters: tuple[tuple[bytes, bytes], ...], rules: SessionRules | None
) -> dict[bytes, bytes]:
    """What the settings must be: as the login reported them, and as the rules say."""
    expected = dict(parameters)
    if rules is not None:
        known = {name.lower() for name in expected}
        for name, value in pin({}, rules).items():
            if name.lower().encode() not in known:
                expected[name.encode()] = value.encode()
    return expected


def _question(expected: dict[bytes, bytes]) -> bytes:
    """Names are the server's own and were checked. Qualified: a search_path of the role's own
    may put another function of that name in front.
    """
    return b"SELECT " + b", ".join(
        b"pg_catalog.current_setting('%s', true)" % name for name in expected
    )


def _seed(entropy: Entropy) -> bytes:
    """A client may have set the seed of random(), and then knows what the next one is given."""
    part = int.from_bytes(entropy(6), "big") / (1 << 48)
    return b"SET SEED TO %.15f" % part


class Conversation:
    """Simple queries of ours in a session without a client, each answered in its turn."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._count = 0

    def send(self, text: bytes) -> None:
        """Queue one."""
        self._channel.write(frame(_QUERY, cstring(text)))

    async def done(self, tag: bytes) -> None:
        """A command's end, and the session idle behind it."""
        code, body = await self._receive()
        if code != _COMMAND_COMPLETE or body != cstring(tag):
            raise PeerViolation("the server answered the reset out of step")
        await self._ready()

    async def row(self) -> list[bytes | None]:
        """The one row of a SELECT."""
        code, _ = await self._receive()
        if code != _ROW_DESCRIPTION:
            raise PeerViolation("the server answered the reset out of step")
        code, body = await self._receive()
        if code != _DATA_ROW:
            raise PeerViolation("the server answered the reset out of step")
        reader = Reader(body, "DataRow")
        (count,) = _COUNT.unpack(reader.take(_COUNT.size))
        values: list[bytes | None] = []
        for _ in range(count):
            length = reader.int32()
            if length < -1:
                raise reader.broken()
            values.append(None if length == -1 else reader.take(length))
        reader.end()
        await self.done(b"SELECT 1")
        return values

    async def _ready(self) -> None:
        code, body = await self._receive()
        if code != messages.READY_FOR_QUERY:
            raise PeerViolation("the server answered the reset out of step")
        if ReadyForQuery.decode(body).status != messages.TRANSACTION_IDLE:
            raise PeerViolation("the server is in a transaction after the reset")

    async def _receive(self) -> tuple[bytes, bytes]:
        """The next message that answers something."""
        while True:
            code, length = _HEADER.unpack(await self._channel.read_exactly(_HEADER.size))
            self._count += 1
            if not 4 <= length <= MESSAGE_LIMIT or self._count > MESSAGES_LIMIT:
                raise PeerViolation("the server's answer to the reset is too long")
            body = await self._channel.read_exactly(length - 4)
            if code == messages.ERROR_RESPONSE:
                sqlstate = ErrorResponse.decode(body).field(b"C").decode("latin-1")
                raise UpstreamRefused(sqlstate if is_sqlstate(sqlstate) else "")
            if code not in _UNASKED:
                return code, body
