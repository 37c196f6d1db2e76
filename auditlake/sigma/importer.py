"""Rules become policies of a lake, each told with what came of it; and a folder of rules is compared with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.disk.files import SMALL, read_file
from auditlake.errors import MappingError, PolicyError, SourceError
from auditlake.policies.loader import load_policy
from auditlake.sigma.conversion import Conversion, Converted
from auditlake.sigma.model import DEFAULT_WINDOW, Outcome, RefusedRule, Rule
from auditlake.sigma.policy_file import Made, made_from, policy_text
from auditlake.sigma.seen import count_seen
from auditlake.sources.catalog import catalog_of
from auditlake.storage.lake import write
from auditlake.store.turn import recorded_policies

if TYPE_CHECKING:
    from auditlake.sigma.seen import Lookup

_LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to become of one rule."""

    outcome: Outcome
    converted: Converted | None = None
    text: str = ""


def import_rules(
    context: LakeContext,
    paths: Sequence[Path],
    *,
    window: str = DEFAULT_WINDOW,
    sources: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> tuple[Outcome, ...]:
    """Make policies of rules. Those that are there already and were not edited are made anew.

    Args:
        context: The lake.
        paths: Rule files, and folders that are read with all below them.
        window: The window of a policy whose rule is about single events.
        sources: Sources by logsource, such as ``jvm/application``, which go before those that are known.
        dry_run: Only tell what would be done.

    Returns:
        What came of each rule, in the order of the files.

    Raises:
        SourceError: A path is not there, pySigma is not installed, or a source is unknown.
        LakeError: The lake cannot be written.
    """
    plans = _planned(context, paths, window, sources or {})
    written = [each for each in plans if each.outcome.state in ("new", "changed")]
    if written and not dry_run:
        with recorded_policies(context):
            for each in written:
                write(context.layout, context.layout.policy(each.outcome.policy_id), each.text.encode())
    return _with_fields(context, plans)


def check_rules(
    context: LakeContext, paths: Sequence[Path], *, window: str = DEFAULT_WINDOW,
    sources: Mapping[str, str] | None = None,
) -> tuple[Outcome, ...]:  # fmt: skip
    """Return what an import of rules would do, and which policies have lost their rule. Nothing is changed.

    Args:
        context: The lake.
        paths: Rule files, and folders that are read with all below them.
        window, sources: As for :func:`import_rules`.

    Raises:
        SourceError: A path is not there, pySigma is not installed, or a source is unknown.
    """
    plans = _planned(context, paths, window, sources or {})
    outcomes = _with_fields(context, plans)
    known = {each.policy_id for each in outcomes}
    gone = (
        Outcome(made.origins[0].path if made.origins else "", "", made.key, "gone", policy_id=policy_id)
        for policy_id, made in _made(context).items()
        if policy_id not in known
    )
    return (*outcomes, *gone)


def _planned(context: LakeContext, paths: Sequence[Path], window: str, sources: Mapping[str, str]) -> list[_Plan]:
    """Return what is to become of each rule."""
    from auditlake.sigma.rules import read_rules

    catalog = catalog_of(context.layout, context.config.event_types)
    for name in sources.values():
        if name not in catalog.sources:
            raise SourceError(f"there is no source {name!r}", hint=f"there are: {', '.join(sorted(catalog.sources))}")
    conversion = Conversion(catalog, sources, window)
    made = _made(context)
    names = _Names({each.key: policy_id for policy_id, each in made.items()}, _taken(context))
    return [_plan(context, conversion, rule, made, names) for rule in read_rules(paths)]


def _plan(context: LakeContext, conversion: Conversion, rule: Rule, made: Mapping[str, Made], names: _Names) -> _Plan:
    told = Outcome(rule.path, rule.title, rule.id, "refused", rule.fault)
    if rule.fault:
        return _Plan(told)
    if not rule.parsed._output:  # noqa: SLF001 - pySigma tells by it that a correlation alone wants the rule
        return _Plan(replace(told, state="part"))
    try:
        converted = conversion.convert(rule.parsed)
        text = policy_text(rule, converted, context.config.event_types)
        policy_id = names.of(rule)
        load_policy(text, f"{policy_id}.yaml", policy_id, event_types=context.config.event_types)
    except RefusedRule as error:
        return _Plan(replace(told, reason=str(error)))
    except (MappingError, PolicyError) as error:
        return _Plan(replace(told, reason="; ".join(error.problems)))
    told = replace(
        told, policy_id=policy_id, notes=converted.notes,
        sources=tuple(dict.fromkeys(part.source for part in converted.parts)),
    )  # fmt: skip
    return _Plan(_compared(context, told, made.get(policy_id), text), converted, text)


def _compared(context: LakeContext, told: Outcome, before: Made | None, text: str) -> Outcome:
    """Return what is to become of a policy, by what lies in its place."""
    if before is None:
        return replace(told, state="new")
    if before.is_edited:
        return replace(told, state="edited", reason="it was edited by hand; remove it to have it made anew")
    there = read_file(context.layout.policy(told.policy_id), within=context.layout.root, limit=SMALL)
    if there == text.encode():
        return replace(told, state="same")
    now = made_from(text)
    is_same_rule = now is not None and _digests(now) == _digests(before)
    return replace(told, state="changed", reason="its rule is as it was" if is_same_rule else "")


def _digests(made: Made) -> list[str]:
    return [each.digest for each in made.origins]


def _policy_files(context: LakeContext) -> Iterator[tuple[str, str]]:
    for path in sorted(context.layout.policies.glob("*.yaml")):
        try:
            yield path.stem, read_file(path, within=context.layout.root, limit=SMALL).decode("utf-8", "replace")
        except OSError:
            yield path.stem, ""


def _made(context: LakeContext) -> dict[str, Made]:
    """Return the policies of the lake that were made from rules."""
    files = ((policy_id, made_from(text)) for policy_id, text in _policy_files(context))
    return {policy_id: made for policy_id, made in files if made is not None}


def _taken(context: LakeContext) -> frozenset[str]:
    """Return the ids of all other policies."""
    return frozenset(policy_id for policy_id, text in _policy_files(context) if made_from(text) is None)


class _Names:
    """Gives each rule the id of its policy: that which it has, or its file's name, with a suffix if that is taken."""

    def __init__(self, by_key: Mapping[str, str], taken: Iterable[str]) -> None:
        self._by_key = by_key
        self._taken = {*taken, *by_key.values()}

    def of(self, rule: Rule) -> str:
        """Return the id of a rule's policy."""
        if rule.key in self._by_key:
            return self._by_key[rule.key]
        stem = re.sub(r"[^a-z0-9_-]+", "-", Path(rule.path).stem.lower()).strip("-_") or "sigma"
        suffix = rule.id[:8] or rule.origins[0].digest.removeprefix("sha256:")[:8]
        choices = [stem[:_LONGEST_ID], f"{stem[: _LONGEST_ID - 9]}-{suffix}"]
        choices += [f"{stem[: _LONGEST_ID - 14]}-{suffix}-{number}" for number in range(2, 1000)]
        name = next(each for each in choices if each not in self._taken)
        self._taken.add(name)
        return name


def _with_fields(context: LakeContext, plans: Sequence[_Plan]) -> tuple[Outcome, ...]:
    """Return the outcomes with what the lake's events have of each rule's fields."""
    lookup = count_seen(context, [part for each in plans if each.converted for part in each.converted.parts])
    return tuple(_with_seen(each, lookup) for each in plans)


def _with_seen(plan: _Plan, lookup: Lookup) -> Outcome:
    if plan.converted is None:
        return plan.outcome
    parts = plan.converted.parts
    fields = tuple(dict.fromkeys(each for part in parts for each in lookup.fields_of(part)))
    is_unknown = any(not lookup.events[part.source] and not lookup.is_absent(part) for part in parts)
    can_match = None if is_unknown else plan.converted.can_match(lookup.unseen(parts))
    absent = lookup.absences(parts)
    return replace(plan.outcome, fields=fields, can_match=can_match, absent=absent)
