from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.soak.ledger import Recorded, Sent, compare, recorded
from tests.soak.marks import Key, key_of
from tests.soak.statement_logs import ServerSide

KEY: Key = ("soak:c1:1",)
UNMARKED = key_of("SELECT version()")


def mistakes(
    *outcomes: str,
    ran: int,
    sent: Sent | None = None,
    key: Key = KEY,
    refused: tuple[Key, ...] = (),
    via: str = "simple",
    code: str = "",
) -> list[str]:
    """What is wrong with a key: the end of each sentence."""
    server = ServerSide(Counter({key: ran}), set(refused))
    records = [Recorded(key, via, outcome, code) for outcome in outcomes]
    found = compare({key: sent} if sent else {}, server, records)
    assert found.figures["mistakes"] == len(found.mistakes)
    return [
        sentence.partition("; ")[2] or sentence.rpartition(": ")[2] for sentence in found.mistakes
    ]


@pytest.mark.parametrize(
    ("outcome", "ran", "answered"),
    [
        ("succeeded", 1, 1),
        ("suspended", 1, 1),
        # Its client was gone before it had the answer.
        ("succeeded", 1, 0),
        ("failed", 1, 0),
        ("interrupted", 1, 0),
        ("interrupted", 0, 0),
        ("refused", 0, 0),
        ("skipped", 0, 0),
    ],
)
def test_what_agrees_is_no_mistake(outcome: str, ran: int, answered: int):
    assert mistakes(outcome, ran=ran, sent=Sent(1, answered)) == []


def test_what_ran_without_a_record_is_found():
    assert mistakes(ran=1, sent=Sent(1, 0)) == ["it ran unrecorded"]
    assert mistakes("succeeded", ran=2, sent=Sent(2, 1)) == ["it ran unrecorded"]


@pytest.mark.parametrize("outcome", ["refused", "skipped"])
def test_what_ran_in_spite_of_its_record_is_found(outcome: str):
    assert mistakes(outcome, ran=1, sent=Sent(1, 0)) == ["it ran unrecorded"]


def test_a_success_that_never_ran_is_found():
    found = mistakes("succeeded", ran=0, sent=Sent(1, 0))
    assert found == ["it is told to have succeeded and never ran"]


def test_a_failure_needs_the_servers_word_or_its_end():
    wrong = ["it never ran, and no outcome says so"]
    assert mistakes("failed", ran=0, sent=Sent(1, 0), code="42601") == wrong
    assert mistakes("failed", ran=0, sent=Sent(1, 0), code="42601", refused=(KEY,)) == []
    assert mistakes("failed", ran=0, sent=Sent(1, 0), code="57P01") == []


def test_the_servers_word_names_an_execution_by_its_text_alone():
    key = (*KEY, "soak:c1:2")
    assert mistakes("failed", ran=0, sent=Sent(1, 0), key=key, refused=(KEY,)) == []


def test_a_refusal_of_the_servers_without_any_record_is_found():
    server = ServerSide(Counter(), {KEY})
    (sentence,) = compare({KEY: Sent(1, 0)}, server, []).mistakes
    assert sentence.endswith("the server refused it, and no record has it")


def test_a_second_record_of_one_statement_is_found():
    assert mistakes("succeeded", "interrupted", ran=1, sent=Sent(1, 1)) == ["it was sent 1 times"]
    assert "it was sent 1 times" in mistakes("succeeded", "succeeded", ran=1, sent=Sent(1, 1))


def test_a_result_that_the_log_denies_is_found():
    assert mistakes("interrupted", ran=1, sent=Sent(1, 1)) == ["its client had 1 results"]


def test_a_record_of_what_nobody_sent_is_found():
    assert mistakes("succeeded", ran=1) == ["nobody sent it"]


def test_executions_are_counted():
    assert mistakes("succeeded", "succeeded", ran=2, sent=Sent(2, 2), via="execute") == []
    assert mistakes("succeeded", ran=2, sent=Sent(2, 2), via="execute") != []


def test_a_preparation_is_no_execution():
    assert mistakes("prepared", ran=0, sent=Sent(1, 0), via="prepare") == []
    assert mistakes("prepared", ran=1, sent=Sent(1, 0), via="prepare") == ["it ran unrecorded"]


def test_what_has_no_mark_is_compared_by_its_text():
    assert mistakes("succeeded", ran=1, key=UNMARKED) == []
    assert mistakes(ran=1, key=UNMARKED) == ["it ran unrecorded"]


def test_what_the_proxy_runs_for_itself_is_left_out():
    server = ServerSide(Counter({key_of("DISCARD ALL"): 3}), set())
    assert compare({}, server, []).mistakes == []


def test_many_mistakes_are_counted_and_a_few_told():
    server = ServerSide(Counter({(f"soak:c1:{number}",): 1 for number in range(50)}), set())
    sent = {key: Sent(1, 0) for key in server.run}
    found = compare(sent, server, [])
    assert found.figures["mistakes"] == 50
    assert len(found.mistakes) == 10


def test_records_are_read_with_their_values():
    def record(account: str, *parameters: object) -> dict[str, Any]:
        extra = {"outcome": "succeeded", "via": "execute", "upstream_user": account}
        text = {"query_string": "/* soak:c1:1 */ SELECT $1"}
        return {"query_info": text, "unmapped": extra | {"parameters": list(parameters)}}

    binary = {"hex": b"soak:c1:3".hex(), "type": 25}
    records: list[dict[str, Any]] = [
        record("ours", "soak:c1:2"),
        record("ours", binary),
        record("theirs"),
        {"time": 1},
    ]
    assert [entry.key for entry in recorded(records, {"ours"})] == [
        ("soak:c1:1", "soak:c1:2"),
        ("soak:c1:1", "soak:c1:3"),
    ]
