"""When a session may be reset for another client: only where the server waits for a command."""

from __future__ import annotations

import pytest

from tests.protocols.mysql.conversation import (
    IN_TRANS,
    PING,
    QUIT,
    Slicing,
    Talk,
    answer,
    close,
    err,
    ok,
    query,
    three_slicings,
    whole,
)

REUSABLE = {
    "nothing was asked": (),
    "a command was answered": ((PING, answer(ok())),),
    "a command was refused": ((query(b"x"), answer(err())),),
    "a transaction is open": ((query(b"BEGIN"), answer(ok(IN_TRANS))),),
    "what has no answer was sent": ((PING, answer(ok())), (close(1), b"")),
    "its client said goodbye": ((PING + QUIT, answer(ok())),),
}
NOT_REUSABLE = {
    "an answer is owed": ((PING, b""),),
    "an answer is half here": ((PING, answer(ok())[:-1]),),
    "a command is half sent": ((query(b"SELECT 1")[:6], b""),),
    "the server is shutting down": ((PING, answer(err(1053))),),
}


@three_slicings
@pytest.mark.parametrize("name", REUSABLE)
def test_a_session_may_be_reset_where(name: str, slicing: Slicing):
    talk = Talk(slicing)
    for client, server in REUSABLE[name]:
        talk.client(client)
        talk.server(server)
    assert talk.scanner.is_reusable


@pytest.mark.parametrize("name", NOT_REUSABLE)
def test_a_session_may_not_be_reset_where(name: str):
    talk = Talk(whole)
    for client, server in NOT_REUSABLE[name]:
        talk.client(client)
        talk.server(server)
    assert not talk.scanner.is_reusable


def test_the_goodbye_is_the_last_that_goes_on():
    talk = Talk(whole)
    assert talk.client(PING + QUIT + PING).endswith(talk.scanner.goodbye)
