from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from protocols.mysql.log_in import METHODS as MYSQL_METHODS
from protocols.postgres.log_in import METHODS
from proxy.store.engines import ENGINES
from proxy.store.errors import InvalidName, InvalidSetting
from proxy.store.records import CredentialField, Source, TlsSettings
from proxy.store.validate import (
    check_name,
    check_secrets,
    check_source,
    is_name,
)
from tests.servers.certificates import Certificates

NOW = datetime(2026, 5, 4, tzinfo=UTC)

GOOD = Source(
    id="1" * 32,
    workspace_id="2" * 32,
    name="orders",
    engine="postgresql",
    host="db.example",
    port=5432,
    database="orders",
    username="app",
    tls=TlsSettings(),
    auth_methods=ENGINES["postgresql"].default,
)


@pytest.mark.parametrize("name", ["a", "0", "finance", "a-b_c", "9-", "a" * 63])
def test_a_name_in_the_grammar_is_taken(name: str):
    check_name(name)


@given(st.text(max_size=70))
def test_a_name_is_made_of_the_grammar_alone(name: str):
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    expected = 1 <= len(name) <= 63 and set(name) <= allowed and name[0] not in "_-"
    assert is_name(name) == expected


def test_a_refused_name_is_not_repeated():
    with pytest.raises(InvalidName) as caught:
        check_name("hunter2 secret")
    assert "hunter2" not in str(caught.value)


def test_a_good_source_is_taken():
    check_source(GOOD, NOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Orders"),
        ("engine", "oracle"),
        ("host", ""),
        ("host", "db.example/x"),
        ("host", "a,b"),
        ("host", "u@db.example"),
        ("host", "0x7f.1"),
        ("port", 0),
        ("port", 65536),
        ("port", -1),
        ("database", ""),
        ("database", "a\0b"),
        ("database", "a\nb"),
        ("database", "ä" * 65),
        ("username", ""),
        ("username", "a\0b"),
        ("auth_methods", frozenset()),
        ("auth_methods", frozenset({"gss"})),
        ("auth_methods", frozenset({"cert"})),
        ("auth_methods", frozenset({"trust", "md5"})),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(field: str, value: Any):
    with pytest.raises(InvalidSetting) as caught:
        check_source(replace(GOOD, **{field: value}), NOW)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


def test_methods_are_those_the_protocol_knows_and_the_defaults_are_scram():
    assert ENGINES["postgresql"].methods == METHODS
    assert ENGINES["postgresql"].default == {"scram-sha-256", "scram-sha-256-plus"}
    assert ENGINES["mysql"].password == MYSQL_METHODS
    assert ENGINES["mysql"].default == MYSQL_METHODS - {"mysql_clear_password"}


@pytest.mark.parametrize("mode", ["disable", "require"])
def test_cleartext_needs_a_verified_server(mode: Any):
    source = replace(GOOD, tls=TlsSettings(mode=mode), auth_methods=frozenset({"cleartext"}))
    with pytest.raises(InvalidSetting, match="cleartext needs TLS mode"):
        check_source(source, NOW)
    check_source(replace(source, tls=TlsSettings()), NOW)


SERVER_KEY = (
    rsa.generate_private_key(65_537, 2_048)
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
MYSQL = replace(GOOD, engine="mysql", port=3306, auth_methods=ENGINES["mysql"].default)


def test_mysql_has_methods_of_its_own():
    check_source(MYSQL, NOW)
    with pytest.raises(InvalidSetting, match="auth_methods"):
        check_source(replace(MYSQL, auth_methods=frozenset({"scram-sha-256"})), NOW)
    with pytest.raises(InvalidSetting, match="auth_methods"):
        check_source(replace(GOOD, auth_methods=ENGINES["mysql"].default), NOW)


def test_compression_is_of_an_engine_that_knows_it():
    for name in ("", "zlib", "zstd"):
        check_source(replace(MYSQL, compression=name), NOW)
    for source in (replace(MYSQL, compression="lz4"), replace(GOOD, compression="zlib")):
        with pytest.raises(InvalidSetting, match="compression"):
            check_source(source, NOW)


@pytest.mark.parametrize("mode", ["disable", "require"])
def test_mysqls_cleartext_needs_a_verified_server(mode: Any):
    methods = frozenset({"mysql_clear_password"})
    source = replace(MYSQL, tls=TlsSettings(mode=mode), auth_methods=methods)
    with pytest.raises(InvalidSetting, match="mysql_clear_password needs TLS mode"):
        check_source(source, NOW)
    check_source(replace(source, tls=TlsSettings()), NOW)


def test_a_servers_key_is_for_engines_that_encrypt_with_it():
    with pytest.raises(InvalidSetting, match="postgresql has no use"):
        check_source(replace(GOOD, tls=TlsSettings(server_key_pem=SERVER_KEY)), NOW)


def test_direct_tls_is_for_engines_that_speak_it():
    tls = TlsSettings(negotiation="direct")
    check_source(replace(GOOD, tls=tls), NOW)
    with pytest.raises(InvalidSetting, match="mysql servers expect to be asked"):
        check_source(replace(MYSQL, tls=tls), NOW)


def test_channel_binding_alone_needs_tls():
    source = replace(
        GOOD, tls=TlsSettings(mode="disable"), auth_methods=frozenset({"scram-sha-256-plus"})
    )
    with pytest.raises(InvalidSetting, match="scram-sha-256-plus needs TLS"):
        check_source(source, NOW)


def fields(*names: CredentialField) -> frozenset[CredentialField]:
    return frozenset(names)


def test_trust_is_only_where_nothing_is_stored():
    source = replace(GOOD, auth_methods=frozenset({"trust"}))
    check_secrets(source, fields())
    with pytest.raises(InvalidSetting):
        check_secrets(source, fields("password"))


@pytest.mark.parametrize("method", ["scram-sha-256", "scram-sha-256-plus", "md5", "cleartext"])
def test_a_method_with_a_password_needs_one(method: str):
    source = replace(GOOD, auth_methods=frozenset({method}))
    check_secrets(source, fields("password"))
    with pytest.raises(InvalidSetting, match=r"^password: "):
        check_secrets(source, fields())


def test_a_client_certificate_and_its_key_go_together(certificates: Certificates):
    pem = certificates.certificate("client").read_text()
    source = replace(GOOD, tls=TlsSettings(client_cert_pem=pem), auth_methods=frozenset({"cert"}))
    check_source(source, NOW)
    check_secrets(source, fields("client_key"))
    for secrets in (fields(), fields("password")):
        with pytest.raises(InvalidSetting):
            check_secrets(source, secrets)
    with pytest.raises(InvalidSetting, match=r"^client_key: "):
        check_secrets(GOOD, fields("password", "client_key"))


def test_an_unknown_secret_is_refused():
    with pytest.raises(InvalidSetting, match=r"^credential: "):
        check_secrets(GOOD, frozenset({"password", "pin"}))  # type: ignore[arg-type]
