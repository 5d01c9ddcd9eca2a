"""Bodies, queries and their limits: what is unknown is refused, and nothing of it repeated."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.admin.problems import Problem
from proxy.admin.strict_json import BODY_LIMIT, DEPTH_LIMIT, ITEMS_LIMIT, read_json
from proxy.store import ApiRole
from tests.admin.rig import Rig, problem

CANARY = "hunter2-canary-Zq"


async def post(rig: Rig, body: bytes, **headers: str) -> httpx.Response:
    sent = {"Content-Type": "application/json"} | headers
    return await rig.call("POST", "/v1/workspaces", content=body, headers=sent)


NOT_RIGHT: list[tuple[bytes, int, str]] = [
    (b"", 400, "malformed"),
    (b"{", 400, "malformed"),
    (b"null", 422, "invalid"),
    (b"[]", 422, "invalid"),
    (b'"x"', 422, "invalid"),
    (b"{}", 422, "invalid"),
    (b'{"name": 7}', 422, "invalid"),
    (b'{"name": "a", "name": "b"}', 400, "duplicate-key"),
    (b'{"name": "a", "x": {"y": 1, "y": 1}}', 400, "duplicate-key"),
    (b'{"name": NaN}', 400, "malformed"),
    (b'{"name": "a", "scram_iterations": Infinity}', 400, "malformed"),
    (b'{"name": "\\ud800"}', 400, "malformed"),
    (b'{"name": "\xff"}', 400, "malformed"),
    (b"\xef\xbb\xbf{}", 400, "malformed"),
    (b'{"name": "a", "scram_iterations": true}', 422, "invalid"),
    (b'{"name": "a", "scram_iterations": "4096"}', 422, "invalid"),
    (b'{"name": "a", "scram_iterations": 1e3}', 422, "invalid"),
    (b'{"name": "a", "scram_iterations": ' + b"9" * 5_000 + b"}", 400, "malformed"),
    (b'{"name": "a\\u0000"}', 422, "invalid"),
    (b'{"name": "a", "state": "suspended"}', 422, "invalid"),
    (b'{"name": "a", "id": "b"}', 422, "invalid"),
    (b"[" * (DEPTH_LIMIT + 1) + b"]" * (DEPTH_LIMIT + 1), 400, "too-deep"),
    (b"[" * 100_000, 400, "too-deep"),
    (b"[" + b"1," * ITEMS_LIMIT + b"1]", 422, "invalid"),
    (b"[" + b"1," * (ITEMS_LIMIT + 1) + b"1]", 400, "too-many"),
]


async def test_a_body_that_is_not_exactly_right_is_refused(rig: Rig):
    for body, status, slug in NOT_RIGHT:
        problem(await post(rig, body), status, slug)
    assert len(await rig.store.list_workspaces()) == 2


async def test_a_body_that_is_too_large_is_refused(rig: Rig):
    body = b'{"name": "' + b"a" * BODY_LIMIT + b'"}'
    answer = await post(rig, body)
    problem(answer, 413, "too-large")
    assert answer.headers["connection"] == "close"


async def test_only_json_is_read(rig: Rig):
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/problem+json",
        "",
    ):
        problem(await post(rig, b'{"name": "hr"}', **{"Content-Type": kind}), 415, "not-json")


async def test_a_compressed_body_is_not_read(rig: Rig):
    answer = await post(rig, b'{"name": "hr"}', **{"Content-Encoding": "gzip"})
    problem(answer, 415, "encoded")


async def test_a_body_where_none_is_taken_is_refused(rig: Rig):
    answer = await rig.call("GET", "/v1/workspaces", {"name": "hr"})
    problem(answer, 400, "no-body-here")
    answer = await rig.call("POST", "/v1/workspaces/finance/suspend", {})
    problem(answer, 400, "no-body-here")


async def test_a_query_that_is_not_known_is_refused(rig: Rig):
    for query, slug in (
        ("limt=2", "unknown-parameter"),
        ("limit=2&limit=3", "duplicate-parameter"),
        ("limit=0", "invalid"),
        ("limit=201", "invalid"),
        ("limit=x", "invalid"),
        (f"{CANARY}=1", "unknown-parameter"),
    ):
        answer = await rig.call("GET", f"/v1/workspaces?{query}")
        problem(answer, 422, slug)
        assert CANARY not in answer.text


async def test_who_may_not_learns_nothing_of_an_endpoints_rules(rig: Rig):
    for body in (b"{", b"[" * 1_000, b'{"name": "hr"}'):
        answer = await rig.call("POST", "/v1/workspaces?odd=1", content=body, role=ApiRole.AUDITOR)
        problem(answer, 403, "forbidden")


def places(value: Any, secret: str) -> list[Any]:
    """Every body that has the secret somewhere it does not belong."""
    return [
        {**value, "port": secret},
        {**value, secret: 1},
        {**value, "password": {"a": secret}},
        {**value, "password": [secret]},
        {**value, "tls": {"mode": secret}},
        {**value, "tls": {secret: secret}},
        {**value, "engine": secret},
        {**value, "name": secret},
        {**value, "auth_methods": [secret]},
        {**value, "pooling": {"mode": "session", "maximum": secret}},
        {**value, "tls": {"ca": f"-----BEGIN {secret}"}},
        {**value, "tls": {"pins": [secret, secret + "2"]}},
        {**value, "client_key": secret},
    ]


async def test_no_refusal_repeats_what_was_sent(rig: Rig):
    source = {
        "name": "orders",
        "engine": "postgresql",
        "host": "db.example.com",
        "port": 5432,
        "database": "orders",
        "username": "app",
        "password": "correct horse",
    }
    path = "/v1/workspaces/finance/sources"
    for body in places(source, CANARY):
        answer = await rig.call("POST", path, body)
        assert answer.status_code in (400, 422), (body, answer.text)
        assert CANARY not in answer.text
        assert "correct horse" not in answer.text
    for policy in ({CANARY: 1}, {"version": CANARY}, {"version": 1, "access": CANARY}):
        answer = await rig.call("POST", f"{path}/none/policy/check", {"statement": "x"})
        assert answer.status_code == 404
        tag = await rig.etag("/v1/workspaces/finance/policy")
        answer = await rig.call(
            "PUT", "/v1/workspaces/finance/policy", {"policy": policy}, headers=tag
        )
        problem(answer, 422, "invalid")
        assert CANARY not in answer.text
    assert CANARY not in repr(rig.trail.events)


async def test_no_line_can_be_forged_in_a_log(rig: Rig):
    for text in ("a\nb", "a\r\nb", "\x1b[31mred", "a\x00b", "\u2028", "\u202e", " a", "a ", ""):
        for path in ("tokens", "keys"):
            answer = await rig.call("POST", f"/v1/workspaces/finance/{path}", {"label": text})
            problem(answer, 422, "invalid")
    assert await rig.store.list_tokens(rig.workspaces["finance"]) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_is_json_is_read_as_python_reads_it(value: Any):
    assert read_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200) | st.text('{}[],:"\\\\u0 1d8', max_size=60).map(str.encode))
def test_any_bytes_are_json_or_a_problem(body: bytes):
    try:
        read_json(body)
        json.loads(body)
    except Problem:
        return


@pytest.mark.parametrize(
    "body", [b'"', b'"\\', b'"\\"' * 100_000, b'{"a":"' * 80_000, b'""' * 200_000]
)
def test_a_hostile_text_costs_one_pass(body: bytes):
    with pytest.raises(Problem):
        read_json(body)
