"""What a mapping may not say, since a line of a log would become gigabytes, or a statement would have no end."""

from __future__ import annotations

import json

import pytest

from auditlake.errors import MappingError
from auditlake.sources.mappings.loader import load_mapping

MAPPING = """\
source: x
match: [a]
timestamp: ts
action: a
event_type: [api_call: true]
"""
TENFOLD = r"\0" * 10


def load(expression: str, rest: str = "") -> str:
    """Return the statement of a mapping with an expression."""
    text = f"{MAPPING}{rest}resource: {json.dumps(expression, ensure_ascii=False)}\n"
    return load_mapping(text, file="x.yaml").statement


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("replace(a, 'x', 'yyy')", "at most twice as long as its pattern"),
        ("replace(a, '', 'y')", "at most twice as long as its pattern"),
        ("replace(a, b, 'y')", "texts that are written out"),
        ("replace(a, 'x', b)", "texts that are written out"),
        ("replace(replace(a, 'x', 'yy'), 'y', 'zz')", "may not be nested in one another"),
        ("upper(regexp_replace(lower(replace(a, 'x', 'y')), 'y', 'z'))", "may not be nested in one another"),
        ("regexp_replace(a, '.', '" + TENFOLD + "', 'g')", "at most twice as long as its pattern"),
        ("regexp_replace(a, '(" + "x" * 80 + "|.*)', '" + TENFOLD * 2 + "')", "21 times as long as a record"),
        ("regexp_replace(a, '(" + "x" * 80 + "|)', '" + "y" * 80 + "', 'g')", "81 times as long as a record"),
        ("regexp_replace(a, 'x', 'y', b)", "texts that are written out"),
        ("array_to_string(string_split(a, ''), '" + "-" * 20 + "')", "21 times as long as a record"),
        ("string_split(string_split(string_split(a, '')::varchar, '')::varchar, '')", "64 times as long as a record"),
        ("||".join("a" * 17), "17 times as long as a record"),
        ("concat_ws(a" + ", b" * 12 + ")", "23 times as long as a record"),
        ("a -> '$..b'", ".. or **"),
        ("json_keys(a, '$.**')", ".. or **"),
        ("case when (a -> '$..b') is null then a end", ".. or **"),
    ],
)
def test_too_long(expression: str, why: str) -> None:
    """A value that could be many times as long as its record, or whose length nothing bounds, is a mistake."""
    with pytest.raises(MappingError) as raised:
        load(expression)

    assert why in raised.value.problems[0]


@pytest.mark.parametrize(
    "expression",
    [
        "replace(a, '.amazonaws.com', '')", "regexp_replace(a, '^arn:[^/]*/(.*)$', '\\1')", "replace(a, 'x', 'yy')",
        "regexp_replace(a, '[^a-z]', '_', 'g')", "array_to_string(string_split(a, ','), '; ')",
        "array_to_string([a, b, c], '/')", "concat_ws('/', a, b, c, d, e, f)", "a -> '$.\"x..y\"'",
        "case " + " ".join(f"when a = '{n}' then b" for n in range(40)) + " else c end",
        ", ".join(f"a{n}" for n in range(40)),
    ],
)  # fmt: skip
def test_long_enough(expression: str) -> None:
    """What mappings of vendors need is allowed."""
    assert load(expression)


def test_names_that_double() -> None:
    """What a name stands for counts wherever it is used, texts of the mapping's own among it."""
    for first in ("a || a", "'xy'"):
        lets = "".join(f"  b{n}: b{n - 1} || b{n - 1}\n" for n in range(1, 9))
        with pytest.raises(MappingError, match="times as long as a record"):
            load("b8", f"let:\n  b0: {first}\n{lets}")


def test_too_much() -> None:
    """A mapping has an end: in how many expressions it has, and in how long all of its values are together."""
    many = "".join(f"  - login: a = '{n}'\n" for n in range(501))
    with pytest.raises(MappingError) as raised:
        load_mapping(MAPPING.replace("[api_call: true]", f"\n{many}"), file="x.yaml", built_in=True)
    assert [problem for problem in raised.value.problems if "at most 500 expressions" in problem]
    assert len(raised.value.problems) == 1

    long = "".join(f"  m{n}: {'||'.join('a' * 10)}\n" for n in range(41))
    with pytest.raises(MappingError, match="more than 400 times as long"):
        load_mapping(f"{MAPPING}metadata:\n{long}", file="x.yaml", built_in=True)


@pytest.mark.parametrize(
    ("function", "more"),
    [("epoch_s", ""), ("ip_address", ""), ("named_value", ", 'x'"), ("parse_time", ", '%Y', '%Y-%m'")],
)
def test_calls_within_calls(function: str, more: str) -> None:
    """Calls of mappings' functions within one another stay as small as they are written."""
    from auditlake.engine.duck import connect
    from auditlake.sources.mappings.statement import functions

    sizes = []
    with connect() as connection:
        connection.execute('create table records (record bigint, "text" varchar)')
        for macro in functions():
            connection.execute(macro)
        for times in (2, 4):
            statement = load(f"{(function + '(') * times}a{(more + ')') * times}")
            sizes.append(len(str(connection.execute(f"explain (format json) {statement}").fetchall())))
    assert sizes[1] < 3 * sizes[0]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("match: [a]", "match: []", "match: expected one field at least"),
        ("match: [a]", "match: 1 = 1", "match: expected a condition that names a field"),
        ("[api_call: true]", "[]", "event_type: expected one type at least"),
        ("[api_call: true]", "[api_call: true]\npersonal: {nobody: '(?=x)y'}", "nobody: not a regular expression"),
        ("[api_call: true]", "[api_call: true]\npersonal: {nobody: 'x)|(?:y'}", "nobody: not a regular expression"),
        ("[api_call: true]", "[api_call: true]\npersonal: {within: [x, '(?<=x)(y)']}", ":24: within: not a regular"),
    ],
)
def test_what_would_do_harm(before: str, after: str, why: str) -> None:
    """A mapping that every record meets is refused, and an expression that erasure, or another source's, fails on."""
    with pytest.raises(MappingError) as raised:
        load_mapping(MAPPING.replace(before, after), file="x.yaml")

    assert why in raised.value.problems[0]
