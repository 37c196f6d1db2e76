"""Findings by the million: kept as columns, each made when it is looked at; and what is asked of all at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import eq
from typing import TYPE_CHECKING, Any, Self, overload

from auditlake.engine.arrow_rows import ArrowRows, table_rows
from auditlake.findings.decisions import Acceptance
from auditlake.findings.finding import Finding, canonical_group

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from auditlake.engine.model import Row

MOST_NAMED = 100_000
"""From how many findings on they are told by their number alone where each would be told by itself."""
_MADE_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeColumns(Sequence[Finding]):
    """Episodes of one policy without evidence of their own, in the order of a report: by start, then by group."""

    kind: str
    """The kind of all of them."""
    make: Callable[[Row], Finding]
    """Makes a finding of a row of ``rolling_counts``."""
    columns: tuple[str, ...]
    """What the policy groups by."""
    groups: tuple[tuple[str, ...], ...]
    """The values of each group."""
    codes: NDArray[np.int32]
    """For each episode the number of its group."""
    table: pa.Table
    """The other columns of ``rolling_counts``."""
    accepted: Mapping[int, Acceptance] = field(default_factory=dict)
    """The acceptances that cover episodes, by place."""

    @classmethod
    def of(cls, kind: str, rows: ArrowRows, columns: tuple[str, ...], make: Callable[[Row], Finding]) -> Self:
        """Return the rows of ``rolling_counts`` as episodes.

        Args:
            kind: The kind of their findings.
            rows: The rows, ordered by start.
            columns: What the policy groups by.
            make: Makes a finding of a row.
        """
        import numpy as np
        import pyarrow as pa

        key, *_ = rows.table.columns
        groups, codes = _numbered(key, len(columns))
        table = rows.table.remove_column(0)
        # The order of a report is that of groups as JSON text, where two episodes start at once.
        places = sorted(range(len(groups)), key=lambda at: canonical_group(dict(zip(columns, groups[at], strict=True))))
        ranks = np.empty(len(groups), np.int32)
        ranks[places] = np.arange(len(groups), dtype=np.int32)
        starts = table["start"].cast("int64").to_numpy()
        if bool(np.any((starts[1:] == starts[:-1]) & (ranks[codes[1:]] < ranks[codes[:-1]]))):
            order = np.lexsort((ranks[codes], starts))
            codes = codes[order]
            # Column by column, so that no other table is in memory meanwhile.
            table = pa.table([each.combine_chunks().take(order) for each in table.columns], table.column_names)
        else:
            table = table.combine_chunks()
        return cls(kind, make, columns, groups, codes, table)

    def group(self, number: int) -> Mapping[str, str] | None:
        """Return a group as findings have it."""
        return dict(zip(self.columns, self.groups[number], strict=True)) or None

    def by_group(self) -> Iterator[tuple[Mapping[str, str] | None, Mapping[str, int]]]:
        """Yield each group, with how many findings it has, how many of them are accepted, and the highest peak."""
        import numpy as np

        findings = np.bincount(self.codes, minlength=len(self.groups))
        accepted = np.bincount(self.codes[list(self.accepted)], minlength=len(self.groups))
        highest = np.full(len(self.groups), np.iinfo(np.int64).min)
        np.maximum.at(highest, self.codes, self.table["peak"].to_numpy())
        numbers = zip(findings.tolist(), accepted.tolist(), highest.tolist(), strict=True)
        for number, (own, dealt_with, peak) in enumerate(numbers):
            yield self.group(number), {"findings": own, "accepted": dealt_with, "peak": peak}

    def dealt_with(
        self, acceptances: Iterable[Acceptance], covering: Callable[[Finding], Acceptance | None]
    ) -> Self:  # fmt: skip
        """Return them with the acceptances that cover them.

        Args:
            acceptances: Those of the policy.
            covering: Returns the one that covers a finding.
        """
        import numpy as np

        wanted = {each.subject.group for each in acceptances if each.subject.kind == self.kind}
        numbers = [number for number in range(len(self.groups)) if canonical_group(self.group(number)) in wanted]
        places = np.flatnonzero(np.isin(self.codes, np.array(numbers, np.int32))).tolist()
        found = zip(places, map(covering, self.at(places)), strict=True)
        return replace(self, accepted={place: each for place, each in found if each is not None})

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, place: int) -> Finding: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, place: int | slice) -> Finding | tuple[Finding, ...]:
        """Return one finding, or some."""
        if isinstance(place, slice):
            return tuple(self.at(range(len(self))[place]))
        (one,) = self.at([range(len(self))[place]])
        return one

    def __iter__(self) -> Iterator[Finding]:
        return self.at(range(len(self)))

    def at(self, places: Sequence[int]) -> Iterator[Finding]:
        """Yield the findings at some places, in the order of these."""
        for begin in range(0, len(places), _MADE_AT_ONCE):
            some = places[begin : begin + _MADE_AT_ONCE]
            rows = table_rows(self.table.take(list(some)))
            for place, code, row in zip(some, self.codes[list(some)].tolist(), rows, strict=True):
                made = self.make((self.groups[code], *row))
                accepted = self.accepted.get(place)
                yield made if accepted is None else replace(made, accepted=accepted)


class ManyFindings(Sequence[Finding]):
    """All findings of a report, of which those of one kind are so many that they are not made.

    Args:
        before: Those of kinds before it, in order.
        many: Those of that kind.
        after: Those of kinds after it.
    """

    def __init__(self, before: Sequence[Finding], many: EpisodeColumns, after: Sequence[Finding]) -> None:
        self.pieces: tuple[Sequence[Finding] | EpisodeColumns, ...] = (before, many, after)
        self.made = (*before, *after)
        """The others."""
        self.many = many

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Finding]:
        return chain.from_iterable(self.pieces)

    @overload
    def __getitem__(self, place: int) -> Finding: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, place: int | slice) -> Finding | tuple[Finding, ...]:
        """Return one finding, or some."""
        if isinstance(place, slice):
            begin, end, step = place.indices(len(self))
            if step != 1:
                return tuple(self)[place]
            return tuple(chain.from_iterable(piece[own] for piece, own in self.within(begin, end)))
        at = range(len(self))[place]
        (one,) = self[at : at + 1]
        return one

    def within(self, begin: int, end: int) -> Iterator[tuple[Sequence[Finding] | EpisodeColumns, slice]]:
        """Yield each piece that has some of a stretch of findings, with where these are in it."""
        first = 0
        for piece in self.pieces:
            low, high = max(begin - first, 0), min(end - first, len(piece))
            if low < high:
                yield piece, slice(low, high)
            first += len(piece)


def of_kinds(findings: Sequence[Finding], names: Collection[str]) -> Sequence[Finding]:
    """Return the findings of some kinds, in order."""
    if isinstance(findings, ManyFindings):
        before, _, after = findings.pieces
        some_before, some_after = ([each for each in piece if each.kind in names] for piece in (before, after))
        if findings.many.kind in names:
            return ManyFindings(some_before, findings.many, some_after)
        return [*some_before, *some_after]
    return [each for each in findings if each.kind in names]


def numbers_by_kind(findings: Sequence[Finding]) -> Counter[str]:
    """Return how many findings there are of each kind."""
    if isinstance(findings, ManyFindings):
        return Counter({findings.many.kind: len(findings.many)}) + Counter(each.kind for each in findings.made)
    return Counter(each.kind for each in findings)


def accepted_ones(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that an acceptance covers, in order."""
    if isinstance(findings, ManyFindings):
        before, _, after = findings.pieces
        covered = findings.many.at(sorted(findings.many.accepted))
        return [each for each in (*before, *covered, *after) if each.accepted is not None]
    return [each for each in findings if each.accepted is not None]


def _numbered(key: pa.ChunkedArray, width: int) -> tuple[tuple[tuple[str, ...], ...], NDArray[np.int32]]:
    """Return the different keys of groups, and for each row the number of its own."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [key] if pa.types.is_string(key.type) else [pc.list_element(key, at) for at in range(width)]
    codes: NDArray[Any] = np.zeros(len(key), np.int64)
    values: list[tuple[str, ...]] = [()]
    for part in parts:
        encoded = part.dictionary_encode().unify_dictionaries()
        words = encoded.chunk(0).dictionary.to_pylist()
        own = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
        if len(values) == 1:
            values, codes = [(*values[0], word) for word in words], own
            continue
        numbers, codes = np.unique(codes.astype(np.int64) * len(words) + own, return_inverse=True)
        values = [(*values[number // len(words)], words[number % len(words)]) for number in numbers.tolist()]
    return tuple(values), codes.astype(np.int32)
