"""Events that take the short way become what the statements of the mapping make of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.engine.duck import connect
from auditlake.events.schema import BUILT_IN_TYPES, CANONICAL
from auditlake.ingest import mapping
from auditlake.ingest.plain_events import plain_events
from auditlake.ingest.record_buffer import RecordBuffer
from auditlake.sources.split import split_lines
from auditlake.sources.tabular import _parquet_batch
from tests.ingest.test_law import PLAIN, laid_out
from tests.sources.pieces import Pieces

TIMES = (
    "2026-11-24T09:00:00Z", "2026-11-24T09:00:00.123456Z", "2024-02-29 23:59:59.9Z", "1970-01-01T00:00:00.000000Z",
    "1969-12-31T23:59:59.999999Z", "9998-12-31T23:59:59.999999Z", "9999-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
)  # fmt: skip


@st.composite
def times(draw: st.DrawFn) -> str:
    """A time, most often in UTC, or nearly one."""
    text = list(draw(st.sampled_from(TIMES)))
    for at in draw(st.lists(st.integers(0, len(text) - 1), max_size=2)):
        text[at : at + draw(st.integers(0, 1))] = draw(st.sampled_from(["", *"0123456789:-+.TtZz "]))
    return "".join(text)


@st.composite
def timed(draw: st.DrawFn) -> str:
    """A plain line but for its time."""
    return line(timestamp=f'"{draw(times())}"')


def line(**fields: str) -> str:
    """A plain line but for some fields, given as JSON."""
    names = dict(zip(mapping.CANONICAL_FIELDS, PLAIN, strict=True)) | fields
    return "{" + ",".join(f'"{name}":{value}' for name, value in names.items()) + "}"


def filled(lines: list[str]) -> RecordBuffer:
    buffer = RecordBuffer()
    for batch in split_lines(Pieces("\n".join(lines).encode())):
        if len(batch):
            buffer.add(0, batch, 0, CANONICAL, may_be_exported=True)
    return buffer


def mapped(buffer: RecordBuffer) -> Any:
    with connect(exact_try=False) as connection:
        found = mapping.map_records(connection, buffer, BUILT_IN_TYPES)
    refused = sorted((each.record, each.reason, each.field, each.value) for each in found.refused)
    return found.rows.sort_by("seq").to_pylist(), refused, found.earlier.sort_by("seq").to_pylist()


def agree(lines: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditlake.ingest.plain_events._SAMPLE", 5)
        short = mapped(filled(lines))
        patch.setattr(mapping, "plain_events", lambda *each: plain_events(*each).slice(0, 0))
        assert short == mapped(filled(lines))


@settings(max_examples=5, deadline=None)
@given(st.lists(timed() | laid_out(), min_size=1, max_size=60))
def test_both_ways_are_one(lines: list[str]) -> None:
    """Whatever stands in a line and when it was: rows and refusals are the same."""
    agree(lines)


@pytest.mark.soak
@settings(max_examples=2_000, deadline=None)
@given(st.lists(timed(), min_size=1, max_size=60) | st.lists(laid_out(), min_size=1, max_size=60))
def test_both_ways_are_one_often(lines: list[str]) -> None:
    """The same, two thousand times."""
    agree(lines)


def test_what_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines and rows as most programs write them take the short way alone."""
    monkeypatch.setattr(mapping._Mapping, "_define", pytest.fail)
    lines = [line(), line(user_id='"bob"', details='{"a":"nan, inf","finance":[1,null]}', metadata="null")]
    assert len(mapped(filled(lines))[0]) == 2
    columns = {
        "event_id": ["1", ""], "event_type": ["login", "logout"], "timestamp": [*TIMES[:2]],
        "details": ['{"a":1.5}', None], "metadata": ["{}", "[1]"],
    }  # fmt: skip
    buffer = RecordBuffer()
    buffer.add(0, _parquet_batch(pa.RecordBatch.from_pydict(columns), 0, 10_000), 0, CANONICAL)
    rows = mapped(buffer)[0]
    assert [(row["event_id"], row["details"], row["metadata"]) for row in rows] == [
        ("1", '{"a":1.5}', "{}"),
        (None, None, "[1]"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"details": "NaN"}, {"details": '{"a":nan}'}, {"details": '{"a":[1,-INF]}'}, {"metadata": "[Infinity]"},
        {"event_type": '"nothing"'}, {"timestamp": '"2026-11-24T09:00:00.1234567Z"'},
        {"timestamp": '"1969-12-31T23:59:59Z"'}, {"timestamp": '"9999-01-01T00:00:00Z"'},
        {"timestamp": '"2026-11-24T09:00:00+01:00"'}, {"user_id": "12"}, {"user_id": '"\\u0061"'}, {"action": "{}"},
    ],
)  # fmt: skip
def test_what_is_not(fields: dict[str, str]) -> None:
    """What has to be judged never takes it."""
    with connect(exact_try=False) as connection:
        of_buffer = partial(mapping._Mapping, connection, event_types=BUILT_IN_TYPES, catalog=mapping.built_in())
        assert not len(of_buffer(buffer=filled([line(**fields)]))._plain())
