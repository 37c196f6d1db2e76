"""Every row hashed again: what is in the files, by batch and day, whatever state they are in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from auditlake.disk.files import is_file
from auditlake.engine.duck import connect, view_events
from auditlake.engine.paths import for_duckdb
from auditlake.engine.statements import statement
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger.leaves import Key, Order, Part, Stretch, define_leaves, leaves, stretches
from auditlake.ledger.merkle import HASH_SIZE, GrowingTree, root
from auditlake.verify.file_claims import FileClaims, claims_of
from auditlake.verify.kept_hashes import KeptHashes

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
_MEMORY = "700MB"
_ROWS = 1_000_000
"""About how many rows are hashed by one statement: many small days together."""
_EPOCH = date(1970, 1, 1)

Replaced = Mapping[int, tuple[bytes, bytes | None]]
"""By seq: the leaf that an event was appended with, and the one that it has now; None if it went."""


@dataclass(frozen=True)
class Recorded:
    """What the ledger says that there is, and what became of it."""

    parts: Mapping[Key, Part]
    replaced: Mapping[Key, Replaced] = field(default_factory=dict)
    """What was kept of parts, as earlier versions did it."""
    kept: Mapping[Key, KeptHashes] = field(default_factory=dict)
    """What is kept of parts."""

    @cached_property
    def types(self) -> dict[tuple[int, date], dict[str, str]]:
        """The class of each event type of the batches on days that are ordered by type."""
        found: dict[tuple[int, date], dict[str, str]] = {}
        for part in self.parts.values():
            for name, _ in part.types:
                found.setdefault((part.batch, part.day), {})[name] = part.retention_class
        return found

    @cached_property
    def order(self) -> Order | None:
        """How the leaves of the batches are ordered; None where each is in the order of ``seq``."""
        ranked = {batch for batch, _ in self.types}
        if not ranked:
            return None
        names = sorted({name for each in self.types.values() for name in each})
        plain = {part.batch for part in self.parts.values()} - ranked
        return Order(names, min(ranked), sorted(batch for batch in plain if batch > min(ranked)))

    @cached_property
    def partial(self) -> frozenset[tuple[int, date]]:
        """The batches on days of which the tree needs what is kept."""
        return frozenset((batch, day) for batch, day, _ in self.kept)


@dataclass(slots=True)
class Found:
    """The parts that the files hold, with their roots as they were appended."""

    parts: dict[Key, list[Part]] = field(default_factory=dict)
    """More than one of a key where files of several days hold rows of it, which is wrong."""
    problems: dict[Path, str] = field(default_factory=dict)
    """Files that cannot be read, and why."""


def hash_rows(days: Mapping[date, Sequence[tuple[Path, int]]], recorded: Recorded) -> Found:
    """Hash every row of the files of these days.

    A file that cannot be read is named, and the others are read without it, whatever is thrown on the way.

    Args:
        days: The files of each day, with about how many rows they have.
        recorded: What is to be there.
    """
    hashed = Found()
    for group in _groups(days):
        parts = _parts([file for day in group for file, _ in days[day]], recorded)
        if isinstance(parts, str):
            parts = [part for day in group for part in _salvage(hashed, [file for file, _ in days[day]], recorded)]
        for part in parts:
            hashed.parts.setdefault(part.key, []).append(part)
    return hashed


def shown_alone(
    days: Collection[date], read: Mapping[date, Sequence[tuple[Path, int]]], hashed: Found, recorded: Recorded
) -> bool:
    """Return whether what was found of some days is found again where no others are read: no row lies among those of
    another day.

    Args:
        days: The days.
        read: The files that were read.
        hashed: What was found in these.
        recorded: What is to be there.
    """
    own = {day: files for day, files in read.items() if day in days}
    if len(own) == len(read):
        return True
    return hash_rows(own, recorded).parts == {key: parts for key, parts in hashed.parts.items() if key[1] in days}


def _groups(days: Mapping[date, Sequence[tuple[Path, int]]]) -> Iterator[list[date]]:
    group: list[date] = []
    rows = 0
    for day in sorted(days):
        size = sum(count for _, count in days[day])
        if group and rows + size > _ROWS:
            yield group
            group, rows = [], 0
        group.append(day)
        rows += size
    if group:
        yield group


def _salvage(result: Found, files: Sequence[Path], recorded: Recorded) -> list[Part]:
    """Return the parts of a day without the files that cannot be read."""
    whole = []
    for file in files:
        if isinstance(why := _parts([file], Recorded({})), str):
            result.problems[file] = why
        else:
            whole.append(file)
    parts = _parts(whole, recorded) if whole else []
    if isinstance(parts, str):
        result.problems |= dict.fromkeys(whole, parts)
        return []
    return parts


def _parts(files: Sequence[Path], recorded: Recorded) -> list[Part] | str:
    """Return the parts of files, or why they cannot be read."""

    def read(connection: duckdb.DuckDBPyConnection) -> list[Part]:
        readable = _Growing(recorded)
        for each in stretches(connection, recorded.order):
            readable.take(each)
        parts = readable.parts()
        if changed := [part for part in parts if part.key in recorded.replaced]:
            _keep_leaves(connection, changed)
        return [_as_appended(connection, part, recorded.replaced.get(part.key)) for part in parts]

    return _attempt(files, read)


class _Growing:
    """The parts of some files while their leaves come.

    Args:
        recorded: What is to be there.
    """

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._names = recorded.order.types if recorded.order else ()
        self._trees: dict[Key, GrowingTree] = {}
        self._types: dict[Key, Counter[str]] = {}
        self._whole: dict[tuple[int, date], list[tuple[str, bytes]]] = {}

    def take(self, each: Stretch) -> None:
        """Take the next leaves."""
        name = self._names[each.rank - 1] if each.rank else ""
        if (each.batch, each.day) in self._recorded.partial:
            self._whole.setdefault((each.batch, each.day), []).append((name, each.leaves))
            return
        of_class = self._recorded.types.get((each.batch, each.day), {}).get(name, "")
        key = (each.batch, each.day, of_class)
        self._trees.setdefault(key, GrowingTree()).extend(each.leaves)
        self._types.setdefault(key, Counter()).update({name: len(each.leaves) // HASH_SIZE} if name else {})

    def parts(self) -> list[Part]:
        """Return the parts."""
        found = [
            Part(*key[:2], tree.size, tree.root(), key[2], tuple(self._types[key].items()) if key[2] else ())
            for key, tree in self._trees.items()
        ]
        for (batch, day), rows in self._whole.items():
            found += parts_as_appended(self._recorded, batch, day, rows)
        return sorted(found, key=lambda part: part.key)


def parts_as_appended(recorded: Recorded, batch: int, day: date, rows: Sequence[tuple[str, bytes]]) -> Iterator[Part]:
    """Yield the parts of a batch on a day as they were appended, from the leaves that there are and what is kept.

    Args:
        recorded: What is to be there.
        batch: The batch.
        day: The day.
        rows: The leaves that there are, by event type, in order; of no type where they are not ordered by type.

    Yields:
        Each part as it was where all is as it should be; else what there is of it.
    """
    classes = recorded.types.get((batch, day), {})
    kept_here = {key: kept for key, kept in recorded.kept.items() if key[:2] == (batch, day)}
    there = Counter(leaf for _, hashes in rows for leaf in _each(hashes)) if kept_here else Counter[bytes]()
    by_class: dict[str, bytearray] = {of_class: bytearray() for _, _, of_class in kept_here}
    for name, hashes in without_changed(kept_here.values(), rows):
        by_class.setdefault(classes.get(name, ""), bytearray()).extend(hashes)
    for of_class, own in by_class.items():
        key = (batch, day, of_class)
        if own or key in kept_here:
            yield _as_it_was(recorded.parts.get(key), key, bytes(own), kept_here.get(key), there)


def _as_it_was(part: Part | None, key: Key, hashes: bytes, kept: KeptHashes | None, there: Mapping[bytes, int]) -> Part:
    """Return a part as it was appended if that is what the leaves and what is kept make; else what there is of it.

    Args:
        part: As it was appended; None if there is none.
        key: Which.
        hashes: The leaves that there are, but for those of changed events.
        kept: What is kept of it.
        there: How often each leaf is there of the batch on the day.
    """
    changed = [there[present] for _, present in kept.changed.values()] if kept is not None else []
    top = root(hashes) if kept is None else kept.root(hashes)
    if part is not None and top == part.root and all(number == 1 for number in changed):
        return part
    return Part(key[0], key[1], len(hashes) // HASH_SIZE + sum(changed), root(hashes), key[2])


def without_changed(kept: Iterable[KeptHashes], rows: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Return the leaves of a batch on a day without those of events that were changed and are what they became.

    Such an event may have another type now than when it was appended, so that no order tells its place.
    """
    changed = {present for each in kept for _, present in each.changed.values()}
    if not changed:
        return list(rows)
    return [(name, b"".join(leaf for leaf in _each(hashes) if leaf not in changed)) for name, hashes in rows]


def _each(hashes: bytes) -> Iterator[bytes]:
    return (hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE))


def file_leaves(file: Path, batch: int, day: date) -> list[tuple[str, int, bytes]]:
    """Type, ``seq`` and leaf of the rows that a file holds of a batch on a day, in order; none if it cannot be read."""
    found = _attempt([file], lambda connection: batch_leaves(connection, batch, day))
    return [] if isinstance(found, str) else found


def _attempt(files: Sequence[Path], read: Callable[[duckdb.DuckDBPyConnection], T]) -> T | str:
    """Read the view ``events`` of files, or return why that fails; on a connection of its own, which it may spoil."""
    try:
        with (
            TemporaryDirectory(prefix="auditlake-") as spill,
            connect(temp=Path(spill), memory=_MEMORY, exact_try=False) as connection,
        ):
            view_events(connection, files, columns=FILE_COLUMNS)
            return read(connection)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a damaged file may make a library throw anything
        return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def batch_leaves(connection: duckdb.DuckDBPyConnection, batch: int, day: date) -> list[tuple[str, int, bytes]]:
    """Type, ``seq`` and leaf of the rows of a batch on a day of the view ``events``, in order."""
    define_leaves(connection)
    which = {"batch": batch, "day": (day - _EPOCH).days}
    return connection.execute(statement("ledger/leaves.sql", "batch_leaves").text, which).fetchall()


def _keep_leaves(connection: duckdb.DuckDBPyConnection, parts: Sequence[Part]) -> None:
    """Make the table ``leaves_now`` of the leaves of some parts, and perhaps of others: the files are read once."""
    batches, days = {part.batch for part in parts}, {(part.day - _EPOCH).days for part in parts}
    listed = [", ".join(map(str, sorted(numbers))) for numbers in (batches, days)]
    leaves(connection).filter(f"batch in ({listed[0]}) and day in ({listed[1]})").create_view("some_leaves")
    connection.execute(statement("ledger/leaves.sql", "keep_leaves").text)


def _kept_leaves(connection: duckdb.DuckDBPyConnection, part: Part) -> list[tuple[int, bytes]]:
    which = {"batch": part.batch, "day": (part.day - _EPOCH).days}
    return connection.execute(statement("ledger/leaves.sql", "kept_leaves").text, which).fetchall()


def as_appended(rows: Sequence[tuple[int, bytes]], replaced: Replaced) -> list[tuple[int, bytes]]:
    """Return the leaves that a part was appended with, from those that it has now.

    Raises:
        ValueError: What is there now is not what the ledger says is there instead.
    """
    now = dict(rows)
    if len(now) != len(rows):
        raise ValueError("there are rows of the same number")
    for seq, (_, present) in replaced.items():
        if now.get(seq) != present:
            raise ValueError(f"row {seq} is not what the ledger says became of it")
    return sorted({**now, **{seq: original for seq, (original, _) in replaced.items()}}.items())


def _as_appended(connection: duckdb.DuckDBPyConnection, part: Part, replaced: Replaced | None) -> Part:
    if replaced is None:
        return part
    return appended_part(part, _kept_leaves(connection, part), replaced)


def appended_part(part: Part, rows: Sequence[tuple[int, bytes]], replaced: Replaced) -> Part:
    """Return a part as it was appended, from the leaves that it has now; as it is where they are not what they
    should be.
    """
    try:
        before = as_appended(rows, replaced)
    except ValueError:
        return part
    return replace(part, rows=len(before), root=root(b"".join(leaf for _, leaf in before)))


def checkpoint_files(path: Path, *, within: Path) -> dict[str, FileClaims] | None:
    """Return the files that a checkpoint of the Delta log lists, with what it claims of each; None if it is no file
    ``within`` the lake, or damaged.
    """
    if not is_file(path, within=within):
        return None
    part = statement("ledger/leaves.sql", "delta_checkpoint")
    listed = _attempt([], lambda connection: connection.execute(part.text, {"path": for_duckdb(path)}).fetchall())
    if isinstance(listed, str):
        return None
    adds = [json.loads(add) for (add,) in listed]
    return {unquote(add["path"]): claims_of(add) for add in adds}
