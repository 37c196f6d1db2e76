"""The data files of a snapshot as an Arrow table: Python objects are made of those that a verb touches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from auditlake.engine.arrow_rows import values
from auditlake.store.model import DataFile

if TYPE_CHECKING:
    import pyarrow as pa


class Files(Sequence[DataFile]):
    """Data files, sorted by path.

    Args:
        table: Their columns: those of a :class:`~auditlake.store.model.DataFile`, each path once.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table if _is_sorted(table) else table.sort_by("path")
        """The columns ``path``, ``day``, ``size``, ``rows``, ``first``, ``last`` and ``types``, by path."""

    @classmethod
    def of(cls, files: Iterable[DataFile]) -> Files:
        """Return some files as a table; what is one stays as it is."""
        import pyarrow as pa

        if isinstance(files, Files):
            return files
        listed = list(files)
        columns = {name: [getattr(file, name) for file in listed] for name in schema().names}
        return cls(pa.table(columns, schema=schema()))

    @cached_property
    def _listed(self) -> tuple[DataFile, ...]:
        *columns, types = map(values, self.table.columns)
        known = (None if each is None else tuple(each) for each in types)
        return tuple(map(DataFile, *columns, known))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[DataFile]:
        return iter(self._listed)

    @overload
    def __getitem__(self, place: int) -> DataFile: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[DataFile, ...]: ...
    def __getitem__(self, place: int | slice) -> DataFile | tuple[DataFile, ...]:
        return self._listed[place]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} files>"

    @property
    def rows(self) -> int:
        """How many events they hold."""
        from pyarrow import compute

        return int(compute.sum(self.table["rows"]).as_py() or 0)

    @property
    def paths(self) -> list[str]:
        """Their paths, sorted."""
        return list(self.table["path"].to_pylist())

    def of_days(self, days: Collection[date]) -> Files:
        """Return those of some days."""
        return self._where("day", days)

    def small(self, rows: int, size: int) -> Files:
        """Return those with fewer rows and fewer bytes than these."""
        from pyarrow import compute

        few, short = compute.less(self.table["rows"], rows), compute.less(self.table["size"], size)
        return Files(self.table.filter(compute.and_(few, short)))

    def named(self, paths: Collection[str] | pa.Array) -> Files:
        """Return those with some paths."""
        return self._where("path", paths)

    def without(self, paths: Collection[str] | pa.Array) -> Files:
        """Return all but those with some paths."""
        return self._where("path", paths, those=False) if len(paths) else self

    def and_also(self, files: Iterable[DataFile]) -> Files:
        """Return them and others."""
        import pyarrow as pa

        return Files(pa.concat_tables([self.table, Files.of(files).table]).combine_chunks())

    def _where(self, column: str, values: Collection[Any] | pa.Array, *, those: bool = True) -> Files:
        import pyarrow as pa
        from pyarrow import compute

        if not isinstance(values, pa.Array):
            values = pa.array(list(values), self.table.schema.field(column).type)
        chosen = compute.is_in(self.table[column], values)
        return Files(self.table.filter(chosen if those else compute.invert(chosen)))


def schema() -> pa.Schema:
    """Return the columns of a table of files."""
    import pyarrow as pa

    instant = pa.timestamp("us", "UTC")
    return pa.schema({
        "path": pa.string(), "day": pa.date32(), "size": pa.int64(), "rows": pa.int64(), "first": instant,
        "last": instant, "types": pa.map_(pa.string(), pa.int64()),
    })  # fmt: skip


def _is_sorted(table: pa.Table) -> bool:
    from pyarrow import compute

    paths = table["path"].combine_chunks()
    return len(paths) < 2 or bool(compute.all(compute.less(paths[:-1], paths[1:])).as_py())
