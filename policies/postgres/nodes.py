"""The shape of PostgreSQL's tree: which types hold nothing but parts, and what small ones say.

A node comes as ``{Type: fields}`` where any type may stand, and as bare fields where the
grammar allows one type alone; ``BARE`` names those. Knows no rule and keeps nothing.
"""

from __future__ import annotations

from typing import Any, Final

from policies.facts import Feature, Name
from policies.postgres.parse import Node, UnreadableError
from protocols.statements import Kind

EXPRESSIONS: Final = frozenset(
    """
A_ArrayExpr A_Const A_Expr A_Indices A_Star Alias BitString BoolExpr Boolean BooleanTest
CaseExpr CaseWhen CoalesceExpr CollateClause ColumnDef CommonTableExpr CurrentOfExpr DefElem Float
GroupingFunc GroupingSet IndexElem InferClause Integer JsonAggConstructor JsonArgument JsonArrayAgg
JsonArrayConstructor JsonArrayQueryConstructor JsonBehavior JsonFormat JsonFuncExpr JsonIsPredicate
JsonKeyValue JsonObjectAgg JsonObjectConstructor JsonOutput JsonParseExpr JsonReturning
JsonScalarExpr JsonSerializeExpr JsonTableColumn JsonTablePathSpec JsonValueExpr
List MergeWhenClause MinMaxExpr MultiAssignRef NamedArgExpr NullTest OnConflictClause ParamRef
RangeTableFuncCol RangeTableSample ResTarget
ReturningClause RowExpr SQLValueFunction SetToDefault SortBy String SubLink TypeCast TypeName
WindowDef WithClause XmlExpr XmlSerialize
""".split()
)
"""What an expression or a FROM clause is made of, and that nothing is asked of but its parts."""

OPERATORS: Final = {"A_Expr": "name", "SubLink": "operName", "SortBy": "useOp"}
"""Which field names an operator."""

BARE: Final = {
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

DML: Final = {
    "InsertStmt": Kind.INSERT,
    "UpdateStmt": Kind.UPDATE,
    "DeleteStmt": Kind.DELETE,
    "MergeStmt": Kind.MERGE,
}
QUERIES: Final = DML | {"SelectStmt": Kind.SELECT}


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


def table_feature(target: Node) -> Feature:
    """Making this table is DDL, or needs the temporary kind alone."""
    return Feature.TEMPORARY if target.get("relpersistence") == "t" else Feature.DDL


def constant(node: Node) -> str | None:
    """The text of a constant, a cast one too; None for anything else."""
    if "TypeCast" in node:
        cast = node["TypeCast"]
        kind = cast["typeName"]
        if kind.get("typmods") and strings(kind.get("names"))[-1] in ("varchar", "bpchar"):
            return None  # Its length may cut it.
        return constant(cast.get("arg", {}))
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
