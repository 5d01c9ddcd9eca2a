"""A SET that the same words repeat anywhere: anything else is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.postgres.plain_set import plain_set
from policies.postgres.remains import remains

PLAIN = {
    "SET extra_float_digits = 3": ("extra_float_digits", "3"),
    "set session Application_Name to 'my app';": ("application_name", "'my app'"),
    "SET work_mem='4MB'": ("work_mem", "'4MB'"),
    '\n SET search_path TO app, "$user"': None,
    "SET search_path TO app , 'Other one'": ("search_path", "app , 'Other one'"),
    "SET my.setting = 'x;y'": ("my.setting", "'x;y'"),
    "SET jit = off": ("jit", "off"),
    "SET geqo_seed = .5": None,
    "SET seq_page_cost = 1.5": ("seq_page_cost", "1.5"),
    "SET statement_timeout = 30000": ("statement_timeout", "30000"),
    "SET statement_timeout TO '30s'": ("statement_timeout", "'30s'"),
    "SET lock_timeout = 0": ("lock_timeout", "0"),
}


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_set_is_read(text: str):
    expected = PLAIN[text]
    read = plain_set(text.encode())
    assert read == (None if expected is None else tuple(part.encode() for part in expected))


@pytest.mark.parametrize(
    "text",
    [
        "SET LOCAL work_mem = '4MB'",
        "SET work_mem TO DEFAULT",
        "SET work_mem = default",
        "SET ROLE = admin",
        "SET role TO 'admin'",
        "SET session_authorization = 'admin'",
        "SET SESSION AUTHORIZATION admin",
        "SET client_encoding TO 'LATIN1'",
        "SET standard_conforming_strings = off",
        "SET DateStyle = 'German'",
        "SET seed TO 0.5",
        "SET transaction_read_only = on",
        "SET TIME ZONE 'UTC'",
        "SET NAMES 'UTF8'",
        "SET work_mem = '4MB'; SET jit = off",
        "SET work_mem = '4''MB'",
        "SET work_mem = E'4MB'",
        r"SET work_mem = '4\MB'",
        "SET work_mem = $1",
        "SET work_mem = '4MB' -- x",
        "SET /* x */ work_mem = '4MB'",
        "SET \"work_mem\" = '4MB'",
        "SET statement_timeout = 5",
        "SET statement_timeout = '5ms'",
        "SET lock_timeout = '500us'",
        "SET x = ",
        "SET = 1",
        "SHOW work_mem",
        f"SET x = '{'x' * 501}'",
        f"SET {'x' * 64} = 1",
    ],
)
def test_anything_else_is_none(text: str):
    assert plain_set(text.encode()) is None


@given(st.text(st.sampled_from("set =to'\";,.\\-1aE\n/*$"), max_size=40))
def test_what_is_taken_is_one_statement_with_one_setting(rest: str):
    text = f"SET {rest}".encode()
    found = remains(text)
    if found is not None and found.sets is not None:
        name, value = found.sets
        # Said again in our words it is the same, and nothing else.
        again = remains(b"SET SESSION %s TO %s" % (name, value))
        assert again is not None
        assert again.sets == (name, value)
        assert b";" not in text.rstrip(b" \n;").replace(value, b"")
