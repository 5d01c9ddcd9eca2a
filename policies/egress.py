"""Where a source may be: the grammar of a host, and the addresses that may be dialled.

A tenant types the host; the proxy dials from inside the operator's network. Knows
address ranges. Must never resolve a name or open a socket: the caller resolves once,
checks every address here and dials the one that was checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

from protocols.errors import Reason, Refusal

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNREACHABLE = "the data source cannot be reached"
"""The public answer to every failure to connect: the proxy is no port scanner."""

HOST_LIMIT = 253
"""Characters of a name: 255 octets on the wire (RFC 1035, 2.3.4) less two length octets."""

# The underscore is no hostname's (RFC 1123, 2.1), but container networks name so.
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
# inet_aton(3) reads such a last label as a number, and with it the name as an address.
_NUMBER_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

# Metadata services outside 169.254.0.0/16: they hand out the machine's own credentials.
_METADATA: frozenset[Address] = frozenset(
    ip_address(text)
    for text in (
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure WireServer
        "192.0.0.192",  # Oracle Cloud Classic
        "fd00:ec2::254",  # Amazon EC2
        "fd00:ec2::23",  # Amazon EKS Pod Identity
        "fd20:ce::254",  # Google Cloud
        "fd00:42::42",  # Scaleway
    )
)

_NEVER_V4: tuple[tuple[IPv4Network, str], ...] = (
    (IPv4Network("0.0.0.0/8"), "unspecified"),
    (IPv4Network("169.254.0.0/16"), "link-local"),
    (IPv4Network("224.0.0.0/4"), "multicast"),
    (IPv4Network("240.0.0.0/4"), "reserved or broadcast"),
)
_NEVER_V6: tuple[tuple[IPv6Network, str], ...] = (
    (IPv6Network("::/128"), "unspecified"),
    (IPv6Network("fe80::/10"), "link-local"),
    (IPv6Network("fec0::/10"), "site-local, deprecated by RFC 3879"),
    (IPv6Network("ff00::/8"), "multicast"),
    # RFC 8215: the local NAT64 prefix; its operator chooses where the IPv4 address sits.
    (IPv6Network("64:ff9b:1::/48"), "translated"),
)
# Where an IPv6 address carries an IPv4 address in its last 32 bits.
_EMBEDDING_V6 = (
    IPv6Network("::ffff:0:0/96"),  # v4-mapped, RFC 4291 2.5.5.2
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated, RFC 2765
    IPv6Network("64:ff9b::/96"),  # NAT64, RFC 6052
    IPv6Network("::/96"),  # v4-compatible, RFC 4291 2.5.5.1, but for ::1
)
_TEREDO = IPv6Network("2001::/32")
_6TO4 = IPv6Network("2002::/16")
# RFC 4291 2.4: what IANA hands out as global unicast. All else is unassigned.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_UNIQUE_LOCAL = IPv6Network("fc00::/7")
_ISATAP_MARKS = (0x00005EFE, 0x02005EFE)


@dataclass(frozen=True, slots=True)
class EgressRules:
    """What the operator allows.

    ``allow_private`` permits loopback, private and other non-global ranges.
    ``allowed_networks`` permits single such networks while it is False.
    ``denied_networks`` are refused whatever else is said. ``forbidden`` are the proxy's
    own listeners, store and key provider; an unspecified address there (``0.0.0.0``,
    ``::``) forbids its port on every loopback address, and who dials asks the machine
    which others are its own. ``ports`` are inclusive ranges.

    Nothing here permits link-local, metadata, multicast, unspecified or reserved
    addresses, nor what is forbidden.
    """

    allow_private: bool = False
    forbidden: frozenset[tuple[Address, int]] = frozenset()
    ports: tuple[tuple[int, int], ...] = ((1, 65_535),)
    allowed_networks: tuple[Network, ...] = ()
    denied_networks: tuple[Network, ...] = ()


def check_host(host: str) -> Refusal | None:
    """The grammar of a source's host: an ASCII DNS name or a canonical address.

    A name has labels of 1 to 63 letters, digits, hyphens and underscores, is at most
    253 long and does not end in a dot or in a number. IPv4 is four plain decimal
    numbers; IPv6 is in the form of RFC 5952, without brackets and zone.
    """
    if not 1 <= len(host) <= HOST_LIMIT:
        return _refuse_host(f"it has 1 to {HOST_LIMIT} characters")
    if not host.isascii():
        return _refuse_host("a name with other than ASCII letters is written in its xn-- form")
    if ":" in host:
        return _check_ipv6(host)
    if host.endswith("."):
        return _refuse_host("it is written without a dot at its end")
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return _refuse_host("it is one DNS name or one address, without port, path or spaces")
    if _NUMBER_LABEL.fullmatch(labels[-1]):
        return _check_ipv4(host)
    return None


def check_address(address: Address, port: int, rules: EgressRules) -> Refusal | None:
    """May this resolved address be dialled? The private text says why not.

    An address that carries another one (v4-mapped, NAT64, 6to4, Teredo and the like)
    is refused for what it carries, too.
    """
    if not any(first <= port <= last for first, last in rules.ports):
        return _refuse_address(address, port, "the port is not allowed")
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return _refuse_address(address, port, "the address has a zone")
    faces = _faces(address)
    if any(held in network for network in rules.denied_networks for held in (address, *faces)):
        return _refuse_address(address, port, "the network is denied")
    for face in faces:
        why = _never(face)
        if why is not None:
            return _refuse_address(address, port, f"the address is {why}")
        if _is_forbidden(face, port, rules.forbidden):
            return _refuse_address(address, port, "it is a service of the proxy itself")
        if rules.allow_private or _is_global(face):
            continue
        if not any(face in network for network in rules.allowed_networks):
            return _refuse_address(address, port, "the address is loopback or private")
    return None


def _check_ipv6(host: str) -> Refusal | None:
    try:
        address = IPv6Address(host)
    except AddressValueError:
        return _refuse_host("it holds a colon and is not an IPv6 address")
    if address.scope_id is not None:
        return _refuse_host("an IPv6 address is written without a zone")
    if address.ipv4_mapped is not None:
        return _refuse_host("an IPv4 address is written as one")
    if str(address) != host:
        return _refuse_host(f"an IPv6 address is written in its shortest form, {address}")
    return None


def _check_ipv4(host: str) -> Refusal | None:
    try:
        IPv4Address(host)
    except AddressValueError:
        return _refuse_host("an IPv4 address is four decimal numbers of 0 to 255")
    return None


def _faces(address: Address) -> tuple[Address, ...]:
    """The addresses that dialling this one may reach: itself or what it carries."""
    if isinstance(address, IPv4Address):
        return (address,)
    number = int(address)
    low = IPv4Address(number & 0xFFFFFFFF)
    if number > 1 and any(address in network for network in _EMBEDDING_V6):
        return (low,)
    if address in _6TO4:
        return (address, IPv4Address((number >> 80) & 0xFFFFFFFF))
    if address in _TEREDO:
        # RFC 4380, 4: the server's address, and the client's with every bit inverted.
        server = IPv4Address((number >> 64) & 0xFFFFFFFF)
        return (address, server, IPv4Address(int(low) ^ 0xFFFFFFFF))
    if (number >> 32) & 0xFFFFFFFF in _ISATAP_MARKS:
        return (address, low)
    return (address,)


def _never(address: Address) -> str | None:
    if address in _METADATA:
        return "a metadata service"
    if isinstance(address, IPv4Address):
        for network, why in _NEVER_V4:
            if address in network:
                return why
        return None
    for network6, why in _NEVER_V6:
        if address in network6:
            return why
    if not (address.is_loopback or address in _GLOBAL_UNICAST or address in _UNIQUE_LOCAL):
        return "reserved"
    return None


def _is_global(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address in _6TO4:
        # Some patch releases of Python call all of it private. What it carries is a face
        # of its own, and that one decides.
        return True
    # Both: the tables behind the two differ, and between Python's patch releases.
    return address.is_global and not address.is_private


def _is_forbidden(address: Address, port: int, forbidden: frozenset[tuple[Address, int]]) -> bool:
    for held, held_port in forbidden:
        if held_port != port:
            continue
        if any(face == address for face in _faces(held)):
            return True
        if held.is_unspecified and address.is_loopback:
            return True
    return False


def _refuse_host(why: str) -> Refusal:
    return Refusal(Reason.PARAMETER_REFUSED, f"the host cannot be used: {why}")


def _refuse_address(address: Address, port: int, why: str) -> Refusal:
    return Refusal(
        Reason.SOURCE_UNREACHABLE, UNREACHABLE, f"egress to {address} port {port} refused: {why}"
    )
