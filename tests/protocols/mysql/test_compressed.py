from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerViolation, Reason, Refusal
from protocols.mysql.compressed import converse
from protocols.mysql.compression import PIECE, Zlib
from protocols.mysql.framing import Packets, Stream, frame
from tests.protocols.mysql.compressed_talk import CompressedTalk, Numbered, wrapped
from tests.protocols.mysql.conversation import (
    AUTOCOMMIT,
    BINARY_ROW,
    DEFINITION,
    FULL,
    MORE,
    PING,
    ROW,
    Talk,
    answer,
    close,
    command,
    err,
    execute,
    long_data,
    message,
    ok,
    packet,
    prepare,
    prepared,
    query,
)

ZLIB = Zlib()
ONE, TWO = query(b"SELECT 1"), query(b"SELECT 2")
LOAD = query(b"LOAD DATA LOCAL INFILE 'a.csv' INTO TABLE t")
OK = answer(ok())


def by_bytes(stream: bytes) -> Iterator[bytes]:
    for at in range(len(stream)):
        yield stream[at : at + 1]


def by_sevens(stream: bytes) -> Iterator[bytes]:
    for at in range(0, len(stream), 7):
        yield stream[at : at + 7]


def joined(found: Numbered) -> bytes:
    return b"".join(content for _, content in found)


def numbers(found: Numbered) -> list[int]:
    return [number for number, _ in found]


@pytest.mark.parametrize("slicing", [by_bytes, by_sevens, lambda stream: iter([stream])])
def test_a_command_begins_with_0_and_its_answer_counts_on(slicing: object):
    assert callable(slicing)
    talk = CompressedTalk(slicing)
    for _ in range(3):
        assert joined(talk.sends(ONE)) == ONE
        reply = answer(*talk.rows(ROW, ROW))
        found = talk.answers(reply)
        assert joined(found) == reply
        assert found[0][0] == 1
        assert numbers(found) == list(range(1, len(found) + 1))
    talk.finish()


def test_a_long_command_and_a_long_answer_count_on():
    talk = CompressedTalk()
    text = b"SELECT '" + b"x" * (3 * PIECE) + b"'"
    assert numbers(talk.sends(query(text))) == [0, 1, 2, 3]
    reply = answer(*talk.rows(b"\xfd" + (3 * PIECE).to_bytes(3, "little") + b"y" * (3 * PIECE)))
    # The server has read four packets, and says so also within the first plain one.
    found = talk.answers(reply[:3] + b"\4" + reply[4:], number=4)
    assert numbers(found) == [4, 5, 6, 7]
    assert joined(found) == reply
    assert numbers(talk.sends(PING)) == [0]
    talk.answers(OK)
    talk.finish()


def test_a_command_of_several_plain_packets_goes_on_in_compressed_ones():
    talk = CompressedTalk()
    text = b"SELECT '" + b"x" * FULL + b"'"
    count = -(-len(query(text)) // PIECE)
    assert numbers(talk.sends(query(text))) == [number & 0xFF for number in range(count)]
    # Two plain packets went up, many compressed ones: the numbers within are the latter's.
    reply = answer(*talk.rows(ROW), sequence=count)
    assert joined(talk.answers(reply, number=count & 0xFF)) == answer(*talk.rows(ROW), sequence=2)
    talk.finish()


def test_a_server_that_counts_the_packets_of_each_result_anew_is_followed():
    talk = CompressedTalk()
    talk.sends(query(b"SELECT 1; SELECT 2"))
    first, second = talk.rows(ROW, status=AUTOCOMMIT | MORE), talk.rows(ROW)
    # After its flush a server sets the plain packets' number to that of the compressed ones.
    got = talk.answers(answer(*first), number=1)
    got += talk.answers(answer(*second, sequence=2), number=2)
    assert joined(got) == answer(*first, *second)
    assert numbers(got) == [1, 2]
    talk.finish()


def test_each_command_has_compressed_packets_of_its_own():
    # A server that finds two in one has reset its count, and its answer begins with 0.
    talk = CompressedTalk()
    assert talk.sends(ONE + TWO + PING) == [(0, ONE), (0, TWO), (0, PING)]
    for _ in range(2):
        talk.answers(answer(*talk.rows(ROW)))
    talk.answers(OK)
    talk.finish()


def test_commands_without_an_answer_do_not_disturb_the_count():
    talk = CompressedTalk()
    talk.sends(prepare(b"SELECT ?"))
    talk.answers(answer(prepared(7, 1, 1), DEFINITION, DEFINITION))
    for part in range(3):
        assert numbers(talk.sends(long_data(7, bytes((part,)) * 100))) == [0]
    assert numbers(talk.sends(execute(7))) == [0]
    assert numbers(talk.answers(answer(*talk.rows(BINARY_ROW)))) == [1]
    assert numbers(talk.sends(close(7) + PING)) == [0, 0]
    assert numbers(talk.answers(OK)) == [1]
    talk.finish()


def test_answers_to_commands_sent_ahead_count_on():
    talk = CompressedTalk()
    talk.sends(ONE)
    talk.sends(TWO)
    assert numbers(talk.answers(answer(*talk.rows(ROW)))) == [1]
    assert numbers(talk.answers(answer(*talk.rows(ROW)))) == [2]
    talk.sends(ONE)
    assert numbers(talk.answers(answer(*talk.rows(ROW)))) == [1]
    talk.finish()


def test_a_refused_command_is_answered_in_its_place():
    talk = CompressedTalk(refused=b"SELECT 2")
    assert talk.sends(TWO) == [(0, PING)]
    ((number, content),) = talk.answers(OK)
    assert number == 1
    assert content[4] == 0xFF
    talk.finish()


@pytest.mark.parametrize("number", [1, 2, 255])
def test_a_command_that_does_not_begin_with_0_is_a_violation(number: int):
    talk = CompressedTalk()
    with pytest.raises(PeerViolation, match="out of order"):
        talk.sends(ONE, number)
    talk = CompressedTalk()
    talk.sends(ONE)
    with pytest.raises(PeerViolation, match="out of order"):
        talk.sends(TWO, number)


@pytest.mark.parametrize("number", [0, 2, 255])
def test_a_command_that_does_not_count_on_is_a_violation(number: int):
    talk = CompressedTalk()
    long = query(b"x" * 1_000)
    talk.sends(long[:500])
    with pytest.raises(PeerViolation, match="out of order"):
        talk.sends(long[500:], number)
    talk = CompressedTalk()
    talk.sends(long[:500])
    assert joined(talk.sends(long[500:], 1)) == long


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_answer_that_does_not_count_on_is_a_violation(number: int):
    talk = CompressedTalk()
    talk.sends(ONE)
    reply = answer(*talk.rows(ROW))
    talk.answers(reply[:5], number=1)
    with pytest.raises(PeerViolation, match="out of order"):
        talk.answers(reply[5:], number=number)


def test_a_file_counts_on_from_the_request_for_it():
    talk = CompressedTalk()
    talk.sends(LOAD)
    request = answer(b"\xfba.csv")
    assert talk.answers(request, number=1) == [(1, request)]
    # Its plain packets have the numbers of compressed ones, as the library sets them.
    assert numbers(talk.sends(packet(2, b"x" * 100) + packet(3, b"y"), 2)) == [2]
    assert numbers(talk.sends(packet(4, b"z" * 100), 3)) == [3]
    assert talk.sends(packet(5, b""), 4) == [(4, packet(5, b""))]
    assert talk.answers(answer(ok(3), sequence=5), number=5) == [(5, answer(ok(3), sequence=6))]
    assert talk.last.rows == 3
    talk.sends(ONE)
    assert numbers(talk.answers(answer(*talk.rows(ROW)))) == [1]
    talk.finish()


def test_a_file_is_known_as_one_where_its_first_packet_has_the_number_0():
    talk = CompressedTalk()
    talk.sends(query(b"SELECT 1; LOAD DATA LOCAL INFILE 'a.csv' INTO TABLE t"))
    rows = talk.rows(*[ROW] * 251, status=AUTOCOMMIT | MORE)
    assert len(rows) == 254
    talk.answers(answer(*rows), number=1)
    request = answer(b"\xfba.csv", sequence=255)
    assert talk.answers(request, number=2) == [(2, request)]
    file = packet(0, b"x" * 10) + packet(1, b"")
    assert talk.sends(file, 3) == [(3, file)]
    assert talk.answers(answer(ok(1), sequence=4), number=4) == [(4, answer(ok(1), sequence=2))]
    talk.finish()


def test_a_file_of_more_packets_than_a_number_counts_to_stays_one():
    talk = CompressedTalk()
    talk.sends(LOAD)
    talk.answers(answer(b"\xfba.csv"))
    sent = b"".join(packet(number, b"row") for number in range(2, 600)) + packet(600, b"")
    found = talk.sends(sent, 2)
    assert joined(found) == sent
    assert numbers(found) == list(range(2, 2 + len(found)))
    follower = talk.sends(PING)
    assert follower == [(0, PING)]
    talk.answers(answer(ok(1), sequence=601), number=2 + len(found))
    talk.answers(OK)
    talk.finish()


def test_a_command_in_the_place_of_a_file_does_not_count_on():
    talk = CompressedTalk()
    talk.sends(LOAD)
    talk.answers(answer(b"\xfba.csv"))
    with pytest.raises(PeerViolation, match="out of order"):
        talk.sends(ONE, 0)


def test_a_server_that_gives_up_on_a_file_is_heard():
    talk = CompressedTalk()
    talk.sends(LOAD)
    talk.answers(answer(b"\xfba.csv"))
    for number in range(2, 9):
        talk.sends(packet(number, b"x" * 100), number)
    reply = answer(err(1053, b"08S01"), sequence=4)
    assert joined(talk.answers(reply, number=4))[4:] == reply[4:]


def test_the_last_word_has_the_number_that_a_client_reads_next():
    refusal = Refusal(Reason.TIMED_OUT, "idle")
    talk = CompressedTalk()
    assert numbers(talk.says(talk.scanner.refusal(refusal))) == [0]
    talk = CompressedTalk()
    talk.sends(ONE)
    assert numbers(talk.says(talk.scanner.refusal(refusal))) == [1]
    talk = CompressedTalk()
    talk.sends(ONE)
    reply = answer(*talk.rows(ROW))
    talk.answers(reply[:5])
    assert numbers(talk.says(talk.scanner.refusal(refusal))) == [2]
    talk = CompressedTalk()
    talk.sends(ONE)
    talk.answers(reply)
    assert numbers(talk.says(talk.scanner.refusal(refusal))) == [0]


def test_what_a_server_says_unasked_is_read_with_any_number():
    for number in (0, 1, 7):
        talk = CompressedTalk()
        reply = answer(err(1053, b"08S01"), sequence=0)
        assert talk.answers(reply, number=number) == [(0, reply)]


# --- the same conversation, compressed and not ---------------------------------------

Step = tuple[bytes, list[list[bytes]]]
"""A command, and its results' bodies."""


def steps(talk: Talk) -> st.SearchStrategy[list[Step]]:
    rows = st.lists(st.binary(min_size=1, max_size=300).map(lambda one: b"\1" + one), max_size=40)
    last = rows.map(lambda found: talk.rows(*found))
    first = rows.map(lambda found: talk.rows(*found, status=AUTOCOMMIT | MORE))
    results = st.tuples(st.lists(first, max_size=3), last | st.just([err()])).map(
        lambda both: [*both[0], both[1]]
    )
    text = st.binary(min_size=1, max_size=400).map(lambda one: query(one.hex().encode()))
    return st.lists(st.tuples(text, results) | st.just((PING, [[ok()]])), min_size=1, max_size=5)


@given(st.data(), st.booleans())
def test_what_passes_is_what_passes_without_compression(data: st.DataObject, deprecates: bool):
    plain = Talk(deprecates=deprecates)
    talk = CompressedTalk(by_sevens, deprecates=deprecates)
    for text, results in data.draw(steps(plain)):
        assert joined(talk.sends(text)) == plain.client(text)
        sequence, number = 1, 1
        reply = answer(*[body for bodies in results for body in bodies])
        found: Numbered = []
        for bodies in results:
            # As a server: after each result the plain number is the compressed one's.
            found += talk.answers(answer(*bodies, sequence=sequence), number=number)
            number += 1
            sequence = number
        assert joined(found) == plain.server(reply) == reply
        assert numbers(found) == [count & 0xFF for count in range(1, len(found) + 1)]
    assert talk.told == plain.told
    talk.finish()


# --- our own commands, before the session is handed over ------------------------------


async def ping(stream: Stream) -> None:
    packets = Packets(stream)
    packets.send(b"\x0e")
    assert await packets.receive() == ok()


def test_our_own_commands_are_compressed():
    channel = MemoryChannel(wrapped(OK, 1, ZLIB) + wrapped(OK, 1, ZLIB))

    async def twice(stream: Stream) -> None:
        await ping(stream)
        await ping(stream)

    run(converse(channel, ZLIB, twice))
    assert bytes(channel.sent) == wrapped(PING, 0, ZLIB) * 2
    assert not channel.incoming


def test_our_own_commands_are_plain_where_nothing_is_compressed():
    channel = MemoryChannel(OK)
    run(converse(channel, None, ping))
    assert bytes(channel.sent) == PING


def test_a_long_answer_to_a_command_of_ours_is_read_over_several_packets():
    body = b"x" * 70_000
    stream = frame(body, 1)
    channel = MemoryChannel(wrapped(stream[:40_000], 1, ZLIB) + wrapped(stream[40_000:], 2, ZLIB))

    async def ask(stream: Stream) -> None:
        packets = Packets(stream)
        packets.send(b"\x0e")
        assert await packets.receive() == body

    run(converse(channel, ZLIB, ask))


@pytest.mark.parametrize(
    "reply",
    [
        wrapped(OK, 0, ZLIB),
        wrapped(OK, 2, ZLIB),
        wrapped(OK + OK, 1, ZLIB),
        b"\xff\xff\xff\1\0\0\0",
        b"\x10\0\0\1\xff\xff\xff",
        b"\0\0\0\1\0\0\0",
    ],
)
def test_a_server_that_answers_our_command_otherwise_is_a_violation(reply: bytes):
    with pytest.raises(PeerViolation):
        run(converse(MemoryChannel(reply), ZLIB, ping))


def test_a_command_is_not_taken_for_another_by_the_numbers_within():
    # Some clients go on with the plain numbers; only the compressed ones begin anew.
    talk = CompressedTalk()
    talk.sends(ONE)
    talk.answers(answer(*talk.rows(ROW)))
    odd = message(9, b"\3SELECT 2")
    assert talk.sends(odd) == [(0, TWO)]
    talk.answers(answer(*talk.rows(ROW)))
    talk.sends(command(0x0E))
    talk.answers(OK)
    talk.finish()
