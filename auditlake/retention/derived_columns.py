"""The columns of a source's events derived anew, day by day: what changes, and what cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from auditlake.disk.layout import Layout
from auditlake.engine.duck import connect, rows, view_events
from auditlake.engine.paths import for_duckdb
from auditlake.engine.statements import statement
from auditlake.events.exact_json import parse, write
from auditlake.events.json_tokens import scalars
from auditlake.events.personal import Eraser, Row, mentions
from auditlake.events.schema import FILE_COLUMNS
from auditlake.events.times import day_of
from auditlake.ingest.mapped_again import map_again
from auditlake.policies.compile import fill_holds
from auditlake.retention.day_rewrite import Day, DayRows
from auditlake.retention.remap_plan import COLUMNS, DerivedDay
from auditlake.retention.rules import RetentionRules
from auditlake.sources.catalog import Catalog, Source
from auditlake.store.model import DataFile, Snapshot
from auditlake.store.snapshot import view_snapshot, whole_files

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_FILE = "retention/remap.sql"
_MEMORY = "500MB"
_ROWS = 30_000
_BYTES = 64_000_000
"""Events are mapped together up to so many, and so long."""
_BATCH = 2_048
_FOREIGN = "another program wrote it"
_TEXTS = ("action", "resource", "status")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events are to be derived anew."""

    source: Source
    catalog: Catalog
    event_types: frozenset[str]
    """The types that the lake knows."""
    since: datetime | None
    """Only events not before this instant."""
    until: datetime | None
    """Only events not after this instant."""

    @property
    def values(self) -> dict[str, object]:
        """What statements bind of it."""
        return {"source": self.source.name, "since": self.since, "until": self.until}

    @property
    def underivable(self) -> tuple[str, ...]:
        """The columns that stay, since the mapping reads for them what ``details`` do not have."""
        return tuple(sorted(self.source.mapping.underivable)) if self.source.outline else ()


def derived_days(
    layout: Layout, rules: RetentionRules, snapshot: Snapshot, asked: Asked, *, keep: Path | None = None
) -> Iterator[DerivedDay]:
    """Yield what the mapping makes of each day that has events of the source.

    Args:
        layout: The lake.
        rules: The holds that count, and where events name people.
        snapshot: What to derive from.
        asked: Which events.
        keep: A folder; each day's changes are kept there for :func:`remapped_rows`.

    Raises:
        MappingError: The mapping has mistakes.
        SnapshotError: The snapshot cannot be read any more.
    """
    with _engine(keep) as events, _engine(keep) as work:
        view_snapshot(events, layout, snapshot)
        days = [day_of(number) for (number,) in rows(events, *_bound("days_of_source", asked))]
        erased = {user for (user,) in rows(events, statement(_FILE, "erased_users").text)} if rules.names else set()
        for day in days:
            files = tuple(snapshot.table.of_days([day]))
            yield _Deriving(events, work, rules, asked, day, erased).derived(layout, files, keep)


def remapped_rows(folder: Path) -> DayRows:
    """Return what gives a day's rows with the changes that :func:`derived_days` kept in a folder."""

    def choose(connection: duckdb.DuckDBPyConnection, day: Day) -> tuple[str, Mapping[str, object]]:
        connection.read_parquet(for_duckdb(_kept(folder, day.day))).create_view("changed", replace=True)
        return statement(_FILE, "remapped").text, {}

    return choose


def _kept(folder: Path, day: date) -> Path:
    return folder / f"changed-{day}.parquet"


class _Deriving:
    """One day on its way.

    Args:
        events: Where the day's files are read.
        work: Where records are mapped and compared; a statement there does not end the reading.
        rules: The holds that count, and where events name people.
        asked: Which events.
        day: The day.
        erased_users: The pseudonyms of people of whom events were erased.
    """

    def __init__(
        self,
        events: duckdb.DuckDBPyConnection,
        work: duckdb.DuckDBPyConnection,
        rules: RetentionRules,
        asked: Asked,
        day: date,
        erased_users: AbstractSet[str],
    ) -> None:
        self._events = events
        self._work = work
        self._rules = rules
        self._asked = asked
        self._day = day
        self._erased_users = erased_users
        self._looked_at = 0
        self._left: Counter[str] = Counter()

    def derived(self, layout: Layout, files: tuple[DataFile, ...], keep: Path | None) -> DerivedDay:
        """Derive the columns of all of its events of the source."""
        view_events(self._events, whole_files(layout, files), columns=FILE_COLUMNS)
        ((foreign,),) = rows(self._events, *_bound("of_others", self._asked))
        self._left.update({_FOREIGN: foreign} if foreign else {})
        self._run("changed")
        sql, values = _bound("of_source", self._asked)
        for some in _pieces(self._events.sql(sql, params=values).to_arrow_reader(_BATCH)):
            self._derive(some)
        if keep is not None:
            self._work.table("changed").write_parquet(for_duckdb(_kept(keep, self._day)))
        return self._counted(files, self._looked_at + foreign)

    def _derive(self, some: pa.Table) -> None:
        import pyarrow as pa

        asked = self._asked
        self._looked_at += len(some)
        again = map_again(
            self._work, asked.catalog, asked.source.name, some["details"].to_pylist(), asked.event_types
        )  # fmt: skip
        had = some.append_column("record", pa.array(range(len(some)), pa.int64()))
        with _shown(self._work, had=had, became=again.rows):
            only = not asked.source.outline or asked.source.mapping.events == 1
            self._run("derived", {"only": only, "stay": list(asked.underivable)})
        for record, why in self._rows("left"):
            self._left[again.left.get(record, why)] += 1
        if erased := self._rows("erased"):
            with _shown(self._work, of_erased=self._of_erased(erased)):
                self._run("keep_personal")
        self._run("keep_changed")

    def _of_erased(self, erased: Sequence[tuple[Any, ...]]) -> pa.Table:
        """Return the texts that erased events get: none that has something of a personal place."""
        import pyarrow as pa

        eraser, source = self._rules.eraser, self._asked.source.name
        found = [
            (record, *_impersonal(eraser, source, details, before, after))
            for record, details, *texts in erased
            for before, after in [(texts[:4], texts[4:])]
        ]
        names = ("record", *_TEXTS, "metadata")
        kinds = [pa.int64(), *[pa.string()] * 4]
        columns = zip(*found, strict=True)
        return pa.table([pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)], list(names))

    def _counted(self, files: tuple[DataFile, ...], looked_at: int) -> DerivedDay:
        types: Counter[tuple[str, str]] = Counter()
        columns: Counter[str] = Counter()
        erased = 0
        for before, after, events, were_erased, *each in self._rows("counted"):
            types[before, after] = events
            erased += were_erased
            columns.update({name: number for name, number in zip(COLUMNS, each, strict=True) if number})
        ((digest,),) = self._rows("digest")
        held = [self._held(name) if types else Counter() for name in ("held_before", "held_after")]
        return DerivedDay(
            self._day, files, looked_at, types, columns, erased, self._left, held[0], held[1], self._named_again(),
            f"{digest:016x}",
        )  # fmt: skip

    def _named_again(self) -> int:
        names = self._rules.names
        if names is None or not self._erased_users:
            return 0
        return sum(events for user, events in self._rows("new_users") if names.of(user) in self._erased_users)

    def _held(self, name: str) -> Counter[str]:
        holds = self._rules.holds
        if not holds:
            return Counter()
        step = fill_holds(statement(_FILE, name), holds, {})
        found = rows(self._work, step.sql, dict(step.parameters) or None)
        return Counter({holds[number].id: events for number, events in found})

    def _run(self, name: str, values: dict[str, object] | None = None) -> None:
        part = statement(_FILE, name)
        self._work.execute(part.text, part.bind(values or {}) or None)

    def _rows(self, name: str) -> list[tuple[Any, ...]]:
        return rows(self._work, statement(_FILE, name).text)


def _impersonal(
    eraser: Eraser, source: str, details: str | None, before: Sequence[str | None], after: Sequence[str | None]
) -> tuple[str | None, ...]:
    """Return action, resource, status and metadata of an erased event: each as it becomes, or as it is.

    Args:
        eraser: Knows where events name people.
        source: The event's source.
        details: What the event has of its record.
        before: Action, resource, status and metadata as they are.
        after: The same as the mapping makes them, and then user_id, ip_address and session_id.
    """
    action, resource, status, metadata, *named = after
    personal = eraser.at_places(Row(source, action, resource, status, details, metadata, *named))
    texts = [was if mentions(now, personal) else now for was, now in zip(before[:3], after[:3], strict=True)]
    return (*texts, _impersonal_metadata(before[3], metadata, personal))


def _impersonal_metadata(before: str | None, after: str | None, personal: set[str]) -> str | None:
    """Return the new metadata; a key that would have something personal keeps its value, or does not come."""
    if after is None or after == before or not any(text in after or "\\" in after for text in personal):
        return after
    was, new = parse(before or "{}"), parse(after)
    if not isinstance(new, dict):
        return before
    chosen = {key: (was if _names(value, personal) else new).get(key) for key, value in new.items()}
    return write({key: value for key, value in chosen.items() if value is not None})


def _names(value: Any, personal: set[str]) -> bool:
    text = write(value)
    return any(mentions(each.string, personal) or text[each.start : each.stop] in personal for each in scalars(text))


@contextmanager
def _engine(folder: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    with (
        TemporaryDirectory(prefix="auditlake-", dir=folder) as spill,
        connect(temp=Path(spill), memory=_MEMORY, exact_try=False) as connection,
    ):
        yield connection


@contextmanager
def _shown(connection: duckdb.DuckDBPyConnection, **tables: pa.Table) -> Iterator[None]:
    """Let statements read tables of Arrow under their names within this."""
    for name, table in tables.items():
        connection.register(name, table)
    yield
    for name in tables:
        connection.unregister(name)


def _bound(name: str, asked: Asked) -> tuple[str, dict[str, object]]:
    part = statement(_FILE, name)
    return part.text, part.bind(asked.values)


def _pieces(batches: Any) -> Iterator[pa.Table]:
    """Yield batches gathered to what is worth a round of statements."""
    import pyarrow as pa

    some: list[pa.RecordBatch] = []
    for batch in batches:
        some.append(batch)
        if sum(map(len, some)) >= _ROWS or sum(each.nbytes for each in some) >= _BYTES:
            yield pa.Table.from_batches(some)
            some = []
    if some:
        yield pa.Table.from_batches(some)
