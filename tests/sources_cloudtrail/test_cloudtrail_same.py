"""The mapping of CloudTrail and the statement that it takes the place of say the same of every record."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from auditlake.engine.duck import connect, without
from auditlake.engine.statements import statement
from auditlake.sources.catalog import built_in
from auditlake.sources.mappings.statement import functions
from tests.sources_cloudtrail.mapping import ROOT, real_files, records
from tests.sources_cloudtrail.test_cloudtrail_hostile import FULL, HOSTILE, places, put
from tests.sources_cloudtrail.test_cloudtrail_rules import CASES, INSIGHT, SERVICE_EVENT, event, lookup, signed_in

COLUMNS = (
    "record", "event_id", "event_type", "timestamp", "user_id", "action", "resource", "status", "details", "metadata",
    "session_id", "ip_address", "reason",
)  # fmt: skip


def reason_before(reason: str | None) -> str | None:
    """A reason in the words of the statement."""
    if reason and reason.startswith("the record inside "):
        what, _, field = reason.removeprefix("the record inside ").partition(": ")
        return f"{field} {what}"
    return reason


def both(texts: list[str]) -> Iterator[tuple[str, tuple[Any, ...], tuple[Any, ...]]]:
    """Each text with the row of the statement and that of the mapping; of a refused one only details and reason."""
    with connect(exact_try=False) as con:
        con.execute(statement("ingest/numbers.sql", "inner_numbers_as_they_are").text)
        for macro in functions():
            con.execute(macro)
        con.execute("create temp table records as select unnest(range(len($1))) as record, unnest($1) as text", [texts])
        old = (ROOT / "sql" / "sources" / "cloudtrail.sql").read_text(encoding="utf-8").strip().removesuffix(";")
        found = []
        with without(con, "filter_pushdown", "common_subexpressions"):
            for sql in (old, built_in()["cloudtrail"].sql):
                con.execute(f"create or replace temp view mapped as {sql}")
                found.append(con.execute(f"select {', '.join(COLUMNS)} from mapped order by record").fetchall())
    assert len(found[0]) == len(found[1]) == len(texts)
    for text, before, now in zip(texts, *found, strict=True):
        now = (*now[:-1], reason_before(now[-1]))
        yield text, *(row if before[-1] is None else (row[0], row[8], row[12]) for row in (before, now))


def check(texts: list[str]) -> int:
    differing = [(text, before, now) for text, before, now in both(texts) if before != now]
    for text, before, now in differing[:5]:
        print(text[:1500])
        print(*((a, b) for a, b in zip(before, now, strict=True) if a != b), sep="\n")
    assert not differing, len(differing)
    return len(texts)


@pytest.mark.skipif(not real_files(), reason="the real data is not on this machine")
def test_real() -> None:
    """Of all real records."""
    assert check([json.dumps(record) for path in real_files() for record in records(path)]) > 1700


def test_cases() -> None:
    """Of all cases, and of each of them in an envelope."""
    given = [case.given for case in CASES]
    check([json.dumps(each) for each in given])
    check([json.dumps(lookup(each)) for each in given])


def test_any_value_anywhere() -> None:
    """Of a full event with each hostile value in each place."""
    check([json.dumps(put(FULL, path, value)) for path in places(FULL) for value in HOSTILE])


ODD = [
    *HOSTILE[:30], "1e400", '{"a":1e400}', "123456789012345678901234567890", "\u0000x", "[", "{", "yes", "no", "true",
    "192.0.2.1:80", "[::1]:443", "192.0.2.1, 10.0.0.1", "::ffff:192.0.2.1", "2001:db8::1", "Success", "failure",
    "AwsCloudTrailInsight", "AwsServiceEvent", "Insight", "Data", "IdentityCenterUser", "s3.amazonaws.com", ".amazonaws.com",
    "AccessDenied", "ASIAX",
]  # fmt: skip
NUMBERS = ("1e400", "-0", "1.10", "123456789012345678901234567890", "1e2", "0.1", "-1E-5", "9007199254740993")


def hostile(of: list[dict[str, Any]], seed: int, number: int) -> list[str]:
    """Records with some of their values replaced, some of them in envelopes, some of these broken."""
    dice = random.Random(seed)  # noqa: S311
    texts = []
    for _ in range(number):
        record = json.loads(json.dumps(dice.choice(of)))
        for _ in range(dice.randint(1, 4)):
            path = dice.choice([*places(record)] or [("x",)])
            if dice.random() < 0.2:
                path = (*path[:-1], dice.choice(("eventTime", "eventName", "CloudTrailEvent", "EventId", "EventTime")))
            odd = dice.choice([*ODD, f"NUMBER{dice.randrange(len(NUMBERS))}"])
            with suppress(TypeError, IndexError):
                record = put(record, path, odd)
        text = json.dumps(record, ensure_ascii=dice.random() < 0.5)
        for i, digits in enumerate(NUMBERS):
            text = text.replace(f'"NUMBER{i}"', digits)
        if dice.random() < 0.4:
            inner = text
            if dice.random() < 0.5:
                at = dice.randrange(len(inner))
                broken = dice.choice(["", '"', "{", "]", ",", "NaN", "\\", '"a":1,"a":2,'])
                inner = inner[:at] + broken + inner[at + dice.randint(0, 2) :]
            outer = lookup(inner)
            for key in (*outer, "eventName"):
                if dice.random() < 0.1:
                    outer[key] = dice.choice(ODD)
            text = json.dumps(outer)
        texts.append(text)
    return texts


@pytest.mark.parametrize("seed", range(4))
def test_hostile(seed: int) -> None:
    """Of records with odd values, numbers and envelopes."""
    of = [FULL, INSIGHT, SERVICE_EVENT, event(), signed_in("Failure"), *(case.given for case in CASES)]
    of += [record for path in real_files() for record in records(path)][::7]
    check(hostile(of, seed, 2000))
