from __future__ import annotations

from benchmarks.requirements import MYSQL, POSTGRES, Requirement, Verdict, judge, judge_store
from benchmarks.summary import Metrics, Results, Round

Measured = tuple[str, str, Metrics]


def verdicts_of(
    *measured: Measured, asked: tuple[Requirement, ...] = POSTGRES
) -> dict[str, Verdict]:
    rounds = [Round(case, subject, 0, 0, metrics) for case, subject, metrics in measured]
    return {verdict.text: verdict for verdict in judge(Results(rounds), asked)}


def only_answer(*measured: Measured, asked: tuple[Requirement, ...] = POSTGRES) -> Verdict:
    found = verdicts_of(*measured, asked=asked).values()
    answered = [verdict for verdict in found if verdict.is_reached is not None]
    assert len(answered) == 1
    return answered[0]


def test_every_requirement_is_listed_also_when_nothing_was_measured():
    for asked, count in ((POSTGRES, 34), (MYSQL, 13)):
        verdicts = verdicts_of(asked=asked)
        assert len(verdicts) == len(asked) == count
        assert {verdict.is_reached for verdict in verdicts.values()} == {None}


def test_cpu_is_judged_as_a_multiple_of_pgbouncers():
    at_limit = only_answer(
        ("simple-8", "accode", {"cpu_us": 26.0}), ("simple-8", "pgbouncer", {"cpu_us": 20.0})
    )
    above = only_answer(
        ("simple-tls-8", "accode", {"cpu_us": 26.2}),
        ("simple-tls-8", "pgbouncer", {"cpu_us": 20.0}),
    )
    assert at_limit.is_reached is True
    assert at_limit.figure == "1.30x (1.30..1.30)"
    assert above.is_reached is False


def test_added_latency_is_judged_as_a_difference_to_pgbouncers():
    verdict = only_answer(
        ("simple-1", "accode", {"p50_us": 121.0}), ("simple-1", "pgbouncer", {"p50_us": 100.0})
    )
    assert verdict.is_reached is False
    assert verdict.figure == "21.0 us (21.0..21.0)"


def test_a_million_rows_are_judged_against_direct():
    verdict = only_answer(
        ("copy-out", "accode", {"rows_per_s": 96.0}), ("copy-out", "direct", {"rows_per_s": 100.0})
    )
    assert verdict.is_reached is True


def test_memory_is_judged_by_its_worst_round():
    rounds = [
        Round("idle", "accode", number, 0, {"rss_per_session_kb": size})
        for number, size in enumerate((30.0, 31.0, 33.0))
    ]
    found = {v.text: v for v in judge(Results(rounds), POSTGRES)}["RSS per idle session, plain"]
    assert found.is_reached is False
    assert found.figure == "31.0 KB (30.0..33.0)"


def test_the_p99_beside_an_export_is_judged_by_its_middle_round():
    rounds = [
        Round("export-1", "accode", number, 0, {"p99_to_alone": ratio})
        for number, ratio in enumerate((1.05, 1.1, 1.6))
    ]
    (found,) = (v for v in judge(Results(rounds), POSTGRES) if v.is_reached is not None)
    assert (found.is_reached, found.figure) == (True, "1.10x (1.05..1.60)")


def test_mysqls_cpu_is_judged_as_a_multiple_of_haproxys():
    verdict = only_answer(
        ("select-text-8", "accode", {"cpu_us": 27.0}),
        ("select-text-8", "haproxy", {"cpu_us": 20.0}),
        asked=MYSQL,
    )
    assert verdict.is_reached is False
    assert verdict.figure == "1.35x (1.35..1.35)"


def test_a_policy_is_judged_against_the_same_proxy_without_one():
    repeated = only_answer(
        ("policy-repeated", "accode-policy", {"cpu_us": 22.0}),
        ("policy-repeated", "accode", {"cpu_us": 20.0}),
    )
    literals = only_answer(
        ("policy-literals", "accode-policy", {"cpu_us": 40.5}),
        ("policy-literals", "accode", {"cpu_us": 20.0}),
        asked=MYSQL,
    )
    assert (repeated.is_reached, repeated.figure) == (True, "1.10x (1.10..1.10)")
    assert (literals.is_reached, literals.figure) == (False, "20.5 us (20.5..20.5)")


def a_store(workspaces: int, start_s: float) -> dict[str, object]:
    return {
        "workspaces": workspaces,
        "tokens": workspaces * 10,
        "sources": workspaces * 5,
        "open_store_s": start_s,
        "directory_current_s": 0.001,
        "rss_kb": {"before_opening": 1024, "current": 2048, "with_4096_cached": 5120},
    }


def test_a_large_store_is_judged_against_a_small_one():
    measured = {"large": a_store(10_000, 0.5), "login_large_to_small": [1.3, 1.1, 1.4]}
    login, start, memory = judge_store(measured)
    assert (login.is_reached, login.figure) == (False, "1.30x (1.10..1.40)")
    assert (start.is_reached, start.figure) == (True, "0.501 s")
    assert (memory.is_reached, memory.figure) == (True, "4.0 MB")


def test_a_store_smaller_than_asked_for_answers_nothing():
    measured = {"large": a_store(1_000, 0.5), "login_large_to_small": [1.0]}
    for answer in (measured, None):
        assert [verdict.is_reached for verdict in judge_store(answer)] == [None, None, None]
