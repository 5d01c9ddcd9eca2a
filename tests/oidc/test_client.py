"""The conversation, with a provider that is a table of answers: what is asked, and how often."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import ECKey

from proxy.oidc.authentication import Turned
from proxy.oidc.client import AT_ONCE_OF_ONE, REMEMBERED_SECONDS, Client, Way
from proxy.oidc.failures import Busy, LoginRefused, ProviderFailed, UnknownKey
from proxy.oidc.fetching import Answer, FakeFetch, Request
from proxy.oidc.id_token import Expected
from tests.oidc.provider import signed
from tests.oidc.test_administrators import PROVIDER
from tests.oidc.test_discovery import ISSUER, RIGHT
from vault import Secret

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
WAY = Way("https://console.example/back", "the-state", "the-nonce", "the-verifier")
TURNED = Turned("the-code", WAY.verifier, WAY.redirect_uri)
EXPECTED = Expected(ISSUER, "accode", WAY.nonce, NOW, NOW)
DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"


class Table:
    """A provider's answers, which a test changes."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.key = ECKey.generate_key("P-256", {"kid": "first"})
        self.document: dict[str, Any] = dict(RIGHT)
        self.token: Callable[[], Answer] = self.right
        self.fetch = FakeFetch(
            {
                DISCOVERY: lambda _: as_json(self.document),
                RIGHT["jwks_uri"]: lambda _: as_json({"keys": [self.key.as_dict(private=False)]}),
                RIGHT["token_endpoint"]: lambda _: self.token(),
            }
        )
        self.client = Client(lambda: self.seconds)

    def right(self) -> Answer:
        at = int(NOW.timestamp())
        claims = {"iss": ISSUER, "aud": "accode", "sub": "1", "nonce": "the-nonce"}
        return as_json({"id_token": signed(claims | {"iat": at, "exp": at + 60}, self.key)})

    async def claims(self, issuer: str | None = None) -> dict[str, Any]:
        return await self.client.claims_for(
            self.fetch, PROVIDER, lambda: Secret(b"p:ss word"), TURNED, EXPECTED, issuer
        )

    def asked(self) -> list[str]:
        """What has been asked since the last time."""
        found = [request.url.rpartition("/")[2] for request in self.fetch.asked]
        self.fetch.asked.clear()
        return found


def as_json(value: Any, status: int = 200) -> Answer:
    return Answer(status, "application/json", json.dumps(value).encode())


@pytest.fixture
def table() -> Table:
    return Table()


async def test_a_user_is_sent_with_pkce_state_and_nonce(table: Table):
    table.document["authorization_endpoint"] += "?realm=one"
    address = await table.client.address_for(table.fetch, PROVIDER, WAY)
    query = parse_qs(urlsplit(address).query)
    assert query == {
        "realm": ["one"],
        "response_type": ["code"],
        "client_id": ["accode"],
        "redirect_uri": ["https://console.example/back"],
        "scope": ["openid email"],
        "state": ["the-state"],
        "nonce": ["the-nonce"],
        # SHA-256 of "the-verifier", by OpenSSL.
        "code_challenge": ["sP6XQ2T7IHwj7eBkdcI9xyC8WxEik0RMQk0tVGDKZPI"],
        "code_challenge_method": ["S256"],
    }


async def test_a_code_is_turned_in_with_the_secret_and_the_verifier(table: Table):
    assert (await table.claims())["sub"] == "1"
    request = table.fetch.asked[1]
    assert parse_qs(request.form or "") == {
        "grant_type": ["authorization_code"],
        "code": ["the-code"],
        "redirect_uri": ["https://console.example/back"],
        "code_verifier": ["the-verifier"],
    }
    scheme, _, pair = (request.authorization or "").partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"accode:p%3Ass+word")
    for shown in ("the-code", "the-verifier", pair, "word"):
        assert shown not in repr(request) + repr(TURNED) + repr(WAY)


async def test_where_the_provider_wants_it_the_secret_is_in_the_body(table: Table):
    table.document["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    await table.claims()
    form = parse_qs(table.fetch.asked[1].form or "")
    assert (form["client_id"], form["client_secret"]) == (["accode"], ["p:ss word"])
    assert table.fetch.asked[1].authorization is None


async def test_what_was_learnt_is_remembered_for_a_while(table: Table):
    await table.claims()
    assert table.asked() == ["openid-configuration", "token", "keys"]
    table.seconds += REMEMBERED_SECONDS - 1
    await table.claims()
    assert table.asked() == ["token"]
    table.seconds += 1
    await table.claims()
    assert table.asked() == ["openid-configuration", "token", "keys"]


async def test_of_a_changed_provider_nothing_is_remembered(table: Table):
    await table.client.address_for(table.fetch, PROVIDER, WAY)
    changed = replace(PROVIDER, version=2)
    await table.client.address_for(table.fetch, changed, WAY)
    assert table.asked() == ["openid-configuration"] * 2


async def test_keys_are_asked_for_once_more_where_one_is_not_known(table: Table):
    await table.claims()
    table.asked()
    table.key = ECKey.generate_key("P-256", {"kid": "second"})
    table.seconds += 60
    await table.claims()
    assert table.asked() == ["token", "keys"]


async def test_an_unknown_key_is_no_reason_to_ask_again_and_again(table: Table):
    other = ECKey.generate_key("P-256", {"kid": "nobodys"})
    right = table.right
    await table.claims()

    def forged() -> Answer:
        key, table.key = table.key, other
        try:
            return right()
        finally:
            table.key = key

    table.token = forged
    table.seconds += 60
    table.asked()
    for expected in (["token", "keys"], ["token"], ["token"]):
        with pytest.raises(UnknownKey):
            await table.claims()
        assert table.asked() == expected
    table.seconds += 10
    with pytest.raises(UnknownKey):
        await table.claims()
    assert table.asked() == ["token", "keys"]


async def test_who_came_back_from_elsewhere_has_no_code_turned_in(table: Table):
    """RFC 9207: a code of another provider would be given to this one (mix-up)."""
    with pytest.raises(LoginRefused, match="another issuer"):
        await table.claims("https://evil.example")
    assert table.asked() == ["openid-configuration"]
    assert await table.claims(ISSUER)
    table.document["authorization_response_iss_parameter_supported"] = True
    table.seconds += REMEMBERED_SECONDS
    table.asked()
    with pytest.raises(LoginRefused, match="did not name itself"):
        await table.claims()
    assert table.asked() == ["openid-configuration"]
    assert await table.claims(ISSUER)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (as_json({"error": "invalid_grant"}, 400), LoginRefused, "refused the code: invalid_grant"),
        (as_json({"error": "invalid_client"}, 401), LoginRefused, "invalid_client"),
        (as_json({"error": "the-code"}, 400), ProviderFailed, "status 400"),
        (as_json({"error": ["invalid_grant"]}, 400), ProviderFailed, "status 400"),
        (as_json({}, 500), ProviderFailed, "status 500"),
        (as_json({}, 302), ProviderFailed, "status 302"),
        (Answer(200, "text/html", b"<html>"), ProviderFailed, "JSON"),
        (as_json([]), ProviderFailed, "object"),
        (as_json({"access_token": "x"}), LoginRefused, "no ID token"),
    ],
)
async def test_an_answer_to_the_code_that_is_none_is_refused(
    table: Table, answer: Answer, kind: type[Exception], said: str
):
    table.token = lambda: answer
    with pytest.raises(kind, match=said) as failed:
        await table.claims()
    assert "the-code" not in str(failed.value)


async def test_a_description_that_is_wrong_is_not_remembered(table: Table):
    table.document["issuer"] = "https://evil.example"
    with pytest.raises(ProviderFailed):
        await table.client.address_for(table.fetch, PROVIDER, WAY)
    table.document["issuer"] = ISSUER
    assert await table.client.address_for(table.fetch, PROVIDER, WAY)


async def test_a_slow_provider_keeps_no_other_waiting(table: Table):
    release = asyncio.Event()

    async def slow(request: Request) -> Answer:
        await release.wait()
        return as_json(table.document)

    client = Client(lambda: 0.0)
    waiting = [
        asyncio.create_task(client.address_for(slow, PROVIDER, WAY)) for _ in range(AT_ONCE_OF_ONE)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await client.address_for(slow, PROVIDER, WAY)
    other = replace(PROVIDER, id="another")
    assert await client.address_for(table.fetch, other, WAY)
    release.set()
    await asyncio.gather(*waiting)
    assert await client.address_for(table.fetch, PROVIDER, WAY)
