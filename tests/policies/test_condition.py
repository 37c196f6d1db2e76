"""What a policy's ``where`` may be: what is accepted, that it keeps its meaning, and what no text can do."""

from __future__ import annotations

import json
import threading

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.engine.expression_gate import FUNCTIONS
from auditlake.policies.condition import COLUMNS, ConditionError, check_condition, condition_tree

# (condition, DuckDB's normalised spelling)
ACCEPTED: list[tuple[str, str]] = [
    ("status = 'failure'", "(status = 'failure')"),
    ("status != 'it''s'", "(status != 'it''s')"),
    ("STATUS = 'x' and \"Status\" = 'x'", "((status = 'x') AND (status = 'x'))"),
    ('"timestamp" is not null', '("timestamp" IS NOT NULL)'),
    (
        "not (status is null) and user_id in ('a', 'b') and length(user_id) between 1 and 2",
        "((status IS NOT NULL) AND (user_id IN ('a', 'b')) AND (length(user_id) BETWEEN 1 AND 2))",
    ),
    (
        "user_id not in ('a') or user_id not between 'a' and 'b'",
        "((NOT (user_id IN ('a'))) OR (NOT (user_id BETWEEN 'a' AND 'b')))",
    ),
    ("case when status = 'a' then 1 else 2 end = 1", "(CASE  WHEN ((status = 'a')) THEN (1) ELSE 2 END = 1)"),
    ("case status when 'a' then true end", "CASE  WHEN ((status = 'a')) THEN (true) ELSE NULL END"),
    ("try(cast(status as int) = 1)", "TRY((CAST(status AS INTEGER) = 1))"),
    ("try_cast(status as double) > 1.5", "(TRY_CAST(status AS DOUBLE) > 1.5)"),
    ("status::numeric(10, 2) > .5", "(CAST(status AS DECIMAL(10, 2)) > 0.5)"),
    (
        "coalesce(status, 'x') = 'x' and ifnull(status, 'y') = 'y' and nullif(status, 'a') is null",
        "((COALESCE(status, 'x') = 'x') AND (COALESCE(status, 'y') = 'y') AND (\"nullif\"(status, 'a') IS NULL))",
    ),
    (
        "status is distinct from 'x' and status is not distinct from 'y'",
        "((status IS DISTINCT FROM 'x') AND (status IS NOT DISTINCT FROM 'y'))",
    ),
    ("(status = 'a') is true", "(CAST((status = 'a') AS BOOLEAN) IS NOT DISTINCT FROM true)"),
    (
        "status like 'x%' and status not like '%y' and status ilike 'Z_'",
        "((status ~~ 'x%') AND (status !~~ '%y') AND (status ~~* 'Z_'))",
    ),
    ("status like '10!%' escape '!'", "like_escape(status, '10!%', '!')"),
    ("status not ilike '10!%' escape '!'", "(NOT ilike_escape(status, '10!%', '!'))"),
    ("status glob 'a*'", "(status ~~~ 'a*')"),
    (
        "status ~ 'b' and status !~ 'c' and status similar to 'd.*'",
        "(regexp_matches(status, 'b') AND (NOT regexp_matches(status, 'c')) AND regexp_full_match(status, 'd.*'))",
    ),
    ("regexp_matches(user_id, '^svc-', 'i')", "regexp_matches(user_id, '^svc-', 'i')"),
    ("regexp_extract(user_id, 'a(.)', 1) = 'x'", "(regexp_extract(user_id, 'a(.)', 1) = 'x')"),
    (
        "starts_with(user_id, 's') and ends_with(user_id, 'x') and user_id ^@ 's'",
        "(starts_with(user_id, 's') AND ends_with(user_id, 'x') AND starts_with(user_id, 's'))",
    ),
    (
        "lower(trim(status)) = 'a' and ucase(status) = 'A'",
        "((lower(\"trim\"(status)) = 'a') AND (upper(status) = 'A'))",
    ),
    ("substr(resource, 2, 3) = 'abc'", '("substring"("resource", 2, 3) = \'abc\')'),
    (
        "left(resource, 1) = 'a' or right(resource, 1) = 'b'",
        '(("left"("resource", 1) = \'a\') OR ("right"("resource", 1) = \'b\'))',
    ),
    (
        "position('x' in status) = 1 and instr(status, 'x') = 1 and strpos(status, 'x') = 1",
        "((strpos(status, 'x') = 1) AND (strpos(status, 'x') = 1) AND (strpos(status, 'x') = 1))",
    ),
    ("split_part(resource, '/', 2) = 'secrets'", "(split_part(\"resource\", '/', 2) = 'secrets')"),
    (
        "string_split(resource, '/')[1] = 's3:' and len(string_split(resource, '/')) > 2",
        "((string_split(\"resource\", '/')[1] = 's3:') AND (length(string_split(\"resource\", '/')) > 2))",
    ),
    (
        "list_contains(['a', 'b'], status) and status in ['a', 'c']",
        "(list_contains(list_value('a', 'b'), status) AND contains(list_value('a', 'c'), status))",
    ),
    (
        "list_has_any(string_split(resource, '/'), ['secret', 'key'])",
        "(string_split(\"resource\", '/') && list_value('secret', 'key'))",
    ),
    (
        "status || '-' || user_id = 'a-b' and concat_ws('-', status, user_id) = 'a-b'",
        "((((status || '-') || user_id) = 'a-b') AND (concat_ws('-', status, user_id) = 'a-b'))",
    ),
    ("details ->> '$.userIdentity.type' = 'Root'", "((details ->> '$.userIdentity.type') = 'Root')"),
    (
        "details ->> 'a b' = 'x' and details ->> 'ä' = 'y'",
        "(((details ->> '$.\"a b\"') = 'x') AND ((details ->> '$.\"ä\"') = 'y'))",
    ),
    ("json_extract_string(details, '$.a[0].b') = 'x'", "((details ->> '$.a[0].b') = 'x')"),
    (
        "(details -> '$.a') = '1' and (details -> 0) is null",
        "(((details -> '$.a') = '1') AND ((details -> '$[0]') IS NULL))",
    ),
    ("(json_extract(details, '$.a'))::int > 4", "(CAST((details -> '$.a') AS INTEGER) > 4)"),
    (
        "json_type(details, '$.a') = 'VARCHAR' and json_exists(details, 'a')",
        "((json_type(details, '$.a') = 'VARCHAR') AND json_exists(details, '$.a'))",
    ),
    ("json_array_length(details, 'b') > 1", "(json_array_length(details, '$.b') > 1)"),
    (
        "json_contains(details, '{\"a\": 1}') and json_valid(details)",
        "(json_contains(details, '{\"a\": 1}') AND json_valid(details))",
    ),
    (
        "hour(timestamp) not between 7 and 18 or isodow(timestamp) > 5",
        '((NOT ("hour"("timestamp") BETWEEN 7 AND 18)) OR (isodow("timestamp") > 5))',
    ),
    ("metadata ->> '$.country' not in ('NL', 'DE')", "(NOT ((metadata ->> '$.country') IN ('NL', 'DE')))"),
    ("extract(hour from timestamp) not between 8 and 18", "(NOT (date_part('hour', \"timestamp\") BETWEEN 8 AND 18))"),
    (
        "dayofweek(timestamp) in (0, 6) or dayname(timestamp) = 'Sunday' or isodow(timestamp) > 5",
        '((dayofweek("timestamp") IN (0, 6)) OR (dayname("timestamp") = \'Sunday\') OR (isodow("timestamp") > 5))',
    ),
    (
        "date_part('HOUR', timestamp) = 3 and date_trunc('DAY', timestamp) = timestamp",
        '((date_part(\'hour\', "timestamp") = 3) AND (date_trunc(\'day\', "timestamp") = "timestamp"))',
    ),
    (
        "event_date >= date '2026-01-01' and timestamp::date = event_date",
        "((event_date >= CAST('2026-01-01' AS DATE)) AND (CAST(\"timestamp\" AS DATE) = event_date))",
    ),
    ("timestamp < '2027-01-01'", "(\"timestamp\" < '2027-01-01')"),
    (
        "timestamp > timestamptz '2026-01-01 00:00:00+00'",
        "(\"timestamp\" > CAST('2026-01-01 00:00:00+00' AS TIMESTAMP WITH TIME ZONE))",
    ),
    (
        "ingested_at - timestamp > interval 3 day",
        '((ingested_at - "timestamp") > to_days(CAST(trunc(CAST(3 AS DOUBLE)) AS INTEGER)))',
    ),
    ("datediff('hour', timestamp, ingested_at) > 3", "(date_diff('hour', \"timestamp\", ingested_at) > 3)"),
    ("timestamp + to_hours(1) > ingested_at", '(("timestamp" + to_hours(1)) > ingested_at)'),
    (
        "year(timestamp) = 2026 and epoch_ms(timestamp) > 0",
        '(("year"("timestamp") = 2026) AND (epoch_ms("timestamp") > 0))',
    ),
    (
        "length(user_id) % 2 = 0 and mod(length(user_id), 3) = 1",
        "(((length(user_id) % 2) = 0) AND ((length(user_id) % 3) = 1))",
    ),
    (
        "-length(status) + 2 * 3 - 1 < 10 / 4 and +1 = 1 and 7 // 2 = 3",
        "(((((-(length(status))) + (2 * 3)) - 1) < (10 / 4)) AND (1 = 1) AND ((7 // 2) = 3))",
    ),
    (
        "abs(-1) = 1 and round(1.5) = 2 and ceiling(1.2) = 2 and greatest(1, 2) = 2",
        "((abs(-1) = 1) AND (round(1.5) = 2) AND (ceil(1.2) = 2) AND (greatest(1, 2) = 2))",
    ),
    (
        "1_000 = 1000 and 1e3 = 1000 and 123456789012345678901234567890 > 1",
        "((1000 = 1000) AND (1e3 = 1000) AND (123456789012345678901234567890 > 1))",
    ),
    ("md5(status) = 'x' or sha256(status) = 'y'", "((md5(status) = 'x') OR (sha256(status) = 'y'))"),
    ("true", "true"),
    ("status = 'ünïcödé 🚨 \"quoted\" -- /* ; $1 ?'", "(status = 'ünïcödé 🚨 \"quoted\" -- /* ; $1 ?')"),
]


@pytest.mark.parametrize(("text", "normalised"), ACCEPTED, ids=[text for text, _ in ACCEPTED])
def test_accepted(text: str, normalised: str) -> None:
    """What is accepted comes back in DuckDB's spelling, which stays as it is when it is checked again."""
    assert check_condition(text) == normalised
    assert check_condition(normalised) == normalised


_DETAILS = (
    '{"a": 1}',
    '{"a": "x", "b": [1, 2], "a b": "x", "ä": "y"}',
    '{"a": [{"b": "x"}], "userIdentity": {"type": "Root"}}',
    "[1]",
    "no json",
    None,
)


@pytest.fixture(scope="module")
def events() -> duckdb.DuckDBPyConnection:
    """A few hundred events of every shape that the accepted conditions ask about."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    fields = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    connection.execute(f"create table events ({fields})")
    texts = ("a", "ab", "x", "xay", "10%", "Zy", "svc-xyx", "-", "2.5", "s3://secrets/key/secrets", "bcd", None)
    times = ("2026-01-01 00:00:00+00", "2026-11-22 08:15:00+00", "2025-03-04 03:00:00+00", None)
    rows = [
        (text, texts[-1 - n], times[n % 4], times[(n // 4) % 4], _DETAILS[(n + m) % 6])
        for n, text in enumerate(texts)
        for m in range(6)
    ]
    connection.executemany(
        "insert into events (status, user_id, resource, timestamp, ingested_at, event_date, details) "
        "values ($1, $2, $1, $3, $4, cast($3 as timestamptz)::date, $5)",
        rows,
    )
    return connection


@pytest.mark.parametrize("text", [text for text, _ in ACCEPTED])
def test_meaning_is_kept(text: str, events: duckdb.DuckDBPyConnection) -> None:
    """The condition as written, as normalised and as a tree finds the same events."""
    spellings = (text, check_condition(text), condition_tree(text).sql(dialect="duckdb"))
    found = [events.execute(f"select try({spelling}) from events order by rowid").fetchall() for spelling in spellings]

    assert found[0] == found[1] == found[2]


def test_functions_are_steady() -> None:
    """Every function that is allowed is scalar, and the same arguments always give the same value."""
    query = "select function_name, function_type, stability from duckdb_functions()"
    known = {}
    for name, kind, stability in duckdb.connect().execute(query).fetchall():
        known.setdefault(name, set()).add((kind, stability))

    assert {name for name in FUNCTIONS if known[name] != {("scalar", "CONSISTENT")}} == {"nullif", "split_part"}
    assert known["nullif"] == known["split_part"] == {("macro", None)}


def _ast(condition: str) -> object:
    with duckdb.connect() as connection:
        query = f"select 1 from events where {condition}"
        ((text,),) = connection.execute("select json_serialize_sql($1)", [query]).fetchall()

    def without_places(value: object) -> object:
        if isinstance(value, dict):
            return {key: without_places(item) for key, item in value.items() if not key.startswith("query_location")}
        return [without_places(item) for item in value] if isinstance(value, list) else value

    return without_places(json.loads(text))


def _differences(left: object, right: object) -> list[tuple[object, object]]:
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        return [pair for key in left for pair in _differences(left[key], right[key])]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [pair for items in zip(left, right, strict=True) for pair in _differences(*items)]
    return [] if left == right else [(left, right)]


_BIDI = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_VALUES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=_BIDI) | st.sampled_from("\t\n\r"))
_NASTY = st.lists(st.sampled_from(["'", "''", "\\", "--", "/*", "*/", ";", ") or (", '"', "$$", "{{", "%", "E'"])).map(
    "".join
)


@settings(deadline=None, max_examples=10)
@given(_VALUES | _NASTY)
def test_a_literal_is_only_a_literal(value: str) -> None:
    """Whatever a string holds, it changes one constant of the condition and nothing else."""
    quoted = value.replace("'", "''")
    template = "status = '{}' and (user_id like 'svc-%' or action is null)"
    normalised = check_condition(template.format(quoted))
    harmless = check_condition(template.format("harmless"))
    written = condition_tree(normalised).sql(dialect="duckdb")

    expected = [("harmless", value)] if value != "harmless" else []
    assert _differences(_ast(harmless), _ast(normalised)) == expected
    assert _differences(_ast(condition_tree(harmless).sql(dialect="duckdb")), _ast(written)) == expected


@settings(deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from("status ( ) ' = or and -- ; select 'a' 1 -> , [ ]".split())).map(" ".join)
)
def test_nothing_else_than_condition_errors(text: str) -> None:
    """Any text is either accepted for good or refused as a condition."""
    try:
        normalised = check_condition(text)
    except ConditionError as error:
        assert "\n" not in str(error)
        assert error.offset is None or 0 <= error.offset <= len(text)
    else:
        assert check_condition(normalised) == normalised


def test_tree_is_the_callers_own() -> None:
    """Changing a tree changes nothing for the next caller."""
    condition_tree("status = 'a'").this.set("expression", None)

    assert condition_tree("status = 'a'").sql(dialect="duckdb") == "(status = 'a')"


def test_threads() -> None:
    """Many threads can check conditions at the same time."""
    results: list[str] = []

    def check(number: int) -> None:
        results.extend(check_condition(f"status = 'thread {number} {n}'") for n in range(20))

    threads = [threading.Thread(target=check, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == sorted(f"(status = 'thread {number} {n}')" for number in range(8) for n in range(20))
