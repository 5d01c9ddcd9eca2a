from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from policies.egress import check_address
from proxy.config import Config, parse_config
from proxy.cores import usable_cores
from proxy.parts import (
    VALUES_KEPT,
    audit_settings,
    egress_rules,
    open_store,
    readiness_of,
    scan_limits,
    store_file,
    with_workers,
)
from proxy.store.errors import StoreUnusable


def config(folder: Path, **sections: dict[str, object]) -> Config:
    return parse_config(sections, {}, folder=folder)


async def test_a_missing_sqlite_store_is_not_made(tmp_path: Path):
    with pytest.raises(StoreUnusable, match="`accode-proxy init` makes one"):
        await open_store(config(tmp_path))
    assert list(tmp_path.iterdir()) == []


async def test_no_source_may_be_the_proxy_itself_or_its_store(tmp_path: Path):
    made = config(
        tmp_path,
        egress={"allow_private": True},
        store={"url": "postgresql://u@127.0.0.1:5499/accode"},
    )
    rules = await egress_rules(made, {"listeners": [("0.0.0.0", 6432)], "metrics": [("::1", 9432)]})
    loopback, six = ip_address("127.0.0.1"), ip_address("::1")
    assert check_address(loopback, 6432, rules) is not None
    assert check_address(loopback, 5499, rules) is not None
    assert check_address(six, 9432, rules) is not None
    assert check_address(loopback, 8432, rules) is not None, "the admin endpoints"
    assert check_address(loopback, 5432, rules) is None


async def test_a_name_to_listen_on_is_forbidden_by_its_addresses(tmp_path: Path):
    made = config(tmp_path, egress={"allow_private": True})
    rules = await egress_rules(made, {"listeners": [("localhost", 6432)]})
    assert check_address(ip_address("127.0.0.1"), 6432, rules) is not None


def test_the_audit_logs_marks_are_parts_of_its_bound(tmp_path: Path):
    settings = audit_settings(config(tmp_path, audit={"queue_bytes": 8 * 1024 * 1024}).audit)
    assert settings.low_mark < settings.high_mark < settings.maximum_queued == 8 * 1024 * 1024


def test_bound_values_are_kept_only_where_the_audit_log_is_told_to(tmp_path: Path):
    assert scan_limits(config(tmp_path).audit).values == 0
    told = scan_limits(config(tmp_path, audit={"parameters": True, "text_limit": 300}).audit)
    assert (told.values, told.text) == (VALUES_KEPT, 300)


def test_a_store_on_postgresql_has_no_file(tmp_path: Path):
    assert store_file(config(tmp_path, store={"url": "postgresql://db/accode"})) is None


def test_readiness_is_a_sentence_for_each_thing_that_is_wrong():
    ready = readiness_of(
        are_listeners_open=lambda: True,
        is_store_current=lambda: True,
        is_audit_failed=lambda: False,
        is_draining=lambda: False,
    )
    assert [probe() for probe in ready.values()] == [None] * 4
    unready = readiness_of(
        are_listeners_open=lambda: False,
        is_store_current=lambda: False,
        is_audit_failed=lambda: True,
        is_draining=lambda: True,
    )
    assert all((probe() or "").endswith(".") for probe in unready.values())


def test_no_number_of_workers_is_one_for_each_core(tmp_path: Path):
    cores = min(usable_cores(), 64)
    assert with_workers(config(tmp_path)).workers.count == cores
    assert with_workers(config(tmp_path, workers={"count": 0})).workers.count == cores
    assert with_workers(config(tmp_path, workers={"count": 3})).workers.count == 3
    assert with_workers(config(tmp_path, workers={"count": 3}), 5).workers.count == 5
