"""What a database server says that it was asked to run, in its own statement log.

PostgreSQL's ``log_statement = all`` has a line before a simple query runs (once for a text of
several statements) and one for each Execute, with the bound values; what it could not read or
would not run has an error with the text instead (manual, 20.8.3). MariaDB's general log has a
row for each Query and each Execute, with the values in the text. Knows these formats alone.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.marks import Key, key_of, marks_in

_RUN = re.compile(r"(?:statement|execute [^:\n]*): (.*)", re.DOTALL)
_PARAMETERS = re.compile(r"(?i)parameters: (.*)", re.DOTALL)


@dataclass(slots=True)
class ServerSide:
    """``run``: how often each key ran. ``refused``: what it answered with an error unread."""

    run: Counter[Key] = field(default_factory=Counter)
    refused: set[Key] = field(default_factory=set)

    def add(self, other: ServerSide) -> None:
        """Take another server's in."""
        self.run += other.run
        self.refused |= other.refused


def read_postgres(lines: Iterable[str], accounts: set[str]) -> ServerSide:
    """``log_destination = jsonlog``, as far as it tells of these accounts."""
    found = ServerSide()
    for line in lines:
        entry: dict[str, Any] = json.loads(line)
        if entry.get("user") not in accounts:
            continue
        match = _RUN.fullmatch(entry.get("message", ""))
        if entry["error_severity"] == "LOG" and match:
            values = _PARAMETERS.fullmatch(entry.get("detail", ""))
            found.run[key_of(match[1], [values[1]] if values else [])] += 1
        elif "statement" in entry:
            found.refused.add(key_of(entry["statement"]))
    return found


def read_postgres_file(path: Path, accounts: set[str]) -> ServerSide:
    """The same of a file."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        return read_postgres(lines, accounts)


def read_general_log(rows: Iterable[tuple[str, str, str]], accounts: set[str]) -> ServerSide:
    """MariaDB's ``mysql.general_log``: user_host, command_type, argument."""
    found = ServerSide()
    for user_host, command, text in rows:
        if user_host.partition("[")[0] not in accounts:
            continue
        if command in ("Query", "Execute"):
            found.run[key_of(text)] += 1
        elif command == "Prepare" and marks_in(text):
            found.refused.add(key_of(text))
    return found
