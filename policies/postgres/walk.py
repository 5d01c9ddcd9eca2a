"""Every node of a statement's tree, each table name in its scope. Knows no rule.

A node comes as ``{Type: fields}`` where any type may stand, and as bare fields where the
grammar allows one type alone; ``_BARE`` names those. A type or a field that is on no list
makes the statement unreadable: it is newer than these lists.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from policies.facts import Feature, Name
from policies.postgres import functions, settings
from policies.postgres.parse import Node, UnreadableError
from protocols.statements import Kind

MAX_NODES: Final = 100_000
"""Nodes of one text: a list of some ten thousand constants."""

_EXPRESSIONS: Final = frozenset(
    """
A_ArrayExpr A_Const A_Expr A_Indices A_Star Alias BitString BoolExpr Boolean BooleanTest
CaseExpr CaseWhen CoalesceExpr CollateClause ColumnDef CommonTableExpr CurrentOfExpr DefElem Float
GroupingFunc GroupingSet IndexElem InferClause Integer JsonAggConstructor JsonArgument JsonArrayAgg
JsonArrayConstructor JsonArrayQueryConstructor JsonBehavior JsonFormat JsonFuncExpr JsonIsPredicate
JsonKeyValue JsonObjectAgg JsonObjectConstructor JsonOutput JsonParseExpr JsonReturning
JsonScalarExpr JsonSerializeExpr JsonTable JsonTableColumn JsonTablePathSpec JsonValueExpr
List MergeWhenClause MinMaxExpr MultiAssignRef NamedArgExpr NullTest OnConflictClause ParamRef
RangeTableFuncCol RangeTableSample ResTarget
ReturningClause RowExpr SQLValueFunction SetToDefault SortBy String SubLink TypeCast TypeName
WindowDef WithClause XmlExpr XmlSerialize
""".split()
)
"""What an expression or a FROM clause is made of, and that nothing is asked of but its parts."""

_BARE: Final = {
    "alias": "Alias",
    "collClause": "CollateClause",
    "ctecycle_clause": "CTECycleClause",
    "format": "JsonFormat",
    "func": "FuncCall",
    "infer": "InferClause",
    "intoClause": "IntoClause",
    "join_using_alias": "Alias",
    "larg": "SelectStmt",
    "onConflictClause": "OnConflictClause",
    "output": "JsonOutput",
    "over": "WindowDef",
    "pathspec": "JsonTablePathSpec",
    "rarg": "SelectStmt",
    "relation": "RangeVar",
    "returningClause": "ReturningClause",
    "returning": "JsonReturning",
    "search_clause": "CTESearchClause",
    "cycle_clause": "CTECycleClause",
    "typeName": "TypeName",
    "withClause": "WithClause",
    "constructor": "JsonAggConstructor",
    "arg": "JsonValueExpr",
    "value": "JsonValueExpr",
    "context_item": "JsonValueExpr",
    "raw_expr": "JsonValueExpr",
    "expr": "JsonValueExpr",
    "on_empty": "JsonBehavior",
    "on_error": "JsonBehavior",
    "wrapper": "JsonBehavior",
}

_CATALOGS: Final = ("pg_catalog", "information_schema")
_SHOWING_DATA: Final = frozenset(
    """
pg_stats pg_stats_ext pg_stats_ext_exprs
""".split()
)
_SECRET: Final = frozenset(
    """
pg_authid pg_file_settings pg_hba_file_rules pg_ident_file_mappings pg_largeobject pg_shadow
pg_statistic pg_statistic_ext_data pg_subscription pg_user_mapping pg_user_mappings
user_mapping_options _pg_user_mappings
""".split()
)


@dataclass(slots=True)
class Findings:
    """What a walk has found so far; ``policies.facts.StatementFacts`` says what each means."""

    changes: str = ""
    forbidden: str = ""
    features: set[Feature] = field(default_factory=set)
    reads: set[Name] = field(default_factory=set)
    writes: set[Name] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    reads_whole_rows: bool = False
    functions: set[Name] = field(default_factory=set)
    nested: set[Kind] = field(default_factory=set)
    settings: set[str] = field(default_factory=set)
    moves_lookup: bool = False
    depends_on_constants: bool = False
    ranges: set[str] = field(default_factory=set)
    """Every name that a row can be called by."""
    alone: set[str] = field(default_factory=set)
    """Names that stood alone, as a column or a whole row."""
    nodes: int = 0

    def forbid(self, what: str) -> None:
        """Note what no restricted level may do; the first reason stays."""
        self.forbidden = self.forbidden or what

    def change(self, what: str) -> None:
        """Note that something changes."""
        self.changes = self.changes or what

    def read(self, name: Name) -> None:
        """A table is read."""
        schema = name.schema
        if not schema and name.name.startswith("pg_"):
            # pg_catalog comes before every other schema, unless search_path says otherwise.
            schema = "pg_catalog"
        if schema == "pg_toast":
            self.forbid(f"reading {name}")
        if schema not in _CATALOGS:
            self.reads.add(name)
        elif name.name in _SECRET:
            self.forbid(f"reading {name.name}")
        elif name.name in _SHOWING_DATA:
            self.reads.add(Name(schema, name.name))

    def write(self, name: Name, what: str) -> None:
        """A table is written: its rows or, by ``what``, something else of it."""
        if name.schema in (*_CATALOGS, "pg_toast") or (
            not name.schema and name.name.startswith("pg_")
        ):
            # UPDATE pg_settings is set_config by another name.
            self.forbid(f"writing {name}")
        self.writes.add(name)
        self.change(what)


Scope = frozenset[str]
"""The names of common table expressions that can be seen from a place."""
_NONE: Final[Scope] = frozenset()
_DML: Final = {
    "InsertStmt": (Kind.INSERT, "rows"),
    "UpdateStmt": (Kind.UPDATE, "rows"),
    "DeleteStmt": (Kind.DELETE, "rows"),
    "MergeStmt": (Kind.MERGE, "rows"),
}


def strings(nodes: Any) -> list[str]:
    """The texts of a list of String nodes; "*" for a star. Raises UnreadableError for another."""
    found: list[str] = []
    for node in nodes or ():
        if "String" in node:
            found.append(node["String"].get("sval", ""))
        elif "A_Star" in node:
            found.append("*")
        else:
            raise UnreadableError("a name has a part that is none")
    return found


def name_of(parts: list[str]) -> Name:
    """A qualified name from its parts; a database's name in front says nothing more."""
    if not 1 <= len(parts) <= 3:
        raise UnreadableError("a name has too many parts")
    return Name(parts[-2] if len(parts) > 1 else "", parts[-1])


def range_name(fields: Node) -> Name:
    """The table that a RangeVar names."""
    return Name(fields.get("schemaname", ""), fields.get("relname", ""))


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
            if kind in _EXPRESSIONS:
                if kind == "A_Const" or kind == "String":
                    continue
                if kind == "A_Expr":
                    self._operator(fields)
                self.children(fields, scope)
            else:
                handler = _HANDLERS.get(kind)
                if handler is None:
                    raise UnreadableError(f"it has a {kind}, which is not known to be harmless")
                handler(self, fields, scope)
        if found.alone & found.ranges:
            found.reads_whole_rows = True

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
            elif name in _BARE:
                self._stack.append((_BARE[name], value, scope))
            else:
                raise UnreadableError(f"its {name} is not known")

    def within(self, fields: Node, scope: Scope) -> Scope:
        """The scope inside a statement: with its own WITH, whose queries are visited too."""
        clause = fields.get("withClause")
        if not clause:
            return scope
        entries = [entry["CommonTableExpr"] for entry in clause.get("ctes", ())]
        names = [entry["ctename"] for entry in entries]
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
            self._found.nested.add(_DML[kind][0] if kind in _DML else Kind.OTHER)
        self.visit(node, scope)

    # -- what is asked of single types ---------------------------------------------------

    def _operator(self, fields: Node) -> None:
        parts = strings(fields.get("name"))
        if len(parts) > 1 and parts[0] != "pg_catalog":
            self._found.functions.add(Name(parts[-2], f"operator {parts[-1]}"))

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
        found.ranges.update((name.name, "old", "new"))
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
        elif parts[-1] in functions.TAKE_ROWS:
            # u.row_to_json is row_to_json(u), where u has no such column.
            found.reads_whole_rows = True
        found.columns.update(part.lower() for part in parts)

    def _indirection(self, fields: Node, scope: Scope) -> None:
        found = self._found
        for item in fields.get("indirection", ()):
            if "String" in item:
                name = item["String"].get("sval", "")
                found.columns.add(name.lower())
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
        found = self._found
        name = name_of(strings(fields.get("funcname")))
        own = name.name if name.schema in ("", "pg_catalog") else None
        if own in functions.HARMLESS:
            pass
        elif own == "set_config":
            self._set_config(fields)
        elif name.name in functions.FORBIDDEN or name.name.startswith("dblink"):
            found.forbid(f"calling {name.name}")
        elif own in functions.SEQUENCES:
            found.change("a sequence")
        elif own in functions.LOCKS:
            found.features.add(Feature.LOCKS)
            found.change("advisory locks")
        elif own == "pg_notify":
            found.features.add(Feature.LISTEN)
        elif own in functions.LARGE_OBJECTS:
            found.change("large objects")
            found.functions.add(name)
        elif name.schema == "information_schema" and name.name.startswith("_pg_"):
            pass
        else:
            found.functions.add(name)
        self.children(fields, scope, ("funcname",))

    def _set_config(self, fields: Node) -> None:
        """PgAdmin and pgjdbc set by function what others set by SET: read it as that."""
        found = self._found
        found.depends_on_constants = True
        values = [constant(item) for item in fields.get("args", ())]
        if len(values) != 3 or values[0] is None or values[1] is None:
            found.forbid("set_config with anything but constants")
            return
        assign(found, values[0], values[1].split(","))


def table_feature(target: Node) -> Feature:
    """Making this table is DDL, or needs the temporary kind alone."""
    return Feature.TEMPORARY if target.get("relpersistence") == "t" else Feature.DDL


def constant(node: Node) -> str | None:
    """The text of a constant, a cast one too; None for anything else."""
    if "TypeCast" in node:
        return constant(node["TypeCast"].get("arg", {}))
    value = node.get("A_Const")
    if value is None or value.get("isnull"):
        return None
    if "sval" in value:
        return str(value["sval"].get("sval", ""))
    if "ival" in value:
        return str(value["ival"].get("ival", 0))
    if "fval" in value:
        return str(value["fval"].get("fval", ""))
    if "boolval" in value:
        return "on" if value["boolval"].get("boolval") else "off"
    return None


def assign(found: Findings, written: str, values: list[str] | None) -> None:
    """Note that a setting takes these values; None: its default."""
    name = written.lower()
    why = settings.forbidden(name, values)
    if why:
        found.forbid(why)
    elif name in settings.READ_ONLY:
        if not values or not settings.is_true(values[0]):
            found.change("the transaction's mode to READ WRITE")
    elif name == settings.LOOKUP:
        found.moves_lookup = True
    elif not settings.is_known(name):
        found.settings.add(name)


def _modify(kind: str) -> Any:
    def handle(walker: Walker, fields: Node, scope: Scope) -> None:
        walker.modify(kind, fields, scope)

    return handle


_HANDLERS: Final[dict[str, Any]] = {
    "SelectStmt": Walker._select,
    "RangeVar": Walker._range,
    "RangeSubselect": Walker._subselect,
    "RangeFunction": Walker._subselect,
    "RangeTableFunc": Walker._subselect,
    "JoinExpr": Walker._join,
    "ColumnRef": Walker._column,
    "A_Indirection": Walker._indirection,
    "FuncCall": Walker._call,
    "LockingClause": Walker._lock,
    "ReturningOption": Walker._returning_option,
    "CTESearchClause": Walker._cte_clause,
    "CTECycleClause": Walker._cte_clause,
} | {kind: _modify(kind) for kind in _DML}
