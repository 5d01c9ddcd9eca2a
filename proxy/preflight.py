"""What is looked at before a start: files, modes, certificates, limits.

Opens nothing for writing and listens on nothing. ``serve`` refuses to start on the
first error; ``check-config`` shows everything.
"""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from proxy.certificates import CertificateError, check_listener_certificate, utc_now
from proxy.config import AdminConfig, Config, ListenerConfig
from proxy.control import ControlError, check_path
from proxy.parts import store_file
from vault import KeyFileError, LocalKeyFile

# Both legs of a session; the rest is the store, the log, the health port and spare.
_DESCRIPTORS_PER_SESSION = 2
_OTHER_DESCRIPTORS = 256


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about the configuration. An error keeps the proxy from starting."""

    is_error: bool
    sentence: str


def examine(config: Config) -> list[Finding]:
    """Everything that is wrong or worth a thought, errors first."""
    found = [*_keys(config), *_store(config), *_audit(config), *_limits(config)]
    for number, listener in enumerate(config.listeners):
        found += _listener(number, listener)
    found += _admin(config.admin)
    try:
        check_path(config.control.socket)
    except ControlError as error:
        found.append(Finding(True, str(error)))
    return sorted(found, key=lambda finding: not finding.is_error)


def raise_descriptor_limit(config: Config) -> None:
    """Let this process have as many file descriptors as its sessions need, where it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = needed_descriptors(config)
    if soft != resource.RLIM_INFINITY and soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _keys(config: Config) -> Iterator[Finding]:
    try:
        LocalKeyFile.load(config.keys.file)
    except KeyFileError as error:
        yield Finding(True, f"The {error}.")
    store = store_file(config)
    if store is not None and store.parent == config.keys.file.parent:
        yield Finding(
            False,
            "The key file lies beside the store, so that one backup holds both; "
            "set keys.file to another folder.",
        )


def _store(config: Config) -> Iterator[Finding]:
    path = store_file(config)
    if path is None:
        return
    try:
        mode = path.stat().st_mode
    except OSError:
        yield Finding(True, f"There is no store at {path}; `accode-proxy init` makes one.")
        return
    if not stat.S_ISREG(mode):
        yield Finding(True, f"The store {path} is not a regular file.")
    elif mode & 0o077:
        yield Finding(True, f"The store {path} is open to other users: its mode must be 0600.")


def _audit(config: Config) -> Iterator[Finding]:
    folder = config.audit.folder
    nearest = _nearest_existing(folder)
    if not nearest.is_dir():
        yield Finding(True, f"The audit folder {folder} is not a folder.")
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield Finding(True, f"The audit folder {folder} is not writable.")
    elif nearest == folder and folder.stat().st_mode & 0o077:
        yield Finding(False, f"The audit folder {folder} is open to other users; run chmod 700.")


def _limits(config: Config) -> Iterator[Finding]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = needed_descriptors(config)
    if hard != resource.RLIM_INFINITY and hard < needed:
        yield Finding(
            False,
            f"limits.sessions needs {needed} open files and the system allows {hard} "
            "(LimitNOFILE, ulimit -n).",
        )


def _listener(number: int, listener: ListenerConfig) -> Iterator[Finding]:
    name = f"listeners.{number}"
    if listener.tls_certificate is not None and listener.tls_key is not None:
        try:
            warning = check_listener_certificate(
                listener.tls_certificate, listener.tls_key, utc_now()
            )
        except CertificateError as error:
            yield Finding(True, str(error))
        else:
            if warning is not None:
                yield Finding(False, warning)
    if is_loopback(listener.host):
        return
    if listener.plaintext == "always":
        yield Finding(
            False, f"{name} lets remote clients log in without TLS (plaintext is always)."
        )
    elif listener.tls_certificate is None:
        yield Finding(
            False,
            f"{name} has no tls_certificate, so only clients on this machine can log in.",
        )


def _admin(admin: AdminConfig) -> Iterator[Finding]:
    """Never an error: the endpoints are another process, without which the proxy serves."""
    if admin.tls_certificate is not None and admin.tls_key is not None:
        try:
            warning = check_listener_certificate(admin.tls_certificate, admin.tls_key, utc_now())
        except CertificateError as error:
            warning = f"The admin endpoints cannot start. {error}"
        if warning is not None:
            yield Finding(False, warning)
    elif not is_loopback(admin.host):
        yield Finding(
            False,
            "The admin endpoints cannot start: admin.host is not loopback and there is no "
            "admin.tls_certificate, so that API keys would go over the network in plaintext.",
        )


def is_loopback(host: str) -> bool:
    """Whether a host to listen on is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _nearest_existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def needed_descriptors(config: Config) -> int:
    """The file descriptors of as many sessions as may be open."""
    return config.limits.sessions * _DESCRIPTORS_PER_SESSION + _OTHER_DESCRIPTORS
