-- What clients send on connecting and browsing, and ordinary reading: read-only allows it.
-- One statement on each line.
SELECT 1
SELECT 1;
select version()
SELECT current_database(), current_schema(), session_user, current_user
SELECT pg_backend_pid()
SELECT now(), clock_timestamp(), statement_timestamp(), transaction_timestamp()
SELECT random(), gen_random_uuid()
BEGIN
BEGIN READ ONLY
BEGIN ISOLATION LEVEL REPEATABLE READ
START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE
COMMIT
END
ROLLBACK
ABORT
SET application_name = 'dashboard'
SET DateStyle = 'ISO'
SET datestyle TO ISO, MDY
SET TIME ZONE 'UTC'
SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE
SET timezone TO 'Europe/Berlin'
SET extra_float_digits = 3
SET statement_timeout = 60000
SET lock_timeout TO '1s'
SET idle_in_transaction_session_timeout = 0
SET client_encoding TO 'UTF8'
SET NAMES 'utf8'
SET standard_conforming_strings = on
SET bytea_output = 'hex'
SET intervalstyle = 'postgres'
SET client_min_messages TO WARNING
SET search_path TO public
SET search_path = pg_catalog, public
SET work_mem = '16MB'
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY
SET default_transaction_read_only = on
SET jit = off
SET geqo = off
SET enable_seqscan = off
RESET statement_timeout
RESET ALL
DISCARD ALL
DEALLOCATE ALL
UNLISTEN *
CLOSE ALL
SHOW server_version
SHOW ALL
SHOW transaction_isolation
SHOW standard_conforming_strings
SHOW search_path
SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;
SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'
SELECT set_config('application_name', 'x', false)
SELECT current_setting('server_version_num')
SELECT current_setting('search_path'), current_setting('TimeZone', true)
SELECT oid, typname FROM pg_type WHERE typname = 'hstore'
SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid WHERE typname = 'hstore'
SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter FROM pg_type t WHERE t.oid = to_regtype('int4') ORDER BY t.oid
SELECT pg_catalog.pg_is_in_recovery()
SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()
SELECT d.datname as "Name", pg_catalog.pg_get_userbyid(d.datdba) as "Owner", pg_catalog.pg_encoding_to_char(d.encoding) as "Encoding" FROM pg_catalog.pg_database d ORDER BY 1
SELECT n.nspname as "Schema", c.relname as "Name", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' END as "Type", pg_catalog.pg_get_userbyid(c.relowner) as "Owner" FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','v','m','S','f','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2
SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(orders)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3
SELECT c.relchecks, c.relkind, c.relhasindex, c.relhasrules, c.relhastriggers, c.relrowsecurity, c.relforcerowsecurity, false AS relhasoids, c.relispartition, '', c.reltablespace, CASE WHEN c.reloftype = 0 THEN '' ELSE c.reloftype::pg_catalog.regtype::pg_catalog.text END, c.relpersistence, c.relreplident, am.amname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = tc.oid) LEFT JOIN pg_catalog.pg_am am ON (c.relam = am.oid) WHERE c.oid = '1259'
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull, (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation, a.attidentity, a.attgenerated FROM pg_catalog.pg_attribute a WHERE a.attrelid = '1259' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
SELECT c2.relname, i.indisprimary, i.indisunique, i.indisclustered, i.indisvalid, pg_catalog.pg_get_indexdef(i.indexrelid, 0, true), pg_catalog.pg_get_constraintdef(con.oid, true), contype, condeferrable, condeferred, i.indisreplident, c2.reltablespace FROM pg_catalog.pg_class c, pg_catalog.pg_class c2, pg_catalog.pg_index i LEFT JOIN pg_catalog.pg_constraint con ON (conrelid = i.indrelid AND conindid = i.indexrelid AND contype IN ('p','u','x')) WHERE c.oid = '1259' AND c.oid = i.indrelid AND i.indexrelid = c2.oid ORDER BY i.indisprimary DESC, c2.relname
SELECT r.conname, pg_catalog.pg_get_constraintdef(r.oid, true) FROM pg_catalog.pg_constraint r WHERE r.conrelid = '1259' AND r.contype = 'c' ORDER BY 1
SELECT t.tgname, pg_catalog.pg_get_triggerdef(t.oid, true), t.tgenabled, t.tgisinternal FROM pg_catalog.pg_trigger t WHERE t.tgrelid = '1259' AND NOT t.tgisinternal ORDER BY 1
SELECT n.nspname AS "Name", pg_catalog.pg_get_userbyid(n.nspowner) AS "Owner" FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1
SELECT n.nspname as "Schema", p.proname as "Name", pg_catalog.pg_get_function_result(p.oid) as "Result data type", pg_catalog.pg_get_function_arguments(p.oid) as "Argument data types" FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE pg_catalog.pg_function_is_visible(p.oid) AND n.nspname <> 'pg_catalog' ORDER BY 1, 2, 4
SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolconnlimit, r.rolvaliduntil FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1
SELECT e.extname AS "Name", e.extversion AS "Version", n.nspname AS "Schema", c.description AS "Description" FROM pg_catalog.pg_extension e LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace LEFT JOIN pg_catalog.pg_description c ON c.objoid = e.oid AND c.classoid = 'pg_catalog.pg_extension'::pg_catalog.regclass ORDER BY 1
SELECT pg_catalog.pg_get_viewdef('pg_catalog.pg_tables'::pg_catalog.regclass, true)
SELECT pg_catalog.obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c LIMIT 1
SELECT pg_size_pretty(pg_database_size(current_database()))
SELECT relname, pg_total_relation_size(oid), pg_relation_size(oid), pg_indexes_size(oid), pg_table_size(oid) FROM pg_class WHERE relkind = 'r' LIMIT 5
SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns WHERE table_schema = 'public' ORDER BY ordinal_position
SELECT tc.constraint_name, kcu.column_name, ccu.table_name AS foreign_table_name FROM information_schema.table_constraints AS tc JOIN information_schema.key_column_usage AS kcu ON tc.constraint_name = kcu.constraint_name JOIN information_schema.constraint_column_usage AS ccu ON ccu.constraint_name = tc.constraint_name WHERE tc.constraint_type = 'FOREIGN KEY'
SELECT schema_name FROM information_schema.schemata
SELECT sequence_name FROM information_schema.sequences
SELECT routine_name FROM information_schema.routines LIMIT 1
SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg\_%' ORDER BY nspname
SELECT name, setting, unit FROM pg_settings WHERE name LIKE 'work%'
SELECT datname, usename, application_name, state FROM pg_stat_activity WHERE pid = pg_backend_pid()
SELECT relname, seq_scan, idx_scan, n_live_tup FROM pg_stat_user_tables
SELECT * FROM pg_stat_database WHERE datname = current_database()
SELECT * FROM pg_locks LIMIT 1
SELECT has_table_privilege('pg_class', 'SELECT'), has_schema_privilege('public', 'USAGE'), has_database_privilege(current_database(), 'CONNECT')
SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = 'pg_class'::regclass AND i.indisprimary
SELECT pg_get_serial_sequence('policy_orders', 'id')
SELECT enumlabel FROM pg_enum e JOIN pg_type t ON e.enumtypid = t.oid ORDER BY enumsortorder
SELECT * FROM policy_orders
SELECT id, total FROM policy_orders WHERE id = 1
SELECT "policy_orders"."id", "policy_orders"."total" FROM "policy_orders" WHERE "policy_orders"."id" = 1 LIMIT 21
SELECT policy_orders.id AS policy_orders_id, policy_orders.total AS policy_orders_total FROM policy_orders WHERE policy_orders.total > 10.5 ORDER BY policy_orders.id DESC LIMIT 10 OFFSET 5
SELECT count(*) FROM policy_orders
SELECT COUNT(*) AS "__count" FROM "policy_orders"
SELECT count(*) AS count_1 FROM (SELECT policy_orders.id AS id FROM policy_orders) AS anon_1
SELECT (1) AS "a" FROM "policy_orders" WHERE "policy_orders"."id" = 1 LIMIT 1
SELECT 1 AS one FROM "policy_orders" WHERE "policy_orders"."note" = 'x' LIMIT 1
SELECT EXISTS (SELECT 1 FROM policy_orders WHERE total IS NULL)
SELECT DISTINCT note FROM policy_orders ORDER BY note NULLS LAST
SELECT DISTINCT ON (note) note, id FROM policy_orders ORDER BY note, id DESC
SELECT note, sum(total), avg(total), min(total), max(total) FROM policy_orders GROUP BY note HAVING sum(total) > 0
SELECT date_trunc('day', made) AS day, count(*) FROM policy_orders GROUP BY 1 ORDER BY 1
SELECT date_trunc('month', "public"."policy_orders"."made") AS "made", count(*) AS "count" FROM "public"."policy_orders" GROUP BY date_trunc('month', "public"."policy_orders"."made") ORDER BY date_trunc('month', "public"."policy_orders"."made") ASC
SELECT CAST("public"."policy_orders"."made" AS date) AS "made" FROM "public"."policy_orders" LIMIT 2000
SELECT "source"."id" AS "id" FROM (SELECT * FROM "public"."policy_orders") "source" LIMIT 1048575
SELECT extract(epoch FROM made)::bigint AS time, total AS value FROM policy_orders ORDER BY 1
SELECT to_char(made, 'YYYY-MM') AS month, count(*) FILTER (WHERE total > 10) FROM policy_orders GROUP BY 1
SELECT floor(extract(epoch from made)/60)*60 AS "time", avg(total) FROM policy_orders WHERE made BETWEEN '2026-01-01' AND '2026-02-01' GROUP BY 1
SELECT width_bucket(total, 0, 100, 10), count(*) FROM policy_orders GROUP BY 1
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM policy_orders
SELECT row_number() OVER (PARTITION BY note ORDER BY made), lag(total) OVER w, lead(total, 1, 0) OVER w FROM policy_orders WINDOW w AS (ORDER BY id)
SELECT sum(total) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM policy_orders
SELECT note, sum(total) FROM policy_orders GROUP BY ROLLUP (note)
SELECT note, grouping(note), sum(total) FROM policy_orders GROUP BY GROUPING SETS ((note), ())
SELECT note, sum(total) FROM policy_orders GROUP BY CUBE (note, made)
WITH recent AS (SELECT * FROM policy_orders WHERE id > 1) SELECT count(*) FROM recent
WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT * FROM a, b
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n) FROM t
WITH x AS MATERIALIZED (SELECT id FROM policy_orders) SELECT * FROM x
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 3) SEARCH DEPTH FIRST BY n SET o CYCLE n SET c USING p SELECT n FROM t
SELECT 1 UNION SELECT 2 UNION ALL SELECT 3
SELECT 1 INTERSECT SELECT 1 EXCEPT SELECT 2
(SELECT id FROM policy_orders ORDER BY id LIMIT 1) UNION ALL (SELECT id FROM policy_orders ORDER BY id DESC LIMIT 1)
VALUES (1, 'a'), (2, 'b')
TABLE policy_orders
SELECT * FROM ONLY policy_orders
SELECT o.id, p.id FROM policy_orders o JOIN policy_orders p ON o.id = p.id
SELECT o.id FROM policy_orders o LEFT OUTER JOIN policy_orders p USING (id)
SELECT * FROM policy_orders NATURAL JOIN policy_orders x
SELECT * FROM policy_orders o CROSS JOIN LATERAL (SELECT o.total * 2 AS d) l
SELECT g FROM generate_series(1, 10) AS g
SELECT * FROM generate_series('2026-01-01'::timestamp, '2026-01-02', '1 hour') WITH ORDINALITY
SELECT * FROM unnest(ARRAY[1,2,3]) WITH ORDINALITY AS t(a, b)
SELECT * FROM unnest(ARRAY[1,2], ARRAY['a','b']) AS t(n, s)
SELECT * FROM policy_orders TABLESAMPLE BERNOULLI (10) REPEATABLE (1)
SELECT json_agg(o) FROM policy_orders o
SELECT row_to_json(t) FROM (SELECT id, note FROM policy_orders) t
SELECT to_jsonb(o) - 'note' FROM policy_orders o
SELECT jsonb_build_object('id', id, 'note', note) FROM policy_orders
SELECT '{"a": {"b": 1}}'::jsonb #>> '{a,b}', '{"a": 1}'::jsonb -> 'a', '{"a": 1}'::jsonb @> '{"a": 1}'
SELECT * FROM jsonb_each_text('{"a": 1}') AS e(k, v)
SELECT * FROM jsonb_to_recordset('[{"a": 1}]') AS x(a int)
SELECT jsonb_path_query('{"a": [1, 2]}', '$.a[*]')
SELECT * FROM json_array_elements('[1, 2]')
SELECT array_agg(id ORDER BY id) FILTER (WHERE id > 0) FROM policy_orders
SELECT string_agg(note, ', ' ORDER BY note) FROM policy_orders
SELECT (ARRAY[1,2,3])[1], (ARRAY[1,2,3])[1:2], 1 = ANY(ARRAY[1,2]), 3 > ALL(ARRAY[1,2])
SELECT CASE WHEN total > 10 THEN 'big' WHEN total IS NULL THEN 'none' ELSE 'small' END FROM policy_orders
SELECT CASE note WHEN 'a' THEN 1 END FROM policy_orders
SELECT coalesce(note, 'none'), nullif(note, ''), greatest(1, 2), least(1, 2) FROM policy_orders
SELECT total::numeric(10,2), total::text, id::bigint, '1'::int, CAST('2026-01-01' AS timestamptz) FROM policy_orders
SELECT interval '1 day' * 3, age(now(), made), made AT TIME ZONE 'UTC', made + interval '1 month' FROM policy_orders
SELECT lower(note), upper(note), length(note), trim(note), substring(note from 1 for 2), position('a' in note), overlay(note placing 'x' from 1), replace(note, 'a', 'b') FROM policy_orders
SELECT note ILIKE '%x%', note LIKE 'a\_%' ESCAPE '\', note ~ '^a', note !~* 'b', note SIMILAR TO '(a|b)%' FROM policy_orders
SELECT regexp_replace(note, 'a', 'b', 'g'), regexp_matches(note, 'a'), split_part(note, ',', 1) FROM policy_orders
SELECT concat(note, id), concat_ws('-', note, id), format('%s %I', note, 'x'), left(note, 2), right(note, 2), lpad(note, 5), repeat('a', 3) FROM policy_orders
SELECT round(total, 2), ceil(total), floor(total), abs(total), power(2, 3), sqrt(4), mod(5, 2), log(10), exp(1), trunc(1.5), sign(-1) FROM policy_orders
SELECT md5(note), encode(sha256('a'), 'hex'), decode('00', 'hex') FROM policy_orders
SELECT to_tsvector('english', note) @@ plainto_tsquery('english', 'x') FROM policy_orders
SELECT ts_headline('english', note, to_tsquery('x')), ts_rank(to_tsvector(note), to_tsquery('x')) FROM policy_orders
SELECT xmlelement(name a, xmlattributes(1 AS b), 'x'), xpath('/a/text()', '<a>x</a>'::xml)
SELECT * FROM xmltable('/r/i' PASSING ('<r><i>1</i></r>'::xml) COLUMNS i int PATH '.')
SELECT int4range(1, 5) @> 3, tsrange('2026-01-01', '2026-01-02') && tsrange('2026-01-01', '2026-01-03')
SELECT '192.168.0.1'::inet << '192.168.0.0/16'::cidr, host('10.0.0.1/8'::inet)
SELECT point(1, 2) <-> point(2, 3), box '((0,0),(1,1))' @> point '(0,0)'
SELECT 'a' || 'b' || 'c', 1 + 2 * 3 / 4 % 5, 5 ^ 2, -1, @ -5, |/ 25.0, 5 & 3, 5 | 3, 5 # 3, ~ 5, 1 << 4
SELECT 1 IS DISTINCT FROM 2, true IS NOT TRUE, NULL IS UNKNOWN, 1 BETWEEN 0 AND 2, 1 NOT IN (2, 3), (1, 2) = (1, 2), ROW(1, 2) IS NOT NULL
SELECT E'a\nb', 'it''s', U&'d\0061t', $$dollar$$, $tag$dollar$tag$, B'101', X'1F', 1e10, 0.5, .5
SELECT /* a comment */ 1 -- another
SELECT /* nested /* comment */ here */ 1
SELECT "id" AS "select", "note" AS "DROP TABLE" FROM policy_orders
SELECT 'DROP TABLE policy_orders; --' AS text
SELECT 'INSERT INTO x' FROM policy_orders
EXPLAIN SELECT * FROM policy_orders
EXPLAIN (FORMAT JSON) SELECT * FROM policy_orders
EXPLAIN ANALYZE SELECT * FROM policy_orders
EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) SELECT count(*) FROM policy_orders
EXPLAIN INSERT INTO policy_orders (note) VALUES ('x')
EXPLAIN VERBOSE DELETE FROM policy_orders
SELECT pg_typeof(1), pg_column_size('abc'::text)
SELECT oid::regclass, relname FROM pg_class WHERE oid = 'policy_orders'::regclass
SELECT to_regclass('public.policy_orders')
SELECT lastval() WHERE false
SELECT txid_current_if_assigned(), pg_current_snapshot()
SELECT col_description('policy_orders'::regclass, 1)
SELECT array_to_string(ARRAY(SELECT note FROM policy_orders), ',')
SELECT array_length(ARRAY[1,2], 1), cardinality(ARRAY[1,2]), array_position(ARRAY[1,2], 2), array_remove(ARRAY[1,2], 1), ARRAY[1] || 2
SELECT bool_and(total > 0), bool_or(total > 0), every(total > 0), bit_and(id), variance(total), stddev(total), corr(total, id), regr_slope(total, id) FROM policy_orders
SELECT first_value(id) OVER (), last_value(id) OVER (), nth_value(id, 1) OVER (), ntile(4) OVER (ORDER BY id), rank() OVER (ORDER BY id), dense_rank() OVER (ORDER BY id), percent_rank() OVER (ORDER BY id), cume_dist() OVER (ORDER BY id) FROM policy_orders
SELECT make_date(2026, 1, 1), make_interval(days => 10), to_timestamp(0), to_date('2026', 'YYYY'), to_number('1', '9'), justify_days(interval '30 days'), date_part('year', now()), isfinite(now())
SELECT current_date, current_time, current_timestamp, localtime, localtimestamp, current_role, current_catalog, user
SELECT unnest(string_to_array('a,b', ',')), regexp_split_to_table('a b', ' ')
SELECT quote_ident('a'), quote_literal('a'), quote_nullable(NULL), chr(65), ascii('A'), initcap('ab'), reverse('ab'), translate('ab', 'a', 'b'), strpos('ab', 'b'), btrim(' a '), octet_length('a'), char_length('a'), bit_length('a')
SELECT num_nulls(1, NULL), num_nonnulls(1, NULL)
SELECT o.* FROM policy_orders o WHERE o.id IN (SELECT id FROM policy_orders WHERE total > (SELECT avg(total) FROM policy_orders))
SELECT o.id FROM policy_orders AS o (id, x) WHERE EXISTS (SELECT FROM policy_orders)
SELECT FROM policy_orders
SELECT ALL id FROM policy_orders FETCH FIRST 5 ROWS ONLY
SELECT id FROM policy_orders ORDER BY total USING > LIMIT ALL
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(n, s)
SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) AS r(a, b)
SELECT (information_schema._pg_expandarray(conkey)).n FROM pg_constraint
SELECT (aclexplode(relacl)).grantee FROM pg_class
SELECT a.grantee, e.key, u.attnum FROM pg_class, aclexplode(relacl) a, jsonb_each('{}') e, unnest(ARRAY[1]) WITH ORDINALITY AS u(attnum, ord)
SELECT g.g, n.n FROM generate_series(1, 2) g CROSS JOIN LATERAL unnest(ARRAY[g]) AS n(n)
SELECT (ROW(1, 'a')).f1
SELECT (note).upper, ('a'::text).length, o.note FROM public.policy_orders o
SELECT note COLLATE "C" FROM policy_orders ORDER BY note COLLATE "C"
SELECT pg_catalog.lower('A'), pg_catalog.count(*) FROM policy_orders
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'policy_orders'::regclass
SELECT pg_get_keywords() LIMIT 1
SELECT pg_timezone_names() LIMIT 1
SELECT inet_client_addr(), inet_server_port()
SELECT pg_postmaster_start_time(), pg_conf_load_time()
SELECT attname, n_distinct FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid LEFT JOIN LATERAL (SELECT 1 AS n_distinct) s ON true LIMIT 1
SELECT nspname || '.' || relname AS relation FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY relpages DESC LIMIT 1
