from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest

from policies.egress import UNREACHABLE, EgressRules
from protocols.errors import Reason, Refusal
from proxy.gateway.dial import (
    ADDRESS_LIMIT,
    RESOLVER_THREADS,
    SharedResolver,
    SystemResolver,
    dial,
    is_of_this_machine,
    resolve_by_system,
)
from tests.servers.ports import free_port

Address = IPv4Address | IPv6Address
LOOPBACK = EgressRules(allow_private=True)
NOWHERE = EgressRules()


class Resolver:
    """Answers each question with the next of its answers, then with the last."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [ip_address(text) for text in answer]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def was_called(sock: socket.socket) -> bool:
    try:
        sock.accept()[0].close()
    except BlockingIOError:
        return False
    return True


async def refused(host: str, port: int, rules: EgressRules, resolver: Resolver) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await dial(host, port, rules, resolver)
    assert caught.value.reason is Reason.SOURCE_UNREACHABLE
    return caught.value


async def test_a_name_is_asked_for_once_and_the_checked_address_is_dialled(
    listener: socket.socket,
):
    resolver = Resolver(["127.0.0.1"], ["169.254.169.254"])
    sock = await dial("db.example", port_of(listener), LOOPBACK, resolver)
    with sock:
        assert sock.getpeername() == ("127.0.0.1", port_of(listener))
    assert resolver.asked == ["db.example"]


async def test_a_name_that_turns_inward_is_not_dialled(listener: socket.socket):
    # Rebinding: the first answer was checked long ago, the second is for this connection.
    resolver = Resolver(["93.184.216.34"], ["127.0.0.1"])
    assert await resolver("db.example", 1)
    await refused("db.example", port_of(listener), NOWHERE, resolver)
    assert not was_called(listener)


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_one_bad_address_among_good_ones_refuses_them_all(
    listener: socket.socket, place: int
):
    addresses = ["127.0.0.1", "127.0.0.1", "127.0.0.1"]
    addresses[place] = "169.254.169.254"
    await refused("db.example", port_of(listener), LOOPBACK, Resolver(addresses))
    assert not was_called(listener)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254", "fd00:ec2::254",
     "10.0.0.1", "224.0.0.1", "::"],
)  # fmt: skip
async def test_no_connection_is_made_to_what_is_refused(listener: socket.socket, address: str):
    await refused("db.example", port_of(listener), NOWHERE, Resolver([address]))
    assert not was_called(listener)


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
async def test_the_proxys_own_ports_are_refused(listener: socket.socket, address: str):
    port = port_of(listener)
    rules = EgressRules(allow_private=True, forbidden=frozenset({(ip_address("127.0.0.1"), port)}))
    await refused("db.example", port, rules, Resolver([address]))
    assert not was_called(listener)


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
async def test_a_port_of_the_proxy_is_refused_on_each_address_of_its_machine(everywhere: str):
    # Stands in for an address of this machine's network: those of the loopback have a rule.
    own = ip_address("198.51.100.7")
    rules = EgressRules(allow_private=True, forbidden=frozenset({(ip_address(everywhere), 6432)}))
    resolver = Resolver(["198.51.100.7"])
    with pytest.raises(Refusal) as caught:
        await dial("db.example", 6432, rules, resolver, lambda address: address == own)
    assert caught.value.public == UNREACHABLE
    assert "the proxy itself" in caught.value.private


def test_an_address_of_this_machine_is_known_as_one():
    assert is_of_this_machine(ip_address("127.0.0.1"))
    assert not is_of_this_machine(ip_address("192.0.2.77"))
    assert not is_of_this_machine(ip_address("2001:db8::77"))


async def test_every_failure_says_the_same_to_the_client(listener: socket.socket):
    port = port_of(listener)

    async def fails(host: str, port: int) -> list[Address]:
        raise OSError("no such name")

    closed = free_port()
    answers = {
        (await refused("db.example", port, NOWHERE, Resolver(["10.0.0.1"]))).public,
        (await refused("db.example", port, NOWHERE, Resolver([]))).public,
        (await refused("db.example", closed, LOOPBACK, Resolver(["127.0.0.1"]))).public,
    }
    with pytest.raises(Refusal) as caught:
        await dial("db.example", port, LOOPBACK, fails)
    assert answers | {caught.value.public} == {UNREACHABLE}


async def test_the_next_address_is_tried_where_one_does_not_answer(listener: socket.socket):
    resolver = Resolver(["127.0.0.2", "127.0.0.1"])
    sock = await dial("db.example", port_of(listener), LOOPBACK, resolver)
    sock.close()


async def test_of_very_many_addresses_only_the_first_are_tried(listener: socket.socket):
    many = [f"127.0.1.{number}" for number in range(ADDRESS_LIMIT)] + ["127.0.0.1"]
    await refused("db.example", port_of(listener), LOOPBACK, Resolver(many))
    assert not was_called(listener)


async def test_an_address_is_not_looked_up(listener: socket.socket):
    resolver = Resolver(["10.0.0.1"])
    (await dial("127.0.0.1", port_of(listener), LOOPBACK, resolver)).close()
    assert resolver.asked == []


@pytest.mark.parametrize("host", ["a,b", "/tmp", "user@db", "0x7f.1", "127.1", "2130706433", ""])
async def test_an_odd_host_is_not_even_looked_up(host: str):
    resolver = Resolver(["127.0.0.1"])
    with pytest.raises(Refusal):
        await dial(host, 5432, LOOPBACK, resolver)
    assert resolver.asked == []


async def test_a_cancelled_dial_leaves_no_descriptor():
    # A full backlog: the kernel answers no further SYN.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                # ResourceWarning is an error here: an open socket would be told of.
                (await dial("127.0.0.1", full.getsockname()[1], LOOPBACK)).close()
        for filler in fillers:
            filler.close()


async def test_the_systems_resolver_knows_localhost():
    assert ip_address("127.0.0.1") in await resolve_by_system("localhost", 5432)


class SlowResolver(Resolver):
    """Answers when a test says."""

    def __init__(self, *answers: list[str]) -> None:
        super().__init__(*answers)
        self.may_answer = asyncio.Event()

    async def __call__(self, host: str, port: int) -> list[Address]:
        found = await super().__call__(host, port)
        await self.may_answer.wait()
        if not found:
            raise socket.gaierror("no such name")
        return found


async def test_a_name_that_is_slow_to_resolve_is_asked_for_once_at_a_time():
    slow = SlowResolver(["192.0.2.1"])
    shared = SharedResolver(slow)
    waiting = [asyncio.create_task(shared("db.example", port)) for port in (1, 2, 3)]
    await asyncio.sleep(0)
    # Who gives up takes nobody else's answer along.
    waiting[0].cancel()
    slow.may_answer.set()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert done[1:] == [[ip_address("192.0.2.1")]] * 2
    assert slow.asked == ["db.example"]
    # Answers are not remembered: each connect asks.
    await shared("db.example", 1)
    assert slow.asked == ["db.example"] * 2


async def test_a_name_that_does_not_resolve_is_told_to_all_who_asked():
    slow = SlowResolver([])
    shared = SharedResolver(slow)
    waiting = [asyncio.create_task(shared("db.example", 1)) for _ in range(2)]
    slow.may_answer.set()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in done] == [socket.gaierror] * 2
    assert slow.asked == ["db.example"]


async def test_names_whose_servers_are_silent_hold_up_neither_other_names_nor_other_work():
    silent = threading.Event()

    def look_up(host: str, port: int, **kwargs: object) -> list[Any]:
        if host == "silent.example":
            silent.wait(20)
        return socket.getaddrinfo("127.0.0.1", port)

    resolve = SystemResolver(look_up)
    waiting = [
        asyncio.create_task(resolve("silent.example", 1)) for _ in range(RESOLVER_THREADS - 1)
    ]
    try:
        async with asyncio.timeout(20):
            assert ip_address("127.0.0.1") in await resolve("db.example", 1)
            waiting.append(asyncio.create_task(resolve("silent.example", 1)))
            assert await asyncio.to_thread(lambda: "hashed") == "hashed"
        assert not any(task.done() for task in waiting)
    finally:
        silent.set()
    await asyncio.gather(*waiting)
