"""The examples of the documentation are documents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from proxy.content.library import KINDS
from proxy.content.published import schema_text

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"^```json\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "kind", "count"), [("workflows.md", "workflow", 2), ("dashboards.md", "dashboard", 1)]
)
def test_every_example_is_a_document(page: str, kind: Any, count: int):
    examples = _BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    assert len(examples) == count
    schema = json.loads(schema_text(kind))
    for example in examples:
        document = KINDS[kind].read(example)
        assert document.to_value() == json.loads(example)
        jsonschema.validate(json.loads(example), schema, jsonschema.Draft202012Validator)
