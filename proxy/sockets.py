"""Listening sockets, and the one clear sentence where one cannot be had."""

from __future__ import annotations

import errno
import socket


class PortError(Exception):
    """A port cannot be listened on; the text says which, for what, and why."""


def bind_group(host: str, port: int, purpose: str, count: int) -> list[socket.socket]:
    """So many listening sockets on one port, among which the kernel shares out connections.

    Raises PortError, also where another group has the port: the first socket is bound as any
    other is, and opened to the rest (SO_REUSEPORT, socket(7)) only then. Who joins a group
    must be of the same user, so without that a second proxy would get every other client.
    """
    first = bind_tcp(host, port, purpose, is_first_of_group=count > 1)
    group = [first]
    try:
        for _ in range(count - 1):
            group.append(bind_tcp(host, first.getsockname()[1], purpose, joins_group=True))
    except PortError:
        for sock in group:
            sock.close()
        raise
    return group


def bind_tcp(
    host: str,
    port: int,
    purpose: str,
    *,
    backlog: int = 1024,
    is_first_of_group: bool = False,
    joins_group: bool = False,
) -> socket.socket:
    """A non-blocking listening socket. ``port`` 0 picks a free one. Raises PortError.

    ``purpose`` names the section of the configuration that asked for it, and has its ``port``.
    """
    place = f"{purpose} cannot listen on {_shown(host)}:{port}"
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except OSError:
        raise PortError(f"{place}: the host is not known on this machine.") from None
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        # A restart must not wait for connections of the last run in TIME_WAIT (socket(7)).
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        if joins_group:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        if is_first_of_group:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise PortError(f"{place}: {_why(error, purpose)}.") from None
    return listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _why(error: OSError, purpose: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"another program has taken the port; set {purpose}.port to another"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address"
        case errno.EACCES:
            return "ports below 1024 need a privilege this user does not have"
    return (error.strerror or "the system refused").lower()
