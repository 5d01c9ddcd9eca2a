"""``source edit``: it changes what it is told and nothing else, and takes no secret elsewhere."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from proxy.certificates import make_self_signed, utc_now
from tests.cli.conftest import CommandLine

PASSWORD = "correct-horse-battery-staple"
EDIT = ("source", "edit", "finance", "orders")
SHOW = ("source", "show", "finance", "orders")
PINS = tuple("sha256/" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


@pytest.fixture
def orders(finance: CommandLine) -> CommandLine:
    finance.ok(
        "source", "add", "finance", "orders", "postgresql://db1.example,db2.example:5433/orders",
        "--username", "app", "--password-stdin", "--pin", PINS[0], "--pin", PINS[1],
        "--target-session-attrs", "read-write", "--pool-max", "7", stdin=PASSWORD + "\n",
    )  # fmt: skip
    return finance


def private(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    path.chmod(0o600)
    return str(path)


def without(value: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: entry for key, entry in value.items() if key not in (*names, "version")}


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (("--pool-max", "20", "--pooling", "off"), {"pooling"}),
        (("--auth-method", "scram-sha-256"), {"auth_methods"}),
        (("--target-session-attrs", "any"), {"target_session_attrs"}),
        (("--load-balance-hosts", "random"), {"load_balance_hosts"}),
        (("--tls-profile", "modern"), {"tls"}),
        (("--tls-negotiation", "direct"), {"tls"}),
    ],
)
def test_what_leads_nowhere_else_is_changed_alone_and_without_the_secret(
    orders: CommandLine, options: tuple[str, ...], changed: set[str]
):
    before = orders.value(*SHOW)
    after = orders.value(*EDIT, *options)
    assert {name for name in before if before[name] != after[name]} == changed | {"version"}
    assert orders.value(*SHOW) == after
    assert after["has_password"] is True


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--username", "root"), "give the password again"),
        (("--url", "postgresql://evil.example/orders"), "give the password again"),
        (("--url", "postgresql://db1.example:5432,evil.example/orders"), "give the password again"),
        (("--url", "postgresql://db1.example,db2.example:5434/orders"), "give the password again"),
        (("--url", "postgresql://db1.example,db2.example:5433/o"), "must be given again"),
        (("--database", "payroll"), "must be given again"),
        (("--tls", "require"), "give the password again"),
        (("--tls", "disable"), "give the password again"),
        (("--server-name", "evil.example"), "give the password again"),
        (("--remove", "pins"), "give the password again"),
    ],
    ids=" ".join,
)
def test_nothing_that_leads_elsewhere_is_changed_without_the_secret(
    orders: CommandLine, options: tuple[str, ...], words: str
):
    before = orders.value(*SHOW)
    assert words in orders.refused(*EDIT, *options)
    assert orders.value(*SHOW) == before
    # With it, it is.
    orders.ok(*EDIT, *options, "--password-stdin", stdin=PASSWORD + "\n")
    assert orders.value(*SHOW) != before


def test_a_url_replaces_hosts_and_database_and_keeps_what_it_does_not_say(orders: CommandLine):
    before = orders.value(*SHOW)
    url = "postgresql://[2001:db8::1]/books?load_balance_hosts=random"
    file = private(orders.folder, "password", PASSWORD.encode())
    after = orders.value(*EDIT, "--url", url, "--password-file", file)
    assert after["hosts"] == [{"host": "2001:db8::1", "port": 5432}]
    assert (after["database"], after["load_balance_hosts"]) == ("books", "random")
    names = ("hosts", "host", "port", "database", "load_balance_hosts")
    assert without(after, *names) == without(before, *names)


def test_a_source_is_renamed(orders: CommandLine):
    before = orders.value(*SHOW)
    assert "Changed source invoices of finance." in orders.ok(*EDIT, "--rename", "invoices")
    after = orders.value("source", "show", "finance", "invoices")
    assert without(after, "name") == without(before, "name")
    assert "no source named orders" in orders.refused(*SHOW)
    assert (
        "name: "
        in orders.refused("source", "edit", "finance", "invoices", "--rename", "In voices").lower()
    )


def test_a_password_is_removed_with_the_methods_that_need_one(orders: CommandLine):
    assert orders.refused(*EDIT, "--remove", "password").lower().startswith("password: ")
    after = orders.value(*EDIT, "--remove", "password", "--auth-method", "trust")
    assert (after["has_password"], after["auth_methods"]) == (False, ["trust"])


def test_a_client_certificate_comes_and_goes_with_its_key(orders: CommandLine):
    certificate, key = make_self_signed(["app"], utc_now())
    crt = private(orders.folder, "client.crt", certificate)
    good = private(orders.folder, "client.key", key)
    other = private(orders.folder, "other.key", make_self_signed(["app"], utc_now())[1])
    given = (*EDIT, "--client-cert", crt, "--client-key")
    assert orders.run(*EDIT, "--client-cert", crt).exit_code == 2
    assert "does not belong" in orders.refused(*given, other, "--password-stdin", stdin="x\n")
    assert "give the password again" in orders.refused(*given, good)
    after = orders.value(*given, good, "--password-stdin", stdin=PASSWORD + "\n")
    assert (after["has_client_key"], after["tls"]["has_client_certificate"]) == (True, True)
    gone = (*EDIT, "--remove", "client-cert", "--password-stdin")
    assert "go together" in orders.refused(*gone, stdin=PASSWORD + "\n")
    after = orders.value(*gone, "--remove", "client-key", stdin=PASSWORD + "\n")
    assert (after["has_client_key"], after["tls"]["has_client_certificate"]) == (False, False)


def test_a_weak_profile_s_exception_goes_with_it(orders: CommandLine):
    weak = ("--tls-profile", "compat", "--owner", "DBA", "--reason", "the move", "--until", "90d")
    assert orders.value(*EDIT, *weak)["tls"]["owner"] == "DBA"
    assert orders.value(*EDIT, "--until", "30d")["tls"]["reason"] == "the move"
    tls = orders.value(*EDIT, "--tls-profile", "intermediate")["tls"]
    assert (tls["owner"], tls["reason"], tls["expires_at"]) == (None, None, None)
    assert tls["pins"] == list(PINS)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--username", "app"),
        ("--url", "not a url"),
        ("--url", f"postgresql://app:{PASSWORD}@db/orders"),
        ("--url", "postgresql://db/orders", "--database", "x"),
        ("--remove", "name"),
        ("--client-key", "client.key"),
    ],
    ids=" ".join,
)
def test_what_is_no_change_is_a_usage_error_and_not_repeated(
    orders: CommandLine, options: tuple[str, ...]
):
    result = orders.run(*EDIT, *options)
    assert result.exit_code == 2, result.output
    assert PASSWORD not in result.output


def test_an_engine_stays(orders: CommandLine):
    words = orders.refused(*EDIT, "--url", "mysql://db/orders", "--password-stdin", stdin="x\n")
    assert words == ("The engine of a source stays: orders is postgresql, so add another source.")


def test_the_configuration_s_and_a_policy_s_hosts_hold_for_an_edit(orders: CommandLine):
    metadata = ("--url", "postgresql://169.254.169.254/orders", "--password-stdin")
    assert "169.254.169.254" in orders.refused(*EDIT, *metadata, stdin="x\n")
    policy = private(orders.folder, "policy", b'version = 1\n[upstream]\nhosts = ["*.example"]\n')
    orders.ok("policy", "set", "finance", policy)
    outside = ("--url", "postgresql://db.internal/orders", "--password-stdin")
    assert "upstream.hosts" in orders.refused(*EDIT, *outside, stdin="x\n")


def test_a_mysql_source_is_compressed_and_no_more(finance: CommandLine):
    finance.ok(
        "source", "add", "finance", "orders", "mysql://10.0.0.7/shop", "--username", "app",
        "--no-password", "--tls", "disable",
    )  # fmt: skip
    assert "not pooled" in finance.refused(*EDIT, "--compression", "zstd")
    packed = finance.value(*EDIT, "--compression", "zstd", "--pooling", "off")
    assert (packed["compression"], packed["pooling"]["mode"]) == ("zstd", "off")
    assert finance.value(*EDIT, "--compression", "none")["compression"] is None


def test_an_edit_is_recorded_before_and_after_without_a_secret(orders: CommandLine):
    before = len(orders.records())
    orders.ok(*EDIT, "--username", "app2", "--password-stdin", stdin=PASSWORD + "-2\n")
    orders.refused(*EDIT, "--username", "root")
    records = orders.records()[before:]
    kinds = [(one["class_uid"], one["activity_id"], one["status"]) for one in records]
    assert kinds == [
        (3004, 3, "Unknown"), (6005, 9, "Unknown"), (6005, 9, "Success"), (3004, 3, "Success"),
        (3004, 3, "Unknown"), (3004, 3, "Failure"),
    ]  # fmt: skip
    assert records[0]["unmapped"]["changes"] == {
        "username": "app2", "given": ["password"], "forgotten": [],
    }  # fmt: skip
    assert not re.search(PASSWORD, str(records))
