"""Tables by name, and statements that are made of names: quoted as each engine quotes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.content.problems import ContentRefused


@dataclass(frozen=True, slots=True)
class TableName:
    """A table, with its schema (MySQL: database) where one is named."""

    schema: str | None
    name: str

    @classmethod
    def parse(cls, text: str) -> TableName:
        """``table`` or ``schema.table``, without quotes. Raises ContentRefused."""
        parts = text.split(".")
        if len(parts) > 2 or not all(
            1 <= len(part.encode()) <= 63 and part.isprintable() for part in parts
        ):
            raise ContentRefused.of("a table is named as table or schema.table")
        return cls(parts[0] if len(parts) == 2 else None, parts[-1])

    def __str__(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"

    def quoted(self, engine: str) -> str:
        """As it stands in a statement."""
        parts = [self.name] if self.schema is None else [self.schema, self.name]
        return ".".join(quoted(part, engine) for part in parts)


def quoted(name: str, engine: str) -> str:
    """A name as it stands in a statement."""
    mark = "`" if engine == "mysql" else '"'
    return mark + name.replace(mark, mark * 2) + mark


def columns_text(columns: Sequence[str], engine: str) -> str:
    """Names with commas between."""
    return ", ".join(quoted(name, engine) for name in columns)
