"""Random conversations with a model of the server, cut at random places."""

from __future__ import annotations

import os
from dataclasses import dataclass
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.interface import ScanLimits
from tests.protocols.mysql.conversation import (
    PING,
    RESET_CONNECTION,
    STATISTICS,
    Talk,
    close,
    command,
    execute,
    fetch,
    init_db,
    long_data,
    packet,
    packets,
    prepare,
    query,
    reset,
)
from tests.protocols.mysql.model_server import LAST_ID, LOAD, UNKNOWN, ModelServer

EXAMPLES = int(os.environ.get("ACCODE_TEST_EXAMPLES", "400"))

words = st.sampled_from(
    [
        b"rows 0",
        b"rows 3",
        b"rows 300",
        b"insert 2",
        b"insert 70000",
        b"begin",
        b"commit",
        b"fail",
        b"bad",
        b"half 2",
    ]
)
texts = st.lists(words, min_size=1, max_size=3).map(b";".join)
ids = st.sampled_from([1, 2, 3, LAST_ID])
commands = st.one_of(
    texts.map(query),
    texts.map(prepare),
    st.builds(execute, ids, st.sampled_from([0, 0, 1])),
    st.builds(fetch, ids, st.integers(0, 3)),
    st.builds(long_data, ids, st.just(b"x")),
    ids.map(close),
    ids.map(reset),
    st.sampled_from([PING, STATISTICS, RESET_CONNECTION, init_db(b"d"), command(4, b"t\0")]),
)
conversations = st.lists(commands, max_size=14)
seeds = st.integers(0, 2**32)

often = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Run:
    """What came of one conversation."""

    talk: Talk
    server: ModelServer
    to_server: bytes
    to_client: bytes


def converse(
    sent: bytes,
    seed: int,
    *,
    deprecates: bool,
    is_mariadb: bool,
    refused: bytes = b"",
    limits: ScanLimits | None = None,
) -> Run:
    """Carry ``sent`` to a model server and its answers back, in random pieces and order."""
    talk = Talk(deprecates=deprecates, is_mariadb=is_mariadb, refused=refused, limits=limits)
    server = ModelServer(deprecates=deprecates, is_mariadb=is_mariadb)
    to_server = to_client = b""
    arrived = processed = delivered = 0
    chance = Random(seed)
    largest = chance.choice([3, 20, 400, 100_000])
    while True:
        can = []
        if arrived < len(sent):
            can.append("client")
        if processed < len(to_server):
            can.append("process")
        if delivered < len(server.said):
            can.append("server")
        if not can:
            return Run(talk, server, to_server, to_client)
        move = chance.choice(can)
        step = chance.randint(1, largest)
        if move == "client":
            to_server += talk.client(sent[arrived : arrived + step])
            arrived = min(arrived + step, len(sent))
        elif move == "process":
            server.take(to_server[processed : processed + step])
            processed = min(processed + step, len(to_server))
        else:
            to_client += talk.server(server.said[delivered : delivered + step])
            delivered = min(delivered + step, len(server.said))


def tells_what_ran(run: Run) -> None:
    """The records of what reached the server say what the server says of it."""
    told = [
        (each.text, each.rows, str(each.outcome))
        for each in run.talk.sink.ended
        if each.via in ("simple", "execute") and each.outcome != "refused"
    ]
    assert len(told) == len(run.server.ran)
    for (text, rows, outcome), record in zip(run.server.ran, told, strict=True):
        assert record == (record[0] if text == UNKNOWN else text, rows, outcome)


def ends_well(run: Run) -> None:
    assert not run.talk.has_outstanding()
    run.talk.close()


@often
@given(conversations, seeds, st.booleans(), st.booleans())
def test_every_conversation_is_carried_and_told_as_it_ran(
    conversation: list[bytes], seed: int, deprecates: bool, is_mariadb: bool
):
    sent = b"".join(conversation)
    run = converse(sent, seed, deprecates=deprecates, is_mariadb=is_mariadb)
    refused = [each for each in run.talk.sink.ended if each.outcome == "refused"]
    # Only guessed ids are refused here; nothing else is changed.
    assert all(each.via == "execute" for each in refused)
    assert len(list(packets(run.to_server))) == len(conversation)
    changed = [
        (before, after)
        for before, after in zip(packets(sent), packets(run.to_server), strict=True)
        if before != after
    ]
    assert len(changed) == len(refused)
    assert all(after == PING for _, after in changed)
    if not refused:
        assert run.to_client == run.server.said
    assert len(list(packets(run.to_client))) == len(list(packets(run.server.said)))
    tells_what_ran(run)
    ends_well(run)


@often
@given(conversations, seeds, st.booleans(), st.booleans())
def test_what_is_refused_never_reaches_the_server_and_every_answer_has_its_place(
    conversation: list[bytes], seed: int, deprecates: bool, is_mariadb: bool
):
    sent = b"".join(conversation)
    run = converse(sent, seed, deprecates=deprecates, is_mariadb=is_mariadb, refused=b"rows")
    assert b"rows" not in run.to_server
    assert len(list(packets(run.to_server))) == len(conversation)
    assert len(list(packets(run.to_client))) == len(list(packets(run.server.said)))
    numbers = [each[3] for each in packets(run.to_client)]
    assert numbers == [each[3] for each in packets(run.server.said)]
    assert run.to_client.count(b"#42000not here") == len(
        [each for each in run.talk.sink.ended if b"rows" in each.text]
    )
    tells_what_ran(run)
    ends_well(run)


@often
@given(conversations, st.integers(0, 400), seeds, st.booleans())
def test_a_session_may_end_anywhere(
    conversation: list[bytes], end: int, seed: int, deprecates: bool
):
    sent = b"".join(conversation)[:end]
    run = converse(sent, seed, deprecates=deprecates, is_mariadb=True)
    run.talk.close()


@often
@given(conversations, seeds, st.booleans())
def test_small_limits_change_no_more_than_they_must(
    conversation: list[bytes], seed: int, deprecates: bool
):
    limits = ScanLimits(text=4, outstanding=8)
    sent = b"".join(conversation)
    run = converse(sent, seed, deprecates=deprecates, is_mariadb=True, limits=limits)
    assert len(list(packets(run.to_server))) == len(conversation)
    assert all(
        len(each.text) <= 4 for each in run.talk.sink.ended if each.via in ("simple", "prepare")
    )
    ends_well(run)


@often
@given(
    st.lists(st.sampled_from([b"", b"rows 2;", b"insert 3;"]), min_size=1, max_size=3),
    st.lists(st.binary(min_size=1, max_size=9), max_size=4),
    st.booleans(),
    seeds,
)
def test_a_file_is_carried_between_commands(
    before: list[bytes], file: list[bytes], deprecates: bool, seed: int
):
    text = b"".join(before) + LOAD + b";rows 1"
    talk = Talk(deprecates=deprecates, local_infile=True)
    server = ModelServer(deprecates=deprecates, is_mariadb=False)
    chance = Random(seed)

    def carry(sent: bytes) -> None:
        said = len(server.said)
        while sent:
            step = chance.randint(1, 9)
            server.take(talk.client(sent[:step]))
            sent = sent[step:]
        answers = server.said[said:]
        while answers:
            step = chance.randint(1, 9)
            assert talk.server(answers[:step]) is not None
            answers = answers[step:]

    carry(query(text))
    number = list(packets(server.said))[-1][3]
    pieces = [*file, b""]
    carry(b"".join(packet(number + 1 + at, piece) for at, piece in enumerate(pieces)))
    carry(query(b"insert 1"))
    told = [(each.text, each.rows, str(each.outcome)) for each in talk.sink.ended]
    assert told == server.ran
    assert told[0][1] == len(file) + 1 + sum(int(part[-2:-1]) for part in before if part)
    talk.finish()
