"""Whether a peer's machine answers nothing any more of what was sent to it.

TCP's keep-alive asks a peer only where nothing is on its way to it (tcp_keepalive_timer in
Linux's tcp_timer.c), and what is on its way is sent again for a quarter of an hour
(``tcp_retries2``, tcp(7)). TCP_USER_TIMEOUT would be sooner, but for a peer that only stands
still, too: a full window is one that is answered. So the kernel is asked what it has heard.
Knows sockets, and nothing of sessions.
"""

from __future__ import annotations

import socket
import sys

UNANSWERED = 3
"""Tries in a row, each with twice the time of the one before, that are no accident."""

# struct tcp_info of linux/tcp.h: its first two dozen members have never moved.
_RETRANSMITS, _PROBES, _LAST_ACK_RECEIVED, _SIZE = 2, 3, 56, 60


def is_silent(sock: socket.socket, seconds: float) -> bool:
    """Whether something waits for the peer's TCP to take it, and that has said nothing for so long.

    False where the system does not tell, and for a connection that is over.
    """
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return False
    if len(told) < _SIZE:
        return False
    # Milliseconds, as all its times that begin with tcpi_last.
    heard = int.from_bytes(told[_LAST_ACK_RECEIVED:_SIZE], sys.byteorder) / 1000
    return max(told[_RETRANSMITS], told[_PROBES]) >= UNANSWERED and heard >= seconds
