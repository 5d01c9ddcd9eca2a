"""How large a body may be: small for all calls but those that bring documents or rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.admin.strict_json import BODY_LIMIT, DEPTH_LIMIT, ITEMS_LIMIT
from proxy.content.archive import MAX_ARCHIVE, MAX_ARCHIVE_VALUES
from proxy.content.portable import MAX_IMPORT
from proxy.content.reading import MAX_DEPTH, MAX_VALUES


@dataclass(frozen=True, slots=True)
class Bounds:
    """``size`` in bytes; ``items`` are commas and colons; ``seconds`` for all of it to arrive."""

    size: int = BODY_LIMIT
    depth: int = DEPTH_LIMIT
    items: int = ITEMS_LIMIT
    seconds: float = 10.0
    """Half a megabyte at 50 KB/s."""


USUAL: Final = Bounds()
# A document's own bounds hold for it besides, and it stands one level down in a body.
_DOCUMENT: Final = Bounds(depth=MAX_DEPTH + 1, items=2 * MAX_VALUES + 100)

_BOUNDS: Final[Mapping[str, Bounds]] = {
    "createWorkflow": _DOCUMENT,
    "saveWorkflow": _DOCUMENT,
    "createDashboard": _DOCUMENT,
    "saveDashboard": _DOCUMENT,
    "importWorkspace": Bounds(MAX_ARCHIVE, MAX_DEPTH + 3, 2 * MAX_ARCHIVE_VALUES, 60.0),
    "importContent": Bounds(MAX_IMPORT, MAX_DEPTH + 3, 2 * MAX_VALUES + 1_000, 60.0),
}


def bounds_of(operation_id: str) -> Bounds:
    """What the bodies of an operation are held to."""
    return _BOUNDS.get(operation_id, USUAL)
