"""A source's TLS settings: what goes together, how they are stored, who they identify.

Knows certificates as data. Opens no connection and holds no private key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from policies.egress import check_host
from proxy.store.errors import InvalidSetting, StoreCorrupt
from proxy.store.records import TlsMode, TlsNegotiation, TlsProfile, TlsSettings

CA_LIMIT = 64 * 1024
"""Bytes of a source's CA bundle: some thirty certificates, and all that a seal may bind."""
CRL_LIMIT = 256 * 1024
"""Bytes of a source's revocation lists: some five thousand revoked certificates."""
CHAIN_LIMIT = 16 * 1024
"""Bytes of a client certificate with its chain."""
SERVER_KEY_LIMIT = 4 * 1024
"""Bytes of a server's public key: 8192 bits of RSA and the armour."""
SERVER_KEY_BITS = range(2_048, 8_193)
"""What a server's RSA key may have; MySQL makes 2048."""
PIN_COUNTS = range(2, 9)
"""At least two pins, so that the server's key can change; at most eight."""
EXCEPTION_LIMIT = timedelta(days=366)
"""A weak profile is looked at again within a year."""
OWNER_LIMIT = 128
REASON_LIMIT = 500

_PIN = re.compile(r"sha256/[A-Za-z0-9+/]{43}=")
_CRL = re.compile(r"-----BEGIN X509 CRL-----[A-Za-z0-9+/=\s]*-----END X509 CRL-----")
_WEAK_PROFILES = ("compat", "legacy")


def check_tls(tls: TlsSettings, now: datetime) -> None:
    """Raises InvalidSetting for what is unknown or does not go together."""
    if tls.mode not in get_args(TlsMode):
        raise InvalidSetting("tls.mode", f"use one of {', '.join(get_args(TlsMode))}")
    if tls.profile not in get_args(TlsProfile):
        raise InvalidSetting("tls.profile", f"use one of {', '.join(get_args(TlsProfile))}")
    if tls.negotiation not in get_args(TlsNegotiation):
        raise InvalidSetting("tls.negotiation", f"use one of {', '.join(get_args(TlsNegotiation))}")
    if tls.mode == "disable" and replace(tls, server_key_pem=None) != TlsSettings(mode="disable"):
        raise InvalidSetting("tls.mode", "with disable there is nothing else to set for TLS")
    _check_identity(tls)
    if tls.profile in _WEAK_PROFILES:
        _check_exception(tls, now)
    elif (tls.owner, tls.reason, tls.expires_at) != (None, None, None):
        raise InvalidSetting(
            "tls.profile", "owner, reason and expiry date belong to compat and legacy only"
        )


def check_client_key(tls: TlsSettings, key_pem: bytes) -> None:
    """Whether a private key belongs to the client certificate, before it is sealed.

    Raises InvalidSetting; an encrypted key is refused, since its passphrase would have
    to lie beside it.
    """
    certificate = _certificates(tls.client_cert_pem or "", "tls.client_cert", CHAIN_LIMIT)[0]
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError):
        raise InvalidSetting("client_key", "this is no unencrypted private key in PEM") from None
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise InvalidSetting("client_key", "the key does not belong to the client certificate")


def identity(tls: TlsSettings) -> str:
    """What a sealed credential is bound to: all by which the server is recognised, 64 hex.

    The mode is part of it, so that verification cannot be switched off under a stored
    password. The profile, its owner, reason and expiry date are not: they choose
    ciphers, and a change of them needs no secret.
    """
    parts = [tls.mode, tls.server_name, tls.ca_pem, tls.client_cert_pem, *sorted(tls.pins)]
    digest = hashlib.sha256(b"accode-proxy tls identity 1")
    for part in parts:
        data = b"" if part is None else b"=" + part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    if tls.server_key_pem is not None:
        # Not a part like the others: credentials sealed before it was known stay readable.
        digest.update(b"server key" + tls.server_key_pem.encode())
    if tls.crl_pem is not None:
        # For the same reason; a hash around the hash, so that no key can end in a list.
        digest = hashlib.sha256(b"with crl" + digest.digest() + tls.crl_pem.encode())
    return digest.hexdigest()


def to_json(tls: TlsSettings) -> str:
    """The settings as they are stored."""
    return json.dumps(
        {
            "mode": tls.mode,
            "profile": tls.profile,
            "ca_pem": tls.ca_pem,
            "client_cert_pem": tls.client_cert_pem,
            "server_name": tls.server_name,
            "pins": list(tls.pins),
            "owner": tls.owner,
            "reason": tls.reason,
            "expires_at": tls.expires_at.timestamp() if tls.expires_at else None,
            "server_key_pem": tls.server_key_pem,
            "crl_pem": tls.crl_pem,
            "negotiation": tls.negotiation,
        }
    )


def from_json(text: str) -> TlsSettings:
    """What ``to_json`` wrote. Raises StoreCorrupt for anything else."""
    try:
        fields: dict[str, Any] = json.loads(text)
        expires_at = fields.pop("expires_at")
        pins = tuple(fields.pop("pins"))
        return TlsSettings(
            pins=pins,
            expires_at=None if expires_at is None else datetime.fromtimestamp(expires_at, UTC),
            **fields,
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise StoreCorrupt("the store holds TLS settings that cannot be read") from None


def _check_identity(tls: TlsSettings) -> None:
    if tls.ca_pem is not None:
        if not tls.is_verified:
            raise InvalidSetting("tls.ca", "a CA needs TLS mode verify-ca or verify-full")
        _certificates(tls.ca_pem, "tls.ca", CA_LIMIT)
    if tls.crl_pem is not None:
        if not tls.is_verified:
            raise InvalidSetting("tls.crl", "a CRL needs TLS mode verify-ca or verify-full")
        _check_crls(tls.crl_pem)
    if tls.client_cert_pem is not None:
        _certificates(tls.client_cert_pem, "tls.client_cert", CHAIN_LIMIT)
    if tls.server_key_pem is not None:
        _check_server_key(tls.server_key_pem)
    if tls.server_name is not None:
        refusal = check_host(tls.server_name)
        if refusal is not None:
            raise InvalidSetting("tls.server_name", refusal.public)
    if tls.pins and (len(set(tls.pins)) != len(tls.pins) or len(tls.pins) not in PIN_COUNTS):
        raise InvalidSetting("tls.pins", "give two to eight different pins, one of them in reserve")
    for pin in tls.pins:
        if (
            _PIN.fullmatch(pin) is None
            or len(base64.b64decode(pin[7:])) != hashlib.sha256().digest_size
        ):
            raise InvalidSetting(
                "tls.pins", "a pin is sha256/ and the base64 SHA-256 of the public key"
            )


def _check_crls(pem: str) -> None:
    if len(pem.encode()) > CRL_LIMIT:
        raise InvalidSetting("tls.crl", f"the revocation lists have more than {CRL_LIMIT} bytes")
    lists = _CRL.findall(pem)
    # Lists alone: a certificate in here would be believed as an authority.
    if not lists or _CRL.sub("", pem).strip():
        raise InvalidSetting("tls.crl", "give revocation lists in PEM, and nothing else")
    for one in lists:
        try:
            x509.load_pem_x509_crl(one.encode())
        except ValueError:
            raise InvalidSetting("tls.crl", "these are no revocation lists in PEM") from None


def _check_server_key(pem: str) -> None:
    if len(pem.encode()) > SERVER_KEY_LIMIT:
        raise InvalidSetting("tls.server_key", f"the key has more than {SERVER_KEY_LIMIT} bytes")
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidSetting("tls.server_key", "this is no public key in PEM") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in SERVER_KEY_BITS:
        raise InvalidSetting("tls.server_key", "give an RSA key of 2048 to 8192 bits")


def _check_exception(tls: TlsSettings, now: datetime) -> None:
    what = f"profile {tls.profile}"
    if tls.owner is None or not 1 <= len(tls.owner) <= OWNER_LIMIT or not tls.owner.isprintable():
        raise InvalidSetting("tls.owner", f"{what} needs the name of who answers for it")
    if (
        tls.reason is None
        or not 1 <= len(tls.reason) <= REASON_LIMIT
        or not tls.reason.isprintable()
    ):
        raise InvalidSetting("tls.reason", f"{what} needs a reason of one line")
    if tls.expires_at is None or tls.expires_at.tzinfo is None:
        raise InvalidSetting("tls.expires_at", f"{what} needs an expiry date")
    if not now < tls.expires_at <= now + EXCEPTION_LIMIT:
        raise InvalidSetting("tls.expires_at", f"{what} expires ahead of now, within 366 days")
    if tls.ca_pem is None and not tls.pins:
        raise InvalidSetting("tls.profile", f"{what} needs a CA of its own or pins")


def _certificates(pem: str, field: str, limit: int) -> list[x509.Certificate]:
    if len(pem.encode()) > limit:
        raise InvalidSetting(field, f"the certificates have more than {limit} bytes")
    # Looked for before anything else reads it: a key in here would be stored in the open.
    if "PRIVATE KEY" in pem:
        raise InvalidSetting(field, "this holds a private key; give certificates alone")
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise InvalidSetting(field, "these are no certificates in PEM") from None
