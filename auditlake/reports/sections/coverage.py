"""Section "Coverage": which required types were seen, where they were silent, and on which days nothing came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Literal

from auditlake.display.canonical_json import json_value
from auditlake.display.text import Fact, Text, count, length, moment, shown
from auditlake.findings.finding import Finding
from auditlake.findings.many import numbers_by_kind, of_kinds
from auditlake.policies.kinds.coverage import CoverageAnswer
from auditlake.reports.heat_map import HEAT_ROWS, HeatMap, heat_maps
from auditlake.reports.model import Detail, Report
from auditlake.reports.sections.model import Section, Term
from auditlake.reports.sentences import SHOWN_EPISODES, beyond, gap_limit, gaps_found

SHOWN_RANGES = 40


@dataclass(frozen=True, slots=True)
class TypeRow:
    """A required type."""

    name: Text
    """The type."""
    events: str
    """Events in the period."""
    days: str
    """On how many days it was seen."""
    last_seen: str
    """Its newest event up to ``as_of``."""
    state: Literal["seen", "missing", "optional"]
    """Whether it is a finding."""
    state_words: str
    """The same in words."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The variables of the fragment ``coverage.html``."""

    template: ClassVar[str] = "sections/coverage.html"
    types_words: str
    """How many required types were seen."""
    types: tuple[TypeRow, ...]
    """Every required type."""
    heats: tuple[tuple[HeatMap, tuple[TypeRow, ...]], ...]
    """Events by type and day, each picture with the types of its rows."""
    gaps_words: str
    """How many gaps, or that the policy does not ask."""
    gaps: tuple[tuple[Text, ...], ...]
    """Gaps: type, start, end, length."""
    silent_words: str
    """How many silent days."""
    silent_ranges: tuple[str, ...]
    """The silent days."""
    scope: tuple[Fact, ...] = ()
    """What the policy looks at, where that is not every governed event."""
    fields_words: str = ""
    """How complete the fields are; empty where the policy does not ask."""
    fields: tuple[tuple[Text, ...], ...] = ()
    """Fields: name, columns, event type, events, events without, share asked for, first, last, sources, state."""


def _body(report: Report, detail: Detail) -> Coverage | None:
    if report.is_unread:
        return None
    names = list(report.events_by_type)
    gaps = of_kinds(report.violations, {"coverage_gap"})
    types = tuple(_type_row(report, detail, name) for name in names)
    heats = heat_maps(names, detail.days, detail.day_counts, detail.first_event_day)
    return Coverage(
        types_words=types_words(report),
        types=types,
        heats=tuple((heat, types[at * HEAT_ROWS : (at + 1) * HEAT_ROWS]) for at, heat in enumerate(heats)),
        gaps_words=f"{gaps_words(report, len(gaps))} {beyond(len(gaps), 'gap')}".rstrip(),
        gaps=tuple(_gap_row(report, gap) for gap in gaps[:SHOWN_EPISODES]),
        silent_words=silent_words(report, detail),
        silent_ranges=silent_ranges(report.coverage.silent_days),
        scope=_scope(report.coverage),
        fields_words=fields_words(report),
        fields=tuple(_field_rows(report)),
    )


def _figures(report: Report, detail: Detail) -> tuple[Fact, ...]:
    found = numbers_by_kind(report.violations)
    absent, gaps = found["missing_required_type"], found["coverage_gap"]
    seen = sum(number > 0 for number in report.events_by_type.values())
    types = Text(f"{seen:,} of {len(report.events_by_type):,}")
    figures = [Fact("Types seen", types, f"{absent:,} missing", alarm=absent > 0)]
    if report.coverage.max_gap is not None:
        note = f"longer than {gap_limit(report)}"
        figures.append(Fact("Gaps", Text(f"{gaps:,}"), note, alarm=gaps > 0))
    if report.coverage.fields:
        incomplete, asked = found["field_incomplete"], len(_asked(report))
        figures.append(Fact("Incomplete fields", Text(f"{incomplete:,}"), f"of {asked:,}", alarm=incomplete > 0))
    return (*figures, Fact("Silent days", Text(f"{len(report.coverage.silent_days):,}"), f"of {len(detail.days):,}"))


def types_words(report: Report) -> str:
    """Say how many of the required types appeared."""
    total, absent = len(report.events_by_type), sum(not number for number in report.events_by_type.values())
    if total == 1:
        return f"The required event type {'did not appear' if absent else 'appeared'} in the period."
    if not absent:
        return f"All {total:,} required event types appeared in the period."
    return f"{absent:,} of {total:,} required event types did not appear in the period."


def gaps_words(report: Report, gaps: int) -> str:
    """Say how many gaps there are, or that the policy does not ask."""
    if report.coverage.max_gap is None:
        return "The policy sets no limit on gaps between events of a type."
    if not gaps:
        return f"No gap in the events of a required type is longer than {gap_limit(report)}."
    return f"{gaps_found(report, gaps)}."


def fields_words(report: Report) -> str:
    """Say how many fields are complete; nothing where the policy does not ask."""
    asked = _asked(report)
    if not asked:
        return ""
    incomplete = numbers_by_kind(report.violations)["field_incomplete"]
    none = sum(not numbers["events"] for _, _, numbers in asked)
    unknown = f", and {none:,} {'has' if none == 1 else 'have'} no event to judge by" if none else ""
    fields = f"Of {count(len(asked), 'field')}, counted for each event type,"
    return f"{fields} {incomplete:,} {'are' if incomplete > 1 else 'is'} incomplete{unknown}."


def _asked(report: Report) -> list[tuple[str, str, Mapping[str, int]]]:
    """Return every field and type with its numbers."""
    return [
        (name, event_type, numbers)
        for name, field in report.coverage.fields.items()
        for event_type, numbers in field["types"].items()
    ]


def _field_rows(report: Report) -> Iterator[tuple[Text, ...]]:
    found = {
        ((each.group or {})["field"], each.event_type): each
        for each in of_kinds(report.violations, {"field_incomplete"})
    }
    for name, event_type, numbers in _asked(report):
        field, finding = report.coverage.fields[name], found.get((name, event_type))
        measures = finding.measures if finding else {}
        times = (None if at is None else moment(at, zone=False) for at in map(measures.get, ("first", "last")))
        sources = ", ".join(f"{source} {events:,}" for source, events in measures.get("by_source", {}).items())
        state = "incomplete" if finding else "no data" if not numbers["events"] else "complete"
        yield (
            shown(name), shown(" or ".join(field["any_of"])), shown(event_type), Text(f"{numbers['events']:,}"),
            Text(f"{numbers['missing']:,}"), Text(f"{field['at_least']}"), *map(shown, times), shown(sources or None),
            Text("enough" if state == "complete" and numbers["missing"] else state),
        )  # fmt: skip


def _scope(answer: CoverageAnswer) -> tuple[Fact, ...]:
    if answer.scope is None:
        return ()
    unknown = f"{answer.scope_unknown:,}"
    return (
        Fact("Events in scope", shown(answer.scope, limit=2000, keep="\n"), code=True),
        Fact("Scope unknown", Text(unknown), "events that cannot be told to be outside; they count as in scope"),
    )


def silent_words(report: Report, detail: Detail) -> str:
    """Say how many silent days there are."""
    silent, total = report.coverage.silent_days, len(detail.days)
    if not silent:
        each = f"each of the {total:,} days" if total > 1 else "the one day"
        return f"No silent day: {each} of the period has a governed event."
    first = detail.first_event_day
    before = sum(first is None or day < first for day in silent)
    which = "it lies" if len(silent) == 1 else f"{before:,} of them {'lies' if before == 1 else 'lie'}"
    note = f"; {which} before the lake's first event" if before else ""
    have = "has" if len(silent) == 1 else "have"
    return f"{len(silent):,} of {count(total, 'day')} {have} no governed event{note}."


def silent_ranges(days: Sequence[date]) -> tuple[str, ...]:
    """Return the silent days, neighbours together."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day.toordinal() == runs[-1][-1].toordinal() + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    ranges = [f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]} ({count(len(run), 'day')})" for run in runs]
    left = len(ranges) - SHOWN_RANGES
    more = [f"and {count(left, 'more range')}, in the JSON report"] if left > 0 else []
    return (*ranges[:SHOWN_RANGES], *more)


def _type_row(report: Report, detail: Detail, name: str) -> TypeRow:
    number, seen = report.events_by_type[name], report.last_seen[name]
    missing = any(finding.event_type == name for finding in of_kinds(report.violations, {"missing_required_type"}))
    never = "never seen" if seen is None else "missing in the period"
    day = report.coverage.proven.get(name)
    earlier = f"none left: deleted with a certificate, from {day} on" if day else "seen before the period"
    none = earlier if report.coverage.is_proven else "none; not required"
    return TypeRow(
        name=shown(name),
        events=f"{number:,}",
        days=f"{sum(day > 0 for day in detail.day_counts[name]):,} of {len(detail.days):,}",
        last_seen=_last_seen(report, seen),
        state="seen" if number else "missing" if missing else "optional",
        state_words="seen" if number else never if missing else none,
    )


def _last_seen(report: Report, seen: datetime | None) -> str:
    if seen is None:
        return "never"
    where = ", before the period" if seen <= report.since else ", after the period" if seen > report.until else ""
    return moment(seen, zone=False) + where


def _gap_row(report: Report, gap: Finding) -> tuple[Text, ...]:
    start = gap.start or report.since
    end = "no event since" if gap.end is None else moment(gap.end, zone=False)
    return (
        shown(gap.event_type),
        Text(moment(start, zone=False)),
        Text(end),
        Text(length((gap.end or report.as_of) - start)),
    )


def _terms(report: Report) -> tuple[Term, ...]:
    if report.is_unread:
        return ()
    when = "at any time up to the end of" if report.coverage.is_proven else "in"
    fields = (Term("Incomplete field", "Something that too many events of a type do not say."),)
    return (
        Term("Missing type", f"A required event type without any event {when} the period."),
        Term("Silent day", "A UTC day of the period without any governed event."),
        *(fields if report.coverage.fields else ()),
    )


def _json(report: Report, form: int) -> dict[str, Any]:
    answer = report.coverage
    part: dict[str, Any] = {"max_gap": answer.max_gap, "silent_days": [day.isoformat() for day in answer.silent_days]}
    if form == 1:
        return {"coverage": part}
    part |= {"fields": json_value(answer.fields)}
    if answer.gap_rules:
        part["max_gap"] = {name: rule.asked for name, rule in answer.gap_rules.items()}
    if answer.fields:
        part["placeholders"] = list(answer.placeholders)
    if answer.is_proven:
        part["proven"] = {name: day.isoformat() for name, day in answer.proven.items()}
    if answer.scope is not None:
        part |= {"scope": answer.scope, "scope_unknown": answer.scope_unknown}
    return {"coverage": part}


def beyond_form_1(answer: CoverageAnswer) -> str:
    """Return what of an answer the first form of reports has no place for; empty if it has one for everything."""
    newer = {
        "a scope": answer.scope, "fields": answer.fields, "a max_gap of its own for each type": answer.gap_rules,
        "the coverage 'proven'": answer.is_proven,
    }  # fmt: skip
    return " and ".join(name for name, value in newer.items() if value)


SECTION = Section(anchor="coverage", title="Coverage", body=_body, figures=_figures, terms=_terms, json=_json)
