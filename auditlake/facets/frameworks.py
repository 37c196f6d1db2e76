"""The frameworks that a lake is judged by: ``lake.frameworks``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Unpack

from auditlake.context import Facet, LakeContext

if TYPE_CHECKING:
    from auditlake.frameworks.framework import Framework
    from auditlake.frameworks.run import JudgedFrameworks, Where
    from auditlake.policies.request import ReportOptions


class Frameworks(Facet):
    """How the controls of the lake's packs stand.

    Args:
        context: The lake.
        flush: Brings what was logged into the table, and returns the newest snapshot.
    """

    def __init__(self, context: LakeContext, flush: Callable[[], int]) -> None:
        super().__init__(context)
        self._flush = flush

    def report(self, pack_id: str, **options: Unpack[ReportOptions]) -> Framework:
        """Return the report of one pack; the options are those of :meth:`reports`."""
        return self.reports(pack_id, **options)[0]

    def reports(self, *pack_ids: str, **options: Unpack[ReportOptions]) -> tuple[Framework, ...]:
        """Return the reports of packs on one snapshot, of every pack of the lake if none is named.

        Args:
            *pack_ids: Which packs.
            **options: Those of :meth:`auditlake.AuditLake.reports`. The period is one ``report_period`` of lake.toml
                until ``as_of``, unless it is said.

        Raises:
            PackError: A pack cannot be used or is not one of the lake's, or sets a value that is weaker than the clause
                while nobody has decided so.
            ReportError: The period makes no sense.
            SnapshotError: The snapshot does not exist or cannot be read exactly any more.
        """
        from auditlake.errors import PackError

        with self.judged((), pack_ids, only=True, **options) as judged:
            if judged.faults:
                raise PackError(
                    tuple(each for why in judged.faults.values() for each in why), hint="correct them first"
                )
            return judged.frameworks

    def judged(
        self,
        policy_ids: Sequence[str],
        pack_ids: Sequence[str] | None,
        *,
        only: bool = False,
        again: bool = False,
        where: Where | None = None,
        arrived_by: int | None = None,
        from_rows: bool = False,
        **options: Unpack[ReportOptions],
    ) -> AbstractContextManager[JudgedFrameworks]:
        """Judge policies and packs on one snapshot, with the engine still open.

        Args:
            policy_ids: The policies; all of them if none is named.
            pack_ids: The packs; all of them if none is named, no pack if None.
            only: Whether to judge no policies but those that the packs need.
            again: Whether to repeat a report that was made before.
            where: By which packs and how much of the journal of runs.
            arrived_by: Judge only events that this version of the lake or an earlier one brought; all of them if None.
            from_rows: Whether each number is counted from rows, as it is where a report is repeated.
            **options: Those of :meth:`auditlake.AuditLake.reports`.
        """
        from auditlake.facets.holds import Holds
        from auditlake.frameworks.run import judged_frameworks
        from auditlake.policies.request import ReportRequest

        request = ReportRequest(
            policy_ids=tuple(policy_ids), again=again, arrived_by=arrived_by, from_rows=from_rows or again, **options
        )
        holds = where.holds if where and where.holds is not None else Holds(self._context).binding()
        return judged_frameworks(
            self._context, request, pack_ids, holds=holds, flush=self._flush, only=only, where=where
        )
