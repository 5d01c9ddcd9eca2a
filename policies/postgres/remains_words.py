"""Words by which ``remains`` knows what a statement leaves behind: commands, functions, keywords.

All in lower case. What is in none of these lists is not known, and so leaves something.
"""

from __future__ import annotations

from policies.postgres.functions import HARMLESS, LARGE_OBJECTS

# Commands that leave nothing by themselves. CREATE and DECLARE are looked at word by word.
COMMANDS = frozenset(
    b"""
    select with values table insert update delete merge copy fetch move close begin start commit
    end rollback abort savepoint release show reset unlisten notify alter drop truncate grant
    revoke reassign comment security import vacuum analyze analyse reindex cluster checkpoint
    refresh lock create declare
    """.split()
)
# Those of which more than the first word is to be known.
LOOKED_AT = frozenset(b"set reset prepare execute explain deallocate discard create".split())
# Behind these a text that succeeds may have undone what it did before.
OF_TRANSACTIONS = frozenset(
    b"begin start commit end rollback abort savepoint release prepare".split()
)
CAUSES = {
    b"listen": "listen",
    b"execute": "prepared",
    b"load": "library",
    b"do": "code",
    b"call": "code",
}
DDL = frozenset(b"create alter drop comment grant revoke security".split())

_EXTENSIONS = """
uuid_generate_v1 uuid_generate_v1mc uuid_generate_v3 uuid_generate_v4 uuid_generate_v5
crypt gen_salt digest hmac similarity word_similarity strict_word_similarity unaccent
"""
_VOLATILE = """
nextval setval loread pg_notify pg_sleep pg_sleep_for pg_sleep_until pg_cancel_backend
pg_terminate_backend pg_export_snapshot pg_logical_emit_message pg_reload_conf
pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all
pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_xact_lock
pg_try_advisory_xact_lock_shared hashtext hashtextextended
"""
# Of the harmless ones some are so only where the session is nobody else's.
_OF_A_SESSION = "currval lastval setseed pg_prepared_statement"
LEAVES_NOTHING = frozenset(
    name.encode() for name in HARMLESS | LARGE_OBJECTS | set(f"{_EXTENSIONS} {_VOLATILE}".split())
) - frozenset(_OF_A_SESSION.encode().split())
FUNCTIONS = {
    b"currval": "sequence",
    b"lastval": "sequence",
    b"pg_advisory_lock": "lock",
    b"pg_advisory_lock_shared": "lock",
    b"pg_try_advisory_lock": "lock",
    b"pg_try_advisory_lock_shared": "lock",
    b"pg_prepared_statement": "prepared",
    b"set_config": "setting",
    b"setseed": "setting",
}

# What may stand before a parenthesis and is no function's name: keywords that cannot be one
# ("SQL Key Words" in the manual), and a few that nobody calls one.
KEYWORDS = frozenset(
    b"""
    all analyse analyze and any array as asc asymmetric both case cast check collate column
    constraint create default deferrable desc distinct do else end except false fetch for foreign
    from grant group having in initially intersect into lateral leading limit not null offset on
    only or order placing primary references returning select some symmetric table then to
    trailing true union unique using variadic when where window with
    between bigint bit boolean char character coalesce dec decimal exists extract float greatest
    grouping inout int integer interval json json_array json_arrayagg json_exists json_object
    json_objectagg json_query json_scalar json_serialize json_table json_value least merge_action
    national nchar none normalize nullif numeric out overlay position precision real row setof
    smallint substring time timestamp treat trim values varchar xmlattributes xmlconcat
    xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
    join like ilike concurrently verbose by set conflict rollup cube sets materialized update
    insert delete explain vacuum reindex cluster copy stdin stdout current_time current_timestamp
    localtime localtimestamp within
    """.split()
)
DDL_KEYWORDS = frozenset(
    b"enum key include range list hash identity inherits options returns columns varying".split()
)
# Behind these a name before a parenthesis is a table's, an alias's, or a type's.
NAMING = frozenset(b"into table copy references as exists with recursive".split())
DDL_NAMING = frozenset(
    b"on using function procedure aggregate routine view type statistics add analyze vacuum".split()
)

IN_FRONT_OF_TEMP = frozenset(b"into create local global replace".split())
TRUE = frozenset((b"true", b"'true'", b"'t'", b"'on'", b"'1'", b"'yes'"))
