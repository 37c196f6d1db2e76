"""What a policy's ``where`` may not be: named cases, each with the place and the message."""

from __future__ import annotations

import pytest

from auditlake.policies.condition import ConditionError, check_condition, condition_tree

_TOO_LONG = "a condition has at most 16,000 characters, got 16,011"
_SUBQUERY = "a subquery is not allowed; write a list of values as IN ('a', 'b')"
_ONE = "a condition is one expression; no other clause or statement may follow it"
_ARROW = "-> binds more loosely than ->>, = and AND; put it in parentheses, as in (details -> '$.a')"


def _unsteady(name: str) -> str:
    return f"{name} is not allowed: a condition may not depend on the clock, on chance or on settings"


def _function(name: str) -> str:
    return f"the function {name}() is not allowed in a condition"


def _cast(name: str) -> str:
    return f"a cast to {name} is not allowed; use a plain type, such as DATE or DECIMAL(18, 3)"


# name: (condition, character at which it is refused, message)
REFUSED: dict[str, tuple[str, int | None, str]] = {
    "an empty text": ("", None, "the condition is empty"),
    "blanks alone": (" \n ", None, "the condition is empty"),
    "too long a text": ("status = '" + "x" * 16_000 + "'", None, _TOO_LONG),
    "nested too deep": ("not " * 20 + "true", None, "the condition is nested more than 16 deep"),
    "brackets too deep": ("(" * 40 + "true" + ")" * 40, 32, "brackets are nested more than 32 deep"),
    "a bracket that closes the where": ("1=1) or (1=1", 3, "')' closes nothing"),
    "a bracket too many": ("status = 'a')", 12, "')' closes nothing"),
    "a bracket too few": ("(status = 'a'", 0, "'(' is never closed"),
    "brackets that cross": ("([status)]", 8, "')' closes nothing"),
    "a string without an end": ("status = 'a", 9, "a string that begins here has no end"),
    "an identifier without an end": ('status = "a', 9, "a string that begins here has no end"),
    "a line comment": ("status = 'a' -- or not", 13, "a comment is not allowed in a condition"),
    "a line comment at the start": ("-- x\nstatus = 'a'", 0, "a comment is not allowed in a condition"),
    "a block comment": ("status /* x */ = 'a'", 7, "a comment is not allowed in a condition"),
    "a block comment without an end": ("status = 'a' /*", 13, "a comment is not allowed in a condition"),
    "a second statement": ("1=1; drop table events", 3, "';' is not allowed outside a string"),
    "a trailing semicolon": ("status = 'a';", 12, "';' is not allowed outside a string"),
    "a positional parameter": ("status = ?", 9, "a parameter (?) is not allowed; write the value"),
    "a numbered parameter": ("status = $1", 9, "a parameter ($) is not allowed; write the value"),
    "a named parameter": ("status = $name", 9, "a parameter ($) is not allowed; write the value"),
    "a dollar-quoted string": ("status = $$a$$", 9, "a parameter ($) is not allowed; write the value"),
    "a column by number": ("#1 = 'a'", 0, "a parameter (#) is not allowed; write the value"),
    "an escape string": ("status = E'a\\'b'", 9, "write a string as '…', without a letter before it"),
    "a hexadecimal string": ("status = X'41'", 9, "write a string as '…', without a letter before it"),
    "a backslash": ("status = \\ 'a'", 9, "'\\\\' is not allowed outside a string"),
    "a struct": ("{'a': 1} is null", 0, "'{' is not allowed outside a string"),
    "typographic quotes": ("status = \u2019a\u2019", 9, "'\u2019' is not allowed outside a string"),
    "a letter that looks like another": ("\u0455tatus = 'a'", 0, "'\u0455' is not allowed outside a string"),
    "a full-width letter": ("\uff53tatus = 'a'", 0, "'\uff53' is not allowed outside a string"),
    "a no-break space": ("status\xa0= 'a'", 6, "'\\xa0' is not allowed outside a string"),
    "a zero-width space": ("sta\u200btus = 'a'", 3, "'\\u200b' is not allowed outside a string"),
    "a right-to-left override in a string": (
        "status = 'a\u202eb'",
        11,
        "the invisible character U+202E is not allowed",
    ),
    "a NUL": ("status = 'a\x00b'", 11, "the invisible character U+0000 is not allowed"),
    "a control character": ("status = 'a\x1bb'", 11, "the invisible character U+001B is not allowed"),
    "a lone surrogate": ("status = '\ud800'", 10, "the invisible character U+D800 is not allowed"),
    "GROUP BY": ("1=1 group by status", None, _ONE),
    "HAVING": ("1=1 having true", None, _ONE),
    "ORDER BY": ("1=1 order by status", None, _ONE),
    "LIMIT": ("1=1 limit 1", None, _ONE),
    "QUALIFY": ("1=1 qualify true", None, _ONE),
    "SAMPLE": ("1=1 using sample 1", None, _ONE),
    "UNION": ("1=1 union select 1", None, _ONE),
    "UNION ALL": ("1=1 union all from events", None, _ONE),
    "EXCEPT": ("1=1 except from events", None, _ONE),
    "an alias": ("status = 'a' as ok", 13, 'syntax error at or near "as"'),
    "FOR UPDATE": ("1=1 for update", 4, 'syntax error at or near "for"'),
    "a syntax error": ("status = and 'a'", 9, 'syntax error at or near "and"'),
    "an end too soon": ("status =", 7, 'syntax error at or near "="'),
    "two comparisons in a row": (
        "1 < 2 < 3",
        None,
        "Chained comparisons are not supported, use AND to combine comparisons",
    ),
    "EXISTS": ("exists (select 1)", 0, _SUBQUERY),
    "IN with a query": ("user_id in (select user_id from events)", 11, _SUBQUERY),
    "a scalar query": ("status = (select 'a')", 9, _SUBQUERY),
    "IN with a table": ("user_id in (from events)", 11, _SUBQUERY),
    "ANY": ("status = any(['a'])", 0, _SUBQUERY),
    "a query over a file": ("status in (select * from read_text('/etc/passwd'))", 10, _SUBQUERY),
    "a query over query()": ("status in (select * from query('select 1'))", 10, _SUBQUERY),
    "a CTE with COPY": ("status in (with a as (select 1) select * from a)", 10, _SUBQUERY),
    "a window": ("count(*) over () > 1", 0, "WINDOW AGGREGATE is not allowed in a condition"),
    "a rank": ("row_number() over (order by user_id) = 1", 0, "WINDOW ROW NUMBER is not allowed in a condition"),
    "an aggregate": ("count(*) > 1", 0, _function("count_star")),
    "an aggregate over DISTINCT": ("count(distinct user_id) > 1", 0, "count: distinct is not allowed in a condition"),
    "an aggregate with FILTER": ("sum(1) filter (where true) > 1", 0, "sum: filter is not allowed in a condition"),
    "a function over DISTINCT": ("lower(distinct status) = 'a'", 0, "lower: distinct is not allowed in a condition"),
    "a function with ORDER BY": (
        "concat(status order by user_id) = 'a'",
        0,
        "concat may only be called plainly, as concat(…)",
    ),
    "string_agg": ("string_agg(status, ',') = 'a'", 0, _function("string_agg")),
    "a star": ("* = 'a'", 0, "* is not allowed; name one column"),
    "COLUMNS": ("columns('s.*') = 'a'", 0, "* is not allowed; name one column"),
    "a qualified star": ("events.* = 'a'", 0, "* is not allowed; name one column"),
    "a qualified column": ("events.status = 'a'", 0, "write the column alone, not as events.status"),
    "an unknown column": ("statuz = 'a'", 0, "an event has no column 'statuz'; did you mean status?"),
    "an unknown column unlike any": ("nonsense = 'a'", 0, "an event has no column 'nonsense'"),
    "a hidden column": ("batch = 1", 0, "an event has no column 'batch'"),
    "a row id": ("rowid = 1", 0, "an event has no column 'rowid'"),
    "a quoted unknown column": ('"a b" = 1', 0, "an event has no column 'a b'"),
    "a lambda by arrow": ("list_filter([1], x -> x > 1) = [1]", 17, "an event has no column 'x'"),
    "a lambda by name": ("list_filter([1], lambda x: x > 1) = [1]", None, "an event has no column 'x'"),
    "a comprehension": ("[x for x in [1]] = [1]", None, "an event has no column 'x'"),
    "a function of a schema": ("main.lower(status) = 'a'", 0, "lower: schema is not allowed in a condition"),
    "a function of a database": ("system.main.lower(status) = 'a'", 0, "lower: schema is not allowed in a condition"),
    "a method call": ("status.lower() = 'a'", 0, "lower: schema is not allowed in a condition"),
    "a named argument": ("contains(status, needle := 'a')", None, "a named argument (needle) is not allowed"),
    "now": ("timestamp > now()", 12, _unsteady("now")),
    "current_timestamp": ("timestamp > current_timestamp", 12, _unsteady("current_timestamp")),
    "current_date": ("event_date = current_date", 13, _unsteady("current_date")),
    "today": ("event_date = today()", 13, _unsteady("today")),
    "random": ("random() > 0.5", 0, _unsteady("random")),
    "uuid": ("uuid()::varchar = status", 0, _unsteady("uuid")),
    "nextval": ("nextval('s') = 1", 0, _unsteady("nextval")),
    "getvariable": ("getvariable('x') = status", 0, _unsteady("getvariable")),
    "current_setting": ("current_setting('threads') = '1'", 0, _unsteady("current_setting")),
    "version": ("version() = 'x'", 0, _unsteady("version")),
    "current_user": ("user_id = current_user", 10, _unsteady("current_user")),
    "getenv": ("getenv('HOME') = '/root'", 0, _unsteady("getenv")),
    "read_text": ("read_text('/etc/passwd') = 'x'", 0, _function("read_text")),
    "read_blob": ("read_blob('/etc/passwd') is null", 0, _function("read_blob")),
    "query": ("query('select 1') = 'x'", 0, _function("query")),
    "query_table": ("query_table('events') = 'x'", 0, _function("query_table")),
    "glob": ("glob('/*') = 'x'", 0, _function("glob")),
    "age": ("age(timestamp) > to_days(1)", 0, _unsteady("age")),
    "a time zone": ("timestamp at time zone 'Europe/Berlin' > '2026-01-01'", 0, _unsteady("timezone")),
    "repeat": ("repeat(status, 1000000000) = 'x'", 0, _function("repeat")),
    "replace": ("replace(status, 'a', 'aa') = 'x'", 0, _function("replace")),
    "regexp_replace": ("regexp_replace(status, 'a', 'aa') = 'x'", 0, _function("regexp_replace")),
    "lpad": ("lpad(status, 1000000000, 'x') = 'x'", 0, _function("lpad")),
    "format": ("format('{:>1000000000}', status) = 'x'", 0, _function("format")),
    "range": ("len(range(1000000000)) = 1", 4, _function("range")),
    "generate_series": ("generate_series(1, 1000000000) is null", 0, _function("generate_series")),
    "levenshtein": ("levenshtein(status, 'x') = 1", 0, _function("levenshtein")),
    "error": ("error('x') is null", 0, _function("error")),
    "pragma": ("pragma_version() = 'x'", 0, _function("pragma_version")),
    "unnest": ("unnest([1]) = 1", 0, _function("unnest")),
    "a function that does not exist": (
        "lowr(status) = 'a'",
        0,
        "the function lowr() is not allowed in a condition; did you mean lower?",
    ),
    "COLLATE": ("status collate nocase = 'a'", 0, "COLLATE is not allowed; use lower(…) or ILIKE"),
    "DEFAULT": ("status = default", 9, "VALUE DEFAULT is not allowed in a condition"),
    "GROUPING": ("grouping(status) = 1", 0, "GROUPING FUNCTION is not allowed in a condition"),
    "a power": ("2 ^ 64 > 1", 0, "the operator ^ is not allowed in a condition"),
    "bits": ("1 & 1 = 1", 0, "the operator & is not allowed in a condition"),
    "a row": ("(status, user_id) = ('a', 'b')", 0, _function("row")),
    "a slice": ("(string_split(resource, '/'))[1:2] is null", 29, "ARRAY SLICE is not allowed in a condition"),
    "a cast to an unknown type": ("status::mood = 'a'", 6, _cast("mood")),
    "a cast to a type of a schema": ("cast(status as main.integer) = 1", 0, _cast("integer")),
    "a cast to an enum": ("cast(status as enum('a')) = 'a'", 0, _cast("enum(…)")),
    "a cast to a blob": ("status::blob = 'a'", 6, _cast("blob")),
    "a cast to a list": ("status::int[] = [1]", 6, _cast("list(…)")),
    "a cast to a long text": ("status::varchar(10) = 'a'", 6, _cast("varchar(…)")),
    "a pattern from an event": (
        "status like user_id",
        7,
        "the pattern of LIKE must be written out, not taken from an event",
    ),
    "a regular expression from an event": (
        "regexp_matches(status, user_id)",
        0,
        "the pattern of regexp_matches must be written out, not taken from an event",
    ),
    "a regular expression's options from an event": (
        "regexp_matches(status, 'a', user_id)",
        0,
        "the pattern of regexp_matches must be written out, not taken from an event",
    ),
    "a JSON path from an event": (
        "details ->> user_id = 'a'",
        0,
        "a JSON path must be written out, as in details ->> '$.a'",
    ),
    "several JSON paths": (
        "json_extract(details, ['$.a']) is null",
        0,
        "a JSON path must be written out, as in details ->> '$.a'",
    ),
    "a JSON key with a quote": ("details ->> 'a\"b' = 'x'", 0, "write the JSON path 'a\"b' in full, beginning with $"),
    "an arrow without parentheses": ("details -> '$.a' = 'x'", 0, _ARROW),
    "an arrow after AND": ("status = 'a' and details -> '$.a'", 0, _ARROW),
    "an arrow before an arrow": ("(details -> 'a' ->> 'b') = 'x'", 1, _ARROW),
    "a part of a date from an event": (
        "date_part(status, timestamp) = 1",
        0,
        "date_part takes its unit as a string, such as 'hour'",
    ),
    "a text": ("status", None, "a condition must be true or false, but this is VARCHAR"),
    "a number": ("1", None, "a condition must be true or false, but this is INTEGER"),
    "NULL": ("null", None, "a condition must be true or false, but this is NULL"),
    "a list": ("[true]", None, "a condition must be true or false, but this is BOOLEAN[]"),
    "a wrong type": (
        "length(event_date) = 1",
        None,
        "No function matches the given name and argument types 'length(DATE)'",
    ),
    "a wrong number of arguments": (
        "lower(status, status) = 'a'",
        None,
        "No function matches the given name and argument types 'lower(VARCHAR, VARCHAR)'",
    ),
    "a recursive JSON path": (
        "details ->> '$..a' = 'x'",
        None,
        "the condition is valid, but cannot be carried into a query unchanged; write it more simply",
    ),
}


@pytest.mark.parametrize(("text", "offset", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, offset: int | None, message: str) -> None:
    """What is not one plain boolean expression is refused in one line that says what and where."""
    with pytest.raises(ConditionError) as caught:
        check_condition(text)

    assert (caught.value.offset, str(caught.value)) == (offset, message)
    with pytest.raises(ConditionError):
        condition_tree(text)


def test_offset_counts_characters() -> None:
    """Where a mistake is, is counted in characters, also behind letters of several bytes."""
    text = "user_id = 'ñ🚨' and statuz = 'x'"
    with pytest.raises(ConditionError) as caught:
        check_condition(text)

    assert caught.value.offset == text.index("statuz")


@pytest.mark.parametrize(
    ("opening", "middle", "closing"),
    [
        ("not (", "true", ")"),
        ("lower(", "status", ")"),
        ("case when true then ", "true", " end"),
        ("coalesce(", "true", ")"),
        ("try(", "true", ")"),
        ("[", "true", "]"),
    ],
)
def test_depth_is_refused_before_python_gives_up(opening: str, middle: str, closing: str) -> None:
    """The deepest condition that is accepted leaves room on the stack of a caller that is deep already."""

    def deep(levels: int) -> str:
        return f"{opening * levels}{middle}{closing * levels} is not null"

    def from_below(frames: int) -> list[str]:
        return from_below(frames - 1) if frames else [check_condition(deep(levels)) for levels in range(1, 13)]

    assert len(from_below(150)) == 12
    with pytest.raises(ConditionError, match=r"nested more than 16 deep"):
        check_condition(deep(17))
