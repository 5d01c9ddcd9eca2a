"""JSON text into values, bounded before it is parsed. Knows no document's fields.

Size, depth and number of values are counted on the text, so that no parser sees more than
it was meant to. A key given twice, NaN and numbers beyond what others read are refused.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from proxy.content.problems import ContentRefused

MAX_BYTES: Final = 256 * 1024
"""Of one document: a hundred steps with a page of SQL each."""
MAX_DEPTH: Final = 32
"""Ten levels of for-each; every parser in use goes deeper."""
MAX_VALUES: Final = 20_000
MAX_DIGITS: Final = 40
"""Of a number: more than any database column that a document would name."""

# Strings whole, so that what stands inside them is not counted.
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]},:]|[-+.0-9eE]+', re.DOTALL)


def read_json(
    data: bytes | str,
    *,
    max_bytes: int = MAX_BYTES,
    max_values: int = MAX_VALUES,
    max_depth: int = MAX_DEPTH,
) -> Any:
    """The value of a JSON text. Raises ContentRefused."""
    text = _decoded(data, max_bytes)
    _check_bounds(text, max_values, max_depth)
    try:
        return json.loads(text, object_pairs_hook=_without_twins, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise ContentRefused.of(f"this is not JSON: {error.msg.lower()} at {where}") from None


def _decoded(data: bytes | str, max_bytes: int) -> str:
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > max_bytes:
        raise ContentRefused.of(f"it has more than {max_bytes} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ContentRefused.of("it is not UTF-8") from None


def _check_bounds(text: str, max_values: int, max_depth: int) -> None:
    depth = values = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in "[{":
            depth += 1
            if depth > max_depth:
                raise ContentRefused.of(f"it is nested more than {max_depth} levels deep")
        elif token in "]}":
            depth -= 1
        elif token == ",":
            values += 1
            if values > max_values:
                raise ContentRefused.of(f"it has more than {max_values} values")
        elif token[0] not in '":' and len(token) > MAX_DIGITS:
            raise ContentRefused.of(f"a number has more than {MAX_DIGITS} digits")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ContentRefused.of(f"the key {twin[:64]!r} is given twice in one object")
    return value


def _refuse_constant(name: str) -> Any:
    raise ContentRefused.of(f"{name} is no JSON number")
