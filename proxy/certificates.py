"""The listener's certificate: made for a first start, and looked at before each start.

Knows X.509. A self-signed certificate protects against listeners on the wire, and
against others in the middle only where clients are given it as their CA.
"""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=3650)
# A certificate that ends within this time is worth a warning.
_SOON = timedelta(days=14)
_LARGEST_FILE = 256 * 1024


class CertificateError(Exception):
    """A certificate or its key cannot be used; one sentence that names the file."""


def make_self_signed(names: list[str], now: datetime) -> tuple[bytes, bytes]:
    """A certificate and its private key, both PEM, for host names and addresses.

    ECDSA on P-256: every TLS library of the last decade takes it. Valid for ten years,
    for nobody renews what is made by hand.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFETIME)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def check_listener_certificate(certificate: Path, key: Path, now: datetime) -> str | None:
    """Whether a listener can use these two files.

    Returns None, or a sentence of warning (it ends soon). Raises CertificateError.
    """
    raw = _read(certificate, "certificate")
    try:
        leaf = x509.load_pem_x509_certificates(raw)[0]
    except ValueError:
        raise CertificateError(f"The certificate {certificate} is not a PEM certificate.") from None
    _read(key, "private key")
    if stat.S_IMODE(key.stat().st_mode) & 0o077:
        raise CertificateError(
            f"The private key {key} is open to other users: its mode must be 0600."
        )
    try:
        # A passphrase would be asked for on the terminal; an empty answer refuses instead.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError):
        raise CertificateError(
            f"The private key {key} is not an unencrypted key that belongs to {certificate}."
        ) from None
    if leaf.not_valid_after_utc <= now:
        raise CertificateError(
            f"The certificate {certificate} expired on {leaf.not_valid_after_utc:%Y-%m-%d}."
        )
    if leaf.not_valid_after_utc <= now + _SOON:
        return f"The certificate {certificate} expires on {leaf.not_valid_after_utc:%Y-%m-%d}."
    return None


def is_self_signed(certificate: Path) -> bool:
    """Whether a certificate is its own issuer; False where it cannot be read."""
    try:
        leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    except (OSError, ValueError):
        return False
    return leaf.issuer == leaf.subject


def utc_now() -> datetime:
    """The clock used outside of tests."""
    return datetime.now(UTC)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as opened:
            raw = opened.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise CertificateError(f"The {what} {path} cannot be read: {error.strerror}.") from None
    if len(raw) > _LARGEST_FILE:
        raise CertificateError(f"The {what} {path} is too large to be one.")
    return raw
