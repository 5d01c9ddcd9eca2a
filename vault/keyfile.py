"""The key provider that is a file of mode 0600.

Knows the file and its permissions; ``keytext`` knows what is written in it. Errors name
the path and what is wrong, and never repeat a byte of content. Writing is atomic: a new
file beside the old one is flushed and renamed over it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vault.errors import KeyFileError, KeyProviderError
from vault.keytext import KEK_LIMIT, KEY_ID_LENGTH, decode, encode
from vault.record import NONCE_LENGTH, TAG_LENGTH
from vault.sealing import KEY_LENGTH, decrypt, derive, encrypt
from vault.secret import Secret

_FILE_LIMIT = 16 * 1024

_WRAP_MAGIC = b"ACPW"
_WRAP_FORMAT = 1
_WRAPPED_LENGTH = 5 + KEY_ID_LENGTH + NONCE_LENGTH + KEY_LENGTH + TAG_LENGTH
_DERIVE_LABEL = b"accode-proxy derived key 1"
_WRAP_LABEL = b"accode-proxy wrapped root key 1\0"


@dataclass(frozen=True, slots=True)
class _Contents:
    """What one reading of the file gave; ``identity`` tells whether it has changed."""

    seed: Secret
    keks: dict[str, Secret]
    current: str
    identity: tuple[int, int, int]


class LocalKeyFile:
    """A KeyProvider over a local key file. Made by ``create`` or ``load`` only.

    A KEK that another process added to the file is found when it is first needed.
    """

    def __init__(self, path: Path, contents: _Contents) -> None:
        self._path = path
        self._contents = contents

    def __repr__(self) -> str:
        return f"LocalKeyFile({str(self._path)!r}, key_id={self.key_id!r})"

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> LocalKeyFile:
        """Make a new key file of mode 0600, on disk when this returns.

        Raises KeyFileError where one exists already or the directory is not writable.
        """
        target = Path(path)
        text = encode(Secret(os.urandom(KEY_LENGTH)), [Secret(os.urandom(KEY_LENGTH))])
        try:
            _write_new(target, text)
            _sync_directory(target.parent)
        except FileExistsError:
            raise KeyFileError(f"key file {target} exists already") from None
        except OSError as error:
            raise KeyFileError(f"key file {target} cannot be created: {_words(error)}") from None
        return cls.load(target)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LocalKeyFile:
        """Read a key file that is ours alone. Raises KeyFileError."""
        target = Path(path)
        return cls(target, _read(target))

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    @property
    def key_id(self) -> str:
        """The id of the current KEK, as of the last reading."""
        return self._contents.current

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all KEKs in the file, oldest first."""
        return tuple(self._contents.keks)

    def wrap(self, plaintext: Secret, context: bytes) -> bytes:
        """Wrap a key of 32 bytes under the current KEK. Raises KeyProviderError."""
        if len(plaintext.reveal()) != KEY_LENGTH:
            raise KeyProviderError(f"only keys of {KEY_LENGTH} bytes are wrapped")
        contents = self._contents
        header = _WRAP_MAGIC + bytes((_WRAP_FORMAT,)) + contents.current.encode("ascii")
        nonce = os.urandom(NONCE_LENGTH)
        additional_data = _WRAP_LABEL + header + context
        kek = contents.keks[contents.current]
        return header + nonce + encrypt(kek, nonce, plaintext, additional_data)

    def unwrap(self, wrapped: bytes, context: bytes) -> Secret:
        """Unwrap what a KEK of this file has wrapped. Raises KeyProviderError."""
        if len(wrapped) != _WRAPPED_LENGTH or wrapped[:5] != _WRAP_MAGIC + bytes((_WRAP_FORMAT,)):
            raise KeyProviderError("the wrapped root key is malformed")
        header, rest = wrapped[: 5 + KEY_ID_LENGTH], wrapped[5 + KEY_ID_LENGTH :]
        kek = self._kek(header[5:].decode("ascii", "replace"))
        if kek is None:
            raise KeyProviderError(
                f"key file {self._path} does not hold the key that wrapped the root key"
            )
        nonce, ciphertext = rest[:NONCE_LENGTH], rest[NONCE_LENGTH:]
        plaintext = decrypt(kek, nonce, ciphertext, _WRAP_LABEL + header + context)
        if plaintext is None:
            raise KeyProviderError(
                "the wrapped root key does not open: it was changed or is another's"
            )
        return plaintext

    def derive_key(self, purpose: str) -> Secret:
        """32 bytes for a purpose, derived from the seed, which rotation keeps."""
        return Secret(derive(self._contents.seed, b"", [_DERIVE_LABEL, purpose.encode()]))

    def rotate(self) -> str:
        """Add a new KEK and make it current; its id. Older ones go on unwrapping.

        Raises KeyFileError, also where another process is changing the file.
        """
        with _exclusive(self._path):
            contents = _read(self._path)
            if len(contents.keks) >= KEK_LIMIT:
                raise KeyFileError(
                    f"key file {self._path} holds {KEK_LIMIT} keys already: retire one first"
                )
            keks = [*contents.keks.values(), Secret(os.urandom(KEY_LENGTH))]
            self._replace(encode(contents.seed, keks))
        return self.key_id

    def retire(self, key_id: str) -> None:
        """Remove an older KEK: what is still wrapped under it becomes unreadable.

        Raises KeyFileError for the current one and for one that is not there.
        """
        with _exclusive(self._path):
            contents = _read(self._path)
            if key_id not in contents.keks:
                raise KeyFileError(f"key file {self._path} does not hold that key")
            if key_id == contents.current:
                raise KeyFileError(f"key file {self._path} needs its current key: rotate first")
            keks = [kek for held, kek in contents.keks.items() if held != key_id]
            self._replace(encode(contents.seed, keks))

    def destroy(self) -> None:
        """Remove the file: everything sealed under it becomes unreadable.

        The bytes are overwritten first, which a journaling or copying file system or a
        backup may outlive. Raises KeyFileError.
        """
        with _exclusive(self._path):
            _read(self._path)
            try:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    os.write(descriptor, bytes(os.fstat(descriptor).st_size))
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                self._path.unlink()
                _sync_directory(self._path.parent)
            except OSError as error:
                raise KeyFileError(
                    f"key file {self._path} cannot be destroyed: {_words(error)}"
                ) from None

    def _kek(self, key_id: str) -> Secret | None:
        kek = self._contents.keks.get(key_id)
        if kek is None and _identity(self._path) != self._contents.identity:
            self._contents = _read(self._path)
            kek = self._contents.keks.get(key_id)
        return kek

    def _replace(self, text: Secret) -> None:
        # A fixed name: what a crash left behind is found and removed here, and the lock
        # on the directory keeps two writers apart.
        beside = self._path.with_name(self._path.name + ".new")
        try:
            beside.unlink(missing_ok=True)
            _write_new(beside, text)
            os.replace(beside, self._path)
            _sync_directory(self._path.parent)
        except OSError as error:
            raise KeyFileError(
                f"key file {self._path} cannot be rewritten: {_words(error)}"
            ) from None
        self._contents = _read(self._path)


def _read(path: Path) -> _Contents:
    try:
        # O_NONBLOCK: a pipe in the file's place must not hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyFileError(f"key file {path} does not exist") from None
    except OSError as error:
        if path.is_symlink():
            raise KeyFileError(f"key file {path} is a symbolic link") from None
        raise KeyFileError(f"key file {path} cannot be opened: {_words(error)}") from None
    try:
        status = os.fstat(descriptor)
        why = why_refused(status, os.geteuid())
        if why is not None:
            raise KeyFileError(f"key file {path} {why}")
        text = Secret(os.read(descriptor, _FILE_LIMIT + 1))
    except OSError as error:
        raise KeyFileError(f"key file {path} cannot be read: {_words(error)}") from None
    finally:
        os.close(descriptor)
    decoded = decode(text)
    if decoded is None:
        raise KeyFileError(f"key file {path} is not a key file, or it is damaged")
    seed, keks = decoded
    identity = (status.st_ino, status.st_mtime_ns, status.st_size)
    return _Contents(seed, keks, list(keks)[-1], identity)


def why_refused(status: os.stat_result, user_id: int) -> str | None:
    """Why a file may not be the key file of a process of this user; None where it may."""
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_uid not in (user_id, 0):
        return "belongs to another user"
    if mode & 0o077:
        return f"is open to others: its mode must be 0600, it is {mode:04o}"
    if status.st_size > _FILE_LIMIT:
        return "is not a key file: it is too large"
    return None


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def _write_new(path: Path, text: Secret) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        # The umask may have taken bits away; it must not decide.
        os.fchmod(descriptor, 0o600)
        if os.write(descriptor, text.reveal()) != len(text.reveal()):
            raise OSError(0, "the disk is full")
        os.fsync(descriptor)
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold the directory's lock: the file itself is replaced, so a lock on it would be lost."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileError(f"key file {path} cannot be locked: {_words(error)}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise KeyFileError(f"key file {path} is being changed by another process") from None
        yield
    finally:
        os.close(descriptor)


def _words(error: OSError) -> str:
    """The system's words for an error, without the path that str() would repeat."""
    return (error.strerror or "unknown error").lower()
