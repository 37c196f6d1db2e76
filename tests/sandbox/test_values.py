"""Every type of DuckDB comes out of a lake and of the desk as it is, as exact text, or as a refusal."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import auditlake
from auditlake.cli.export import _WRITERS, Form
from auditlake.errors import QueryError
from auditlake.sandbox.session import AuditSession

MOST = 2**128 - 1
EXACT: dict[str, Any] = {
    f"{MOST}::uhugeint": str(MOST),
    "[5::uhugeint, null]": ["5", None],
    f"{{'a b': 1, 'c': {{'d': {MOST}::uhugeint, 'e': null}}}}": {"a b": 1, "c": {"d": str(MOST), "e": None}},
    f"map {{date '2020-01-01': {MOST}::uhugeint}}": [(date(2020, 1, 1), str(MOST))],
    "[5::uhugeint]::uhugeint[1]": ["5"],
    "row(5::uhugeint, 6)": "(5, 6)",
    "[row(1, 'x')]": [{"element1": 1, "element2": "x"}],
    "{'size': 5::uhugeint}": {"size": "5"},
    "md5_number('x')": "221188521546444818284084528980898927773",
    f"{10**38 - 1}::hugeint": Decimal(10**38 - 1),
    f"-{10**38 - 1}::hugeint": Decimal(1 - 10**38),
    "sum(7)": Decimal(7),
    "18446744073709551615::ubigint": 2**64 - 1,
    "12345678901234567890123456789.123456789::decimal(38, 9)": Decimal("12345678901234567890123456789.123456789"),
    "(repeat('9', 100))::bignum": "9" * 100,
    "(-5)::bignum": "-5",
    "'10101'::bit": "10101",
    "interval '1 year 2 days 4.000001 seconds'": "1 year 2 days 00:00:04.000001",
    "[interval '-1 month']": ["-1 month"],
    "time '23:59:59.999999'": time(23, 59, 59, 999999),
    "'23:59:59.123456789'::time_ns": "23:59:59.123456789",
    "timetz '23:59:59.999999+15:59:59'": "23:59:59.999999+15:59:59",
    "date '0001-01-01'": date(1, 1, 1),
    "timestamptz '9999-12-31 23:59:59.999999Z'": datetime.fromisoformat("9999-12-31T23:59:59.999999+00:00"),
    "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid": "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "'a'::enum('a', 'b''c')": "a",
    "union_value(n := 5)": "5",
    "[union_value(n := 5::uhugeint)]": ["5"],
    "{'a': [1]}::variant": "{'a': [1]}",
    f"{MOST}::uhugeint::variant": str(MOST),
    "'POINT (1 2)'::geometry": "POINT (1 2)",
    "'\\xff\\x00'::blob": b"\xff\x00",
    "map {[1]: {'x': 1}}": [([1], {"x": 1})],
    "null": None,
    "[[1], [2, null], null]": [[1], [2, None], None],
    "'{\"a\": 1.0}'::json": '{"a": 1.0}',
}
"""What is asked, and what it is in Python."""

REFUSED = {
    f"{2**127 - 1}::hugeint": "more than 38 digits",
    f"[{-(10**38)}::hugeint]": "more than 38 digits",
    f"map {{'a': {10**38}::hugeint}}": "more than 38 digits",
    "time '24:00:00'": "24:00:00",
    "{'t': [time '24:00:00']}": "24:00:00",
    "'infinity'::date": "infinity",
    "'-infinity'::timestamp": "infinity",
    "['infinity'::timestamptz]": "infinity",
    "'infinity'::timestamp_s": "infinity",
    "'infinity'::timestamp_ms": "infinity",
    "'infinity'::timestamp_ns": "infinity",
}
"""What Arrow would make another value of."""

ALL = "select " + ", ".join(f"{value} as c{i}" for i, value in enumerate(EXACT))


def test_exact(lake: auditlake.AuditLake, desk: AuditSession) -> None:
    """Rows of a lake and of the desk, in every form, have these values; so do batches, frames and twice-used names."""
    expected = [tuple(EXACT.values())]
    for given in (lake.sql(ALL, snapshot=1), desk.sql(ALL)):
        assert given.fetchall() == expected
        assert given.pl().height == given.arrow().num_rows == 1
        assert given.pl()["c0"].to_list() == [str(MOST)]
        assert list(given.df()["c0"]) == [str(MOST)]
        assert "23:59:59.999999+15:59:59" in given._repr_html_()
    assert list(lake.sql(ALL, snapshot=1).batches()) == [expected]
    twice = 'select 1 as x, $a::uhugeint as x, \'y\' as "a""b" order by 1'
    assert lake.sql(twice, {"a": 5}, snapshot=1).fetchall() == desk.sql(twice, {"a": 5}).fetchall() == [(1, "5", "y")]
    assert lake.sql(twice, {"a": 5}, snapshot=1).arrow().column_names == ["x", "x", 'a"b']


def test_files(desk: AuditSession) -> None:
    """Every form of a file has the same text where the value is text, and is written whatever the type."""
    answer = desk.sql(ALL)
    files = {form: io.BytesIO() for form in _WRITERS}
    for form, write in _WRITERS.items():
        write(answer, Form(form, raw=True), files[form])
    written = {form: file.getvalue() for form, file in files.items()}
    texts = {f"c{i}": value for i, value in enumerate(EXACT.values()) if isinstance(value, str)}

    (row,) = csv.DictReader(io.StringIO(written["csv"].decode()))
    assert {name: row[name] for name in texts} == texts
    (row,) = json.loads(written["json"])["rows"]
    assert {name: row[name] for name in texts} == texts
    assert json.loads(written["jsonl"]) == row
    (row,) = pq.read_table(pa.BufferReader(written["parquet"])).to_pylist()
    assert {name: row[name] for name in texts} == texts
    assert str(MOST).encode() in written["markdown"]


def test_refused(lake: auditlake.AuditLake, desk: AuditSession) -> None:
    """What would be another value is refused with its column and what to do, by a session that goes on."""
    desk.sql("select 1")
    child = desk._child.pid
    for value, what in REFUSED.items():
        query = f"select 1 as one, {value} as odd"
        rows = lake.sql(query, snapshot=1)
        for show in (rows.arrow, rows.fetchall, lambda query=query: desk.sql(query)):
            with pytest.raises(QueryError, match=f"the column 'odd' has .*{what}.*; cast it to varchar"):
                show()
    for show in (rows.pl, rows.df, rows._repr_html_, lambda: list(rows.batches())):
        with pytest.raises(QueryError, match="cast it to varchar"):
            show()
    as_text = f"select {', '.join(f'cast({value} as varchar)' for value in REFUSED)}"
    assert lake.sql(as_text, snapshot=1).fetchall() == desk.sql(as_text).fetchall()

    assert desk._child.pid == child


@pytest.mark.parametrize(
    "value",
    [
        "timestamp_ns '2020-01-01 00:00:00.123456789'",
        "timestamptz '20000-01-01 00:00:00Z'",
        "[date '5877642-06-25 (BC)']",
    ],
)
def test_what_python_has_not(value: str, lake: auditlake.AuditLake, desk: AuditSession) -> None:
    """A value that Python has no place for is told, by name and with what to do, and Arrow has it."""
    query = f"select {value} as x"
    for answer in (lake.sql(query, snapshot=1), desk.sql(query)):
        assert answer.arrow().num_rows == answer.pl().height == 1
        for show in (answer.fetchall, answer._repr_html_):
            with pytest.raises(QueryError, match="Python has not") as failure:
                show()
            assert "varchar" in failure.value.hint
