"""Data sources with certificates and keys that must not be believed, by mode and profile."""

from __future__ import annotations

import base64
import hashlib
import ssl
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from proxy.store import TlsSettings
from tests.hostile.fake_server import FakeServer, Peer, server_context
from tests.hostile.play import Play
from tests.hostile.raw import CANCEL, Refused, query, send_cancel
from tests.hostile.stage import CONNECT, PASSWORD, Stage, of_type
from tests.servers.certificates import Certificates
from tests.servers.waiting import wait_until

FULL, CA, REQUIRE = "verify-full", "verify-ca", "require"


def pin_of(certificate: Path) -> str:
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "sha256/" + base64.b64encode(hashlib.sha256(der).digest()).decode()


class Sources:
    """Makes the source of a test, once for each set of settings."""

    def __init__(self, stage: Stage, fake: FakeServer, certificates: Certificates) -> None:
        self.stage = stage
        self.fake = fake
        self.certificates = certificates
        self.names: dict[str, str] = {}

    def name(self, mode: str, profile: str = "intermediate", **more: Any) -> str:
        settings: dict[str, Any] = {"mode": mode, "profile": profile} | more
        if mode != REQUIRE or profile in ("compat", "legacy"):
            settings.setdefault("ca_pem", self.certificates.ca.read_text())
        if profile in ("compat", "legacy"):
            settings |= {
                "owner": "tests",
                "reason": "an old server",
                "expires_at": datetime.now(UTC) + timedelta(days=30),
                "pins": more.get("pins", ()),
            }
        shown = f"{mode}-{profile}-{sorted(more.items())}"
        if shown not in self.names:
            name = f"tls{len(self.names)}"
            self.stage.add_fake_source("alpha", name, self.fake.port, tls=TlsSettings(**settings))
            self.names[shown] = name
        return self.names[shown]


@pytest.fixture(scope="module")
def sources(theatre: Stage, fake: FakeServer, certificates: Certificates) -> Sources:
    return Sources(theatre, fake, certificates)


class Server:
    """A server with one of the certificates that logs in whoever comes as far."""

    def __init__(self, certificates: Certificates, name: str, **limits: Any) -> None:
        def configure(context: ssl.SSLContext) -> None:
            for attribute, value in limits.items():
                setattr(context, attribute, value)

        self.context = server_context(
            str(certificates.certificate(name)), str(certificates.key(name)), configure=configure
        )

    def __call__(self, peer: Peer) -> None:
        peer.accept_tls(self.context)
        peer.startup()
        peer.scram(PASSWORD)
        peer.welcome()


def refused(play: Play, source: str, server: Server) -> str:
    """The sentence; nothing of the login may have been sent."""
    marker = play.stage.mark()
    play.fake.play(server)
    with pytest.raises(Refused) as told:
        play.stage.log_in("alpha", source)
    assert told.value.code == "08001"
    assert b"fakedb" not in play.fake.received()
    (failure,) = of_type(play.stage.events_since(marker), CONNECT)
    assert failure["status"] == "Failure"
    play.check_secrecy(play.fake.received(), play.stage.log_since())
    return told.value.text


def accepted(play: Play, source: str, server: Server) -> None:
    with play.session(server, source) as client:
        assert client.parameters["server_version"] == "15.8"


BAD = ("server-expired", "server-not-yet", "server-other-ca", "server-self-signed")


@pytest.mark.parametrize("mode", [FULL, CA])
@pytest.mark.parametrize("name", [*BAD, "server-sha1", "server-weak"])
def test_a_certificate_that_proves_nothing_is_refused(
    play: Play, sources: Sources, certificates: Certificates, name: str, mode: str
):
    text = refused(play, sources.name(mode), Server(certificates, name))
    assert "certificate was not accepted" in text or "TLS handshake" in text


@pytest.mark.parametrize("name", ["server-wrong-host", "server-no-san"])
def test_a_certificate_of_another_host_is_refused_where_the_name_counts(
    play: Play, sources: Sources, certificates: Certificates, name: str
):
    server = Server(certificates, name)
    assert "certificate was not accepted" in refused(play, sources.name(FULL), server)
    accepted(play, sources.name(CA), server)


@pytest.mark.parametrize("name", ["server", "server-ec", "server-ed25519", "server-sha384"])
@pytest.mark.parametrize("profile", ["modern", "intermediate"])
def test_a_good_certificate_is_believed(
    play: Play, sources: Sources, certificates: Certificates, name: str, profile: str
):
    accepted(play, sources.name(FULL, profile), Server(certificates, name))


@pytest.mark.parametrize("name", BAD)
def test_mode_require_encrypts_and_proves_nothing(
    play: Play, sources: Sources, certificates: Certificates, name: str
):
    accepted(play, sources.name(REQUIRE), Server(certificates, name))


def test_a_name_may_be_expected_instead_of_the_host(
    play: Play, sources: Sources, certificates: Certificates
):
    server = Server(certificates, "server-wrong-host")
    accepted(play, sources.name(FULL, server_name="elsewhere.example"), server)
    assert "not accepted" in refused(
        play, sources.name(FULL, server_name="elsewhere.example"), Server(certificates, "server")
    )


# --- versions and keys ----------------------------------------------------------------

V1, V1_1 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("profile", "version", "is_spoken"),
    [
        ("modern", V1_3, True),
        ("modern", V1_2, False),
        ("intermediate", V1_3, True),
        ("intermediate", V1_2, True),
        ("intermediate", V1_1, False),
        ("intermediate", V1, False),
        ("compat", V1_2, True),
        ("compat", V1_1, False),
        ("legacy", V1_2, True),
        ("legacy", V1_1, True),
        ("legacy", V1, True),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_each_profile_speaks_its_versions_and_no_others(
    play: Play,
    sources: Sources,
    certificates: Certificates,
    profile: str,
    version: ssl.TLSVersion,
    is_spoken: bool,
):
    server = Server(certificates, "server", minimum_version=version, maximum_version=version)
    source = sources.name(FULL, profile)
    if is_spoken:
        accepted(play, source, server)
    else:
        assert "TLS handshake" in refused(play, source, server)


@pytest.mark.parametrize(
    ("profile", "name", "is_believed"),
    [
        ("modern", "server-weak", False),
        ("compat", "server-weak", True),
        ("legacy", "server-weak", True),
        ("compat", "server-sha1", False),
        ("legacy", "server-sha1", True),
        ("compat", "server-no-san", False),
        ("legacy", "server-expired", False),
        ("legacy", "server-other-ca", False),
    ],
)
def test_weak_keys_and_hashes_are_believed_by_weak_profiles_alone(
    play: Play,
    sources: Sources,
    certificates: Certificates,
    profile: str,
    name: str,
    is_believed: bool,
):
    server = Server(certificates, name, maximum_version=V1_3 if profile == "modern" else V1_2)
    source = sources.name(FULL, profile)
    if is_believed:
        accepted(play, source, server)
    else:
        assert "data source" in refused(play, source, server)


@pytest.mark.parametrize("suite", ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA"])
def test_suites_without_forward_secrecy_or_aead_are_refused(
    play: Play, sources: Sources, certificates: Certificates, suite: str
):
    server = Server(certificates, "server", maximum_version=V1_2)
    server.context.set_ciphers(f"{suite}:@SECLEVEL=0")
    assert "TLS handshake" in refused(play, sources.name(FULL), server)


# --- pins -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [FULL, CA, REQUIRE])
def test_a_key_that_is_not_pinned_is_refused_in_every_mode(
    play: Play, sources: Sources, certificates: Certificates, mode: str
):
    pins = tuple(pin_of(certificates.certificate(name)) for name in ("server", "client"))
    source = sources.name(mode, pins=pins)
    accepted(play, source, Server(certificates, "server"))
    text = refused(play, source, Server(certificates, "server-ec"))
    assert text == "the data source's certificate was not accepted"


def test_a_certificate_that_cannot_be_read_is_refused(
    play: Play, sources: Sources, certificates: Certificates, tmp_path: Path
):
    # OpenSSL serves a certificate of a version that does not exist.
    der = ssl.PEM_cert_to_DER_cert(certificates.certificate("server").read_text())
    version = bytes.fromhex("a003020102")
    assert version in der
    odd = der.replace(version, bytes.fromhex("a003020109"), 1)
    file = tmp_path / "odd.crt"
    file.write_text(ssl.DER_cert_to_PEM_cert(odd))
    server = Server(certificates, "server")
    server.context = server_context(str(file), str(certificates.key("server")))
    text = refused(play, sources.name(REQUIRE), server)
    assert text == "the data source's certificate was not accepted"


def test_a_revoked_certificate_is_refused_where_the_source_has_the_list(
    play: Play, sources: Sources, certificates: Certificates
):
    lists = certificates.crl("ca").read_text() + certificates.crl("other-ca").read_text()
    revoked = Server(certificates, "server-revoked")
    assert "certificate revoked" in refused(play, sources.name(FULL, crl_pem=lists), revoked)
    assert "certificate revoked" in refused(play, sources.name(CA, crl_pem=lists), revoked)
    accepted(play, sources.name(FULL, crl_pem=lists), Server(certificates, "server"))
    accepted(play, sources.name(FULL), revoked)


@pytest.mark.parametrize(
    ("name", "words"), [("other-ca", "unable to get certificate CRL"), ("ca-expired", "expired")]
)
def test_a_certificate_is_refused_where_no_list_of_its_authority_holds(
    play: Play, sources: Sources, certificates: Certificates, name: str, words: str
):
    source = sources.name(FULL, crl_pem=certificates.crl(name).read_text())
    assert words in refused(play, source, Server(certificates, "server"))


class DirectServer(Server):
    """Speaks TLS from the first byte; ``protocols`` is what it takes by ALPN."""

    def __init__(self, certificates: Certificates, name: str, protocols: list[str]) -> None:
        super().__init__(certificates, name)
        if protocols:
            self.context.set_alpn_protocols(protocols)

    def __call__(self, peer: Peer) -> None:
        peer.encrypt(self.context)
        peer.startup()
        peer.scram(PASSWORD)
        peer.welcome()


@pytest.mark.parametrize("mode", [FULL, REQUIRE])
def test_direct_tls_is_spoken_at_once_to_who_answers_with_its_protocol(
    play: Play, sources: Sources, certificates: Certificates, mode: str
):
    source = sources.name(mode, negotiation="direct")
    accepted(play, source, DirectServer(certificates, "server", ["h2", "postgresql"]))


@pytest.mark.parametrize("protocols", [[], ["h2"]])
def test_direct_tls_of_another_protocol_is_refused_before_the_login(
    play: Play, sources: Sources, certificates: Certificates, protocols: list[str]
):
    source = sources.name(FULL, negotiation="direct")
    text = refused(play, source, DirectServer(certificates, "server", protocols))
    assert "direct TLS" in text or "TLS handshake" in text


def test_direct_tls_verifies_as_any_other(play: Play, sources: Sources, certificates: Certificates):
    server = DirectServer(certificates, "server-expired", ["postgresql"])
    text = refused(play, sources.name(FULL, negotiation="direct"), server)
    assert "certificate was not accepted" in text


def test_a_cancel_request_takes_direct_tls_as_well(
    play: Play, sources: Sources, certificates: Certificates
):
    log_in = DirectServer(certificates, "server", ["postgresql"])
    asked: list[bytes] = []

    def serve(peer: Peer) -> None:
        if len(play.fake.peers) == 1:
            log_in(peer)
        else:
            peer.encrypt(log_in.context)
            asked.append(peer.packet())

    with play.session(serve, sources.name(FULL, negotiation="direct")) as client:
        client.send(query("SELECT 'long'"))
        assert client.key is not None
        send_cancel(play.stage.proxy.port, client.key.number, client.key.secret)
        wait_until(lambda: bool(asked), what="the cancel request")
    assert asked[0][:4] == struct.pack("!I", CANCEL)
