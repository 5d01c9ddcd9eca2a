"""Dial a data source: resolve once, check every address, connect to a checked one.

Between the check and the connect no name is looked up again, so a name that changes
its address (DNS rebinding) gains nothing. Knows no protocol and no credential.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

from policies.egress import UNREACHABLE, EgressRules, check_address, check_host
from protocols.errors import Reason, Refusal

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[list[Address]]]
"""All addresses of a name, in the order to try them."""

# A name with more addresses than this is tried no further.
ADDRESS_LIMIT = 8


async def resolve_by_system(host: str, port: int) -> list[Address]:
    """The system's resolver, once."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(entry[4][0]) for entry in found]


async def dial(
    host: str, port: int, rules: EgressRules, resolve: Resolve = resolve_by_system
) -> socket.socket:
    """A connected, non-blocking socket.

    Raises Refusal (SOURCE_UNREACHABLE) with one and the same public answer whatever the
    cause. The caller sets the deadline.
    """
    refusal = check_host(host)
    if refusal is not None:
        raise refusal
    try:
        addresses: list[Address] = [ip_address(host)]
    except ValueError:
        try:
            addresses = list(dict.fromkeys(await resolve(host, port)))[:ADDRESS_LIMIT]
        except (OSError, UnicodeError) as error:
            raise _unreachable(f"the name does not resolve: {type(error).__name__}") from None
    if not addresses:
        raise _unreachable("the name has no address")
    for address in addresses:
        refusal = check_address(address, port, rules)
        if refusal is not None:
            raise refusal
    last = ""
    for address in addresses:
        try:
            return await connect_to(address, port)
        except OSError as error:
            last = error.strerror or type(error).__name__
    raise _unreachable(f"no address answered: {last}")


async def connect_to(address: Address, port: int) -> socket.socket:
    """A connection to an address that was checked before. Raises OSError."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        tune(sock)
        await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
    except BaseException:
        # Also on cancellation: nobody else knows this descriptor.
        sock.close()
        raise
    return sock


def tune(sock: socket.socket) -> None:
    """No delay, and keep-alive: a half-open peer is found within about two minutes."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _unreachable(private: str) -> Refusal:
    return Refusal(Reason.SOURCE_UNREACHABLE, UNREACHABLE, private)
