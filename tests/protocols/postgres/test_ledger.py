from __future__ import annotations

import pytest

from protocols.postgres import expected
from protocols.postgres.ledger import Expected, Ledger


def ledger(*codes: int) -> Ledger:
    made = Ledger()
    for code in codes:
        push(made, code)
    return made


def push(into: Ledger, code: int, weight: int = 0) -> Expected:
    return into.push(code, b"", b"", None, None, None, weight)


def codes(entries: list[Expected]) -> list[int]:
    return [entry.code for entry in entries]


def test_answers_come_in_the_order_of_the_messages():
    book = ledger(expected.PARSE, expected.BIND, expected.EXECUTE, expected.SYNC)
    taken = []
    while book.head != expected.NOTHING:
        assert book.first().code == book.head
        taken.append(book.take().code)
    assert taken == [expected.PARSE, expected.BIND, expected.EXECUTE, expected.SYNC]
    assert not book.owes()
    assert book.is_settled()


def test_it_weighs_what_it_holds():
    book = Ledger()
    push(book, expected.QUERY, 100)
    push(book, expected.QUERY, 11)
    assert book.weight == 111
    book.take()
    assert book.weight == 11
    book.drain()
    assert book.weight == 0
    assert book.count == 0


def test_a_sync_begins_a_new_segment():
    book = Ledger()
    assert push(book, expected.PARSE).segment == push(book, expected.SYNC).segment
    assert push(book, expected.PARSE).segment == 1


def test_a_failure_takes_along_what_stands_before_the_next_sync():
    book = ledger(
        expected.PARSE, expected.BIND, expected.QUERY, expected.SYNC, expected.PARSE, expected.SYNC
    )
    assert codes(book.fail()) == [expected.PARSE, expected.BIND, expected.QUERY]
    assert book.head == expected.SYNC
    assert not book.is_skipping
    assert book.ready() is not None
    assert book.head == expected.PARSE


def test_a_failure_without_a_sync_makes_the_server_skip():
    book = ledger(expected.PARSE, expected.BIND)
    assert codes(book.fail()) == [expected.PARSE, expected.BIND]
    assert book.is_skipping
    assert not book.owes()


@pytest.mark.parametrize("head", [expected.PARSE, expected.BIND, expected.EXECUTE])
def test_ready_before_its_turn_is_out_of_step(head: int):
    with pytest.raises(LookupError):
        ledger(head, expected.SYNC).ready()


def test_ready_that_nobody_waits_for_is_out_of_step():
    with pytest.raises(LookupError):
        Ledger().ready()


@pytest.mark.parametrize("head", [expected.QUERY, expected.FUNCTION, expected.SYNC])
def test_ready_ends_these(head: int):
    book = ledger(head)
    entry = book.ready()
    assert entry is not None
    assert entry.code == head
    assert not book.owes()


def test_a_successful_copy_has_swallowed_every_sync_before_its_end():
    book = ledger(
        expected.EXECUTE,
        expected.SYNC,
        expected.SYNC,
        expected.COPY_END,
        expected.SYNC,
        expected.PARSE,
    )
    book.begin_copy_in()
    assert book.maybes == 2
    book.end_copy_in()
    assert book.maybes == 0
    assert codes(book.waiting()) == [expected.EXECUTE, expected.SYNC, expected.PARSE]
    assert book.count == 3


def test_the_end_of_a_copy_belongs_to_one_copy():
    book = ledger(expected.QUERY, expected.COPY_END)
    assert book.has_copy_end()
    book.begin_copy_in()
    book.end_copy_in()
    assert not book.has_copy_end()


def test_the_end_of_a_copy_is_owed_nothing():
    book = ledger(expected.EXECUTE, expected.SYNC, expected.COPY_END)
    book.begin_copy_in()
    book.fail()
    assert not book.owes()
    book = ledger(expected.QUERY, expected.COPY_END)
    book.ready()
    assert book.is_settled()


def doubtful(*behind: int) -> Ledger:
    """A copy-in through Execute with a Sync right behind it; it failed in the middle."""
    book = ledger(expected.EXECUTE, expected.SYNC)
    book.begin_copy_in()
    for code in behind:
        push(book, code)
    assert codes(book.fail()) == [expected.EXECUTE]
    return book


def test_a_doubtful_sync_may_be_answered_before_the_sure_one():
    book = doubtful(expected.COPY_END, expected.SYNC)
    assert book.owes()
    assert book.ready() is not None
    assert not book.owes()
    assert not book.is_settled(), "its ReadyForQuery may still be on its way"
    assert book.ready() is None
    assert book.is_settled()
    with pytest.raises(LookupError):
        book.ready()


def test_a_doubtful_sync_may_stay_unanswered():
    book = doubtful(expected.COPY_END, expected.SYNC)
    assert book.ready() is not None
    push(book, expected.PARSE)
    assert book.take().code == expected.PARSE
    assert book.is_settled(), "answers come in order, so none is open before this one"
    with pytest.raises(LookupError):
        book.ready()


@pytest.mark.parametrize("next_one", [expected.QUERY, expected.FUNCTION, expected.PARSE])
def test_the_answer_to_a_doubtful_sync_does_not_end_what_comes_after_it(next_one: int):
    book = doubtful(expected.COPY_END, expected.SYNC, next_one)
    assert book.ready() is not None
    assert book.ready() is None
    assert book.head == next_one


def test_without_a_sure_sync_the_answer_ends_the_skipping():
    book = doubtful()
    assert not book.owes()
    assert book.ready() is None
    push(book, expected.PARSE)
    assert not book.is_lost


def test_a_sure_sync_ends_the_doubt():
    book = doubtful()
    push(book, expected.SYNC)
    push(book, expected.PARSE)
    assert not book.is_lost
    assert book.ready() is not None


@pytest.mark.parametrize("behind", [expected.PARSE, expected.QUERY, expected.EXECUTE])
def test_what_follows_a_doubtful_sync_directly_cannot_be_told_apart(behind: int):
    assert doubtful(expected.COPY_END, behind, expected.SYNC).is_lost
    book = doubtful()
    push(book, behind)
    assert book.is_lost


def test_an_answer_to_something_later_settles_the_doubtful_syncs():
    book = ledger(expected.QUERY, expected.SYNC, expected.SYNC, expected.COPY_END, expected.QUERY)
    book.begin_copy_in()
    book.is_answered = True
    assert book.ready() is not None
    assert book.sure_head() == expected.QUERY
    book.skip_maybes()
    assert book.head == expected.QUERY
    assert book.maybes == book.spare_ready == 0


def test_draining_gives_everything_once():
    book = ledger(expected.QUERY, expected.SYNC, expected.COPY_END)
    assert len(book.drain()) == 3
    assert book.drain() == []
    assert book.head == expected.NOTHING
    assert not book.owes()
