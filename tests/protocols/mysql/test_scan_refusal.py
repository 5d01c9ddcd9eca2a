from __future__ import annotations

import itertools

import pytest

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import ScanLimits
from tests.protocols.mysql.conversation import (
    FULL,
    IN_TRANS,
    PING,
    ROW,
    Slicing,
    Talk,
    answer,
    command,
    err,
    fetch,
    init_db,
    ok,
    packet,
    packets,
    prepare,
    query,
    three_slicings,
)


def numbers(stream: bytes) -> list[tuple[int, int]]:
    """Sequence and first byte of each packet."""
    return [(each[3], each[4]) for each in packets(stream)]


@three_slicings
def test_a_refused_statement_is_answered_in_its_place(slicing: Slicing):
    talk = Talk(slicing, refused=b"DROP")
    sent = talk.client(query(b"a"), query(b"DROP x"), query(b"b"), prepare(b"DROP"), PING)
    assert sent == query(b"a") + PING + query(b"b") + PING + PING
    said = talk.server(
        answer(ok()) + answer(ok()) + answer(*talk.rows(ROW)) + answer(ok()) + answer(ok())
    )
    assert [first for sequence, first in numbers(said) if sequence == 1] == [0, 255, 1, 255, 0]
    assert said.count(b"#42000not here") == 2
    assert talk.told == [
        ("simple", b"a", "succeeded"),
        ("simple", b"DROP x", "refused"),
        ("simple", b"b", "succeeded"),
        ("prepare", b"DROP", "refused"),
    ]
    talk.finish()


@pytest.mark.parametrize("size", [FULL - 1, FULL, 2 * FULL])
def test_a_long_refused_statement_leaves_nothing_behind(size: int):
    talk = Talk(refused=b"DROP")
    stream = query(b"DROP".ljust(size, b"x")) + PING
    places = sorted([0, 1000, 1000 + FULL, len(stream) - 7, len(stream)])
    sent = b"".join(talk.client(stream[start:stop]) for start, stop in itertools.pairwise(places))
    assert sent == PING + PING
    said = talk.server(answer(ok()) + answer(ok()))
    assert numbers(said) == [((size + 1) // FULL + 1, 255), (1, 0)]
    talk.finish()


def test_nothing_is_asked_of_the_server_before_a_long_refused_statement_has_ended():
    talk = Talk(refused=b"DROP")
    stream = query(b"DROP".ljust(2 * FULL, b"x"))
    assert talk.client(stream[:-10]) == b""
    with pytest.raises(PeerViolation):
        talk.server(answer(ok()))


@three_slicings
@pytest.mark.parametrize(
    "code",
    [0, 5, 6, 7, 8, 10, 13, 17, 18, 19, 21, 29, 30, 32, 33, 34, 250, 254, 255],
)
def test_commands_that_are_not_relayed_are_refused_and_told(slicing: Slicing, code: int):
    talk = Talk(slicing)
    assert talk.client(command(code, b"abc"), PING) == PING + PING
    said = talk.server(answer(ok(0, IN_TRANS)) + answer(ok()))
    assert numbers(said) == [(1, 255), (1, 0)]
    assert talk.last.via == "function"
    assert talk.last.outcome == "refused"
    talk.finish()


@three_slicings
def test_the_servers_own_error_in_the_place_of_a_refusal_becomes_the_refusal(slicing: Slicing):
    talk = Talk(slicing, refused=b"DROP")
    talk.client(query(b"DROP"))
    said = talk.server(answer(err(1317, b"70100", b"x" * 400)))
    assert b"not here" in said
    assert b"xxx" not in said
    assert talk.last.outcome == "refused"
    talk.finish()


@pytest.mark.parametrize(
    ("text", "killed"),
    [
        (b"KILL 5", (5, False)),
        (b"kill connection 5;", (5, False)),
        (b" /* x */ KILL QUERY 5 -- x", (5, True)),
        (b"/*!50000 KILL */ 5", (5, False)),
        (b"# x\nKill\tquery\n5\n;", (5, True)),
    ],
)
def test_a_kill_is_carried_out_here(text: bytes, killed: tuple[int, bool]):
    known = frozenset({5})
    for sessions, first, outcome in ((known, 0, "succeeded"), (frozenset(), 255, "failed")):
        talk = Talk(sessions=sessions)
        assert talk.client(query(text)) == PING
        assert talk.killed == [killed]
        assert numbers(talk.server(answer(ok()))) == [(1, first)]
        assert talk.told == [("simple", text, outcome)]
        talk.finish()


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1; KILL 5",
        b"KILL 5; SELECT 1",
        b"KILL CONNECTION_ID()",
        b"KILL USER app",
        b"KILL HARD 5",
        b"KILL QUERY ID 5",
        b"KILL 'x'",
        b"KILL",
        b"SELECT 'a\\'';/*!KILL*/ 5",
        b"KILL " + b"9" * 21,
        b"SELECT kill FROM t",  # A syntax error at every server: the word is reserved.
        b"BEGIN NOT ATOMIC KILL 5; END",
        b"IF 1 THEN KILL QUERY 5; END IF",
        b"l: LOOP kill 5; END LOOP",
        b"CREATE PROCEDURE p() KILL 5",
        b"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO/**/KILL 5",
    ],
)
def test_other_kills_are_refused(text: bytes):
    talk = Talk(sessions=frozenset({5}))
    assert talk.client(query(text)) == PING
    assert talk.killed == []
    assert numbers(talk.server(answer(ok()))) == [(1, 255)]
    assert talk.last.outcome == "refused"
    talk.finish()


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 'x; KILL 5'",
        b'SELECT "x\\"; KILL 5"',
        b"SELECT 1 /* ; KILL 5 */",
        b"SELECT 1 -- ; KILL 5",
        b"SELECT `; KILL 5`",
        b"SELECT t.kill, @kill, skill, kill_it FROM t",
        b"SHOW killers",
        b"INSERT INTO t VALUES ('it''s; KILL 5')",
        b"SELECT 'x\\",
    ],
)
def test_a_word_in_a_string_or_a_comment_is_no_kill(text: bytes):
    talk = Talk()
    talk.passes(query(text), answer(ok()))
    assert talk.killed == []


def test_escapes_are_read_as_the_servers_flags_say():
    talk = Talk()
    text = b"SELECT '\\'; KILL 5"
    talk.passes(query(text), answer(ok(0, 0x0202)))
    assert talk.client(query(text)) == PING
    assert talk.last.outcome == "succeeded"


def test_a_kill_cannot_be_prepared():
    talk = Talk(sessions=frozenset({5}))
    assert talk.client(prepare(b"KILL ?")) == PING
    assert talk.killed == []


def test_process_kill_is_carried_out_here():
    talk = Talk(sessions=frozenset({5}))
    assert talk.client(command(0x0C, b"\5\0\0\0") + command(0x0C, b"\6\0\0\0")) == PING + PING
    assert talk.killed == [(5, False), (6, False)]
    assert numbers(talk.server(answer(ok()) + answer(ok()))) == [(1, 0), (1, 255)]
    assert talk.told == [("function", b"KILL 5", "succeeded"), ("function", b"KILL 6", "failed")]


def test_an_ok_of_ours_announces_nothing_that_does_not_follow():
    talk = Talk(sessions=frozenset({5}))
    talk.client(query(b"KILL 5"))
    assert talk.server(answer(ok(0, 0x400B) + b"\5\1\3abc")) == answer(ok(0, 3))
    assert talk.is_in_transaction()


def test_a_refused_kill_kills_nobody():
    talk = Talk(refused=b"KILL", sessions=frozenset({5}))
    assert talk.client(query(b"KILL 5"), command(0x0C, b"\5\0\0\0")) == PING + PING
    assert talk.killed == []


def test_a_database_may_be_refused():
    talk = Talk(refused=b"USE secret")
    assert talk.client(init_db(b"secret"), fetch(1)) == PING + PING


REFUSAL = Refusal(Reason.SHUTTING_DOWN, "bye")


def test_the_last_word_has_the_number_that_the_client_expects():
    talk = Talk()

    def number() -> int:
        said = talk.scanner.refusal(REFUSAL)
        assert said[4:7] == b"\xff" + (1053).to_bytes(2, "little")
        assert len(list(packets(said))) == 1
        return said[3]

    assert number() == 0
    talk.client(query(b"SELECT")[:7])
    assert number() == 1
    talk.client(query(b"SELECT")[7:])
    assert number() == 1
    said = answer(*talk.rows(ROW, ROW, ROW))
    talk.server(said[:5])
    assert number() == 2
    talk.server(said[5:-3])
    assert number() == said[-8] or number() == 6
    with pytest.raises(PeerViolation):
        talk.server(b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")
    assert number() == 6


def test_a_broken_chunk_is_not_sent_and_its_numbers_do_not_count():
    talk = Talk()
    talk.client(query(b"SELECT"))
    with pytest.raises(PeerViolation):
        talk.server(answer(ok()) + packet(0, ok()))
    assert talk.scanner.refusal(REFUSAL)[3] == 1
    talk = Talk()
    with pytest.raises(PeerViolation):
        talk.client(packet(0, b"\x0e\0\0"))
    assert talk.scanner.refusal(REFUSAL)[3] == 1


def test_a_client_is_held_back_by_what_is_outstanding():
    talk = Talk(limits=ScanLimits(outstanding=3))
    talk.client(PING * 3)
    assert talk.is_crowded()
    talk.server(answer(ok()))
    assert not talk.is_crowded()
    talk = Talk()
    for _ in range(64):
        assert not talk.is_crowded()
        talk.client(query(b"x" * 65_536))
    assert talk.is_crowded()


def test_a_message_beyond_the_limit_is_a_violation():
    limits = ScanLimits(message=FULL + 100)
    for size, works in ((FULL + 99, True), (FULL + 100, False)):
        talk = Talk(limits=limits)
        if works:
            talk.client(query(b"x" * size))
            continue
        with pytest.raises(PeerViolation):
            talk.client(query(b"x" * size))
    talk = Talk(limits=limits)
    talk.client(query(b"x"))
    with pytest.raises(PeerViolation):
        talk.server(answer(*talk.rows(b"\xfe" + b"x" * (FULL + 100))))


def test_the_end_of_a_session_ends_every_record():
    talk = Talk(refused=b"DROP")
    talk.client(query(b"a"), query(b"DROP"), query(b"b"))
    talk.server(answer(*talk.rows(ROW))[:-3])
    talk.close()
    assert [told[2] for told in talk.told] == ["interrupted", "refused", "interrupted"]
