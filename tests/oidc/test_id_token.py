"""ID tokens that are believed, and what others have signed, changed or left out."""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from proxy.oidc.failures import LoginRefused, ProviderFailed, UnknownKey
from proxy.oidc.id_token import ALGORITHMS, LEEWAY, TOKEN_LIMIT, Expected, verify
from proxy.oidc.signing_keys import KEYS_LIMIT, KeyRing
from tests.oidc.provider import PrivateKey, segment, signed

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
EXPECTED = Expected("https://idp.example", "accode", "n-0S6", NOW - timedelta(minutes=2), NOW)
EC = ECKey.generate_key("P-256", {"kid": "ec"})
EC384 = ECKey.generate_key("P-384", {"kid": "ec384"})
EC521 = ECKey.generate_key("P-521", {"kid": "ec521"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
OTHER = ECKey.generate_key("P-256", {"kid": "ec"})
OF: dict[str, PrivateKey] = {"RS": RSA, "PS": RSA, "ES256": EC, "ES384": EC384, "ES512": EC521}


def public(*keys: PrivateKey) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


RING = KeyRing.read(public(EC, EC384, EC521, RSA, ED))


def claims(**changes: Any) -> dict[str, Any]:
    """Right ones; a change to None leaves one out."""
    seconds = int(NOW.timestamp())
    right = {
        "iss": "https://idp.example",
        "sub": "248289761001",
        "aud": "accode",
        "exp": seconds + 300,
        "iat": seconds,
        "nonce": "n-0S6",
    }
    return {name: value for name, value in (right | changes).items() if value is not None}


def refusal(token: object, keys: KeyRing = RING) -> str:
    with pytest.raises(LoginRefused) as refused:
        verify(token, keys, EXPECTED)
    return str(refused.value)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_that_is_believed_is(algorithm: str):
    key = ED if algorithm == "Ed25519" else OF.get(algorithm) or OF[algorithm[:2]]
    assert verify(signed(claims(), key, algorithm), RING, EXPECTED) == claims()


def test_another_ones_signature_and_a_changed_payload_are_refused():
    assert refusal(signed(claims(), OTHER)) == "the ID token is not signed as it must be"
    head, _, mac = signed(claims(), EC).split(".")
    changed = f"{head}.{segment(claims(sub='root'))}.{mac}"
    assert refusal(changed) == "the ID token is not signed as it must be"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS256", "HS512", "EdDSA"])
def test_an_algorithm_that_is_not_on_the_list_is_refused(algorithm: str):
    for tail in ("", ".AAAA"):
        token = f"{segment({'alg': algorithm, 'kid': 'rsa'})}.{segment(claims())}{tail or '.'}"
        assert "algorithm" in refusal(token)


def test_the_public_key_is_no_secret_of_a_mac():
    """The forgery by which libraries were taken in: HS256 with the public key as its secret."""
    text = RSA.as_pem(private=False)
    for secret in (text, text.strip(), json.dumps(RSA.as_dict(private=False)).encode()):
        content = f"{segment({'alg': 'HS256', 'kid': 'rsa'})}.{segment(claims())}"
        mac = segment(hmac.digest(secret, content.encode(), "sha256"))
        assert "algorithm" in refusal(f"{content}.{mac}")


def test_a_symmetric_key_in_the_set_is_passed_over():
    keys = {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}, *public(EC)["keys"]]}
    assert verify(signed(claims(), EC), KeyRing.read(keys), EXPECTED)
    with pytest.raises(ProviderFailed, match="holds none"):
        KeyRing.read({"keys": keys["keys"][:1]})


def test_a_key_in_the_tokens_own_head_is_not_looked_at():
    own = OTHER.as_dict(private=False)
    assert refusal(signed(claims(), OTHER, jwk=own)) == "the ID token is not signed as it must be"
    assert refusal(signed(claims(), OTHER, jku="https://evil.example/keys"))


def test_an_algorithm_is_of_its_kind_of_key():
    # As ES256, with the name of an RSA key: there is no such key.
    with pytest.raises(UnknownKey):
        verify(signed(claims(), EC, kid="rsa"), RING, EXPECTED)
    with pytest.raises(UnknownKey):
        verify(f"{segment({'alg': 'ES256', 'kid': 'ec384'})}.e30.AAAA", RING, EXPECTED)


def test_a_key_is_found_by_its_name_and_without_one_where_there_is_one():
    with pytest.raises(UnknownKey):
        verify(signed(claims(), EC, kid="gone"), RING, EXPECTED)
    unnamed = ECKey.generate_key("P-256")
    token = jws.serialize_compact(
        {"alg": "ES256"}, json.dumps(claims()).encode(), unnamed, ["ES256"]
    )
    plain = {name: value for name, value in unnamed.as_dict(private=False).items() if name != "kid"}
    one = KeyRing.read({"keys": [plain]})
    assert verify(token, one, EXPECTED)
    two = KeyRing.read({"keys": [plain, *public(EC)["keys"]]})
    with pytest.raises(UnknownKey):
        verify(token, two, EXPECTED)


def test_a_key_to_encrypt_with_is_none_of_those_to_be_chosen_from():
    other = OTHER.as_dict(private=False) | {"use": "enc"}
    ring = KeyRing.read({"keys": [other, *public(EC)["keys"]]})
    assert verify(signed(claims(), EC), ring, EXPECTED)


@pytest.mark.parametrize("bits", [1_024, 2_047, 8_193, 12_000])
def test_an_rsa_key_is_as_long_as_is_safe_and_no_longer_than_is_quick(bits: int):
    modulus = (1 << bits) - 1
    raw = modulus.to_bytes((bits + 7) // 8, "big")
    weak = {"kty": "RSA", "n": segment(raw), "e": "AQAB", "kid": "weak"}
    with pytest.raises(ProviderFailed, match="holds none"):
        KeyRing.read({"keys": [weak]})
    ring = KeyRing.read({"keys": [weak, *public(RSA)["keys"]]})
    with pytest.raises(UnknownKey):
        ring.find(("RSA", ""), "weak")


def test_two_keys_of_one_name_are_none():
    ring = KeyRing.read(public(EC, OTHER))
    with pytest.raises(UnknownKey):
        verify(signed(claims(), EC), ring, EXPECTED)


def test_a_key_for_something_else_is_not_believed():
    for change in ({"use": "enc"}, {"alg": "ES384"}, {"key_ops": ["encrypt"]}):
        ring = {"keys": [EC.as_dict(private=False) | change, *public(RSA)["keys"]]}
        assert refusal(signed(claims(), EC), KeyRing.read(ring))


@pytest.mark.parametrize(
    "key",
    [
        5,
        {},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "n": 5, "e": 6},
        {"kty": "RSA", "n": "A" * 2_000, "e": "AQAB"},
        {"kty": ["RSA"], "n": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "nope", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        RSA.as_dict(private=False) | {"kid": 7},
    ],
)
def test_what_is_no_key_is_passed_over(key: object):
    ring = KeyRing.read({"keys": [key, *public(EC)["keys"]]})
    assert verify(signed(claims(), EC), ring, EXPECTED)
    with pytest.raises(ProviderFailed):
        KeyRing.read({"keys": [key]})


@pytest.mark.parametrize("keys", [None, {}, "x", [5] * (KEYS_LIMIT + 1)])
def test_what_is_no_set_of_keys_is_refused(keys: object):
    with pytest.raises(ProviderFailed):
        KeyRing.read({"keys": keys})


def test_a_private_key_that_was_published_is_only_believed_as_a_public_one():
    ring = KeyRing.read({"keys": [EC.as_dict(private=True)]})
    assert verify(signed(claims(), EC), ring, EXPECTED)
    assert not ring.find(("EC", "P-256"), "ec").is_private


SECONDS = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"iss": "https://idp.example/"}, "iss"),
        ({"iss": None}, "iss"),
        ({"iss": ["https://idp.example"]}, "iss"),
        ({"aud": "another"}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": ["another"]}, "aud"),
        ({"aud": [["accode"]]}, "aud"),
        ({"aud": ["accode", "another"]}, "azp"),
        ({"aud": ["accode", "another"], "azp": "another"}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"sub": None}, "sub"),
        ({"sub": 7}, "sub"),
        ({"exp": None}, "exp"),
        ({"exp": SECONDS - LEEWAY}, "exp"),
        ({"exp": "9999999999"}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": None}, "iat"),
        ({"iat": SECONDS + LEEWAY + 1}, "iat"),
        ({"iat": SECONDS - 120 - LEEWAY - 1}, "iat"),
        ({"iat": False}, "iat"),
        ({"nbf": SECONDS + LEEWAY + 1}, "nbf"),
        ({"nbf": "0"}, "nbf"),
        ({"nonce": None}, "nonce"),
        ({"nonce": "n-0S7"}, "nonce"),
        ({"nonce": ["n-0S6"]}, "nonce"),
    ],
)
def test_a_claim_that_is_wrong_or_missing_is_refused_by_name(changes: dict[str, Any], claim: str):
    said = refusal(signed(claims(**changes), EC))
    assert said == f"the ID token's claim {claim} cannot be accepted"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["accode"]},
        {"aud": ["accode", "another"], "azp": "accode"},
        {"azp": "accode"},
        {"exp": SECONDS - LEEWAY + 1},
        {"iat": SECONDS - 120},
        {"nbf": SECONDS, "exp": SECONDS + 0.5},
        {"unknown": {"to": ["us"]}},
    ],
)
def test_what_is_within_the_rules_is_believed(changes: dict[str, Any]):
    assert verify(signed(claims(**changes), EC), RING, EXPECTED) == claims(**changes)


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"5", b'"x"', b"\xff", b'{"a":1,"a":2}', b'{"exp":NaN}', b'{"exp":1e999}'],
)
def test_a_payload_that_is_no_plain_object_is_refused(payload: bytes):
    assert refusal(signed(payload, EC)) == "the ID token holds no claims"


def test_deep_claims_are_refused():
    assert refusal(signed(b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", EC))


@pytest.mark.parametrize("token", [None, 5, {}, "", "a", "..", "a.b.c.d.e", "é.b.c"])
def test_what_is_no_token_is_refused(token: object):
    assert refusal(token)


def test_a_critical_header_that_is_not_known_is_refused():
    head = {"alg": "ES256", "kid": "ec", "crit": ["odd"], "odd": 1}
    assert refusal(f"{segment(head)}.{segment(claims())}.AAAA")


def test_a_token_is_no_longer_than_one_may_be():
    assert refusal(signed(claims(more="x" * TOKEN_LIMIT), EC)) == "the provider gave no ID token"


@given(st.text(max_size=200))
def test_no_text_brings_another_error(text: str):
    assert refusal(text)


@given(st.lists(st.binary(max_size=60), min_size=3, max_size=3))
def test_no_bytes_bring_another_error(parts: list[bytes]):
    assert refusal(".".join(segment(part) for part in parts))


@given(st.dictionaries(st.sampled_from(sorted(claims())), st.none() | st.booleans() | st.text()))
def test_no_claims_bring_another_error(changes: dict[str, Any]):
    token = signed(claims() | changes, EC)
    try:
        believed = verify(token, RING, EXPECTED)
    except LoginRefused:
        return
    assert {name: believed[name] for name in ("iss", "aud", "nonce")} == {
        name: claims()[name] for name in ("iss", "aud", "nonce")
    }
