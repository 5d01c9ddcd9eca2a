from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.egress import UNREACHABLE, EgressRules, check_address, check_host
from protocols.errors import Reason

DEFAULT = EgressRules()
PRIVATE = EgressRules(allow_private=True)


def is_allowed(address: str, rules: EgressRules = DEFAULT, port: int = 5432) -> bool:
    return check_address(ip_address(address), port, rules) is None


@pytest.mark.parametrize(
    "host",
    [
        "db",
        "localhost",
        "db.example.com",
        "DB.Example.COM",
        "my_db",
        "a-b.c-d.example",
        "1db.example",
        "10.0.0.1.nip.example",
        "xn--bcher-kva.example",
        "a" * 63 + ".example",
        ".".join(["a" * 63] * 3 + ["a" * 61]),
        "0x7f.example",
        "192.0.2.1",
        "255.255.255.255",
        "0.0.0.0",
        "2001:db8::1",
        "::1",
        "fe80::1",
    ],
)
def test_a_name_or_canonical_address_is_a_host(host: str):
    assert check_host(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "db ",
        " db",
        "db\n",
        "db\x00",
        "db\t.example",
        "a,b",
        "db.example,evil.example",
        "/var/run/postgresql",
        "@abstract",
        "user@db",
        "user:pw@db",
        "db:5432",
        "db/path",
        "db?x=1",
        "db#x",
        "db%20",
        "db;x",
        "db'x",
        'db"x',
        "db\\x",
        "db=x",
        "db&x",
        "db*",
        "(db)",
        ".",
        "..",
        ".db",
        "db..example",
        "db.example.",
        "127.0.0.1.",
        "-db",
        "db-",
        "db-.example",
        "a" * 64,
        ".".join(["a" * 63] * 4),
        "bücher.example",
        "db.example\u3002com",
        "db\uff0eexample",
        "\u2460.example",
        # Numbers that inet_aton(3) reads as addresses.
        "127.1",
        "127.0.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "0x7f.0.0.0x1",
        "0X7F.0X1",
        "0x",
        "127.0.0.0x1",
        "127.0.0.01",
        "0177.0.0.1",
        "127.0.0.1.1",
        "256.0.0.1",
        "1.2.3",
        "0",
        "example.1",
        "example.0x1f",
        "\u0661.\u0662.\u0663.\u0664",
        # IPv6 other than in its one form.
        "[::1]",
        "[2001:db8::1]",
        "fe80::1%eth0",
        "fe80::1%25eth0",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "2001:DB8::1",
        "2001:db8:0::1",
        "2001:0db8::1",
        "0:0:0:0:0:0:0:1",
        ":::",
        "::1::",
        "1:2:3:4:5:6:7:8:9",
        "::g",
    ],
)
def test_anything_else_is_no_host(host: str):
    refusal = check_host(host)
    assert refusal is not None
    assert refusal.reason is Reason.PARAMETER_REFUSED
    assert refusal.public.count("\n") == 0


@given(st.text(max_size=300))
def test_what_passes_is_ascii_without_anything_that_separates(host: str):
    if check_host(host) is None:
        assert host.isascii()
        assert not set(host) & set(" ,/@?%#[]\\'\"=;&\t\n\r\0")
        assert 1 <= len(host) <= 253


@given(
    st.from_regex(r"(0[xX])?[0-9a-fA-F]{1,11}(\.(0[xX])?[0-9a-fA-F]{0,9}){0,4}\.?", fullmatch=True)
)
def test_what_the_c_library_reads_as_an_address_is_in_its_canonical_form(host: str):
    try:
        packed = socket.inet_aton(host)
    except OSError:
        return
    if check_host(host) is None:
        assert str(IPv4Address(packed)) == host


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_every_address_in_canonical_form_is_a_host_unless_mapped(
    address: IPv4Address | IPv6Address,
):
    is_mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    assert (check_host(str(address)) is None) is not is_mapped


NEVER_V4 = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]
NEVER_V6 = [
    "::",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
    "64:ff9b:1::1",
    "100::1",
    "4000::1",
    "e000::1",
]
PRIVATE_V4 = ["127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"]
PRIVATE_V4 += ["198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1"]
PRIVATE_V6 = ["::1", "fc00::1", "fd12:3456::1", "2001:db8::1"]
PUBLIC_V4 = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "223.255.255.254"]
PUBLIC_V6 = ["2606:4700::1111", "2a00:1450::1"]


def carriers(text: str) -> list[str]:
    """Every IPv6 address that carries an IPv4 address in its last 32 bits."""
    number = int(IPv4Address(text))
    prefixes = ("::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "::", "2606:4700::5efe:0:0")
    outer = [str(IPv6Address(int(IPv6Address(prefix)) | number)) for prefix in prefixes]
    return [address for address in outer if int(IPv6Address(address)) > 1]


def sixto4(text: str) -> str:
    return str(IPv6Address((0x2002 << 112) | (int(IPv4Address(text)) << 80) | 1))


def teredo(server: str, client: str) -> str:
    return str(
        IPv6Address(
            (0x20010000 << 96)
            | (int(IPv4Address(server)) << 64)
            | (int(IPv4Address(client)) ^ 0xFFFFFFFF)
        )
    )


@pytest.mark.parametrize("address", NEVER_V4 + NEVER_V6)
def test_some_addresses_are_refused_whatever_the_rules(address: str):
    network = ip_network("0.0.0.0/0" if "." in address else "::/0")
    assert not is_allowed(address)
    assert not is_allowed(address, PRIVATE)
    assert not is_allowed(address, EgressRules(allow_private=True, allowed_networks=(network,)))


@pytest.mark.parametrize("inner", NEVER_V4)
def test_an_address_that_carries_one_of_these_is_refused_too(inner: str):
    outer = [*carriers(inner), sixto4(inner), teredo(inner, "8.8.8.8"), teredo("8.8.8.8", inner)]
    for address in outer:
        assert not is_allowed(address), address
        assert not is_allowed(address, PRIVATE), address


@pytest.mark.parametrize("address", PRIVATE_V4 + PRIVATE_V6)
def test_loopback_and_private_addresses_need_the_operators_leave(address: str):
    assert not is_allowed(address)
    assert is_allowed(address, PRIVATE)


@pytest.mark.parametrize("inner", PRIVATE_V4)
def test_a_carried_private_address_needs_leave_too(inner: str):
    for address in (*carriers(inner), sixto4(inner)):
        assert not is_allowed(address), address
        assert is_allowed(address, PRIVATE), address
    assert not is_allowed(teredo("8.8.8.8", inner))


@pytest.mark.parametrize("address", PUBLIC_V4 + PUBLIC_V6)
def test_public_addresses_are_allowed(address: str):
    assert is_allowed(address)
    assert is_allowed(address, PRIVATE)


@pytest.mark.parametrize("inner", PUBLIC_V4)
def test_a_carried_public_address_is_allowed(inner: str):
    for address in ("::ffff:" + inner, sixto4(inner)):
        assert is_allowed(address), address


def test_an_address_with_a_zone_is_refused():
    assert check_address(IPv6Address("2606:4700::1%1"), 5432, PRIVATE) is not None


def test_single_private_networks_can_be_allowed():
    rules = EgressRules(allowed_networks=(ip_network("10.1.0.0/16"), ip_network("fd12::/16")))
    assert is_allowed("10.1.2.3", rules)
    assert is_allowed("::ffff:10.1.2.3", rules)
    assert is_allowed("fd12::1", rules)
    assert not is_allowed("10.2.0.1", rules)
    assert not is_allowed("127.0.0.1", rules)
    assert is_allowed("8.8.8.8", rules)


def test_a_denied_network_is_refused_whatever_else_is_allowed():
    rules = EgressRules(
        allow_private=True,
        allowed_networks=(ip_network("10.0.0.0/8"),),
        denied_networks=(
            ip_network("10.9.0.0/16"),
            ip_network("8.8.8.0/24"),
            ip_network("2002::/16"),
        ),
    )
    assert not is_allowed("10.9.1.1", rules)
    assert not is_allowed("::ffff:10.9.1.1", rules)
    assert not is_allowed("8.8.8.8", rules)
    assert not is_allowed(sixto4("1.1.1.1"), rules)
    assert is_allowed("10.8.1.1", rules)


def forbidding(address: str, port: int) -> EgressRules:
    return EgressRules(allow_private=True, forbidden=frozenset({(ip_address(address), port)}))


def test_the_proxys_own_listeners_are_refused_in_every_form():
    rules = forbidding("127.0.0.1", 6432)
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", sixto4("127.0.0.1")):
        assert not is_allowed(address, rules, 6432), address
        assert is_allowed(address, rules, 5432), address
    assert is_allowed("127.0.0.2", rules, 6432)
    assert not is_allowed("10.0.0.5", forbidding("::ffff:10.0.0.5", 6432), 6432)


@pytest.mark.parametrize("listener", ["0.0.0.0", "::"])
def test_a_listener_on_every_address_forbids_its_port_on_loopback(listener: str):
    rules = forbidding(listener, 6432)
    for address in ("127.0.0.1", "127.3.3.3", "::1", "::ffff:127.0.0.1"):
        assert not is_allowed(address, rules, 6432), address
        assert is_allowed(address, rules, 5432), address


def test_a_public_address_of_the_proxy_is_refused_too():
    assert not is_allowed("8.8.8.8", forbidding("8.8.8.8", 8432), 8432)


def test_only_the_allowed_ports_are_dialled():
    rules = EgressRules(ports=((3306, 3306), (5432, 5439)))
    assert [
        port
        for port in (22, 3306, 3307, 5431, 5432, 5439, 5440)
        if is_allowed("8.8.8.8", rules, port)
    ] == [
        3306,
        5432,
        5439,
    ]
    for port in (-1, 0, 65_536):
        assert not is_allowed("8.8.8.8", DEFAULT, port)


def test_every_refusal_has_the_answer_of_an_unreachable_source():
    rules = forbidding("10.0.0.5", 5432)
    for address, held in (
        ("169.254.169.254", PRIVATE),
        ("127.0.0.1", DEFAULT),
        ("10.0.0.5", rules),
    ):
        refusal = check_address(ip_address(address), 5432, held)
        assert refusal is not None
        assert refusal.reason is Reason.SOURCE_UNREACHABLE
        assert refusal.public == UNREACHABLE
        assert address in refusal.private


@given(st.ip_addresses())
def test_an_allowed_address_is_global_however_it_is_written(address: IPv4Address | IPv6Address):
    if check_address(address, 5432, DEFAULT) is None and isinstance(address, IPv4Address):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4), st.booleans())
def test_a_mapped_address_gets_the_answer_of_the_address_it_maps(
    address: IPv4Address, allow_private: bool
):
    rules = EgressRules(allow_private=allow_private)
    plain = check_address(address, 5432, rules) is None
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        mapped = IPv6Address(int(IPv6Address(prefix)) | int(address))
        assert (check_address(mapped, 5432, rules) is None) is plain
