from __future__ import annotations

import json

from tests.soak.marks import key_of
from tests.soak.statement_logs import read_general_log, read_postgres

OURS = {"soak_ours"}


def line(message: str, user: str = "soak_ours", severity: str = "LOG", **more: str) -> str:
    return json.dumps({"user": user, "error_severity": severity, "message": message, **more})


def test_a_simple_query_and_each_execute_are_one_run():
    text = "/* soak:c1:1 */ SELECT $1"
    found = read_postgres(
        [
            line("statement: SELECT 1;\n/* soak:c1:9 */ SELECT 2"),
            line(f"execute <unnamed>: {text}", detail="Parameters: $1 = 'soak:c1:2'"),
            line(f"execute s1: {text}", detail="parameters: $1 = 'soak:c1:3'"),
            line(f"execute fetch from s1: {text}", detail="parameters: $1 = 'soak:c1:3'"),
        ],
        OURS,
    )
    assert found.run == {
        ("soak:c1:9",): 1,
        ("soak:c1:1", "soak:c1:2"): 1,
        ("soak:c1:1", "soak:c1:3"): 2,
    }
    assert found.refused == set()


def test_an_error_names_what_was_not_run():
    error = line("syntax error", severity="ERROR", statement="/* soak:c1:1 */ SELEC")
    found = read_postgres([error], OURS)
    assert (found.run, found.refused) == ({}, {("soak:c1:1",)})


def test_other_users_and_other_messages_are_not_read():
    lines = [
        line("statement: SELECT 1", user="postgres"),
        line("disconnection: session time: 0:00:00.002"),
        json.dumps({"error_severity": "LOG", "message": "checkpoint starting: time"}),
    ]
    assert read_postgres(lines, OURS).run == {}


def test_the_general_log_has_queries_executions_and_preparations():
    user = "soak_ours[soak_ours] @ localhost [127.0.0.1]"
    found = read_general_log(
        [
            (user, "Query", "SELECT 1"),
            (user, "Prepare", "/* soak:c1:1 */ SELECT ?"),
            (user, "Execute", "/* soak:c1:1 */ SELECT 'soak:c1:2'"),
            (user, "Close stmt", ""),
            ("root[root] @ localhost []", "Query", "SELECT 2"),
        ],
        OURS,
    )
    assert found.run == {key_of("SELECT 1"): 1, ("soak:c1:1", "soak:c1:2"): 1}
    assert found.refused == {("soak:c1:1",)}
