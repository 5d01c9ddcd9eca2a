"""When a session may be reset for another client: only where our command would be one."""

from __future__ import annotations

import pytest

from tests.protocols.postgres.conversation import (
    BOUND,
    CLOSED,
    COPY_DONE,
    COPY_IN,
    DESCRIBED,
    FLUSH,
    PARSED,
    READY,
    ROW,
    SYNC,
    TERMINATE,
    Slicing,
    Talk,
    close,
    complete,
    copy_fail,
    data,
    error,
    query,
    ready,
    three_slicings,
    unnamed,
    whole,
)

RAN = PARSED + BOUND + complete(b"SELECT 1")
ROWS = DESCRIBED + ROW + complete(b"SELECT 1") + READY


def is_reusable(slicing: Slicing, *turns: tuple[bytes, bytes]) -> bool:
    talk = Talk(slicing)
    for client, server in turns:
        talk.client(client)
        talk.server(server)
    return talk.scanner.is_reusable


REUSABLE = {
    "nothing was asked": (),
    "a query was answered": ((query(b"SELECT 1"), ROWS),),
    "a query was refused": ((query(b"SELEC"), error() + READY),),
    "a pipeline has had its Sync": ((unnamed(b"SELECT 1") + SYNC, RAN + READY),),
    "a failed pipeline has had its Sync": ((unnamed(b"x") + SYNC, error() + READY),),
    "a transaction is open": ((query(b"BEGIN"), complete(b"BEGIN") + ready(b"T")),),
    "a transaction has failed": (
        (query(b"BEGIN"), complete(b"BEGIN") + ready(b"T")),
        (query(b"x"), error() + ready(b"E")),
    ),
    "a query ends what had no Sync": (
        (unnamed(b"SELECT 1") + FLUSH, RAN),
        (query(b"SELECT 1"), ROWS),
    ),
    "a copy is over": (
        (query(b"COPY t FROM STDIN"), COPY_IN),
        (data() + COPY_DONE, complete(b"COPY 1") + READY),
    ),
    "its client said goodbye": ((query(b"SELECT 1") + TERMINATE, ROWS),),
}
NOT_REUSABLE = {
    "an answer is owed": ((query(b"SELECT 1"), DESCRIBED + ROW),),
    "only its ReadyForQuery is missing": ((query(b"SELECT 1"), complete(b"SELECT 1")),),
    "an implicit transaction is open": ((unnamed(b"INSERT") + FLUSH, RAN),),
    "a pipeline is half sent": ((unnamed(b"SELECT 1")[:20], b""),),
    "a statement was closed without Sync": ((close(b"a") + FLUSH, CLOSED),),
    "the server skips to a Sync": ((unnamed(b"x") + FLUSH, error()),),
    "a copy waits for data": ((query(b"COPY t FROM STDIN"), COPY_IN),),
    "a message is half sent": ((query(b"SELECT 1")[:7], b""),),
    "an answer is half here": ((query(b"SELECT 1"), ROWS[:-1]),),
    "a failed copy may have swallowed a Sync": (
        (query(b"COPY t FROM STDIN"), COPY_IN),
        (data() + SYNC + copy_fail(), error() + READY),
    ),
    "the server has ended it": ((query(b"SELECT 1"), error(b"57P01", b"FATAL")),),
}


@three_slicings
@pytest.mark.parametrize("name", REUSABLE)
def test_a_session_may_be_reset_where(name: str, slicing: Slicing):
    assert is_reusable(slicing, *REUSABLE[name])


@pytest.mark.parametrize("name", NOT_REUSABLE)
def test_a_session_may_not_be_reset_where(name: str):
    assert not is_reusable(whole, *NOT_REUSABLE[name])


def test_the_goodbye_is_the_last_that_goes_on():
    talk = Talk(whole)
    sent = talk.client(query(b"SELECT 1") + TERMINATE + query(b"never read"))
    assert talk.scanner.has_said_goodbye
    assert sent.endswith(talk.scanner.goodbye)
