"""Every setting: its type, default, range, and why. Knows neither files nor variables.

A field's reader is in its metadata; a field's place is its section and its name, as
``audit.folder``. All lengths of time are in seconds, all sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from proxy.config.values import (
    Choice,
    Choices,
    FilePath,
    Flag,
    Host,
    HostNames,
    Ports,
    Reader,
    Seconds,
    ServerVersion,
    StoreUrl,
    Whole,
)

READER = "reader"
TEXT = "text"
_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
_MEBIBYTE = 1024 * 1024


def _read(reader: Reader, text: str | None = None) -> dict[str, Any]:
    """A field's reader, and where the default depends on the file's folder, its text."""
    return {READER: reader, TEXT: text}


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """One port that clients connect to.

    ``plaintext`` says who may log in without TLS: clients on loopback, nobody, or
    everybody. ``tls_certificate`` and ``tls_key`` are PEM files; both or neither.
    ``max_sessions`` is the most of ``limits.sessions`` that this listener takes; 0: all.
    ``server_version``, ``local_infile`` and ``compression`` are MySQL's: the version that its
    greeting shows ("": the protocol's own choice), whether clients may be asked for their
    files by their own LOAD DATA LOCAL, and what they may have their sessions compressed with.
    """

    protocol: Literal["postgres", "mysql"] = field(
        default="postgres", metadata=_read(Choice(("postgres", "mysql")))
    )
    host: str = field(default="127.0.0.1", metadata=_read(Host()))
    port: int = field(default=6432, metadata=_read(Whole(0, 65_535)))
    tls_certificate: Path | None = field(default=None, metadata=_read(FilePath(may_be_absent=True)))
    tls_key: Path | None = field(default=None, metadata=_read(FilePath(may_be_absent=True)))
    tls_profile: Literal["intermediate", "modern"] = field(
        default="intermediate", metadata=_read(Choice(("intermediate", "modern")))
    )
    plaintext: Literal["loopback", "never", "always"] = field(
        default="loopback", metadata=_read(Choice(("loopback", "never", "always")))
    )
    max_sessions: int = field(default=0, metadata=_read(Whole(0, 1_000_000)))
    server_version: str = field(default="", metadata=_read(ServerVersion()))
    local_infile: bool = field(default=False, metadata=_read(Flag()))
    compression: tuple[str, ...] = field(default=(), metadata=_read(Choices(("zlib", "zstd"))))


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """The control-plane database. The URL may hold a password and is never shown."""

    url: str = field(repr=False, metadata=_read(StoreUrl(), "sqlite:///data/accode.db"))


@dataclass(frozen=True, slots=True)
class KeysConfig:
    """The local key file: mode 0600, not beside the store."""

    file: Path = field(metadata=_read(FilePath(), "keys/local.key"))


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """The audit log.

    ``text_limit`` is how much of a statement's text a record keeps, in bytes.
    ``parameters``: records hold the values bound to a statement.
    ``sync_interval`` is how long a statement's record may wait for fsync (the records
    that must be durable first do not wait for it). ``durable_timeout`` bounds how long a
    login waits for its record before it is refused. ``queue_bytes`` bounds what may wait
    to be written; from a quarter of it on, clients are read no further.
    """

    folder: Path = field(metadata=_read(FilePath(), "audit"))
    rotate_bytes: int = field(
        default=256 * _MEBIBYTE, metadata=_read(Whole(_MEBIBYTE, 16 * 1024 * _MEBIBYTE))
    )
    text_limit: int = field(default=64 * 1024, metadata=_read(Whole(256, _MEBIBYTE)))
    parameters: bool = field(default=False, metadata=_read(Flag()))
    sync_interval: float = field(default=1.0, metadata=_read(Seconds(0.01, 10.0)))
    checkpoint_interval: float = field(default=60.0, metadata=_read(Seconds(1.0, 60.0)))
    durable_timeout: float = field(default=2.0, metadata=_read(Seconds(0.1, 60.0)))
    queue_bytes: int = field(
        default=64 * _MEBIBYTE, metadata=_read(Whole(4 * _MEBIBYTE, 4096 * _MEBIBYTE))
    )


@dataclass(frozen=True, slots=True)
class EgressConfig:
    """Where data sources may be.

    ``allow_private`` also allows loopback. Ports below 1024 belong to services that
    are not databases, so they are allowed by name only.
    """

    allow_private: bool = field(default=False, metadata=_read(Flag()))
    ports: tuple[tuple[int, int], ...] = field(default=((1024, 65_535),), metadata=_read(Ports()))


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """Counts and deadlines of the data path.

    ``sessions``: two file descriptors each. ``login_deadline`` bounds each phase of a
    client's login. ``idle_timeout`` and ``transaction_idle_timeout`` count from the
    last statement's end; ``session_timeout`` from the login. ``peer_timeout`` is how long a
    peer's machine may leave what was sent to it unacknowledged. ``drain_deadline`` is
    how long a stopping proxy waits for sessions to finish. ``failure_floor`` is the
    least time a refused login takes, so that its cause cannot be told from its time.
    """

    sessions: int = field(default=4_000, metadata=_read(Whole(1, 1_000_000)))
    sessions_per_workspace: int = field(default=500, metadata=_read(Whole(1, 1_000_000)))
    pending_logins: int = field(default=1_000, metadata=_read(Whole(1, 100_000)))
    pending_logins_per_address: int = field(default=100, metadata=_read(Whole(1, 100_000)))
    login_deadline: float = field(default=10.0, metadata=_read(Seconds(0.5, 5 * _MINUTE)))
    connect_timeout: float = field(default=10.0, metadata=_read(Seconds(0.1, 5 * _MINUTE)))
    idle_timeout: float = field(
        default=_HOUR, metadata=_read(Seconds(1.0, 30 * _DAY, may_be_off=True))
    )
    transaction_idle_timeout: float = field(
        default=_HOUR, metadata=_read(Seconds(1.0, 30 * _DAY, may_be_off=True))
    )
    session_timeout: float = field(
        default=_DAY, metadata=_read(Seconds(1.0, 365 * _DAY, may_be_off=True))
    )
    peer_timeout: float = field(
        default=2 * _MINUTE, metadata=_read(Seconds(1.0, _HOUR, may_be_off=True))
    )
    drain_deadline: float = field(default=30.0, metadata=_read(Seconds(0.0, _HOUR)))
    failure_floor: float = field(default=0.3, metadata=_read(Seconds(0.0, 5.0)))


@dataclass(frozen=True, slots=True)
class LogsConfig:
    """The structured log on stderr. ``auto``: console on a terminal, JSON elsewhere."""

    format: Literal["auto", "json", "console"] = field(
        default="auto", metadata=_read(Choice(("auto", "json", "console")))
    )
    level: Literal["debug", "info", "warning", "error"] = field(
        default="info", metadata=_read(Choice(("debug", "info", "warning", "error")))
    )


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """The port of ``/metrics``, ``/healthz`` and ``/readyz``. Port 0 picks a free one."""

    host: str = field(default="127.0.0.1", metadata=_read(Host()))
    port: int = field(default=9432, metadata=_read(Whole(0, 65_535)))


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """The unix socket through which the command line talks to the running proxy."""

    socket: Path = field(metadata=_read(FilePath(), "run/control.sock"))


@dataclass(frozen=True, slots=True)
class AdminConfig:
    """The admin endpoints, which are a process of their own.

    Off loopback a certificate is needed: an API key is sent with every call. ``names``:
    the host names that calls may be made under, beside IP addresses and ``localhost``; a
    page on another name that resolves here (DNS rebinding) gets no answer.
    ``calls_per_key`` and ``calls_per_address`` are calls a minute. ``csv_limit``:
    bytes of a file that is imported; ``csv_rate``: bytes a second of all exports together.
    ``oidc_ca``: authorities believed for workspaces' identity providers besides the system's,
    in PEM.
    """

    host: str = field(default="127.0.0.1", metadata=_read(Host()))
    port: int = field(default=8432, metadata=_read(Whole(0, 65_535)))
    tls_certificate: Path | None = field(default=None, metadata=_read(FilePath(may_be_absent=True)))
    tls_key: Path | None = field(default=None, metadata=_read(FilePath(may_be_absent=True)))
    names: tuple[str, ...] = field(default=(), metadata=_read(HostNames()))
    calls_per_key: int = field(default=600, metadata=_read(Whole(1, 1_000_000)))
    calls_per_address: int = field(default=1_200, metadata=_read(Whole(1, 1_000_000)))
    csv_limit: int = field(default=4 * 1024**3, metadata=_read(Whole(1, 1024**4)))
    csv_rate: int = field(default=8 * 1024**2, metadata=_read(Whole(64 * 1024, 1024**4)))
    oidc_ca: Path | None = field(default=None, metadata=_read(FilePath(may_be_absent=True)))


@dataclass(frozen=True, slots=True)
class WorkersConfig:
    """How many processes serve.

    0: as many as there are cores for this process. 1: the proxy is one process. More: worker
    processes under a supervisor, which replaces one that has died, or has not answered for
    ``answer_timeout``.
    """

    count: int = field(default=0, metadata=_read(Whole(0, 64)))
    answer_timeout: float = field(default=10.0, metadata=_read(Seconds(1.0, 5 * _MINUTE)))


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """The process that runs workflows, ``accode-proxy runner``.

    ``runs``: at once in one runner; ``runs_per_workspace``: at once of one workspace, over
    all runners. ``lease``: a run whose runner was silent for so long is given up as lost.
    ``plain_http``: whether HTTP calls may go without TLS. ``ca``: authorities believed for
    HTTP calls besides the system's, in PEM.
    """

    runs: int = field(default=8, metadata=_read(Whole(1, 256)))
    runs_per_workspace: int = field(default=2, metadata=_read(Whole(1, 64)))
    lease: float = field(default=15.0, metadata=_read(Seconds(2.0, 5 * _MINUTE)))
    plain_http: bool = field(default=False, metadata=_read(Flag()))
    ca: Path | None = field(default=None, metadata=_read(FilePath(may_be_absent=True)))


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, checked. ``file`` is where they came from, if from a file."""

    listeners: tuple[ListenerConfig, ...]
    store: StoreConfig
    keys: KeysConfig
    audit: AuditConfig
    egress: EgressConfig
    limits: LimitsConfig
    logs: LogsConfig
    metrics: MetricsConfig
    control: ControlConfig
    workers: WorkersConfig
    admin: AdminConfig
    runner: RunnerConfig
    file: Path | None = None


SECTIONS: dict[str, type[Any]] = {
    "store": StoreConfig,
    "keys": KeysConfig,
    "audit": AuditConfig,
    "egress": EgressConfig,
    "limits": LimitsConfig,
    "logs": LogsConfig,
    "metrics": MetricsConfig,
    "control": ControlConfig,
    "workers": WorkersConfig,
    "admin": AdminConfig,
    "runner": RunnerConfig,
}
