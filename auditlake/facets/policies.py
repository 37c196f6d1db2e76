"""The policies of a lake: ``lake.policies``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.context import Facet
from auditlake.events.times import Instant, judged_as_of
from auditlake.policies.model import Policy

if TYPE_CHECKING:
    from auditlake.analysis.draft import PolicyDraft, UsualType
    from auditlake.analysis.policy_effect import PolicyEffect
    from auditlake.analysis.policy_tests import CheckResult
    from auditlake.config import LakeConfig
    from auditlake.disk.layout import Layout
    from auditlake.policies.compile import CompiledQuery
    from auditlake.reports.plans import Plan
    from auditlake.sigma.model import Outcome
    from auditlake.spark.check import EngineCheck


def classes_of(layout: Layout, config: LakeConfig) -> Callable[[], Mapping[str, str]]:
    """Return what gives the retention class of each event type of a lake, by the policies that there are then."""

    def classes() -> Mapping[str, str]:
        from auditlake.packs.classes import lake_classes

        return lake_classes(layout, config)

    return classes


class Policies(Facet):
    """What a lake is judged by; iterate over it for every policy."""

    def __iter__(self) -> Iterator[Policy]:
        return iter(self.all())

    def all(self, *, tolerant: bool = False) -> tuple[Policy, ...]:
        """Return every policy of the lake, by id.

        Args:
            tolerant: Whether to return, for a file that cannot be used, a policy that asks nothing and has the reason
                as its ``fault``.

        Raises:
            PolicyError: Files cannot be used; every mistake of every file is listed.
        """
        from auditlake.packs.effective import lake_policies

        context = self._context
        return lake_policies(context.layout, context.config.event_types, tolerant=tolerant)

    def get(self, policy_id: str) -> Policy:
        """Return one policy.

        Raises:
            PolicyNotFoundError: The lake has none of that id.
            PolicyError: Its file cannot be used.
        """
        from auditlake.policies.files import chosen, refuse_unreadable

        (policy,) = chosen(self.all(tolerant=True), [policy_id])
        refuse_unreadable([policy])
        return policy

    def usual(self) -> tuple[UsualType, ...]:
        """Return what the newest 90 days of the lake hold: events a day and the longest silence, by event type."""
        from auditlake.analysis.draft import usual_types

        return usual_types(self._context)

    def draft(self, *event_types: str) -> PolicyDraft:
        """Return a first policy about these types, to be finished by hand; its threshold is above what was usual.

        Usual is what the newest 90 days of the lake hold. Nothing is changed.

        Raises:
            PolicyError: No type is named, or the lake does not know one of them.
        """
        from auditlake.analysis.draft import draft_policy

        return draft_policy(self._context, event_types)

    def add(self, file: str | Path, *, replace: bool = False) -> Policy:
        """Check a policy file and copy it into the lake; its name is the policy's id.

        :meth:`effect` tells before what changes. What becomes due by it, the next ``lake.retention.apply`` deletes.

        Args:
            file: The ``.yaml`` file.
            replace: Whether it takes the place of a policy of that id.

        Raises:
            PolicyError: It cannot be used, or the lake has another of its name and ``replace`` is not set.
        """
        from auditlake.policies.files import add_policy

        return add_policy(self._context, Path(file), replace=replace)

    def remove(self, policy_id: str) -> None:
        """Take a policy out of the lake. What it kept from deletion may then be due.

        Raises:
            PolicyNotFoundError: The lake has none of that id.
        """
        from auditlake.policies.files import remove_policy

        remove_policy(self._context, policy_id)

    def import_sigma(
        self,
        *paths: str | Path,
        window: str = "24h",
        sources: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> tuple[Outcome, ...]:
        """Make policies of detection rules of Sigma; needs the extra ``auditlake[sigma]``.

        A policy that was made from the same rule before is made anew, unless it was edited by hand.

        Args:
            *paths: Rule files, and folders that are read with all below them.
            window: The window of a policy whose rule is about single events.
            sources: Sources by logsource, such as ``{"jvm/application": "shop"}``, which go before those that are
                known.
            dry_run: Whether to tell only what would be done.

        Returns:
            What came of each rule: its policy, or why it was refused; and in how many events each of its fields is.

        Raises:
            SourceError: A path is not there, pySigma is not installed, or there is no such source.
            LakeError: The lake cannot be written.
        """
        from auditlake.sigma.importer import import_rules

        return import_rules(self._context, [*map(Path, paths)], window=window, sources=sources, dry_run=dry_run)

    def check_sigma(
        self, *paths: str | Path, window: str = "24h", sources: Mapping[str, str] | None = None
    ) -> tuple[Outcome, ...]:
        """Return what an import of rules would change, and which policies have lost their rule; nothing is changed.

        Args:
            *paths, window, sources: As for :meth:`import_sigma`.

        Raises:
            SourceError: A path is not there, pySigma is not installed, or there is no such source.
        """
        from auditlake.sigma.importer import check_rules

        return check_rules(self._context, [*map(Path, paths)], window=window, sources=sources)

    def check_engine(self, name: str | None = None) -> EngineCheck:
        """Try an engine on the newest files of the lake, and say which policies it can be asked for.

        Args:
            name: ``slices``, or the address of a server of Spark Connect; that of lake.toml if None.

        Raises:
            EngineError: The engine is ``duckdb``, which is asked for everything.
        """
        from auditlake.errors import EngineError
        from auditlake.policies.slices import not_by_slices
        from auditlake.spark.check import EngineCheck, check_engine
        from auditlake.store.file_types import types_in
        from auditlake.store.snapshot import file_paths, read_snapshot

        layout, chosen = self._context.layout, name or self._context.config.engine
        if chosen == "duckdb":
            raise EngineError("duckdb is asked for everything", hint="name slices, or sc://HOST:PORT")
        newest = sorted(read_snapshot(layout).files, key=lambda file: file.day)[-1:]
        found = dict(pair for file in newest for pair in types_in(layout, file) or ())
        files = file_paths(layout, newest)
        policies = {policy.id: not_by_slices(policy) for policy in self.all(tolerant=True)}
        return EngineCheck(
            chosen.partition("/;")[0], check_engine(chosen, files, sum(found.values()), sorted(found)), policies
        )

    def check(self, *named: str) -> tuple[CheckResult, ...]:
        """Run the tests inside policies.

        Args:
            *named: Ids or ``.yaml`` files; every policy of the lake if none is named.
        """
        from auditlake.analysis.policy_tests import check_policies
        from auditlake.packs.effective import named_policies

        context = self._context
        return check_policies(named_policies(context.layout, context.config.event_types, named, in_use=False))

    def sql(self, policy_id: str, *, as_of: Instant | None = None) -> tuple[CompiledQuery, ...]:
        """Return what a report of the policy runs, with the values that it binds.

        A report of several policies makes ``moments`` a table, and otherwise runs the same.
        """
        from auditlake.facets.holds import Holds
        from auditlake.packs.effective import named_policies
        from auditlake.policies.compile import compile_policy
        from auditlake.policies.question import PeriodRequest, question

        context = self._context
        (policy,) = named_policies(context.layout, context.config.event_types, [policy_id])
        instant = judged_as_of(as_of, context.now)
        asked = question(policy, PeriodRequest(), instant, context.config.report_period)
        return compile_policy(policy, self.all(tolerant=True), asked, holds=Holds(context).binding())

    def plan(self, policy_id: str, *, as_of: Instant | None = None) -> Plan:
        """Return by which plan a report of the policy would be answered on the lake as it is now, and why.

        What was logged and is not in the table yet does not count. Counts that the lake keeps are made where they are
        missing, as a report does.
        """
        from auditlake.facets.holds import Holds
        from auditlake.packs.effective import named_policies
        from auditlake.policies.question import PeriodRequest, question
        from auditlake.reports.plans import plan_of

        context = self._context
        (policy,) = named_policies(context.layout, context.config.event_types, [policy_id])
        asked = question(policy, PeriodRequest(), judged_as_of(as_of, context.now), context.config.report_period)
        return plan_of(context, policy, self.all(tolerant=True), Holds(context).binding(), asked)

    def effect(self, file: str | Path, *, replace: bool = False) -> PolicyEffect:
        """Return what a policy file would change: which events are kept longer or shorter, and how many become due.

        Nothing is changed.

        Raises:
            PolicyError: It cannot be used, or the lake has another of its name and ``replace`` is not set.
        """
        from auditlake.policies.files import read_policy, refuse_other

        policy = read_policy(Path(file), self._context.config.event_types)
        refuse_other(self._context.layout, policy, replace=replace)
        return self._effect(policy.id, policy)

    def removal_effect(self, policy_id: str) -> PolicyEffect:
        """Return what would change without a policy. Nothing is changed.

        Raises:
            PolicyNotFoundError: The lake has none of that id.
        """
        from auditlake.policies.files import refuse_unknown

        refuse_unknown(self._context.layout, policy_id)
        return self._effect(policy_id, None)

    def _effect(self, policy_id: str, policy: Policy | None) -> PolicyEffect:
        from auditlake.analysis.policy_effect import policy_effect
        from auditlake.query.view import engine

        context = self._context
        with engine(context, None) as (connection, _):
            return policy_effect(connection, context, context.now, policy_id, policy)
