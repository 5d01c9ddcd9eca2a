"""The secret: sealed at rest, opened only for the destination it was given for.

The map of this package:

``redacted``   ``Redacted``: what does not show itself; the base of ``Secret``
``secret``     ``Secret``: bytes that do not show themselves, with one door, ``reveal``
``binding``    what a sealed secret is bound to: ``Binding``, ``Destination``
``record``     ``SealedRecord``: the sealed form, byte for byte
``sealing``    HKDF, commitment and AES-256-GCM over given keys; no key management
``provider``   ``KeyProvider``: who holds the key encryption key; ``WrappedRootKey``
``keyfile``    ``LocalKeyFile``: the provider that is a file of mode 0600
``keytext``    what is written in that file
``vault``      ``Vault``: workspace root keys, seal, unseal, derived keys
``totp``       codes by time of a key that does not leave
``selftest``   known answers, checked before the first secret is opened
``hardening``  core dumps off, memory closed to other processes
``errors``     what can go wrong, each one sentence without a secret

The keys, from the outside in: a key encryption key of the provider wraps a root key
of each workspace (256 bit, versioned); HKDF makes of it one key for each record.
"""

from vault.binding import Binding, Destination
from vault.errors import KeyFileError, KeyProviderError, SelfTestError, UnsealError, VaultError
from vault.hardening import Hardening, harden_process
from vault.keyfile import LocalKeyFile
from vault.provider import KeyProvider, WrappedRootKey
from vault.record import SealedRecord
from vault.redacted import Redacted
from vault.secret import Secret
from vault.vault import Vault

__all__ = [
    "Binding",
    "Destination",
    "Hardening",
    "KeyFileError",
    "KeyProvider",
    "KeyProviderError",
    "LocalKeyFile",
    "Redacted",
    "SealedRecord",
    "Secret",
    "SelfTestError",
    "UnsealError",
    "Vault",
    "VaultError",
    "WrappedRootKey",
    "harden_process",
]
