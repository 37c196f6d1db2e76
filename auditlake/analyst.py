"""The verbs of a lake that are for people who explore it; :class:`auditlake.AuditLake` has them all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.config import LakeConfig
from auditlake.disk.layout import Layout
from auditlake.display.cards import Card, Fact
from auditlake.display.shown import Shown, cells, cut
from auditlake.errors import AuditLakeError
from auditlake.events.times import Instant, judged_as_of
from auditlake.machine import Clock
from auditlake.policies.model import Policy
from auditlake.policies.question import PeriodRequest, question

if TYPE_CHECKING:
    from auditlake.analysis.backtest import Backtest
    from auditlake.analysis.connect import Recipes
    from auditlake.analysis.policy_effect import PolicyEffect
    from auditlake.store.delta import Snapshot
    from auditlake.store.table import IngestOptions


THRESHOLDS = range(1, 51)
"""The thresholds that a backtest tries unless others are named."""


class AnalystVerbs(Shown):
    """Backtests, ways to open the lake with other programs, and what a notebook shows of it."""

    layout: Layout
    config: LakeConfig
    _clock: Clock

    if TYPE_CHECKING:

        def policies(self) -> tuple[Policy, ...]: ...  # noqa: D102 - these are AuditLake's
        def snapshot(self, version: int | None = None) -> Snapshot: ...  # noqa: D102
        def _options(self) -> IngestOptions: ...

    def backtest(
        self,
        policy: str | Path | Policy,
        *,
        thresholds: Iterable[int] = THRESHOLDS,
        windows: Sequence[str] | None = None,
        as_of: Instant | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        last: str | None = None,
        period: str | None = None,
        snapshot: int | None = None,
    ) -> Backtest:
        """How many episodes each threshold of each window would have given: one pass for all thresholds of a window.

        Args:
            policy: Its id, a .yaml file, or a policy that need not be the lake's; its threshold plays no part.
            thresholds: Which to try.
            windows: Lengths such as ``1h``; the policy's own if None.
            as_of, since, until, last, period: As for :meth:`reports`.
            snapshot: The version of the lake to read; if None the newest, and what was logged and is not flushed.

        Raises:
            PolicyError: The policy is not there, or a threshold or a window makes no sense.
            ReportError: The period makes no sense.
        """
        from auditlake.analysis.backtest import backtest
        from auditlake.policies.files import named_policies
        from auditlake.query.view import engine

        if not isinstance(policy, Policy):
            (policy,) = named_policies(self.layout, self.config.event_types, [str(policy)])
        instant = self._instant(as_of)
        request = PeriodRequest(since, until, last, period)
        with engine(self.layout, self._options(), self._clock(), snapshot) as (connection, read):
            asked = question(policy, request, instant, self.config.report_period)
            return backtest(connection, policy, asked, read.version, thresholds=thresholds, windows=windows)

    def policy_effect(self, file: str | Path, *, replace: bool = False) -> PolicyEffect:
        """What a policy file would change if it were put into the lake: which events would be kept longer or shorter,
        and how many become due. Nothing is changed.

        Raises:
            PolicyError: It cannot be used, or the lake has another of its name and ``replace`` is not set.
        """
        from auditlake.policies.files import read_policy, refuse_other

        policy = read_policy(Path(file), self.config.event_types)
        refuse_other(self.layout, policy, replace=replace)
        return self._effect(policy.id, policy)

    def removal_effect(self, policy_id: str) -> PolicyEffect:
        """What would change if a policy were taken out of the lake. Nothing is changed.

        Raises:
            PolicyNotFoundError: The lake has none of that id.
        """
        from auditlake.policies.files import refuse_unknown

        refuse_unknown(self.layout, policy_id)
        return self._effect(policy_id, None)

    def _effect(self, policy_id: str, policy: Policy | None) -> PolicyEffect:
        from auditlake.analysis.policy_effect import policy_effect
        from auditlake.query.view import engine

        with engine(self.layout, self._options(), self._clock(), None) as (connection, _):
            return policy_effect(connection, self.layout, self.config, self._clock(), policy_id, policy)

    def connect(self, *, snapshot: int | None = None) -> Recipes:
        """Show how to open a snapshot with DuckDB, Polars and Spark; see :mod:`auditlake.analysis.connect`.

        Raises:
            SnapshotError: The snapshot does not exist or cannot be read exactly any more.
        """
        from auditlake.analysis.connect import recipes

        return recipes(self.layout, snapshot)

    def _instant(self, as_of: Instant | None) -> datetime:
        return judged_as_of(as_of, self._clock())

    def _card(self) -> Card:
        snapshot = self.snapshot()
        days = {file.day for file in snapshot.files}
        facts = [
            Fact("events", f"{snapshot.rows:,}"),
            Fact("days", f"{len(days):,}" + (f", {min(days)} to {max(days)}" if days else "")),
            Fact("snapshot", str(snapshot.version)),
        ]
        found: Sequence[Policy] = ()
        note = ".sql(), .events(), .report(), .backtest(); what is logged is in every answer"
        try:
            found = self.policies()
        except AuditLakeError as error:
            note = cut(f"its policies cannot be used: {error}")
        rows = [
            (each.id, each.alert_threshold, each.shown_window, ", ".join(each.group_by) or None,
             each.retention_period and str(each.retention_period), each.severity, ", ".join(each.required_events))
            for each in found
        ]  # fmt: skip
        headings = ("policy", "threshold", "window", "by", "keeps", "severity", "governs") if rows else ()
        return Card("lake", cut(str(self.layout.root)), "", tuple(facts), headings, cells(rows), note)
