"""Discovery documents: right ones, and those that are somebody else's or promise too little."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.oidc.discovery import discovery_address, read_metadata
from proxy.oidc.failures import ProviderFailed
from proxy.oidc.fetching import Answer, parse_object, read_object

ISSUER = "https://idp.example/realms/finance"
RIGHT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://idp.example/authorize",
    "token_endpoint": "https://tokens.example:8443/token",
    "jwks_uri": "https://idp.example/keys",
    "response_types_supported": ["code", "id_token"],
    "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"],
}


def test_what_is_used_of_it():
    found = read_metadata(RIGHT, ISSUER)
    assert found.token_endpoint == "https://tokens.example:8443/token"
    assert (found.authentication, found.promises_issuer) == ("client_secret_basic", False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": "https://idp.example/realms/sales"}, "another issuer"),
        ({"issuer": ISSUER + "/"}, "another issuer"),
        ({"issuer": None}, "another issuer"),
        ({"authorization_endpoint": "http://idp.example/authorize"}, "https"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "https"),
        ({"authorization_endpoint": None}, "https"),
        ({"token_endpoint": "https://user:password@idp.example/"}, "https"),
        ({"token_endpoint": "https://idp.example/token#x"}, "https"),
        ({"jwks_uri": ["https://idp.example/keys"]}, "https"),
        ({"jwks_uri": "file:///etc/passwd"}, "https"),
        ({"jwks_uri": "https://idp.example/" + "x" * 512}, "https"),
        ({"response_types_supported": ["id_token"]}, "code flow"),
        ({"response_types_supported": None}, "no list"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
        ({"code_challenge_methods_supported": "S256"}, "no list"),
        ({"id_token_signing_alg_values_supported": ["none", "HS256"]}, "algorithm"),
        ({"id_token_signing_alg_values_supported": [5]}, "no list"),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "client secret"),
        ({"authorization_response_iss_parameter_supported": "yes"}, "not as it must be"),
    ],
)
def test_what_cannot_be_used_is_refused(changes: dict[str, Any], said: str):
    with pytest.raises(ProviderFailed, match=said):
        read_metadata(RIGHT | changes, ISSUER)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["client_secret_post", "client_secret_basic"], "client_secret_basic"),
        (["client_secret_post"], "client_secret_post"),
    ],
)
def test_the_client_proves_itself_as_the_provider_takes_it(offered: list[str], chosen: str):
    document = RIGHT | {"token_endpoint_auth_methods_supported": offered}
    assert read_metadata(document, ISSUER).authentication == chosen


@pytest.mark.parametrize("issuer", [ISSUER, ISSUER + "/"])
def test_the_documents_address_is_behind_the_issuer(issuer: str):
    assert discovery_address(issuer) == f"{ISSUER}/.well-known/openid-configuration"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(302, "application/json", b"{}"),
        Answer(204, "application/json", b"{}"),
        Answer(500, "application/json", b"{}"),
        Answer(200, "text/html", b"{}"),
        Answer(200, "", b"{}"),
        Answer(200, "application/json", b"[]"),
        Answer(200, "application/json", b"\xff"),
        Answer(200, "application/json", b'{"issuer": 1, "issuer": 2}'),
        Answer(200, "application/json", b"[" * 60_000),
    ],
)
def test_an_answer_that_is_none_is_refused(answer: Answer):
    with pytest.raises(ProviderFailed, match="the document"):
        read_object(answer, "the document")


def test_a_set_of_keys_may_have_its_own_media_type():
    assert read_object(Answer(200, "application/jwk-set+json", b'{"a": 1}'), "x") == {"a": 1}


def test_an_integer_of_many_digits_is_no_error_of_ours():
    assert parse_object(b'{"a": ' + b"9" * 5_000 + b"}") is None
