"""What a rule means: each feature of Sigma's conditions, on records that meet it and records that do not."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
import yaml
from sigma.collection import SigmaCollection

from auditlake.engine.duck import connect
from auditlake.policies.condition import check_condition, condition_tree
from auditlake.sigma.conditions import Converter
from auditlake.sigma.logic import sql_of
from auditlake.sigma.logsources import Fields
from auditlake.sigma.model import RefusedRule
from tests.sigma import oracle

FIELDS = {
    "names": ("$.people[*].name",),
    "either": ("$.first", "$.second"),
    "mixed": ("$.people[*].name", "$.single"),
    "dotted": ('$."a.b"',),
    "lower": ("$.Upper",),
}
PEOPLE = {"people": [{"name": "Ann"}, {"name": "Bob*"}, {"name": None}, {"age": 5}]}

Case = tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]
CASES: dict[str, Case] = {
    # Texts
    "equal": ({"f": "Ab"}, [{"f": "ab"}, {"f": "AB"}], [{"f": "abc"}, {"f": None}, {}, {"g": "ab"}]),
    "empty": ({"f": ""}, [{"f": ""}], [{"f": " "}, {"f": None}, {}]),
    "unseen": ({"f": "a\u202eB"}, [{"f": "A\u202eb"}], [{"f": "ab"}, {"f": "a\u202e"}]),
    "several unseen": ({"f": ["\u202ea", "b\u200e", "c"]}, [{"f": "\u202eA"}, {"f": "B\u200e"}], [{"f": "a"}]),
    "contains unseen": ({"f|contains": "\u202e"}, [{"f": "x\u202ey"}], [{"f": "xy"}, {}]),
    "unseen in a pattern": ({"f|re": "[\u202a-\u202e]x"}, [{"f": "\u202bx"}], [{"f": "x"}, {}]),
    "unseen in a list": ({"names": "a\u202e*"}, [{"people": [{"name": "A\u202ex"}]}], [PEOPLE]),
    "unseen and wildcards": ({"f": "a.\u202e*?d"}, [{"f": "A.\u202e\nxD"}],
        [{"f": "a.\u202ed"}, {"f": "ax\u202exd"}, {}]),
    "cased, unseen, wildcards": ({"f|cased": "a*\u200bd"}, [{"f": "ab\u200bd"}], [{"f": "ab\u200bD"}, {"f": "abd"}]),
    "a space without width": ({"f": "a\u200bb"}, [{"f": "A\u200bB"}], [{"f": "ab"}, {"f": "a b"}]),
    "unseen in an expression": ({"f|re": "x\u200b+\ufeff"}, [{"f": "x\u200b\u200b\ufeff"}], [{"f": "x"}]),
    "quote": ({"f": "it's"}, [{"f": "IT'S"}], [{"f": "its"}]),
    "letters beyond ASCII": ({"f": "ÄÉΣΣ"}, [{"f": "äéσσ"}, {"f": "ÄÉΣΣ"}], [{"f": "aeσσ"}]),
    "cased": ({"f|cased": "Ab"}, [{"f": "Ab"}], [{"f": "ab"}, {}]),
    "cased contains": ({"f|contains|cased": "Ab"}, [{"f": "xAbx"}], [{"f": "xabx"}]),
    "several": ({"f": ["a", "B"]}, [{"f": "A"}, {"f": "b"}], [{"f": "c"}, {}]),
    "many": ({"f": list("abcdefgh")}, [{"f": "H"}], [{"f": "i"}, {"f": None}, {}]),
    # Wildcards
    "at the end": ({"f": "ab*"}, [{"f": "AB"}, {"f": "abc"}], [{"f": "xab"}]),
    "at the start": ({"f": "*ab"}, [{"f": "xAB"}], [{"f": "abx"}]),
    "at both ends": ({"f": "*ab*"}, [{"f": "xABx"}, {"f": "ab"}], [{"f": "a b"}, {}]),
    "inside": ({"f": "a*d"}, [{"f": "Abcd"}, {"f": "ad"}], [{"f": "adx"}, {"f": "bad"}]),
    "inside, over lines": ({"f": "a*d"}, [{"f": "a\nb\nd"}], []),
    "one character": ({"f": "a?c"}, [{"f": "abC"}], [{"f": "ac"}, {"f": "abbc"}]),
    "alone": ({"f": "*"}, [{"f": ""}, {"f": "x"}, {"f": 0}], [{"f": None}, {}]),
    "at least one": ({"f": "?*"}, [{"f": "x"}], [{"f": ""}, {}]),
    "escaped": ({"f": r"a\*"}, [{"f": "A*"}], [{"f": "ab"}]),
    "a backslash": ({"f": r"c:\x\*"}, [{"f": r"C:\x*"}], [{"f": r"c:\x\y"}]),
    "two backslashes": ({"f": r"c:\\*"}, [{"f": "c:\\x"}], [{"f": "c:x"}]),
    "percent and underscore": ({"f": "1%_*_%2"}, [{"f": "1%_x_%2"}], [{"f": "1axxxb2"}]),
    "contains": ({"f|contains": "a%_"}, [{"f": "xA%_x"}], [{"f": "abc"}]),
    "startswith": ({"f|startswith": "ab"}, [{"f": "ABC"}], [{"f": "xab"}]),
    "endswith": ({"f|endswith": "ab"}, [{"f": "xAB"}], [{"f": "abx"}]),
    "contains all": ({"f|contains|all": ["a", "b"]}, [{"f": "b-a"}], [{"f": "a"}]),
    # Nothing
    "null": ({"f": None}, [{"f": None}, {}], [{"f": ""}, {"f": "x"}]),
    "null or a text": ({"f": [None, "x"]}, [{}, {"f": "X"}], [{"f": "y"}]),
    "exists": ({"f|exists": True}, [{"f": None}, {"f": ""}], [{}, {"g": 1}]),
    "does not exist": ({"f|exists": False}, [{}], [{"f": None}, {"f": 1}]),
    "not equal": ({"f|neq": "x"}, [{"f": "y"}, {}, {"f": None}], [{"f": "X"}]),
    "a number not equal": ({"f|neq": 5}, [{"f": 6}, {}], [{"f": 5.0}]),
    # Numbers, truth values
    "number": ({"f": 5}, [{"f": 5}, {"f": "5"}, {"f": 5.0}], [{"f": 55}, {"f": "x"}, {}]),
    "fraction": ({"f": 0.5}, [{"f": 0.5}, {"f": "0.50"}], [{"f": 5}]),
    "large number, as text": ({"f": "9007199254740993"}, [{"f": 9007199254740993}], [{"f": 9007199254740992}]),
    "true": ({"f": True}, [{"f": True}, {"f": "TRUE"}], [{"f": False}, {"f": 1}, {}]),
    "false": ({"f": False}, [{"f": False}, {"f": "false"}], [{"f": None}, {}]),
    "less": ({"f|lt": 10}, [{"f": 9}, {"f": "9.5"}], [{"f": 10}, {"f": "x"}, {}]),
    "at most": ({"f|lte": 10}, [{"f": 10}], [{"f": 11}]),
    "greater": ({"f|gt": 9}, [{"f": 10}, {"f": "100"}], [{"f": 9}, {}]),
    "at least": ({"f|gte": 9.5}, [{"f": 9.5}], [{"f": 9}]),
    # Patterns and addresses
    "expression": ({"f|re": "a.c$"}, [{"f": "xabc"}], [{"f": "ABC"}, {"f": "abcd"}, {}]),
    "expression of any case": ({"f|re|i": "^a+$"}, [{"f": "aA"}], [{"f": "ab"}]),
    "expression over lines": ({"f|re|m": "^b"}, [{"f": "a\nb"}], [{"f": "ab"}]),
    "expression, dot and line": ({"f|re|s": "a.b"}, [{"f": "a\nb"}], [{"f": "ab"}]),
    "network of IPv4": ({"f|cidr": "10.16.0.0/12"}, [{"f": "10.31.0.1"}], [{"f": "10.32.0.1"}, {"f": "10.16.0"}, {}]),
    "network of IPv6": ({"f|cidr": "2001:db8::/33"},
        [{"f": "2001:db8::1"}, {"f": "2001:0DB8:0000:0000:0000:0000:0000:0001"}, {"f": "2001:db8:7fff::1.2.3.4"}],
        [{"f": "2001:db8:8000::1"}, {"f": "2001:db9::"}, {"f": "x"}]),
    # Other fields
    "another field": ({"f|fieldref": "g"}, [{"f": "A", "g": "a"}], [{"f": "a", "g": "b"}, {"f": "a"}, {}]),
    "starts like another": ({"f|fieldref|startswith": "g"}, [{"f": "ABc", "g": "ab"}], [{"f": "cab", "g": "ab"}]),
    "ends like another": ({"f|fieldref|endswith": "g"}, [{"f": "cAB", "g": "ab"}], [{"f": "abc", "g": "ab"}]),
    "contains another": ({"f|fieldref|contains": "g"}, [{"f": "xABx", "g": "ab"}], [{"f": "a", "g": "ab"}, {"f": "a"}]),
    # Encodings
    "base64": ({"f|base64": "ann"}, [{"f": b64encode(b"ann").decode()}], [{"f": "ann"}]),
    "base64offset": ({"f|base64offset|contains": "secret"},
        [{"f": b64encode(b"x" * n + b"secret").decode()} for n in range(3)], [{"f": "secret"}]),
    "wide": ({"f|wide|base64": "ann"}, [{"f": b64encode("ann".encode("utf-16le")).decode()}],
        [{"f": b64encode(b"ann").decode()}]),
    "utf16": ({"f|utf16|base64": "ann"}, [{"f": b64encode("\ufeffann".encode("utf-16le")).decode()}],
        [{"f": b64encode("ann".encode("utf-16le")).decode()}]),
    "windash": ({"f|windash|contains": " -e "}, [{"f": "x /e y"}, {"f": "x -e y"}], [{"f": "x e y"}]),
    # Times
    "hour": ({"f|hour": 8}, [{"f": "2026-11-20T08:59:00Z"}, {"f": "2026-11-20T10:00:00+02:00"}],
        [{"f": "2026-11-20T09:00:00Z"}, {"f": "x"}, {}]),
    "minute": ({"f|minute": 59}, [{"f": "2026-11-20T08:59:00Z"}], [{"f": "2026-11-20T08:58:00Z"}, {}]),
    # Lists
    "element": ({"names": "ann"}, [PEOPLE], [{"people": [{"name": "Ann B"}]}, {"people": []}, {}, {"people": None}]),
    "start of an element": ({"names|startswith": "bob"}, [PEOPLE], [{"people": [{"name": "x"}, {"name": "a bob"}]}]),
    "inside of one element": ({"names": "a*c"}, [{"people": [{"name": "abc"}]}],
        [{"people": [{"name": "a"}, {"name": "c"}]}]),
    "special characters of an element": ({"names": r"bob\*"}, [PEOPLE], [{"people": [{"name": "bobby"}]}]),
    "number in a list": ({"names": 5}, [{"people": [{"name": 5}]}, {"people": [{"name": "5"}]}],
        [{"people": [{"name": 55}]}]),
    "no element": ({"names": None}, [{}, {"people": []}, {"people": [{"name": None}]}], [PEOPLE]),
    "all of a list": ({"names|contains|all": ["an", "ob"]}, [PEOPLE], [{"people": [{"name": "Ann"}]}]),
    "a list or a text": ({"mixed": "ann"}, [PEOPLE, {"single": "ANN"}], [{"single": "x"}]),
    "one of two places": ({"either": "a"}, [{"first": "A"}, {"second": "a"}], [{"first": "b", "second": "a"}, {}]),
    "a key with a dot": ({"dotted": "x"}, [{"a.b": "X"}], [{"a": {"b": "x"}}]),
    "a key of another case": ({"lower": "x"}, [{"Upper": "X"}], [{"upper": "x"}]),
    "keys between dots": ({"a.b-c.d": "x"}, [{"a": {"b-c": {"d": "x"}}}], [{"a": {"b-c": "x"}}]),
}  # fmt: skip
CONDITIONS: dict[str, tuple[str, Case]] = {
    "not": ("not one", ({"one": {"f": "x"}}, [{"f": "y"}, {}, {"f": None}], [{"f": "X"}])),
    "not of a conjunction": ("not one", ({"one": {"f": "x", "g": "y"}}, [{"f": "x"}, {}], [{"f": "x", "g": "y"}])),
    "not not": ("not (not one)", ({"one": {"f": "x"}}, [{"f": "x"}], [{}])),
    "and not": ("one and not two", ({"one": {"f": "x"}, "two": {"g": "y"}}, [{"f": "x"}], [{"f": "x", "g": "y"}, {}])),
    "or not null": ("one or not two", ({"one": {"f": "x"}, "two": {"g": None}}, [{"g": 1}, {"f": "x"}], [{}])),
    "1 of": ("1 of sel*", ({"sel1": {"f": "x"}, "sel2": {"g": "y"}}, [{"g": "y"}], [{"f": "z"}])),
    "all of": ("all of them", ({"sel1": {"f": "x"}, "sel2": {"g": "y"}}, [{"f": "x", "g": "y"}], [{"g": "y"}])),
    "maps in a list": ("one", ({"one": [{"f": "x"}, {"g": "y"}]}, [{"g": "y"}, {"f": "x"}], [{"g": "x"}])),
    "keywords": ("one", ({"one": ["Fail", "c:\\x"]}, [{"g": "it FAILED"}, {"h": {"i": "C:\\X"}}], [{"g": "ok"}])),
    "all keywords": ("one", ({"one": {"|all": ["a1", "b2"]}}, [{"f": "a1", "g": ["B2"]}], [{"f": "a1"}])),
}


def rule_of(detection: dict[str, Any]) -> Any:
    text = yaml.safe_dump({"title": "t", "logsource": {"product": "p"}, "detection": detection})
    return SigmaCollection.from_yaml(text).rules[0]


def sql_for(rule: Any) -> str:
    return sql_of(Converter(Fields("s", FIELDS)).condition_of(rule))


EVERY = {
    **{name: (rule_of({"one": case[0], "condition": "one"}), case) for name, case in CASES.items()},
    **{name: (rule_of({**case[0], "condition": text}), case) for name, (text, case) in CONDITIONS.items()},
}


@pytest.fixture(scope="module")
def connection() -> Any:
    with connect() as opened:
        yield opened


@pytest.mark.parametrize("name", EVERY)
def test_meaning(name: str, connection: Any) -> None:
    """A condition holds for the records that Sigma's rule means, in the gate's own spelling, and for no others."""
    rule, (_, meeting, others) = EVERY[name]
    records = [*meeting, *others]
    condition = sql_for(rule)
    check_condition(condition)
    tree = condition_tree(condition).sql(dialect="duckdb")
    connection.execute("create or replace temp table events as select unnest($d) as details",
                       {"d": [json.dumps(each, ensure_ascii=False) for each in records]})  # fmt: skip
    met = [each for (each,) in connection.execute(f"select coalesce(try({tree}), false) from events").fetchall()]

    assert met == [True] * len(meeting) + [False] * len(others)
    assert met == [oracle.matches(rule, each, FIELDS) for each in records]


REFUSED = {
    "placeholder": ({"f|expand": "%admins%"}, "placeholder %admins%"),
    "expression over a list": ({"names|re": "a"}, "names has several values"),
    "comparison of a list": ({"names|fieldref": "f"}, "cannot be compared"),
    "large number": ({"f": 9007199254740993}, "too large to be exact"),
    "a field that is none": ({'a"b': "x"}, "is not the name of a place in a record"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """What has no condition that means the same is refused with the reason."""
    detection, reason = REFUSED[name]

    with pytest.raises(RefusedRule, match=reason):
        sql_for(rule_of({"one": detection, "condition": "one"}))


@pytest.mark.parametrize("hidden", [*"\u00ad\u200b\u200d\u202e\u2060\u2028\ufe0f\ufeff\U000e0041"])
def test_what_a_reader_would_not_see_is_spelled_out(hidden: str) -> None:
    """A policy's condition shows its number instead."""
    values = {"f": "a{}b", "f|contains": "a*{}b", "f|cased": "a?{}*b", "f|re": "a.*{}b", "names": "{}*"}
    for key, value in values.items():
        condition = sql_for(rule_of({"one": {key: value.format(hidden)}, "condition": "one"}))
        check_condition(condition)
        assert hidden not in condition
        assert f"chr({ord(hidden)})" in condition or f"\\x{{{ord(hidden):x}}}" in condition


def test_plain_paths() -> None:
    """Paths are spelled plainly, many values are one list, and long parts stand on lines of their own."""
    rule = rule_of({"one": {"a.b": ["x", "y"], "c": list("uvwxyz"), "d|contains": "q" * 90}, "condition": "one"})

    assert sql_for(rule).splitlines() == [
        "lower(details ->> '$.a.b') in ('x', 'y')",
        "and list_position(['u', 'v', 'w', 'x', 'y', 'z'], lower(details ->> '$.c')) > 0",
        f"and contains(lower(details ->> '$.d'), '{'q' * 90}')",
    ]
