"""Episodes that are kept as columns, as the list of all findings has them: none of them is made.

What depends on a group, or on a group and a peak, is made once; Arrow puts the rest together.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditlake.engine.arrow_rows import table_rows
from auditlake.findings.finding import canonical_group
from auditlake.ledger.hashing import hexadecimal

if TYPE_CHECKING:
    import pyarrow as pa

    from auditlake.findings.many import EpisodeColumns

compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_DIGITS = 16
"""How many of a digest's an id has."""


class EpisodeTexts:
    """The ids, columns and lines of episodes.

    Args:
        policy_id: The policy.
        episodes: Its episodes.
    """

    def __init__(self, policy_id: str, episodes: EpisodeColumns) -> None:
        import numpy as np
        import pyarrow as pa

        self.episodes = episodes
        groups = [episodes.group(number) for number in range(len(episodes.groups))]
        canonical = [canonical_group(each) for each in groups]
        self._canonical = _texts([each or None for each in canonical])
        # The array that an id is made of, up to the start, and a line up to it, from the id on.
        self._id_head = _texts([f'{compact([policy_id, episodes.kind, each, ""])[:-1]},"' for each in canonical])
        kind, shown = compact(episodes.kind), [compact(dict(each or {})) for each in groups]
        self._line_head = _texts([f'","kind":{kind},"group":{each},"start":"' for each in shown])
        peaks = _whole(episodes.table["peak"]).dictionary_encode()
        number = max(len(peaks.dictionary), 1)
        pairs = pa.array(episodes.codes.astype(np.int64) * number + peaks.indices.to_numpy()).dictionary_encode()
        self._which = pairs.indices
        values = peaks.dictionary.to_pylist()
        # Of an episode's message all but group and peak are of no consequence: they are those of the first.
        messages = [
            episodes.make((episodes.groups[pair // number], *row[:4], values[pair % number], row[5])).message
            for row in table_rows(episodes.table.slice(0, 1))
            for pair in pairs.dictionary.to_pylist()
        ]
        self._messages = _texts(messages)
        self._line_tail = _texts([f'Z","message":{compact(each)}}}' for each in messages])

    def of(self, begin: int, end: int) -> tuple[list[pa.Array], pa.Array]:
        """Return some episodes.

        Returns:
            Their columns ``id``, ``group``, ``start``, ``end``, ``ongoing``, ``started_before_period``, ``peak``,
            ``peak_at`` and ``message``; and the lines that the digest of the list is over.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        table, codes = self.episodes.table.slice(begin, end - begin), pa.array(self.episodes.codes[begin:end])
        columns = {name: _whole(table[name]) for name in table.column_names}
        which = self._which.slice(begin, end - begin)
        started, ended, peaked = (_printed(columns[name]) for name in ("start", "end", "peak_at"))
        number = pc.utf8_slice_codeunits(hexadecimal(_joined(self._id_head.take(codes), started, 'Z"]')), 0, _DIGITS)
        number = number.cast(pa.string())
        lines = _joined(
            '{"id":"', number, self._line_head.take(codes), started,
            'Z","end":', pc.coalesce(_joined('"', ended, 'Z"'), "null"),
            ',"ongoing":', columns["ongoing"].cast(pa.string()),
            ',"started_before_period":', columns["started_before_period"].cast(pa.string()),
            ',"peak":', columns["peak"].cast(pa.string()), ',"peak_at":"', peaked, self._line_tail.take(which), "\n",
        )  # fmt: skip
        return [number, self._canonical.take(codes), *columns.values(), self._messages.take(which)], lines


def _joined(*pieces: pa.Array | str) -> pa.Array:
    """Return the texts that pieces make, one after the other; null where one of them is."""
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(*pieces, "")


def _texts(values: Sequence[str | None]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, pa.string())


def _printed(instants: pa.Array) -> pa.Array:
    """Return instants as a report has them, without their Z: in half the time that DuckDB takes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    printed = instants.cast(pa.int64()).cast(pa.timestamp("us")).cast(pa.string())
    return pc.binary_replace_slice(printed, 10, 11, "T")


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece."""
    import pyarrow as pa

    return pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
