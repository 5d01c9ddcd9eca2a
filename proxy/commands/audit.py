"""``accode-proxy audit``: read and verify the audit log. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from typing import Any

import click

from proxy.audit.chains import MAIN, seat_of
from proxy.audit.crosscheck import verify_all
from proxy.audit.read import Filters, Record
from proxy.audit.read import search as search_records
from proxy.audit.read import tail as tail_records
from proxy.audit.report import Report
from proxy.commands.audit_export import export
from proxy.commands.audit_filters import audit_folder, filtered
from proxy.commands.frame import CommandError, Group, Invocation, everywhere
from proxy.commands.records import describe_record
from proxy.parts import open_vault

_HASH_LENGTH = 64


@click.group(cls=Group)
def audit() -> None:
    """The audit log: tail, search, export, verify."""


audit.add_command(export)


@audit.command(
    examples=(
        "accode-proxy audit tail",
        "accode-proxy audit tail -n 100 --json | jq .message",
        "accode-proxy audit tail --follow",
    )
)
@click.option("-n", "count", type=click.IntRange(0, 100_000), default=10, show_default=True)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@everywhere
def tail(invocation: Invocation, count: int, follow: bool) -> None:
    """Show the newest records, the newest last. With --json, one record a line."""
    folder = audit_folder(invocation.config())
    try:
        _show(invocation, tail_records(folder, count, follow=follow))
    except KeyboardInterrupt:
        # The way to end --follow.
        return


@audit.command(
    examples=(
        "accode-proxy audit search --workspace finance --since 2h --kind delete",
        "accode-proxy audit search --text 'drop table' --since 30d --json",
        "accode-proxy audit search --session 8c1f... --limit 0",
    )
)
@filtered
@click.option(
    "--limit",
    type=click.IntRange(0, 10_000_000),
    default=1_000,
    show_default=True,
    help="At most so many records; 0: all.",
)
@everywhere
def search(invocation: Invocation, /, filters: Filters, limit: int) -> None:
    """Search the records, oldest first. With --json, one record a line."""
    folder = audit_folder(invocation.config())
    found = search_records(folder, filters)
    shown = _show(invocation, islice(found, limit) if limit else found)
    if limit and shown == limit and next(found, None) is not None:
        invocation.note(f"There are more; only the first {limit} are shown (--limit).")


@audit.command(
    examples=(
        "accode-proxy audit verify",
        "accode-proxy audit verify --expect 5120:3b1c...  # a checkpoint kept elsewhere",
        "accode-proxy audit verify --public-key 7f0a... --json",
    )
)
@click.option(
    "--expect",
    multiple=True,
    help="[CHAIN/]SEQUENCE:HASH of a record, kept elsewhere; for each chain, if there are several.",
)
@click.option(
    "--public-key",
    help="The log's public key (64 hex digits), from `key status`.  [default: from the key file]",
)
@click.option("--may-start-late", is_flag=True, help="The oldest files were removed on purpose.")
@everywhere
def verify(
    invocation: Invocation, expect: tuple[str, ...], public_key: str | None, may_start_late: bool
) -> None:
    """Check every record; name the first that was changed, removed or replaced."""
    config = invocation.config()
    expected = dict(map(_expected, expect))
    key = _public_key(public_key) if public_key else open_vault(config).verification_key()
    reports = verify_all(audit_folder(config), key, expected, may_start_late=may_start_late)
    if invocation.as_json:
        others = {name: _as_value(one) for name, one in reports.items() if name != MAIN}
        is_intact = all(report.is_intact for report in reports.values())
        value = _as_value(reports[MAIN]) | {"is_intact": is_intact, "chains": others}
        invocation.show(value, "")
    for name, report in reports.items():
        _tell(invocation, _prefix(name), report)
    faults = [f"{_prefix(name)}{report.fault}" for name, report in reports.items() if report.fault]
    if faults:
        raise CommandError(f"The audit log is damaged: {'; '.join(faults)}")
    unrecorded = sum(len(report.unrecorded) for report in reports.values())
    if unrecorded:
        raise CommandError(
            f"{unrecorded} statements have no record; the next start of the proxy "
            "writes them from its journal"
        )
    if not invocation.as_json:
        for name, report in reports.items():
            click.echo(
                f"{_prefix(name)}Intact: {report.records} records in {report.files} files; the "
                f"newest signature is {report.unsigned_tail} records before the end.\n"
                f"{_prefix(name)}Newest: {'' if name == MAIN else name + '/'}"
                f"{report.last_sequence}:{report.last_hash}  (keep it elsewhere, for --expect)"
            )


def _prefix(name: str) -> str:
    """Which chain is spoken of; nothing for the folder's own."""
    return "" if name == MAIN else f"{name}: "


def _as_value(report: Report) -> dict[str, Any]:
    return asdict(report) | {
        "is_intact": report.is_intact,
        "fault": str(report.fault) if report.fault else None,
    }


def _tell(invocation: Invocation, prefix: str, report: Report) -> None:
    for note in report.notes:
        invocation.note(f"Note: {prefix}{note}.")
    for missing in report.unrecorded:
        invocation.note(
            f"{prefix}A statement of session {missing.session} was let through and has no "
            f"record: number {missing.number}, {missing.text_length} bytes."
        )


def _show(invocation: Invocation, records: Iterable[Record]) -> int:
    count = 0
    for record in records:
        count += 1
        if invocation.as_json:
            click.echo(json.dumps(record, separators=(",", ":")))
        else:
            click.echo(describe_record(record))
    return count


def _expected(text: str) -> tuple[str, tuple[int, str]]:
    """The chain's name, and the (sequence, hash) that it must hold."""
    name, slash, point = text.rpartition("/")
    sequence, _, value = point.partition(":")
    is_hash = len(value) == _HASH_LENGTH and all(c in "0123456789abcdef" for c in value)
    is_number = sequence.isascii() and sequence.isdigit() and len(sequence) < 19
    if not (is_hash and is_number and (not slash or seat_of(name) is not None)):
        raise click.BadParameter("give [CHAIN/]SEQUENCE:HASH, as `audit verify` prints it")
    return name or MAIN, (int(sequence), value)


def _public_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise click.BadParameter("a public key is 64 hexadecimal digits", param_hint="--public-key")
    return key
