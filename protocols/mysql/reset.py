"""One session's end is not the next one's beginning: COM_RESET_CONNECTION, and what it leaves.

The command (MySQL 5.7.3, MariaDB 10.2.4) ends transactions, locks, temporary tables,
variables and prepared statements, and sets the session's variables to the server's
globals. A login had done more: it chose a database, a character set, and by its flags a
sql_mode and a time-out. So what a fresh session looks like is read once, right after the
login, put back after each reset, and read again. COM_CHANGE_USER would be a login of its
own. Must never know when a session may be reset: its scanner does.
"""

from __future__ import annotations

import re
from dataclasses import replace

from protocols.errors import PeerViolation, UpstreamRefused
from protocols.interface import SessionRules, Upstream
from protocols.mysql import capabilities as flags
from protocols.mysql.commands import (
    COM_INIT_DB,
    COM_QUERY,
    COM_RESET_CONNECTION,
    COM_SET_OPTION,
)
from protocols.mysql.framing import Packets, Stream
from protocols.mysql.messages import EOF, OK, Fresh, UpstreamSettings
from protocols.mysql.pin import pin
from protocols.mysql.role import check_role
from protocols.mysql.row import check, one_row

_DATABASE, _CLIENT, _RESULTS, _CONNECTION, _MODE, _TIMEOUT, _INIT_CONNECT = range(7)
_NAME = re.compile(rb"[A-Za-z0-9_]{1,64}")
_MODES = re.compile(rb"[A-Z0-9_,]{0,1024}")
_SECONDS = re.compile(rb"[0-9]{1,10}")
_MULTI_STATEMENTS_ON = b"\0\0"
_MULTI_STATEMENTS_OFF = b"\1\0"


async def look(channel: Stream, settings: UpstreamSettings) -> Fresh | None:
    """What a session is right after its login; None where it cannot be made so again.

    Raises PeerViolation, PeerClosed.
    """
    try:
        fresh, _ = await one_row(channel, settings.capabilities, _question(settings))
    except UpstreamRefused:
        # A server older than the names that are asked for.
        return None
    results = fresh[_RESULTS]
    is_known = (
        _is(_NAME, fresh[_CLIENT])
        and (results is None or _is(_NAME, results))
        and _is(_NAME, fresh[_CONNECTION])
        and _is(_MODES, fresh[_MODE])
        and _is(_SECONDS, fresh[_TIMEOUT])
        # What the server runs at each login is not run at a reset.
        and not fresh[_INIT_CONNECT]
    )
    return fresh if is_known else None


async def reset(
    channel: Stream, upstream: Upstream, rules: SessionRules | None, collation: int
) -> Upstream:
    """Make the session what it was after its login: see ``WireProtocol.reset``.

    One command at a time: servers have thrown away what came behind one. Raises
    UpstreamRefused, Refusal, PeerViolation, PeerClosed.
    """
    settings: UpstreamSettings = upstream.detail
    fresh = settings.fresh
    if fresh is None:
        raise PeerViolation("what the session was after its login is not known")
    await _run(channel, COM_RESET_CONNECTION, b"")
    has_many = settings.capabilities & flags.MULTI_STATEMENTS
    await _run(channel, COM_SET_OPTION, _MULTI_STATEMENTS_ON if has_many else _MULTI_STATEMENTS_OFF)
    if fresh[_DATABASE]:
        await _run(channel, COM_INIT_DB, fresh[_DATABASE] or b"")
    await _run(channel, COM_QUERY, _put_back(fresh))
    if rules is not None:
        await pin(channel, rules, collation)
    found, status = await one_row(channel, settings.capabilities, _question(settings))
    if found != fresh:
        raise PeerViolation("the session is not what it was after its login")
    await check_role(channel, upstream)
    return replace(upstream, detail=replace(settings, status=status))


def _is(pattern: re.Pattern[bytes], value: bytes | None) -> bool:
    return value is not None and pattern.fullmatch(value) is not None


def _question(settings: UpstreamSettings) -> bytes:
    """MySQL has dropped the old names of two, MariaDB takes them still, and has had the new
    ones only since 11.1.
    """
    prefix = b"tx" if settings.is_mariadb else b"transaction"
    # Roles came with MySQL 8.0.
    role = b"CURRENT_ROLE()" if settings.has_roles else b"NULL"
    return (
        b"SELECT DATABASE(), @@character_set_client, @@character_set_results,"
        b" @@collation_connection, @@sql_mode, @@wait_timeout, @@GLOBAL.init_connect,"
        b" @@%b_isolation, @@%b_read_only, %b, @@autocommit, @@time_zone,"
        b" @@foreign_key_checks, @@unique_checks, @@last_insert_id" % (prefix, prefix, role)
    )


def _put_back(fresh: Fresh) -> bytes:
    results = fresh[_RESULTS]
    return b"SET %b = %b, %b = %b, %b = %b, sql_mode = '%b', wait_timeout = %b" % (
        b"character_set_client",
        fresh[_CLIENT] or b"",
        b"character_set_results",
        b"NULL" if results is None else results,
        b"collation_connection",
        fresh[_CONNECTION] or b"",
        fresh[_MODE] or b"",
        fresh[_TIMEOUT] or b"",
    )


async def _run(channel: Stream, command: int, argument: bytes) -> None:
    """A command that is answered by OK, or by EOF where it is older than that."""
    packets = Packets(channel)
    packets.send(bytes((command,)) + argument)
    payload = await packets.receive()
    check(payload)
    if payload[:1] not in (bytes((OK,)), bytes((EOF,))):
        raise PeerViolation("the server answered the reset out of step")
