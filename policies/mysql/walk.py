"""What a parsed statement names. Every node's class is on a list of ours, or it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlglot import exp

from policies.facts import Name

_KNOWN: Final = frozenset(
    [
        "Select",
        "Union",
        "Intersect",
        "Except",
        "Subquery",
        "With",
        "CTE",
        "From",
        "Join",
        "Where",
        "Group",
        "Having",
        "Rollup",
        "Order",
        "Ordered",
        "Limit",
        "Offset",
        "Distinct",
        "Table",
        "TableAlias",
        "Alias",
        "Column",
        "Identifier",
        "Star",
        "Literal",
        "Null",
        "Boolean",
        "Paren",
        "Tuple",
        "And",
        "Or",
        "Not",
        "Xor",
        "EQ",
        "NEQ",
        "NullSafeEQ",
        "GT",
        "GTE",
        "LT",
        "LTE",
        "Is",
        "In",
        "Between",
        "Like",
        "RegexpLike",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Mod",
        "IntDiv",
        "Neg",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "BitwiseNot",
        "BitwiseLeftShift",
        "BitwiseRightShift",
        "Escape",
        "Case",
        "If",
        "Cast",
        "DataType",
        "DataTypeParam",
        "Interval",
        "Var",
        "IntervalSpan",
        "Window",
        "WindowSpec",
        "Collate",
        "Placeholder",
        "Parameter",
        "SessionParameter",
        "Exists",
        "Any",
        "All",
        "JSONPath",
        "JSONPathRoot",
        "JSONPathKey",
        "Insert",
        "Update",
        "Delete",
        "Values",
        "Schema",
        "OnConflict",
        "Anonymous",
        "IndexTableHint",
        "Introducer",
        "NamedWindow",
        "Lock",
        "Dot",
        "Binary",
        "ExtractScalar",
    ]
)


def unknown_node(tree: exp.Expr) -> str:
    """The class of a node that is not on the list; "" where all are."""
    for node in tree.walk():
        if type(node).__name__ not in _KNOWN and not isinstance(node, exp.Func):
            return type(node).__name__
    return ""


def table_names(tree: exp.Expr) -> Iterator[tuple[exp.Table, Name]]:
    """Each table with its name; those that a WITH in scope makes are left out."""
    for table in tree.find_all(exp.Table):
        # What FOR UPDATE OF names stands in FROM too, and by its alias.
        if not isinstance(table.this, exp.Identifier) or isinstance(table.parent, exp.Lock):
            continue
        name = Name(table.db, table.name)
        if name.schema or not _is_made_by_with(table):
            if name != Name("", "dual") and str(name).upper() != "DUAL":
                yield table, name


def _is_made_by_with(table: exp.Table) -> bool:
    inside: exp.Expr = table
    parent = table.parent
    while parent is not None:
        if isinstance(parent, exp.With):
            made = parent.expressions
            here = next(i for i, cte in enumerate(made) if cte is inside)
            made = made[: here + 1] if parent.args.get("recursive") else made[:here]
            if any(cte.alias == table.name for cte in made):
                return True
            # The statement that owns this WITH would offer the later ones too.
            inside = parent
            parent = parent.parent
        else:
            own = parent.args.get("with_")
            if own is not None and inside is not own:
                if any(cte.alias == table.name for cte in own.expressions):
                    return True
            inside, parent = parent, parent.parent
    return False


def writes_made_by_with(tree: exp.Expr) -> bool:
    """Whether an UPDATE's or DELETE's own table has a name of its WITH's, and may be that."""
    own = tree.args.get("with_")
    made = {cte.alias.lower() for cte in own.expressions} if own is not None else set()
    targets = [tree.this, *(tree.args.get("tables") or ())]
    return any(isinstance(one, exp.Table) and one.name.lower() in made for one in targets)


def has_whole_rows(tree: exp.Expr) -> bool:
    """Whether a star (but COUNT(*)'s) or a NATURAL JOIN reads columns without naming them."""
    for star in tree.find_all(exp.Star):
        if not isinstance(star.parent, exp.Count):
            return True
    return any(join.method == "NATURAL" for join in tree.find_all(exp.Join))
