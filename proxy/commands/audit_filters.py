"""What the commands over the audit log have in common: which records, and where they are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from proxy.audit.files import AuditFolderError
from proxy.audit.read import Filters
from proxy.config import Config, parse_duration

_OPTIONS = (
    click.option("--since", help="Records from this time on: 2h ago, or 2026-01-31[T12:00:00Z]."),
    click.option("--until", help="Records before this time."),
    click.option("--workspace", default="", help="A workspace's name or id."),
    click.option("--source", default="", help="A data source's name or id."),
    click.option("--actor", default="", help="A token's id, or an administrator."),
    click.option("--kind", default="", help="A kind of statement, such as select or delete."),
    click.option("--outcome", default="", help="succeeded, failed, refused, interrupted, ..."),
    click.option("--session", default="", help="One session's id."),
    click.option("--text", default="", help="Text in the statement or the message."),
    click.option("--table", default="", help="A table, or schema.table, that a statement names."),
    click.option("--class", "class_uid", type=int, help="An OCSF class, such as 6005 or 3002."),
)


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which records, and call it with ``Filters``."""

    @functools.wraps(command)
    def call(
        *args: Any, since: str | None, until: str | None, class_uid: int | None, **given: Any
    ) -> None:
        wanted = {name: given.pop(name) for name in _WORDS}
        filters = Filters(
            since=_moment(since, "--since"),
            until=_moment(until, "--until"),
            class_uid=class_uid,
            **wanted,
        )
        command(*args, filters=filters, **given)

    for option in reversed(_OPTIONS):
        call = option(call)
    return call


_WORDS = ("workspace", "source", "actor", "kind", "outcome", "session", "text", "table")


def audit_folder(config: Config) -> Path:
    """Where the log is. Raises AuditFolderError."""
    folder = config.audit.folder
    if not folder.is_dir():
        raise AuditFolderError(f"there is no audit log in {folder}")
    return folder


def _moment(text: str | None, option: str) -> float | None:
    """Wall-clock seconds of a distance from now or of an ISO 8601 moment (UTC if unsaid)."""
    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        return now.timestamp() - parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            "give a distance such as 2h or 30d, or a moment such as 2026-01-31T12:00:00Z",
            param_hint=option,
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
