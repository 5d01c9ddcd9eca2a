from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from proxy.administration.second_factor import (
    RECOVERY_CODES,
    is_totp_code,
    new_recovery_codes,
    otpauth_uri,
    recovery_digest,
    step_at,
    step_near,
)
from vault import Secret
from vault.totp import new_totp_key, totp_code

SECRET = Secret(b"12345678901234567890")


def test_a_step_is_half_a_minute_since_1970():
    # RFC 6238, appendix B: the second time of its table is step 0x23523EC.
    assert step_at(datetime(2005, 3, 18, 1, 58, 29, tzinfo=UTC)) == 0x23523EC
    assert step_at(datetime(2005, 3, 18, 1, 58, 30, tzinfo=UTC)) == 0x23523ED
    assert step_at(datetime(1970, 1, 1, tzinfo=UTC)) == 0


def test_a_code_is_taken_one_step_early_or_late_and_no_more():
    now = datetime(2026, 5, 4, 12, 30, 15, tzinfo=UTC)
    middle = step_at(now)
    taken = {
        step - middle: step_near(SECRET, totp_code(SECRET, step), now) == step
        for step in range(middle - 3, middle + 4)
    }
    assert [offset for offset, is_taken in taken.items() if is_taken] == [-1, 0, 1]
    assert step_near(SECRET, "ñ" * 6, now) is None


def test_what_looks_like_a_code():
    assert is_totp_code("012345")
    for text in ("01234", "0123456", "01234a", "٠١٢٣٤٥", "012345\n", ""):
        assert not is_totp_code(text)


def test_an_authenticator_reads_the_uri():
    _, base32 = new_totp_key()
    parts = urlsplit(otpauth_uri(base32, "ada"))
    assert (parts.scheme, parts.netloc, parts.path) == (
        "otpauth",
        "totp",
        "/Accode%20Proxy%3Aada",
    )
    assert parse_qs(parts.query) == {
        "secret": [base32],
        "issuer": ["Accode Proxy"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }


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
