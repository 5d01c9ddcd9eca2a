"""The search itself: it finds what is there, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.canary.forms import Canary, Evidence

SECRET = b'Canary "7f3a/91%+\\ Heron'
CANARY = Canary("password", SECRET, users=("app",), scram=((b"salt-of-sixteen!", 4096),))


def found(data: bytes, canary: Canary = CANARY) -> list[str]:
    evidence = Evidence()
    evidence.add("a log", b"before " + data + b" after")
    return evidence.leaks([canary])


@pytest.mark.parametrize(
    "data",
    [
        SECRET,
        base64.b64encode(SECRET),
        base64.urlsafe_b64encode(b"x" + SECRET + b"yz"),
        base64.b64encode(b"xy" + SECRET + b"z"),
        SECRET.hex().encode(),
        SECRET.hex().upper().encode(),
        SECRET.hex(":").encode(),
        quote(SECRET, safe="").encode(),
        json.dumps({"detail": SECRET.decode()}).encode(),
        json.dumps({"inner": json.dumps({"detail": SECRET.decode()})}).encode(),
        repr(SECRET.decode()).encode(),
        hashlib.md5(SECRET).hexdigest().encode(),
        b"md5" + hashlib.md5(SECRET + b"app").hexdigest().encode(),
        hashlib.pbkdf2_hmac("sha256", SECRET, b"salt-of-sixteen!", 4096),
        base64.b64encode(hashlib.pbkdf2_hmac("sha256", SECRET, b"salt-of-sixteen!", 4096)),
        hashlib.sha1(SECRET).digest(),
        b"*" + hashlib.sha1(hashlib.sha1(SECRET).digest()).hexdigest().upper().encode(),
        base64.b64encode(hashlib.sha256(hashlib.sha256(SECRET).digest()).digest()),
        hashlib.sha512(SECRET).digest(),
    ],
)
def test_a_secret_is_found_in_every_form(data: bytes):
    assert found(data)


@given(st.binary(min_size=12, max_size=60), st.binary(max_size=9), st.binary(max_size=9))
def test_base64_is_found_wherever_the_secret_stands_in_it(
    secret: bytes, before: bytes, after: bytes
):
    assert found(base64.b64encode(before + secret + after), Canary("any", secret))


def test_what_is_not_there_is_not_found():
    assert found(b"Canary, heron, 7f3a") == []
    assert found(base64.b64encode(SECRET[:-1])[:-4]) == []


def test_a_file_that_is_there_to_hold_the_secret_is_left_out_alone():
    evidence = Evidence()
    evidence.add("files/local.key", SECRET)
    evidence.add("files/audit.jsonl", SECRET)
    canary = Canary("seed", SECRET, at_home=("local.key",))
    assert evidence.leaks([canary]) == ["seed as raw in files/audit.jsonl"] + [
        leak for leak in evidence.leaks([canary]) if "raw" not in leak
    ]
    assert not any("local.key" in leak for leak in evidence.leaks([canary]))
