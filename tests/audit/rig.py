"""What the audit tests share: a clock that is told the time, a disk that is told to fail."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.statements import Kind, Outcome, Statement, Via
from protocols.values import BoundValue, BoundValues
from proxy.audit import AuditLog, AuditSettings, Leg, SessionContext, SessionRecorder
from proxy.audit.log import Between
from proxy.audit.writer import Disk
from tests.servers.waiting import eventually

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = KEY.public_key().public_bytes_raw()
FINGERPRINT_KEY = b"f" * 32
NOON = 1_800_000_000.0 - 1_800_000_000 % 86400 + 12 * 3600


class ToldClock:
    """Stands still until a test moves it."""

    def __init__(self, wall: float = NOON) -> None:
        self.wall = wall
        self.elapsed = 1000.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.elapsed

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds


class FailingDisk(Disk):
    """A real disk that fails, or takes half, for as long as it is told to."""

    def __init__(self) -> None:
        self.write_error = 0
        self.sync_error = 0
        self.room: int | None = None
        self.syncs = 0
        self.rewritten = 0

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        if self.write_error:
            raise OSError(self.write_error, "told to fail")
        if self.room is not None:
            if self.room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            data = data[: self.room]
            self.room -= len(data)
        return super().write(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        if self.sync_error:
            raise OSError(self.sync_error, "told to fail")
        self.syncs += 1
        super().sync(descriptor)

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        data = super().read(descriptor, size, offset)
        self.rewritten += len(data)
        return data


def settings(folder: Path, **changes: Any) -> AuditSettings:
    small = AuditSettings(folder, journal_segment=256 * 1024, journal_segments=4)
    return replace(small, **changes)


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    clock: Any = None,
    disk: Disk | None = None,
    between: Between | None = None,
    **changes: Any,
) -> AsyncIterator[AuditLog]:
    log = await AuditLog.open(
        settings(folder, **changes),
        KEY,
        clock or ToldClock(),
        fingerprint_key=FINGERPRINT_KEY,
        disk=disk,
        between=between,
    )
    try:
        yield log
    finally:
        await log.close()


def context(session: str = "s1", **changes: Any) -> SessionContext:
    made = SessionContext(
        session_id=session,
        workspace_id="w-1",
        workspace="finance",
        source_id="src-1",
        source="orders",
        engine="postgresql",
        database="orders_db",
        token_id="tok-1",
        application_name="psql",
        client_ip="192.0.2.7",
        client_port=50123,
        started=NOON,
        started_monotonic=1000.0,
        client_leg=Leg("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        upstream_leg=Leg("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384"),
        upstream_user="app",
        server_version="15.4",
    )
    return replace(made, **changes)


def statement(text: bytes = b"SELECT 1", started: float = 1001.0) -> Statement:
    made = Statement(Via.SIMPLE, text, len(text), started)
    made.kind = Kind.SELECT
    return made


def finish(made: Statement, outcome: Outcome = Outcome.SUCCEEDED) -> Statement:
    made.ended = made.started + 0.25
    made.outcome = outcome
    made.rows = 1
    made.tag = b"SELECT 1"
    return made


def run_statement(recorder: SessionRecorder, text: bytes = b"SELECT 1") -> Statement:
    made = statement(text)
    recorder.begin(made)
    recorder.end(finish(made))
    return made


async def until(condition: Any, seconds: float = 40.0) -> None:
    """Wait, bounded, for what another thread or process brings about."""
    await eventually(condition, within=seconds)


async def write_log(folder: Path, statements: int = 20, **changes: Any) -> None:
    """A whole log, opened, used and closed in order."""
    async with opened(folder, **changes) as log:
        recorder = log.recorder(context())
        for number in range(statements):
            run_statement(recorder, b"SELECT %d" % number)
        recorder.close("client_left", duration=1.0)


def statements_of_every_sort() -> list[Statement]:
    """What older_log/ holds, statement by statement: each member of a record, set and not."""
    made = []
    for text in (
        b"SELECT 1",
        b"SELECT \"a\", 'b\\c'\n\tFROM t",
        "SELECT 'Zürich \u202e \U0001f600'".encode(),
        b"SELECT '\xff\x1b[2J\x7f'",
        b"",
    ):
        made.append(finish(statement(text)))
    named = finish(statement(b"SELECT $1"))
    named.via, named.name = Via.EXECUTE, b'p"\xff'
    card = BoundValue(b"\x00\x01card 4111", 11, is_binary=False, type=0)
    named.values = BoundValues((card,), count=1)
    cut = finish(statement(b"SELECT 'long"))
    cut.text_length, cut.bytes_out = 100_000, 4096
    copied = finish(statement(b"COPY t FROM STDIN"))
    copied.kind, copied.bytes_in, copied.tag, copied.rows = Kind.COPY, 99, b"COPY 7", 7
    copied_out = finish(statement(b"COPY t TO STDOUT"))
    copied_out.kind, copied_out.tag = Kind.COPY, b""
    failed = finish(statement(b"UPDATE t SET n = 1/0"), Outcome.FAILED)
    failed.kind, failed.code, failed.tag, failed.rows = Kind.UPDATE, "22012", b"", 0
    refused = finish(statement(b"DROP TABLE t"), Outcome.REFUSED)
    refused.kind, refused.code, refused.rule, refused.tag = Kind.DROP, "42501", "no drops", b""
    odd = finish(statement(b"SELECT 2"))
    odd.tag, odd.ended = b"SELECT 1\x1b[2J", odd.started - 1.0
    made += [named, cut, copied, copied_out, failed, refused, odd]
    for outcome in (Outcome.SUSPENDED, Outcome.PREPARED, Outcome.SKIPPED, Outcome.INTERRUPTED):
        made.append(finish(statement(b"FETCH 1 FROM c"), outcome))
    return made
