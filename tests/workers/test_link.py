"""Messages between two ends: asked, told, refused, and every way to break the rules."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from proxy.control import ControlError, Handler
from proxy.workers.link import MESSAGE_LIMIT, AnsweredNo, Link, LinkError


@asynccontextmanager
async def raw_peer(handlers: Mapping[str, Handler]) -> AsyncIterator[tuple[Link, socket.socket]]:
    """An end, and the bare socket at the other."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    _, link = await asyncio.get_running_loop().create_unix_connection(
        lambda: Link(handlers), sock=ours
    )
    with theirs:
        yield link, theirs
        await link.close()


@asynccontextmanager
async def linked(handlers: Mapping[str, Handler]) -> AsyncIterator[tuple[Link, Link]]:
    """An end that asks, and one that answers with the handlers."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    made = Link({}), Link(handlers)
    for sock, link in zip((ours, theirs), made, strict=True):
        sock.setblocking(False)
        await loop.create_unix_connection(partial(_same, link), sock=sock)
    yield made
    for link in made:
        await link.close()


def _same(link: Link) -> Link:
    return link


async def double(arguments: dict[str, Any]) -> object:
    return arguments["number"] * 2


async def refuse(arguments: dict[str, Any]) -> object:
    raise ControlError("There is no such thing.")


async def fail(arguments: dict[str, Any]) -> object:
    raise RuntimeError("a secret")


def framed(value: object) -> bytes:
    body = json.dumps(value).encode()
    return struct.pack("!I", len(body)) + body


async def test_questions_are_answered_each_with_its_own_answer():
    async with linked({"double": double}) as (asker, _):
        answers = await asyncio.gather(*(asker.call("double", 10, number=n) for n in range(50)))
    assert answers == [2 * n for n in range(50)]


async def test_a_refusal_is_told_and_a_bug_is_not():
    async with linked({"refuse": refuse, "fail": fail}) as (asker, _):
        with pytest.raises(AnsweredNo, match=r"There is no such thing\."):
            await asker.call("refuse", 40)
        with pytest.raises(AnsweredNo, match="could not be made") as caught:
            await asker.call("fail", 40)
        assert "secret" not in str(caught.value)
        with pytest.raises(AnsweredNo, match="not known"):
            await asker.call("what", 40)


async def test_what_is_told_arrives_in_order():
    heard: list[int] = []
    done = asyncio.Event()

    async def hear(arguments: dict[str, Any]) -> object:
        heard.append(arguments["number"])
        if len(heard) == 20:
            done.set()
        return None

    async with linked({"hear": hear}) as (teller, _):
        for number in range(20):
            teller.tell("hear", number=number)
        async with asyncio.timeout(40):
            await done.wait()
    assert heard == list(range(20))


async def test_an_answer_that_does_not_come_is_not_waited_for():
    async with raw_peer({}) as (link, _):
        with pytest.raises(LinkError, match="in time"):
            await link.call("ping", 0.01)


async def test_an_end_that_is_gone_is_noticed_by_whoever_waits():
    async with raw_peer({}) as (link, theirs):
        asked = asyncio.create_task(link.call("ping", 30))
        await asyncio.sleep(0)
        theirs.close()
        with pytest.raises(LinkError, match="gone"):
            await asked
        async with asyncio.timeout(40):
            await link.lost.wait()
        with pytest.raises(LinkError, match="gone"):
            await link.call("ping", 30)
        link.tell("ping")


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
async def test_a_message_in_pieces_is_whole(cut: int):
    async with raw_peer({"double": double}) as (_, theirs):
        data = framed({"id": 1, "verb": "double", "arguments": {"number": 4}})
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(theirs, data[:cut])
        await loop.sock_sendall(theirs, data[cut:])
        answer = framed({"id": 1, "ok": True, "result": 8}).replace(b" ", b"")
        received = b""
        async with asyncio.timeout(40):
            while b"}" not in received:
                received += await loop.sock_recv(theirs, 1000)
        assert json.loads(received[4:]) == json.loads(answer[4:])


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!I", MESSAGE_LIMIT + 1),
        b"\xff\xff\xff\xff",
        struct.pack("!I", 4) + b"null",
        struct.pack("!I", 2) + b"{}",
        struct.pack("!I", 3) + b"\xff\xfe\xfd",
        framed({"verb": "double", "arguments": []}),
        framed({"verb": "double"}),
        struct.pack("!I", 100_000) + b"[" * 100_000,
    ],
    ids=["too long", "longest", "null", "empty", "bytes", "list", "no arguments", "deep"],
)
async def test_who_breaks_the_rules_is_cut_off(data: bytes):
    async with raw_peer({"double": double}) as (link, theirs):
        await asyncio.get_running_loop().sock_sendall(theirs, data)
        async with asyncio.timeout(40):
            await link.lost.wait()


async def test_who_does_not_read_is_cut_off():
    async with raw_peer({}) as (link, _):
        text = "x" * (MESSAGE_LIMIT - 100)
        for _ in range(4):
            link.tell("listen", text=text)
        async with asyncio.timeout(40):
            await link.lost.wait()


async def test_an_answer_that_is_too_long_is_a_refusal():
    async def shout(arguments: dict[str, Any]) -> object:
        return "x" * (MESSAGE_LIMIT + 1)

    async with linked({"shout": shout}) as (asker, _):
        with pytest.raises(AnsweredNo, match="too long"):
            await asker.call("shout", 30)
        with pytest.raises(LinkError, match="too long"):
            asker.tell("listen", text="x" * (MESSAGE_LIMIT + 1))
