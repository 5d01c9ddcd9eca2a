"""What PostgreSQL's DDL does: tables, indexes, views, sequences, schemas, types.

A function here looks at one kind of statement; ``statements`` knows which. What a definition
is made of is on a list, and its expressions are walked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from policies.facts import Feature, Name
from policies.postgres.findings import EVERYTHING, Findings
from policies.postgres.nodes import QUERIES, name_of, range_name, strings, table_feature
from policies.postgres.parse import Node
from policies.postgres.walk import Walker

Look = Callable[[Node, Findings, Walker], None]

_SCHEMA = "the schema"


def table(target: str) -> Look:
    """DDL of the table named in the field ``target``, its expressions walked."""

    def look(fields: Node, found: Findings, walker: Walker) -> None:
        relation = fields[target]
        found.features.add(table_feature(relation))
        found.write(range_name(relation), _SCHEMA)
        walker.visit(fields.get("query"))
        _Definitions(found, walker).look({k: v for k, v in fields.items() if k != "query"})

    return look


class _Definitions:
    """A table's definition: only parts that are known, and every expression walked."""

    _PARTS: Final = frozenset(
        """
AlterTableCmd ColumnDef Constraint DefElem IndexElem Integer List PartitionElem PartitionSpec
PartitionBoundSpec String TypeName RangeVar CollateClause Boolean Float A_Const RoleSpec
TableLikeClause PartitionCmd
""".split()
    )
    _COMMANDS: Final = frozenset(
        """
AT_AddColumn AT_ColumnDefault AT_DropNotNull AT_SetNotNull AT_DropColumn AT_AddConstraint
AT_ValidateConstraint AT_DropConstraint AT_AlterColumnType AT_SetStatistics AT_AddIndex
AT_AttachPartition AT_DetachPartition AT_AddIdentity AT_DropIdentity AT_SetIdentity
AT_AlterConstraint
""".split()
    )

    def __init__(self, found: Findings, walker: Walker) -> None:
        self._found = found
        self._walker = walker

    def look(self, value: object) -> None:
        """Look at a field's value."""
        if isinstance(value, list):
            for item in value:
                self.look(item)
        elif isinstance(value, dict):
            for name, inner in value.items():
                if not name[:1].isupper():
                    self._field(name, inner)
                elif name in self._PARTS:
                    self._part(name, inner)
                else:
                    self._walker.visit({name: inner})

    def _field(self, name: str, inner: object) -> None:
        if name == "subtype" and inner not in self._COMMANDS:
            self._found.forbid("this kind of ALTER TABLE")
        if name == "behavior" and inner == "DROP_CASCADE":
            self._found.write(EVERYTHING, _SCHEMA)
        if name == "inhRelations":
            self._join(inner)
            return
        self.look(inner)

    def _join(self, relations: object) -> None:
        """INHERITS, PARTITION OF: what is read from or written to one reaches the other now."""
        self._found.reads_whole_rows = True
        for relation in relations if isinstance(relations, list) else ():
            self._found.write(range_name(relation["RangeVar"]), _SCHEMA)

    def _part(self, name: str, inner: Node) -> None:
        if name == "RangeVar" or "relname" in inner:
            self._found.read(range_name(inner))
            return
        if name == "TableLikeClause":
            self._found.read(range_name(inner["relation"]))
        if name == "PartitionCmd":
            self._found.reads_whole_rows = True
            self._found.write(range_name(inner["name"]), _SCHEMA)
        if "pktable" in inner:
            self._found.read(range_name(inner["pktable"]))
            inner = {key: item for key, item in inner.items() if key != "pktable"}
        if name != "TypeName":
            self.look(inner)


def create_as(fields: Node, found: Findings, walker: Walker) -> None:
    """CREATE TABLE AS and CREATE MATERIALIZED VIEW."""
    target = fields["into"]["rel"]
    found.features.add(table_feature(target))
    found.write(range_name(target), _SCHEMA)
    (kind,) = fields["query"]
    if kind not in QUERIES:
        found.forbid("CREATE TABLE AS EXECUTE")
    walker.visit(fields["query"])


_DROPPABLE: Final = frozenset(
    f"OBJECT_{word}" for word in "TABLE VIEW MATVIEW INDEX SEQUENCE SCHEMA TYPE DOMAIN".split()
)


def drop(fields: Node, found: Findings, walker: Walker) -> None:
    """DROP of tables and what stands beside them."""
    kind = fields.get("removeType")
    if kind not in _DROPPABLE:
        found.forbid("DROP of this kind of object")
        return
    found.features.add(Feature.DDL)
    _cascade(fields, found)
    for item in fields.get("objects", ()):
        if kind == "OBJECT_SCHEMA":
            found.write(Name(item["String"]["sval"], "*"), _SCHEMA)
        elif "TypeName" in item:
            found.write(name_of(strings(item["TypeName"].get("names"))), _SCHEMA)
        else:
            found.write(name_of(strings(item["List"]["items"])), _SCHEMA)


def _cascade(fields: Node, found: Findings) -> None:
    """CASCADE takes along what the statement does not name, wherever it is."""
    if fields.get("behavior") == "DROP_CASCADE":
        found.write(EVERYTHING, _SCHEMA)


def truncate(fields: Node, found: Findings, walker: Walker) -> None:
    """TRUNCATE."""
    found.features.add(Feature.DDL)
    _cascade(fields, found)
    for relation in fields.get("relations", ()):
        name = range_name(relation["RangeVar"])
        found.write(name, f"rows of {name}")


_RENAMABLE: Final = frozenset(
    f"OBJECT_{word}" for word in "TABLE VIEW MATVIEW INDEX SEQUENCE COLUMN TABCONSTRAINT".split()
)


def rename(fields: Node, found: Findings, walker: Walker) -> None:
    """ALTER … RENAME of a table, an index or a column."""
    if fields.get("renameType") not in _RENAMABLE or "relation" not in fields:
        found.forbid("renaming this kind of object")
        return
    found.features.add(Feature.DDL)
    name = range_name(fields["relation"])
    found.write(name, _SCHEMA)
    # What was not to be read under the one name must not be under the other.
    found.read(name)
    found.reads_whole_rows = True
    if fields["renameType"] != "OBJECT_COLUMN" and fields["renameType"] != "OBJECT_TABCONSTRAINT":
        found.write(Name(name.schema, fields.get("newname", "")), _SCHEMA)


def create_schema(fields: Node, found: Findings, walker: Walker) -> None:
    """CREATE SCHEMA."""
    if fields.get("schemaElts") or fields.get("authrole"):
        found.forbid("CREATE SCHEMA with anything but a name")
    found.features.add(Feature.DDL)
    found.write(Name(fields.get("schemaname", ""), "*"), _SCHEMA)


def create_type(fields: Node, found: Findings, walker: Walker) -> None:
    """CREATE TYPE AS ENUM, and ADD VALUE to one."""
    found.features.add(Feature.DDL)
    found.write(name_of(strings(fields.get("typeName"))), _SCHEMA)


def sequence(fields: Node, found: Findings, walker: Walker) -> None:
    """CREATE and ALTER SEQUENCE."""
    found.features.add(table_feature(fields["sequence"]))
    found.write(range_name(fields["sequence"]), _SCHEMA)
