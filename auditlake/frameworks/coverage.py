"""Which events came on which day from which source, and why there are none where there are none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from auditlake.events.schema import TEXT_COLUMNS
from auditlake.frameworks.facts import Count
from auditlake.frameworks.model import CellState, Coverage, CoverageRow, SourceLife
from auditlake.frameworks.records.model import Case
from auditlake.packs.model import Control, Pack


def coverage_of(case: Case) -> Coverage:
    """Return the days of the period by event type and source, of the types that policies of the pack govern."""
    days, facts = case.question.days, case.facts
    lives = _lives(facts.counts)
    types_of = {each.id: types for each in case.pack.controls if (types := _types(each, case))}
    by_type: dict[str, dict[str, list[Count]]] = defaultdict(lambda: defaultdict(list))
    for count in facts.counts:
        by_type[count.event_type][count.source].append(count)
    rows = [
        row
        for name in sorted({name for types in types_of.values() for name in types})
        for row in _rows(name, by_type.get(name, {}), days, lives, case)
    ]
    return Coverage(days, tuple(columns_of(case.pack)), tuple(rows), tuple(lives.values()), types_of)


def columns_of(pack: Pack) -> list[str]:
    """Return the event columns that the policies of a pack ask to be filled, sorted."""
    ready = (policy for name, policy in pack.policies.items() if name not in pack.unready)
    named = {each for policy in ready for rule in policy.fields.values() for each in rule.any_of}
    return sorted(named & {*TEXT_COLUMNS})


def _types(control: Control, case: Case) -> tuple[str, ...]:
    """Return the event types that the policies of a control govern, those of its record checks too."""
    named = [each.policy for each in control.policies] + [each for record in control.records for each in record.of]
    return tuple(sorted(case.governed(named)))


def _lives(counts: Sequence[Count]) -> dict[str, SourceLife]:
    by_source: dict[str, list[Count]] = defaultdict(list)
    for each in counts:
        by_source[each.source].append(each)
    return {
        name: SourceLife(
            name, sum(each.events for each in own if each.day is not None), min(each.first for each in own),
            max(each.last for each in own), frozenset(each.day for each in own if each.day is not None),
        )
        for name, own in sorted(by_source.items())
    }  # fmt: skip


def _rows(
    event_type: str, by_source: Mapping[str, Sequence[Count]], days: Sequence[date], lives: Mapping[str, SourceLife],
    case: Case,
) -> Iterator[CoverageRow]:  # fmt: skip
    """Yield a row for each source that sent the type in the period; one for all sources if none did."""
    came = {name: own for name, own in sorted(by_source.items()) if any(each.day is not None for each in own)}
    for name, own in came.items():
        yield _row(event_type, name, own, days, [lives[name]], case)
    if not came:
        own = [each for counts in by_source.values() for each in counts]
        yield _row(event_type, None, own, days, list(lives.values()), case)


def _row(
    event_type: str, source: str | None, counts: Sequence[Count], days: Sequence[date], lives: Sequence[SourceLife],
    case: Case,
) -> CoverageRow:  # fmt: skip
    by_day = {each.day: each.events for each in counts if each.day is not None}
    wanted = {*columns_of(case.pack)}
    places = {column: at for at, column in enumerate(case.facts.columns) if column in wanted}
    filled = {column: sum(each.filled[at] for each in counts if each.filled) for column, at in places.items()}
    return CoverageRow(
        event_type, source, sum(by_day.values()), min((each.first for each in counts), default=None),
        max((each.last for each in counts), default=None), filled,
        tuple(by_day.get(day) or _why_none(event_type, day, lives, case) for day in days),
    )  # fmt: skip


def _why_none(event_type: str, day: date, lives: Sequence[SourceLife], case: Case) -> CellState:
    """Return why a day has no event of a type."""
    if day > case.question.as_of.date():
        return "unknown"
    if any(day in each.days_of((event_type,)) for each in case.facts.deletions):
        return "taken"
    if any(day in each.days for each in lives):
        return "none"
    if all(day < each.first.date() for each in lives):
        return "before"
    return "after" if all(day > each.last.date() for each in lives) else "source_silent"
