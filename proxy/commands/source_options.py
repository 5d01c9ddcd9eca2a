"""The options of ``source add`` and ``source edit``: where a source is, how it is reached."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

import click

from protocols.roles import TargetSession
from proxy.commands.secrets import read_public_file
from proxy.config import parse_duration
from proxy.store import PoolSettings, TlsSettings
from proxy.store.failover import SINGLE, Endpoint, Failover, LoadBalance
from proxy.store.pooling import POOL_MODES, PoolMode
from proxy.store.records import TlsMode, TlsNegotiation, TlsProfile
from proxy.store.tls import CA_LIMIT, CHAIN_LIMIT, CRL_LIMIT, SERVER_KEY_LIMIT

_ENGINES = {
    "postgresql": ("postgresql", 5432),
    "postgres": ("postgresql", 5432),
    "mysql": ("mysql", 3306),
    "mariadb": ("mysql", 3306),
}
_FAILOVER_WORDS: dict[str, tuple[str, ...]] = {
    "target_session_attrs": get_args(TargetSession),
    "load_balance_hosts": get_args(LoadBalance),
}
_NO_OPTIONS = (
    "Behind a question mark the URL takes target_session_attrs and load_balance_hosts,"
    " each once, and nothing else."
)
_FILE = click.Path(dir_okay=False, path_type=Path)
_DEFAULT_TLS = TlsSettings()


@dataclass(frozen=True, slots=True)
class FailoverChoice:
    """The options of several hosts as they were given; None: not given."""

    target_session_attrs: TargetSession | None = None
    load_balance_hosts: LoadBalance | None = None

    def settings(self, before: Failover) -> Failover:
        """``before``, with what was given in its place."""
        given: dict[str, Any] = {
            name: value for name in _FAILOVER_WORDS if (value := getattr(self, name)) is not None
        }
        return replace(before, **given)


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """What ENGINE://HOST:PORT,HOST:PORT/DATABASE says; ``chosen`` stands behind the "?"."""

    engine: str
    host: str
    port: int
    database: str
    others: tuple[Endpoint, ...] = ()
    chosen: FailoverChoice = FailoverChoice()

    def failover(self, before: Failover = SINGLE) -> Failover:
        """``before``, with these hosts and what was chosen for them in its place."""
        return self.chosen.settings(replace(before, others=self.others))


@dataclass(frozen=True, slots=True)
class TlsChoice:
    """The TLS options as they were given, None or empty: not given; ``settings`` reads files."""

    mode: TlsMode | None
    profile: TlsProfile | None
    ca: Path | None
    client_cert: Path | None
    client_key: Path | None
    server_name: str | None
    pins: tuple[str, ...]
    owner: str | None
    reason: str | None
    until: str | None
    server_public_key: Path | None
    crl: Path | None
    negotiation: TlsNegotiation | None

    def __post_init__(self) -> None:
        if (self.client_cert is None) != (self.client_key is None):
            raise click.UsageError("Give both --client-cert and --client-key, or neither.")

    def settings(self, before: TlsSettings = _DEFAULT_TLS) -> TlsSettings:
        """``before``, with what was given in its place. Raises CommandError, UsageError.

        With a mode that turns TLS off, and with a profile that needs no exception, what only
        the one before had goes.
        """
        if self.mode == "disable":
            before = TlsSettings(mode="disable", server_key_pem=before.server_key_pem)
        if self.profile in ("modern", "intermediate"):
            before = replace(before, owner=None, reason=None, expires_at=None)
        given: dict[str, Any] = {
            "mode": self.mode,
            "profile": self.profile,
            "ca_pem": _read(self.ca, "CA file", CA_LIMIT),
            "client_cert_pem": _read(self.client_cert, "client certificate", CHAIN_LIMIT),
            "server_name": self.server_name,
            "pins": self.pins or None,
            "owner": self.owner,
            "reason": self.reason,
            "expires_at": _end(self.until),
            "server_key_pem": _read(self.server_public_key, "server's key", SERVER_KEY_LIMIT),
            "crl_pem": _read(self.crl, "CRL file", CRL_LIMIT),
            "negotiation": self.negotiation,
        }
        return replace(before, **{name: v for name, v in given.items() if v is not None})


def _read(file: Path | None, purpose: str, limit: int) -> str | None:
    return None if file is None else read_public_file(file, purpose, limit)


def _end(until: str | None) -> datetime | None:
    if until is None:
        return None
    try:
        return datetime.now(UTC) + timedelta(seconds=parse_duration(until))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--until") from None


def parse_url(url: str) -> SourcePlace:
    """Read ENGINE://HOST:PORT/DATABASE. Raises UsageError, without repeating the text.

    Several hosts stand behind each other with commas, and libpq's words for them behind a
    question mark. A user or password in it is refused: an argument is in the process list.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _ENGINES:
        raise click.UsageError(
            "The source must be ENGINE://HOST:PORT/DATABASE,"
            " and ENGINE must be postgresql or mysql."
        )
    if "@" in rest:
        raise click.UsageError(
            "Leave user and password out of the URL: use --username and --password-stdin "
            "(arguments are in the process list and in the shell's history)."
        )
    place, _, query = rest.partition("?")
    if "#" in rest or ("?" in rest and not query):
        raise click.UsageError(_NO_OPTIONS)
    engine, default_port = _ENGINES[scheme]
    hosts, _, path = place.partition("/")
    endpoints = [_endpoint(host, default_port) for host in hosts.split(",")]
    database = unquote(path)
    if not database:
        raise click.UsageError("The URL must name a host and a database.")
    first, *others = endpoints
    return SourcePlace(engine, first.host, first.port, database, tuple(others), _chosen(query))


def _endpoint(text: str, default_port: int) -> Endpoint:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise click.UsageError("The URL's host or port is malformed.") from None
    if not host or re.search(r"\s", text):
        raise click.UsageError("The URL must name a host and a database.")
    return Endpoint(host, default_port if port is None else port)


def _chosen(query: str) -> FailoverChoice:
    """What the URL's options say, each once. What else there is may be a secret."""
    given: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        words = _FAILOVER_WORDS.get(name)
        if words is None or name in given:
            raise click.UsageError(_NO_OPTIONS)
        if value not in words:
            raise click.UsageError(f"The URL's {name} is one of {', '.join(words)}.")
        given[name] = value
    return FailoverChoice(**given)


def failover_options(command: Callable[..., None]) -> Callable[..., None]:
    """Everything about several hosts, as one ``FailoverChoice``."""

    @click.option(
        "--target-session-attrs",
        type=click.Choice(get_args(TargetSession)),
        help="What a session's server must be (MySQL: any, read-write, read-only).  [default: any]",
    )
    @click.option(
        "--load-balance-hosts",
        type=click.Choice(get_args(LoadBalance)),
        help="Try several hosts in a random order.  [default: disable]",
    )
    @functools.wraps(command)
    def call(*args: Any, **kwargs: Any) -> None:
        choice = FailoverChoice(**{name: kwargs.pop(name) for name in _FAILOVER_WORDS})
        command(*args, hosts=choice, **kwargs)

    return call


def password_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--password-stdin`` and ``--password-file``."""
    command = click.option(
        "--password-file", type=_FILE, help="Read the password from a file of mode 0600."
    )(command)
    return click.option(
        "--password-stdin", is_flag=True, help="Read the password from standard input."
    )(command)


@dataclass(frozen=True, slots=True)
class PoolChoice:
    """The pooling options as they were given; None: not given."""

    pooling: PoolMode | None
    minimum: int | None
    maximum: int | None
    idle: str | None
    life: str | None
    queue: str | None

    def settings(self, before: PoolSettings) -> PoolSettings:
        """``before``, with what was given in its place. Raises UsageError."""
        given: dict[str, Any] = {
            "mode": self.pooling,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "idle_seconds": _seconds(self.idle, "--pool-idle"),
            "life_seconds": _seconds(self.life, "--pool-life"),
            "queue_seconds": _seconds(self.queue, "--pool-queue"),
        }
        return replace(before, **{name: v for name, v in given.items() if v is not None})


def _seconds(text: str | None, option: str) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def pool_options(command: Callable[..., None]) -> Callable[..., None]:
    """Everything about pooling, as one ``PoolChoice``."""

    @click.option(
        "--pooling",
        type=click.Choice(POOL_MODES),
        help="Keep connections to the data source for the sessions or transactions to come, or"
        " open one for each session.",
    )
    @click.option("--pool-max", "maximum", type=int, help="Connections of a proxy at the most.")
    @click.option("--pool-min", "minimum", type=int, help="Idle ones that are kept in any case.")
    @click.option("--pool-idle", "idle", help="How long others are kept idle, as 5m.")
    @click.option("--pool-life", "life", help="How old a connection may become, as 1h.")
    @click.option("--pool-queue", "queue", help="How long a client waits for a free one, as 10s.")
    @functools.wraps(command)
    def call(*args: Any, **kwargs: Any) -> None:
        names = PoolChoice.__dataclass_fields__
        choice = PoolChoice(**{name: kwargs.pop(name) for name in names})
        command(*args, pool=choice, **kwargs)

    return call


def tls_options(command: Callable[..., None]) -> Callable[..., None]:
    """Everything about TLS, as one ``TlsChoice``."""

    @click.option(
        "--tls",
        "mode",
        type=click.Choice(["disable", "require", "verify-ca", "verify-full"]),
        help="How the server is checked.  [default: verify-full]",
    )
    @click.option(
        "--tls-profile",
        "profile",
        type=click.Choice(["modern", "intermediate", "compat", "legacy"]),
        help="Versions and ciphers; compat and legacy need --owner, --reason, --until."
        "  [default: intermediate]",
    )
    @click.option(
        "--ca", type=_FILE, help="The only CAs to believe (PEM).  [default: the system's]"
    )
    @click.option(
        "--crl",
        type=_FILE,
        help="Revocation lists (PEM), one of each authority; what they name is refused.",
    )
    @click.option(
        "--tls-negotiation",
        "negotiation",
        type=click.Choice(["request", "direct"]),
        help="Ask for TLS, or speak it at once (PostgreSQL 17 and newer).  [default: request]",
    )
    @click.option("--client-cert", type=_FILE, help="A client certificate with its chain (PEM).")
    @click.option("--client-key", type=_FILE, help="Its private key (PEM, mode 0600).")
    @click.option("--server-name", help="The name in the certificate, where it is not the host.")
    @click.option(
        "--pin", "pins", multiple=True, help="sha256/BASE64 of a server key; two or more."
    )
    @click.option(
        "--server-public-key",
        type=_FILE,
        help="MySQL without TLS: the server's RSA key (PEM), to encrypt the password with.",
    )
    @click.option("--owner", help="Who answers for a weak profile.")
    @click.option("--reason", help="Why a weak profile is needed.")
    @click.option("--until", help="When a weak profile ends, as 90d.")
    @functools.wraps(command)
    def call(*args: Any, **kwargs: Any) -> None:
        names = TlsChoice.__dataclass_fields__
        choice = TlsChoice(**{name: kwargs.pop(name) for name in names})
        command(*args, tls=choice, **kwargs)

    return call
