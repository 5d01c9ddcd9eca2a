"""What a StartupMessage asks for: who, where, in which version, with which settings.

Pure: one decoded message in, an ``Arrival`` and our answer to its version out. Knows
the rules of the manual's "Start-up" and how PostgreSQL words its refusals; must never
know whether a workspace or a source exists.
"""

from __future__ import annotations

from protocols.errors import Reason, Refusal
from protocols.interface import Arrival
from protocols.postgres.messages import NegotiateProtocolVersion, StartupMessage
from protocols.postgres.parameters import admit, parse_options, printable

OLDEST = (3, 0)
NEWEST = (3, 2)
"""The protocol versions spoken here. 3.1 was never used by any server: who asks for it
is told 3.0, which a client has to accept ("Protocol versions" in the manual)."""

NAME_LIMIT = 128
"""Bytes of a workspace's or source's name: twice what PostgreSQL keeps of a name."""

APPLICATION_NAME_LIMIT = 63
"""Characters of application_name that are kept for logs: what PostgreSQL itself keeps."""

_PROTOCOL_OPTION = "_pq_."
"""The prefix of protocol extensions; we know none."""

_OFF = ("0", "off", "of", "false", "fals", "fal", "fa", "f", "no", "n")
"""What PostgreSQL's parse_bool takes for false."""

_CONNECTION_PARAMETERS = ("user", "database", "options", "replication")
"""They steer the connection itself and may come once: whoever authenticates, routes or
judges by one copy must not be contradicted by another."""


def check_major(version: tuple[int, int]) -> None:
    """Raise Refusal, in PostgreSQL's words, for a major version other than 3."""
    if version[0] != OLDEST[0]:
        raise Refusal(
            Reason.UNSUPPORTED,
            f"unsupported frontend protocol {version[0]}.{version[1]}: "
            f"server supports {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}",
        )


def negotiate(
    message: StartupMessage,
) -> tuple[tuple[int, int], NegotiateProtocolVersion | None]:
    """The version granted, and what must be said about it before anything else.

    Something must be said where the client asked for a version that is not spoken here
    (3.9999 of a libpq that tests for it included) or for any ``_pq_.`` option.
    """
    asked = message.version
    granted = asked if asked in (OLDEST, NEWEST) else (NEWEST if asked > NEWEST else OLDEST)
    options = tuple(
        name for name, _ in message.parameters if name.startswith(_PROTOCOL_OPTION.encode())
    )
    if granted == asked and not options:
        return granted, None
    return granted, NegotiateProtocolVersion(granted, options)


def arrival_of(message: StartupMessage, version: tuple[int, int], is_encrypted: bool) -> Arrival:
    """What the client wants, checked and bounded. Raises Refusal, which the client is told."""
    connection: dict[str, str] = {}
    settings: dict[str, str] = {}
    for raw_name, raw_value in message.parameters:
        name, value = _decode(raw_name, raw_value)
        if name in _CONNECTION_PARAMETERS:
            if name in connection:
                raise Refusal(
                    Reason.PROTOCOL_VIOLATION,
                    f'the start-up parameter "{name}" was given twice',
                )
            connection[name] = value
        elif not name.startswith(_PROTOCOL_OPTION):
            proper, value = admit(name, value)
            settings[proper] = value
    if connection.get("replication", "off").lower() not in _OFF:
        raise Refusal(Reason.NOT_PERMITTED, "replication connections are not permitted")
    user = connection.get("user", "")
    if not user:
        raise Refusal(
            Reason.AUTHENTICATION_FAILED,
            "no PostgreSQL user name specified in startup packet",
            code="28000",
        )
    # As in PostgreSQL, a parameter of its own wins over the same one within options.
    settings = parse_options(connection.get("options", "")) | settings
    return Arrival(
        workspace=_name(user, "user"),
        source=_name(connection.get("database") or user, "database"),
        application_name=printable_name(settings.get("application_name", "")),
        parameters=settings,
        version=version,
        is_encrypted=is_encrypted,
    )


def printable_name(text: str) -> str:
    """An application_name for logs: printable ASCII, at most 63 characters."""
    return printable(text[:APPLICATION_NAME_LIMIT])


def _decode(name: bytes, value: bytes) -> tuple[str, str]:
    try:
        return name.decode("utf-8"), value.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(
            Reason.PARAMETER_REFUSED,
            f'the start-up parameter "{printable(name.decode("latin-1"))}" is not valid UTF-8',
        ) from None


def _name(text: str, what: str) -> str:
    if len(text.encode("utf-8")) > NAME_LIMIT:
        raise Refusal(
            Reason.PARAMETER_REFUSED, f"the {what} name is longer than {NAME_LIMIT} bytes"
        )
    # Names end up in error messages, logs and audit records, one line each.
    if not text.isprintable():
        raise Refusal(
            Reason.PARAMETER_REFUSED, f"the {what} name holds characters that are not printable"
        )
    return text
