"""We play client to the data source: TLS, login, and up to its first ReadyForQuery.

Knows the order of the messages of the manual's "Start-up". Tenants choose the server,
so everything it says is bounded, and it gets no more of the password than the source's
list of methods allows. Must never show its error text: a hostile server may echo the
password in it.
"""

from __future__ import annotations

import re

from protocols.channel import Channel
from protocols.errors import PeerViolation, Reason, Refusal, UpstreamRefused
from protocols.interface import Derive, Entropy, Upstream, UpstreamLogin
from protocols.postgres import messages
from protocols.postgres.encrypt import begin_tls
from protocols.postgres.framing import Message, read_server_message
from protocols.postgres.log_in import log_in
from protocols.postgres.messages import (
    BackendKeyData,
    ErrorResponse,
    NegotiateProtocolVersion,
    NoticeResponse,
    ParameterStatus,
    ReadyForQuery,
    StartupMessage,
)
from protocols.postgres.parameters import pin
from protocols.postgres.refuse import is_sqlstate
from protocols.postgres.reset import is_resettable
from protocols.postgres.role import learn_role
from protocols.postgres.upstream import UpstreamDetail

NOTICES_LIMIT = 100
"""Notices in one login. Real servers send none, or one about a collation version."""

NOTICES_BYTES_LIMIT = 65_536
"""Bytes of notices that are kept for the client's welcome; more is a flood."""

PARAMETERS_LIMIT = 100
"""ParameterStatus messages in one login. PostgreSQL 18 sends 15."""

PARAMETERS_BYTES_LIMIT = 131_072
"""Bytes of them all: one search_path of the largest message, and the rest."""

_VERSIONS = ((3, 0), (3, 2))
_VERSION_NUMBER = re.compile(
    rb"[0-9]{1,3}(?:\.[0-9]{1,3}){0,3}(?:(?:alpha|beta|rc|devel)[0-9]{0,3})?"
)
_SHORT_KEY = 4
_DETAIL_LIMIT = 1_000


async def connect(
    channel: Channel, login: UpstreamLogin, derive: Derive, entropy: Entropy
) -> Upstream:
    """Play client up to the server's ready state: see ``WireProtocol.connect``.

    ``login.version`` is 3.0 or 3.2. A server that speaks only 3.0 grants that; one so old
    that it does not negotiate refuses 3.2 with 0A000, and the caller may try again.
    """
    if login.version not in _VERSIONS:
        raise ValueError("the protocol version for a data source is 3.0 or 3.2")
    if login.require_tls and not channel.is_encrypted:
        await begin_tls(channel, login.is_tls_direct)
    channel.write(_startup(login))
    server = LoginMessages(channel)
    message = await server.receive()
    version = login.version
    if message.code == messages.NEGOTIATE_PROTOCOL_VERSION:
        version = _granted(NegotiateProtocolVersion.decode(message.body), version)
        message = await server.receive()
    method = await log_in(channel, login, message, server.receive, derive, entropy)
    detail = await _until_ready(server, version, login.is_tls_direct)
    reported = dict(detail.parameters).get(b"server_version", b"")
    role = await learn_role(channel, detail, login) if login.asks_role else None
    return Upstream(
        method=method,
        server_version=_version_number(reported),
        version=version,
        detail=detail,
        is_resettable=is_resettable(detail),
        role=role,
    )


class LoginMessages:
    """The server's messages, without its notices (kept, bounded) and errors (raised)."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._notices_bytes = 0
        self.notices: list[bytes] = []

    async def receive(self) -> Message:
        """The next message. Raises UpstreamRefused, PeerViolation, PeerClosed."""
        while True:
            message = await read_server_message(self._channel)
            if message.code == messages.ERROR_RESPONSE:
                raise _refused(ErrorResponse.decode(message.body))
            if message.code != messages.NOTICE_RESPONSE:
                return message
            NoticeResponse.decode(message.body)
            self._notices_bytes += len(message.body)
            self.notices.append(message.body)
            if len(self.notices) > NOTICES_LIMIT or self._notices_bytes > NOTICES_BYTES_LIMIT:
                raise PeerViolation("the server sent too many notices during the login")


def _startup(login: UpstreamLogin) -> bytes:
    """The StartupMessage. Names and settings go out in UTF-8, whatever client_encoding is:
    PostgreSQL compares a start-up packet's bytes with those in its catalogs.
    """
    settings = login.parameters
    if login.rules is not None:
        settings = pin(settings, login.rules)
    pairs = [("user", login.username), ("database", login.database), *settings.items()]
    parameters = tuple((name.encode("utf-8"), value.encode("utf-8")) for name, value in pairs)
    try:
        return StartupMessage(login.version, parameters).encode()
    except ValueError as error:
        raise Refusal(
            Reason.CREDENTIAL_UNUSABLE,
            "the data source's login cannot be sent",
            "a name or setting of the login holds a NUL or is empty",
        ) from error


def _version_number(reported: bytes) -> str:
    """The number alone, or nothing: it goes into records, and a server that was told the
    password could put it behind the number.
    """
    match = _VERSION_NUMBER.match(reported)
    return "" if match is None else match[0].decode("ascii")


def _granted(answer: NegotiateProtocolVersion, asked: tuple[int, int]) -> tuple[int, int]:
    """The version the server grants. We ask for no options, so it may decline none."""
    if answer.version not in _VERSIONS or answer.version >= asked or answer.options:
        raise PeerViolation("the server sent an invalid protocol negotiation message")
    return answer.version


def _refused(error: ErrorResponse) -> UpstreamRefused:
    code = error.field(b"C").decode("latin-1")
    detail = error.field(b"M")[:_DETAIL_LIMIT].decode("utf-8", "replace")
    return UpstreamRefused(code if is_sqlstate(code) else "", detail)


async def _until_ready(
    server: LoginMessages, version: tuple[int, int], is_tls_direct: bool
) -> UpstreamDetail:
    """Everything between AuthenticationOk and the first ReadyForQuery."""
    parameters: dict[bytes, bytes] = {}
    count = size = 0
    key: BackendKeyData | None = None
    while True:
        message = await server.receive()
        if message.code == messages.PARAMETER_STATUS:
            status = ParameterStatus.decode(message.body)
            count, size = count + 1, size + len(message.body)
            if count > PARAMETERS_LIMIT or size > PARAMETERS_BYTES_LIMIT:
                raise PeerViolation("the server reported too many parameters")
            parameters[status.name] = status.value
        elif message.code == messages.BACKEND_KEY_DATA:
            if key is not None:
                raise PeerViolation("the server sent BackendKeyData twice")
            key = BackendKeyData.decode(message.body)
            if version < (3, 2) and len(key.secret_key) != _SHORT_KEY:
                raise PeerViolation("the server sent a cancel key of an invalid length")
        elif message.code == messages.READY_FOR_QUERY:
            status_byte = ReadyForQuery.decode(message.body).status
            if status_byte != messages.TRANSACTION_IDLE:
                raise PeerViolation("the server begins the session inside a transaction")
            return UpstreamDetail(
                parameters=tuple(parameters.items()),
                process_id=0 if key is None else key.process_id,
                cancel_key=b"" if key is None else key.secret_key,
                transaction_status=status_byte,
                notices=tuple(server.notices),
                is_tls_direct=is_tls_direct,
            )
        else:
            raise PeerViolation("the server sent a message out of step after AuthenticationOk")
