"""What SET, RESET and set_config may do. Allowed by list: how values look, how long things
take, how the planner works. Knows no tree: names and constant values.
"""

from __future__ import annotations

from typing import Final

HARMLESS: Final = frozenset(
    """
application_name bytea_output client_min_messages cursor_tuple_fraction datestyle
default_transaction_deferrable default_transaction_isolation enable_bitmapscan
enable_gathermerge enable_hashagg enable_hashjoin enable_incremental_sort enable_indexonlyscan
enable_indexscan enable_material enable_memoize enable_mergejoin enable_nestloop
enable_parallel_append enable_parallel_hash enable_partition_pruning enable_partitionwise_join
enable_seqscan enable_sort enable_tidscan extra_float_digits from_collapse_limit geqo
idle_in_transaction_session_timeout idle_session_timeout intervalstyle jit join_collapse_limit
lc_monetary lc_numeric lc_time lock_timeout max_parallel_workers_per_gather plan_cache_mode
quote_all_identifiers random_page_cost seq_page_cost statement_timeout
timezone transaction_deferrable transaction_isolation transaction_timeout work_mem
xmlbinary xmloption
""".split()
)
"""Settings of the session alone, that change no meaning of a text."""

READ_ONLY: Final = frozenset({"default_transaction_read_only", "transaction_read_only"})
LOOKUP: Final = "search_path"
IDENTITY: Final = frozenset(
    {"role", "session_authorization", "session_replication_role", "row_security"}
)

_TRUE: Final = frozenset({"on", "true", "yes", "1", "t", "tr", "tru", "y", "ye"})
_UTF8: Final = frozenset({"utf8", "utf-8", "unicode", "utf_8"})


def is_true(value: str) -> bool:
    """Whether PostgreSQL reads the value as true (parse_bool, bool.c)."""
    return value.lower() in _TRUE


def forbidden(name: str, values: list[str] | None) -> str:
    """Why a setting may not take these values, or "". None: values not known."""
    if name in IDENTITY:
        return f"setting {name}"
    if name == "client_encoding" and not (values and values[0].lower() in _UTF8):
        return "a client encoding other than UTF8"
    if name == "standard_conforming_strings" and not (values and is_true(values[0])):
        return "standard_conforming_strings other than on"
    if name == LOOKUP:
        schemas = [value.strip().strip('"') for value in values or ["pg_catalog"]]
        # With its place given, pg_catalog comes behind: a function of the same name hides its own.
        if "pg_catalog" in schemas[1:] or any(value.startswith("pg_temp") for value in schemas):
            return "a search_path that names pg_catalog behind another schema, or pg_temp"
        if values is None or any("," in value for value in values):
            return "a search_path that cannot be read"
    return ""


def is_known(name: str) -> bool:
    """Whether a setting needs no line in the policy."""
    return (
        name in HARMLESS
        or name in READ_ONLY
        or name in (LOOKUP, "client_encoding", "standard_conforming_strings")
    )
