# ruff: noqa: E501 - a statement is a line
"""Statements that drivers, mappers and tools send on connecting and browsing: all only read.

Each is (id, sql).
"""

from __future__ import annotations

_TEXT = r"""
SELECT 1
SELECT 1;
select version()
SELECT VERSION(), DATABASE(), USER()
SELECT @@version
SELECT @@version_comment LIMIT 1
SELECT @@global.max_allowed_packet
SELECT @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@sql_mode AS sql_mode
/* mysql-connector-j-8.3.0 (Revision: 805f872a57875f311cb82487efcfb070411a3fa0) */SELECT @@session.auto_increment_increment AS auto_increment_increment, @@wait_timeout AS wait_timeout
SELECT @@session.tx_read_only
SELECT CURRENT_USER()
SELECT CONNECTION_ID()
SELECT DATABASE()
SELECT NOW()
SELECT CURRENT_TIMESTAMP
SELECT UNIX_TIMESTAMP()
SELECT CAST('test plain returns' AS CHAR(60)) AS anon_1
SELECT CAST('test collated returns' AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin AS anon_1
SELECT 'x' AS `some label`
SHOW VARIABLES
SHOW VARIABLES LIKE 'sql_mode'
SHOW SESSION VARIABLES LIKE 'lower_case_table_names'
SHOW GLOBAL VARIABLES LIKE 'version%'
SHOW VARIABLES WHERE Variable_name = 'language'
SHOW STATUS
SHOW GLOBAL STATUS LIKE 'Uptime'
SHOW SESSION STATUS LIKE 'Ssl_cipher'
SHOW DATABASES
SHOW SCHEMAS
SHOW TABLES
SHOW FULL TABLES
SHOW FULL TABLES FROM shop
SHOW FULL TABLES FROM `shop` WHERE table_type = 'BASE TABLE'
SHOW TABLES LIKE 'cust%'
SHOW TABLE STATUS
SHOW TABLE STATUS FROM `shop`
SHOW TABLE STATUS LIKE 'customers'
SHOW OPEN TABLES FROM shop
SHOW COLUMNS FROM customers
SHOW FULL COLUMNS FROM `customers`
SHOW FULL COLUMNS FROM `customers` FROM `shop`
SHOW FULL FIELDS FROM shop.customers
SHOW INDEX FROM customers
SHOW KEYS FROM `customers`
SHOW INDEXES IN customers
SHOW CREATE TABLE customers
SHOW CREATE TABLE `shop`.`customers`
SHOW CREATE DATABASE `shop`
SHOW WARNINGS
SHOW ERRORS
SHOW COUNT(*) WARNINGS
SHOW ENGINES
SHOW STORAGE ENGINES
SHOW PLUGINS
SHOW COLLATION
SHOW COLLATION LIKE 'utf8mb4%'
SHOW CHARACTER SET
SHOW PRIVILEGES
SHOW TRIGGERS
SHOW TRIGGERS FROM `shop`
SHOW EVENTS FROM `shop`
SHOW PROCEDURE STATUS
SHOW FUNCTION STATUS WHERE Db = 'shop'
DESCRIBE customers
DESC `customers`
EXPLAIN customers
EXPLAIN SELECT * FROM customers
EXPLAIN EXTENDED SELECT * FROM customers
EXPLAIN FORMAT=JSON SELECT id FROM customers WHERE id = 1
SET NAMES utf8mb4
SET NAMES 'utf8mb4'
SET NAMES utf8mb4 COLLATE utf8mb4_general_ci
SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci'
SET autocommit=0
SET autocommit=1
SET AUTOCOMMIT = 0
SET @@session.autocommit = OFF
SET SESSION autocommit = 1
SET sql_mode='STRICT_TRANS_TABLES'
SET SESSION sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'
SET SQL_AUTO_IS_NULL = 0
SET character_set_results = NULL
SET character_set_results = utf8mb4
SET time_zone = '+00:00'
SET TIME_ZONE='+00:00'
SET net_write_timeout=600
SET SESSION wait_timeout = 28800
SET SQL_SELECT_LIMIT=DEFAULT
SET sql_safe_updates=1
SET @@SESSION.sql_notes = 0
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ
SET SESSION TRANSACTION READ ONLY
SET @OLD_SQL_NOTES=@@SQL_NOTES
SET @a = 1, @b = 'x'
/*!40100 SET @@SQL_MODE='' */
/*!40101 SET NAMES utf8mb4 */
/*!40103 SET TIME_ZONE='+00:00' */
/*!40000 SET SQL_QUOTE_SHOW_CREATE=1 */
/*!40100 SET SESSION net_write_timeout=600 */
START TRANSACTION
START TRANSACTION READ ONLY
START TRANSACTION WITH CONSISTENT SNAPSHOT
START TRANSACTION /*!40100 */
BEGIN
BEGIN WORK
COMMIT
ROLLBACK
COMMIT AND NO CHAIN
SELECT SCHEMA_NAME FROM information_schema.SCHEMATA
SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()
SELECT * FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'customers' ORDER BY ORDINAL_POSITION
SELECT table_name AS name, (data_length + index_length) AS size, table_comment AS comment, engine AS engine, table_collation AS collation FROM information_schema.tables WHERE table_schema = 'shop' AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_name
SELECT column_name, data_type, collation_name FROM information_schema.columns WHERE table_schema = database()
SELECT kc.constraint_name, kc.column_name, kc.referenced_table_name FROM information_schema.key_column_usage AS kc WHERE kc.table_schema = DATABASE() AND kc.table_name = 'customers'
SELECT * FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop'
SELECT * FROM information_schema.VIEWS
SELECT * FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = 'shop'
SELECT engine, support FROM information_schema.engines WHERE support IN ('DEFAULT', 'YES')
SELECT COUNT(*) FROM customers
SELECT * FROM customers LIMIT 0, 200
SELECT * FROM `shop`.`customers` LIMIT 1000
SELECT * FROM customers WHERE id = 1
SELECT `customers`.`id`, `customers`.`name` FROM `customers` WHERE `customers`.`id` = 1 LIMIT 21
SELECT c.id, c.name FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.total > 10
SELECT c.name, SUM(o.total) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.name HAVING SUM(o.total) > 5 ORDER BY 2 DESC
SELECT DATE(created) AS day, COUNT(*) FROM orders GROUP BY DATE(created)
SELECT STR_TO_DATE(DATE_FORMAT(created, '%Y-%m-01'), '%Y-%m-%d') AS m, COUNT(*) AS n FROM orders GROUP BY 1
SELECT UNIX_TIMESTAMP(created) DIV 60 * 60 AS time, AVG(total) AS value FROM orders WHERE created BETWEEN FROM_UNIXTIME(1) AND FROM_UNIXTIME(2) GROUP BY 1
SELECT id FROM customers UNION ALL SELECT customer_id FROM orders
SELECT id FROM customers WHERE id IN (SELECT customer_id FROM orders)
SELECT id FROM customers WHERE EXISTS (SELECT 1 FROM orders WHERE orders.customer_id = customers.id)
WITH c AS (SELECT id FROM customers) SELECT * FROM c
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n
SELECT id, ROW_NUMBER() OVER (PARTITION BY name ORDER BY id) FROM customers
SELECT CASE WHEN id > 1 THEN 'a' ELSE 'b' END FROM customers
SELECT IF(id > 1, 'a', 'b'), IFNULL(name, ''), COALESCE(name, 'x') FROM customers
SELECT DISTINCT name FROM customers WHERE name LIKE '%a\'b%' AND NOT (id <=> NULL)
SELECT GROUP_CONCAT(DISTINCT name ORDER BY name SEPARATOR ', ') FROM customers
SELECT CONCAT(name, '-', id), UPPER(name), LENGTH(name), SUBSTRING(name, 1, 3) FROM customers
SELECT DATE_ADD(NOW(), INTERVAL 1 DAY), DATE_SUB(CURDATE(), INTERVAL 3 MONTH)
SELECT JSON_EXTRACT('{"a": 1}', '$.a'), JSON_UNQUOTE('"x"')
SELECT x'41', 0x41, b'01', 1.5e3, .5
SELECT 'a''b', "c""d", 'e\\', 'it is -- no comment', '/* nor this */'
SELECT 1 -- a comment
SELECT 1 # another
SELECT /* in the middle */ 1
SELECT * FROM (SELECT id FROM customers) AS t
SELECT c1.id FROM customers c1, customers c2 WHERE c1.id = c2.id
SELECT NULL, TRUE, FALSE, -1, 1 + 2 * 3, 7 MOD 3, 5 DIV 2
SELECT MD5('a'), SHA1('a'), HEX('a'), UUID()
SELECT LAST_INSERT_ID()
SELECT _utf8mb4'a', CONVERT('a' USING utf8mb4)
(SELECT 1) UNION (SELECT 2)
SELECT name FROM customers ORDER BY id DESC LIMIT 10 OFFSET 5
/* mysql-connector-j-8.0.33 (Revision: 7d6b0800528b6b25c68b52dc10d6c1c8429c100c) */SELECT  @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, @@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, @@wait_timeout AS wait_timeout
SELECT @@session.transaction_isolation
SELECT @@session.autocommit
SELECT @@max_allowed_packet,@@system_time_zone,@@time_zone,@@auto_increment_increment
SELECT @@max_allowed_packet, @@wait_timeout
SELECT @@collation_database
SELECT @@hostname, @@port, @@datadir
select @@version_comment limit 1
select USER()
select DATABASE(), USER() limit 1
SELECT DATABASE() AS name
set autocommit=1, sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES')
SET character_set_results=NULL
SET NAMES utf8mb4 COLLATE 'utf8mb4_unicode_ci'
SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED
SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE
SET SESSION net_read_timeout=86400, SESSION net_write_timeout=86400
SET SESSION group_concat_max_len = 1000000
SET lc_time_names = 'en_US'
SET SQL_SAFE_UPDATES = 0
SHOW FULL TABLES FROM `shop` LIKE 'cust%'
SHOW FULL COLUMNS FROM `shop`.`customers`
SHOW COLUMNS FROM `customers` LIKE 'id'
SHOW INDEX FROM `customers` FROM `shop`
SHOW VARIABLES LIKE 'aurora\_version'
SHOW SESSION VARIABLES WHERE Variable_name IN ('sql_mode', 'time_zone')
SHOW GLOBAL VARIABLES WHERE Variable_name = 'character_set_server' OR Variable_name = 'collation_server'
SHOW SESSION STATUS
SHOW CREATE TABLE `customers`
SHOW CREATE VIEW `shop`.`v`
SHOW TABLE STATUS WHERE Name = 'customers'
SHOW PROCEDURE STATUS WHERE Db = 'shop'
SHOW FUNCTION STATUS LIKE 'x'
SHOW TRIGGERS LIKE 'customers'
SHOW EVENTS
SHOW DATABASES LIKE 'shop'
SELECT SCHEMA_NAME AS Database_Name FROM INFORMATION_SCHEMA.SCHEMATA ORDER BY SCHEMA_NAME
SELECT TABLE_SCHEMA AS TABLE_CAT, NULL AS TABLE_SCHEM, TABLE_NAME, CASE WHEN TABLE_TYPE='BASE TABLE' THEN CASE WHEN TABLE_SCHEMA = 'mysql' OR TABLE_SCHEMA = 'performance_schema' THEN 'SYSTEM TABLE' ELSE 'TABLE' END WHEN TABLE_TYPE='TEMPORARY' THEN 'LOCAL_TEMPORARY' ELSE TABLE_TYPE END AS TABLE_TYPE, TABLE_COMMENT AS REMARKS FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'shop' ORDER BY TABLE_TYPE, TABLE_SCHEMA, TABLE_NAME
SELECT COLUMN_NAME, DATA_TYPE, COLUMN_KEY, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, COLUMN_COMMENT FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'customers' ORDER BY ORDINAL_POSITION
SELECT INDEX_NAME, COLUMN_NAME, NON_UNIQUE, SEQ_IN_INDEX FROM INFORMATION_SCHEMA.STATISTICS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'customers' ORDER BY INDEX_NAME, SEQ_IN_INDEX
SELECT rc.CONSTRAINT_NAME, rc.UPDATE_RULE, rc.DELETE_RULE FROM INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS rc WHERE rc.CONSTRAINT_SCHEMA = 'shop'
SELECT tc.CONSTRAINT_NAME, tc.CONSTRAINT_TYPE FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS AS tc WHERE tc.TABLE_SCHEMA = DATABASE()
SELECT * FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA = 'shop'
SELECT * FROM information_schema.COLLATIONS
SELECT CHARACTER_SET_NAME, DEFAULT_COLLATE_NAME FROM information_schema.CHARACTER_SETS
SELECT sum(data_length + index_length) FROM information_schema.tables WHERE table_schema = 'shop'
SELECT COUNT(*) AS `__count` FROM `customers`
SELECT (1) AS `a` FROM `customers` WHERE `customers`.`id` = 1 LIMIT 1
SELECT customers.id AS customers_id, customers.name AS customers_name FROM customers WHERE customers.id IN (1, 2, 3) ORDER BY customers.name
SELECT count(*) AS count_1 FROM (SELECT customers.id AS customers_id FROM customers) AS anon_1
SELECT 1 AS one FROM `customers` WHERE `customers`.`name` = 'x' LIMIT 1
SELECT `orders`.* FROM `orders` WHERE `orders`.`customer_id` = 1
SELECT DISTINCT `customers`.`name` FROM `customers` INNER JOIN `orders` ON (`customers`.`id` = `orders`.`customer_id`) WHERE `orders`.`total` >= 10
SELECT `source`.`name` AS `name`, COUNT(*) AS `count` FROM (SELECT * FROM customers) AS `source` GROUP BY `source`.`name` ORDER BY `source`.`name` ASC LIMIT 2000
SELECT DATE(`orders`.`created`) AS `created`, SUM(`orders`.`total`) AS `sum` FROM `orders` GROUP BY DATE(`orders`.`created`) ORDER BY DATE(`orders`.`created`) ASC
SELECT YEAR(created), MONTH(created), DAYOFWEEK(created), HOUR(created) FROM orders
SELECT STR_TO_DATE(CONCAT(DATE_FORMAT(created, '%Y-%m'), '-01'), '%Y-%m-%d') FROM orders
SELECT TIMESTAMPDIFF(DAY, created, NOW()), DATEDIFF(NOW(), created) FROM orders
SELECT LOWER(name), TRIM(name), LEFT(name, 1), REPLACE(name, 'a', 'b'), LOCATE('a', name) FROM customers
SELECT ROUND(total, 2), CEIL(total), FLOOR(total), ABS(total), MOD(id, 2) FROM orders
SELECT MIN(total), MAX(total), AVG(total), STDDEV(total), VARIANCE(total) FROM orders
SELECT NULLIF(name, ''), GREATEST(1, 2), LEAST(1, 2) FROM customers
SELECT RANK() OVER (ORDER BY total DESC), LAG(total) OVER (ORDER BY id) FROM orders
SELECT CAST(total AS SIGNED), CAST(id AS CHAR), CAST(created AS DATE) FROM orders
SELECT name REGEXP '^a', name NOT LIKE '%b', name RLIKE 'c' FROM customers
SELECT * FROM customers WHERE (id, name) IN ((1, 'a'), (2, 'b'))
SELECT c.*, (SELECT COUNT(*) FROM orders o WHERE o.customer_id = c.id) AS n FROM customers c
SELECT * FROM customers USE INDEX (PRIMARY) WHERE id = 1
SELECT SQL_NO_CACHE * FROM customers
SELECT /*!40001 SQL_NO_CACHE */ * FROM `customers`
SELECT name, COUNT(*) FROM customers GROUP BY name WITH ROLLUP
EXPLAIN SELECT c.id FROM customers c JOIN orders o ON o.customer_id = c.id
DESCRIBE `shop`.`customers`
SAVEPOINT sp
ROLLBACK TO SAVEPOINT sp
RELEASE SAVEPOINT sp
START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */
SET SESSION NET_READ_TIMEOUT= 86400, SESSION NET_WRITE_TIMEOUT= 86400
SET SESSION character_set_results = 'binary'
SHOW CREATE DATABASE IF NOT EXISTS `shop`
SELECT @@session.auto_increment_increment, @@session.sql_mode
SET sql_mode=concat(@@session.sql_mode,',STRICT_ALL_TABLES')
"""
HARMLESS: list[tuple[str, str]] = [
    (f"{number:03d}", line) for number, line in enumerate(_TEXT.strip().splitlines())
]
