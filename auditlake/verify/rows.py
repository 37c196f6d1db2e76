"""Every row hashed again: what is in the files, by batch and day, whatever state they are in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from auditlake.disk.files import is_file
from auditlake.engine.duck import connect, view_events
from auditlake.engine.paths import for_duckdb
from auditlake.engine.statements import statement
from auditlake.events.schema import FILE_COLUMNS
from auditlake.ledger.leaves import Part, hash_events, leaves
from auditlake.ledger.merkle import root

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
_MEMORY = "700MB"
_ROWS = 1_000_000
"""About how many rows are hashed by one statement: many small days together."""
_EPOCH = date(1970, 1, 1)

Key = tuple[int, date]
"""A batch and a day."""
Replaced = Mapping[int, tuple[bytes, bytes | None]]
"""By seq: the leaf that an event was appended with, and the one that it has now; None if it went."""


@dataclass(slots=True)
class Found:
    """The parts that the files hold, with their roots as they were appended."""

    parts: dict[Key, list[Part]] = field(default_factory=dict)
    """More than one of a key where files of several days hold rows of it, which is wrong."""
    problems: dict[Path, str] = field(default_factory=dict)
    """Files that cannot be read, and why."""


def hash_rows(days: Mapping[date, Sequence[tuple[Path, int]]], replaced: Mapping[Key, Replaced]) -> Found:
    """Hash every row of the files of these days.

    A file that cannot be read is named, and the others are read without it, whatever is thrown on the way.

    Args:
        days: The files of each day, with about how many rows they have.
        replaced: The events of parts that were removed or changed.
    """
    hashed = Found()
    for group in _groups(days):
        parts = _parts([file for day in group for file, _ in days[day]], replaced)
        if isinstance(parts, str):
            parts = [part for day in group for part in _salvage(hashed, [file for file, _ in days[day]], replaced)]
        for part in parts:
            hashed.parts.setdefault((part.batch, part.day), []).append(part)
    return hashed


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


def _salvage(result: Found, files: Sequence[Path], replaced: Mapping[Key, Replaced]) -> list[Part]:
    """Return the parts of a day without the files that cannot be read."""
    whole = []
    for file in files:
        if isinstance(why := _parts([file], {}), str):
            result.problems[file] = why
        else:
            whole.append(file)
    parts = _parts(whole, replaced) if whole else []
    if isinstance(parts, str):
        result.problems |= dict.fromkeys(whole, parts)
        return []
    return parts


def _parts(files: Sequence[Path], replaced: Mapping[Key, Replaced]) -> list[Part] | str:
    """Return the parts of files, or why they cannot be read."""

    def read(connection: duckdb.DuckDBPyConnection) -> list[Part]:
        readable = [part for part, _ in hash_events(connection)]
        if changed := [part for part in readable if (part.batch, part.day) in replaced]:
            _keep_leaves(connection, changed)
        return [_as_appended(connection, part, replaced.get((part.batch, part.day))) for part in readable]

    return _attempt(files, read)


def file_leaves(file: Path, batch: int, day: date) -> list[tuple[int, bytes]]:
    """``seq`` and leaf of the rows of one part that a file holds, in order; none if it cannot be read."""
    found = _attempt([file], lambda connection: part_leaves(connection, batch, day))
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


def part_leaves(connection: duckdb.DuckDBPyConnection, batch: int, day: date) -> list[tuple[int, bytes]]:
    """``seq`` and leaf of the rows of one part of the view ``events``, in order."""
    number = (day - _EPOCH).days
    rows = leaves(connection).filter(f"batch = {batch:d} and day = {number:d}").to_arrow_table()
    return sorted(zip(rows["seq"].to_pylist(), rows["leaf"].to_pylist(), strict=True))


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
        leaves = as_appended(rows, replaced)
    except ValueError:
        return part
    return Part(part.batch, part.day, len(leaves), root(b"".join(leaf for _, leaf in leaves)))


def checkpoint_files(path: Path, *, within: Path) -> frozenset[str] | None:
    """Return the files that a checkpoint of the Delta log lists; None if it is no file ``within`` the lake, or
    damaged.
    """
    if not is_file(path, within=within):
        return None
    part = statement("ledger/leaves.sql", "delta_checkpoint")
    listed = _attempt([], lambda connection: connection.execute(part.text, {"path": for_duckdb(path)}).fetchall())
    return None if isinstance(listed, str) else frozenset(unquote(file) for (file,) in listed)
