-- What somebody sends who works at getting round read-only access: none of it may pass.
-- One statement on each line.
INSERT INTO policy_orders (note) VALUES ('x')
INSERT INTO policy_orders SELECT * FROM policy_orders
INSERT INTO policy_orders DEFAULT VALUES
INSERT INTO policy_orders (id) VALUES (1) ON CONFLICT DO NOTHING
INSERT INTO policy_orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'x'
INSERT INTO policy_orders (note) VALUES ('x') RETURNING id
INSERT INTO public.policy_orders OVERRIDING SYSTEM VALUE VALUES (99)
insert into "policy_orders" (note) values ('x')
UPDATE policy_orders SET note = 'x'
UPDATE ONLY policy_orders SET note = 'x' WHERE id = 1
UPDATE policy_orders SET (note, total) = ('x', 1)
UPDATE policy_orders o SET note = p.note FROM policy_orders p RETURNING o.*
DELETE FROM policy_orders
DELETE FROM policy_orders USING policy_secret
DELETE FROM policy_orders WHERE false RETURNING *
MERGE INTO policy_orders o USING policy_secret s ON o.id = s.id WHEN MATCHED THEN DELETE
MERGE INTO policy_orders o USING policy_secret s ON o.id = s.id WHEN NOT MATCHED THEN INSERT (note) VALUES ('x')
TRUNCATE policy_orders
TRUNCATE TABLE policy_orders RESTART IDENTITY CASCADE
SELECT * INTO policy_copy FROM policy_orders
SELECT * INTO TEMP policy_copy FROM policy_orders
SELECT * INTO UNLOGGED policy_copy FROM policy_orders
WITH x AS (INSERT INTO policy_orders (note) VALUES ('x') RETURNING *) SELECT * FROM x
WITH x AS (UPDATE policy_orders SET note = 'x' RETURNING *) SELECT * FROM x
WITH x AS (DELETE FROM policy_orders RETURNING *) SELECT * FROM x
WITH a AS (SELECT 1), b AS (DELETE FROM policy_orders) SELECT * FROM a
WITH a AS (WITH b AS (DELETE FROM policy_orders RETURNING 1) SELECT * FROM b) SELECT * FROM a
SELECT * FROM (WITH b AS (DELETE FROM policy_orders RETURNING 1) SELECT * FROM b) q
SELECT (WITH b AS (DELETE FROM policy_orders RETURNING 1) SELECT count(*) FROM b)
SELECT 1 UNION SELECT * FROM (WITH b AS (DELETE FROM policy_orders RETURNING 1) SELECT * FROM b) q
EXPLAIN ANALYZE DELETE FROM policy_orders
EXPLAIN (ANALYZE) DELETE FROM policy_orders
EXPLAIN (ANALYZE true) INSERT INTO policy_orders (note) VALUES ('x')
EXPLAIN (ANALYZE 'on') INSERT INTO policy_orders (note) VALUES ('x')
EXPLAIN (VERBOSE, ANALYZE 1) UPDATE policy_orders SET note = 'x'
EXPLAIN ANALYZE CREATE TABLE policy_copy AS SELECT 1
EXPLAIN ANALYZE SELECT * INTO policy_copy FROM policy_orders
EXPLAIN ANALYZE WITH x AS (DELETE FROM policy_orders RETURNING 1) SELECT * FROM x
EXPLAIN ANALYZE SELECT nextval('policy_numbers')
SELECT 1; DROP TABLE policy_orders
SELECT 1;DELETE FROM policy_orders;
COMMIT; DELETE FROM policy_orders
ROLLBACK; BEGIN READ WRITE; DELETE FROM policy_orders; COMMIT
BEGIN; SET TRANSACTION READ WRITE; DELETE FROM policy_orders; COMMIT
;;DELETE FROM policy_orders
/* SELECT */ DELETE FROM policy_orders
/* nested /* */ SELECT 1; */ DELETE FROM policy_orders
SELECT 1 /* ' */; DELETE FROM policy_orders -- '
SELECT $a$ $a$; DELETE FROM policy_orders; SELECT $a$ $a$
SELECT E'\''; DELETE FROM policy_orders --'
SELECT U&'\0027'; DELETE FROM policy_orders
SELECT 'a' ';' ; DELETE FROM policy_orders
DO $$ BEGIN DELETE FROM policy_orders; END $$
DO LANGUAGE plpgsql 'BEGIN DELETE FROM policy_orders; END'
CALL policy_procedure()
PREPARE p AS DELETE FROM policy_orders
PREPARE p AS SELECT 1
EXECUTE p
EXECUTE p(1)
EXPLAIN ANALYZE EXECUTE p
CREATE TABLE policy_copy AS EXECUTE p
CREATE TABLE policy_copy (a int)
CREATE TEMP TABLE policy_copy (a int)
CREATE TABLE policy_copy AS SELECT * FROM policy_orders
CREATE TABLE IF NOT EXISTS policy_copy AS TABLE policy_orders
CREATE UNLOGGED TABLE policy_copy (a int)
CREATE TABLE policy_copy (LIKE policy_orders INCLUDING ALL)
CREATE VIEW policy_view AS SELECT 1
CREATE OR REPLACE VIEW policy_view AS SELECT * FROM policy_orders
CREATE MATERIALIZED VIEW policy_view AS SELECT 1
CREATE INDEX ON policy_orders (note)
CREATE INDEX CONCURRENTLY ON policy_orders (note)
CREATE SEQUENCE policy_sequence
CREATE SCHEMA policy_schema
CREATE SCHEMA policy_schema CREATE TABLE t (a int)
CREATE TYPE policy_type AS ENUM ('a')
CREATE TYPE policy_type AS (a int)
CREATE DOMAIN policy_domain AS int
CREATE FUNCTION policy_function() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE OR REPLACE PROCEDURE policy_procedure() LANGUAGE sql AS 'DELETE FROM policy_orders'
CREATE TRIGGER policy_trigger BEFORE INSERT ON policy_orders EXECUTE FUNCTION suppress_redundant_updates_trigger()
CREATE RULE policy_rule AS ON INSERT TO policy_orders DO INSTEAD NOTHING
CREATE EVENT TRIGGER policy_trigger ON ddl_command_start EXECUTE FUNCTION policy_function()
CREATE ROLE policy_role
CREATE USER policy_user PASSWORD 'x'
CREATE GROUP policy_group
CREATE DATABASE policy_database
CREATE EXTENSION dblink
CREATE EXTENSION IF NOT EXISTS adminpack
CREATE SERVER policy_server FOREIGN DATA WRAPPER postgres_fdw
CREATE FOREIGN DATA WRAPPER policy_wrapper
CREATE FOREIGN TABLE policy_foreign (a int) SERVER policy_server
CREATE USER MAPPING FOR CURRENT_USER SERVER policy_server OPTIONS (password 'x')
CREATE PUBLICATION policy_publication
CREATE SUBSCRIPTION policy_subscription CONNECTION 'host=x' PUBLICATION y
CREATE LANGUAGE plpythonu
CREATE TABLESPACE policy_space LOCATION '/tmp'
CREATE POLICY policy_policy ON policy_orders
CREATE AGGREGATE policy_sum (int) (SFUNC = int4pl, STYPE = int)
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)
CREATE CAST (int AS text) WITH INOUT
CREATE COLLATION policy_collation FROM "C"
CREATE CONVERSION policy_conversion FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1
CREATE STATISTICS policy_statistics ON id, note FROM policy_orders
CREATE TEXT SEARCH CONFIGURATION policy_search (COPY = english)
CREATE ACCESS METHOD policy_method TYPE INDEX HANDLER bthandler
CREATE TRANSFORM FOR int LANGUAGE plpgsql (FROM SQL WITH FUNCTION policy_function())
ALTER TABLE policy_orders ADD COLUMN x int
ALTER TABLE policy_orders DROP COLUMN note
ALTER TABLE policy_orders RENAME TO policy_other
ALTER TABLE policy_orders RENAME COLUMN note TO x
ALTER TABLE policy_orders OWNER TO CURRENT_USER
ALTER TABLE policy_orders SET SCHEMA pg_temp
ALTER TABLE policy_orders DISABLE TRIGGER ALL
ALTER TABLE policy_orders ENABLE ROW LEVEL SECURITY
ALTER TABLE policy_orders SET (fillfactor = 50)
ALTER TABLE policy_orders CLUSTER ON policy_orders_pkey
ALTER SEQUENCE policy_numbers RESTART
ALTER ROLE CURRENT_USER SET default_transaction_read_only = off
ALTER USER CURRENT_USER PASSWORD 'x'
ALTER ROLE ALL SET search_path = 'x'
ALTER DATABASE postgres SET default_transaction_read_only = off
ALTER SYSTEM SET work_mem = '1GB'
ALTER SYSTEM RESET ALL
ALTER FUNCTION lower(text) OWNER TO CURRENT_USER
ALTER SCHEMA public RENAME TO x
ALTER TYPE policy_enum ADD VALUE 'x'
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC
ALTER VIEW policy_view RENAME TO x
ALTER INDEX policy_orders_pkey RENAME TO x
ALTER EXTENSION plpgsql UPDATE
ALTER LARGE OBJECT 1 OWNER TO CURRENT_USER
DROP TABLE policy_orders
DROP TABLE IF EXISTS policy_orders CASCADE
DROP VIEW policy_view
DROP INDEX policy_orders_pkey
DROP SEQUENCE policy_numbers
DROP SCHEMA public CASCADE
DROP FUNCTION policy_function
DROP ROLE policy_role
DROP DATABASE policy_database
DROP EXTENSION plpgsql
DROP OWNED BY CURRENT_USER
REASSIGN OWNED BY CURRENT_USER TO CURRENT_USER
GRANT SELECT ON policy_orders TO PUBLIC
GRANT pg_read_server_files TO CURRENT_USER
REVOKE ALL ON policy_orders FROM PUBLIC
COMMENT ON TABLE policy_orders IS 'x'
SECURITY LABEL ON TABLE policy_orders IS 'x'
IMPORT FOREIGN SCHEMA public FROM SERVER policy_server INTO public
REFRESH MATERIALIZED VIEW policy_view
REINDEX TABLE policy_orders
CLUSTER policy_orders
VACUUM
VACUUM FULL policy_orders
ANALYZE policy_orders
CHECKPOINT
LOAD 'auto_explain'
LOCK TABLE policy_orders
LOCK TABLE policy_orders IN ACCESS EXCLUSIVE MODE
LOCK TABLE policy_orders IN ACCESS SHARE MODE
SELECT * FROM policy_orders FOR UPDATE
SELECT * FROM policy_orders FOR NO KEY UPDATE
SELECT * FROM policy_orders FOR SHARE
SELECT * FROM policy_orders FOR KEY SHARE NOWAIT
SELECT * FROM (SELECT * FROM policy_orders FOR UPDATE SKIP LOCKED) q
WITH x AS (SELECT * FROM policy_orders FOR UPDATE) SELECT * FROM x
COPY policy_orders TO STDOUT
COPY policy_orders FROM STDIN
COPY policy_orders TO '/tmp/policy_file'
COPY policy_orders FROM '/etc/passwd'
COPY policy_orders TO PROGRAM 'touch /tmp/policy_file'
COPY policy_orders FROM PROGRAM 'id'
COPY (SELECT * FROM policy_orders) TO '/tmp/policy_file'
COPY (DELETE FROM policy_orders RETURNING *) TO STDOUT
COPY (SELECT 1) TO PROGRAM 'touch /tmp/policy_file'
LISTEN policy_channel
NOTIFY policy_channel
NOTIFY policy_channel, 'payload'
SELECT pg_notify('policy_channel', 'x')
PREPARE TRANSACTION 'policy'
COMMIT PREPARED 'policy'
ROLLBACK PREPARED 'policy'
BEGIN READ WRITE
BEGIN TRANSACTION READ WRITE
START TRANSACTION READ WRITE
START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ WRITE
SET TRANSACTION READ WRITE
SET LOCAL TRANSACTION READ WRITE
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE
SET TRANSACTION SNAPSHOT '00000003-0000001B-1'
SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE
SET transaction_read_only = off
SET transaction_read_only TO false
SET LOCAL transaction_read_only = 0
SET SESSION transaction_read_only = no
SET "transaction_read_only" = off
SET TRANSACTION_READ_ONLY = OFF
SET transaction_read_only TO DEFAULT
RESET transaction_read_only
SET default_transaction_read_only = off
SET default_transaction_read_only TO 'off'
SET SESSION default_transaction_read_only = f
SET LOCAL default_transaction_read_only = off
SELECT set_config('transaction_read_only', 'off', false)
SELECT set_config('transaction_read_only', 'off', true)
SELECT set_config('default_transaction_read_only', 'off', false)
SELECT pg_catalog.set_config('default_transaction_read_only', 'off', false)
SELECT SET_CONFIG('default_transaction_read_only', 'off', false)
SELECT "set_config"('default_transaction_read_only', 'off', false)
SELECT U&"set\005fconfig"('default_transaction_read_only', 'off', false)
SELECT set_config('default_' || 'transaction_read_only', 'off', false)
SELECT set_config(lower('DEFAULT_TRANSACTION_READ_ONLY'), 'off', false)
SELECT set_config(n, 'off', false) FROM (VALUES ('default_transaction_read_only')) v(n)
SELECT set_config(setting_name => 'default_transaction_read_only', new_value => 'off', is_local => false)
SELECT set_config('DEFAULT_transaction_read_only', 'OFF', false)
SELECT set_config(E'default_transaction_read\x5fonly', 'off', false)
SELECT set_config($$default_transaction_read_only$$, $$off$$, false)
SELECT set_config('default_transaction_read_only', NULL, false)
SELECT set_config('role', 'postgres', false)
SELECT set_config('session_authorization', 'postgres', false)
SELECT set_config('search_path', 'public,pg_catalog', false)
SELECT set_config('client_encoding', 'SJIS', false)
SELECT * FROM set_config('default_transaction_read_only', 'off', false)
SELECT 1 WHERE set_config('default_transaction_read_only', 'off', false) = 'off'
SELECT 1 ORDER BY set_config('default_transaction_read_only', 'off', false)
SELECT count(*) FILTER (WHERE set_config('default_transaction_read_only', 'off', false) = 'off')
SELECT sum(1) OVER (ORDER BY set_config('default_transaction_read_only', 'off', false))
SELECT 1 LIMIT length(set_config('default_transaction_read_only', 'off', false))
SELECT ARRAY[set_config('default_transaction_read_only', 'off', false)]
SELECT CASE WHEN true THEN set_config('default_transaction_read_only', 'off', false) END
SELECT coalesce(set_config('default_transaction_read_only', 'off', false), '')
VALUES (set_config('default_transaction_read_only', 'off', false))
UPDATE pg_settings SET setting = 'off' WHERE name = 'default_transaction_read_only'
UPDATE pg_catalog.pg_settings SET setting = 'off' WHERE name = 'default_transaction_read_only'
SET ROLE postgres
SET LOCAL ROLE postgres
SET SESSION AUTHORIZATION postgres
SET SESSION SESSION AUTHORIZATION 'postgres'
SET session_authorization = 'postgres'
SET role TO 'postgres'
SET session_replication_role = replica
SET row_security = off
SET standard_conforming_strings = off
SET standard_conforming_strings TO false
SET client_encoding = 'SJIS'
SET client_encoding TO GBK
SET NAMES 'BIG5'
SET search_path = public, pg_catalog
SET search_path = pg_temp, public
SET local_preload_libraries = 'x'
SET temp_tablespaces = 'x'
SET default_tablespace = 'x'
SET log_statement = 'none'
SET app.user_id = '1'
SET lo_compat_privileges = on
SET zero_damaged_pages = on
SET allow_system_table_mods = on
SET check_function_bodies = off
SET backslash_quote = on
SET transform_null_equals = on
SELECT nextval('policy_numbers')
SELECT setval('policy_numbers', 100)
SELECT setval('policy_numbers', 100, false)
SELECT pg_catalog.nextval('policy_numbers'::regclass)
SELECT * FROM nextval('policy_numbers')
SELECT "nextval"('policy_numbers')
SELECT lo_create(0)
SELECT lo_creat(-1)
SELECT lo_from_bytea(0, 'x')
SELECT lo_put(1, 0, 'x')
SELECT lo_unlink(1)
SELECT lo_import('/etc/passwd')
SELECT lo_export(1, '/tmp/policy_file')
SELECT lowrite(lo_open(1, 131072), 'x')
SELECT lo_truncate(0, 0)
SELECT lo_get(1)
SELECT pg_read_file('/etc/passwd')
SELECT pg_read_binary_file('/etc/passwd')
SELECT pg_ls_dir('/')
SELECT pg_stat_file('/etc/passwd')
SELECT pg_ls_logdir()
SELECT pg_file_write('x', 'y', false)
SELECT pg_advisory_lock(1)
SELECT pg_try_advisory_lock(1, 2)
SELECT pg_advisory_xact_lock(1)
SELECT pg_sleep(1)
SELECT pg_sleep_for('1 second')
SELECT pg_cancel_backend(1)
SELECT pg_terminate_backend(1)
SELECT pg_reload_conf()
SELECT pg_rotate_logfile()
SELECT pg_promote()
SELECT pg_switch_wal()
SELECT pg_create_restore_point('x')
SELECT pg_create_physical_replication_slot('policy_slot')
SELECT pg_create_logical_replication_slot('policy_slot', 'test_decoding')
SELECT pg_drop_replication_slot('policy_slot')
SELECT pg_logical_emit_message(false, 'a', 'b')
SELECT pg_export_snapshot()
SELECT pg_stat_reset()
SELECT pg_stat_reset_shared('bgwriter')
SELECT pg_import_system_collations('public')
SELECT pg_replication_origin_create('x')
SELECT pg_log_backend_memory_contexts(1)
SELECT query_to_xml('DELETE FROM policy_orders', true, true, '')
SELECT query_to_xml('SELECT nextval(''policy_numbers'')', true, true, '')
SELECT query_to_xmlschema('SELECT 1', true, true, '')
SELECT table_to_xml('policy_secret', true, true, '')
SELECT schema_to_xml('public', true, true, '')
SELECT database_to_xml(true, true, '')
SELECT cursor_to_xml('c', 1, true, true, '')
SELECT ts_stat('SELECT to_tsvector(note) FROM policy_orders')
SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery')
SELECT dblink('dbname=postgres', 'DELETE FROM policy_orders')
SELECT dblink_exec('dbname=postgres', 'DELETE FROM policy_orders')
SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t(a int)
SELECT public.policy_function()
SELECT policy_function()
SELECT public.lower('x')
SELECT policy_orders.policy_function FROM policy_orders WHERE policy_function(policy_orders) IS NULL
SELECT 1 OPERATOR(public.===) 1
SELECT * FROM pg_authid
SELECT passwd FROM pg_shadow
SELECT * FROM pg_catalog.pg_authid
SELECT * FROM pg_largeobject
SELECT * FROM pg_statistic
SELECT umoptions FROM pg_user_mapping
SELECT * FROM pg_hba_file_rules
SELECT subconninfo FROM pg_subscription
SELECT * FROM pg_toast.pg_toast_1255
DECLARE c CURSOR FOR SELECT * FROM policy_orders FOR UPDATE
DECLARE c CURSOR FOR SELECT nextval('policy_numbers')
DELETE FROM policy_orders WHERE CURRENT OF c
SELECT xmlelement(name a, nextval('policy_numbers'))
SELECT json_object('a': nextval('policy_numbers'))
SELECT * FROM json_table('[1]', '$[*]' COLUMNS (a int PATH '$')), nextval('policy_numbers')
SELECT * FROM policy_orders TABLESAMPLE bernoulli (nextval('policy_numbers'))
SELECT * FROM policy_orders o JOIN policy_secret s ON o.id = nextval('policy_numbers')
SELECT DISTINCT ON (nextval('policy_numbers')) 1
SELECT 1 GROUP BY nextval('policy_numbers')
SELECT 1 HAVING nextval('policy_numbers') > 0
SELECT 1 OFFSET nextval('policy_numbers')
SELECT (SELECT (SELECT (SELECT nextval('policy_numbers'))))
SELECT 1 WHERE EXISTS (SELECT nextval('policy_numbers'))
SELECT 1 IN (SELECT nextval('policy_numbers'))
SELECT ROW(nextval('policy_numbers'))
SELECT nextval('policy_numbers')::text
SELECT nextval('policy_numbers') IS NULL
SELECT nextval('policy_numbers') COLLATE "C"
SELECT (ARRAY[1])[nextval('policy_numbers')]
SELECT greatest(nextval('policy_numbers'), 1)
SELECT sum(nextval('policy_numbers')) OVER ()
SELECT string_agg('x', ',' ORDER BY nextval('policy_numbers'))
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY nextval('policy_numbers'))
SELECT * FROM generate_series(1, nextval('policy_numbers'))
SELECT * FROM unnest(ARRAY[nextval('policy_numbers')])
SELECT * FROM ROWS FROM (nextval('policy_numbers'), lower('a'))
SELECT * FROM xmltable('/a' PASSING (SELECT nextval('policy_numbers')::text::xml) COLUMNS a int PATH '.')
SELECT * FROM LATERAL (SELECT nextval('policy_numbers')) q
SELECT nextval('policy_numbers') UNION SELECT 1
VALUES (nextval('policy_numbers'))
SET x TO (SELECT 1)
SELECT 1 FROM
SELECT 'unclosed
SELECT /* unclosed
NOT SQL AT ALL
-- A function without parentheses: (x).f is f(x), and so is x.f where x is a single value.
SELECT (0::oid).lo_create
SELECT ((0::oid)).lo_create
SELECT (0)."lo_create"
SELECT (0::oid).U&"lo\005fcreate"
SELECT (SELECT 0::oid).lo_create
SELECT (CASE WHEN true THEN 0::oid END).lo_create
SELECT (ROW(0::oid)).f1.lo_create
SELECT ((ROW(0::oid)).f1).lo_create
SELECT (a[1]).lo_create FROM (SELECT ARRAY[0::oid] a) q
SELECT (array_agg(0::oid))[1].lo_create
SELECT (id).lo_create FROM policy_orders id
SELECT (o.id).lo_unlink FROM policy_orders o
SELECT x.lo_create FROM generate_series(0, 0) x
SELECT generate_series.lo_create FROM generate_series(0, 0)
SELECT x.lo_create FROM CAST(0 AS oid) x
SELECT oid.lo_create FROM CAST(0 AS oid)
SELECT (SELECT x.lo_create FROM generate_series(0, 0) x) FROM generate_series(0, 0) AS x(lo_create)
SELECT 1 FROM generate_series(0, 0) x ORDER BY x.lo_create
SELECT 1 FROM generate_series(0, 0) x GROUP BY x.lo_create
SELECT 1 FROM policy_orders o JOIN LATERAL CAST(0 AS oid) x ON x.lo_create > 0
SELECT string_agg('a', 'b' ORDER BY (0::oid).lo_create)
SELECT ('/etc/passwd'::text).pg_read_file
SELECT ('/etc/passwd'::text).lo_import
SELECT x.pg_ls_dir FROM unnest(ARRAY['/']) x
SELECT x.pg_terminate_backend FROM unnest(ARRAY(SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid())) x
SELECT (pid).pg_terminate_backend FROM pg_stat_activity WHERE pid <> pg_backend_pid()
SELECT (1::bigint).pg_advisory_lock
SELECT ('policy_numbers'::regclass).nextval
SELECT x.nextval FROM CAST('policy_numbers' AS regclass) x
SELECT ('policy_slot'::name).pg_drop_replication_slot
SELECT (1).policy_function
SELECT ('a'::text).pg_create_restore_point
SELECT (60::float8).pg_sleep
SELECT (o).id FROM policy_orders o
INSERT INTO policy_orders (id) SELECT (0::oid).lo_create
EXPLAIN ANALYZE SELECT (0::oid).lo_create
DECLARE c CURSOR WITH HOLD FOR SELECT (0::oid).lo_create
-- Other products' comments are comments here; what is newer than the parser, or the newest.
/*! SELECT 1; */ DELETE FROM policy_orders
/*!50000 SELECT */ DELETE FROM policy_orders
SELECT 1 /*! */; DELETE FROM policy_orders
SELECT 1 WHERE pg_read_file('/etc/passwd') IS NOT NULL
SELECT ARRAY(SELECT lo_create(0))
SELECT 1 FROM policy_orders JOIN LATERAL (SELECT lo_create(0)) q ON true
SELECT CASE WHEN lo_create(0) > 0 THEN 1 END
WITH x AS (MERGE INTO policy_orders o USING policy_secret s ON o.id = s.id WHEN MATCHED THEN DELETE RETURNING 1) SELECT * FROM x
MERGE INTO policy_orders o USING policy_secret s ON o.id = s.id WHEN MATCHED THEN DELETE RETURNING merge_action()
UPDATE policy_orders SET note = 'x' RETURNING OLD.note, NEW.note
DELETE FROM policy_orders RETURNING WITH (OLD AS o) o.*
INSERT INTO policy_orders (note) VALUES ('x') RETURNING WITH (NEW AS n) n.id
CREATE TABLE policy_copy (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL)
CREATE TABLE policy_copy (a int4range, PRIMARY KEY (a WITHOUT OVERLAPS))
ALTER TABLE policy_orders ADD CONSTRAINT c CHECK (id > 0) NOT ENFORCED
COPY policy_orders FROM STDIN WITH (ON_ERROR ignore, REJECT_LIMIT 3)
SELECT * FROM GRAPH_TABLE (g MATCH (a IS policy_orders) COLUMNS (a.id))
REPACK policy_orders
WAIT FOR LSN '0/0'
SELECT * FROM crosstab('DELETE FROM policy_orders') AS t(a int)
SELECT pg_clear_relation_stats('public', 'policy_orders')
SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', 'policy_orders', 'relpages', 9)
SELECT pg_clear_attribute_stats('public', 'policy_orders', 'id', false)
SELECT pg_stat_reset_backend_stats(1)
SELECT pg_replication_origin_session_setup('x')
SELECT pg_sync_replication_slots()
SELECT pg_get_process_memory_contexts(1, true, 1)
SELECT injection_points_attach('a', 'b')
SELECT 1 OPERATOR(public.===) ANY (SELECT 1)
SELECT id FROM policy_orders ORDER BY id USING OPERATOR(public.<)
SELECT set_config('role'::varchar(4), 'postgres', false)
SELECT set_config('default_transaction_read_only', 'on'::varchar(1), false)
EXPLAIN (ANALYZE, SERIALIZE) SELECT nextval('policy_numbers')
ALTER TABLE policy_orders ATTACH PARTITION policy_secret DEFAULT
CREATE TABLE policy_copy () INHERITS (policy_orders)
CREATE TABLE policy_copy PARTITION OF policy_orders DEFAULT
ALTER TABLE policy_orders INHERIT policy_secret
FETCH ALL FROM c; DELETE FROM policy_orders WHERE CURRENT OF c
ALTER SUBSCRIPTION s SET (slot_name = 'x')
ALTER PUBLICATION p ADD TABLE policy_orders
ALTER DEFAULT PRIVILEGES FOR ROLE postgres REVOKE ALL ON TABLES FROM PUBLIC
ALTER STATISTICS policy_statistics SET STATISTICS 0
GRANT SET ON PARAMETER work_mem TO PUBLIC
