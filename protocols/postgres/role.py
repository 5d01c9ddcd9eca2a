"""Whether a server is a standby, and whether its sessions only read.

Since PostgreSQL 14 a server reports both at the login (``in_hot_standby`` and
``default_transaction_read_only``, GUC_REPORT); an older one is asked, as libpq does
(fe-connect.c, CONNECTION_CHECK_TARGET). Knows nothing of what is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocols.channel import Channel
from protocols.errors import PeerViolation
from protocols.interface import Upstream, UpstreamLogin
from protocols.postgres.reset import Conversation
from protocols.postgres.upstream import UpstreamDetail
from protocols.roles import ServerRole

STANDBY = b"in_hot_standby"
READ_ONLY = b"default_transaction_read_only"

_SWITCH = {b"on": True, b"off": False}
_BOOLEAN = {b"t": True, b"f": False}
# Qualified: a search_path of the role's own may put another function of that name in front.
_QUESTION = (
    b"SELECT pg_catalog.pg_is_in_recovery(),"
    b" pg_catalog.current_setting('default_transaction_read_only')"
)


async def learn_role(channel: Channel, detail: UpstreamDetail, login: UpstreamLogin) -> ServerRole:
    """What the server is, right after a login. Raises PeerViolation, PeerClosed, UpstreamRefused.

    A session that was itself asked to only read says nothing of its server: then being a
    standby alone counts.
    """
    role = _reported(dict(detail.parameters)) or await _asked(channel)
    is_ours = login.rules is not None and login.rules.is_read_only
    if is_ours or READ_ONLY.decode("ascii") in login.parameters:
        return ServerRole(is_read_only=role.is_standby is True, is_standby=role.is_standby)
    return role


async def check_role(channel: Channel, upstream: Upstream) -> None:
    """See that a kept session's server is what it was. Raises as ``learn_role``.

    What is reported has been compared with all the other settings; here older servers are
    asked again.
    """
    detail: UpstreamDetail = upstream.detail
    if upstream.role is None or _reported(dict(detail.parameters)) is not None:
        return
    role = await _asked(channel)
    if role.is_standby != upstream.role.is_standby:
        raise PeerViolation("the server is no longer the primary or standby that it was")


def _reported(parameters: Mapping[bytes, bytes]) -> ServerRole | None:
    """None where the server is too old to report both."""
    if STANDBY not in parameters or READ_ONLY not in parameters:
        return None
    return _role(_SWITCH.get(parameters[STANDBY]), _SWITCH.get(parameters[READ_ONLY]))


async def _asked(channel: Channel) -> ServerRole:
    conversation = Conversation(channel)
    conversation.send(_QUESTION)
    row = await conversation.row()
    if len(row) != 2:
        raise PeerViolation("the server did not say what it is")
    standby, read_only = row
    return _role(_BOOLEAN.get(standby or b""), _SWITCH.get(read_only or b""))


def _role(is_standby: bool | None, is_read_only: bool | None) -> ServerRole:
    if is_standby is None or is_read_only is None:
        raise PeerViolation("the server did not say what it is")
    return ServerRole(is_read_only=is_standby or is_read_only, is_standby=is_standby)
