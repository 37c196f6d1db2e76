"""Lines that the engine makes are those that Python makes of single values, whatever is in them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.cli.cells import cell_text, columns_for, plain_value
from auditlake.display.canonical_json import json_escape
from auditlake.display.csv_lines import csv_line
from auditlake.display.formula_guard import guarded
from auditlake.display.text import UNSEEN
from auditlake.engine.lines import Lines, csv_lines, json_lines
from auditlake.errors import QueryError
from tests.ingest.test_corpora import NAUGHTY

ALPHABET = (
    "'\"=+-@,\\ \t\r\n\x0b\x0c\x1c\x1f\x85\xa0\u1680\u2003\u2028\u3000＝＋－＠aé\x7f\x00\x80\u202e\ufeff😀\U000e0001"
    "\ufffe\uffff\U0010ffff李{}"
)
"""What a cell, a string of JSON or a terminal takes for something else, and some beside it."""
EDGES = [each for code in range(0x3100) for each in (chr(code), f"{chr(code)}x", f"x{chr(code)}")]
TEXTS = st.one_of(st.none(), st.text(ALPHABET, max_size=8), st.text(st.characters(exclude_categories=["Cs"])))


def naughty() -> list[str]:
    """The Big List of Naughty Strings, where it is at hand, without halves of pairs, which no lake has."""
    texts = json.loads(NAUGHTY.read_bytes()) if NAUGHTY.exists() else []
    return [text for text in texts if text.isprintable() or text.encode(errors="replace").decode() == text]


def made(lines: Lines, *columns: pa.Array | Sequence[Any]) -> bytes:
    """The lines of these columns."""
    arrays = [each if isinstance(each, pa.Array) else pa.array(each, pa.string()) for each in columns]
    batch = pa.RecordBatch.from_arrays(arrays, [f"c{i}" for i in range(len(arrays))])
    return b"".join(map(bytes, lines.of([batch])))


def schema(*kinds: pa.DataType) -> pa.Schema:
    """A schema of columns of these types."""
    return pa.schema([(f"c{i}", kind) for i, kind in enumerate(kinds)])


def check_texts(texts: Sequence[str | None]) -> None:
    """Compare every form of a text with what Python makes of it."""
    one, two = schema(pa.string()), schema(pa.string(), pa.string())
    for raw in (False, True):
        for quote_empty in (False, True):
            lines = csv_lines(two, raw=raw, quote_empty=quote_empty)
            expected = "".join(csv_line([text, "x"], raw=raw, quote_empty=quote_empty) for text in texts)
            assert made(lines, texts, ["x"] * len(texts)) == expected.encode()
    assert made(csv_lines(one), texts) == "".join(csv_line([text]) for text in texts).encode()
    written = io.StringIO()
    csv.writer(written).writerows([text and guarded(text), "x"] for text in texts)
    assert made(csv_lines(two, edges=False, end="\r\n"), texts, ["x"] * len(texts)) == written.getvalue().encode()

    objects = "".join(json.dumps({"c0": text}) + "\n" for text in texts)
    assert made(json_lines(one, gap=" "), texts) == objects.encode()
    shown = ("null" if text is None else UNSEEN.sub(lambda match: json_escape(match[0]), text) for text in texts)
    assert made(json_lines(one, own={"c0"}), texts) == "".join(f'{{"c0":{text}}}\n' for text in shown).encode()


@given(texts=st.lists(TEXTS, max_size=20))
@settings(max_examples=6)
def test_texts(texts: list[str | None]) -> None:
    """Guards, quotes and escapes are those of single values."""
    check_texts(texts)
    check_texts(texts * 8)  # what comes so often is made once


def test_texts_that_are_known_for_trouble() -> None:
    """So are those of each character at either edge, and of the naughty strings."""
    check_texts([None, "", *EDGES, *(f"'{each}" for each in EDGES[:600]), *naughty()])


REALS = st.one_of(st.floats(), st.floats(width=32), st.integers(-(10**17), 10**17).map(float))
INSTANTS = st.datetimes(timezones=st.just(UTC))
DECIMALS = st.decimals(-(10**10), 10**10, places=9, allow_nan=False, allow_infinity=False)


@given(
    rows=st.lists(
        st.tuples(
            st.booleans() | st.none(),
            st.integers(-(2**63), 2**63 - 1) | st.none(),
            REALS | st.none(),
            INSTANTS | st.none(),
            st.datetimes() | st.none(),
            st.dates() | st.none(),
            DECIMALS | st.none(),
            st.binary(max_size=4) | st.none(),
            st.lists(st.integers(0, 9), max_size=2) | st.none(),
            st.times() | st.none(),
        ),
        min_size=1,
        max_size=20,
    ),
    often=st.sampled_from([1, 8]),
)
@settings(max_examples=12)
def test_values_of_other_types(rows: list[tuple[Any, ...]], often: int) -> None:
    """Numbers, days, instants and what else an answer may have are spelled as Python spells them."""
    kinds = (
        pa.bool_(), pa.int64(), pa.float64(), pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.date32(),
        pa.decimal128(38, 9), pa.binary(), pa.list_(pa.int64()), pa.time64("us"),
    )  # fmt: skip
    rows = rows * often
    arrays = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    table = pa.table(arrays, schema(*kinds))
    rows = [tuple(row.values()) for row in table.to_pylist()]  # as Arrow has them
    for form in ("csv", "json"):
        columns = columns_for(table.to_reader(), table.schema.names, form=form)
        if form == "csv":
            lines = csv_lines(columns.schema, ready=columns.ready)
            cells = [[value if isinstance(value, PLAIN) else cell_text(value) for value in row] for row in rows]
            expected = "".join(map(csv_line, cells))
        else:
            lines = json_lines(columns.schema, ready=columns.ready, gap=" ")
            spelled = [dict(zip(table.schema.names, map(plain_value, row), strict=True)) for row in rows]
            expected = "".join(json.dumps(each) + "\n" for each in spelled)
        assert b"".join(map(bytes, lines.of(columns.batches))).decode() == expected


PLAIN = (type(None), bool, int, float, Decimal)


@pytest.mark.parametrize("value", [
    pa.array([2**60], pa.timestamp("us", "UTC")), pa.array([3_000_000], pa.date32()), pa.array([1], pa.timestamp("ns")),
])  # fmt: skip
def test_times_that_python_has_not(value: pa.Array) -> None:
    """A year of five digits and a part of a microsecond are refused, as ever, instead of changed."""
    table = pa.table({"c": value})
    columns = columns_for(table.to_reader(), ["c"], form="csv")

    with pytest.raises(QueryError, match="Python has not"):
        list(columns.batches)
