"""What analysts and auditors write passes, and gives what DuckDB gives."""

from __future__ import annotations

import duckdb
import pytest

import auditlake
from auditlake.errors import QueryError, RefusedError
from auditlake.sandbox.engine import hint
from auditlake.sandbox.session import VIEWS, AuditSession

QUERIES = r"""
SELECT 1
SELECT count(*) FROM events
FROM events SELECT user_id, count(*) GROUP BY ALL ORDER BY ALL
SELECT event_type, count(*) AS n FROM events GROUP BY event_type HAVING count(*) > 10 ORDER BY n DESC, event_type LIMIT 3
SELECT DISTINCT user_id FROM events WHERE user_id IS NOT NULL ORDER BY 1
SELECT DISTINCT ON (user_id) user_id, timestamp FROM events ORDER BY user_id, timestamp
TABLE policies
VALUES (1, 'a'), (2, 'b')
DESCRIBE events
DESCRIBE SELECT user_id, count(*) FROM events GROUP BY 1
SUMMARIZE events
SUMMARIZE SELECT user_id, ip_address FROM events
SELECT user_id, row_number() OVER (PARTITION BY user_id ORDER BY timestamp) AS n FROM events QUALIFY n <= 2 ORDER BY ALL
SELECT event_id, lag(timestamp) OVER w AS before FROM events WINDOW w AS (PARTITION BY user_id ORDER BY timestamp, event_id) ORDER BY event_id
SELECT event_id, count(*) OVER (ORDER BY timestamp RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND CURRENT ROW) AS n FROM events ORDER BY 1
SELECT event_id, sum(1) OVER (ORDER BY timestamp ROWS BETWEEN 3 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM events ORDER BY 1
SELECT first_value(event_id) OVER (ORDER BY timestamp), ntile(4) OVER (ORDER BY timestamp), rank() OVER (ORDER BY user_id) FROM events ORDER BY 2, 1 LIMIT 5
WITH days AS (SELECT event_date, count(*) AS n FROM events GROUP BY 1) SELECT max(n), min(n) FROM days
WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT * FROM a, b
WITH a AS MATERIALIZED (SELECT user_id FROM events) SELECT count(*) FROM a
WITH events AS (SELECT * FROM events WHERE user_id = 'alice') SELECT count(*) FROM events
WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT sum(i) FROM n
WITH RECURSIVE d AS (SELECT min(event_date) AS day FROM events UNION ALL SELECT day + 1 FROM d WHERE day < (SELECT max(event_date) FROM events)) SELECT count(*) FROM d
PIVOT events ON event_type IN ('login', 'logout') USING count(*) GROUP BY user_id ORDER BY user_id
PIVOT events ON event_type USING count(*) GROUP BY user_id ORDER BY user_id
PIVOT events ON event_type, status USING count(*) AS n, min(timestamp) AS first GROUP BY user_id ORDER BY user_id;
PIVOT events ON event_type IN (SELECT event_type FROM events WHERE status = 'failure') USING count(*) GROUP BY user_id ORDER BY ALL
PIVOT (SELECT user_id, status FROM events WHERE user_id IS NOT NULL) ON "status" ORDER BY ALL
PIVOT events ON date_part('day', timestamp) USING count(*) GROUP BY status ORDER BY ALL
/* x */ FROM (PIVOT events ON user_id || '_' || status USING count(*) GROUP BY event_type) ORDER BY ALL -- all
WITH p AS (PIVOT (SELECT * FROM events WHERE status = 'success') ON event_type USING count(*) GROUP BY user_id), q AS (SELECT 1) FROM p ORDER BY ALL
WITH chosen AS (FROM events SELECT user_id, status) PIVOT chosen ON status USING count(*) GROUP BY user_id ORDER BY ALL
DESCRIBE PIVOT events ON status USING count(*) GROUP BY user_id
SUMMARIZE PIVOT events ON status USING count(*) GROUP BY user_id
FROM (PIVOT events ON status GROUP BY user_id) UNION ALL BY NAME FROM (PIVOT events ON event_type GROUP BY user_id) ORDER BY ALL
FROM (PIVOT events ON status IN ('success', 'failure') USING count(*) GROUP BY user_id) ORDER BY ALL
UNPIVOT (SELECT count(*) FILTER (event_type = 'login') AS logins, count(*) AS everything FROM events) ON logins, everything INTO NAME what VALUE n
SELECT l.event_id, f.event_id FROM events l ASOF JOIN events f ON l.user_id = f.user_id AND l.timestamp > f.timestamp WHERE l.event_type = 'login' ORDER BY ALL
SELECT a.user_id, count(*) FROM events a JOIN events b USING (session_id) GROUP BY ALL ORDER BY ALL
SELECT count(*) FROM events a LEFT JOIN policies p ON list_contains(p.required_events, a.event_type) WHERE p.policy_id IS NULL
SELECT count(*) FROM events SEMI JOIN (SELECT 'alice' AS user_id) USING (user_id)
SELECT count(*) FROM events ANTI JOIN (SELECT 'alice' AS user_id) USING (user_id)
SELECT * FROM (SELECT 1 AS a) POSITIONAL JOIN (SELECT 2 AS b)
SELECT u, n FROM (SELECT DISTINCT user_id AS u FROM events) AS us, LATERAL (SELECT count(*) AS n FROM events WHERE user_id = us.u) ORDER BY ALL
SELECT user_id FROM events UNION SELECT policy_id FROM policies ORDER BY 1
SELECT user_id FROM events EXCEPT SELECT 'alice' ORDER BY 1
SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS b, 3 AS a
SELECT user_id FROM events INTERSECT SELECT 'alice'
SELECT count(*) FROM events WHERE user_id IN (SELECT user_id FROM events WHERE event_type = 'auth_failure')
SELECT count(*) FROM events e WHERE EXISTS (SELECT 1 FROM events f WHERE f.session_id = e.session_id AND f.event_type = 'logout')
SELECT (SELECT max(timestamp) FROM events), (SELECT min(timestamp) FROM events)
SELECT user_id, count(*) FROM events GROUP BY GROUPING SETS ((user_id), ()) ORDER BY ALL
SELECT user_id, event_type, count(*), grouping(user_id) FROM events GROUP BY CUBE (user_id, event_type) ORDER BY ALL
SELECT user_id, event_type, count(*) FROM events GROUP BY ROLLUP (user_id, event_type) ORDER BY ALL
SELECT date_trunc('hour', timestamp) AS hour, count(*) FROM events GROUP BY 1 ORDER BY 1
SELECT time_bucket(INTERVAL '6 hours', timestamp) AS six, count(*) FROM events GROUP BY 1 ORDER BY 1
SELECT extract(hour FROM timestamp) AS h, dayname(timestamp) AS d, isodow(event_date), strftime(timestamp, '%Y-%m') FROM events ORDER BY ALL LIMIT 5
SELECT timestamp AT TIME ZONE 'Europe/Berlin' FROM events ORDER BY event_id LIMIT 1
SELECT count(*) FROM events WHERE timestamp >= TIMESTAMPTZ '2026-11-20' AND timestamp < DATE '2026-11-21'
SELECT count(*) FROM events WHERE timestamp > (SELECT max(timestamp) FROM events) - INTERVAL 3 DAYS
SELECT count(*) FROM events WHERE timestamp BETWEEN '2026-11-15' AND '2026-11-17'
SELECT age(max(timestamp), min(timestamp))::varchar, date_diff('hour', min(timestamp), max(timestamp)), epoch_us(max(timestamp)) FROM events
SELECT details->>'$.number' AS n, details->'$.deep', json_extract(details, '$.list[0]'), details->>'$.deep.key' FROM events ORDER BY event_id LIMIT 3
SELECT json_keys(details), json_array_length(details, '$.list'), json_type(details, '$.text') FROM events ORDER BY event_id LIMIT 1
SELECT key, count(*) FROM events, json_each(details) GROUP BY key ORDER BY key
SELECT fullkey, atom FROM json_tree('{"a": [1, {"b": 2}]}') ORDER BY ALL
SELECT from_json(details, '{"number": "INTEGER"}').number AS n FROM events ORDER BY event_id LIMIT 2
SELECT cast(details->>'$.number' AS INTEGER) + 1, try_cast(user_id AS INTEGER), (details->>'$.number')::DECIMAL(10, 2) FROM events ORDER BY event_id LIMIT 2
SELECT list(event_type ORDER BY event_id)[1:3], list_sort(list_distinct(list(user_id))), len(list(event_id)) FROM events WHERE event_id < 'e0010'
SELECT [x * 2 FOR x IN [1, 2, 3] IF x > 1], list_transform([1, 2], lambda x: x + 1), list_filter([1, 2], lambda x: x > 1), list_reduce([1, 2, 3], lambda a, b: a + b)
SELECT unnest([1, 2, 3]) AS x, {'a': 1, 'b': 'x'} AS s, MAP {'k': 1}['k'], struct_pack(a := 1).a
SELECT * FROM unnest([1, 2]) AS t(x), range(3) AS r(y) ORDER BY ALL
SELECT generate_series FROM generate_series(DATE '2026-11-01', DATE '2026-11-05', INTERVAL 1 DAY)
SELECT * EXCLUDE (details, metadata) REPLACE (upper(user_id) AS user_id) RENAME (status AS how) FROM events ORDER BY event_id LIMIT 2
SELECT COLUMNS('.*_id') FROM events ORDER BY event_id LIMIT 2
SELECT max(COLUMNS(*)) FROM (SELECT user_id, ip_address FROM events)
SELECT COLUMNS(lambda c: c LIKE '%_id') FROM events ORDER BY event_id LIMIT 1
SELECT count(*) <= 400 FROM (FROM events USING SAMPLE 50%)
SELECT count(*) FROM (FROM events USING SAMPLE reservoir(10 ROWS) REPEATABLE (1))
SELECT count(*) <= 400 FROM events TABLESAMPLE bernoulli(50%)
SELECT regexp_extract(ip_address, '(\d+)$', 1), split_part(ip_address, '.', 3), string_split(ip_address, '.')[1], ip_address LIKE '10.%', ip_address SIMILAR TO '10.*', resource GLOB '/files/*', user_id ILIKE 'A%' FROM events ORDER BY event_id LIMIT 2
SELECT format('{} did {}', user_id, action), concat_ws('-', user_id, status), user_id || '!', md5(user_id), sha256(user_id), levenshtein(user_id, 'alicia') FROM events ORDER BY event_id LIMIT 2
SELECT CASE WHEN status = 'failure' THEN 1 ELSE 0 END AS failed, if(user_id = 'bob', 1, 2), coalesce(user_id, '?'), nullif(status, 'success'), greatest(1, 2) FROM events ORDER BY event_id LIMIT 2
SELECT count(*) FILTER (status = 'failure') AS failures, count_if(status = 'success'), bool_or(status = 'failure'), any_value(source) FROM events
SELECT arg_max(event_id, timestamp), min_by(event_id, timestamp), max(event_id, 3), string_agg(DISTINCT user_id, ',' ORDER BY user_id) FROM events
SELECT approx_count_distinct(user_id) > 0, quantile_cont(length(details), [0.5, 0.9]), median(length(details)), mode(status), stddev(length(details)) > 0 FROM events
SELECT histogram(user_id), entropy(user_id) > 0, mad(length(details)) FROM events
SELECT round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS percent, user_id FROM events GROUP BY user_id ORDER BY ALL
SELECT TRY(1 / 0), TRY_CAST('x' AS INTEGER), 7 // 2, 7 % 2, 2 ** 3, 1 <> 2, 1 IS DISTINCT FROM NULL, NOT true, 5 BETWEEN 1 AND 9
SELECT 'ä' COLLATE nocase = 'Ä', 'a' < 'b', 'x' IN ('x', 'y'), 1 = ANY ([1, 2]), 3 > ALL (SELECT 1)
SELECT current_date IS NOT NULL, now() IS NOT NULL, today() > DATE '2000-01-01', current_timestamp > TIMESTAMPTZ '2000-01-01'
SELECT hex(hash('a') % 16), bit_count(7), 5 & 3, 1 << 4, xor(1, 3), to_base64('a'::BLOB), from_hex('41')
SELECT event_date, count(*) AS n, repeat('#', (count(*) // 10)::INTEGER) AS bar FROM events GROUP BY ALL ORDER BY event_date
SELECT user_id, count(*) FROM events GROUP BY user_id ORDER BY count(*) DESC NULLS LAST, user_id LIMIT 50%
SELECT count(*) FROM events -- a comment
/* a comment */ SELECT 'a;b', "user_id" FROM events ORDER BY event_id LIMIT 1;
SELECT policy_id, kind, count(*) FROM findings GROUP BY ALL ORDER BY ALL
SELECT policy_id, due, held FROM retention_status ORDER BY policy_id
SELECT input, read, landed FROM ingests ORDER BY ALL
SELECT count(*) FROM quarantine
SELECT kind, count(*) FROM ledger GROUP BY kind ORDER BY kind
SELECT view_name, count(*) FROM dictionary GROUP BY 1 ORDER BY 1
SELECT outcome, count(*) >= 0 FROM queries GROUP BY 1 ORDER BY 1 LIMIT 0
SELECT p.policy_id, f.kind FROM policies p LEFT JOIN findings f USING (policy_id) ORDER BY ALL
"""  # noqa: E501 - a statement a line
STATEMENTS = [line for line in QUERIES.strip().splitlines() if line.strip()]


@pytest.fixture(scope="module")
def plain(lake: auditlake.AuditLake) -> duckdb.DuckDBPyConnection:
    """A DuckDB without any sandbox over the same events."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.register("everything", lake.events(snapshot=1).arrow())
    connection.execute("create view events as from everything")
    return connection


def test_enough() -> None:
    """There are more than sixty of them."""
    assert len(STATEMENTS) > 60


@pytest.mark.parametrize("statement", STATEMENTS)
def test_passes(statement: str, desk: AuditSession, plain: duckdb.DuckDBPyConnection) -> None:
    """Each gives what DuckDB gives on the same events; what reads other views gives something."""
    found = desk.sql(statement).fetchall()

    if not any(view in statement for view in VIEWS if view != "events"):
        expected = plain.sql(statement).to_arrow_table()
        assert [str(row) for row in found] == [str(row) for row in _rows(expected)]


def _rows(table: object) -> list[tuple[object, ...]]:
    from auditlake.engine.arrow_rows import table_rows

    return table_rows(table)


def test_values(desk: AuditSession) -> None:
    """Values bind by name, of every kind."""
    from datetime import UTC, date, datetime

    values = {
        "text": "ä'; drop", "number": 2**40, "real": 0.5, "yes": True, "none": None, "many": ["a", "b"],
        "at": datetime(2026, 11, 24, 1, 2, 3, 4, tzinfo=UTC), "day": date(2026, 11, 24),
    }  # fmt: skip
    answer = desk.sql("select $text, $number, $real, $yes, $none, $many, $at, $day", values)

    assert answer.fetchall() == [tuple(values.values())]


def test_forms(desk: AuditSession) -> None:
    """An answer is an Arrow table, a Polars frame, tuples; it has columns and a length."""
    answer = desk.sql("select user_id, count(*) as n from events where user_id = 'bob' group by all")

    assert answer.columns == ["user_id", "n"]
    assert len(answer) == answer.arrow().num_rows == 1
    assert answer.pl()["n"].to_list() == [row[1] for row in answer]
    assert answer.complete
    assert "1 row " in repr(answer)


def test_show_tables(desk: AuditSession) -> None:
    """SHOW TABLES and SHOW ALL TABLES name the views, and no more than those."""
    assert desk.sql("show tables").fetchall() == [(name,) for name in sorted(VIEWS)]
    assert desk.sql(" SHOW\tTables ; ").columns == ["name"]
    listed = desk.sql("show all tables").fetchall()
    assert [name for name, _, _ in listed] == sorted(VIEWS)
    for name, columns, kinds in listed:
        assert list(zip(columns, kinds, strict=True)) == [
            (column, "timestamptz" if kind == "TIMESTAMP WITH TIME ZONE" else kind.lower())
            for column, kind, *_ in desk.sql(f"show {name}").fetchall()
        ]


def test_pivot_of_a_value(desk: AuditSession) -> None:
    """Values bind in a PIVOT and in the look-up of its columns; what that finds is text, whatever it holds."""
    query = "pivot (select $odd as odd, status from events where user_id = $user) on odd using count(*)"
    answer = desk.sql(query, {"odd": "x'); --", "user": "bob"})
    assert answer.columns == ["status", "x'); --"]
    assert sum(number for _, number in answer.fetchall()) == 100
    for text, told in (
        ("pivot events on event_id", ""),
        ("pivot (from range(1001)) on range", "PIVOT finds more than 1,000 values of range"),
        ("pivot (from events where false) on status", "PIVOT finds no values of status"),
        ("with a as (with b as (from events) pivot b on status) from a", r"IN \('a', 'b'\)"),
    ):
        if told:
            with pytest.raises(RefusedError, match=told):
                desk.sql(text)
        else:
            assert len(desk.sql(text).columns) > 400


def test_hints(desk: AuditSession) -> None:
    """DuckDB's proposals are shown where they name views, their columns or the asker's own names, and nothing else."""
    for query, told in (
        ("select usr_id from events", 'Did you mean "user_id"'),
        ("select x.user_id from events", 'Did you mean "events"?'),
        ("with t as (select 1 as mine) select mne from t", 'Did you mean "mine"?'),
        ("select lenght(user_id) from events", "did you mean length?"),
    ):
        with pytest.raises(QueryError) as failure:
            desk.sql(query)
        assert told in str(failure.value)
    message = (
        'x\nCandidate bindings: "user_id", "batch", "events.status", "_files.x", "secret"\nDid you mean "pg_views"?'
    )
    with duckdb.connect() as connection:
        connection.execute("create view dictionary as from (values ('user_id'), ('status')) as t(column_name)")
        assert hint(connection, "select 1", VIEWS, message) == ' Did you mean "user_id" or "events.status"?'
        assert hint(connection, "select 1", VIEWS, 'Did you mean "secret"?') == ""
