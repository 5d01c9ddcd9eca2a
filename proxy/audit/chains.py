"""The chains of an audit folder: that of the folder itself, and those of more workers.

A proxy of one process writes into the folder itself, and so does its first worker; each
further one has a folder ``worker-N`` in it, with a chain, a journal and a lock of its own.
Knows names alone.
"""

from __future__ import annotations

import re
from pathlib import Path

MAIN = "main"
"""What the folder's own chain is called."""
_NAME = re.compile(r"worker-([1-9][0-9]{0,2})")


def name_of(seat: int) -> str:
    """What the chain of the worker of a seat, counted from 0, is called."""
    return f"worker-{seat}" if seat else MAIN


def folder_of(folder: Path, seat: int) -> Path:
    """Where it is."""
    return folder / name_of(seat) if seat else folder


def seat_of(name: str) -> int | None:
    """The seat whose chain has this name, or None."""
    if name == MAIN:
        return 0
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def chain_folders(folder: Path) -> dict[str, Path]:
    """Every chain of an audit folder by its name, the folder's own first. Raises OSError."""
    seats = sorted(
        seat
        for path in folder.iterdir()
        if (seat := seat_of(path.name)) and path.is_dir() and not path.is_symlink()
    )
    return {name_of(seat): folder_of(folder, seat) for seat in (0, *seats)}
