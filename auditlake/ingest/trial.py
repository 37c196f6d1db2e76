"""A mapping tried: its own tests, and what it makes of files, without a lake."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from auditlake.engine.duck import connect
from auditlake.errors import AuditLakeError
from auditlake.events.schema import CANONICAL_FIELDS
from auditlake.events.times import parse_instant
from auditlake.ingest.custody import Example
from auditlake.ingest.mapping import Mapped, map_records
from auditlake.ingest.record_buffer import RecordBuffer
from auditlake.sources.catalog import Catalog, Source
from auditlake.sources.inputs import expand_inputs
from auditlake.sources.mappings.model import MappingTest
from auditlake.sources.mappings.names import step_of
from auditlake.sources.model import MAX_RECORD, Batch, InputFile
from auditlake.sources.reader import open_records
from auditlake.sources.recognise import TRIED, takes
from auditlake.sources.refused import excerpt

_SAMPLE = 5_000
"""How many records' fields, and how many events' values, are looked at."""
_NAMED = ("details", "metadata")
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What came of one of a mapping's own tests."""

    test: MappingTest
    problems: tuple[str, ...]
    """What came out otherwise than expected; none: the test passed."""


@dataclass
class Trial:
    """What a mapping makes of some files."""

    records: int = 0
    events: int = 0
    skips: Counter[str] = field(default_factory=Counter)
    """Records that it leaves out, by name."""
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Records that are refused, by reason and field."""
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    """Of each reason and field, a value."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Inputs that are not read, with the reason."""
    unmatched: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Inputs of which too few of the first records match, so that they are not recognised: how many do, of how many."""
    values: dict[str, Counter[str]] = field(default_factory=dict)
    """Of each column, the values and how often each is there."""
    filled: Counter[str] = field(default_factory=Counter)
    """How many events have a value in each column."""
    unused: Counter[str] = field(default_factory=Counter)
    """Fields of records that the mapping does not read, and in how many records each is."""
    personal: dict[str, int] = field(default_factory=dict)
    """Of each place that ``personal`` names, how many of the events that were looked at have something there."""
    fields: set[str] = field(default_factory=set)
    """The places of these events where something is."""
    looked_at: int = 0
    """How many events that were."""

    def near(self, place: str) -> list[str]:
        """Return the places of events that may have been meant by one that is in none."""
        named = {each.partition(".")[2].partition(".")[2]: each for each in sorted(self.fields)}
        return [named[each] for each in get_close_matches(place.partition(".")[2].partition(".")[2], named, 3)]

    @property
    def refused(self) -> int:
        """Records that are refused."""
        return sum(self.reasons.values())

    @property
    def share(self) -> float:
        """The share of the records that became events, of those that are not left out."""
        meant = self.records - sum(self.skips.values())
        return (meant - self.refused) / meant if meant else 1.0

    def refusals(self) -> list[Example]:
        """Return why records were refused, most frequent first."""
        return [Example(*key, self.examples[key], number) for key, number in self.reasons.most_common()][:50]


@dataclass(slots=True)
class _Came:
    """What came of the records of a test."""

    test: MappingTest
    events: list[dict[str, Any]] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why records are no events."""
    rejected: list[str] = field(default_factory=list)
    """Why records are not even mapped."""


def try_files(catalog: Catalog, name: str, paths: Sequence[str | Path], event_types: frozenset[str]) -> Trial:
    """Map files by one source, and count what comes of them.

    Args:
        catalog: The sources.
        name: The source.
        paths: Files, folders and patterns.
        event_types: The types that are known.

    Raises:
        SourceError: A path is not there or cannot be read, or there is no such source.
        MappingError: The mapping has mistakes.
    """
    trial = Trial(values={column: Counter() for column in CANONICAL_FIELDS})
    with TemporaryDirectory(prefix="auditlake-") as folder, connect(exact_try=False) as connection:
        for origin in expand_inputs(paths):
            try:
                for batch in _batches(catalog, name, origin, Path(folder), trial):
                    buffer = RecordBuffer()
                    buffer.add(0, batch, 0, name)
                    mapped = map_records(connection, buffer, event_types, catalog=catalog)
                    _count(trial, catalog[name], buffer, mapped)
            except AuditLakeError as error:
                if not origin.within:
                    raise
                trial.left_out[origin.name] = str(error)
    return trial


def run_tests(catalog: Catalog, name: str, event_types: frozenset[str]) -> list[TestOutcome]:
    """Run the tests that stand in a mapping's file.

    Raises:
        MappingError: The mapping has mistakes.
    """
    tests = catalog[name].mapping.tests
    came, buffer, first = [_Came(test) for test in tests], RecordBuffer(), 0
    with TemporaryDirectory(prefix="auditlake-") as folder:
        for number, each in enumerate(came):
            trial, path = Trial(), Path(folder, f"test-{each.test.line}.jsonl")
            path.write_text(each.test.record, encoding="utf-8")
            for batch in _batches(catalog, name, InputFile(path.name, path), Path(folder), trial):
                buffer.add(number, batch, first, name)
            each.rejected += [reason for reason, _ in trial.reasons]
            first += trial.records
    if buffer.batches:
        # To plan the statements takes far longer than to map a record, so all are mapped together.
        with connect(exact_try=False) as connection:
            mapped = map_records(connection, buffer, event_types, catalog=catalog)
        for event in mapped.rows.sort_by("seq").to_pylist():
            came[buffer.find(event["record"])[0]].events.append(event)
        for record, skipped in mapped.skipped:
            came[buffer.find(record)[0]].skips.append(skipped)
        for each_refused in mapped.refused:
            reason = ": ".join(filter(None, (each_refused.reason, each_refused.detail)))
            came[buffer.find(each_refused.record)[0]].refused.append(reason)
    return [TestOutcome(each.test, tuple(_differences(each))) for each in came]


def _batches(catalog: Catalog, name: str, origin: InputFile, folder: Path, trial: Trial) -> Iterator[Batch]:
    """Yield the batches of an input that have records, and note what is rejected before it is mapped."""
    opened = open_records(origin, name, MAX_RECORD, folder, catalog=catalog)
    with closing(opened.stream):
        if opened.source is None:
            trial.left_out[origin.name] = opened.notice
            return
        for number, batch in enumerate(opened.batches):
            if number == 0:
                _note_unmatched(trial, catalog[name], origin.name, batch)
            for rejected in batch.rejected:
                key = (rejected.reason, rejected.field)
                trial.reasons[key] += 1
                trial.examples.setdefault(key, excerpt(rejected))
            trial.records += len(batch) + len(batch.rejected)
            if len(batch):
                yield batch


def _note_unmatched(trial: Trial, source: Source, name: str, batch: Batch) -> None:
    """Note an input that an ingest would not recognise by itself."""
    if source.outline is None or source.outline.read != ("json",):
        return
    records = []
    for text in batch.text.slice(0, TRIED).to_pylist():
        with suppress(ValueError):
            records.append(json.loads(text))
    fitting = sum(source.fits(records))
    if records and 2 * fitting < len(records):
        trial.unmatched[name] = fitting, len(records)


def _count(trial: Trial, source: Source, buffer: RecordBuffer, mapped: Mapped) -> None:
    trial.skips.update(name for _, name in mapped.skipped)
    for refusal in mapped.refused:
        key = (
            refusal.reason if not refusal.detail or refusal.field else f"{refusal.reason}: {refusal.detail}",
            refusal.field,
        )
        trial.reasons[key] += 1
        trial.examples.setdefault(key, refusal.value)
    room = max(0, _SAMPLE - trial.events)
    trial.events += len(mapped.rows)
    for column in CANONICAL_FIELDS:
        present = mapped.rows[column].drop_null()
        trial.filled[column] += len(present)
        if column not in _NAMED:
            trial.values[column].update(map(str, present.slice(0, room).to_pylist()))
    if source.outline is not None:
        _count_personal(trial, source, mapped, room)
        _count_unused(trial, source, buffer)


def _count_personal(trial: Trial, source: Source, mapped: Mapped, room: int) -> None:
    """Count the events that have something at each place of ``personal``: where none has, it may be misspelled."""
    paths = source.personal.paths
    trial.personal = dict.fromkeys(map(str, paths), 0) | trial.personal
    for row in mapped.rows.select(_NAMED).slice(0, room).to_pylist():
        trial.looked_at += 1
        there = {
            _INDEX.sub("", found)
            for column in _NAMED
            for found in _fields(json.loads(row[column] or "null"), f"$.{column}")
        }
        trial.fields |= there
        for path in map(str, paths):
            trial.personal[path] += any(each == path or each.startswith(f"{path}.") for each in there)


def _count_unused(trial: Trial, source: Source, buffer: RecordBuffer) -> None:
    places = (path.below.replace('"', "") for path in source.personal.paths if path.column == "details")
    used = (*source.mapping.paths, *places)
    for batch in buffer.batches:
        for text in batch.text.slice(0, _SAMPLE).to_pylist():
            try:
                fields = set(_fields(json.loads(text), "$"))
            except ValueError:
                continue
            trial.unused.update(
                field for field in fields
                if not any(field == path or field.startswith((f"{path}.", f"{path}[")) for path in used)
            )  # fmt: skip


def _fields(value: Any, path: str, depth: int = 0) -> Iterator[str]:
    if isinstance(value, Mapping) and value and depth < 6:
        for key, item in value.items():
            yield from _fields(item, path + step_of(key), depth + 1)
    elif isinstance(value, list) and value and depth < 6:
        yield from _fields(value[0], f"{path}[0]", depth + 1)
    elif value not in (None, "", [], {}):
        yield path


def _differences(came: _Came) -> Iterator[str]:
    """Yield what comes of a test's record otherwise than its file says."""
    test, events, skips, reasons = came.test, came.events, came.skips, [*came.refused, *came.rejected]
    if test.skipped and skips != [test.skipped]:
        yield f"expected to be skipped as {test.skipped!r}, got {_said(events, skips, reasons)}"
    elif test.quarantined and not any(reason.startswith(test.quarantined) for reason in reasons):
        yield f"expected to be refused since {test.quarantined!r}, got {_said(events, skips, reasons)}"
    elif test.expect and len(events) != len(test.expect):
        yield f"expected {len(test.expect)} events, got {_said(events, skips, reasons)}"
    elif test.expect:
        for number, (event, expected) in enumerate(zip(events, test.expect, strict=True)):
            for column, value in expected.items():
                got = _shown(column, event[column])
                if not _agrees(column, value, got):
                    which = f"event {number + 1}, " if len(events) > 1 else ""
                    yield f"{which}{column}: expected {value!r}, got {got!r}"


def _shown(column: str, value: Any) -> Any:
    if column == "timestamp" and value is not None:
        return value.isoformat().replace("+00:00", "Z")
    if column in _NAMED and value is not None:
        return json.loads(value)
    return value


def _agrees(column: str, expected: Any, got: Any) -> bool:
    """Return whether a value is as expected; of JSON the keys that the test names."""
    if column == "timestamp" and expected is not None and got is not None:
        return parse_instant(str(expected)) == parse_instant(got)
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        return all(key in got and got[key] == value for key, value in expected.items())
    return bool(expected == got)


def _said(events: Sequence[object], skips: Sequence[str], reasons: Sequence[str]) -> str:
    said = [f"{len(events)} events"] if events else []
    said += [f"skipped as {name!r}" for name in skips] + [f"refused: {reason}" for reason in reasons]
    return ", ".join(said) or "nothing"


def overlaps(catalog: Catalog) -> list[tuple[str, str, str]]:
    """Return which records of the mappings' tests two sources take for theirs: whose, which test, and who else.

    A source that goes before another on purpose overlaps with it in nothing.
    """
    found = []
    for source in catalog:
        for test in source.mapping.tests if source.outline else ():
            for other in catalog:
                first = {other.outline.before if other.outline else "", source.outline.before if source.outline else ""}
                if other.name == source.name or first & {source.name, other.name}:
                    continue
                if takes(other, test.record.encode()):
                    found.append((source.name, test.name, other.name))
    return found
