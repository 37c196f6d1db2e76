"""Which runs are due, and which of them happened: ``lake.schedules``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from auditlake.context import Facet
from auditlake.events.times import Instant, as_end_or_none, as_instant_or_none

if TYPE_CHECKING:
    from auditlake.packs.schedules import Standing
    from auditlake.runs.due import Due
    from auditlake.runs.model import Schedule


class Schedules(Facet):
    """The evaluations that ``frameworks.yaml`` declares to be due; iterate over it for every schedule."""

    def __iter__(self) -> Iterator[Schedule]:
        return iter(self.all())

    def all(self) -> tuple[Schedule, ...]:
        """Return every schedule that is declared now, in the order of the file.

        Raises:
            PackError: ``frameworks.yaml`` cannot be used.
        """
        from auditlake.packs.schedules import lake_schedules

        return lake_schedules(self._context.layout)

    def due(self, *, since: Instant | None = None, until: Instant | None = None) -> tuple[Due, ...]:
        """Return each run that was due by a schedule on record, and whether it happened.

        Args:
            since: Leave out what was due before; of a day, its beginning.
            until: As of when; of a day, its end. Now if None.

        Raises:
            LakeError: The journal of runs cannot be read, or a line is none of ours.
        """
        from auditlake.runs.due import due_runs
        from auditlake.runs.journal import read

        last = as_end_or_none(until) or self._context.now
        entries = [each for each in read(self._context.layout) if each.began <= last]
        return tuple(due_runs(entries, last, since=as_instant_or_none(since)))

    def standing(self) -> tuple[Standing, ...]:
        """Return how each schedule stands now, by name: since when it is on record, what ran, what is due next.

        Raises:
            PackError: ``frameworks.yaml`` cannot be used.
            LakeError: The journal of runs cannot be read, or a line is none of ours.
        """
        from auditlake.packs.schedules import standings

        return standings(self._context)
