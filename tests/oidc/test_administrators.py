"""Who is an administrator, and what makes nobody one; what a provider may be set to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.oidc.administrators import Administrator, administrator_of
from proxy.oidc.failures import LoginRefused
from proxy.oidc.settings import check_provider, destination
from proxy.store import IdentityProvider, InvalidSetting
from proxy.store.identity import NAME_LIMIT
from proxy.store.records import SealedField

PROVIDER = IdentityProvider(
    id="0" * 32,
    workspace_id="1" * 32,
    issuer="https://idp.example/realms/finance",
    client_id="accode",
    secret=SealedField(1, b"sealed"),
    secret_highest=1,
    redirect_uris=("https://console.example/back",),
    scopes=("openid", "email"),
    claim="groups",
    allowed=("finance-admins", "owners"),
    session_minutes=480,
    set_by="root",
    set_at=datetime(2026, 5, 4, tzinfo=UTC),
)
BY_EMAIL = replace(PROVIDER, claim="email", allowed=("ada@example.com",))
ADA: dict[str, Any] = {
    "sub": "2482",
    "email": "ada@example.com",
    "email_verified": True,
    "groups": ["staff", "owners"],
}


def test_who_has_one_of_the_values_is_known_by_the_verified_address():
    assert administrator_of(PROVIDER, ADA) == Administrator("2482", "ada@example.com")
    assert administrator_of(PROVIDER, ADA | {"groups": "owners"}).subject == "2482"
    assert administrator_of(BY_EMAIL, ADA).name == "ada@example.com"


@pytest.mark.parametrize("verified", [False, None, "true", 1, "yes"])
def test_an_address_that_is_not_verified_is_nobodys(verified: object):
    claims = ADA | {"email_verified": verified}
    assert administrator_of(PROVIDER, claims).name == "2482"
    with pytest.raises(LoginRefused, match="verified"):
        administrator_of(BY_EMAIL, claims)


@pytest.mark.parametrize(
    "groups",
    [
        None,
        [],
        ["staff"],
        "owner",
        "owners,staff",
        True,
        5,
        {"owners": 1},
        ["owners", 5],
        [["owners"]],
    ],
)
def test_whoever_has_none_of_the_values_is_no_administrator(groups: object):
    with pytest.raises(LoginRefused, match="none of the values"):
        administrator_of(PROVIDER, ADA | {"groups": groups})


def test_a_claim_of_too_many_values_has_none():
    with pytest.raises(LoginRefused, match="none of the values"):
        administrator_of(PROVIDER, ADA | {"groups": ["owners", *map(str, range(2_000))]})


@pytest.mark.parametrize("email", ["Ada@example.com", "ada@example.com ", "ada@example.co", ""])
def test_an_address_is_compared_to_the_letter(email: str):
    with pytest.raises(LoginRefused):
        administrator_of(BY_EMAIL, ADA | {"email": email})


@pytest.mark.parametrize("subject", [None, 5, "", "a\nb", " a", "é", "x" * 256])
def test_a_subject_that_cannot_be_recorded_is_refused(subject: object):
    with pytest.raises(LoginRefused, match="subject"):
        administrator_of(PROVIDER, ADA | {"sub": subject})


@pytest.mark.parametrize("email", ["a\nb@example.com", "x" * (NAME_LIMIT + 1), ["ada@example.com"]])
def test_where_the_address_is_no_name_the_subject_is(email: object):
    assert administrator_of(PROVIDER, ADA | {"email": email}).name == "2482"
    with pytest.raises(LoginRefused, match="a name"):
        administrator_of(PROVIDER, ADA | {"email": email, "sub": "x" * 200})


def test_what_is_right_may_be_stored():
    check_provider(PROVIDER)
    check_provider(replace(PROVIDER, redirect_uris=("http://localhost:3000/back",)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("issuer", "http://idp.example"),
        ("issuer", "https://idp.example/?x=1"),
        ("issuer", "https://idp.example/#x"),
        ("issuer", "https://user@idp.example/"),
        ("issuer", "https://0x7f000001/"),
        ("issuer", "https://idp.example/" + "x" * 512),
        ("client_id", ""),
        ("client_id", "two words"),
        ("client_id", "x" * 256),
        ("redirect_uris", ()),
        ("redirect_uris", ("http://console.example/",)),
        ("redirect_uris", ("myapp://back",)),
        ("redirect_uris", ("https://console.example/#x",)),
        ("redirect_uris", ("https://a.example/",) * 2),
        ("redirect_uris", tuple(f"https://a.example/{n}" for n in range(11))),
        ("scopes", ("email",)),
        ("scopes", ("openid", "two words")),
        ("claim", ""),
        ("claim", "aud"),
        ("claim", "nonce"),
        ("claim", "email_verified"),
        ("claim", "two words"),
        ("allowed", ()),
        ("allowed", ("",)),
        ("allowed", ("a\n",)),
        ("session_minutes", 4),
        ("session_minutes", 721),
    ],
)
def test_what_a_provider_may_not_be_is_refused_by_its_field(field: str, value: object):
    with pytest.raises(InvalidSetting) as refused:
        check_provider(replace(PROVIDER, **{field: value}))  # type: ignore[arg-type]
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("issuer", "https://idp.example/realms/sales"),
        ("issuer", "https://idp.example:8443/realms/finance"),
        ("issuer", "https://evil.example/realms/finance"),
        ("client_id", "other"),
    ],
)
def test_another_issuer_or_client_is_another_destination(field: str, value: str):
    changed = replace(PROVIDER, **{field: value})  # type: ignore[arg-type]
    assert destination(changed).digest() != destination(PROVIDER).digest()
    assert destination(replace(PROVIDER, claim="x")) == destination(PROVIDER)
