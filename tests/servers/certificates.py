"""A certificate authority and what it signs, right and wrong, as files in a folder.

Fresh keys for every run: no private key lies in the repository.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

# The names, and so the files, that ``make_certificates`` writes.
NAMES = (
    "ca",
    "other-ca",
    "server",
    "server-ec",
    "server-ed25519",
    "server-sha384",
    "server-expired",
    "server-not-yet",
    "server-wrong-host",
    "server-localhost-alone",
    "server-no-san",
    "server-weak",
    "server-sha1",
    "server-other-ca",
    "server-self-signed",
    "client",
    "client-wrong-user",
    "client-other-ca",
)

# sha256WithRSAEncryption and sha1WithRSAEncryption, DER (RFC 8017 appendix C).
_SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b")
_SHA1_WITH_RSA = bytes.fromhex("06092a864886f70d010105")


@dataclass(frozen=True, slots=True)
class Certificates:
    """The folder that holds NAME.crt and NAME.key, in PEM, for each of ``NAMES``."""

    folder: Path

    def certificate(self, name: str) -> Path:
        """Return the path of a certificate, for example ``server`` or ``client``."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Return the path of its private key (PKCS#8, mode 0600)."""
        return self.folder / f"{name}.key"

    def crl(self, name: str) -> Path:
        """An authority's revocation list."""
        return self.folder / f"{name}.crl"

    @property
    def ca(self) -> Path:
        """The certificate that verifies every server and client not named ``other``."""
        return self.certificate("ca")


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


def make_certificates(folder: Path) -> Certificates:
    """Write every certificate and key of ``NAMES`` into ``folder``.

    Servers are named localhost, 127.0.0.1 and ::1; the client is ``cert_user``.
    """
    made = Certificates(folder)
    ca = _authority("Accode Proxy test authority")
    other = _authority("Somebody else's authority")
    _write(made, "ca", ca.certificate, ca.key)
    _write(made, "other-ca", other.certificate, other.key)

    key = _rsa()
    _server(made, "server", ca, key)
    _server(made, "server-ec", ca, ec.generate_private_key(ec.SECP256R1()))
    _server(made, "server-ed25519", ca, ed25519.Ed25519PrivateKey.generate())
    _server(made, "server-sha384", ca, key, digest=hashes.SHA384())
    _server(made, "server-expired", ca, key, first=-400, last=-30)
    _server(made, "server-not-yet", ca, key, first=30, last=400)
    _server(made, "server-wrong-host", ca, key, hosts=("elsewhere.example",))
    _server(made, "server-localhost-alone", ca, key, hosts=("localhost",))
    _server(made, "server-no-san", ca, key, hosts=())
    _server(made, "server-weak", ca, rsa.generate_private_key(65537, 1024))
    _server(made, "server-other-ca", other, key)

    _server(made, "server-revoked", ca, key)
    revoked = x509.load_pem_x509_certificate(made.certificate("server-revoked").read_bytes())
    _revoke(made.crl("ca"), ca, revoked.serial_number)
    _revoke(made.crl("ca-expired"), ca, revoked.serial_number, first=-60, last=-30)
    _revoke(made.crl("other-ca"), other, 1)

    sha256 = _issue(ca, key, "localhost", hosts=_LOCAL, usage=ExtendedKeyUsageOID.SERVER_AUTH)
    _write(made, "server-sha1", _signed_with_sha1(sha256, ca.key), key)
    alone = _authority("localhost", hosts=_LOCAL)
    _write(made, "server-self-signed", alone.certificate, alone.key)

    for name, user, issuer in (
        ("client", "cert_user", ca),
        ("client-wrong-user", "somebody_else", ca),
        ("client-other-ca", "cert_user", other),
    ):
        client_key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        _write(made, name, _issue(issuer, client_key, user, usage=usage), client_key)
    return made


_LOCAL = ("localhost", "127.0.0.1", "::1")


def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative_names(hosts: tuple[str, ...]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)


def _authority(common_name: str, *, hosts: tuple[str, ...] = ()) -> _Authority:
    key = _rsa()
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(_name(common_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=500))
        .not_valid_after(now + timedelta(days=500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(_alternative_names(hosts), critical=False)
    return _Authority(builder.sign(key, hashes.SHA256()), key)


_CA_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def _issue(
    issuer: _Authority,
    key: PrivateKey,
    common_name: str,
    *,
    usage: x509.ObjectIdentifier,
    hosts: tuple[str, ...] = (),
    first: int = -1,
    last: int = 400,
    digest: hashes.SHA256 | hashes.SHA384 | None = None,
) -> x509.Certificate:
    """Sign a leaf valid from ``first`` to ``last``, in days from now."""
    now = datetime.now(UTC)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=first))
        .not_valid_after(now + timedelta(days=last))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(authority, critical=False)
    )
    if hosts:
        builder = builder.add_extension(_alternative_names(hosts), critical=False)
    return builder.sign(issuer.key, digest or hashes.SHA256())


def _server(
    made: Certificates,
    name: str,
    issuer: _Authority,
    key: PrivateKey,
    *,
    hosts: tuple[str, ...] = _LOCAL,
    first: int = -1,
    last: int = 400,
    digest: hashes.SHA256 | hashes.SHA384 | None = None,
) -> None:
    common_name = hosts[0] if hosts else "localhost"
    usage = ExtendedKeyUsageOID.SERVER_AUTH
    certificate = _issue(
        issuer, key, common_name, usage=usage, hosts=hosts, first=first, last=last, digest=digest
    )
    _write(made, name, certificate, key)


def _revoke(
    path: Path, issuer: _Authority, serial: int, *, first: int = -1, last: int = 30
) -> None:
    """Write the authority's revocation list, with one certificate on it."""
    now = datetime.now(UTC)
    one = x509.RevokedCertificateBuilder().serial_number(serial)
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now + timedelta(days=first))
        .next_update(now + timedelta(days=last))
        .add_revoked_certificate(one.revocation_date(now + timedelta(days=first)).build())
        .sign(issuer.key, hashes.SHA256())
    )
    path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))


def _signed_with_sha1(certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> x509.Certificate:
    """Sign again with SHA-1, which the library no longer offers but old servers still have.

    Both algorithm identifiers have one length, and so have both signatures.
    """
    body = certificate.tbs_certificate_bytes
    old_body = body.replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA)
    signature = key.sign(old_body, padding.PKCS1v15(), hashes.SHA1())
    der = certificate.public_bytes(serialization.Encoding.DER)
    der = der.replace(body, old_body).replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA)
    return x509.load_der_x509_certificate(der.replace(certificate.signature, signature))


def _write(made: Certificates, name: str, certificate: x509.Certificate, key: PrivateKey) -> None:
    made.certificate(name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path = made.key(name)
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
