"""The published JSON Schemas (2020-12) of the documents: package data, and how it is made.

``python -m proxy.content.published`` writes them anew after a change of the classes; a
test compares the two. A schema says what fields are; which names must meet, and what a
statement or an address may be, is checked when a document is saved.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from proxy.content.library import KINDS
from proxy.store.contents import DocumentKind

FOLDER = Path(__file__).parent / "schemas"


def schema_text(kind: DocumentKind) -> str:
    """The published schema, as it is shipped."""
    return (FOLDER / f"{kind}.schema.json").read_text(encoding="utf-8")


def made_schema(kind: DocumentKind) -> dict[str, Any]:
    """The schema that follows from the classes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:accode-proxy:{kind}:1",
        **KINDS[kind].model_json_schema(by_alias=True),
    }


def as_text(schema: dict[str, Any]) -> str:
    """A schema as its file holds it."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files."""
    for kind in KINDS:
        text = as_text(made_schema(kind))
        (FOLDER / f"{kind}.schema.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
