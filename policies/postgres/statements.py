"""What each kind of PostgreSQL statement does. A kind without an entry is forbidden.

Fields are those of PostgreSQL's parsenodes.h.
"""

from __future__ import annotations

from typing import Final

from policies.facts import Feature
from policies.postgres import ddl, settings
from policies.postgres.ddl import Look
from policies.postgres.findings import Findings
from policies.postgres.nodes import QUERIES, constant, name_of, range_name, strings
from policies.postgres.parse import Node
from policies.postgres.walk import Walker
from protocols.statements import Kind


def look_at(kind: str, fields: Node, found: Findings, walker: Walker) -> None:
    """Note what one statement does, and leave its parts to the walker."""
    if kind in QUERIES:
        walker.visit_bare(kind, fields)
        return
    entry = _LOOKS.get(kind)
    if entry is None:
        found.forbid(f"this kind of statement ({kind.removesuffix('Stmt')})")
        return
    entry[1](fields, found, walker)


def kind_of(kind: str, fields: Node) -> Kind:
    """The sort of a statement."""
    if kind in QUERIES:
        return Kind.CREATE if "intoClause" in fields else QUERIES[kind]
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
    if kind not in QUERIES and kind not in ("ExecuteStmt", "DeclareCursorStmt"):
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
    if kind not in QUERIES:
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
    "CreateStmt": (Kind.CREATE, ddl.table("relation")),
    "IndexStmt": (Kind.CREATE, ddl.table("relation")),
    "ViewStmt": (Kind.CREATE, ddl.table("view")),
    "AlterTableStmt": (Kind.ALTER, ddl.table("relation")),
    "CreateTableAsStmt": (Kind.CREATE, ddl.create_as),
    "CreateSeqStmt": (Kind.CREATE, ddl.sequence),
    "AlterSeqStmt": (Kind.ALTER, ddl.sequence),
    "CreateSchemaStmt": (Kind.CREATE, ddl.create_schema),
    "CreateEnumStmt": (Kind.CREATE, ddl.create_type),
    "AlterEnumStmt": (Kind.ALTER, ddl.create_type),
    "DropStmt": (Kind.DROP, ddl.drop),
    "RenameStmt": (Kind.ALTER, ddl.rename),
    "TruncateStmt": (Kind.TRUNCATE, ddl.truncate),
}
