"""A provider's description of itself (OpenID Connect Discovery 1.0): read, and held to be ours.

Pure: the document is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from proxy.oidc.failures import ProviderFailed
from proxy.oidc.id_token import ALGORITHMS
from proxy.oidc.settings import read_https

ClientAuthentication = Literal["client_secret_basic", "client_secret_post"]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is used of it. ``promises_issuer``: it names itself to who comes back (RFC 9207)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    authentication: ClientAuthentication
    promises_issuer: bool


def discovery_address(issuer: str) -> str:
    """Where the document is (section 4): a slash at the issuer's end goes first."""
    return issuer.removesuffix("/") + "/.well-known/openid-configuration"


def read_metadata(document: Mapping[str, Any], issuer: str) -> Metadata:
    """What the document says, where it is that issuer's. Raises ProviderFailed."""
    if document.get("issuer") != issuer:
        # Section 4.3: else one provider could hand out another one's endpoints.
        raise ProviderFailed("the discovery document is of another issuer")
    if "code" not in _texts(document, "response_types_supported"):
        raise ProviderFailed("the identity provider does not offer the authorization code flow")
    methods = document.get("code_challenge_methods_supported")
    if methods is not None and "S256" not in _texts(document, "code_challenge_methods_supported"):
        raise ProviderFailed("the identity provider does not offer PKCE with S256")
    offered = _texts(document, "id_token_signing_alg_values_supported")
    if not ALGORITHMS.keys() & set(offered):
        raise ProviderFailed("the identity provider signs with no algorithm that is believed here")
    promise = document.get("authorization_response_iss_parameter_supported", False)
    if not isinstance(promise, bool):
        raise ProviderFailed("the discovery document is not as it must be")
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_endpoint(document, "authorization_endpoint"),
        token_endpoint=_endpoint(document, "token_endpoint"),
        jwks_uri=_endpoint(document, "jwks_uri"),
        authentication=_authentication(document),
        promises_issuer=promise,
    )


def _endpoint(document: Mapping[str, Any], name: str) -> str:
    url = document.get(name)
    if not isinstance(url, str) or read_https(url) is None:
        raise ProviderFailed(f"the discovery document has no {name} that is an https address")
    return url


def _authentication(document: Mapping[str, Any]) -> ClientAuthentication:
    # Section 3: where nothing is said it is Basic.
    if "token_endpoint_auth_methods_supported" not in document:
        return "client_secret_basic"
    offered = _texts(document, "token_endpoint_auth_methods_supported")
    if "client_secret_basic" in offered:
        return "client_secret_basic"
    if "client_secret_post" in offered:
        return "client_secret_post"
    raise ProviderFailed("the identity provider takes no client secret, by Basic or in the body")


def _texts(document: Mapping[str, Any], name: str) -> list[str]:
    values = document.get(name)
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise ProviderFailed(f"the discovery document has no list {name}")
    return values
