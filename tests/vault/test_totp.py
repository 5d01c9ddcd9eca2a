from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault import Secret
from vault.totp import DIGITS, KEY_LENGTH, STEP_SECONDS, matching_step, new_totp_key, totp_code

# RFC 4226, appendix D, and RFC 6238, appendix B, of SHA-1, have the same key.
KEY = Secret(b"12345678901234567890")

HOTP = "755224 287082 359152 969429 338314 254676 287922 162583 399871 520489".split()


@pytest.mark.parametrize(("counter", "code"), list(enumerate(HOTP)))
def test_the_vectors_of_rfc_4226(counter: int, code: str):
    assert totp_code(KEY, counter) == code
    assert matching_step(KEY, code, range(10)) == counter


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
def test_the_vectors_of_rfc_6238(seconds: int, code: str):
    step = seconds // STEP_SECONDS
    assert totp_code(KEY, step, digits=8) == code
    assert totp_code(KEY, step) == code[-DIGITS:]


@given(st.text(max_size=8), st.integers(0, 2**40))
def test_only_the_code_itself_matches_and_no_text_breaks_it(text: str, step: int):
    is_code = text == totp_code(KEY, step)
    assert (matching_step(KEY, text, [step]) is not None) is is_code


# The same digits as NFKC would find them.
FULL_WIDTH = "\uff17\uff15\uff15\uff12\uff12\uff14"


@pytest.mark.parametrize(
    "text", ["", "75522", "7552240", "755224\n", " 755224", FULL_WIDTH, "\ud800" * 6, "??????"]
)
def test_what_only_looks_like_the_code_does_not_match(text: str):
    assert matching_step(KEY, text, [0]) is None


def test_no_steps_no_match():
    assert matching_step(KEY, HOTP[0], []) is None


def test_a_new_key_is_random_and_its_text_is_there_once_for_an_authenticator():
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return bytes(range(count))

    key, text = new_totp_key(entropy)
    assert asked == [KEY_LENGTH]
    assert Secret(base64.b32decode(text)) == key
    assert new_totp_key()[0] != new_totp_key()[0]
