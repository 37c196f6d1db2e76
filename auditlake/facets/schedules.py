"""Which runs are due, and which of them happened: ``lake.schedules``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from auditlake.context import Facet
from auditlake.errors import PackError
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

    def add(
        self, name: str, *, every: str = "1d", at: str = "00:15", evaluate: Sequence[str] = ("all",),
        within: str = "6h",
    ) -> Schedule:  # fmt: skip
        """Declare a schedule in ``frameworks.yaml``; the ledger and the journal of runs then say so.

        Args:
            name: What to call it. The run of ``nightly`` does all that a lake needs every night.
            every: Whole days, or ``1h``, ``6h`` or ``12h``.
            at: When within such an interval, as ``HH:MM``, UTC. A week begins on Monday.
            evaluate: Ids of packs and policies, or ``all``.
            within: How late a run may be.

        Raises:
            PackError: The file cannot be used, or could not with this schedule in it; nothing was changed.
        """
        from auditlake.packs.schedules import adding, record_schedules, schedule_of
        from auditlake.storage.lake import write
        from auditlake.store.turn import recorded_policies

        schedule = schedule_of(name, every, at, evaluate, within)
        with recorded_policies(self._context):
            write(self._context.layout, self._context.layout.frameworks, adding(self._context, schedule))
        record_schedules(self._context)
        return schedule

    def timer(self, name: str, form: str) -> str:
        """Return what starts the runs of a schedule, as text to install.

        Args:
            name: The schedule.
            form: ``cron``, ``systemd``, ``github-actions`` or ``airflow``.

        Raises:
            PackError: There is no such schedule or form, or ``frameworks.yaml`` cannot be used.
        """
        from auditlake.packs.schedules import lake_schedule
        from auditlake.runs.due import next_due
        from auditlake.upkeep.timers import FORMS, timer_of

        if form not in FORMS:
            raise PackError(f"there is no form {form!r} of a schedule", hint=f"there are {', '.join(FORMS)}")
        schedule = lake_schedule(self._context.layout, name)
        due = next_due(schedule, self._context.now)
        return FORMS[form](timer_of(schedule, self._context.layout.root, due))

    def standing(self) -> tuple[Standing, ...]:
        """Return how each schedule stands now, by name: since when it is on record, what ran, what is due next.

        Raises:
            PackError: ``frameworks.yaml`` cannot be used.
            LakeError: The journal of runs cannot be read, or a line is none of ours.
        """
        from auditlake.packs.schedules import standings

        return standings(self._context)
