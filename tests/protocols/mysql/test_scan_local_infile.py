from __future__ import annotations

import pytest

from protocols.errors import PeerViolation
from tests.protocols.mysql.conversation import (
    AUTOCOMMIT,
    FULL,
    MORE,
    PING,
    QUIT,
    Slicing,
    Talk,
    answer,
    err,
    message,
    ok,
    packet,
    packets,
    query,
    three_slicings,
)

LOAD = b"LOAD DATA LOCAL INFILE 'a.csv' INTO TABLE t"


def loading(talk: Talk, text: bytes = LOAD, name: bytes = b"a.csv") -> None:
    assert talk.client(query(text)) == query(text)
    assert talk.server(answer(b"\xfb" + name)) == answer(b"\xfb" + name)


@three_slicings
def test_a_file_goes_up_as_it_is(slicing: Slicing):
    talk = Talk(slicing, local_infile=True)
    loading(talk)
    # A file's bytes are no commands, whatever they look like.
    file = packet(2, b"\3DROP TABLE t") + packet(3, b"\x01") + packet(4, b"")
    assert talk.client(file) == file
    assert talk.server(answer(ok(2), sequence=5)) == answer(ok(2), sequence=5)
    assert talk.told == [("simple", LOAD, "succeeded")]
    assert talk.last.rows == 2
    assert talk.last.bytes_in == len(query(LOAD) + file)
    talk.passes(query(b"SELECT 1"), answer(*talk.rows()))
    talk.finish()


@three_slicings
def test_an_empty_file_and_a_failing_one(slicing: Slicing):
    talk = Talk(slicing, local_infile=True)
    loading(talk)
    assert talk.client(packet(2, b"")) == packet(2, b"")
    talk.server(answer(err(), sequence=3))
    assert talk.last.outcome == "failed"
    talk.finish()


def test_commands_may_follow_the_end_of_the_file_at_once():
    talk = Talk(local_infile=True)
    loading(talk)
    sent = packet(2, b"x") + packet(3, b"") + PING + query(b"SELECT")
    assert talk.client(sent) == sent
    talk.server(answer(ok(), sequence=4) + answer(ok()) + answer(ok()))
    talk.finish()


@pytest.mark.parametrize("size", [FULL - 1, FULL, FULL + 1])
def test_a_long_piece_of_a_file_is_continued(size: int):
    talk = Talk(local_infile=True)
    loading(talk)
    piece = message(2, b"x" * size)
    end = 2 + (2 if size >= FULL else 1)
    assert talk.client(piece) == piece
    assert talk.client(packet(end, b"")) == packet(end, b"")
    talk.server(answer(ok(), sequence=end + 1))
    talk.finish()


def test_a_load_may_be_one_of_several_statements():
    talk = Talk(local_infile=True)
    text = b"SELECT 1; load/**/data concurrent local infile 'C:\\\\it''s' into table t; SELECT 2"
    talk.client(query(text))
    more = AUTOCOMMIT | MORE
    first = answer(*talk.rows(b"\1x", status=more), b"\xfbC:\\it's")
    assert talk.server(first) == first
    number = list(packets(first))[-1][3]
    assert talk.client(packet(number + 1, b"")) == packet(number + 1, b"")
    rest = answer(ok(3, more), *talk.rows(b"\1x"), sequence=number + 2)
    assert talk.server(rest) == rest
    assert talk.last.rows == 5
    talk.finish()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"SELECT 1", b"/etc/passwd"),
        (LOAD, b"/etc/passwd"),
        (LOAD.replace(b"LOCAL ", b""), b"a.csv"),
        (b"SELECT 'LOAD DATA LOCAL INFILE a.csv'", b"a.csv"),
        (b"SELECT 1 /* LOAD DATA LOCAL INFILE 'a.csv' */", b"a.csv"),
    ],
)
def test_a_file_that_the_client_does_not_load_is_never_asked_for(text: bytes, name: bytes):
    talk = Talk(local_infile=True)
    talk.client(query(text))
    with pytest.raises(PeerViolation):
        talk.server(answer(b"\xfb" + name))


@three_slicings
@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_files_are_asked_for_as_statements_load(slicing: Slicing, count: int):
    talk = Talk(slicing, local_infile=True)
    text = b"; ".join([LOAD] * count)
    talk.client(query(text))
    number = 1
    for _ in range(count):
        request = answer(b"\xfba.csv", sequence=number)
        assert talk.server(request) == request
        talk.client(packet(number + 1, b""))
        more = answer(ok(1, AUTOCOMMIT | MORE), sequence=number + 2)
        assert talk.server(more) == more
        number += 3
    with pytest.raises(PeerViolation, match="a file that nobody loads"):
        talk.server(answer(b"\xfba.csv", sequence=number))


def test_without_local_infile_no_file_is_asked_for():
    talk = Talk()
    talk.client(query(LOAD))
    with pytest.raises(PeerViolation):
        talk.server(answer(b"\xfba.csv"))


@pytest.mark.parametrize("behind", [PING, QUIT, query(b"x")[:3], query(b"x")[:5]])
def test_nothing_may_be_sent_in_the_place_of_the_file(behind: bytes):
    talk = Talk(local_infile=True)
    talk.client(query(LOAD) + behind)
    with pytest.raises(PeerViolation):
        talk.server(answer(b"\xfba.csv"))


def test_an_answer_before_the_end_of_the_file_is_a_violation():
    for body in (ok(), err()):
        talk = Talk(local_infile=True)
        loading(talk)
        talk.client(packet(2, b"x"))
        with pytest.raises(PeerViolation):
            talk.server(answer(body, sequence=3))
    talk = Talk(local_infile=True)
    loading(talk)
    with pytest.raises(PeerViolation):
        talk.client(packet(0, b"\x0e"))


def test_the_client_is_read_while_its_file_is_waited_for():
    talk = Talk(local_infile=True)
    loading(talk)
    assert not talk.is_crowded()
    assert talk.has_outstanding()
    talk.close()
    assert talk.last.outcome == "interrupted"
