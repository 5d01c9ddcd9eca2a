from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from policies.classifiers import classifier_for
from policies.decide import Verdict
from policies.document import Policy, policy_from
from policies.effective import EffectivePolicy
from policies.redaction import fingerprint_if_secret
from protocols.statements import Kind, Outcome, Statement, Via
from proxy.administration import trying_apart
from proxy.administration.audit_log import SearchTooLong
from proxy.administration.trying import Draft, Tried, try_policy
from proxy.administration.trying_apart import try_apart
from proxy.audit.files import AuditFolderError, audit_files
from proxy.gateway.judge import Judge, Verdicts
from tests.audit.rig import context, finish, opened, statement
from tests.policies.mysql.hostile import HOSTILE as MYSQL_HOSTILE
from tests.policies.postgres.corpus import HOSTILE as POSTGRES_HOSTILE

MYSQL = {"engine": "mysql", "default_database": "shop"}
READ_ONLY = {"version": 1, "access": "read-only"}
NAMED = {
    "version": 1,
    "access": "full",
    "tables": {"read": ["shop.*", "public.*"]},
    "columns": {"deny": ["*.users.password"]},
}


async def written(folder: Path, statements: Sequence[Statement | bytes], **session: Any) -> None:
    async with opened(folder) as log:
        recorder = log.recorder(context(**session))
        for one in statements:
            made = statement(one) if isinstance(one, bytes) else one
            recorder.begin(made)
            recorder.end(finish(made, made.outcome) if made.outcome != "pending" else finish(made))
        recorder.close("client_left", duration=1.0)


def draft(policy: dict[str, Any], **more: Any) -> Draft:
    settings: dict[str, Any] = {"source": "", "workspace": None, "sources": {}} | more
    return Draft(policy_from(policy), **settings)


def tried(folder: Path, policy: dict[str, Any], count: int = 10_000, **more: Any) -> Tried:
    return try_policy(folder, draft(policy, **more), "w-1", count)


def judge(policy: Policy, engine: str, schema: str) -> Callable[[Statement], Verdict]:
    """As the data path asks."""
    classifier = classifier_for(engine)
    assert classifier is not None
    effective = EffectivePolicy.of(policy)
    return Judge(effective, classifier, effective.schema(schema), Verdicts(), "a").verdict


@pytest.mark.parametrize("policy", [READ_ONLY, NAMED])
@pytest.mark.parametrize(
    ("engine", "texts"),
    [("postgresql", POSTGRES_HOSTILE), ("mysql", [sql for _, sql in MYSQL_HOSTILE])],
)
async def test_the_verdicts_are_those_of_the_data_path(
    tmp_path: Path, engine: str, texts: list[str], policy: dict[str, Any]
):
    statements = [text.encode() for text in texts if len(text) < 60_000]
    statements += [b"SELECT 1", b"SELECT id FROM users", b"SELECT * FROM users"]
    whole = [one for one in statements if fingerprint_if_secret(one, b"k") is None]
    session = MYSQL if engine == "mysql" else {}
    await written(tmp_path, statements, **session)
    verdict = judge(policy_from(policy), engine, "shop" if engine == "mysql" else "public")
    expected: dict[str, int] = {}
    for one in whole:
        said = verdict(statement(one))
        if not said.is_allowed:
            expected[said.rule] = expected.get(said.rule, 0) + 1
    found = tried(tmp_path, policy)
    assert {rule: tally.refused for rule, tally in found.rules.items()} == expected
    assert found.allowed == len(whole) - sum(expected.values()) > 0
    assert found.reasons == {"redacted": len(statements) - len(whole)}
    assert found.found == len(statements)


def sent(text: bytes, **changes: Any) -> Statement:
    made = statement(text)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


async def test_what_the_record_does_not_say_is_counted_and_not_guessed(tmp_path: Path):
    statements = [
        sent(b"SELECT 'a", text_length=100_000),
        sent(b"CREATE USER a PASSWORD 'secret'"),
        sent(b"(a portal that was not made by Bind of a known statement)", text_length=0),
        sent(b"SELECT '\xff'"),
        # A client can write what stands for a secret: nothing else of it is SQL.
        sent(b"[redacted: statement with a secret, fingerprint " + b"0" * 32 + b"]"),
        sent(b"SELECT 1"),
    ]
    await written(tmp_path, statements)
    found = tried(tmp_path, READ_ONLY)
    assert found.reasons == {"cut": 1, "redacted": 2, "unknown": 1, "lossy": 1}
    assert (found.allowed, found.refused, found.unjudged) == (1, 0, 5)
    cut = next(one for one in found.examples if "beginning" in one.message)
    assert (cut.rule, cut.chain, cut.text) == ("", "main", "SELECT 'a")
    # A policy that judges no text refuses none, whatever is kept of it.
    assert tried(tmp_path, {"version": 1, "access": "full"}).allowed == 6


async def test_a_run_of_a_prepared_text_is_judged_by_that_text(tmp_path: Path):
    await written(tmp_path, [sent(b"DELETE FROM t WHERE id = $1", via=Via.EXECUTE, name=b"p1")])
    (example,) = tried(tmp_path, READ_ONLY).examples
    assert example.rule == "access"


async def test_a_command_without_sql_is_judged_as_one(tmp_path: Path):
    call = sent(b"function call of oid 1", via=Via.FUNCTION, kind=Kind.FUNCTION)
    await written(tmp_path / "a", [call])
    assert tried(tmp_path / "a", READ_ONLY).rules["access"].refused == 1
    use = sent(b"USE mysql", via=Via.FUNCTION, kind=Kind.SET)
    await written(tmp_path / "b", [use], **MYSQL)
    assert tried(tmp_path / "b", READ_ONLY).refused == 1


async def test_without_the_sessions_database_a_bare_name_is_not_judged(tmp_path: Path):
    """As the logs of before it was recorded."""
    texts = [b"SELECT a FROM t", b"SELECT a FROM other.t", b"SELECT 1"]
    await written(tmp_path, texts, engine="mysql")
    found = tried(tmp_path, NAMED)
    assert found.reasons == {"database": 1}
    assert (found.allowed, found.rules["tables.read"].refused) == (1, 1)
    said = NAMED | {"tables": {"read": ["shop.*"], "schema": "shop"}}
    assert tried(tmp_path, said).reasons == {}
    # The workspace's policy may say it for the source's.
    assert tried(tmp_path, NAMED, source="src-1", workspace=policy_from(said)).reasons == {}


async def test_what_was_refused_then_is_told_apart(tmp_path: Path):
    refused = {"outcome": Outcome.REFUSED, "code": "42501", "rule": "access"}
    await written(
        tmp_path,
        [sent(b"DELETE FROM t", **refused), sent(b"DROP TABLE t"), sent(b"SELECT 1", **refused)],
    )
    found = tried(tmp_path, READ_ONLY)
    assert (found.refused, found.newly_refused, found.newly_allowed) == (2, 1, 1)
    assert found.rules["access"].newly == 1


async def test_a_draft_for_a_source_is_tried_on_its_statements_alone(tmp_path: Path):
    await written(tmp_path, [b"DROP TABLE a"])
    await written(tmp_path, [b"DROP TABLE b", b"DROP TABLE c"], source_id="src-2", session="s2")
    assert tried(tmp_path, READ_ONLY).refused == 3
    assert tried(tmp_path, READ_ONLY, source="src-2").refused == 2
    assert tried(tmp_path, READ_ONLY, count=1).refused == 1
    assert try_policy(tmp_path, draft(READ_ONLY), "w-2", 10).found == 0


async def test_a_text_is_measured_whether_or_not_statements_are_judged(tmp_path: Path):
    await written(tmp_path, [b"SELECT 1", b"SELECT 'something longer'"])
    short = {"limits": {"statement_bytes": 10}}
    full = {"version": 1, "access": "full"} | short
    for policy, sources in ((READ_ONLY | short, {}), (full, {}), (full, {"src-1": READ_ONLY})):
        narrower = {name: policy_from(value) for name, value in sources.items()}
        found = tried(tmp_path, policy, sources=narrower)
        told = {rule: one.refused for rule, one in found.rules.items()}
        assert told == {"limits.statement_bytes": 1}


async def test_a_text_that_the_log_has_not_whole_is_measured(tmp_path: Path):
    await written(tmp_path, [sent(b"SELECT", text_length=99), sent(b"SELECT", text_length=9)])
    full = {"version": 1, "access": "full", "limits": {"statement_bytes": 10}}
    found = tried(tmp_path, full)
    assert (found.refused, found.allowed, found.unjudged) == (1, 1, 0)
    # Where its words count too, what is not known of them cannot be judged.
    found = tried(tmp_path, READ_ONLY | {"limits": {"statement_bytes": 10}})
    assert (found.refused, found.allowed, found.unjudged) == (1, 0, 1)


async def test_rules_that_no_record_can_be_held_against_are_named(tmp_path: Path):
    await written(tmp_path, [b"SELECT 1"])
    policy = READ_ONLY | {
        "limits": {"result_rows": 5, "statement_bytes": 99},
        "client": {"require_tls": True},
        "upstream": {"ports": [5432]},
    }
    assert tried(tmp_path, policy).not_asked == [
        "client.require_tls",
        "limits.result_rows",
        "upstream.ports",
    ]


async def test_examples_are_few_and_short(tmp_path: Path):
    texts = [b"DELETE FROM t WHERE a = '%s'" % (b"x" * 5_000)] * 40
    await written(tmp_path, [*texts, *(sent(b"SELECT", text_length=99) for _ in range(40))])
    found = tried(tmp_path, READ_ONLY)
    assert (found.refused, found.unjudged) == (40, 40)
    assert len(found.examples) == 10
    assert max(len(one.text) for one in found.examples) == 300


async def test_a_line_that_was_damaged_is_counted(tmp_path: Path):
    await written(tmp_path, [b"SELECT 1", b"SELECT 2"])
    (file,) = audit_files(tmp_path)
    file.write_bytes(file.read_bytes().replace(b'"text":"SELECT 2"', b'"txet":"SELECT 2"'))
    found = tried(tmp_path, READ_ONLY)
    assert (found.found, found.allowed, found.reasons) == (2, 1, {"damaged": 1})


async def test_its_time_is_bounded(tmp_path: Path):
    await written(tmp_path, [b"SELECT %d" % number for number in range(50)])
    asked: list[int] = []

    def clock(stops_at: int) -> Callable[[], float]:
        asked.clear()

        def read() -> float:
            asked.append(0)
            return 100.0 if len(asked) > stops_at else 0.0

        return read

    with pytest.raises(SearchTooLong, match="ask about fewer"):
        try_policy(tmp_path, draft(READ_ONLY), "w-1", 50, 20, clock(10))
    found = try_policy(tmp_path, draft(READ_ONLY), "w-1", 50, 20, clock(10**9))
    assert found.is_complete
    found = try_policy(tmp_path, draft(READ_ONLY), "w-1", 50, 20, clock(len(asked) - 20))
    assert not found.is_complete
    assert 0 < found.allowed < 50


def test_without_a_log_it_says_so(tmp_path: Path):
    with pytest.raises(AuditFolderError):
        tried(tmp_path / "none", READ_ONLY)


async def test_in_a_process_of_its_own_it_is_the_same(tmp_path: Path):
    await written(tmp_path, [b"SELECT 1", b"DROP TABLE t", sent(b"SELECT", text_length=9)])
    made = draft(
        READ_ONLY | {"upstream": {"ports": ["5432-5440"]}},
        sources={"src-1": policy_from(NAMED)},
        workspace=policy_from(READ_ONLY),
    )
    found = await try_apart(tmp_path, made, "w-1", 100)
    assert found == try_policy(tmp_path, made, "w-1", 100)
    assert (found.allowed, found.refused, found.unjudged) == (1, 1, 1)
    with pytest.raises(AuditFolderError, match="no audit log"):
        await try_apart(tmp_path / "none", made, "w-1", 100)


def test_a_process_that_says_nothing_is_one_sentence():
    for answer in (b"", b'{"allowed": 1'):
        with pytest.raises(trying_apart.TrialFailed, match="without an answer"):
            trying_apart.answered(answer)
    too_long = json.dumps({"error": "too-long", "sentence": "ask about fewer"}).encode()
    with pytest.raises(SearchTooLong, match="ask about fewer"):
        trying_apart.answered(too_long)
