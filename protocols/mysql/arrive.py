"""What a HandshakeResponse asks for: who, which source, with which settings.

Pure: one decoded packet in, an ``Arrival`` out. Names end up in errors, logs and
records, so they are bounded and printable.
"""

from __future__ import annotations

from protocols.errors import Reason, Refusal
from protocols.interface import Arrival
from protocols.mysql.messages import ClientSettings, HandshakeResponse

NAME_LIMIT = 128
"""Bytes of a workspace's, a source's or a database's name."""
VERSION = (10, 0)
"""Protocol::HandshakeV10."""
_APPLICATION_NAME_LIMIT = 63
_NO_SOURCE = "which data source? give its name as the database, or log in as WORKSPACE/SOURCE"


def arrival_of(response: HandshakeResponse, is_encrypted: bool) -> Arrival:
    """What the client wants. Raises Refusal, which the client is told.

    The source is the database's name, or follows the workspace and a slash in the user
    name; then the database, if any is given, is one at the source's server.
    """
    user = _name(response.user, "user")
    database = _name(response.database, "database")
    workspace, slash, source = user.partition("/")
    parameters = {}
    if not slash:
        source = database
    elif database and database != source:
        parameters["database"] = database
    if not workspace:
        raise Refusal(Reason.AUTHENTICATION_FAILED, "no user name was given")
    if not source:
        raise Refusal(Reason.UNKNOWN_SOURCE, _NO_SOURCE)
    return Arrival(
        workspace=workspace,
        source=source,
        application_name=_application_name(response),
        parameters=parameters,
        version=VERSION,
        is_encrypted=is_encrypted,
        detail=ClientSettings(response.capabilities, response.collation, response.max_packet),
    )


def _name(raw: bytes, what: str) -> str:
    if len(raw) > NAME_LIMIT:
        raise Refusal(
            Reason.PARAMETER_REFUSED, f"the {what} name is longer than {NAME_LIMIT} bytes"
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(Reason.PARAMETER_REFUSED, f"the {what} name is not valid UTF-8") from None
    if not text.isprintable():
        raise Refusal(
            Reason.PARAMETER_REFUSED, f"the {what} name holds characters that are not printable"
        )
    return text


def _application_name(response: HandshakeResponse) -> str:
    """For logs: what the program calls itself, else its driver; printable ASCII."""
    attributes = dict(response.attributes)
    raw = attributes.get(b"program_name") or attributes.get(b"_client_name", b"")
    text = raw[:_APPLICATION_NAME_LIMIT].decode("latin-1")
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)
