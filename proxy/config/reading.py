"""The file and the environment together become a ``Config``, or one clear sentence.

An environment variable wins over the file: ``ACCODE_PROXY_AUDIT__FOLDER`` is
``audit.folder``, ``ACCODE_PROXY_LISTENERS__0__PORT`` the first listener's port.
Values are never repeated in an error: one of them may be a secret in the wrong place.
"""

from __future__ import annotations

import difflib
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from proxy.config.schema import READER, SECTIONS, TEXT, Config, ListenerConfig
from proxy.config.values import Reader, SettingError

PREFIX = "ACCODE_PROXY_"
CONFIG_VARIABLE = "ACCODE_PROXY_CONFIG"
# Not settings: the first names the file itself and is read by the command line, the
# second makes a test run use the uncompiled modules.
_OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "ACCODE_PROXY_PURE"})
# A megabyte of settings is a mistake, not a configuration.
_LARGEST_FILE = 1024 * 1024
_MOST_LISTENERS = 64
# Beside PostgreSQL's 6432, so that both may run with nothing but their names.
MYSQL_PORT = 6433
# Kubernetes puts these into every container near a Service called accode-proxy
# ("Service environment variables" in its manual); they are not ours.
_SERVICE_LINK = re.compile(
    r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)"
)


class ConfigError(Exception):
    """The configuration cannot be used; the text is one sentence that names the place."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A value from the environment, and the variable that held it."""

    text: str
    variable: str


def load_config(file: Path, environment: Mapping[str, str]) -> Config:
    """Read ``file``, then the environment over it. Raises ConfigError."""
    return read_config(file, environment)[0]


def read_config(file: Path, environment: Mapping[str, str]) -> tuple[Config, str]:
    """The same, and the file's text, from which another process makes the same ``Config``."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(_LARGEST_FILE + 1)
            mode = stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration file {file}; `accode-proxy init` makes one."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"The configuration file {file} cannot be read: {error.strerror}."
        ) from None
    if len(raw) > _LARGEST_FILE:
        raise ConfigError(f"The configuration file {file} is larger than one megabyte.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text (byte {error.start}).") from None
    config = config_from_text(text, environment, file)
    if mode & (stat.S_IRGRP | stat.S_IROTH) and _names_a_password(tomllib.loads(text)):
        raise ConfigError(
            f"{file} holds the store's password and others can read it: "
            f"run chmod 600, or move it to {PREFIX}STORE__URL."
        )
    return config, text


def config_from_text(text: str, environment: Mapping[str, str], file: Path) -> Config:
    """What ``file`` would say if this were its text. Raises ConfigError."""
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Only where, never what: the message may quote a character of a secret.
        where = re.search(r"\((at [^()]*)\)$", str(error))
        place = f" {where[1]}" if where else ""
        raise ConfigError(f"{file} is not valid TOML{place}.") from None
    return parse_config(settings, environment, folder=file.absolute().parent, file=file)


def parse_config(
    settings: Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    folder: Path,
    file: Path | None = None,
) -> Config:
    """Check settings as TOML gives them, with the environment over them.

    Relative paths are relative to ``folder``. Raises ConfigError.
    """
    place = file.name if file is not None else "the settings"
    merged: dict[str, Any] = {name: _copied(value) for name, value in settings.items()}
    _overlay(merged, environment)
    for name, value in merged.items():
        if name not in SECTIONS and name != "listeners":
            raise _unknown(place, name, value)
    sections = {
        name: _section(section, merged.get(name, {}), name, place, folder)
        for name, section in SECTIONS.items()
    }
    config = Config(
        listeners=_listeners(merged.get("listeners"), place, folder), file=file, **sections
    )
    _check_together(config, place)
    return config


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_copied(entry) for entry in value]
    return value


def _overlay(settings: dict[str, Any], environment: Mapping[str, str]) -> None:
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in _OTHER_VARIABLES:
            continue
        rest = variable.removeprefix(PREFIX)
        if _SERVICE_LINK.fullmatch(rest):
            continue
        value = _Text(environment[variable], variable)
        match rest.lower().split("__"):
            case ["listeners", number, name] if number.isascii() and number.isdigit():
                listeners = settings.setdefault("listeners", [{}])
                if not isinstance(listeners, list) or int(number) >= len(listeners):
                    raise ConfigError(f"{variable} names a listener that the file does not have.")
                if isinstance(listeners[int(number)], dict):
                    listeners[int(number)][name] = value
            case [section, name] if section in SECTIONS:
                table = settings.setdefault(section, {})
                if isinstance(table, dict):
                    table[name] = value
            case _:
                raise _unknown(variable, rest.lower().replace("__", "."), value)


def _listeners(raw: Any, place: str, folder: Path) -> tuple[ListenerConfig, ...]:
    if raw is None:
        raw = [{}]
    if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
        raise ConfigError(f"{place}: listeners must be tables, each under [[listeners]].")
    if not 1 <= len(raw) <= _MOST_LISTENERS:
        raise ConfigError(f"{place}: there must be from 1 to {_MOST_LISTENERS} listeners.")
    return tuple(
        _section(ListenerConfig, _with_port(entry), f"listeners.{number}", place, folder)
        for number, entry in enumerate(raw)
    )


def _with_port(listener: dict[str, Any]) -> dict[str, Any]:
    """Each protocol has its own default port."""
    protocol = listener.get("protocol")
    name = protocol.text if isinstance(protocol, _Text) else protocol
    return {"port": MYSQL_PORT} | listener if name == "mysql" else listener


def _section(kind: type[Any], raw: Any, name: str, place: str, folder: Path) -> Any:
    if not isinstance(raw, dict):
        raise ConfigError(f"{place}: {name} must be a table, under [{name}].")
    known: dict[str, Field[Any]] = {entry.name: entry for entry in fields(kind)}
    for key in raw:
        if key not in known:
            raise _unknown(place, f"{name}.{key}", raw[key])
    # What is not given keeps the field's own default; some are paths, and are read.
    given = {key: entry.metadata[TEXT] for key, entry in known.items() if entry.metadata[TEXT]}
    given |= raw
    return kind(
        **{
            key: _value(known[key], value, f"{name}.{key}", place, folder)
            for key, value in given.items()
        }
    )


def _value(entry: Field[Any], raw: Any, name: str, place: str, folder: Path) -> Any:
    reader: Reader = entry.metadata[READER]
    try:
        if isinstance(raw, _Text):
            raw, name, place = reader.from_text(raw.text), raw.variable, "the environment"
        return reader.read(raw, folder)
    except SettingError as problem:
        raise ConfigError(f"{place}: {name} {problem}.") from None


def _unknown(place: str, name: str, value: Any) -> ConfigError:
    """The refusal of a key nobody knows, with the nearest one that is known."""
    if isinstance(value, _Text):
        place, shown, pattern = "the environment", value.variable, PREFIX + "{}"
    else:
        shown, pattern = name, "{}"
    # The listener's number is not part of a key's name; it is put back afterwards.
    number = re.search(r"^listeners\.([0-9]+)\.", name)
    plain = re.sub(r"^listeners\.[0-9]+\.", "listeners.", name)
    known = [f"{s}.{entry.name}" for s, kind in SECTIONS.items() for entry in fields(kind)]
    known += [f"listeners.{entry.name}" for entry in fields(ListenerConfig)]
    if isinstance(value, _Text):
        plain = plain.replace(".", "_")
        by_shape = {key.replace(".", "_"): key for key in known}
    elif "." in plain:
        by_shape = {key: key for key in known}
    else:
        by_shape = {key: key for key in [*SECTIONS, "listeners"]}
        # A key that stands above every section is most often in the wrong place.
        by_shape |= {key.split(".")[1]: key for key in known if key.split(".")[1] not in by_shape}
    nearest = by_shape[difflib.get_close_matches(plain, list(by_shape), n=1, cutoff=0.0)[0]]
    if nearest.startswith("listeners."):
        nearest = nearest.replace("listeners.", f"listeners.{number[1] if number else 0}.")
    if isinstance(value, _Text):
        nearest = nearest.replace(".", "__").upper()
    return ConfigError(
        f"{place}: {_printable(shown)} is not a setting; "
        f"the nearest one is {pattern.format(nearest)}."
    )


def _printable(name: str) -> str:
    shown = "".join(character if character.isprintable() else "?" for character in name)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _names_a_password(settings: Mapping[str, Any]) -> bool:
    store = settings.get("store")
    url = store.get("url") if isinstance(store, dict) else None
    return isinstance(url, str) and bool(urlsplit(url).password)


def _check_together(config: Config, place: str) -> None:
    """What no setting is wrong about alone."""
    seen: dict[tuple[str, int], str] = {}
    if config.metrics.port:
        seen[config.metrics.host, config.metrics.port] = "metrics"
    for number, listener in enumerate(config.listeners):
        name = f"listeners.{number}"
        if (listener.tls_certificate is None) != (listener.tls_key is None):
            raise ConfigError(
                f"{place}: {name} must have both tls_certificate and tls_key, or neither."
            )
        if listener.tls_certificate is None and listener.plaintext == "never":
            raise ConfigError(
                f"{place}: {name} allows no plaintext and has no tls_certificate, "
                "so that nobody could log in."
            )
        if listener.protocol != "mysql" and (
            listener.server_version or listener.local_infile or listener.compression
        ):
            raise ConfigError(
                f"{place}: {name} speaks {listener.protocol}; server_version, local_infile and "
                "compression are settings of a mysql listener."
            )
        address = (listener.host, listener.port)
        if listener.port and address in seen:
            raise ConfigError(
                f"{place}: {name} and {seen[address]} have the same host and port "
                f"({listener.host}:{listener.port})."
            )
        seen[address] = name
    admin = config.admin
    if (admin.tls_certificate is None) != (admin.tls_key is None):
        raise ConfigError(f"{place}: admin must have both tls_certificate and tls_key, or neither.")
    if admin.port and (admin.host, admin.port) in seen:
        raise ConfigError(
            f"{place}: admin and {seen[admin.host, admin.port]} have the same host and port "
            f"({admin.host}:{admin.port})."
        )
    limits = config.limits
    if limits.pending_logins_per_address > limits.pending_logins:
        raise ConfigError(
            f"{place}: limits.pending_logins_per_address must not be more than "
            "limits.pending_logins."
        )
