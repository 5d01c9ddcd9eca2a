"""Every node of a statement's tree, each table name in its scope. Knows no rule.

A type or a field that is on no list (``nodes``) makes the statement unreadable: it is newer
than these lists.
"""

from __future__ import annotations

from typing import Any, Final

from policies.facts import Name
from policies.postgres import functions
from policies.postgres.findings import Findings
from policies.postgres.nodes import (
    BARE,
    DML,
    EXPRESSIONS,
    OPERATORS,
    constant,
    name_of,
    range_name,
    strings,
    table_feature,
)
from policies.postgres.parse import Node, UnreadableError
from protocols.statements import Kind

MAX_NODES: Final = 100_000
"""Nodes of one text: a list of some ten thousand constants."""

MAX_SCOPE: Final = 500
"""Common table expressions that one query can name: each has a scope with all of these names."""

Scope = frozenset[str]
"""The names of common table expressions that can be seen from a place."""
_NONE: Final[Scope] = frozenset()


class Walker:
    """One statement's walk: ``visit`` what is to be looked at, then ``finish``."""

    def __init__(self, findings: Findings) -> None:
        self._found = findings
        self._stack: list[tuple[str, Node, Scope]] = []

    def visit(self, node: Any, scope: Scope = _NONE) -> None:
        """Look at a value of any field: ``{Type: fields}``, a list of them, or nothing."""
        if isinstance(node, list):
            for item in node:
                self.visit(item, scope)
        elif isinstance(node, dict) and node:
            (kind,) = node if len(node) == 1 else ("",)
            if not kind[:1].isupper():
                raise UnreadableError("a part of it is not known")
            self._stack.append((kind, node[kind], scope))

    def visit_bare(self, kind: str, fields: Node, scope: Scope = _NONE) -> None:
        """Look at fields whose type the grammar leaves unsaid."""
        self._stack.append((kind, fields, scope))

    def finish(self) -> None:
        """Look at everything that was visited, to any depth. Raises UnreadableError."""
        found, stack = self._found, self._stack
        while stack:
            found.nodes += 1
            if found.nodes > MAX_NODES:
                raise UnreadableError("it has too many parts")
            kind, fields, scope = stack.pop()
            if kind in EXPRESSIONS:
                if kind == "A_Const" or kind == "String":
                    continue
                if kind in OPERATORS:
                    found.operate(strings(fields.get(OPERATORS[kind])))
                self.children(fields, scope)
            else:
                handler = _HANDLERS.get(kind)
                if handler is None:
                    raise UnreadableError(f"it has a {kind}, which is not known to be harmless")
                handler(self, fields, scope)
        found.settle()

    def children(self, fields: Node, scope: Scope, but: tuple[str, ...] = ()) -> None:
        """Look at every field, except those named."""
        for name, value in fields.items():
            if not isinstance(value, (dict, list)) or not value or name in but:
                continue
            if isinstance(value, list):
                self.visit(value, scope)
                continue
            first = next(iter(value))
            if first[:1].isupper():
                self.visit(value, scope)
            elif name in BARE:
                self._stack.append((BARE[name], value, scope))
            else:
                raise UnreadableError(f"its {name} is not known")

    def within(self, fields: Node, scope: Scope) -> Scope:
        """The scope inside a statement: with its own WITH, whose queries are visited too."""
        clause = fields.get("withClause")
        if not clause:
            return scope
        entries = [entry["CommonTableExpr"] for entry in clause.get("ctes", ())]
        names = [entry["ctename"] for entry in entries]
        if len(scope) + len(names) > MAX_SCOPE:
            raise UnreadableError("it has too many common table expressions")
        self._found.ranges.update(names)
        if clause.get("recursive"):
            scope = scope | frozenset(names)
        for entry in entries:
            self._within_statement(entry["ctequery"], scope)
            self.children(entry, scope, ("ctequery", "aliascolnames"))
            scope = scope | {entry["ctename"]}
        return scope

    def _within_statement(self, node: Node, scope: Scope) -> None:
        (kind,) = node
        if kind != "SelectStmt":
            self._found.nested.add(DML.get(kind, Kind.OTHER))
        self.visit(node, scope)

    # -- what is asked of single types ---------------------------------------------------

    def _select(self, fields: Node, scope: Scope) -> None:
        inner = self.within(fields, scope)
        if "intoClause" in fields:
            found = self._found
            found.nested.add(Kind.CREATE)
            target = fields["intoClause"].get("rel", {})
            found.features.add(table_feature(target))
            found.write(range_name(target), "the schema")
        self.children(fields, inner, ("withClause", "intoClause"))

    def modify(self, kind: str, fields: Node, scope: Scope) -> None:
        """INSERT, UPDATE, DELETE or MERGE, at the top or within."""
        target = fields["relation"]
        name = range_name(target)
        found = self._found
        found.write(name, f"rows of {name}")
        found.ranges.update((name.name, "old", "new", "excluded"))
        self._alias(target)
        self.children(fields, self.within(fields, scope), ("withClause", "relation", "cols"))

    def _range(self, fields: Node, scope: Scope) -> None:
        name = range_name(fields)
        found = self._found
        found.ranges.add(name.name)
        if "alias" in fields:
            self._alias(fields)
        if name.schema or name.name not in scope:
            found.read(name)

    def _alias(self, fields: Node) -> None:
        alias = fields.get("alias") or {}
        if alias:
            self._found.ranges.add(alias.get("aliasname", ""))
        if alias.get("colnames"):
            # FROM users AS u(a, b): the columns have other names now.
            self._found.reads_whole_rows = True

    def _subselect(self, fields: Node, scope: Scope) -> None:
        self._found.ranges.add((fields.get("alias") or {}).get("aliasname", ""))
        self.children(fields, scope, ("alias",))

    def _function(self, fields: Node, scope: Scope) -> None:
        """A function in FROM, or several side by side. Without a name of its own it has the
        function's, and whatever else stands there has none that is known here.
        """
        alias = fields.get("alias") or {}
        calls = [item["List"]["items"][0] for item in fields.get("functions", ())]
        call = calls[0].get("FuncCall") or {}
        name = alias.get("aliasname") or ("", *strings(call.get("funcname")))[-1]
        self._found.ranges.add(name)
        if len(calls) == 1 and not fields.get("ordinality") and not _is_row(calls[0]):
            columns = {name, *strings(alias.get("colnames"))}
            columns |= {item["ColumnDef"]["colname"] for item in fields.get("coldeflist", ())}
            self._found.give(name, frozenset(columns))
        self.children(fields, scope, ("alias",))

    def _join(self, fields: Node, scope: Scope) -> None:
        found = self._found
        if fields.get("isNatural") or (fields.get("alias") or {}).get("colnames"):
            found.reads_whole_rows = True
        found.columns.update(name.lower() for name in strings(fields.get("usingClause")))
        for name in ("alias", "join_using_alias"):
            found.ranges.add((fields.get(name) or {}).get("aliasname", ""))
        # A join's sides are nodes of any type, a set operation's are SelectStmts.
        for name in ("larg", "rarg", "quals"):
            self.visit(fields.get(name), scope)

    def _column(self, fields: Node, scope: Scope) -> None:
        found = self._found
        parts = strings(fields.get("fields"))
        if parts[-1] == "*":
            found.reads_whole_rows = True
        elif len(parts) == 1:
            found.alone.add(parts[0])
        else:
            found.qualified.add((parts[-2], parts[-1]))
            if parts[-1] in functions.TAKE_ROWS:
                # u.row_to_json is row_to_json(u), where u has no such column.
                found.reads_whole_rows = True
        found.columns.update(part.lower() for part in parts)

    def _indirection(self, fields: Node, scope: Scope) -> None:
        """``(x).name`` is a field, or else ``name(x)`` ("Using Composite Types in Queries")."""
        found = self._found
        is_row = _is_row(fields.get("arg", {}))
        for item in fields.get("indirection", ()):
            if "String" in item:
                name = item["String"].get("sval", "")
                found.columns.add(name.lower())
                if not is_row:
                    found.call(Name("", name))
                is_row = False
                if name in functions.TAKE_ROWS:
                    found.reads_whole_rows = True
            elif "A_Star" in item:
                found.reads_whole_rows = True
            else:
                self.visit(item, scope)
        self.visit(fields.get("arg"), scope)

    def _lock(self, fields: Node, scope: Scope) -> None:
        self._found.change("row locks")

    def _returning_option(self, fields: Node, scope: Scope) -> None:
        self._found.ranges.add(fields.get("value", ""))

    def _cte_clause(self, fields: Node, scope: Scope) -> None:
        """SEARCH and CYCLE: names of columns of their own, and two constants."""
        for name in ("cycle_mark_value", "cycle_mark_default"):
            self.visit(fields.get(name), scope)

    def _call(self, fields: Node, scope: Scope) -> None:
        name = name_of(strings(fields.get("funcname")))
        if name.name == "set_config" and name.schema in ("", "pg_catalog"):
            self._set_config(fields)
        else:
            self._found.call(name)
        self.children(fields, scope, ("funcname",))

    def _set_config(self, fields: Node) -> None:
        """PgAdmin and pgjdbc set by function what others set by SET: read it as that."""
        found = self._found
        found.depends_on_constants = True
        values = [constant(item) for item in fields.get("args", ())]
        if len(values) != 3 or values[0] is None or values[1] is None:
            found.forbid("set_config with anything but constants")
            return
        found.assign(values[0], values[1].split(","))


def _is_row(node: Node) -> bool:
    """Whether a value is surely a row, so that what stands behind it names a field."""
    if "FuncCall" in node:
        name = name_of(strings(node["FuncCall"].get("funcname")))
        return name.name in functions.GIVE_ROWS and name.schema in functions.GIVE_ROWS[name.name]
    return "RowExpr" in node


def _modify(kind: str) -> Any:
    def handle(walker: Walker, fields: Node, scope: Scope) -> None:
        walker.modify(kind, fields, scope)

    return handle


_HANDLERS: Final[dict[str, Any]] = {
    "SelectStmt": Walker._select,
    "RangeVar": Walker._range,
    "RangeSubselect": Walker._subselect,
    "RangeFunction": Walker._function,
    "RangeTableFunc": Walker._subselect,
    "JsonTable": Walker._subselect,
    "JoinExpr": Walker._join,
    "ColumnRef": Walker._column,
    "A_Indirection": Walker._indirection,
    "FuncCall": Walker._call,
    "LockingClause": Walker._lock,
    "ReturningOption": Walker._returning_option,
    "CTESearchClause": Walker._cte_clause,
    "CTECycleClause": Walker._cte_clause,
} | {kind: _modify(kind) for kind in DML}
