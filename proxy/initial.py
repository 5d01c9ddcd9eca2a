"""A first configuration: ``accode.toml``, the store, the key file, a certificate.

Overwrites nothing, and leaves nothing behind where it fails half-way. The key file and
the store lie in different folders, so that a backup of one does not hold the other.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from proxy.certificates import make_self_signed, utc_now
from proxy.store import Store, StoreUnusable
from proxy.store.location import PostgresqlLocation, locate
from vault import KeyProviderError, LocalKeyFile, Vault

CONFIG_NAME = "accode.toml"
_STORE, _KEY = Path("data/accode.db"), Path("keys/local.key")
_CERTIFICATE, _CERTIFICATE_KEY = Path("tls/listener.crt"), Path("tls/listener.key")


class AlreadyThereError(Exception):
    """Something that would be made exists already; the sentence names it."""


class KeyNeededError(Exception):
    """The store is in use, and the key file is not the one that its keys are under."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What differs from installation to installation. Port 0 picks a free one.

    ``certificate`` and ``certificate_key`` are files the operator has; None: a
    self-signed one is made. ``store`` is the URL of a PostgreSQL store, None: a SQLite file
    is made. ``key`` is the key file of a store that is in use; None: one is made.
    """

    host: str = "127.0.0.1"
    port: int = 6432
    metrics_port: int = 9432
    allow_private: bool = False
    certificate: Path | None = None
    certificate_key: Path | None = None
    mysql_port: int = 6433
    store: str | None = field(default=None, repr=False)
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """The files that were made. ``store`` and ``certificate`` None: the operator's own is used.

    ``key`` is the key file, whoever made it.
    """

    config: Path
    store: Path | None
    key: Path
    certificate: Path | None


async def initialise(folder: Path, choices: Choices, config_name: str = CONFIG_NAME) -> Made:
    """Make everything in ``folder``.

    Raises AlreadyThereError, KeyNeededError, KeyFileError, OSError, StoreError.
    """
    if choices.store is not None and not isinstance(locate(choices.store), PostgresqlLocation):
        raise StoreUnusable("a store of your own is on PostgreSQL; without one SQLite is made")
    made = Made(
        config=folder / config_name,
        store=None if choices.store else folder / _STORE,
        key=choices.key or folder / _KEY,
        certificate=None if choices.certificate else folder / _CERTIFICATE,
    )
    certificate_key = None if choices.certificate else folder / _CERTIFICATE_KEY
    beside = [
        made.store.with_name(made.store.name + suffix)
        for suffix in ("-wal", "-shm", "-journal")
        if made.store
    ]
    made_key = None if choices.key else made.key
    files = (made.config, made.store, made_key, made.certificate, certificate_key)
    targets = [file for file in files if file is not None]
    _refuse_to_overwrite(targets)
    with _all_or_nothing([*targets, *beside]):
        _make_folders(folder, targets[1:])
        key = LocalKeyFile.load(made.key) if choices.key else LocalKeyFile.create(made.key)
        if not choices.certificate:
            _make_certificate(folder)
        await _make_store(
            choices.store or f"sqlite:///{_quoted((folder / _STORE).absolute())}", key
        )
        # Last, so that a configuration that is there has all it names.
        mode = 0o600 if choices.store and names_a_password(choices.store) else 0o644
        _write(made.config, _text(choices).encode(), mode)
    return made


def names_a_password(store: str) -> bool:
    """Whether a store's URL holds a password, in either of the places that libpq reads."""
    parts = urlsplit(store)
    return bool(parts.password) or "password" in parse_qs(parts.query, keep_blank_values=True)


async def _make_store(url: str, key: LocalKeyFile) -> None:
    """Open it, which makes its tables; a store that is in use must be under this key."""
    store = await Store.open(url)
    try:
        workspaces = await store.list_workspaces()
    finally:
        await store.close()
    vault = Vault(key)
    try:
        for root in (root for workspace in workspaces for root in workspace.root_keys):
            vault.rewrap(root)
    except KeyProviderError:
        raise KeyNeededError(
            "The store is in use, and its keys are under another key file: "
            "give that one with --key-file; nothing was changed."
        ) from None


def _refuse_to_overwrite(targets: list[Path]) -> None:
    for target in targets:
        if target.exists() or target.is_symlink():
            raise AlreadyThereError(f"{target} exists already; nothing was changed.")


def _make_folders(folder: Path, files: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        file.parent.mkdir(mode=0o700, exist_ok=True)


def _make_certificate(folder: Path) -> None:
    names = list(dict.fromkeys(["localhost", socket.gethostname(), "127.0.0.1", "::1"]))
    certificate, key = make_self_signed(names, utc_now())
    _write(folder / _CERTIFICATE, certificate, 0o644)
    _write(folder / _CERTIFICATE_KEY, key, 0o600)


@contextmanager
def _all_or_nothing(targets: list[Path]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for target in targets:
            # What went wrong is told by the error above, not by the tidying.
            with suppress(OSError):
                target.unlink()
        raise


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(descriptor)


def _quoted(path: Path) -> str:
    return quote(str(path))


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(choices: Choices) -> str:
    certificate = choices.certificate.absolute() if choices.certificate else _CERTIFICATE
    key = choices.certificate_key.absolute() if choices.certificate_key else _CERTIFICATE_KEY
    store = choices.store or f"sqlite:///{_STORE}"
    key_file = choices.key.absolute() if choices.key else _KEY
    return f"""\
# Accode Proxy. Paths are relative to this file's folder; lengths of time are seconds or
# text such as "30s". Every setting can also be an environment variable:
# ACCODE_PROXY_AUDIT__FOLDER is audit.folder. `accode-proxy check-config` checks this file.

[[listeners]]
protocol = "postgres"
host = {_toml(choices.host)}
port = {choices.port}
tls_certificate = {_toml(str(certificate))}
tls_key = {_toml(str(key))}
tls_profile = "intermediate"      # or "modern": TLS 1.3 only
plaintext = "loopback"            # who may log in without TLS: loopback, never, always

[[listeners]]
protocol = "mysql"                # MySQL and MariaDB; without such sources take this table out
host = {_toml(choices.host)}
port = {choices.mysql_port}
tls_certificate = {_toml(str(certificate))}
tls_key = {_toml(str(key))}

[store]
# sqlite:///FILE, or postgresql://..., which several proxies can share
url = {_toml(store)}

[keys]
# Mode 0600; back it up apart from the store.
file = {_toml(str(key_file))}

[audit]
folder = "audit"
# rotate_bytes = 268435456
# text_limit = 65536              # bytes of a statement's text in its record
# parameters = false              # whether records hold the values bound to statements

[egress]
# Data sources on loopback and private addresses.
allow_private = {str(choices.allow_private).lower()}
# ports = ["1024-65535"]

[limits]
# sessions = 4000
# sessions_per_workspace = 500
# login_deadline = "10s"
# idle_timeout = "1h"
# session_timeout = "24h"

[metrics]
host = "127.0.0.1"
port = {choices.metrics_port}

[logs]
format = "auto"                   # console on a terminal, JSON elsewhere
level = "info"
"""
