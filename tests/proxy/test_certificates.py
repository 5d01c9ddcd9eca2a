from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy.certificates import (
    CertificateError,
    check_listener_certificate,
    make_self_signed,
    utc_now,
)

NAMES = ["localhost", "127.0.0.1", "::1"]


def written(folder: Path, name: str = "listener", now: datetime | None = None) -> tuple[Path, Path]:
    certificate, key = make_self_signed(NAMES, now or utc_now())
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(certificate)
    paths[1].write_bytes(key)
    paths[1].chmod(0o600)
    return paths


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_it_accepts_every_name_of_it(tmp_path: Path, name: str):
    certificate, key = written(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(certificate))
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=name)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (one, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert one.version() == "TLSv1.3"


def test_a_good_pair_is_accepted(tmp_path: Path):
    assert check_listener_certificate(*written(tmp_path), utc_now()) is None


def test_a_certificate_that_ends_soon_is_a_warning(tmp_path: Path):
    pair = written(tmp_path)
    warning = check_listener_certificate(*pair, utc_now() + timedelta(days=3640))
    assert warning is not None
    assert "expires on" in warning


def refused(certificate: Path, key: Path, now: datetime | None = None) -> str:
    with pytest.raises(CertificateError) as caught:
        check_listener_certificate(certificate, key, now or utc_now())
    return str(caught.value)


def test_an_expired_certificate_is_refused(tmp_path: Path):
    pair = written(tmp_path, now=datetime(2001, 1, 1, tzinfo=UTC))
    assert "expired on 2010-12-30" in refused(*pair)


def test_missing_files_are_named(tmp_path: Path):
    certificate, key = written(tmp_path)
    assert "No such file" in refused(tmp_path / "none.crt", key)
    assert "No such file" in refused(certificate, tmp_path / "none.key")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path):
    certificate, key = written(tmp_path)
    key.chmod(0o640)
    assert "its mode must be 0600" in refused(certificate, key)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path):
    certificate, _ = written(tmp_path)
    _, other = written(tmp_path, "other")
    assert "belongs to" in refused(certificate, other)


def test_files_that_are_neither_are_refused(tmp_path: Path):
    certificate, key = written(tmp_path)
    noise = tmp_path / "noise"
    noise.write_bytes(b"\0" * 100)
    noise.chmod(0o600)
    assert "is not a PEM certificate" in refused(noise, key)
    assert "belongs to" in refused(certificate, noise)
    noise.write_bytes(b"\0" * 300_000)
    assert "too large" in refused(noise, key)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_a_passphrase(tmp_path: Path):
    from cryptography.hazmat.primitives import serialization

    certificate, key = written(tmp_path)
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    assert "unencrypted" in refused(certificate, key)
