"""TLS on both legs: contexts by profile, pins, and channel binding.

Knows certificates and OpenSSL's switches (the table "TLS" in docs/design.md). Must
never know a protocol, and holds no private key longer than a context needs it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization

from protocols.errors import Reason, Refusal
from proxy.store.records import TlsSettings

# AEAD with forward secrecy: what Mozilla's "intermediate" asks of TLS 1.2.
_INTERMEDIATE = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL"
_COMPAT = "DEFAULT:@SECLEVEL=1"
_LEGACY = "DEFAULT:@SECLEVEL=0"
# ssl has no name for it before Python 3.12: servers without RFC 5746 (OpenSSL 3 refuses).
_OP_LEGACY_SERVER_CONNECT = 0x4


class TlsError(Exception):
    """A certificate or key of ours cannot be used; one sentence that names the file."""


class ServerTls:
    """The client leg's TLS: one certificate, one context for all connections."""

    def __init__(self, certificate: Path, key: Path, profile: str, alpn: str | None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = (
            ssl.TLSVersion.TLSv1_3 if profile == "modern" else ssl.TLSVersion.TLSv1_2
        )
        context.set_ciphers(_INTERMEDIATE)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
        # As PostgreSQL: sessions are long, tickets cost memory and resume nothing.
        context.num_tickets = 0
        if alpn is not None:
            context.set_alpn_protocols([alpn])
        try:
            context.load_cert_chain(certificate, key)
            leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
        except FileNotFoundError as error:
            raise TlsError(f"the listener's {error.filename or certificate} is not there") from None
        except (OSError, ssl.SSLError, ValueError):
            raise TlsError(
                f"the listener's certificate {certificate} and key {key} cannot be used together"
            ) from None
        self._context = context
        self._binding = end_point_binding(leaf)
        self.profile = profile
        self.expires_at = leaf.not_valid_after_utc

    @property
    def context(self) -> ssl.SSLContext | None:
        """The context of every connection."""
        return self._context

    @property
    def server_hostname(self) -> str | None:
        """None: we are the server."""
        return None

    def check(self, connection: ssl.SSLObject) -> None:
        """Nothing to check: clients prove themselves by token."""

    def binding(self, connection: ssl.SSLObject) -> bytes | None:
        """The hash of our certificate."""
        return self._binding


class NoTls:
    """A leg without TLS."""

    profile = "none"
    context: ssl.SSLContext | None = None
    server_hostname: str | None = None

    def check(self, connection: ssl.SSLObject) -> None:
        """Never called: there is no handshake."""

    def binding(self, connection: ssl.SSLObject) -> bytes | None:
        """None: there is no certificate."""
        return None


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """The upstream leg's TLS for one source, verified before the first login byte."""

    context: ssl.SSLContext | None
    server_hostname: str | None
    pins: tuple[str, ...]
    profile: str
    alpn: str | None = None

    def check(self, connection: ssl.SSLObject) -> None:
        """Refuse a server whose key is not one of the pinned ones, or that speaks another
        protocol where it was not asked for TLS first (``alpn``).
        """
        if self.alpn is not None and connection.selected_alpn_protocol() != self.alpn:
            raise Refusal(
                Reason.SOURCE_UNTRUSTED,
                "the data source does not speak its protocol in direct TLS",
                f"ALPN {connection.selected_alpn_protocol()!r}",
            )
        if not self.pins:
            return
        certificate = _peer_certificate(connection)
        if certificate is None:
            raise _untrusted("the server showed no certificate")
        try:
            spki = certificate.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        except (ValueError, UnsupportedAlgorithm):
            raise _untrusted("the server's key is of a kind that cannot be pinned") from None
        pin = "sha256/" + base64.b64encode(hashlib.sha256(spki).digest()).decode("ascii")
        if not any(hmac.compare_digest(pin, known) for known in self.pins):
            raise _untrusted("the server's key is none of the pinned ones")

    def binding(self, connection: ssl.SSLObject) -> bytes | None:
        """The hash of the server's certificate."""
        certificate = _peer_certificate(connection)
        return None if certificate is None else end_point_binding(certificate)


def _peer_certificate(connection: ssl.SSLObject) -> x509.Certificate | None:
    """The server's certificate. OpenSSL takes some that break X.509's own rules."""
    der = connection.getpeercert(binary_form=True)
    if der is None:
        return None
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion):
        raise _untrusted("the server's certificate cannot be read") from None


def upstream_tls(
    settings: TlsSettings, host: str, alpn: str | None, client_key: bytes | None
) -> UpstreamTls | NoTls:
    """TLS as a source's settings say. ``client_key`` is PEM, of ``client_cert_pem``.

    Reads the system's CAs where the source has none of its own: milliseconds, so call
    it off the loop and keep the result. Raises Refusal (CREDENTIAL_UNUSABLE) for a
    client certificate that cannot be used.
    """
    if settings.mode == "disable":
        return NoTls()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if settings.profile == "modern":
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    elif settings.profile == "intermediate":
        context.set_ciphers(_INTERMEDIATE + ":@SECLEVEL=2")
    elif settings.profile == "compat":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_COMPAT)
    else:
        context.set_ciphers(_LEGACY)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.options |= _OP_LEGACY_SERVER_CONNECT
    # A name in CN alone is no name (RFC 6125, 6.4.4); servers of the legacy profile
    # were made before that was settled.
    context.hostname_checks_common_name = settings.profile == "legacy"
    if settings.mode == "verify-full":
        context.check_hostname = True
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if settings.mode == "verify-ca" else ssl.CERT_NONE
    if settings.ca_pem is not None:
        context.load_verify_locations(cadata=settings.ca_pem)
    elif settings.is_verified:
        context.load_default_certs()
    if settings.crl_pem is not None:
        _load_crls(context, settings.crl_pem)
    if alpn is not None:
        context.set_alpn_protocols([alpn])
    if settings.client_cert_pem is not None:
        if client_key is None:
            raise Refusal(
                Reason.CREDENTIAL_UNUSABLE, "the data source's client certificate has no key"
            )
        _load_client_certificate(context, settings.client_cert_pem, client_key)
    return UpstreamTls(
        context,
        settings.server_name or host,
        tuple(settings.pins),
        settings.profile,
        alpn if settings.negotiation == "direct" else None,
    )


def _load_crls(context: ssl.SSLContext, lists: str) -> None:
    """Refuse what the lists name, and what no list of its authority is here for.

    As libpq does with sslcrl. ``ssl`` takes revocation lists from files alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lists.pem"
        path.write_text(lists, encoding="ascii")
        context.load_verify_locations(path)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _load_client_certificate(context: ssl.SSLContext, chain: str, key: bytes) -> None:
    """Load a key that is only in memory: ssl takes files alone.

    The file holds the key encrypted under a random pass phrase that lives for these
    lines, in a folder of its own, and is gone afterwards.
    """
    phrase = secrets.token_urlsafe(32).encode("ascii")
    try:
        loaded = serialization.load_pem_private_key(key, None)
        sealed = loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(phrase),
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "client.pem"
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(sealed + b"\n" + chain.encode("ascii"))
            context.load_cert_chain(path, password=phrase)
    except (ValueError, TypeError, OSError, UnsupportedAlgorithm):
        raise Refusal(
            Reason.CREDENTIAL_UNUSABLE,
            "the data source's client certificate and its key cannot be used together",
        ) from None


def end_point_binding(certificate: x509.Certificate) -> bytes | None:
    """tls-server-end-point (RFC 5929, 4.1): the certificate under its signature's hash.

    MD5 and SHA-1 count as SHA-256. None where the signature names no hash (Ed25519) or
    one we do not know: then there is no channel binding.
    """
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate.public_bytes(serialization.Encoding.DER))
    return digest.finalize()


def _untrusted(private: str) -> Refusal:
    return Refusal(
        Reason.SOURCE_UNTRUSTED,
        "the data source's certificate was not accepted",
        private,
    )
