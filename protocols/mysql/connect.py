"""We play client to a data source: its greeting, TLS, our login, up to its OK.

MySQL manual, "Connection Phase". TLS is decided by the source's settings and verified
before any authentication byte leaves (BACKRONYM, CVE-2015-3152; Riddle, CVE-2017-3305).
The server is asked for exactly what the client took, since that gives every answer of
the session its shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from protocols.channel import Channel
from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import Entropy, Upstream, UpstreamLogin
from protocols.mysql import capabilities as flags
from protocols.mysql.accept import UTF8MB4
from protocols.mysql.arrive import VERSION
from protocols.mysql.compressed import converse
from protocols.mysql.compression import Algorithm
from protocols.mysql.crypto import Crypto
from protocols.mysql.framing import Packets, Stream
from protocols.mysql.log_in import Login, refused
from protocols.mysql.messages import (
    ERR,
    ClientSettings,
    Greeting,
    HandshakeResponse,
    SslRequest,
    UpstreamSettings,
)
from protocols.mysql.pin import pin
from protocols.mysql.reset import look
from protocols.mysql.role import learn_role
from protocols.roles import ServerRole

MAX_PACKET = 1 << 30
"""Bytes of the largest packet we say we take: the scanner's own limit."""

_OURS = ClientSettings(flags.PLAIN_SESSION, UTF8MB4, MAX_PACKET)
# MariaDB before 11 puts this in front, for replicas that took 10.x for MySQL 1.x.
_REPLICATION_PREFIX = b"5.5.5-"
_VERSION_NUMBER = re.compile(rb"[0-9]{1,3}(?:\.[0-9]{1,3}){0,3}(?:-MariaDB)?")


async def connect(
    channel: Channel,
    login: UpstreamLogin,
    crypto: Crypto,
    entropy: Entropy,
    algorithms: Mapping[str, Algorithm],
) -> Upstream:
    """Play client up to the server's OK: see ``WireProtocol.connect``."""
    packets = Packets(channel)
    payload = await packets.receive()
    if payload[:1] == bytes((ERR,)):
        raise refused(payload)
    greeting = Greeting.decode(payload)
    wanted: ClientSettings = login.detail or _OURS
    capabilities = _agree(greeting, wanted) | _compression(greeting, login.compression)
    asked = login.parameters.get("database", "")
    rules = login.rules
    if rules is not None and rules.search_path and asked not in ("", rules.search_path):
        raise Refusal(Reason.PARAMETER_REFUSED, "refused by policy: the database may not be chosen")
    database = (rules.search_path if rules is not None else "") or asked or login.database
    if not database:
        capabilities &= ~flags.CONNECT_WITH_DB
    if login.require_tls and not channel.is_encrypted:
        capabilities |= flags.SSL
        request = SslRequest(capabilities, wanted.max_packet, wanted.collation)
        await _encrypt(channel, packets, greeting, request)
    attempt = Login(channel, packets, login, crypto, entropy)
    plugin, response = attempt.begin(greeting.plugin.decode("latin-1"), greeting.scramble)
    try:
        answer = HandshakeResponse(
            capabilities,
            wanted.max_packet,
            wanted.collation,
            login.username.encode("utf-8"),
            response,
            database.encode("utf-8"),
            plugin.encode("ascii"),
        ).encode()
    except ValueError as error:
        raise Refusal(
            Reason.CREDENTIAL_UNUSABLE, "the data source's login cannot be sent", str(error)
        ) from None
    packets.send(answer)
    ok = await attempt.finish()
    if rules is not None:
        await converse(
            channel,
            algorithms.get(login.compression),
            partial(pin, rules=rules, collation=wanted.collation),
        )
    version = _version_number(greeting.server_version)
    is_mariadb = _is_mariadb(greeting)
    # Of MySQL 5 and 6, which there never was, and not of 10 and newer.
    has_roles = is_mariadb or not version.startswith(("5.", "6."))
    settings = UpstreamSettings(capabilities, ok.status, is_mariadb, has_roles)
    if login.is_kept and not login.compression:
        settings = replace(settings, fresh=await look(channel, settings))
    roles: list[ServerRole] = []
    if login.asks_role:

        async def ask(stream: Stream) -> None:
            roles.append(await learn_role(stream, settings))

        await converse(channel, algorithms.get(login.compression), ask)
    return Upstream(
        method=attempt.method,
        server_version=version,
        version=VERSION,
        number=greeting.thread_id,
        detail=settings,
        is_resettable=settings.fresh is not None,
        role=roles[0] if roles else None,
    )


def _agree(greeting: Greeting, wanted: ClientSettings) -> int:
    """The session's capabilities. Raises Refusal where the server lacks what shapes answers."""
    asked = wanted.capabilities & flags.SESSION_WIDE
    if asked & flags.ANSWER_SHAPING & ~greeting.capabilities:
        raise Refusal(
            Reason.UNSUPPORTED,
            "the data source's server is too old for what the client's driver asked for"
            " (MySQL before 5.7, MariaDB before 10.2)",
            "the server lacks capabilities that the client took",
        )
    return (asked | flags.LOGIN_WIDE) & greeting.capabilities | flags.REQUIRED


def _compression(greeting: Greeting, name: str) -> int:
    """The flag of the source's own choice. Raises Refusal where the server lacks it."""
    flag = flags.COMPRESSION[name] if name else 0
    if flag & ~greeting.capabilities:
        raise Refusal(
            Reason.UNSUPPORTED,
            f"the data source's server does not offer {name} compression, which the data source"
            " is set to",
        )
    return flag


async def _encrypt(
    channel: Channel, packets: Packets, greeting: Greeting, request: SslRequest
) -> None:
    if not greeting.capabilities & flags.SSL:
        raise Refusal(Reason.SOURCE_UNTRUSTED, "the data source's server does not offer TLS")
    if channel.has_unread():
        raise PeerViolation("the server sent plaintext behind its greeting")
    packets.send(request.encode())
    await channel.start_tls()


def _is_mariadb(greeting: Greeting) -> bool:
    return not greeting.capabilities & flags.LONG_PASSWORD or b"MariaDB" in greeting.server_version


def _version_number(reported: bytes) -> str:
    """The number alone, or nothing: it goes into records, and a hostile server could put
    the password behind the number.
    """
    match = _VERSION_NUMBER.match(reported.removeprefix(_REPLICATION_PREFIX))
    return "" if match is None else match[0].decode("ascii")
