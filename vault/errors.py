"""What can go wrong in the vault. Each text is one sentence and never holds a secret,
a key, or a part of a key file.
"""

from __future__ import annotations


class VaultError(Exception):
    """The vault cannot do what was asked; the parent of all errors here."""


class UnsealError(VaultError):
    """A sealed record was not opened: malformed, changed, out of place, or too old."""


class KeyProviderError(VaultError):
    """The key provider cannot wrap or unwrap a root key."""


class KeyFileError(KeyProviderError):
    """The local key file cannot be used; the sentence names the path, never content."""


class SelfTestError(VaultError):
    """The cryptography gave another answer than the known one; nothing may be opened."""
