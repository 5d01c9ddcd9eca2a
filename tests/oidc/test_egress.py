"""Exchanges with a real provider in TLS, and with those that lead elsewhere, stall or flood."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from policies.document import policy_from
from policies.egress import EgressRules
from proxy.gateway.dial import dial
from proxy.oidc.egress import EgressFetch
from proxy.oidc.failures import ProviderFailed
from proxy.oidc.fetching import ANSWER_LIMIT, Request
from tests.oidc.provider import Provider, providing
from tests.servers.certificates import Certificates

OPEN = EgressRules(allow_private=True)


@pytest.fixture
def provider(certificates: Certificates) -> Iterator[Provider]:
    with providing(certificates) as provider:
        yield provider


def believing(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.ca))


def fetch(certificates: Certificates, rules: EgressRules = OPEN, **more: Any) -> EgressFetch:
    return EgressFetch(rules, None, believing(certificates), **more)


async def failure(made: EgressFetch, url: str) -> str:
    with pytest.raises(ProviderFailed) as failed:
        await made(Request(url))
    return str(failed.value)


async def test_an_exchange_goes_in_tls_and_its_answer_comes_whole(
    provider: Provider, certificates: Certificates
):
    made = fetch(certificates)
    answer = await made(Request(f"{provider.issuer}/keys"))
    assert (answer.status, answer.media_type) == (200, "application/json")
    assert b"first" in answer.body
    answer = await made(Request(f"{provider.issuer}/token", "code=x&code_verifier=y", "Basic Og=="))
    assert answer.status == 401
    assert provider.asked == ["/keys", "/token"]


async def test_a_redirect_is_not_followed(provider: Provider, certificates: Certificates):
    elsewhere = {"Location": f"{provider.issuer}/keys"}
    provider.answers["/moved"] = (302, elsewhere, b"")
    answer = await fetch(certificates)(Request(f"{provider.issuer}/moved"))
    assert (answer.status, provider.asked) == (302, ["/moved"])


async def test_an_answer_is_not_larger_than_one_may_be(
    provider: Provider, certificates: Certificates
):
    provider.answers["/large"] = (200, {}, b"x" * (ANSWER_LIMIT + 1))
    provider.answers["/full"] = (200, {}, b"x" * ANSWER_LIMIT)
    made = fetch(certificates)
    assert "more than 65536 bytes" in await failure(made, f"{provider.issuer}/large")
    assert len((await made(Request(f"{provider.issuer}/full"))).body) == ANSWER_LIMIT


async def test_a_head_is_not_larger_than_one_may_be(provider: Provider, certificates: Certificates):
    provider.answers["/head"] = (200, {"X-Long": "x" * 40_000}, b"")
    assert "in HTTP" in await failure(fetch(certificates), f"{provider.issuer}/head")


async def test_who_does_not_answer_in_time_is_not_waited_for(
    provider: Provider, certificates: Certificates
):
    provider.hold = True
    made = fetch(certificates, seconds=0.3)
    assert "within 0.3 seconds" in await failure(made, f"{provider.issuer}/keys")


async def test_a_certificate_must_be_of_that_name_and_authority(certificates: Certificates):
    for name in ("server-other-ca", "server-expired", "server-wrong-host", "server-self-signed"):
        with providing(certificates, name) as provider:
            said = await failure(fetch(certificates), f"{provider.issuer}/keys")
        assert "certificate" in said, name
        assert provider.asked == []


async def test_plain_http_and_what_is_no_address_is_not_called(certificates: Certificates):
    for url in ("http://localhost/", "https://user@localhost/", "file:///etc/passwd", "", "https:"):
        assert "not https" in await failure(fetch(certificates), url)


async def test_a_private_address_is_refused_whatever_name_leads_to_it(
    provider: Provider, certificates: Certificates
):
    async def resolve(name: str, port: int) -> list[Any]:
        return [ip_address("127.0.0.1")]

    async def connect(host: str, port: int, rules: EgressRules) -> Any:
        return await dial(host, port, rules, resolve)

    closed = EgressRules()
    made = fetch(certificates, closed, connect=connect)
    urls = [f"https://{host}:{provider.port}/keys" for host in ("idp.example", "127.0.0.1")]
    said = {await failure(made, url) for url in urls}
    # The same as where nobody is: it is no scanner of what is inside.
    said.add(await failure(fetch(certificates), "https://localhost:1/"))
    said.add(await failure(fetch(certificates), f"https://127.0.0.1:{22}/"))
    assert said == {"the identity provider cannot be reached"}
    assert provider.asked == []


async def test_a_workspaces_policy_may_open_a_private_network(
    provider: Provider, certificates: Certificates
):
    policy = policy_from(
        {"version": 1, "access": "full", "upstream": {"private": ["127.0.0.0/8", "::1/128"]}}
    )
    made = EgressFetch(EgressRules(), policy, believing(certificates))
    assert (await made(Request(f"https://127.0.0.1:{provider.port}{provider.path}/keys"))).status
    assert provider.asked == ["/keys"]
