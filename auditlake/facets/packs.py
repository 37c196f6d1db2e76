"""The packs of a lake: ``lake.packs``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.context import Facet
from auditlake.display.text import count
from auditlake.errors import AuditLakeError, PackError, RetentionError

if TYPE_CHECKING:
    from auditlake.analysis.policy_effect import PolicyEffect
    from auditlake.analysis.policy_tests import CheckResult
    from auditlake.packs.diff import PackDiff
    from auditlake.packs.effective import LakePacks
    from auditlake.packs.files import Revision
    from auditlake.packs.model import Pack


@dataclass(frozen=True, slots=True)
class PackCheck:
    """What is wrong with packs."""

    problems: tuple[str, ...]
    """Every mistake, each ``file:line:column: message``, and every weaker value that nobody has decided."""
    tests: tuple[CheckResult, ...]
    """What the tests within their policies gave."""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and all(each.passed for each in self.tests)


@dataclass(frozen=True, slots=True)
class PackEffect:
    """What changes with a pack that comes into a lake, or takes an earlier revision's place."""

    pack: Pack
    effect: PolicyEffect
    """Which events are kept longer or shorter."""
    without_data: dict[str, tuple[str, ...]]
    """The policies that the lake has no event for, by id within the pack, with their event types."""
    missed: dict[str, tuple[str, ...]]
    """The other policies that ask for event types of which the lake has none: each is a finding from the start."""


class Packs(Facet):
    """The frameworks that a lake is judged by; iterate over it for every pack."""

    def __iter__(self) -> Iterator[Pack]:
        return iter(self.all())

    def all(self) -> tuple[Pack, ...]:
        """Return every pack that the lake is judged by, with the lake's values, by id.

        Raises:
            PackError: One cannot be used; every mistake of every file is listed.
        """
        found = self.found()
        if found.problems:
            raise PackError(found.problems, hint="correct every line listed")
        return tuple(found.packs[name] for name in sorted(found.packs))

    def found(self) -> LakePacks:
        """Return the lake's packs and the mistakes in them: one that cannot be used does not stop the others."""
        from auditlake.packs.effective import lake_packs

        return lake_packs(self._context.layout, self._context.config.event_types)

    def get(self, pack_id: str) -> Pack:
        """Return one pack of the lake.

        Raises:
            PackError: The lake has none of that id, or it cannot be used.
        """
        return self.found().get(pack_id)

    def add(self, name: str, *, accept_weaker: str | None = None) -> Pack:
        """Copy a pack into the lake, which is judged by it from then on; ``frameworks.yaml`` names its revision.

        Args:
            name: The id of a pack that ships with auditlake, or a file.
            accept_weaker: Why it is right that events become due for deletion by it, or lose their personal data; the
                ledger has it. :meth:`effect` tells which before.

        Raises:
            PackError: It cannot be used, or the lake has it already.
            RetentionError: Events would become due or lose their personal data; nothing was changed.
        """
        from auditlake.packs.files import adding
        from auditlake.store.turn import recorded_policies

        with recorded_policies(self._context, accept_weaker):
            change = adding(self._context, name)
            if not (accept_weaker or "").strip():
                _refuse(list(_taken(self._effect_of(change.pack).effect)), None)
            change.write(self._context.layout)
        return change.pack

    def effect(self, name: str) -> PackEffect:
        """Return what a pack would change that is added. Nothing is changed.

        Args:
            name: As for :meth:`add`.

        Raises:
            PackError: It cannot be used, or the lake has it already.
        """
        from auditlake.packs.files import adding

        return self._effect_of(adding(self._context, name).pack)

    def _effect_of(self, pack: Pack) -> PackEffect:
        from auditlake.analysis.policy_effect import effect
        from auditlake.query.view import engine

        ready = {name: policy for name, policy in pack.policies.items() if name not in pack.unready}
        with engine(self._context, None) as (connection, _):
            changes = effect(connection, self._context, self._context.now, pack.id, (), tuple(ready.values()))
        seen = {each.event_type for each in changes.types if each.events}
        without = {name: each.required_events for name, each in ready.items() if not seen & {*each.required_events}}
        asking = {name: each for name, each in ready.items() if name not in without and each.coverage != "optional"}
        lacking = {name: tuple(sorted({*each.required_events} - seen)) for name, each in asking.items()}
        return PackEffect(pack, changes, without, {name: types for name, types in lacking.items() if types})

    def check(self, *named: str) -> PackCheck:
        """Look for mistakes in packs, for weaker values that nobody has decided, and run the tests of their policies.

        Args:
            *named: Ids of packs, or ``.yaml`` files; every pack of the lake if none is named.
        """
        from auditlake.analysis.policy_tests import check_policies
        from auditlake.findings.journal import decisions_as_of, read
        from auditlake.packs.check import problems_of, unknown_of
        from auditlake.packs.effective import lake_packs, lake_policies
        from auditlake.packs.files import read_file_of_pack

        layout, types = self._context.layout, self._context.config.event_types
        packs: list[Pack] = []
        problems: list[str] = []
        for name in (each for each in named if each.endswith(".yaml")):
            try:
                packs.append(read_file_of_pack(Path(name), types, layout))
            except PackError as error:
                problems += error.problems
        ids = {name for name in named if not name.endswith(".yaml")}
        if ids or not named:
            found = lake_packs(layout, types, in_use=False)
            for name in ids - found.known:
                found.get(name)
            decided = decisions_as_of(read(layout), self._context.now)
            problems += problems_of(found.only(ids) if ids else found, decided.weakened)
            packs += [pack for name, pack in found.packs.items() if name in ids or not ids]
            if not ids:
                known = {each.id for each in lake_policies(layout, types, tolerant=True, packs=found)}
                problems += unknown_of(found, str(layout.frameworks), known)
        policies = [policy for pack in packs for policy in pack.policies.values()]
        return PackCheck(tuple(problems), check_policies(policies))

    def diff(self, pack_id: str, *, to: str | Path | None = None) -> PackDiff:
        """Return what another revision of a pack asks otherwise, and which controls would stand otherwise by that.

        Both are judged on the newest snapshot over the last ``report_period``, with what the lake sets.

        Args:
            pack_id: The pack.
            to: The file of the other revision; the one that ships with auditlake if None.

        Raises:
            PackError: One of the two cannot be used, or the lake does not have the pack.
        """
        from auditlake.packs.files import revision

        found = revision(self._context, pack_id, None if to is None else Path(to))
        return self._with_effect(_diff_of(found), found)

    def upgrade(self, pack_id: str, *, to: str | Path | None = None, accept_weaker: str | None = None) -> PackDiff:
        """Put a later revision of a pack in its place; the old file stays in ``packs/old``.

        What it extends comes with it in a later revision, if there is one beside the file or with auditlake.

        Args:
            pack_id: The pack.
            to: The file of the later revision; the one that ships with auditlake if None.
            accept_weaker: Why retention that becomes weaker by it is right; the ledger has it.

        Raises:
            PackError: It cannot be used, is no later revision, or the lake's values do not fit it.
            RetentionError: Retention would become weaker; nothing was changed.
        """
        from auditlake.packs.effective import lake_policies
        from auditlake.packs.files import refuse_earlier, replacing, revision
        from auditlake.retention.terms import shortened, state_of, terms_of
        from auditlake.store.turn import recorded_policies

        context, config = self._context, self._context.config
        with recorded_policies(context, accept_weaker):
            found = revision(context, pack_id, None if to is None else Path(to))
            refuse_earlier(context, found)
            change = replacing(context, found)
            policies = (
                lake_policies(context.layout, config.event_types, tolerant=True, packs=each)
                for each in (change.before, change.after)
            )  # fmt: skip
            was, becomes = (terms_of(each, (), config.default_retention) for each in policies)
            _refuse(shortened([state_of(was)], becomes), accept_weaker)
            change.write(context.layout)
        return _diff_of(found)

    def _with_effect(self, diff: PackDiff, found: Revision) -> PackDiff:
        """Return the same with what both revisions find, as far as the lake can be judged by them."""
        from auditlake.facets.frameworks import Frameworks
        from auditlake.frameworks.effect import effect_of
        from auditlake.frameworks.run import Where
        from auditlake.landing.flush import flush
        from auditlake.packs.diff import Judged
        from auditlake.packs.files import replacing

        try:
            change = replacing(self._context, found)
            version, now = flush(self._context, reading=True).snapshot, self._context.now
            frameworks = Frameworks(self._context, lambda: version)
            reports = []
            for packs in (change.before, change.after):
                with frameworks.judged(
                    (), [diff.pack_id], only=True, where=Where(packs), as_of=now, pages=False, cache=False
                ) as made:
                    if made.faults:
                        raise PackError(tuple(each for why in made.faults.values() for each in why))
                    reports.append(made.frameworks[0].report)
        except AuditLakeError as error:
            return replace(diff, not_judged=str(error))
        old, new = reports
        effect = effect_of(old, new)
        controls = len(new.controls) + sum(each.after is None for each in effect)
        how = Judged(version, new.since, new.until, controls, old.status, new.status)
        return replace(diff, effect=effect, judged=how)


def _taken(effect: PolicyEffect) -> Iterator[str]:
    """Yield what the next ``retention apply`` takes that it would have left, in sentences."""
    for each in effect.types:
        if each.becomes_due:
            due = count(each.becomes_due, "event")
            yield f"{due} of {each.event_type} would be due, which were kept {each.before} and would be {each.after}"
    if effect.pseudonymise:
        yield f"{count(effect.pseudonymise, 'event')} would lose personal data"


def _diff_of(found: Revision) -> PackDiff:
    from auditlake.packs.diff import Difference, pack_diff

    base = tuple(Difference("base", name, "revision", *each) for name, each in found.bases.items())
    return pack_diff(found.old, found.new, base)


def _refuse(weaker: Sequence[str], accepted: str | None) -> None:
    """Refuse retention that becomes weaker without a reason.

    Raises:
        RetentionError: There is none.
    """
    if weaker and not (accepted or "").strip():
        message = f"nothing was changed, since retention would become weaker: {'; '.join(weaker)}"
        raise RetentionError(message, hint="if that is right: --accept-weaker REASON, which is recorded")
