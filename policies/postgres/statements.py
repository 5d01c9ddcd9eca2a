"""What each kind of PostgreSQL statement does. A kind without an entry is forbidden.

Fields are those of PostgreSQL's parsenodes.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from policies.facts import Feature, Name
from policies.postgres import settings
from policies.postgres.findings import EVERYTHING, Findings
from policies.postgres.nodes import constant, name_of, range_name, strings, table_feature
from policies.postgres.parse import Node
from policies.postgres.walk import Walker
from protocols.statements import Kind

Look = Callable[[Node, Findings, Walker], None]

_SCHEMA = "the schema"
_QUERIES: Final = {
    "SelectStmt": Kind.SELECT,
    "InsertStmt": Kind.INSERT,
    "UpdateStmt": Kind.UPDATE,
    "DeleteStmt": Kind.DELETE,
    "MergeStmt": Kind.MERGE,
}


def look_at(kind: str, fields: Node, found: Findings, walker: Walker) -> None:
    """Note what one statement does, and leave its parts to the walker."""
    if kind in _QUERIES:
        walker.visit_bare(kind, fields)
        return
    entry = _LOOKS.get(kind)
    if entry is None:
        found.forbid(f"this kind of statement ({kind.removesuffix('Stmt')})")
        return
    entry[1](fields, found, walker)


def kind_of(kind: str, fields: Node) -> Kind:
    """The sort of a statement."""
    if kind in _QUERIES:
        return Kind.CREATE if "intoClause" in fields else _QUERIES[kind]
    entry = _LOOKS.get(kind)
    return Kind.OTHER if entry is None else entry[0]


def _nothing(fields: Node, found: Findings, walker: Walker) -> None:
    """SHOW, CLOSE, DEALLOCATE, DISCARD, UNLISTEN, FETCH: the session's own."""


def _transaction(fields: Node, found: Findings, walker: Walker) -> None:
    kind = fields.get("kind", "")
    if "PREPARED" in kind or kind == "TRANS_STMT_PREPARE":
        found.forbid("two-phase commit")
    _modes(fields.get("options", ()), found)


def _modes(options: list[Node], found: Findings) -> None:
    for option in options:
        element = option["DefElem"]
        name = element["defname"]
        if name not in ("transaction_isolation", "transaction_deferrable"):
            value = constant(element.get("arg", {}))
            # The grammar writes READ WRITE as 0, which the tree leaves out.
            found.assign(name, [value] if value is not None else ["off"])


def _set(fields: Node, found: Findings, walker: Walker) -> None:
    found.depends_on_constants = True
    kind = fields.get("kind", "")
    name = fields.get("name", "")
    if kind == "VAR_SET_MULTI":
        if name not in ("TRANSACTION", "SESSION CHARACTERISTICS"):
            # An exported snapshot is another session's.
            found.forbid(f"SET {name}")
        _modes(fields.get("args", ()), found)
    elif kind == "VAR_RESET_ALL":
        found.moves_lookup = True
    elif kind == "VAR_RESET" or kind == "VAR_SET_DEFAULT":
        lowered = name.lower()
        # To what the session began with, which the proxy has chosen.
        if lowered == settings.LOOKUP:
            found.moves_lookup = True
        elif lowered not in settings.IDENTITY and not settings.is_known(lowered):
            found.settings.add(lowered)
        elif lowered == "transaction_read_only":
            found.change("the transaction's mode to READ WRITE")
    elif kind == "VAR_SET_VALUE":
        values = [constant(item) for item in fields.get("args", ())]
        known = [value for value in values if value is not None]
        if len(known) != len(values):
            found.forbid(f"setting {name} to anything but a constant")
        found.assign(name, known)
    else:
        found.forbid("SET FROM CURRENT")


def _explain(fields: Node, found: Findings, walker: Walker) -> None:
    options = {option["DefElem"]["defname"] for option in fields.get("options", ())}
    query = fields["query"]
    (kind,) = query
    if kind not in _QUERIES and kind not in ("ExecuteStmt", "DeclareCursorStmt"):
        found.forbid("EXPLAIN of this kind of statement")
        return
    if "analyze" in options:
        found.nested.add(kind_of(kind, query[kind]))
        look_at(kind, query[kind], found, walker)
        return
    inner = Findings()
    below = Walker(inner)
    look_at(kind, query[kind], inner, below)
    below.finish()
    # It is planned and not run: it changes nothing, but its plan shows what it names.
    found.reads |= inner.reads | inner.writes
    found.columns |= inner.columns
    found.functions |= inner.functions
    found.reads_whole_rows = found.reads_whole_rows or inner.reads_whole_rows
    found.reads_every_column = inner.reads_every_column
    found.depends_on_constants = inner.depends_on_constants
    if inner.forbidden:
        found.forbid(inner.forbidden)


def _copy(fields: Node, found: Findings, walker: Walker) -> None:
    if fields.get("is_program") or fields.get("filename"):
        found.forbid("COPY to or from a file or program of the server")
    found.features.add(Feature.COPY)
    columns = strings(fields.get("attlist"))
    found.columns.update(column.lower() for column in columns)
    if "relation" in fields:
        name = range_name(fields["relation"])
        if fields.get("is_from"):
            found.write(name, f"rows of {name}")
        else:
            found.read(name)
            found.reads_whole_rows = not columns
    for kind, query in (fields.get("query") or {}).items():
        if kind != "SelectStmt":
            found.nested.add(kind_of(kind, query))
    walker.visit(fields.get("query"))
    walker.visit(fields.get("whereClause"))


def _declare(fields: Node, found: Findings, walker: Walker) -> None:
    walker.visit(fields["query"])


def _prepare(fields: Node, found: Findings, walker: Walker) -> None:
    found.features.add(Feature.PREPARED)
    query = fields["query"]
    (kind,) = query
    if kind not in _QUERIES:
        found.forbid("PREPARE of this kind of statement")
    found.nested.add(kind_of(kind, query[kind]))
    walker.visit(query)


def _execute(fields: Node, found: Findings, walker: Walker) -> None:
    found.features.add(Feature.PREPARED)
    walker.visit(fields.get("params"))


def _listen(fields: Node, found: Findings, walker: Walker) -> None:
    found.features.add(Feature.LISTEN)


def _lock_table(fields: Node, found: Findings, walker: Walker) -> None:
    found.features.add(Feature.LOCKS)
    # ACCESS SHARE, pg_dump's, is what a SELECT takes.
    if fields.get("mode") != 1:
        found.change("locks on tables")
    walker.visit(fields.get("relations"))


def _maintain(fields: Node, found: Findings, walker: Walker) -> None:
    found.features.add(Feature.MAINTENANCE)
    found.change("statistics or storage")
    for relation in fields.get("rels", ()):
        found.read(range_name(relation["VacuumRelation"]["relation"]))
    if "relation" in fields:
        found.read(range_name(fields["relation"]))


def _refresh(fields: Node, found: Findings, walker: Walker) -> None:
    found.features.add(Feature.MAINTENANCE)
    name = range_name(fields["relation"])
    found.write(name, f"rows of {name}")


def _call(fields: Node, found: Findings, walker: Walker) -> None:
    call = fields["funccall"]
    found.features.add(Feature.PROCEDURES)
    found.change("what the procedure changes")
    found.functions.add(name_of(strings(call.get("funcname"))))
    walker.visit(call.get("args"))


def _ddl(target: str) -> Look:
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


def _create_as(fields: Node, found: Findings, walker: Walker) -> None:
    target = fields["into"]["rel"]
    found.features.add(table_feature(target))
    found.write(range_name(target), _SCHEMA)
    (kind,) = fields["query"]
    if kind not in _QUERIES:
        found.forbid("CREATE TABLE AS EXECUTE")
    walker.visit(fields["query"])


_DROPPABLE: Final = frozenset(
    f"OBJECT_{word}" for word in "TABLE VIEW MATVIEW INDEX SEQUENCE SCHEMA TYPE DOMAIN".split()
)


def _drop(fields: Node, found: Findings, walker: Walker) -> None:
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


def _truncate(fields: Node, found: Findings, walker: Walker) -> None:
    found.features.add(Feature.DDL)
    _cascade(fields, found)
    for relation in fields.get("relations", ()):
        name = range_name(relation["RangeVar"])
        found.write(name, f"rows of {name}")


_RENAMABLE: Final = frozenset(
    f"OBJECT_{word}" for word in "TABLE VIEW MATVIEW INDEX SEQUENCE COLUMN TABCONSTRAINT".split()
)


def _rename(fields: Node, found: Findings, walker: Walker) -> None:
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


def _create_schema(fields: Node, found: Findings, walker: Walker) -> None:
    if fields.get("schemaElts") or fields.get("authrole"):
        found.forbid("CREATE SCHEMA with anything but a name")
    found.features.add(Feature.DDL)
    found.write(Name(fields.get("schemaname", ""), "*"), _SCHEMA)


def _create_type(fields: Node, found: Findings, walker: Walker) -> None:
    found.features.add(Feature.DDL)
    found.write(name_of(strings(fields.get("typeName"))), _SCHEMA)


def _sequence(fields: Node, found: Findings, walker: Walker) -> None:
    found.features.add(table_feature(fields["sequence"]))
    found.write(range_name(fields["sequence"]), _SCHEMA)


_LOOKS: Final[dict[str, tuple[Kind, Look]]] = {
    "TransactionStmt": (Kind.TRANSACTION, _transaction),
    "VariableSetStmt": (Kind.SET, _set),
    "VariableShowStmt": (Kind.SHOW, _nothing),
    "DiscardStmt": (Kind.SET, _nothing),
    "DeallocateStmt": (Kind.SET, _nothing),
    "UnlistenStmt": (Kind.SET, _nothing),
    "ClosePortalStmt": (Kind.FETCH, _nothing),
    "FetchStmt": (Kind.FETCH, _nothing),
    "ConstraintsSetStmt": (Kind.SET, _nothing),
    "ExplainStmt": (Kind.EXPLAIN, _explain),
    "CopyStmt": (Kind.COPY, _copy),
    "DeclareCursorStmt": (Kind.FETCH, _declare),
    "PrepareStmt": (Kind.PREPARED, _prepare),
    "ExecuteStmt": (Kind.PREPARED, _execute),
    "ListenStmt": (Kind.LISTEN, _listen),
    "NotifyStmt": (Kind.LISTEN, _listen),
    "LockStmt": (Kind.MAINTENANCE, _lock_table),
    "VacuumStmt": (Kind.MAINTENANCE, _maintain),
    "ReindexStmt": (Kind.MAINTENANCE, _maintain),
    "ClusterStmt": (Kind.MAINTENANCE, _maintain),
    "RefreshMatViewStmt": (Kind.MAINTENANCE, _refresh),
    "CallStmt": (Kind.CALL, _call),
    "CreateStmt": (Kind.CREATE, _ddl("relation")),
    "IndexStmt": (Kind.CREATE, _ddl("relation")),
    "ViewStmt": (Kind.CREATE, _ddl("view")),
    "AlterTableStmt": (Kind.ALTER, _ddl("relation")),
    "CreateTableAsStmt": (Kind.CREATE, _create_as),
    "CreateSeqStmt": (Kind.CREATE, _sequence),
    "AlterSeqStmt": (Kind.ALTER, _sequence),
    "CreateSchemaStmt": (Kind.CREATE, _create_schema),
    "CreateEnumStmt": (Kind.CREATE, _create_type),
    "AlterEnumStmt": (Kind.ALTER, _create_type),
    "DropStmt": (Kind.DROP, _drop),
    "RenameStmt": (Kind.ALTER, _rename),
    "TruncateStmt": (Kind.TRUNCATE, _truncate),
}
