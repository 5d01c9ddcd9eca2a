import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from proxy.store.errors import InvalidSetting, StoreCorrupt
from proxy.store.records import TlsSettings
from proxy.store.tls import check_client_key, check_tls, from_json, identity, to_json
from tests.servers.certificates import Certificates

NOW = datetime(2026, 5, 4, tzinfo=UTC)


def a_pin(key: bytes) -> str:
    return "sha256/" + base64.b64encode(hashlib.sha256(key).digest()).decode()


PINS = (a_pin(b"now"), a_pin(b"in reserve"))
NO_LIST = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
LEGACY = TlsSettings(
    profile="legacy",
    pins=PINS,
    owner="Dana Example",
    reason="MySQL 5.5 until the move in autumn",
    expires_at=NOW + timedelta(days=90),
)


@pytest.mark.parametrize("mode", ["disable", "require", "verify-ca", "verify-full"])
def test_each_mode_is_taken_alone(mode: Any):
    check_tls(TlsSettings(mode=mode), NOW)


@pytest.mark.parametrize("profile", ["modern", "intermediate"])
def test_the_strong_profiles_need_no_reason(profile: Any):
    check_tls(TlsSettings(profile=profile), NOW)


def test_verification_is_the_default():
    assert TlsSettings().mode == "verify-full"
    assert TlsSettings().profile == "intermediate"


@pytest.mark.parametrize("profile", ["compat", "legacy"])
def test_a_weak_profile_is_taken_with_all_it_needs(profile: Any):
    check_tls(replace(LEGACY, profile=profile), NOW)
    check_tls(replace(LEGACY, profile=profile, mode="require"), NOW)


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("tls.mode", TlsSettings(mode="prefer")),  # type: ignore[arg-type]
        ("tls.profile", TlsSettings(profile="old")),  # type: ignore[arg-type]
        ("tls.mode", TlsSettings(mode="disable", profile="modern")),
        ("tls.mode", TlsSettings(mode="disable", server_name="db.example")),
        ("tls.mode", TlsSettings(mode="disable", pins=PINS)),
        ("tls.server_name", TlsSettings(server_name="db example")),
        ("tls.pins", TlsSettings(pins=PINS[:1])),
        ("tls.pins", TlsSettings(pins=PINS[:1] * 2)),
        ("tls.pins", TlsSettings(pins=tuple(a_pin(bytes([n])) for n in range(9)))),
        ("tls.pins", TlsSettings(pins=(PINS[0], PINS[1][7:]))),
        ("tls.pins", TlsSettings(pins=(PINS[0], PINS[1] + "\n"))),
        ("tls.ca", TlsSettings(ca_pem="not a certificate")),
        ("tls.ca", TlsSettings(ca_pem="")),
        ("tls.ca", TlsSettings(ca_pem="x" * 70_000)),
        ("tls.ca", TlsSettings(mode="require", ca_pem="anything")),
        ("tls.client_cert", TlsSettings(client_cert_pem="not a certificate")),
        ("tls.crl", TlsSettings(crl_pem="no list")),
        ("tls.crl", TlsSettings(crl_pem="")),
        ("tls.crl", TlsSettings(crl_pem=NO_LIST)),
        ("tls.crl", TlsSettings(crl_pem="x" * 300_000)),
        ("tls.crl", TlsSettings(mode="require", crl_pem="anything")),
        ("tls.negotiation", TlsSettings(negotiation="postgres")),  # type: ignore[arg-type]
        ("tls.mode", TlsSettings(mode="disable", negotiation="direct")),
        ("tls.profile", TlsSettings(owner="Dana")),
        ("tls.profile", TlsSettings(profile="modern", reason="why not")),
        ("tls.profile", TlsSettings(expires_at=NOW)),
        ("tls.owner", replace(LEGACY, owner=None)),
        ("tls.owner", replace(LEGACY, owner="")),
        ("tls.owner", replace(LEGACY, owner="a\nb")),
        ("tls.reason", replace(LEGACY, reason=None)),
        ("tls.reason", replace(LEGACY, reason="x" * 501)),
        ("tls.expires_at", replace(LEGACY, expires_at=None)),
        ("tls.expires_at", replace(LEGACY, expires_at=NOW)),
        ("tls.expires_at", replace(LEGACY, expires_at=NOW + timedelta(days=367))),
        ("tls.expires_at", replace(LEGACY, expires_at=datetime(2026, 8, 1))),  # noqa: DTZ001
        ("tls.profile", replace(LEGACY, pins=())),
        ("tls.profile", replace(LEGACY, profile="compat", pins=())),
    ],
)
def test_what_does_not_go_together_is_refused_by_the_name_of_its_field(
    field: str, settings: TlsSettings
):
    with pytest.raises(InvalidSetting) as caught:
        check_tls(settings, NOW)
    assert caught.value.field == field


def test_a_ca_of_its_own_stands_for_pins(certificates: Certificates):
    check_tls(replace(LEGACY, pins=(), ca_pem=certificates.ca.read_text()), NOW)


def test_revocation_lists_stand_alone_in_their_file(certificates: Certificates):
    lists = certificates.crl("ca").read_text() + "\n" + certificates.crl("other-ca").read_text()
    settings = TlsSettings(crl_pem=lists)
    check_tls(settings, NOW)
    assert from_json(to_json(settings)) == settings
    # Loaded by OpenSSL, a certificate beside them would be believed as an authority.
    for more in (certificates.ca.read_text(), certificates.key("client").read_text(), "# words"):
        with pytest.raises(InvalidSetting, match="and nothing else"):
            check_tls(TlsSettings(crl_pem=lists + more), NOW)


def test_how_tls_begins_is_no_identity():
    assert identity(TlsSettings(negotiation="direct")) == identity(TlsSettings())


def test_a_key_and_a_list_are_two_things():
    assert identity(TlsSettings(server_key_pem="ab")) != identity(
        TlsSettings(server_key_pem="a", crl_pem="b")
    )


@pytest.mark.parametrize("field", ["ca_pem", "client_cert_pem"])
def test_a_private_key_among_certificates_is_refused(certificates: Certificates, field: str):
    pem = certificates.ca.read_text() + certificates.key("client").read_text()
    with pytest.raises(InvalidSetting, match="holds a private key"):
        check_tls(TlsSettings(**{field: pem}), NOW)  # type: ignore[arg-type]


def test_an_exception_ends_at_its_date():
    assert not LEGACY.has_expired(NOW + timedelta(days=89))
    assert LEGACY.has_expired(NOW + timedelta(days=90))
    assert not TlsSettings().has_expired(NOW)


def test_a_client_key_must_fit_its_certificate(certificates: Certificates):
    tls = TlsSettings(client_cert_pem=certificates.certificate("client").read_text())
    check_client_key(tls, certificates.key("client").read_bytes())
    with pytest.raises(InvalidSetting, match="does not belong"):
        check_client_key(tls, certificates.key("server").read_bytes())
    with pytest.raises(InvalidSetting, match="no unencrypted private key") as caught:
        check_client_key(tls, b"hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("settings", [TlsSettings(), LEGACY, TlsSettings(mode="disable")])
def test_settings_are_stored_and_read_back(settings: TlsSettings):
    assert from_json(to_json(settings)) == settings


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{}", '"x"'),
        to_json(TlsSettings())[:-1] + ', "more": 1}',
        to_json(TlsSettings()).replace('"pins": []', '"pins": null'),
        to_json(TlsSettings()).replace('"expires_at": null', '"expires_at": 1e300'),
    ],
)
def test_anything_else_in_their_place_is_corrupt(text: str):
    with pytest.raises(StoreCorrupt):
        from_json(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "verify-ca"},
        {"server_name": "db.example"},
        {"server_name": ""},
        {"ca_pem": "a"},
        {"client_cert_pem": "a"},
        {"pins": PINS},
        {"server_key_pem": "a"},
        {"crl_pem": "a"},
    ],
)
def test_all_that_recognises_the_server_is_its_identity(changes: dict[str, Any]):
    assert identity(replace(TlsSettings(), **changes)) != identity(TlsSettings())


def test_settings_of_before_there_were_server_keys_are_read():
    text = to_json(TlsSettings())
    text = text[: text.index(', "server_key_pem"')] + "}"
    assert from_json(text) == TlsSettings()


def public_key(bits: int) -> str:
    key = rsa.generate_private_key(65_537, bits).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def test_a_servers_key_may_be_pinned_without_tls():
    settings = TlsSettings(mode="disable", server_key_pem=public_key(2_048))
    check_tls(settings, NOW)
    assert from_json(to_json(settings)) == settings


@pytest.mark.parametrize("pem", ["", "no key", public_key(1_024), "x" * 5_000])
def test_a_servers_key_is_an_rsa_key_of_a_size_that_protects(pem: str):
    with pytest.raises(InvalidSetting, match=r"tls\.server_key"):
        check_tls(TlsSettings(server_key_pem=pem), NOW)


def test_neither_the_profile_nor_the_order_of_pins_is():
    assert identity(LEGACY) == identity(TlsSettings(pins=PINS[::-1]))


def test_one_text_in_two_places_gives_two_identities():
    assert identity(TlsSettings(ca_pem="a")) != identity(TlsSettings(client_cert_pem="a"))
