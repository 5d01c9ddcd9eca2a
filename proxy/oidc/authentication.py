"""How a code is turned in: the request to the token endpoint, with the client's secret in it.

The secret is revealed here, into the request, and nowhere kept.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

from proxy.oidc.discovery import Metadata
from proxy.oidc.fetching import Request
from vault import Secret


@dataclass(frozen=True, slots=True)
class Turned:
    """A code, and what proves that it was asked for here (RFC 7636)."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str


def token_request(metadata: Metadata, client_id: str, secret: Secret, turned: Turned) -> Request:
    """RFC 6749, 4.1.3, with the client's authentication of section 2.3.1."""
    form = {
        "grant_type": "authorization_code",
        "code": turned.code,
        "redirect_uri": turned.redirect_uri,
        "code_verifier": turned.verifier,
    }
    revealed = secret.reveal().decode("utf-8")
    if metadata.authentication == "client_secret_post":
        form |= {"client_id": client_id, "client_secret": revealed}
        return Request(metadata.token_endpoint, urlencode(form))
    # Both are form-encoded first, so that a colon in the name is none of Basic's.
    pair = f"{quote_plus(client_id)}:{quote_plus(revealed)}".encode()
    return Request(
        metadata.token_endpoint, urlencode(form), "Basic " + base64.b64encode(pair).decode()
    )
