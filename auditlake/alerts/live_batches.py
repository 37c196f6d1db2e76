"""Lines of the landing become what policies count: mapped and judged exactly as an ingest would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa

from auditlake.alerts.measured import Span
from auditlake.alerts.model import Group
from auditlake.engine.duck import connect, rows
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Row
from auditlake.engine.statements import statement
from auditlake.events.schema import CANONICAL, SELF
from auditlake.ingest.mapping import STAGED, map_records
from auditlake.ingest.record_buffer import RecordBuffer
from auditlake.policies.compile import filled
from auditlake.policies.kinds.threshold import group_values
from auditlake.policies.model import Policy
from auditlake.policies.sieve import Sifter
from auditlake.sources.model import Damage
from auditlake.sources.split import split_lines

_GENERATION = 250_000
"""So many events are remembered before the memory grows old; two generations are kept."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a policy counts of some events in one of its groups."""

    group: Group
    moments: Sequence[int]
    """When they happened, in order, in microseconds since 1970."""
    identities: Sequence[int]
    """Of each, a number that stands for its source and id."""
    doubtful: Sequence[int] = ()
    """When others happened of which the same id was read before, saying something else."""


class _Bytes(list[bytes]):
    """Lines that are at hand, as the splitter takes them."""

    damage: Damage | None = None


class Batches:
    """Micro-batches of live lines: what each policy counts of the events that were not read before.

    Args:
        event_types: The types that the lake knows.
        max_record: Bytes; a longer record is none.
        threads: As many as DuckDB may use; as many as there are cores if None.
    """

    def __init__(self, event_types: frozenset[str], max_record: int, threads: int | None) -> None:
        self._connection = connect(threads=threads)
        self._event_types = event_types
        self._max = max_record
        self._base = 0
        self._sifter, self._sifted = Sifter(()), list[tuple[str, str | None]]()
        self.forget()

    def close(self) -> None:
        """Let go of DuckDB."""
        self._connection.close()

    def forget(self) -> None:
        """Forget what was read."""
        self._run("seen_lately")
        self._run("seen_before")

    def remember(self, seen: Any) -> None:
        """Note events that were read elsewhere: an Arrow table of ``identity`` and ``content``."""
        self._connection.register("seen_elsewhere", seen)
        self._run("remember_these")
        self._connection.unregister("seen_elsewhere")

    def take(self, lines: Sequence[bytes], now: datetime, own: Sequence[bytes] = ()) -> None:
        """Read a micro-batch: :meth:`counted` is about it from then on. Each record has a ``seq`` of its own.

        Args:
            lines: What applications logged.
            now: When it is read.
            own: What auditlake says about itself.
        """
        mapped = [*self._mapped(lines, CANONICAL), *self._mapped(own, SELF)]
        self._connection.register("staged", pa.concat_tables(mapped) if mapped else STAGED.empty_table())
        self._run("fresh", {"now": now})
        self._run("events")
        self._run("remember")
        ((size,),) = rows(self._connection, statement("alerts/batch.sql", "seen_size").text)
        if size > _GENERATION:
            self._run("grow_old")
            self._run("seen_lately")

    def _mapped(self, lines: Sequence[bytes], source: str) -> Iterator[pa.Table]:
        buffer = RecordBuffer()
        read = 0
        for batch in split_lines(_Bytes(lines), self._max):
            read += len(batch) + len(batch.rejected)
            if len(batch):
                buffer.add(0, batch, self._base, source)
            if buffer.full:
                yield map_records(self._connection, buffer, self._event_types).rows
                buffer = RecordBuffer()
        if buffer.batches:
            yield map_records(self._connection, buffer, self._event_types).rows
        self._base += read

    def concerned(self, policies: Sequence[Policy]) -> list[Policy]:
        """Return those of some policies that may count anything of the batch: one scan tells it of all of them."""
        asked = [(policy.id, policy.where) for policy in policies]
        if asked != self._sifted:
            self._sifter, self._sifted = Sifter(policies), asked
        left_out = self._sifter.left_out(DuckEngine(self._connection))
        return [policy for policy in policies if policy.id not in left_out]

    def counted(self, policy: Policy) -> Iterator[Counted]:
        """Run a statement of ``sql/alerts``, and yield what a policy counts, in the statement's order."""
        return counted(partial(rows, self._connection), "batch", "sightings", policy, {})

    def spans(self, judged: datetime, ahead: datetime) -> tuple[dict[str, Span], int | None]:
        """Return when the events of each type in the batch happened, and the first of all that is after ``ahead``."""
        part = statement("alerts/batch.sql", "spans_of_types")
        found = rows(self._connection, part.text, part.bind({"judged": judged, "ahead": ahead}))
        beyond = min((each for *_, each in found if each is not None), default=None)
        return {event_type: (first, late) for event_type, first, late, _ in found}, beyond

    def _run(self, name: str, values: Mapping[str, object] | None = None) -> None:
        part = statement("alerts/batch.sql", name)
        self._connection.execute(part.text, part.bind(dict(values or {})) or None)


def counted(
    ask: Callable[[str, Mapping[str, object]], list[Row]],
    file: str,
    name: str,
    policy: Policy,
    values: Mapping[str, object],
) -> Iterator[Counted]:
    """Run a statement of ``sql/alerts``, and yield what a policy counts, in the statement's order."""
    part = statement(f"alerts/{file}.sql", name)
    known = {"types": list(policy.required_events), "alert_threshold": policy.alert_threshold, **values}
    for key, moments, identities, doubtful in ask(filled(part, policy), part.bind(known)):
        yield Counted(group_values(key), moments or (), identities or (), doubtful or ())
