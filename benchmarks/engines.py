"""What differs between the two protocols that are measured: server, subjects, cases, aims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks import requirements
from benchmarks.accode import MysqlAccode, PostgresAccode
from benchmarks.bench import Audience, Case, DatabaseServer, Subject
from benchmarks.builds import OURS, Build
from benchmarks.cases import MYSQL_CASES, POSTGRES_CASES
from benchmarks.mysql_router import MysqlRouter
from benchmarks.mysql_server import MariaDb
from benchmarks.odyssey import Odyssey
from benchmarks.peers import find_haproxy, find_mysql_router, find_odyssey, find_pgbouncer
from benchmarks.pgbouncer import PgBouncer
from benchmarks.processes import BenchmarkError
from benchmarks.requirements import Requirement
from benchmarks.servers import Certificate, PostgresServer
from benchmarks.subjects import Direct, HaProxy

# What is asked of several processes is asked of two.
WORKERS = 2

Announce = Callable[[str], None]


class Setting(Protocol):
    """A server, and the ways to it that can be made once it runs."""

    @property
    def server(self) -> DatabaseServer:
        """Not started yet."""

    def peer(self, name: str) -> Subject:
        """A subject that is not ours. Raises BenchmarkError where it is not to be had."""

    def accode(self, build: Build, *, has_policy: bool) -> Subject:
        """Ours."""

    def sharing(self, builds: Sequence[Build]) -> list[Subject]:
        """Peers and ours, pooling by transaction. Raises BenchmarkError."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One protocol. ``peer``: the subject that the tables compare with."""

    protocol: str
    title: str
    subjects: tuple[str, ...]
    peer: str
    cases: tuple[Case, ...]
    requirements: tuple[Requirement, ...]
    has_store_scale: bool
    setting: Callable[[Path, Certificate, Announce], Setting]


class PostgresSetting:
    """PostgreSQL. See ``Setting``."""

    def __init__(self, scratch: Path, certificate: Certificate, announce: Announce) -> None:
        self.server = PostgresServer(scratch, certificate)
        self._scratch = scratch
        self._certificate = certificate
        self._announce = announce

    def peer(self, name: str) -> Subject:
        """Direct, PgBouncer or HAProxy."""
        if name == "direct":
            return Direct(self.server)
        if name == "haproxy":
            return HaProxy(find_haproxy(), self.server, self._scratch)
        program = find_pgbouncer(self._announce)
        return PgBouncer(program, self.server, self._certificate, self._scratch)

    def accode(self, build: Build, *, has_policy: bool) -> Subject:
        """Its PostgreSQL listener."""
        return PostgresAccode(
            build, self.server, self._certificate, self._scratch, has_policy=has_policy
        )

    def sharing(self, builds: Sequence[Build]) -> list[Subject]:
        """PgBouncer, Odyssey where it is to be had, and ours."""
        place = self.server, self._certificate, self._scratch
        found: list[Subject] = [PgBouncer(find_pgbouncer(self._announce), *place, is_shared=True)]
        try:
            program = find_odyssey(self._announce)
            found.append(Odyssey(program, *place))
        except BenchmarkError as error:
            self._announce(f"Without Odyssey: {error}")
        for workers in (1, WORKERS):
            for build in builds:
                found.append(PostgresAccode(build, *place, is_shared=True, workers=workers))
        return found


class MysqlSetting:
    """MariaDB. See ``Setting``."""

    def __init__(self, scratch: Path, certificate: Certificate, announce: Announce) -> None:
        self.server = MariaDb(scratch, certificate)
        self._scratch = scratch
        self._certificate = certificate
        self._announce = announce

    def peer(self, name: str) -> Subject:
        """Direct, HAProxy or MySQL Router."""
        if name == "direct":
            return Direct(self.server)
        if name == "haproxy":
            return HaProxy(find_haproxy(), self.server, self._scratch)
        program, plugins = find_mysql_router(self._announce)
        return MysqlRouter(program, plugins, self.server, self._scratch)

    def accode(self, build: Build, *, has_policy: bool) -> Subject:
        """Its MySQL listener."""
        return MysqlAccode(
            build, self.server, self._certificate, self._scratch, has_policy=has_policy
        )

    def sharing(self, builds: Sequence[Build]) -> list[Subject]:
        """MySQL's connections are pooled by session."""
        return []


def make_subjects(
    setting: Setting,
    names: Sequence[str],
    builds: Sequence[Build],
    cases: Sequence[Case],
    announce: Announce,
) -> list[Subject]:
    """The subjects that the cases need, in order; a peer that is not to be had is left out.

    Of Accode Proxy there is one for each build, and where a case compares policies one more
    with a policy; where one is about sharing connections, the peers that do so and each of ours
    once more.
    """
    judging = [case.audience is Audience.POLICIES for case in cases]
    sharing = [case.audience is Audience.SHARING for case in cases]
    is_plain = not all(one or other for one, other in zip(judging, sharing, strict=True))
    found: list[Subject] = []
    if is_plain:
        for name in names:
            if name == OURS:
                continue
            try:
                found.append(setting.peer(name))
            except BenchmarkError as error:
                if name == "direct":
                    raise
                announce(f"Without {name}: {error}")
    if OURS in names:
        for build in builds:
            if is_plain or any(judging):
                found.append(setting.accode(build, has_policy=False))
            if any(judging):
                found.append(setting.accode(build, has_policy=True))
        if any(sharing):
            try:
                found += setting.sharing(builds)
            except BenchmarkError as error:
                announce(f"Without pooling by transaction: {error}")
    return found


POSTGRES = Engine(
    "postgres",
    "PostgreSQL",
    ("direct", "pgbouncer", "haproxy", OURS),
    requirements.POOLER,
    POSTGRES_CASES,
    requirements.POSTGRES,
    has_store_scale=True,
    setting=PostgresSetting,
)
MYSQL = Engine(
    "mysql",
    "MySQL",
    ("direct", "haproxy", "router", OURS),
    requirements.RELAY,
    MYSQL_CASES,
    requirements.MYSQL,
    has_store_scale=False,
    setting=MysqlSetting,
)
