from __future__ import annotations

from protocols.mysql import expected
from protocols.mysql.ledger import Expected, Ledger
from protocols.mysql.prepared import Prepared, PreparedStatements
from protocols.statements import Kind


def test_answers_are_taken_in_the_order_in_which_they_were_expected():
    ledger = Ledger(2)
    first = ledger.push(expected.QUERY, None, 10)
    second = Expected(expected.SIMPLE, None, 5)
    ledger.add(second)
    assert (ledger.count, ledger.weight) == (2, 15)
    assert ledger.first() is first
    assert ledger.take() is first
    assert ledger.take() is second
    assert (ledger.count, ledger.weight) == (0, 0)


def test_a_file_belongs_to_the_first_answer_and_ends_with_it():
    ledger = Ledger(2)
    ledger.push(expected.QUERY, None, 0)
    ledger.file_state = expected.FILE_COMING
    ledger.take()
    assert ledger.file_state == expected.NO_FILE


def test_a_silent_command_is_behind_only_the_answers_before_it():
    ledger = Ledger(2)
    ledger.has_silent_behind = True
    ledger.push(expected.QUERY, None, 0)
    assert not ledger.has_silent_behind


def test_draining_leaves_nothing():
    ledger = Ledger(2)
    entries = [ledger.push(expected.QUERY, None, 3) for _ in range(3)]
    assert ledger.drain() == entries
    assert (ledger.count, ledger.weight) == (0, 0)


def made(text: bytes) -> Prepared:
    return Prepared(text, len(text), Kind.SELECT)


def test_statements_are_counted_while_they_are_on_their_way_and_until_they_are_closed():
    statements = PreparedStatements(2, 100)
    first, second = made(b"x" * 40), made(b"y" * 40)
    statements.send(first)
    assert statements.has_room(60)
    assert not statements.has_room(61)
    statements.send(second)
    assert not statements.has_room(1)
    statements.confirm(1, first)
    statements.fail(second)
    assert statements.last is None
    assert statements.has_room(60)
    assert statements.find(1) is first
    statements.forget(1)
    statements.forget(1)
    assert statements.has_room(100)
    assert len(statements) == 0


def test_an_id_given_twice_names_the_newer_statement():
    statements = PreparedStatements(5, 100)
    for text in (b"a" * 50, b"b" * 50):
        prepared = made(text)
        statements.send(prepared)
        statements.confirm(1, prepared)
    assert statements.find(1) is prepared
    assert statements.has_room(50)
    assert not statements.has_room(51)
    statements.forget_all()
    assert statements.has_room(100)


def test_the_last_statement_may_be_forgotten_before_and_after_its_answer():
    statements = PreparedStatements(5, 100)
    statements.forget_last()
    prepared = made(b"a")
    statements.send(prepared)
    statements.confirm(3, prepared)
    statements.forget_last()
    assert statements.find(3) is None
    assert statements.last is None
