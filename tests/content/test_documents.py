from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.content.dashboard import Dashboard
from proxy.content.document import Document, Parameter, filled
from proxy.content.library import KINDS
from proxy.content.problems import ContentRefused
from proxy.content.published import as_text, made_schema, schema_text
from proxy.content.workflow import Workflow
from proxy.store import new_token

SQL = {"source": "orders", "statement": "SELECT :a", "parameters": {"a": {"parameter": "a"}}}
WORKFLOW: dict[str, Any] = {
    "version": 1,
    "description": "All that a workflow has.",
    "parameters": {
        "a": {"type": "integer", "default": 1},
        "b": {"type": "text", "default": None, "nullable": True},
    },
    "schedule": {"cron": "0 3 * * MON-FRI", "zone": "Europe/Rome", "missed": "run_once"},
    "endpoint": True,
    "retry": {"attempts": 2},
    "time_limit_seconds": 60,
    "steps": [
        {"name": "read", "sql": SQL, "retry": {"attempts": 5, "first_pause_seconds": 0.5}},
        {
            "name": "each",
            "when": {
                "any": [
                    {"left": {"step": "read", "count": True}, "op": ">", "right": 0},
                    {"not": {"left": {"parameter": "b"}, "op": "in", "right": ["x", "y"]}},
                ]
            },
            "for_each": {
                "rows_of": "read",
                "limit": 10,
                "steps": [
                    {
                        "name": "put",
                        "sql": {
                            "source": "shop",
                            "statement": "INSERT INTO t VALUES (:id)",
                            "parameters": {"id": {"item": "id"}},
                            "idempotent": True,
                        },
                    }
                ],
            },
        },
        {
            "name": "tell",
            "http": {
                "url": "https://hooks.example.com/done?x=%20",
                "headers": {"X-Run": {"run": "id"}},
                "body": {
                    "rows": {"step": "read", "rows": True},
                    "first": {"step": "read", "column": "a"},
                },
            },
        },
    ],
}
DASHBOARD: dict[str, Any] = {
    "version": 1,
    "title": "Sales",
    "parameters": {"a": {"type": "integer", "default": 1}},
    "panels": [
        {
            "name": "by_month",
            "title": "By month",
            "query": SQL,
            "chart": {"mark": "bar", "encoding": {"x": {"field": "a", "type": "ordinal"}}},
            "rows": 100,
            "width": 6,
        }
    ],
}
EXAMPLES: dict[Any, dict[str, Any]] = {"workflow": WORKFLOW, "dashboard": DASHBOARD}


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with another value at a path of keys and indexes."""
    made = copy.deepcopy(document)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = made
    for part in parents:
        place = place[part]
    place[last] = value
    return made


def refusal(kind: type[Document], document: Any) -> str:
    with pytest.raises(ContentRefused) as refused:
        kind.of(document)
    return str(refused.value)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_document_survives_its_canonical_text(kind: Any):
    document = KINDS[kind].of(EXAMPLES[kind])
    again = KINDS[kind].read(document.to_json())
    assert again == document
    assert again.to_value() == EXAMPLES[kind]
    assert again.digest == document.digest


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_published_schema_is_that_of_the_classes(kind: Any):
    assert schema_text(kind) == as_text(made_schema(kind)), "python -m proxy.content.published"


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_published_schema_takes_the_example_and_no_other_field(kind: Any):
    schema = json.loads(schema_text(kind))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(EXAMPLES[kind])) == []
    assert list(validator.iter_errors(EXAMPLES[kind] | {"unknown": 1})) != []


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("unknown", 1, "/unknown: this field is not known"),
        ("version", 2, "/version: "),
        ("steps", [], "/steps: "),
        ("steps.0.name", "Read", "/steps/0/name: "),
        ("steps.0.sql.unknown", 1, "/steps/0/sql/unknown: this field is not known"),
        ("steps.0.sql.source", "No Name", "/steps/0/sql/source: "),
        ("steps.0.sql.statement", "SELECT 'open", "has no end"),
        ("steps.0.sql.statement", "SELECT 1", "/steps/0/sql/parameters/a: the statement has no :a"),
        ("steps.0.sql.parameters", {}, "/steps/0/sql/parameters: nothing is said of :a"),
        ("steps.0.sql.parameters.a", {"parameter": "c"}, "/steps/0/sql/parameters/a: the workflow"),
        ("steps.0.sql.parameters.a", {"step": "tell", "count": True}, "no earlier step"),
        ("steps.0.sql.parameters.a", {"step": "read", "count": True}, "no earlier step"),
        ("steps.0.sql.parameters.a", {"item": "id"}, "item belongs into a for_each"),
        ("steps.0.sql.parameters.a", {"item": "id", "run": "id"}, "exactly one of"),
        ("steps.0.sql.parameters.a", {"parameter": "a", "row": 1}, "row goes with"),
        ("steps.0.sql.parameters.a", [1], "/steps/0/sql/parameters/a"),
        ("steps.0.sql.keep_rows", 10_001, "/steps/0/sql/keep_rows: "),
        ("steps.0.http", WORKFLOW["steps"][2]["http"], "/steps/0: a step has exactly one of"),
        ("steps.2.name", "read", "/steps/2/name: another step has this name"),
        ("steps.1.for_each.rows_of", "tell", "/steps/1/for_each/rows_of: no earlier step"),
        ("steps.1.for_each.steps.0.name", "read", "another step has this name"),
        ("steps.1.when", {"left": 1, "op": "~", "right": 1}, "/steps/1/when/op: "),
        ("steps.1.when", {"left": 1, "op": "="}, "needs left and right"),
        ("steps.1.when", {"left": 1, "op": "in", "right": 1}, "is a list"),
        ("steps.1.when", {"all": [], "any": []}, "exactly one of op, all, any, not"),
        ("steps.1.when", {"left": {"item": "x"}, "op": "is null"}, "/steps/1/when/left: item"),
        ("steps.2.http.url", "ftp://example.com/", "https://"),
        ("steps.2.http.url", "https://user:pass@example.com/", "no user"),
        ("steps.2.http.url", "https://example.com/a b", "%XX"),
        ("steps.2.http.url", "https://[::1/", "/steps/2/http/url: "),
        ("steps.2.http.url", "https://example.com.:1/", "/steps/2/http/url: the host"),
        ("steps.2.http.url", "https://2130706433/", "IPv4"),
        ("steps.2.http.headers", {"Host": "x"}, "the proxy's own"),
        ("steps.2.http.headers", {"Authorization": "x"}, "carries a secret"),
        ("steps.2.http.headers", {"X-Api-Key": "x"}, "carries a secret"),
        ("steps.2.http.headers", {"X-A": "a\r\nB: c"}, "printable ASCII"),
        ("steps.2.http.method", "GET", "/steps/2/http/body: GET sends no body"),
        ("steps.2.http.expect", [99], "/steps/2/http/expect/0: "),
        ("schedule.cron", "* * * *", "/schedule/cron: a schedule has five fields"),
        ("schedule.cron", "0 0 31 2 *", "/schedule/cron: "),
        ("schedule.zone", "Europe/Nowhere", "/schedule/zone: 'Europe/Nowhere' is no time zone"),
        ("schedule.zone", "../etc/passwd", "no time zone"),
        ("parameters.a", {"type": "integer"}, "/parameters/a: a workflow with a schedule needs"),
        ("parameters.a", {"type": "integer", "default": "x"}, "/parameters/a/default: "),
        ("parameters.A", {"type": "integer", "default": 1}, "/parameters/A"),
        pytest.param("description", new_token(), "access token", id="description-token"),
    ],
)
def test_a_workflow_is_refused_with_the_place(path: str, value: Any, says: str):
    assert says in refusal(Workflow, changed(WORKFLOW, path, value))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("panels", [], "/panels: "),
        ("panels.0.query.parameters.a", {"item": "x"}, "the dashboard's parameters alone"),
        ("panels.0.query.parameters.a", {"parameter": "b"}, "no parameter of that name"),
        ("panels.0.chart.data", {"values": []}, "/panels/0/chart: the data is the panel's own"),
        ("panels.0.chart.encoding.x.url", "https://example.com", "'url' is not allowed"),
        ("panels.0.chart", {"layer": [{"data": {"url": "x"}}]}, "/panels/0/chart: the data is"),
        ("panels.0.rows", 0, "/panels/0/rows: "),
        ("panels", DASHBOARD["panels"] * 2, "/panels/1/name: another panel has this name"),
    ],
)
def test_a_dashboard_is_refused_with_the_place(path: str, value: Any, says: str):
    assert says in refusal(Dashboard, changed(DASHBOARD, path, value))


def test_every_problem_is_told_at_once():
    document = changed(changed(WORKFLOW, "steps.2.name", "read"), "steps.0.sql.parameters", {})
    with pytest.raises(ContentRefused) as refused:
        Workflow.of(document)
    places = [problem.pointer for problem in refused.value.problems]
    assert places == ["/steps/0/sql/parameters", "/steps/2/name"]


def test_steps_are_counted_over_all_levels_and_nested_at_most_three_deep():
    step: dict[str, Any] = {"name": "x3", "sql": {"source": "s", "statement": "SELECT 1"}}
    for level in range(4):
        read = {"name": f"r{level}", "sql": {"source": "s", "statement": "SELECT 1"}}
        loop = {"rows_of": f"r{level}", "steps": [step]}
        step = {"name": f"l{level}", "for_each": loop}
        document = {"version": 1, "steps": [*_reads(level + 1), step]}
        if level < 3:
            Workflow.of(document)
    assert "3 levels deep" in refusal(Workflow, document)
    many = [{"name": f"s{n}", "sql": read["sql"]} for n in range(60)]
    inner = [{"name": f"n{n}", "sql": read["sql"]} for n in range(60)]
    last = {"name": "l", "for_each": {"rows_of": "s0", "steps": inner}}
    assert "more than 100 steps" in refusal(Workflow, {"version": 1, "steps": [*many, last]})


def _reads(count: int) -> list[dict[str, Any]]:
    sql: dict[str, Any] = {"source": "s", "statement": "SELECT 1"}
    return [{"name": f"r{number}", "sql": sql} for number in range(count)]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["steps", "name", "sql", "version", "left", "x"]), inner
            )
        ),
        max_leaves=15,
    )
)
def test_no_value_breaks_the_reader(value: Any):
    for place in ("steps", "steps.0", "steps.0.sql", "steps.1.when", "parameters", "schedule"):
        try:
            Workflow.of(changed(WORKFLOW, place, value))
        except ContentRefused:
            continue


def test_parameters_are_filled_and_every_wrong_one_is_named():
    declared = {
        "n": Parameter(type="integer"),
        "t": Parameter(type="text", default="x"),
        "b": Parameter(type="boolean", default=False, nullable=True),
    }
    assert filled(declared, {"n": 1, "b": None}) == {"n": 1, "t": "x", "b": None}
    with pytest.raises(ContentRefused) as refused:
        filled(declared, {"t": 1, "b": "yes", "z": 1})
    assert [problem.pointer for problem in refused.value.problems] == [
        "/parameters/b",
        "/parameters/n",
        "/parameters/t",
        "/parameters/z",
    ]
    with pytest.raises(ContentRefused, match="not of type integer"):
        filled(declared, {"n": True})
