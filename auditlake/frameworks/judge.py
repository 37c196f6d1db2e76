"""A pack judged: a pure function of the pack, reports of policies, decisions, runs, and facts of the lake."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from auditlake.frameworks.controls import decision_for, judged_controls, own_policies
from auditlake.frameworks.coverage import coverage_of
from auditlake.frameworks.kept import retention_rows
from auditlake.frameworks.model import (
    SHOWS,
    STATUSES,
    ControlResult,
    Evidence,
    FrameworkReport,
    PolicyAnswer,
    Setting,
    worst,
)
from auditlake.frameworks.records.model import Case
from auditlake.frameworks.words import numbers_of, sentence_of, verdict_of
from auditlake.packs.model import State, qualified
from auditlake.packs.parameters import is_same, is_weaker, shown_value
from auditlake.policies.model import Policy


def judge(
    case: Case,
    *,
    evidence: Evidence,
    generated_at: datetime | None = None,
    made: Mapping[str, tuple[str, str]] | None = None,
    places: Mapping[str, str] | None = None,
) -> FrameworkReport:
    """Judge a pack.

    Args:
        case: Everything that it is judged by.
        evidence: Where the numbers come from.
        generated_at: What the report says about when it was made; as_of if None.
        made: By policy, the digest of its report's JSON and the report's file name without its ending.
        places: Where the lake sets parameters, as file:line:column.
    """
    pack, question = case.pack, case.question
    controls = judged_controls(case)
    day, numbers = question.as_of.date(), numbers_of(controls)
    status = worst([
        each.status for each in controls
        if each.status != "not_applicable"
        and (each.shows != "nothing" or (each.status == "fail" and each.basis == "statement"))
    ])  # fmt: skip
    state = pack.state_on(day)
    coverage = coverage_of(case)
    types = sorted(case.governed([each for each in pack.policies if each not in pack.unready]))
    ids = {qualified(pack.id, each) for each in pack.policies}
    ids |= {f"{pack.id}/{each}" for control in pack.controls for each in (control.id, control.was)}
    return FrameworkReport(
        pack_id=pack.id, framework=pack.framework, edition=pack.edition, publisher=pack.publisher, about=pack.about,
        revision=pack.revision, digest=pack.digest, extends=pack.extends, recheck=pack.recheck,
        is_recheck_due=pack.recheck <= day, state=state, next_state=_next_state(case), watch=pack.watch,
        as_of=question.as_of, since=question.since, until=question.until,
        generated_at=generated_at or question.as_of, status=status, verdict=verdict_of(status, state),
        sentence=sentence_of(
            numbers["failing"], numbers["applicable"], numbers["showable"], numbers["passing"],
            numbers["passing_only_logging"],
        ),
        counts={
            name: {shows: sum((each.status, each.shows) == (name, shows) for each in controls) for shows in SHOWS}
            for name in STATUSES
        },
        settings=_settings(case, places or {}), controls=controls, coverage=coverage,
        retention=retention_rows(types, case), policies=_policies(case, controls, made or {}),
        sources=pack.sources, evidence=evidence,
        resolutions=tuple(each for each in case.decisions.resolutions if each.subject.policy_id in ids), **numbers,
    )  # fmt: skip


def _next_state(case: Case) -> State | None:
    """Return the first state after the day of as_of that differs from the one of that day."""
    day, pack = case.question.as_of.date(), case.pack
    now = pack.state_on(day)
    coming = (each for each in pack.states if each.since > day and pack.state_on(each.since) == each)
    return next((each for each in coming if now is None or each.state != now.state), None)


def _settings(case: Case, places: Mapping[str, str]) -> tuple[Setting, ...]:
    """Return the parameters that have another value than the default, and those that are the lake's to set."""
    settings = []
    for name, parameter in sorted(case.pack.parameters.items()):
        value, default = shown_value(case.pack.values[name]), shown_value(parameter.default)
        is_free, is_default = parameter.stricter == "free", is_same(parameter, case.pack.values[name], default)
        decision = decision_for(name, case)
        if is_free or not is_default:
            settings.append(Setting(
                name, value, default, is_default, is_free, is_weaker(parameter, case.pack.values[name]),
                parameter.cites, places.get(name), None if decision is None else decision.owner, decision,
            ))  # fmt: skip
    return tuple(settings)


def _policies(
    case: Case, controls: tuple[ControlResult, ...], made: Mapping[str, tuple[str, str]]
) -> tuple[PolicyAnswer, ...]:
    """Return what the reports say in short: of the pack's policies, then of the lake's own that are checks."""
    named: dict[str, list[str]] = {}
    for each in controls:
        about = [check.policy for check in each.checks if check.policy] + [*each.related]
        about += [policy for check in each.checks for policy in check.of]
        for policy_id in dict.fromkeys(about):
            named.setdefault(policy_id, []).append(each.id)
    own = sorted({each for control in case.pack.controls for each in own_policies(control, case)})
    by_id = {each.id: each for each in case.policies}
    answers = [
        _policy(policy, case, named, made) for policy in sorted(case.pack.policies.values(), key=lambda each: each.id)
    ]
    return (*answers, *(_policy(by_id[each], case, named, made, own=True) for each in own))


def _policy(
    policy: Policy, case: Case, named: Mapping[str, list[str]], made: Mapping[str, tuple[str, str]], *,
    own: bool = False,
) -> PolicyAnswer:  # fmt: skip
    report = case.reports.get(policy.id)
    digest, stem = made.get(policy.id, (None, None))
    about = (policy.id, policy.name, policy.description, policy.severity)
    controls = tuple(named.get(policy.id, ()))
    if report is None:
        return PolicyAnswer(*about, "not_evaluated", None, 0, 0, 0, controls, policy.digest, digest, stem, own)
    accepted = [case.acceptance(case.seen(policy.id, each)) for each in report.violations]
    status: Any = report.status
    if status in ("compliant", "violation"):  # as of as_of: what was accepted later does not count
        status = "violation" if None in accepted else "compliant"
    return PolicyAnswer(
        *about, status, report.error, report.total_events, len(report.violations), accepted.count(None), controls,
        policy.digest, digest, stem, own,
    )  # fmt: skip
