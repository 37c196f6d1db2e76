"""Whether a lake has the fields that rules name: a rule about a field that no event has can never match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.engine.statements import statements
from auditlake.query.view import engine
from auditlake.sigma.conversion import Part
from auditlake.sigma.logsources import Spot
from auditlake.sigma.model import Seen

if TYPE_CHECKING:
    import duckdb

_LOOKED_AT = 1_000_000
"""How many of the newest events of a source are looked at, to whole days."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What was found."""

    events: Mapping[str, int]
    """How many events of each source were looked at."""
    seen: Mapping[tuple[str, str], Seen]
    """By source and field."""
    total: int = 0
    """How many events the lake has; 0 where no rule asks for a source that it lacks."""

    def is_absent(self, part: Part) -> bool:
        """Return whether the lake has neither the source of a rule's events nor any of these."""
        return bool(part.absent) and not self.events[part.source]

    def unseen(self, parts: Sequence[Part]) -> dict[str, frozenset[str] | None]:
        """Return the fields that no event has, by the source of each rule; None of a source that the lake lacks."""
        return {
            part.source: None if self.is_absent(part)
            else frozenset(name for (of, name), each in self.seen.items() if of == part.source and not each.seen)
            for part in parts
        }  # fmt: skip

    def absences(self, parts: Sequence[Part]) -> tuple[str, ...]:
        """Return in words which logsources of rules no source of the lake has, and how many events there are."""
        return tuple(dict.fromkeys(
            f"no source of this lake has the logsource {part.absent}: "
            f"{self.events[part.source]:,} of {self.total:,} events, looked for as source {part.source}"
            for part in parts if part.absent
        ))  # fmt: skip

    def fields_of(self, part: Part) -> Iterator[Seen]:
        """Yield what was found of each field of a rule."""
        return (self.seen[part.source, name] for name in part.spots)


def count_seen(context: LakeContext, parts: Sequence[Part]) -> Lookup:
    """Count the events that have each field of these rules; what was logged counts as well.

    Raises:
        LakeError: The lake cannot be read.
    """
    spots: dict[str, dict[str, Spot]] = {}
    for part in parts:
        spots.setdefault(part.source, {}).update(part.spots)
    if not spots:
        return Lookup({}, {})
    events: dict[str, int] = {}
    seen: dict[tuple[str, str], Seen] = {}
    with engine(context, None) as (connection, _):
        for source, named in sorted(spots.items()):
            events[source], counts = _counted(connection, source, tuple(named.values()))
            for (name, spot), number in zip(named.items(), counts, strict=True):
                seen[source, name] = Seen(name, source, spot.shown, number, events[source])
        total = 0
        if any(part.absent for part in parts):
            ((total,),) = connection.execute(statements("sigma/seen.sql")["total"].text).fetchall()
    return Lookup(events, seen, total)


def _counted(connection: duckdb.DuckDBPyConnection, source: str, spots: Sequence[Spot]) -> tuple[int, list[int]]:
    """Return how many events there are, and how many of them have each field."""
    from sqlglot import exp, parse_one

    parts = statements("sigma/seen.sql")
    since = _since(connection.execute(parts["days"].text, {"source": source}).fetchall())
    paths = list(dict.fromkeys(path for spot in spots for path in spot.paths if not spot.listed))
    if since is None:
        return 0, [0] * len(spots)
    values = parse_one(f"[{', '.join(f'count({_value(spot, paths)})' for spot in spots)}]", dialect="duckdb")

    def filled(node: exp.Expr) -> exp.Expr:
        return values.copy() if isinstance(node, exp.Column) and node.name == "values_of_fields" else node

    text = parse_one(parts["seen"].text, dialect="duckdb").transform(filled).sql(dialect="duckdb")
    bound = parts["seen"].bind({"source": source, "since": since, "paths": paths})
    ((number, counts),) = connection.execute(text, bound).fetchall()
    return number, counts or [0] * len(spots)


def _value(spot: Spot, paths: Sequence[str]) -> str:
    if spot.listed or not spot.paths:
        return spot.sql
    return f"coalesce({', '.join(f'found[{paths.index(path) + 1}]' for path in spot.paths)})"


def _since(days: Sequence[tuple[date, int]]) -> date | None:
    """Return from which day on events are looked at; None where there are none."""
    before, since = 0, None
    for day, number in days:
        if before >= _LOOKED_AT:
            break
        before, since = before + number, day
    return since
