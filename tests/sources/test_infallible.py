"""What of a mapping needs no TRY, and patterns over the action: both only change how fast a statement is."""

from __future__ import annotations

import re
from itertools import product

import pytest

from auditlake.engine.expression_gate import closed_connection
from auditlake.engine.sql_text import literal
from auditlake.sources.mappings.infallible import never_fails
from auditlake.sources.mappings.loader import _any_pattern, _gate_of
from auditlake.sources.mappings.names import Scope
from auditlake.sources.mappings.statement import ACTION, cases, functions

SAFE = [
    "a.b = 'x' and not c in ('a', 'b')",
    "case when lower(a) = 'x' then b else 'c' end",
    "code >= 400 or code <> 5",
    "coalesce(a, nullif(b, ''), '-') || '/' || concat_ws('/', a, text_of(b, c))",
    "a like 'x%' or contains(b, 'y') or regexp_matches(c, '^z')",
    "a is not null and b is null and c = true",
    "case when a = 'x' then b end",
    "case when a = '1' then 99999999999 else 0 end",
    "coalesce(nullif(a, null), b) = null",
    "address(a) is null or ip_address(b) = '::1'",
    "trim(a) || (try_cast(b as json) ->> '$.b')",
]
CAN_FAIL = [
    "cast(a as integer) > 5",
    "a::boolean or b = 'x'",
    "case when cast(a as integer) = 1 then 'x' end",
    "coalesce(b, cast(cast(a as integer) as varchar))",
    "lower(a) || cast(cast(b as date) as varchar)",
    "json_extract_string(a, '$.b') = 'x'",
    "(a ->> '$.b') = 'x'",
    "cast(a as json) ->> '$.b'",
    "length(a) - 5 > 0",
    "case when a = 'x' then 99999999999 else 0.00000000000000000000000000000000001 end",
    "case when a = 'x' then 99999999999 end in (0.00000000000000000000000000000000001, 2)",
]
ODD = [None, "", "x", "true", "500", "1e400", "-1", "nan", "{", "[1]", '{"b":1}', "::1", "10.0.0.1:443", "é\n", "%*\\"]


@pytest.mark.parametrize("expression", SAFE)
def test_what_never_fails_gives_the_same_without_try(expression: str) -> None:
    """Whatever stands in the columns, an expression that counts as safe has the value that it has in a TRY."""
    scope = Scope()
    found = _gate_of(scope).check(expression)
    columns = list(scope.places["p"].values())
    assert never_fails(found.node, scope.columns)
    values = ", ".join(f"cast(v[{i}] as varchar) as {name}" for i, name in enumerate(columns, 1))
    rows = [list(row) for row in product(ODD, repeat=len(columns))]
    query = f"select {found.spelling}, try({found.spelling}) from (select {values} from (select unnest($rows) as v))"
    with closed_connection(functions()).cursor() as cursor:
        for plain, tried in cursor.execute(query, {"rows": rows}).fetchall():
            assert plain == tried


@pytest.mark.parametrize("expression", CAN_FAIL)
def test_what_can_fail_keeps_its_try(expression: str) -> None:
    """An expression of which some record makes an error does not count as safe."""
    scope = Scope()
    assert not never_fails(_gate_of(scope).check(expression).node, scope.columns)


def test_patterns_that_are_looked_for_together() -> None:
    """The first value whose pattern is there, as without the look for any of them; odd patterns stand by themselves."""
    patterns = ["^a", "b|c", "(?i)D", "'", "e", "(?P<x>f)", "f", "", "g"]
    choices = [(f"regexp_matches(v, {literal(each)})", literal(f"{i}")) for i, each in enumerate(patterns)]
    choices[4] = ("v = 'e'", "'4'")
    plain = " ".join(f"when {condition} then {value}" for condition, value in choices)
    guarded = cases(choices)
    texts = [None, "", "a", "xa", "B", "c", "xD", "d", "it's", "e", "f", "g", "zz"]
    with closed_connection(functions()).cursor() as cursor:
        query = f"select {guarded}, case {plain} end from (select unnest($texts) as v)"
        assert all(each == expected for each, expected in cursor.execute(query, {"texts": texts}).fetchall())
    assert guarded.count("case") == 3
    assert cases(choices[:2]).count("case") == 1


def test_the_first_text_of_many_fields() -> None:
    """Many fields have a column for the first of them that is a text, with the value that text_of gives them."""
    scope = Scope()
    few, many = (_gate_of(scope).check(f"text_of({fields})") for fields in ("a, b", "a, b, c, d, e"))
    assert (few.spelling[:8].lower(), many.spelling) == ("coalesce", "first_text_1")
    odd = [None, "", "x", "{", '["y"]']
    rows = [list(row) for row in product(odd, repeat=3)]
    query = """
        select text_of_first(coalesce(v[1], v[2], v[3]), v), coalesce(text_of(v[1]), text_of(v[2]), text_of(v[3]))
        from (select unnest($rows) as v)"""
    with closed_connection(functions()).cursor() as cursor:
        assert all(each == expected for each, expected in cursor.execute(query, {"rows": rows}).fetchall())


PATTERNS = ["*", "a*", "*b", "*a*", "a*b", "*a", "a.b", "a.*b*", "**", "*.c*"]
ACTIONS = ["", "a", "b", "ab", "axb", "a.b", "aXb", "xa", "a\nb", "b.c", "A", "a.xb.c"]


@pytest.mark.parametrize("some", [*([each] for each in PATTERNS), PATTERNS[3:6], PATTERNS[4:], ["a", "b", "*x*"]])
def test_a_star_is_any_run_of_characters(some: list[str]) -> None:
    """Patterns meet the same actions as the regular expression that they stand for."""
    condition = _any_pattern(tuple(some))
    query = f"select {ACTION}, {condition} from (select unnest($actions) as {ACTION})"
    with closed_connection(functions()).cursor() as cursor:
        met = dict(cursor.execute(query, {"actions": [*ACTIONS, None]}).fetchall())
    regular = "|".join(".*".join(map(re.escape, pattern.split("*"))) for pattern in some)
    expected = {action: re.fullmatch(regular, action, re.DOTALL) is not None for action in ACTIONS}
    assert met == {**expected, None: None}


def test_patterns_that_are_too_large_together() -> None:
    """Where several patterns do not make one, each is looked for by itself."""
    patterns = [rf"(?i)x{number}[[:alpha:]]{{200}}\pL{{200}}z" for number in range(3)]
    choices = [(f"regexp_matches(v, {literal(each)})", literal(f"{i}")) for i, each in enumerate(patterns)]
    with closed_connection(()).cursor() as cursor:
        found = cursor.execute(f"select {cases(choices)} from (values (?)) as t (v)", [f"X1{'a' * 400}z"])
        assert found.fetchall() == [("1",)]
