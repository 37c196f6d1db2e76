"""A person as a lake knows them: their events, what else names them, and who they might be if there are none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from auditlake.disk.layout import Layout
from auditlake.display.text import count, visible
from auditlake.engine.duck import connect, rows
from auditlake.engine.statements import statement
from auditlake.errors import RetentionError
from auditlake.events.json_tokens import scalars, spelled
from auditlake.events.personal import PersonalData
from auditlake.events.times import day_of
from auditlake.retention.day_rewrite import Day
from auditlake.retention.rules import RetentionRules, named
from auditlake.store.model import Snapshot
from auditlake.store.snapshot import view_snapshot

if TYPE_CHECKING:
    import duckdb

_JSON = ("details", "metadata")
_WAYS = 100
"""How many texts one regular expression looks for: with many more it becomes a hundred times as slow."""


@dataclass(frozen=True, slots=True)
class PersonEvents:
    """What a lake has of a person."""

    who: tuple[str, str]
    """The name and its pseudonym."""
    days: tuple[Day, ...]
    """Every day with events of theirs, and how many of these still name them and may be changed."""
    words: tuple[str, ...]
    """The name, and what else names them at the places of their events' sources."""
    traces: frozenset[str]
    """Their addresses and sessions, which others may share."""

    @property
    def held(self) -> int:
        """How many of their events a hold keeps as they are."""
        return sum(day.held for day in self.days)


def find(layout: Layout, rules: RetentionRules, snapshot: Snapshot, user_id: str) -> PersonEvents:
    """Return a person's events, and what else names the person."""
    assert rules.names is not None
    who = (user_id, rules.names.of(user_id))
    with _engine(layout, snapshot) as connection:
        changes: Counter[int] = Counter()
        for day, events in named(connection, rules.step("person_named", who=list(who)), rules.eraser):
            changes[day] += events
        step = rules.step("person_days", who=list(who))
        days = tuple(
            _day(snapshot, number, types, held, changes[number])
            for number, types, held in rows(connection, step.sql, dict(step.parameters))
        )
        words = dict.fromkeys([user_id, *_words(connection, rules, list(who), user_id)])
        part = statement("retention/day.sql", "traces")
        traces = {text for (text,) in rows(connection, part.text, part.bind({"who": list(who)}))}
    return PersonEvents(who, days, tuple(words), frozenset(each for each in traces if not rules.names.knows(each)))


def elsewhere(layout: Layout, rules: RetentionRules, snapshot: Snapshot, person: PersonEvents) -> int:
    """Return how many events of any user name the person after an erasure; held ones do not count."""
    days = [day.day for day in person.days if day.changed]
    with _engine(layout, snapshot) as connection:
        return _naming(connection, rules, person.who, days, person.words)


def _naming(
    connection: duckdb.DuckDBPyConnection,
    rules: RetentionRules,
    who: Sequence[str],
    days: Sequence[date],
    words: Sequence[str],
) -> int:
    ways = sorted({way for word in words for way in spelled(word)}, key=lambda each: (-len(each), each))
    events: set[int] = set()
    for begin in range(0, len(ways), _WAYS):
        listed = "|".join(map(re.escape, ways[begin : begin + _WAYS]))
        pattern = rf"(?:^|[^\pL\pN])(?:{listed})(?:$|[^\pL\pN])"
        step = rules.step("elsewhere", who=list(who), days=list(days), pattern=pattern)
        events.update(event for (event,) in rows(connection, step.sql, dict(step.parameters)))
    return len(events)


def unknown(layout: Layout, rules: RetentionRules, snapshot: Snapshot, user_id: str) -> RetentionError:
    """Return the error about a name that no event has, with similar names."""
    assert rules.names is not None
    part = statement("retention/day.sql", "near")
    with _engine(layout, snapshot) as connection:
        near = [text for (text,) in rows(connection, part.text, part.bind({"name": user_id}))]
        named = _naming(connection, rules, (), (), (user_id, rules.names.of(user_id)))
    like = f"did you mean {' or '.join(map(visible, near))}? " if near else ""
    also = f"{count(named, 'event has', 'events have')} it, or its pseudonym, in another place; " if named else ""
    return RetentionError(
        f"no event has the user_id {visible(user_id)}; nothing was changed",
        hint=f"{like}{also}user ids are compared letter by letter",
    )


def _words(connection: duckdb.DuckDBPyConnection, rules: RetentionRules, who: list[str], user_id: str) -> Iterator[str]:
    """Yield what else names the person at the places of their events' sources, and the names inside of that."""
    assert rules.names is not None
    personal = rules.eraser.personal
    found = [(about, user_id) for about in personal.values()]
    sources, part = (statement("retention/day.sql", name) for name in ("person_sources", "person_names"))
    for (source,) in rows(connection, sources.text, sources.bind({"who": who})):
        about = personal.get(source, PersonalData())
        names = about.paths[: len(about.names)]
        places = {f"in_{column}": [path.below for path in names if path.column == column] for column in _JSON}
        values = part.bind({"who": who, "source": source, **places})
        found += [(about, text) for (text,) in rows(connection, part.text, values) if text is not None]
    for about, text in found:
        inner = scalars(text) if text[:1] in ("{", "[") else ()
        for each in [text] if not inner else [one.string for one in inner if one.string and not one.is_key]:
            if each and not about.is_nobody(each) and not rules.names.knows(each):
                yield from (each, *about.parts(each))


def _day(snapshot: Snapshot, number: int, types: Sequence[str], held: int, changed: int) -> Day:
    """Return what becomes of a day on which a person has events of some types."""
    day = day_of(number)
    files = snapshot.table.of_days([day])
    theirs = tuple(file for file in files if file.may_hold(types))
    others = tuple(file for file in files if not file.may_hold(types))
    return Day(day, (), theirs, others, sum(file.rows for file in files), 0, changed, held)


@contextmanager
def _engine(layout: Layout, snapshot: Snapshot) -> Iterator[duckdb.DuckDBPyConnection]:
    with TemporaryDirectory(prefix="auditlake-") as spill, connect(temp=Path(spill), exact_try=False) as connection:
        view_snapshot(connection, layout, snapshot)
        yield connection
