"""Dial a data source: resolve once, check every address, connect to a checked one.

Between the check and the connect no name is looked up again, so a name that changes
its address (DNS rebinding) gains nothing. Knows no protocol and no credential.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from policies.egress import UNREACHABLE, EgressRules, check_address, check_host
from protocols.errors import Reason, Refusal, insist

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[list[Address]]]
"""All addresses of a name, in the order to try them."""

# A name with more addresses than this is tried no further.
ADDRESS_LIMIT = 8
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What a call fails with where this process or machine has no room: nobody else's fault."""

RESOLVER_THREADS = 32
"""Threads in which names are looked up. A name whose servers are silent holds one for many
seconds, and tenants choose names."""


class SystemResolver:
    """The system's resolver, in threads of its own: what is slow here slows no password hash.

    ``look_up`` is ``socket.getaddrinfo``.
    """

    def __init__(self, look_up: Callable[..., list[Any]] = socket.getaddrinfo) -> None:
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, "resolver")

    async def __call__(self, host: str, port: int) -> list[Address]:
        """All addresses of a host, in the system's order. Raises OSError."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, partial(self._look_up, host, port, type=socket.SOCK_STREAM)
        )
        return [ip_address(entry[4][0]) for entry in found]


resolve_by_system = SystemResolver()


class SharedResolver:
    """A resolver over another that asks for a name once at a time.

    The system's has few threads, and a name whose servers are silent holds one for many
    seconds: sessions for the same name wait for the same answer, and hold no more.
    """

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._asking: dict[str, asyncio.Task[list[Address]]] = {}

    async def __call__(self, host: str, port: int) -> list[Address]:
        """As a ``Resolve``; the answer is that of whoever asked first."""
        task = self._asking.get(host)
        if task is None:
            task = self._asking[host] = asyncio.create_task(self._ask(host, port), name="resolve")
            task.add_done_callback(partial(self._answered, host))
        try:
            return await asyncio.shield(task)
        finally:
            # It holds its error, whose traceback holds this frame.
            del task

    async def _ask(self, host: str, port: int) -> list[Address]:
        return await self._resolve(host, port)

    def _answered(self, host: str, task: asyncio.Task[list[Address]]) -> None:
        del self._asking[host]
        if not task.cancelled():
            # Told to who still waits; where nobody does it is no news.
            task.exception()


def is_of_this_machine(address: Address) -> bool:
    """Whether an address is this machine's own: then what goes there comes from there.

    Asks the kernel's routes and sends nothing: a datagram socket's connect only chooses
    addresses (udp(7)).
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((str(address), 9))
        except OSError:
            return False
        return ip_address(sock.getsockname()[0].partition("%")[0]) == address


async def dial(
    host: str,
    port: int,
    rules: EgressRules,
    resolve: Resolve = resolve_by_system,
    is_own: Callable[[Address], bool] = is_of_this_machine,
    *,
    until: float | None = None,
) -> socket.socket:
    """A connected, non-blocking socket.

    Raises Refusal (SOURCE_UNREACHABLE) with one and the same public answer whatever the
    cause. The caller sets the deadline; ``until`` is when it is, by the loop's clock: an
    address that is silent has its share of that, and the next one the rest.
    """
    insist(check_host(host))
    try:
        addresses: list[Address] = [ip_address(host)]
    except ValueError:
        try:
            addresses = list(dict.fromkeys(await resolve(host, port)))[:ADDRESS_LIMIT]
        except (OSError, UnicodeError) as error:
            raise _unreachable(f"the name does not resolve: {type(error).__name__}") from None
    if not addresses:
        raise _unreachable("the name has no address")
    check_addresses(addresses, port, rules, is_own)
    last = ""
    loop = asyncio.get_running_loop()
    for left in range(len(addresses), 0, -1):
        address = addresses[-left]
        share = None if until is None else (until - loop.time()) / left
        try:
            # The last one's share is the caller's own deadline.
            async with asyncio.timeout(share if left > 1 else None):
                return await connect_to(address, port)
        except OSError as error:
            # TimeoutError is one of them.
            last = error.strerror or type(error).__name__
    raise _unreachable(f"no address answered: {last}")


def check_addresses(
    addresses: Sequence[Address],
    port: int,
    rules: EgressRules,
    is_own: Callable[[Address], bool] = is_of_this_machine,
) -> None:
    """Whether all of them may be dialled. Raises Refusal (SOURCE_UNREACHABLE)."""
    for address in addresses:
        insist(check_address(address, port, rules))
        if _is_open_everywhere(port, rules) and is_own(address):
            raise _unreachable("egress refused: it is a service of the proxy itself")


def _is_open_everywhere(port: int, rules: EgressRules) -> bool:
    """Whether the proxy listens on this port on each of its machine's addresses."""
    return any(held.is_unspecified and held_port == port for held, held_port in rules.forbidden)


async def connect_to(address: Address, port: int) -> socket.socket:
    """A connection to an address that was checked before.

    Raises OSError; Refusal where no descriptor is free, which is not the address's fault.
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno not in EXHAUSTED:
            raise
        raise Refusal(
            Reason.TOO_MANY_SESSIONS,
            "the proxy has too many connections",
            f"no descriptor is free: {error.strerror}",
        ) from None
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
