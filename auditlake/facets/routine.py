"""What recurs, mostly every night: ``lake.routine``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditlake.context import Facet, LakeContext

if TYPE_CHECKING:
    from auditlake.collect.model import CollectSummary, PlaceListener
    from auditlake.site.prune import PrunePlan
    from auditlake.upkeep.routine import RoutineSummary, Verbs


class Routine(Facet):
    """New logs in, and all that a lake needs regularly.

    Args:
        context: The lake.
        verbs: Its other verbs.
    """

    def __init__(self, context: LakeContext, verbs: Verbs) -> None:
        super().__init__(context)
        self._verbs = verbs

    def collect(self, *, everything: bool = False, listen: PlaceListener = lambda _: None) -> CollectSummary:
        """Ingest what is new in the places that lake.toml names (``[[collect]]``) since the last time.

        Args:
            everything: Whether to read again what was taken before; events that the lake has are not landed twice.
            listen: Told after each commit how far a place is.

        Raises:
            SourceError: lake.toml names no place. What cannot be read is in the summary instead.
            LakeBusyError: Another process is collecting.
            CommitError: A commit was refused or could not be made durable; what was committed before stays.
        """
        from auditlake.collect.collect import collect

        return collect(self._context, everything=everything, listen=listen)

    def pruning(self) -> PrunePlan:
        """Return which old pages of ``LAKE/reports`` :meth:`prune` would remove now, and why others stay."""
        from auditlake.site.prune import plan_pruning

        return plan_pruning(self._context)

    def prune(self) -> PrunePlan:
        """Remove the pages of reports that are older than ``keep_pages`` of lake.toml; their JSON stays.

        Pages stay that are within the longest retention of a pack, the newest of their policy, or named by a review, a
        decision or an evidence pack; none goes while a hold is active. What goes is on record in the journal of runs.

        Raises:
            LakeError: The journal of runs cannot be written; nothing was removed.
        """
        from auditlake.site.prune import prune

        return prune(self._context)

    def nightly(
        self, *, catch_up: bool = False, if_due: bool = False, fail_on: Sequence[str] = (),
        operator: str | None = None, cache: bool = True,
    ) -> RoutineSummary:  # fmt: skip
        """Collect, flush, verify, report, compact, plan retention, and apply the plan where lake.toml lets it; prune.

        This is :meth:`run` of the schedule ``nightly``. A lake that does not declare it is judged as of now.

        Args:
            catch_up, if_due: As for :meth:`run`.
            fail_on: The statuses of policies, such as ``violation``, and of frameworks, such as ``fail``, that leave
                something for a person to do; ``no_data`` is one of both.
            operator: Who deletes, if something is deleted; the user of this process if None.
            cache: As for :meth:`auditlake.AuditLake.reports`.

        Raises:
            RunUnderWayError: Another nightly run is at work on this lake.
            LakeBusyError: A run of another schedule took longer than this lake waits.
        """
        return self._run("nightly", "nightly", fail_on, operator, catch_up=catch_up, if_due=if_due, cache=cache)

    def run(
        self, name: str, *, catch_up: bool = False, if_due: bool = False, fail_on: Sequence[str] = (),
        operator: str | None = None, cache: bool = True,
    ) -> RoutineSummary:  # fmt: skip
        """Do what a schedule asks for: collect, flush, and judge what it evaluates.

        Reports are judged as of the newest instant at which the schedule was due. A step that fails is told in the
        summary, and those that do not depend on it are still done. The schedule ``nightly`` has more steps: see
        :meth:`nightly`.

        Args:
            name: The schedule, as ``frameworks.yaml`` declares it.
            catch_up: Whether each earlier run that was due and that none satisfied is made up for, as of its own
                instant: the newest 31.
            if_due: Whether nothing is done where a run satisfied the newest instant already.
            fail_on: The statuses of policies, and of frameworks, as for :meth:`nightly`.
            operator: Who deletes, if something is deleted; the user of this process if None.
            cache: As for :meth:`auditlake.AuditLake.reports`.

        Raises:
            PackError: There is no such schedule, or ``frameworks.yaml`` cannot be used.
            RunUnderWayError: Another run of this schedule is at work on this lake.
            LakeBusyError: A run of another schedule took longer than this lake waits.
        """
        return self._run(name, "schedule", fail_on, operator, catch_up=catch_up, if_due=if_due, cache=cache)

    def _run(
        self, name: str, verb: str, fail_on: Sequence[str], operator: str | None, *, catch_up: bool, if_due: bool,
        cache: bool,
    ) -> RoutineSummary:  # fmt: skip
        from auditlake.upkeep.routine import run_schedule

        return run_schedule(
            self._context, self._verbs, name, catch_up=catch_up, if_due=if_due, fail_on=fail_on, operator=operator,
            verb=verb, cache=cache,
        )  # fmt: skip
