"""A first configuration: ``accode.toml``, the store, the key file, a certificate.

Overwrites nothing, and leaves nothing behind where it fails half-way. The key file and
the store lie in different folders, so that a backup of one does not hold the other.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from proxy.certificates import make_self_signed, utc_now
from proxy.store import Store
from vault import LocalKeyFile

CONFIG_NAME = "accode.toml"
_STORE, _KEY = Path("data/accode.db"), Path("keys/local.key")
_CERTIFICATE, _CERTIFICATE_KEY = Path("tls/listener.crt"), Path("tls/listener.key")


class AlreadyThereError(Exception):
    """Something that would be made exists already; the sentence names it."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What differs from installation to installation. Port 0 picks a free one.

    ``certificate`` and ``certificate_key`` are files the operator has; None: a
    self-signed one is made.
    """

    host: str = "127.0.0.1"
    port: int = 6432
    metrics_port: int = 9432
    allow_private: bool = False
    certificate: Path | None = None
    certificate_key: Path | None = None
    mysql_port: int = 6433


@dataclass(frozen=True, slots=True)
class Made:
    """The files that were made. ``certificate`` None: the operator's own is used."""

    config: Path
    store: Path
    key: Path
    certificate: Path | None


async def initialise(folder: Path, choices: Choices, config_name: str = CONFIG_NAME) -> Made:
    """Make everything in ``folder``. Raises AlreadyThereError, OSError, StoreError."""
    config = folder / config_name
    has_own = choices.certificate is not None
    names = [_STORE, _KEY] if has_own else [_STORE, _KEY, _CERTIFICATE, _CERTIFICATE_KEY]
    targets = [config, *(folder / name for name in names)]
    _refuse_to_overwrite(targets)
    with _all_or_nothing(targets):
        _make_files(folder, has_own)
        store = await Store.open(f"sqlite:///{_quoted((folder / _STORE).absolute())}")
        await store.close()
        # Last, so that a configuration that is there has all it names.
        _write(config, _text(choices).encode(), 0o644)
    return Made(config, folder / _STORE, folder / _KEY, None if has_own else folder / _CERTIFICATE)


def _refuse_to_overwrite(targets: list[Path]) -> None:
    for target in targets:
        if target.exists() or target.is_symlink():
            raise AlreadyThereError(f"{target} exists already; nothing was changed.")


def _make_files(folder: Path, has_own_certificate: bool) -> None:
    """All but the store and the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (_STORE, _KEY) if has_own_certificate else (_STORE, _KEY, _CERTIFICATE):
        (folder / name).parent.mkdir(mode=0o700, exist_ok=True)
    LocalKeyFile.create(folder / _KEY)
    if not has_own_certificate:
        names = list(dict.fromkeys(["localhost", socket.gethostname(), "127.0.0.1", "::1"]))
        certificate, key = make_self_signed(names, utc_now())
        _write(folder / _CERTIFICATE, certificate, 0o644)
        _write(folder / _CERTIFICATE_KEY, key, 0o600)


@contextmanager
def _all_or_nothing(targets: list[Path]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        store = targets[1]
        beside = [store.with_name(store.name + suffix) for suffix in ("-wal", "-shm", "-journal")]
        for target in (*targets, *beside):
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
url = "sqlite:///{_STORE}"        # or postgresql://..., for several proxies

[keys]
file = "{_KEY}"                   # mode 0600; back it up apart from the store

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
