from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from proxy.administration.second_factor import (
    RECOVERY_CODES,
    base32,
    is_totp_code,
    matching_step,
    new_recovery_codes,
    new_totp_secret,
    otpauth_uri,
    recovery_digest,
    step_at,
    totp_code,
)
from vault import Secret

# RFC 6238, appendix B, of SHA-1.
SECRET = Secret(b"12345678901234567890")


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ],
)
def test_the_vectors_of_the_rfc(seconds: int, code: str):
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert totp_code(SECRET, step_at(moment), digits=8) == code
    assert totp_code(SECRET, step_at(moment)) == code[2:]


def test_a_code_is_taken_one_step_early_or_late_and_no_more():
    now = datetime(2026, 5, 4, 12, 30, 15, tzinfo=UTC)
    middle = step_at(now)
    taken = {
        step - middle: matching_step(SECRET, totp_code(SECRET, step), now) == step
        for step in range(middle - 3, middle + 4)
    }
    assert [offset for offset, is_taken in taken.items() if is_taken] == [-1, 0, 1]
    assert matching_step(SECRET, "ñ" * 6, now) is None


def test_what_looks_like_a_code():
    assert is_totp_code("012345")
    for text in ("01234", "0123456", "01234a", "٠١٢٣٤٥", "012345\n", ""):
        assert not is_totp_code(text)


def test_an_authenticator_reads_the_uri():
    secret = new_totp_secret()
    parts = urlsplit(otpauth_uri(secret, "ada"))
    assert (parts.scheme, parts.netloc, parts.path) == (
        "otpauth",
        "totp",
        "/Accode%20Proxy%3Aada",
    )
    assert parse_qs(parts.query) == {
        "secret": [base32(secret)],
        "issuer": ["Accode Proxy"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }
    assert len(secret.reveal()) == 20


def test_recovery_codes_are_kept_as_digests_and_read_as_they_are_typed():
    codes = new_recovery_codes()
    assert len(set(codes)) == RECOVERY_CODES
    first = recovery_digest(codes[0])
    assert first is not None
    assert recovery_digest(codes[0].upper().replace("-", " ")) == first
    assert recovery_digest(codes[1]) != first
    assert codes[0].encode() not in first
    for text in ("", "012345", codes[0][:-1], codes[0] + "a", "ñ" * 16):
        assert recovery_digest(text) is None
