"""What is set on a session before its client is welcomed, spoken by script."""

from __future__ import annotations

import pytest

from protocols.channel import MemoryChannel
from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import SessionRules
from protocols.mysql.pin import character_set, pin, statements

UTF8MB4 = 45


@pytest.mark.parametrize(
    ("collation", "name"),
    [(45, "utf8mb4"), (255, "utf8mb4"), (33, "utf8"), (8, "latin1"), (11, "ascii"), (63, "binary")],
)
def test_a_character_set_with_one_reading_stays(collation: int, name: str) -> None:
    assert character_set(collation) == name
    assert f"character_set_client = {name}".encode() in statements(SessionRules(), collation)[1]


@pytest.mark.parametrize("collation", [1, 13, 28, 35, 54, 60, 84, 95, 248 - 230])
def test_another_one_is_refused(collation: int) -> None:
    with pytest.raises(Refusal, match="utf8mb4") as raised:
        statements(SessionRules(), collation)
    assert raised.value.reason is Reason.PARAMETER_REFUSED


def test_only_reading_is_asked_for_last_and_only_where_it_holds() -> None:
    writing = statements(SessionRules(), UTF8MB4)
    reading = statements(SessionRules(is_read_only=True), UTF8MB4)
    assert reading == (*writing, b"SET SESSION TRANSACTION READ ONLY")


def test_modes_that_change_a_reading_are_taken_away_and_no_other() -> None:
    sql = statements(SessionRules(), UTF8MB4)[0].decode()
    for mode in ("ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ORACLE"):
        assert f"',{mode},'" in sql
    assert "STRICT" not in sql


def answering(*answers: bytes) -> MemoryChannel:
    """A channel whose other end has these answers ready."""
    return MemoryChannel(
        b"".join(len(answer).to_bytes(3, "little") + b"\1" + answer for answer in answers)
    )


OK = b"\0\0\0\2\0\0\0"
ERR = b"\xff\x48\x04#42000no such variable"


async def test_each_statement_waits_for_its_ok() -> None:
    server = answering(OK, OK, OK)
    await pin(server, SessionRules(is_read_only=True), UTF8MB4)
    texts = statements(SessionRules(is_read_only=True), UTF8MB4)
    assert server.sent == b"".join(
        (len(text) + 1).to_bytes(3, "little") + b"\0\3" + text for text in texts
    )
    assert not server.has_unread()


async def test_a_server_that_does_not_take_it_opens_no_session() -> None:
    with pytest.raises(Refusal, match="does not take the settings") as raised:
        await pin(answering(OK, ERR), SessionRules(), UTF8MB4)
    assert "no such variable" not in raised.value.private


async def test_an_answer_out_of_step_is_a_violation() -> None:
    with pytest.raises(PeerViolation):
        await pin(answering(b"\1"), SessionRules(), UTF8MB4)
