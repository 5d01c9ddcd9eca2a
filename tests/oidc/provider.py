"""A small OpenID provider in a thread of its own, in TLS: right by default, hostile where told.

It holds to the standard what it is sent (PKCE, one use of a code, the client's secret), so a
login that ends well has done all of it rightly.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from proxy.oidc.id_token import ALGORITHMS
from tests.servers.certificates import Certificates

SECRET = "s3cret:of+the client%"
CLIENT = "accode"
PrivateKey = ECKey | OKPKey | RSAKey
Change = Callable[[dict[str, Any]], dict[str, Any]]


def same(value: dict[str, Any]) -> dict[str, Any]:
    return value


def signed(
    claims: dict[str, Any] | bytes, key: PrivateKey, algorithm: str = "ES256", **header: Any
) -> str:
    """A token as a provider signs it."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    head = {"alg": algorithm, "kid": key.kid, "typ": "JWT"} | header
    return jws.serialize_compact(head, payload, key, list(ALGORITHMS))


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Grant:
    """What a code was given for."""

    nonce: str
    challenge: str
    redirect_uri: str


@dataclass
class Provider:
    """``describe``, ``claim`` and ``sign`` change what it says; ``answers`` puts a whole answer in
    the place of a path's: status, headers, body. ``hold`` makes it silent until it stops.
    """

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    user: dict[str, Any] = field(
        default_factory=lambda: {
            "sub": "248289761001",
            "email": "ada@example.com",
            "email_verified": True,
            "groups": ["staff", "finance-admins"],
        }
    )
    describe: Change = same
    claim: Change = same
    sign: Callable[[dict[str, Any]], str] | None = None
    names_itself: bool = True
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    hold: bool = False
    path: str = "/realms/finance"
    port: int = 0
    asked: list[str] = field(default_factory=list)
    last_token: str = ""
    codes: dict[str, Grant] = field(default_factory=dict)
    keys: list[PrivateKey] = field(
        default_factory=lambda: [ECKey.generate_key("P-256", {"kid": "first"})]
    )
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def issuer(self) -> str:
        return f"https://localhost:{self.port}{self.path}"

    def rotate(self, kid: str) -> None:
        """Another key in the place of the one before."""
        self.keys = [ECKey.generate_key("P-256", {"kid": kid})]

    def discovery(self) -> dict[str, Any]:
        return self.describe(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize?tenant=one",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    def authorize(self, address: str) -> dict[str, str]:
        """The user's browser goes there, the user agrees; what it comes back with."""
        assert address.startswith(f"{self.issuer}/authorize?tenant=one&")
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = Grant(query["nonce"], query["code_challenge"], query["redirect_uri"])
        back = {"code": code, "state": query["state"]}
        return back | ({"iss": self.issuer} if self.names_itself else {})

    def token(self, authorization: str | None, body: str) -> tuple[int, dict[str, Any]]:
        """RFC 6749, 4.1.3 and RFC 7636, 4.6."""
        form = {name: values[0] for name, values in parse_qs(body).items()}
        pair = (form.get("client_id", ""), form.get("client_secret", ""))
        if authorization is not None:
            raw = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            name, _, secret = raw.partition(":")
            pair = (unquote_plus(name), unquote_plus(secret))
        if pair != (CLIENT, SECRET):
            return 401, {"error": "invalid_client", "error_description": SECRET}
        grant = self.codes.pop(form["code"], None)
        verifier = form["code_verifier"]
        if (
            grant is None
            or form["grant_type"] != "authorization_code"
            or form["redirect_uri"] != grant.redirect_uri
            or segment(hashlib.sha256(verifier.encode()).digest()) != grant.challenge
            or not 43 <= len(verifier) <= 128
        ):
            return 400, {"error": "invalid_grant", "error_description": form["code"]}
        self.last_token = self.id_token(grant.nonce)
        return 200, {
            "access_token": "unused",
            "token_type": "Bearer",
            "id_token": self.last_token,
        }

    def id_token(self, nonce: str) -> str:
        now = int(self.clock().timestamp())
        claims = self.claim(
            {"iss": self.issuer, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": nonce}
            | self.user
        )
        return signed(claims, self.keys[0]) if self.sign is None else self.sign(claims)

    def answer(
        self, path: str, authorization: str | None, body: str
    ) -> tuple[int, dict[str, str], bytes]:
        name = path.removeprefix(self.path)
        self.asked.append(name)
        if name in self.answers:
            return self.answers[name]
        status: int = 404
        value: dict[str, Any] = {"error": "not_found"}
        if name == "/.well-known/openid-configuration":
            status, value = 200, self.discovery()
        if name == "/keys":
            status, value = 200, {"keys": [key.as_dict(private=False) for key in self.keys]}
        if name == "/token":
            status, value = self.token(authorization, body)
        return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = self.rfile.read(length).decode()
            if provider.hold:
                provider.stopping.wait(60)
                return
            status, headers, sent = provider.answer(
                self.path, self.headers.get("Authorization"), body
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_POST = do_GET  # noqa: N815

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                # A client that has heard enough, or did not believe the certificate.
                return

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Handler


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        return


@contextmanager
def providing(
    certificates: Certificates, name: str = "server", **settings: Any
) -> Iterator[Provider]:
    """A provider that listens, with one of the tests' certificates."""
    provider = Provider(**settings)
    server = _Server(("127.0.0.1", 0), _handler(provider))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate(name), certificates.key(name))
    # The handshake is the handler's thread's: one client that is slow holds up no other.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.daemon_threads = True
    provider.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield provider
    finally:
        provider.stopping.set()
        server.shutdown()
        thread.join(60)
        server.server_close()
