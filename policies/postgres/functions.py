"""Which of PostgreSQL's own functions do nothing but compute, and which must never be called.

``HARMLESS`` began as every function of PostgreSQL 15's pg_catalog that is IMMUTABLE or STABLE,
without those behind operators, types and indexes, without those that run a text as SQL or
read tables they are not shown (``query_to_xml``, ``table_to_xml``, ``ts_rewrite``), and with
the harmless VOLATILE ones (``random``, ``clock_timestamp``, ``pg_relation_size``) and the
newer ones up to 18. A name that is on no list here is not called below access ``full``
unless the policy names it.
"""

from __future__ import annotations

from typing import Final

HARMLESS: Final = frozenset(
    """
abbrev abs acldefault aclexplode acos acosd acosh age any_value area array_agg array_append
array_cat array_dims array_fill array_length array_lower array_ndims array_overlap
array_position array_positions array_prepend array_remove array_replace array_reverse
array_sample array_shuffle array_sort array_to_json array_to_string array_to_tsvector
array_upper ascii asin asind asinh atan atan2 atan2d atand atanh avg bit bit_and bit_count
bit_length bit_or bit_xor bool bool_and bool_or box bpchar broadcast btrim cardinality
casefold cash_words cbrt ceil ceiling center char char_length character_length chr cidr
circle clock_timestamp col_description concat concat_ws convert convert_from convert_to corr
cos cosd cosh cot cotd count covar_pop covar_samp crc32 crc32c cume_dist current_database
current_schema current_schemas current_setting current_user currval date date_add date_bin
date_part date_subtract date_trunc datemultirange daterange daterange_canonical
daterange_subdiff decode degrees dense_rank dexp diagonal diameter div dlog1 dlog10 dround
dtrunc encode enum_first enum_last enum_range erf erfc every exp extract factorial family
first_value float4 float8 floor format format_type gamma gcd gen_random_uuid generate_series
generate_subscripts get_bit get_byte get_current_ts_config getdatabaseencoding getpgusername
has_any_column_privilege has_column_privilege has_database_privilege
has_foreign_data_wrapper_privilege has_function_privilege has_language_privilege
has_parameter_privilege has_schema_privilege has_sequence_privilege has_server_privilege
has_table_privilege has_tablespace_privilege has_type_privilege height host hostmask
icu_unicode_version inet_client_addr inet_client_port inet_merge inet_same_family
inet_server_addr inet_server_port initcap int2 int4 int4inc int4multirange int4range
int4range_canonical int4range_subdiff int8 int8_sum int8multirange int8range
int8range_canonical int8range_subdiff interval is_normalized isclosed isempty isfinite
ishorizontal isopen isparallel isperp isvertical json_agg json_agg_strict json_array
json_array_elements json_array_elements_text json_array_length json_build_array
json_build_object json_each json_each_text json_exists json_object json_object_agg
json_object_agg_strict json_object_agg_unique json_object_keys json_populate_record
json_populate_recordset json_query json_scalar json_serialize json_strip_nulls
json_to_record json_to_recordset json_to_tsvector json_typeof json_value jsonb_agg
jsonb_agg_strict jsonb_array_elements jsonb_array_elements_text jsonb_array_length
jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_insert jsonb_object
jsonb_object_agg jsonb_object_agg_strict jsonb_object_agg_unique jsonb_object_keys
jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query
jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first
jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record jsonb_populate_recordset
jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset
jsonb_to_tsvector jsonb_typeof justify_days justify_hours justify_interval lag last_value
lastval lcm lead left length lgamma like like_escape line ln localtime localtimestamp log
log10 lower lower_inc lower_inf lpad lseg ltrim macaddr macaddr8 macaddr8_set7bit make_date
make_interval make_time make_timestamp make_timestamptz masklen max md5 min min_scale mod
mode money multirange mxid_age name nameconcatoid netmask network normalize notlike now
npoints nth_value ntile num_nonnulls num_nulls numeric numeric_div_trunc numeric_exp
numeric_inc numeric_ln numeric_log numeric_sqrt nummultirange numnode numrange
numrange_subdiff obj_description octet_length oid oidvectortypes overlaps overlay
parse_ident path pclose percent_rank percentile_cont percentile_disc pg_advisory_unlock_all
pg_available_extension_versions pg_available_extensions pg_backend_pid pg_basetype
pg_blocking_pids pg_char_to_encoding pg_client_encoding pg_collation_for
pg_collation_is_visible pg_column_compression pg_column_is_updatable pg_column_size
pg_conf_load_time pg_conversion_is_visible pg_current_snapshot pg_current_wal_insert_lsn
pg_current_wal_lsn pg_current_xact_id pg_current_xact_id_if_assigned pg_cursor
pg_database_size pg_describe_object pg_encoding_max_length pg_encoding_to_char
pg_extension_update_paths pg_filenode_relation pg_function_is_visible pg_get_acl
pg_get_catalog_foreign_keys pg_get_constraintdef pg_get_expr pg_get_function_arg_default
pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_result
pg_get_function_sqlbody pg_get_functiondef pg_get_indexdef pg_get_keywords
pg_get_multixact_members pg_get_object_address pg_get_partition_constraintdef
pg_get_partkeydef pg_get_replica_identity_index pg_get_ruledef pg_get_serial_sequence
pg_get_statisticsobjdef pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions
pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role pg_identify_object
pg_identify_object_as_address pg_index_column_has_property pg_index_has_property
pg_indexam_has_property pg_indexam_progress_phasename pg_indexes_size pg_input_is_valid
pg_is_in_recovery pg_is_other_temp_schema pg_is_wal_replay_paused pg_jit_available
pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp
pg_listening_channels pg_lock_status pg_lsn pg_my_temp_schema pg_opclass_is_visible
pg_operator_is_visible pg_opfamily_is_visible pg_options_to_table pg_partition_root
pg_postmaster_start_time pg_prepared_statement pg_relation_filenode pg_relation_filepath
pg_relation_is_publishable pg_relation_is_updatable pg_relation_size
pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_sequence_parameters
pg_settings_get_flags pg_show_all_settings pg_size_bytes pg_size_pretty pg_snapshot_xip
pg_snapshot_xmax pg_snapshot_xmin pg_stat_get_activity pg_stat_get_backend_pid
pg_stat_get_db_xact_commit pg_stat_get_db_xact_rollback pg_stat_get_dead_tuples
pg_stat_get_last_analyze_time pg_stat_get_last_autoanalyze_time
pg_stat_get_last_autovacuum_time pg_stat_get_last_vacuum_time pg_stat_get_live_tuples
pg_stat_get_numscans pg_stat_get_snapshot_timestamp pg_stat_get_tuples_deleted
pg_stat_get_tuples_inserted pg_stat_get_tuples_updated pg_statistics_obj_is_visible
pg_table_is_visible pg_table_size pg_tablespace_databases pg_tablespace_location
pg_tablespace_size pg_timezone_abbrevs pg_timezone_names pg_total_relation_size
pg_trigger_depth pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible
pg_ts_template_is_visible pg_type_is_visible pg_typeof pg_visible_in_snapshot pg_wait_events
pg_wal_lsn_diff pg_walfile_name pg_walfile_name_offset phraseto_tsquery pi plainto_tsquery
point polygon popen position pow power querytree quote_ident quote_literal quote_nullable
radians radius random random_normal range_agg range_intersect_agg range_merge rank regclass
regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace
regexp_split_to_array regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count
regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy repeat replace reverse right
round row_number row_security_active row_to_json rpad rtrim satisfies_hash_partition scale
session_user set_bit set_byte set_masklen setseed setweight sha224 sha256 sha384 sha512
shobj_description sign similar_escape similar_to_escape sin sind sinh slope split_part sqrt
statement_timestamp stddev stddev_pop stddev_samp string_agg string_to_array string_to_table
strip strpos substr substring sum system_user tan tand tanh text text_concat textcat textlen
time timeofday timestamp timestamptz timetz timezone to_ascii to_bin to_char to_date to_hex
to_json to_jsonb to_number to_oct to_regclass to_regcollation to_regnamespace to_regoper
to_regoperator to_regproc to_regprocedure to_regrole to_regtype to_regtypemod to_timestamp
to_tsquery to_tsvector transaction_timestamp translate trim_array trim_scale trunc ts_debug
ts_delete ts_filter ts_headline ts_lexize ts_parse ts_rank ts_rank_cd ts_token_type
tsmultirange tsquery_phrase tsrange tsrange_subdiff tstzmultirange tstzrange
tstzrange_subdiff tsvector_to_array txid_current txid_current_if_assigned
txid_current_snapshot txid_snapshot_xip txid_snapshot_xmax txid_snapshot_xmin
txid_visible_in_snapshot unicode_assigned unicode_version unistr unnest upper upper_inc
upper_inf uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 var_pop var_samp varbit
varchar variance version websearch_to_tsquery width width_bucket xid xml xml_is_well_formed
xml_is_well_formed_content xml_is_well_formed_document xmlagg xmlcomment xmlconcat xmlexists
xmltext xmlvalidate xpath xpath_exists
""".split()
)
"""Functions of pg_catalog that change nothing, read no file, and run no text as SQL."""

FORBIDDEN: Final = frozenset(
    """
binary_upgrade_create_empty_extension cursor_to_xml cursor_to_xmlschema database_to_xml
database_to_xml_and_xmlschema database_to_xmlschema dblink dblink_connect dblink_connect_u
dblink_exec dblink_open dblink_send_query lo_export lo_import loread pg_backup_start
pg_backup_stop pg_cancel_backend pg_copy_logical_replication_slot
pg_copy_physical_replication_slot pg_create_logical_replication_slot
pg_create_physical_replication_slot pg_create_restore_point pg_current_logfile
pg_drop_replication_slot pg_execute_server_program pg_export_snapshot pg_file_read
pg_file_rename pg_file_sync pg_file_unlink pg_file_write pg_hba_file_rules
pg_import_system_collations pg_log_backend_memory_contexts pg_logdir_ls
pg_logical_emit_message pg_logical_slot_get_binary_changes pg_logical_slot_get_changes
pg_logical_slot_peek_binary_changes pg_logical_slot_peek_changes pg_ls_archive_statusdir
pg_ls_dir pg_ls_logdir pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir
pg_ls_tmpdir pg_ls_waldir pg_nextoid pg_promote pg_read_binary_file pg_read_file
pg_read_server_files pg_reload_conf pg_replication_origin_advance
pg_replication_origin_create pg_replication_origin_drop pg_replication_origin_session_setup
pg_replication_slot_advance pg_rotate_logfile pg_show_all_file_settings pg_start_backup
pg_stat_file pg_stop_backup pg_switch_wal pg_terminate_backend pg_wal_replay_pause
pg_wal_replay_resume pg_write_file query_to_xml query_to_xml_and_xmlschema
query_to_xmlschema schema_to_xml schema_to_xml_and_xmlschema schema_to_xmlschema
table_to_xml table_to_xml_and_xmlschema table_to_xmlschema ts_stat
""".split()
)
"""Functions that reach files, other sessions, the server, or run a text as SQL."""

LOCKS: Final = frozenset(
    """
pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_shared
pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_lock
pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
""".split()
)
"""Advisory locks: other sessions wait for them."""

LARGE_OBJECTS: Final = frozenset(
    """
lo_close lo_creat lo_create lo_from_bytea lo_get lo_lseek lo_lseek64 lo_open lo_put lo_tell
lo_tell64 lo_truncate lo_truncate64 lo_unlink lowrite
""".split()
)
"""They write even in a read-only transaction of PostgreSQL 15."""

TAKE_ROWS: Final = frozenset(
    """
any_value array_agg array_append array_cat array_fill array_prepend concat concat_ws first_value
format hash_record json_agg json_agg_strict json_build_array json_build_object json_object_agg
jsonb_agg jsonb_agg_strict jsonb_build_array jsonb_build_object jsonb_object_agg lag last_value
lead max min mode nth_value num_nonnulls num_nulls pg_column_size quote_literal quote_nullable
record_out record_send row_to_json to_json to_jsonb
""".split()
)
"""What takes a whole row, and so may be written behind one as if it were a column."""

_ROWS: Final = """
aclexplode json_each json_each_text json_to_record json_to_recordset jsonb_each jsonb_each_text
jsonb_to_record jsonb_to_recordset pg_available_extension_versions pg_available_extensions
pg_cursor pg_extension_update_paths pg_get_catalog_foreign_keys pg_get_keywords
pg_get_multixact_members pg_get_object_address pg_identify_object pg_identify_object_as_address
pg_lock_status pg_options_to_table pg_prepared_statement pg_sequence_parameters
pg_show_all_settings pg_stat_get_activity pg_timezone_names pg_walfile_name_offset ts_debug
ts_parse ts_token_type
""".split()
GIVE_ROWS: Final = {
    **dict.fromkeys(_ROWS, ("", "pg_catalog")),
    "_pg_expandarray": ("information_schema",),
}
"""Functions whose every form gives a row, by the schemas that they may be called with: what
stands behind one is a field, where behind a single value it would be a function's name."""


def is_forbidden(name: str) -> bool:
    """Whether no policy may allow a function, in whatever schema it is."""
    return name in FORBIDDEN or name.startswith("dblink")
