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

    @property
    def unseen(self) -> dict[str, frozenset[str]]:
        """Of each source the fields that no event has."""
        return {
            source: frozenset(name for (of, name), each in self.seen.items() if of == source and not each.seen)
            for source in self.events
        }

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
    return Lookup(events, seen)


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
