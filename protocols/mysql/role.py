"""Whether a server takes changes: what its ``read_only`` says.

MySQL and MariaDB do not say whether they are replicas in a way that every account may
read; ``read_only`` is what an operator or an orchestrator sets on every replica, and
``super_read_only`` sets it, too (manual, "Server System Variables"). A server whose storage
engine cannot write (``innodb_read_only``) is one that reads as well: Aurora's readers are.
"""

from __future__ import annotations

from protocols.errors import PeerViolation
from protocols.interface import Upstream
from protocols.mysql.framing import Stream
from protocols.mysql.messages import UpstreamSettings
from protocols.mysql.row import one_row
from protocols.roles import ServerRole

_QUESTION = b"SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_read_only"
# MariaDB 12 has words, and two more of them for read_only.
_SWITCH = {
    b"0": False,
    b"OFF": False,
    b"1": True,
    b"ON": True,
    b"NO_LOCK": True,
    b"NO_LOCK_NO_ADMIN": True,
}


async def learn_role(channel: Stream, settings: UpstreamSettings) -> ServerRole:
    """What the server is. Raises PeerViolation, PeerClosed, UpstreamRefused."""
    values, _ = await one_row(channel, settings.capabilities, _QUESTION)
    switches = [_SWITCH.get(value or b"") for value in values]
    if len(switches) != 2 or None in switches:
        raise PeerViolation("the server did not say what it is")
    return ServerRole(is_read_only=any(switches))


async def check_role(channel: Stream, upstream: Upstream) -> None:
    """See that a kept session's server is what it was, where that was asked."""
    if upstream.role is None:
        return
    if await learn_role(channel, upstream.detail) != upstream.role:
        raise PeerViolation("the server's read_only is no longer what it was")
