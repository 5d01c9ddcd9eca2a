from __future__ import annotations

import os

import pytest

from vault.errors import KeyProviderError, SelfTestError
from vault.keyfile import LocalKeyFile
from vault.secret import Secret
from vault.selftest import check_known_answers, check_provider, known_record
from vault.vault import Vault

# Written out a second time: a change of the sealed format makes stored records
# unreadable and must not pass by changing the vector and the code together.
SEALED = (
    "4143505301096b6e6f776e2d6b6579000000030000000000000007404142434445464748494a4b4c4d4e4f60"
    "6162636465666768696a6bea5b88df108b7000cf5ea1a6c4c3746ab6be4e653e83384990138b74d57d07c300"
    "00001c4a14fb86ed1b5d5a8b9aedfe829a5d3af55beade78807b134bf659f9"
)


class ForgetfulProvider:
    """A KeyProvider that returns another key than it was given."""

    key_id = "k1"

    def wrap(self, plaintext: Secret, context: bytes) -> bytes:
        return b"wrapped"

    def unwrap(self, wrapped: bytes, context: bytes) -> Secret:
        return Secret(os.urandom(32))

    def derive_key(self, purpose: str) -> Secret:
        return Secret(bytes(32))


class AbsentProvider(ForgetfulProvider):
    """A KeyProvider that cannot be reached."""

    def wrap(self, plaintext: Secret, context: bytes) -> bytes:
        raise KeyProviderError("the key provider does not answer")


def test_the_known_answers_are_given():
    check_known_answers()


def test_the_sealed_format_is_the_one_that_was_released():
    assert known_record().to_bytes().hex() == SEALED


def test_a_vault_over_a_key_file_passes(key_file: LocalKeyFile):
    Vault(key_file).self_test()


def test_a_provider_that_gives_another_key_fails():
    with pytest.raises(SelfTestError, match="another key"):
        check_provider(ForgetfulProvider())


def test_a_provider_that_cannot_be_reached_fails_with_its_sentence():
    with pytest.raises(SelfTestError, match="does not answer"):
        Vault(AbsentProvider()).self_test()
