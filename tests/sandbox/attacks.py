"""Statements that must do nothing: what was measured on DuckDB 2.0 to work somewhere, and more of the kind.

``{lake}`` is the lake, ``{part}`` one of its Parquet files, ``{out}`` a folder with a secret in it.
"""

from __future__ import annotations

READS = r"""
SELECT * FROM read_text('{out}/secret.txt')
SELECT * FROM read_blob('/etc/passwd')
SELECT * FROM read_csv('{out}/secret.csv')
FROM '{out}/secret.csv'
FROM "{out}/secret.csv"
FROM read_json_objects('{out}/secret.txt')
FROM read_ndjson_objects('{out}/secret.txt')
FROM sniff_csv('{out}/secret.csv')
FROM glob('/etc/*')
SELECT content FROM read_text('{lake}/../out/secret.txt')
SELECT content FROM read_text('file:{out}/secret.txt')
SELECT content FROM read_text('file://{out}/secret.txt')
SELECT content FROM read_text('/proc/self/environ')
SELECT content FROM read_text('/proc/self/maps')
FROM parquet_metadata('{part}')
FROM parquet_file_metadata('{part}')
FROM parquet_kv_metadata('{part}')
FROM parquet_schema('{part}')
FROM read_parquet('{part}')
FROM read_duckdb('{out}/x.db')
SELECT (SELECT count(*) FROM read_text('{out}/secret.txt'))
SELECT * FROM events WHERE user_id IN (SELECT content FROM read_text('{out}/secret.txt'))
SELECT * FROM events, LATERAL (FROM read_text('{out}/secret.txt')) AS t
WITH x AS (FROM read_text('{out}/secret.txt')) FROM x
WITH RECURSIVE x AS (SELECT content FROM read_text('{out}/secret.txt') UNION ALL SELECT content FROM x WHERE false) FROM x
WITH RECURSIVE _files AS (SELECT user_id FROM _files UNION ALL SELECT user_id FROM events WHERE false) FROM _files
WITH RECURSIVE x AS (SELECT user_id FROM x UNION ALL SELECT user_id FROM events WHERE false) FROM x
WITH _files AS (SELECT user_id FROM events) FROM _files
VALUES ((SELECT content FROM read_text('{out}/secret.txt')))
SELECT 1 UNION ALL SELECT length(content) FROM read_text('{out}/secret.txt')
PIVOT (FROM read_text('{out}/secret.txt')) ON content IN ('a') USING count(*)
SUMMARIZE FROM read_text('{out}/secret.txt')
DESCRIBE SELECT * FROM read_csv('{out}/secret.csv')
SELECT * FROM events ORDER BY (SELECT content FROM read_text('{out}/secret.txt'))
SELECT * FROM events LIMIT (SELECT length(content) FROM read_text('{out}/secret.txt'))
SELECT count(*) FILTER ((SELECT true FROM read_text('{out}/secret.txt'))) FROM events
SELECT CASE WHEN true THEN (SELECT content FROM read_text('{out}/secret.txt')) END
SELECT list_transform([1], lambda x: (SELECT content FROM read_text('{out}/secret.txt')))
SELECT * REPLACE ((SELECT content FROM read_text('{out}/secret.txt')) AS user_id) FROM events
SELECT sum(1) OVER (ORDER BY (SELECT content FROM read_text('{out}/secret.txt'))) FROM events
FROM arrow_scan(1, 2, 3)
FROM pandas_scan(1)
FROM python_map_function(1)
FROM seq_scan('events')
FROM identifier('duckdb_settings')
FROM '{part}'
FROM delta_scan('{lake}')
SELECT '{out}/secret.txt'.read_text()
SELECT array(FROM read_text('{out}/secret.txt'))
SELECT x FROM (SELECT unnest(array(FROM read_text('{out}/secret.txt')))) AS t(x)
SELECT 1 QUALIFY row_number() OVER (ORDER BY (SELECT content FROM read_text('{out}/secret.txt')))
SELECT sum(1) OVER w FROM events WINDOW w AS (PARTITION BY (SELECT content FROM read_text('{out}/secret.txt')))
SELECT string_agg(user_id ORDER BY (SELECT content FROM read_text('{out}/secret.txt'))) FROM events
SELECT * FROM events ASOF JOIN read_text('{out}/secret.txt') AS r ON events.timestamp >= r.last_modified
SELECT * FROM events POSITIONAL JOIN glob('/*')
WITH _files AS MATERIALIZED (FROM events) SELECT (WITH _x AS (FROM _files) SELECT count(*) FROM _x)
SELECT * FROM (WITH x AS (WITH _y AS (SELECT 1) FROM _y) FROM x)
WITH RECURSIVE x USING KEY (n) AS (SELECT 1 AS n UNION SELECT n + 1 FROM recurring.x) FROM x
SELECT columns(getenv('HOME')) FROM events
SELECT columns(lambda c: getenv('HOME') = c) FROM events
SELECT [x FOR x IN [getenv('HOME')]]
SELECT 'HOME'.getenv()
SELECT DISTINCT ON (getenv('HOME')) user_id FROM events
SELECT now() AT TIME ZONE getenv('HOME')
SELECT (struct_pack(a := getenv('HOME'))).a
SELECT 1 OPERATOR(pg_catalog.+) 1
PIVOT events ON status IN ('success') USING first(getenv('HOME'))
UNPIVOT events ON getenv('HOME')
PIVOT events ON getenv('HOME')
PIVOT events ON status USING first(getenv('HOME'))
PIVOT events ON status, getenv('HOME') USING count(*)
PIVOT events ON (SELECT content FROM read_text('{out}/secret.txt')) USING count(*)
PIVOT events ON status IN (SELECT content FROM read_text('{out}/secret.txt')) USING count(*)
PIVOT events ON status IN (SELECT status FROM _queries) USING count(*)
PIVOT events ON status IN (WITH x AS (COPY (SELECT 1) TO '{out}/p.csv') FROM x) USING count(*)
PIVOT (FROM read_text('{out}/secret.txt')) ON content
PIVOT read_text('{out}/secret.txt') ON content
PIVOT '{out}/secret.csv' ON a
PIVOT duckdb_settings() ON name
PIVOT _policies ON name
PIVOT _files ON status
PIVOT sqlite_master ON name
PIVOT_WIDER duckdb_views ON view_name
PIVOT events ON status USING count(*) GROUP BY getenv('HOME')
PIVOT events ON status USING count(*) ORDER BY (SELECT content FROM read_text('{out}/secret.txt'))
PIVOT events ON status USING count(*) UNION ALL FROM duckdb_settings()
WITH x AS (FROM read_text('{out}/secret.txt')) PIVOT x ON content
WITH x AS (COPY (SELECT 1) TO '{out}/pw.csv') PIVOT x ON count
WITH x AS (PIVOT events ON status), y AS (FROM duckdb_settings()) FROM x, y
DESCRIBE PIVOT duckdb_settings() ON name
SELECT * FROM events, (PIVOT duckdb_settings() ON name)
SELECT getenv('HOME')
"""  # noqa: E501 - a statement a line

WRITES = r"""
COPY (SELECT 42) TO '{out}/w.csv'
COPY (SELECT 42 AS id) TO '{part}'
COPY (SELECT 42 AS id) TO '{part}' (FORMAT parquet, USE_TMP_FILE false)
COPY events TO '{lake}/x.parquet'
COPY events FROM '{out}/secret.csv'
WITH x AS (COPY (SELECT 1) TO '{lake}/cte.csv') SELECT * FROM x
WITH x AS (COPY (SELECT 1) TO '{part}' (USE_TMP_FILE false)) SELECT * FROM x
WITH a AS (SELECT 1), x AS MATERIALIZED (COPY (FROM a) TO '{out}/cte.csv') SELECT (SELECT count(*) FROM x)
SELECT * FROM (WITH x AS (COPY (SELECT 1) TO '{out}/sub.csv') FROM x)
SELECT 1 WHERE EXISTS (WITH x AS (COPY (SELECT 1) TO '{out}/exists.csv') FROM x)
SELECT 1 UNION ALL (WITH x AS (COPY (SELECT 1) TO '{out}/union.csv') SELECT 1 FROM x)
DESCRIBE (WITH x AS (COPY (SELECT 1) TO '{out}/describe.csv') FROM x)
SUMMARIZE (WITH x AS (COPY (SELECT 1) TO '{out}/summarize.csv') FROM x)
COPY (SELECT 1 AS day) TO '{lake}/p' (FORMAT parquet, PARTITION_BY (day), OVERWRITE)
EXPORT DATABASE '{lake}/exp'
IMPORT DATABASE '{out}/exp'
ATTACH '{lake}/x.db'
ATTACH '{out}/x.db' AS x
ATTACH ':memory:' AS m
DETACH memory
USE memory
PREPARE p AS COPY (SELECT 1) TO '{out}/pp.csv'
EXECUTE p
DEALLOCATE p
EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}/ea.csv'
EXPLAIN COPY (SELECT 1) TO '{out}/ea.csv'
EXPLAIN SELECT * FROM events
COPY FROM DATABASE memory TO x
CHECKPOINT
FORCE CHECKPOINT
VACUUM
SELECT 1; COPY (SELECT 1) TO '{out}/second.csv'
SELECT 1;; SELECT 2
COPY (PIVOT events ON status) TO '{out}/pivot.csv'
CREATE TABLE p AS PIVOT events ON status
INSERT INTO events PIVOT events ON status
EXPLAIN PIVOT events ON status
PIVOT events ON status; COPY (SELECT 1) TO '{out}/pivot2.csv'
PIVOT events ON status USING count(*); PIVOT events ON status USING count(*)
COPY (SELECT 1) TO '/dev/stdout'
COPY (SELECT 1) TO '/proc/self/fd/1'
"""

NETWORK = r"""
FROM read_text('http://127.0.0.1:9/?q=leak')
FROM read_csv('https://127.0.0.1:9/x.csv')
FROM read_parquet('s3://bucket/x.parquet')
ATTACH 'http://127.0.0.1:9/x.db'
ATTACH 'dbname=pg host=127.0.0.1' AS pg (TYPE postgres)
COPY (SELECT 1) TO 'http://127.0.0.1:9/x.csv'
INSTALL httpfs
LOAD httpfs
LOAD '{out}/evil.duckdb_extension'
INSTALL httpfs FROM 'http://127.0.0.1:9'
FORCE INSTALL httpfs
UPDATE EXTENSIONS
CONNECT 'http://127.0.0.1:9'
"""

SETTINGS = r"""
SET enable_external_access=true
RESET enable_external_access
SET GLOBAL allowed_directories=['/']
SET allowed_directories=['/']
SET allowed_paths=['/etc/passwd']
SET temp_directory='{out}'
SET secret_directory='{out}'
SET custom_extension_repository='http://127.0.0.1/'
SET file_search_path='/etc'
SET home_directory='{out}'
SET memory_limit='100GB'
SET threads=64
SET max_execution_time=0
SET lock_configuration=false
SET python_enable_replacements=true
SET log_query_path='{out}/q.log'
SET profiling_output='{out}/prof.json'
PRAGMA profile_output='{out}/p.json'
PRAGMA enable_profiling
PRAGMA database_list
PRAGMA version
PRAGMA table_info('events')
CALL enable_logging(storage='file', storage_path='{out}/logs')
CALL enable_profiling(save_location='{out}/pr.json')
CALL truncate_duckdb_logs()
CALL pragma_version()
FROM enable_logging(storage='file', storage_path='{out}/logs')
SET VARIABLE x=1
SELECT getvariable('x')
SELECT "GETVARIABLE"('x')
SELECT 'x'.getvariable()
SET search_path='main'
SET schema='main'
"""

SECRETS = r"""
CREATE PERSISTENT SECRET s2 (TYPE http, BEARER_TOKEN 'x')
CREATE SECRET s3 (TYPE http, BEARER_TOKEN 'x')
FROM duckdb_secrets()
FROM which_secret('s3://x', 's3')
SELECT current_setting('secret_directory')
FROM duckdb_settings()
SELECT sql FROM duckdb_views()
SELECT sql FROM duckdb_tables()
FROM duckdb_columns()
FROM duckdb_functions()
FROM duckdb_databases()
FROM duckdb_extensions()
FROM duckdb_variables()
FROM duckdb_temporary_files()
FROM duckdb_logs()
FROM duckdb_logs
FROM duckdb_memory()
FROM duckdb_views
FROM pragma_database_size()
FROM pragma_table_info('events')
FROM secret_tbl
FROM pa
FROM said
SELECT * FROM sqlite_master
SELECT * FROM main.sqlite_master
SELECT * FROM pg_catalog.pg_views
SELECT * FROM information_schema.tables
SELECT * FROM information_schema.columns
SELECT * FROM system.information_schema.tables
SELECT * FROM memory.main.events
SELECT * FROM temp.events
SELECT pg_get_viewdef(1)
SELECT current_query()
SELECT current_database()
SELECT current_user
SELECT version()
SHOW DATABASES
SHOW TABLES FROM memory
SHOW TABLES FROM information_schema
SHOW ALL TABLES FROM temp
SHOW TABLES; SHOW ALL TABLES
SHOW TABLES; COPY (SELECT 1) TO '{out}/show.csv'
SHOW duckdb_views
SHOW _files
SHOW _tables
FROM _tables
FROM _all_tables
DESCRIBE _tables
FROM (SHOW TABLES)
FROM (SHOW ALL TABLES)
WITH x AS (SHOW TABLES) FROM x
WITH _tables AS (SELECT 1) FROM _tables
DESCRIBE TABLES
DESCRIBE duckdb_views
SELECT stats(user_id) FROM events
SELECT in_search_path('a', 'b')
SELECT "current_user"
FROM sql_auto_complete('sel')
SELECT * FROM events NATURAL JOIN duckdb_settings
SUMMARIZE _policies
"""

SESSION = r"""
CREATE OR REPLACE VIEW events AS SELECT 1
CREATE OR REPLACE TEMP VIEW events AS SELECT 1
DROP VIEW events
ALTER VIEW events RENAME TO e
INSERT INTO events SELECT * FROM events
UPDATE events SET user_id = 'x'
DELETE FROM events
TRUNCATE events
MERGE INTO events USING events AS e ON true WHEN MATCHED THEN DELETE
WITH x AS (DELETE FROM events RETURNING *) SELECT * FROM x
WITH x AS (INSERT INTO events SELECT * FROM events RETURNING *) SELECT * FROM x
WITH x AS (UPDATE events SET user_id = 'x' RETURNING *) SELECT * FROM x
CREATE TABLE z AS SELECT 1
CREATE TEMP TABLE z AS SELECT 1
CREATE MACRO m(x) AS x
CREATE OR REPLACE MACRO lower(x) AS 'evil'
CREATE FUNCTION m(x) AS x
CREATE SEQUENCE s
CREATE SCHEMA s
CREATE TYPE t AS ENUM ('a')
CREATE INDEX i ON events (user_id)
COMMENT ON VIEW events IS 'x'
BEGIN TRANSACTION
COMMIT
ROLLBACK
SELECT nextval('s')
SELECT setseed(0.5)
"""

INDIRECT = r"""
FROM query('SELECT * FROM duckdb_settings()')
FROM query_table('sqlite_master')
FROM query_table(['events', 'sqlite_master'])
FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))
PRAGMA json_execute_serialized_sql('x')
SELECT json_serialize_sql('SELECT 1')
SELECT json_serialize_plan('SELECT * FROM events')
SELECT json_deserialize_sql('{{}}')
SELECT write_log('x')
SELECT sleep_ms(100000)
SELECT pg_sleep(100)
SELECT system.main.current_setting('threads')
SELECT main.lower('x')
FROM histogram(events, user_id)
FROM histogram_values(events, user_id)
FROM test_all_types()
FROM summary((FROM events))
FROM checkpoint()
WITH sqlite_master AS (SELECT 1) SELECT * FROM sqlite_master
WITH sqlite_master AS (SELECT * FROM sqlite_master) FROM sqlite_master
WITH a AS (SELECT * FROM sqlite_master), sqlite_master AS (SELECT 1) FROM a
WITH "{out}/secret.csv" AS (SELECT 1) FROM "{out}/secret.csv"
SELECT * FROM events AT (VERSION => 1)
SELECT 'x'::main.varchar
SELECT count(*) FROM _queries
SELECT count(*) FROM _files
"""

ODD = (
    "",
    ";",
    "--",
    "/* nothing */",
    "SELECT",
    "selekt 1",
    "SELECT * FROM events WHERE",
    "\x00",
    "SELECT '\x00'",
    "(" * 5000,
)
"""Texts that are no statement."""

BOMBS = (
    "SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a.range % 7 = b.range % 3",
    "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))",
    "SELECT length(repeat('x', 2000000000) || repeat('y', 2000000000))",
    "SELECT list(range(100000)) FROM range(100000)",
    "SELECT len(range(500000000))",
    "SELECT damerau_levenshtein(repeat('a', 60000), repeat('b', 60000))",
    "SELECT octet_length(from_base64(repeat('AAAA', 1000000000)))",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)",
    "SELECT a.* FROM events a, events b, events c, events d ORDER BY random()",
    "SELECT lpad('x', 2147483647, 'abc')",
    "SELECT regexp_replace(repeat('a', 100000000), 'a', 'bbbbbbbbbbbbbbbbbbbb', 'g')",
)
"""Statements that are allowed and never end, or need more than there is."""


def all_of(**places: object) -> list[str]:
    """Every statement but the bombs and the odd ones, for these places."""
    text = READS + WRITES + NETWORK + SETTINGS + SECRETS + SESSION + INDIRECT
    return [line.format(**places) for line in text.strip().splitlines() if line.strip()]
