from __future__ import annotations

import base64
from pathlib import Path

import pytest

from proxy.certificates import make_self_signed, utc_now
from proxy.store.tls import EXCEPTION_LIMIT
from tests.cli.conftest import CommandLine
from tests.servers.certificates import Certificates
from tests.servers.ports import free_port

PASSWORD = "correct-horse-battery-staple"
URL = "postgresql://127.0.0.1:5432/orders"
CHANGED = "data source changed"
ADD = ("source", "add", "finance", "orders", URL, "--username", "app")


@pytest.fixture
def orders(finance: CommandLine) -> CommandLine:
    finance.ok(*ADD, "--password-stdin", stdin=PASSWORD + "\n")
    return finance


def private(folder: Path, name: str, data: bytes, mode: int = 0o600) -> str:
    path = folder / name
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


def test_a_source_is_added_listed_shown_and_removed(orders: CommandLine):
    (value,) = orders.value("source", "list", "finance")
    assert (value["host"], value["port"], value["database"]) == ("127.0.0.1", 5432, "orders")
    assert value["tls"]["mode"] == "verify-full"
    assert value["has_password"] is True
    assert orders.value("source", "show", "finance", "orders") == value
    assert "Stored secrets" in orders.ok("source", "show", "finance", "orders")
    orders.ok("source", "remove", "finance", "orders", "--yes")
    assert orders.value("source", "list", "finance") == []


def test_the_password_is_nowhere_but_sealed(orders: CommandLine):
    shown = (
        orders.ok("source", "show", "finance", "orders")
        + orders.ok("source", "list", "finance", "--json")
        + orders.ok("audit", "search", "--json")
    )
    stored = b"".join(path.read_bytes() for path in orders.folder.rglob("*") if path.is_file())
    for form in (
        PASSWORD.encode(),
        base64.b64encode(PASSWORD.encode()),
        PASSWORD.encode().hex().encode(),
    ):
        assert form not in stored
        assert form.decode() not in shown


def test_a_password_in_the_url_is_refused_and_not_repeated(finance: CommandLine):
    result = finance.run(
        "source", "add", "finance", "orders", f"postgresql://app:{PASSWORD}@db/orders",
        "--username", "app", "--password-stdin", stdin="x\n",
    )  # fmt: skip
    assert result.exit_code == 2
    assert PASSWORD not in result.output
    assert "--password-stdin" in result.stderr


@pytest.mark.parametrize(
    "url",
    ["db.example.com", "oracle://db/orders", "postgresql://", "postgresql://db", "postgresql:///x",
     "postgresql://db:x/orders", "postgresql://db/orders?sslmode=disable", "postgresql://a,/c",
     "postgresql://a b/c", "postgresql://[::1/c", "postgresql://a,b:x/c", "postgresql://a,b/",
     "postgresql://a/c?", "postgresql://a/c?target_session_attrs=master",
     "postgresql://a/c?load_balance_hosts=random&load_balance_hosts=random"],
)  # fmt: skip
def test_a_wrong_url_is_a_usage_error(finance: CommandLine, url: str):
    result = finance.run("source", "add", "finance", "x", url, "--username", "u", "--no-password")
    assert result.exit_code == 2, result.output


def test_several_hosts_are_understood_as_libpq_writes_them(finance: CommandLine):
    finance.ok(
        "source", "add", "finance", "books",
        "postgresql://db1.example,[2001:db8::1]:5433/books"
        "?target_session_attrs=read-write&load_balance_hosts=random",
        "--username", "app", "--password-stdin", stdin="x\n",
    )  # fmt: skip
    value = finance.value("source", "show", "finance", "books")
    assert value["hosts"] == [
        {"host": "db1.example", "port": 5432},
        {"host": "2001:db8::1", "port": 5433},
    ]
    assert (value["host"], value["port"]) == ("db1.example", 5432)
    assert (value["target_session_attrs"], value["load_balance_hosts"]) == ("read-write", "random")
    shown = finance.ok("source", "show", "finance", "books")
    assert "db1.example:5432,[2001:db8::1]:5433" in shown
    assert "db1.example:5432,[2001:db8::1]:5433" in finance.ok("source", "list", "finance")


def test_an_option_stands_over_what_the_url_says(finance: CommandLine):
    finance.ok(
        "source", "add", "finance", "books",
        "postgresql://db1.example,db2.example/books?target_session_attrs=read-write",
        "--target-session-attrs", "standby", "--username", "app", "--password-stdin",
        stdin="x\n",
    )  # fmt: skip
    value = finance.value("source", "show", "finance", "books")
    assert value["target_session_attrs"] == "standby"


def test_which_host_sessions_get_is_changed_without_the_password(orders: CommandLine):
    choice = ("--target-session-attrs", "read-write", "--load-balance-hosts", "random")
    value = orders.value("source", "hosts", "finance", "orders", *choice)
    assert (value["target_session_attrs"], value["load_balance_hosts"]) == ("read-write", "random")
    shown = orders.ok("source", "hosts", "finance", "orders", "--load-balance-hosts", "disable")
    assert "sessions on read-write, load balancing disable" in shown
    records = orders.records()
    changes = [one["unmapped"]["changes"] for one in records if one.get("message") == CHANGED]
    assert {"target_session_attrs": "read-write", "load_balance_hosts": "random"} in changes


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://a.example,b.example/x?target_session_attrs=standby",
         "use one of any, read-write, read-only"),
        ("mysql://a.example/x?target_session_attrs=prefer-standby",
         "use one of any, read-write, read-only"),
        ("postgresql://a.example,A.example/x", "each host is named once"),
        ("postgresql://" + ",".join(f"h{n}.example" for n in range(9)) + "/x",
         "at most 8 hosts"),
        ("postgresql://a.example,127.1/x", "host"),
        ("postgresql://a.example,169.254.169.254/x", "169.254.169.254"),
    ],
)  # fmt: skip
def test_hosts_that_cannot_be_are_refused(finance: CommandLine, url: str, words: str):
    said = finance.refused(
        "source", "add", "finance", "books", url, "--username", "u", "--no-password",
        "--tls", "disable",
    )  # fmt: skip
    assert words in said


def test_a_policy_s_hosts_hold_for_each_of_them(finance: CommandLine):
    policy = private(finance.folder, "policy", b'version = 1\n[upstream]\nhosts = ["*.internal"]\n')
    finance.ok("policy", "set", "finance", policy)
    said = finance.refused(
        "source", "add", "finance", "books", "postgresql://a.internal,b.example/x",
        "--username", "u", "--no-password", "--tls", "disable",
    )  # fmt: skip
    assert "upstream.hosts" in said


def test_an_ipv6_address_and_the_default_port_are_understood(finance: CommandLine):
    finance.ok(
        "source", "add", "finance", "six", "postgresql://[2001:db8::1]/orders",
        "--username", "app", "--password-stdin", stdin="x\n",
    )  # fmt: skip
    value = finance.value("source", "show", "finance", "six")
    assert (value["host"], value["port"]) == ("2001:db8::1", 5432)


def test_the_password_may_come_from_a_file_that_is_closed_to_others(finance: CommandLine):
    file = private(finance.folder, "password", PASSWORD.encode() + b"\n")
    finance.ok(*ADD, "--password-file", file)
    Path(file).chmod(0o644)
    assert "run chmod 600" in finance.refused(
        "source", "rotate", "finance", "orders", "--password-file", file
    )


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        (b"", "The password is empty"),
        (b"\n", "The password is empty"),
        (b"a\nb\n", "line break or a NUL"),
        (b"a\0b\n", "line break or a NUL"),
        (b"x" * 20_000, "more than 16384 bytes"),
    ],
)
def test_a_password_that_cannot_be_one_is_refused(finance: CommandLine, stdin: bytes, words: str):
    assert words in finance.refused(*ADD, "--password-stdin", stdin=stdin)


def test_neither_or_both_ways_of_a_password_are_usage_errors(finance: CommandLine):
    file = private(finance.folder, "password", b"x")
    for options in (
        (),
        ("--password-stdin", "--password-file", file),
        ("--password-stdin", "--no-password"),
    ):
        assert finance.run(*ADD, *options, stdin="x\n").exit_code == 2


def test_without_a_secret_the_source_is_for_trust(finance: CommandLine):
    finance.ok(*ADD, "--no-password", "--tls", "disable")
    value = finance.value("source", "show", "finance", "orders")
    assert (value["auth_methods"], value["has_password"]) == (["trust"], False)


def test_a_mysql_source_may_be_compressed(finance: CommandLine):
    packed = ("source", "add", "finance", "shop", "mysql://10.0.0.7/shop", "--username", "app")
    options = ("--no-password", "--tls", "disable", "--compression")
    finance.ok(*packed, *options, "zstd")
    assert finance.value("source", "show", "finance", "shop")["compression"] == "zstd"
    assert "zstd" in finance.ok("source", "show", "finance", "shop")
    assert finance.run(*packed, *options, "lz4").exit_code == 2
    refused = finance.run(*ADD, *options, "zlib")
    assert refused.exit_code == 1
    assert "knows none" in refused.stderr


def test_a_taken_name_and_an_unknown_workspace_are_one_sentence_each(orders: CommandLine):
    assert "orders" in orders.refused(*ADD, "--password-stdin", stdin="x\n")
    assert orders.refused("source", "list", "nobody") == "There is no workspace named nobody."


def test_a_weak_profile_needs_its_owner_reason_end_and_pinning(finance: CommandLine):
    weak = (*ADD, "--password-stdin", "--tls-profile", "legacy")
    assert "tls.owner" in finance.refused(*weak, stdin="x\n")
    pins = ["sha256/" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
    full = (*weak, "--owner", "DBA", "--reason", "until the move", "--until", "90d",
            "--pin", pins[0], "--pin", pins[1])  # fmt: skip
    finance.ok(*full, stdin="x\n")
    value = finance.value("source", "show", "finance", "orders")
    assert value["tls"]["owner"] == "DBA"
    assert value["tls"]["pins"] == pins
    too_late = f"{EXCEPTION_LIMIT.days + 10}d"
    refused = (*full[:3], "other", *full[4:], "--until", too_late)
    assert "within 366 days" in finance.refused(*refused, stdin="x\n")


def test_revocation_lists_and_direct_tls_are_stored(
    finance: CommandLine, certificates: Certificates
):
    crl = ("--crl", str(certificates.crl("ca")), "--tls-negotiation", "direct")
    finance.ok(*ADD, "--password-stdin", *crl, stdin="x\n")
    tls = finance.value("source", "show", "finance", "orders")["tls"]
    assert (tls["has_crl"], tls["negotiation"]) == (True, "direct")
    shown = finance.ok("source", "show", "finance", "orders")
    assert "at once" in shown
    no_list = ("--crl", str(certificates.ca))
    again = (*ADD[:3], "other", *ADD[4:], "--password-stdin", *no_list)
    assert "revocation lists" in finance.refused(*again, stdin="x\n")


def test_a_client_certificate_and_its_key_go_together(finance: CommandLine):
    certificate, key = make_self_signed(["app"], utc_now())
    crt = private(finance.folder, "client.crt", certificate)
    good = private(finance.folder, "client.key", key)
    other = private(finance.folder, "other.key", make_self_signed(["app"], utc_now())[1])
    assert finance.run(*ADD, "--no-password", "--client-cert", crt).exit_code == 2
    assert "does not belong" in finance.refused(
        *ADD, "--no-password", "--client-cert", crt, "--client-key", other
    )
    finance.ok(*ADD, "--no-password", "--client-cert", crt, "--client-key", good)
    value = finance.value("source", "show", "finance", "orders")
    assert (value["auth_methods"], value["has_client_key"]) == (["cert"], True)
    stored = (finance.folder / "data/accode.db").read_bytes()
    assert key.splitlines()[1] not in stored


def test_a_client_key_that_others_can_read_is_refused(finance: CommandLine):
    certificate, key = make_self_signed(["app"], utc_now())
    crt = private(finance.folder, "client.crt", certificate)
    open_key = private(finance.folder, "client.key", key, 0o644)
    assert "open to other users" in finance.refused(
        *ADD, "--no-password", "--client-cert", crt, "--client-key", open_key
    )


def test_rotating_replaces_the_secret_and_nothing_else(orders: CommandLine):
    before = orders.value("source", "show", "finance", "orders")
    orders.ok("source", "rotate", "finance", "orders", "--password-stdin", stdin="new\n")
    after = orders.value("source", "show", "finance", "orders")
    assert before | {"version": 0} == after | {"version": 0}


def test_a_new_client_certificate_needs_every_secret_again(orders: CommandLine):
    certificate, key = make_self_signed(["app"], utc_now())
    crt = private(orders.folder, "client.crt", certificate)
    good = private(orders.folder, "client.key", key)
    rotate = ("source", "rotate", "finance", "orders", "--client-cert", crt, "--client-key", good)
    assert "give the password again" in orders.refused(*rotate)
    orders.ok(*rotate, "--password-stdin", stdin="x\n")
    assert orders.value("source", "show", "finance", "orders")["has_client_key"] is True


def test_rotating_nothing_is_a_usage_error(orders: CommandLine):
    assert orders.run("source", "rotate", "finance", "orders").exit_code == 2


def test_storing_a_secret_is_an_encrypt_record_and_an_entity_record(orders: CommandLine):
    orders.ok("source", "rotate", "finance", "orders", "--password-stdin", stdin="new\n")
    orders.ok("source", "remove", "finance", "orders", "--yes")
    kinds = [(r["class_uid"], r["activity_id"], r["status"]) for r in orders.records()[2:]]
    assert kinds == [
        (3004, 1, "Unknown"), (6005, 9, "Unknown"), (6005, 9, "Success"), (3004, 1, "Success"),
        (3004, 3, "Unknown"), (6005, 9, "Unknown"), (6005, 9, "Success"), (3004, 3, "Success"),
        (3004, 4, "Unknown"), (3004, 4, "Success"),
    ]  # fmt: skip


def test_a_test_that_cannot_connect_fails_with_a_sentence_and_a_record(finance: CommandLine):
    finance.ok(
        "source", "add", "finance", "gone", f"postgresql://127.0.0.1:{free_port()}/x",
        "--username", "app", "--password-stdin", stdin="x\n",
    )  # fmt: skip
    assert "No address answered" in finance.refused("source", "test", "finance", "gone")
    result = finance.run("source", "test", "finance", "gone", "--json")
    assert result.exit_code == 1
    assert '"ok": false' in result.stdout


def test_a_source_is_pooled_unless_it_is_told_otherwise(finance: CommandLine):
    finance.ok(*ADD, "--no-password", "--tls", "disable", "--pool-max", "20", "--pool-idle", "2m")
    pooling = finance.value("source", "show", "finance", "orders")["pooling"]
    assert (pooling["mode"], pooling["maximum"], pooling["idle_seconds"]) == ("session", 20, 120.0)
    shown = finance.ok("source", "show", "finance", "orders")
    assert "session, 0 to 20 connections, idle 120 s, life 3600 s, queue 10 s" in shown


def test_pooling_is_changed_and_turned_off(finance: CommandLine):
    finance.ok(*ADD, "--no-password", "--tls", "disable")
    finance.ok("source", "pool", "finance", "orders", "--pool-min", "2", "--pool-queue", "30s")
    value = finance.value("source", "pool", "finance", "orders", "--pooling", "off")
    assert value["pooling"] == {
        "mode": "off",
        "minimum": 2,
        "maximum": 100,
        "idle_seconds": 300.0,
        "life_seconds": 3600.0,
        "queue_seconds": 30.0,
    }
    assert value["version"] == 3
    changes = [record for record in finance.records() if record.get("message") == CHANGED]
    modes = [record["unmapped"]["changes"]["pooling"]["mode"] for record in changes]
    assert list(dict.fromkeys(modes)) == ["session", "off"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--pool-max", "0"), "Pool maximum: "),
        (("--pool-min", "101"), "Pool minimum: "),
        (("--pool-idle", "0s"), "Pool idle time: "),
        (("--pool-queue", "1h"), "Pool queue time: "),
    ],
)
def test_a_pool_that_cannot_be_is_refused(
    finance: CommandLine, options: tuple[str, ...], words: str
):
    assert words in finance.refused(*ADD, "--no-password", "--tls", "disable", *options)


def test_a_compressed_source_is_not_pooled(finance: CommandLine):
    packed = ("source", "add", "finance", "shop", "mysql://10.0.0.7/shop", "--username", "app")
    options = ("--no-password", "--tls", "disable", "--compression", "zlib")
    finance.ok(*packed, *options)
    assert finance.value("source", "show", "finance", "shop")["pooling"]["mode"] == "off"
    refused = finance.refused("source", "pool", "finance", "shop", "--pooling", "session")
    assert "a compressed connection is not pooled" in refused


def test_connections_are_pooled_by_transaction_where_it_is_asked_for(finance: CommandLine):
    options = ("--pooling", "transaction", "--pool-max", "20")
    finance.ok(*ADD, "--no-password", "--tls", "disable", *options)
    assert finance.value("source", "show", "finance", "orders")["pooling"]["mode"] == "transaction"
    assert "transaction, 0 to 20 connections" in finance.ok("source", "show", "finance", "orders")
    finance.ok("source", "pool", "finance", "orders", "--pooling", "session")
    value = finance.value("source", "pool", "finance", "orders", "--pooling", "transaction")
    assert value["pooling"]["mode"] == "transaction"


def test_mysql_is_not_pooled_by_transaction(finance: CommandLine):
    shop = ("source", "add", "finance", "shop", "mysql://10.0.0.7/shop", "--username", "app")
    words = finance.refused(*shop, "--no-password", "--tls", "disable", "--pooling", "transaction")
    assert "mysql is not pooled by transaction" in words


def test_a_source_that_asks_for_a_role_is_not_pooled_by_transaction(finance: CommandLine):
    options = ("--pooling", "transaction", "--target-session-attrs", "primary")
    words = finance.refused(*ADD, "--no-password", "--tls", "disable", *options)
    assert "asks for its server's role is not pooled by transaction" in words
