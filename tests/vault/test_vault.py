from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from vault.binding import Binding, Destination
from vault.errors import KeyProviderError, UnsealError
from vault.keyfile import LocalKeyFile
from vault.provider import WrappedRootKey
from vault.record import SECRET_LIMIT, SealedRecord
from vault.secret import Secret
from vault.vault import Vault

DESTINATION = Destination("postgresql", "db.example", 5432, "app", "verify-full", "")
BINDING = Binding("upstream-login", "w1", "s1", "password", 4, DESTINATION)
CANARY = b"canary-77c0ffee"


def test_a_sealed_secret_is_unsealed_and_not_to_be_seen(vault: Vault):
    root = vault.new_root_key("w1")
    sealed = vault.seal(root, Secret(CANARY), BINDING)
    assert CANARY not in sealed
    assert vault.unseal(root, sealed, BINDING, minimum_version=4) == Secret(CANARY)


def test_a_record_names_its_key_and_versions(vault: Vault):
    root = vault.new_root_key("w1", version=9)
    record = SealedRecord.from_bytes(vault.seal(root, Secret(CANARY), BINDING))
    assert (record.key_id, record.root_key_version, record.record_version) == (vault.key_id, 9, 4)


def test_the_longest_secret_fits_and_a_longer_one_does_not(vault: Vault):
    root = vault.new_root_key("w1")
    longest = Secret(bytes(SECRET_LIMIT))
    sealed = vault.seal(root, longest, BINDING)
    assert vault.unseal(root, sealed, BINDING, minimum_version=1) == longest
    with pytest.raises(ValueError, match="at most"):
        vault.seal(root, Secret(bytes(SECRET_LIMIT + 1)), BINDING)


def test_a_record_older_than_the_newest_seen_is_refused(vault: Vault):
    root = vault.new_root_key("w1")
    old = vault.seal(root, Secret(b"old"), BINDING)
    assert vault.unseal(root, old, BINDING, minimum_version=4) == Secret(b"old")
    with pytest.raises(UnsealError, match="older than the newest"):
        vault.unseal(root, old, BINDING, minimum_version=5)


def test_an_old_record_in_the_new_ones_row_is_refused(vault: Vault):
    root = vault.new_root_key("w1")
    old = vault.seal(root, Secret(b"old"), BINDING)
    with pytest.raises(UnsealError):
        vault.unseal(root, old, replace(BINDING, record_version=5), minimum_version=5)
    with pytest.raises(UnsealError, match="version that was asked for"):
        vault.unseal(root, old, replace(BINDING, record_version=5), minimum_version=1)


def test_records_swapped_between_two_sources_are_refused(vault: Vault):
    root = vault.new_root_key("w1")
    other = replace(BINDING, source_id="s2")
    first = vault.seal(root, Secret(b"one"), BINDING)
    second = vault.seal(root, Secret(b"two"), other)
    for sealed, binding in ((first, other), (second, BINDING)):
        with pytest.raises(UnsealError, match="does not open"):
            vault.unseal(root, sealed, binding, minimum_version=1)


def test_an_edited_destination_does_not_unseal(vault: Vault):
    root = vault.new_root_key("w1")
    sealed = vault.seal(root, Secret(CANARY), BINDING)
    edited = replace(BINDING, destination=replace(DESTINATION, host="evil.example"))
    with pytest.raises(UnsealError, match="or its destination was"):
        vault.unseal(root, sealed, edited, minimum_version=1)


def test_a_root_key_of_another_workspace_is_refused(vault: Vault):
    root, other = vault.new_root_key("w1"), vault.new_root_key("w2")
    sealed = vault.seal(root, Secret(CANARY), BINDING)
    with pytest.raises(UnsealError, match="another workspace"):
        vault.unseal(other, sealed, BINDING, minimum_version=1)
    with pytest.raises(ValueError, match="another workspace"):
        vault.seal(other, Secret(CANARY), BINDING)
    renamed = replace(other, workspace_id="w1")
    with pytest.raises(UnsealError, match="wrapped root key does not open"):
        vault.unseal(renamed, sealed, BINDING, minimum_version=1)


def test_a_root_key_of_another_version_is_refused(vault: Vault):
    root, newer = vault.new_root_key("w1"), vault.new_root_key("w1", version=2)
    sealed = vault.seal(root, Secret(CANARY), BINDING)
    with pytest.raises(UnsealError, match="another root key version"):
        vault.unseal(newer, sealed, BINDING, minimum_version=1)
    relabelled = replace(root, version=2)
    with pytest.raises(UnsealError):
        vault.unseal(relabelled, sealed, BINDING, minimum_version=1)


def test_rewrapping_leaves_records_as_they_are(vault: Vault, key_file: LocalKeyFile):
    root = vault.new_root_key("w1")
    sealed = vault.seal(root, Secret(CANARY), BINDING)
    old_kek = key_file.key_id
    key_file.rotate()
    assert vault.needs_rewrap(root)
    rewrapped = vault.rewrap(root)
    assert not vault.needs_rewrap(rewrapped)
    assert (rewrapped.workspace_id, rewrapped.version) == (root.workspace_id, root.version)
    key_file.retire(old_kek)
    assert vault.unseal(rewrapped, sealed, BINDING, minimum_version=1) == Secret(CANARY)
    with pytest.raises(UnsealError, match="does not hold the key"):
        vault.unseal(root, sealed, BINDING, minimum_version=1)


def test_a_rotated_root_key_reseals_and_the_old_one_no_longer_opens(vault: Vault):
    root, newer = vault.new_root_key("w1"), vault.new_root_key("w1", version=2)
    sealed = vault.seal(root, Secret(CANARY), BINDING)
    resealed = vault.reseal(root, newer, sealed, BINDING)
    assert vault.unseal(newer, resealed, BINDING, minimum_version=4) == Secret(CANARY)
    with pytest.raises(UnsealError):
        vault.unseal(root, resealed, BINDING, minimum_version=4)


def test_another_key_file_opens_nothing(vault: Vault, tmp_path: Path):
    root = vault.new_root_key("w1")
    sealed = vault.seal(root, Secret(CANARY), BINDING)
    stranger = Vault(LocalKeyFile.create(tmp_path / "other"))
    with pytest.raises(UnsealError):
        stranger.unseal(root, sealed, BINDING, minimum_version=1)
    with pytest.raises(KeyProviderError):
        stranger.rewrap(root)


def test_derived_keys_are_stable_over_restart_and_rotation(vault: Vault, key_file: LocalKeyFile):
    before = (vault.verification_key(), vault.fake_salt_key(), vault.fingerprint_key())
    key_file.rotate()
    again = Vault(LocalKeyFile.load(key_file.path))
    assert (again.verification_key(), again.fake_salt_key(), again.fingerprint_key()) == before
    assert len(set(before)) == 3
    assert all(len(key) == 32 for key in before)


def test_the_verification_key_verifies_what_the_signing_key_signs(vault: Vault):
    signature = vault.signing_key().sign(b"checkpoint")
    Ed25519PublicKey.from_public_bytes(vault.verification_key()).verify(signature, b"checkpoint")


FAILURES: list[Callable[[Vault, WrappedRootKey, bytes], object]] = [
    lambda vault, root, sealed: vault.unseal(
        root, sealed[:-1] + bytes((sealed[-1] ^ 1,)), BINDING, minimum_version=1
    ),
    lambda vault, root, sealed: vault.unseal(root, sealed[:-1], BINDING, minimum_version=1),
    lambda vault, root, sealed: vault.unseal(root, sealed, BINDING, minimum_version=5),
    lambda vault, root, sealed: vault.unseal(
        replace(root, version=2), sealed, BINDING, minimum_version=1
    ),
    lambda vault, root, sealed: vault.unseal(
        root, sealed, replace(BINDING, destination=None), minimum_version=1
    ),
    lambda vault, root, sealed: vault.seal(
        replace(root, workspace_id="w2"), Secret(CANARY), BINDING
    ),
    lambda vault, root, sealed: vault.rewrap(replace(root, wrapped=root.wrapped[:-1] + b"\0")),
]


@pytest.mark.parametrize("fail", FAILURES)
def test_no_failure_shows_a_key_or_secret_even_with_local_variables(
    tmp_path: Path, fail: Callable[[Vault, WrappedRootKey, bytes], object]
):
    drawn: list[bytes] = []

    def entropy(length: int) -> bytes:
        drawn.append(bytes((0xA0 + len(drawn),)) * length)
        return drawn[-1]

    key_file = LocalKeyFile.create(tmp_path / "key")
    vault = Vault(key_file, entropy=entropy)
    root = vault.new_root_key("w1")
    root_key = drawn[0]
    sealed = vault.seal(root, Secret(CANARY), BINDING)
    with pytest.raises((UnsealError, ValueError, KeyProviderError)) as caught:
        fail(vault, root, sealed)
    keys = [bytes.fromhex(line.split()[-1]) for line in key_file.path.read_text().splitlines()[1:]]
    shown = ""
    error: BaseException | None = caught.value
    while error is not None:
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        # The frame of this test holds the key on purpose; the vault's frames must not.
        for frame in report.stack:
            if "/vault/" in frame.filename and "/tests/" not in frame.filename:
                shown += repr(frame.locals)
        shown += str(error) + repr(error) + repr(error.args) + repr(vars(error))
        error = error.__context__
    for secret in (CANARY, root_key, *keys):
        for form in (secret.hex(), repr(secret)[2:-1], secret.decode("latin-1")):
            assert form not in shown
