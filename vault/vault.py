"""Seals and unseals secrets under the workspaces' root keys.

Knows how keys hang together. Must never know where records are stored or what a
secret is used for; holds no unwrapped root key between two calls.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.binding import Binding
from vault.errors import KeyProviderError, UnsealError
from vault.provider import KeyProvider, WrappedRootKey, root_key_context
from vault.record import NONCE_LENGTH, RECORD_ID_LENGTH, SECRET_LIMIT, SealedRecord
from vault.sealing import KEY_LENGTH, open_record, seal_record
from vault.secret import Secret
from vault.selftest import check_known_answers, check_provider

_SIGNING_PURPOSE = "audit checkpoint signing 1"
_FAKE_SALT_PURPOSE = "fake scram salt 1"
_FINGERPRINT_PURPOSE = "statement fingerprint 1"


class Vault:
    """The one place where secrets are sealed and unsealed.

    Calls block for as long as the key provider does: microseconds for a local key
    file. ``entropy`` is ``os.urandom`` except in tests.
    """

    def __init__(
        self, provider: KeyProvider, *, entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._provider = provider
        self._entropy = entropy

    @property
    def key_id(self) -> str:
        """The id of the KEK that wraps now."""
        return self._provider.key_id

    def new_root_key(self, workspace_id: str, *, version: int = 1) -> WrappedRootKey:
        """A new random root key; ``version`` is one more than the workspace's last.

        Raises KeyProviderError.
        """
        return self._wrap(Secret(self._entropy(KEY_LENGTH)), workspace_id, version)

    def needs_rewrap(self, root: WrappedRootKey) -> bool:
        """Whether a root key is still wrapped under an earlier KEK."""
        return root.key_id != self._provider.key_id

    def rewrap(self, root: WrappedRootKey) -> WrappedRootKey:
        """The same root key under the current KEK; what it sealed stays as it is.

        Raises KeyProviderError.
        """
        plaintext = self._provider.unwrap(root.wrapped, root.context)
        return self._wrap(plaintext, root.workspace_id, root.version)

    def seal(self, root: WrappedRootKey, secret: Secret, binding: Binding) -> bytes:
        """Seal a secret for the place ``binding`` names.

        Raises KeyProviderError, and ValueError for a root key of another workspace or a
        secret of more than SECRET_LIMIT bytes.
        """
        if root.workspace_id != binding.workspace_id:
            raise ValueError("the root key belongs to another workspace")
        if len(secret.reveal()) > SECRET_LIMIT:
            raise ValueError(f"a secret has at most {SECRET_LIMIT} bytes")
        record = seal_record(
            self._provider.unwrap(root.wrapped, root.context),
            root.version,
            root.key_id,
            secret,
            binding,
            record_id=self._entropy(RECORD_ID_LENGTH),
            nonce=self._entropy(NONCE_LENGTH),
        )
        return record.to_bytes()

    def unseal(
        self, root: WrappedRootKey, sealed: bytes, binding: Binding, *, minimum_version: int
    ) -> Secret:
        """Open a sealed secret for the place it was sealed for.

        ``minimum_version`` is the highest record version seen for this place: an older
        record put back into the store is refused. Raises UnsealError.
        """
        record = SealedRecord.from_bytes(sealed)
        if root.workspace_id != binding.workspace_id:
            raise UnsealError("the root key belongs to another workspace")
        if record.root_key_version != root.version:
            raise UnsealError("the sealed record was made under another root key version")
        if record.record_version < minimum_version:
            raise UnsealError("the sealed record is older than the newest one seen")
        if record.record_version != binding.record_version:
            raise UnsealError("the sealed record is not of the version that was asked for")
        opened = open_record(self._unwrap(root), record, binding)
        if opened is None:
            raise UnsealError(
                "the sealed record does not open: it was changed, or its destination was"
            )
        return opened

    def reseal(
        self, root: WrappedRootKey, new_root: WrappedRootKey, sealed: bytes, binding: Binding
    ) -> bytes:
        """The same secret, place and record version under another root key version.

        Raises UnsealError, KeyProviderError.
        """
        secret = self.unseal(root, sealed, binding, minimum_version=binding.record_version)
        return self.seal(new_root, secret, binding)

    def signing_key(self) -> Ed25519PrivateKey:
        """The key that signs audit checkpoints; the same for ever for one key file."""
        return Ed25519PrivateKey.from_private_bytes(
            self._provider.derive_key(_SIGNING_PURPOSE).reveal()
        )

    def verification_key(self) -> bytes:
        """The public half of the signing key, 32 bytes, to be given to auditors."""
        return self.signing_key().public_key().public_bytes_raw()

    def fake_salt_key(self) -> bytes:
        """The key of the stable fake SCRAM salts for unknown workspaces, 32 bytes."""
        return self._provider.derive_key(_FAKE_SALT_PURPOSE).reveal()

    def fingerprint_key(self) -> bytes:
        """The key of the fingerprints that stand for statements with secrets, 32 bytes."""
        return self._provider.derive_key(_FINGERPRINT_PURPOSE).reveal()

    def self_test(self) -> None:
        """Known answers and a round trip through the key provider. Raises SelfTestError."""
        check_known_answers()
        check_provider(self._provider)

    def _wrap(self, plaintext: Secret, workspace_id: str, version: int) -> WrappedRootKey:
        # The id is read first: a provider that rotates between the two calls gives a
        # wrapped key that names its own KEK anyway, and is rewrapped once more.
        key_id = self._provider.key_id
        wrapped = self._provider.wrap(plaintext, root_key_context(workspace_id, version))
        return WrappedRootKey(workspace_id, version, key_id, wrapped)

    def _unwrap(self, root: WrappedRootKey) -> Secret:
        try:
            return self._provider.unwrap(root.wrapped, root.context)
        except KeyProviderError as error:
            raise UnsealError(str(error)) from None
