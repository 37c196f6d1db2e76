"""How each control of a pack stands: the one precedence, in :func:`judged_controls`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Any

from auditlake.findings.decisions import Applicability, Statement, Weakening, is_in_force
from auditlake.findings.finding import Finding
from auditlake.frameworks.model import Basis, CheckResult, ControlResult, Status, worst
from auditlake.frameworks.records.catalog import CHECKS
from auditlake.frameworks.records.model import NOTHING_CAME, Case, result, undeclared
from auditlake.frameworks.words import reasons_of
from auditlake.packs.model import USUAL_QUESTIONS, Control, PolicyCheck, qualified
from auditlake.packs.parameters import is_same, needs_decision
from auditlake.policies import kinds

_NOBODY = "logs cannot show it, and nobody has stated it"


def judged_controls(case: Case) -> tuple[ControlResult, ...]:
    """Return how every control stands, in the order of the framework.

    1. Not applicable: by the lake's parameters, since it has ended, or by a decision in force.
    2. What a log cannot show: as a statement in force says; not evaluated without one.
    3. With parts: the worst of those that apply, and of its own checks.
    4. Else the worst of its checks: fail, not evaluated, no data, exception, pass.
    """
    controls = {each.id: each for each in case.pack.controls}
    judged: dict[str, ControlResult] = {}
    for name in TopologicalSorter({each.id: each.all_of for each in controls.values()}).static_order():  # parts first
        control = controls[name]
        judged[name] = _judged(control, case, [judged[each] for each in control.all_of])
    return tuple(judged[name] for name in controls)


def _judged(control: Control, case: Case, parts: Sequence[ControlResult]) -> ControlResult:
    about_it = (case.pack.id, control.id, control.was)
    statement, excused = case.decisions.statement(*about_it), case.decisions.not_applicable(*about_it)
    in_force = control.in_force
    about: dict[str, Any] = {
        "id": control.id, "title": control.title, "shows": control.shows, "says": control.says,
        "says_not": control.says_not, "parts": control.all_of, "cites": control.cites,
        "related": case.named(control.related),
        "in_force": in_force if in_force and in_force > case.question.until.date() else None,
        "ended": control.ended, "replaced_by": control.replaced_by, "was": control.was,
        "parameters": tuple(sorted(control.parameters)), "statement": statement, "applicability": excused,
    }  # fmt: skip

    def standing(status: Status, reasons: Sequence[str], basis: Basis | None, **more: Any) -> ControlResult:
        return ControlResult(status=status, reasons=tuple(reasons), basis=basis, **about, **more)

    if why := _not_applicable(control, case, excused):
        return standing("not_applicable", [why], None)
    if control.shows == "nothing":
        return standing(*_stated(statement, case))
    applying = [each for each in parts if each.status != "not_applicable"]
    checks = tuple(_checks(control, case))
    if parts and not applying and not checks:
        return standing("not_applicable", ["none of its parts applies"], None)
    compared = [(each.status, [f"{each.id}: {reason}" for reason in each.reasons]) for each in applying]
    compared += [(each.status, [each.reason]) for each in checks]
    status = worst([each for each, _ in compared])
    reasons = reasons_of(status, compared)
    basis = _basis(checks, applying)
    weakened = {name: decision_for(name, case) for name in _weaker(control, case)}
    standing_by = tuple(each for each in weakened.values() if each is not None)
    if ended := [name for name, decision in weakened.items() if decision is None]:
        weak = [f"{name} is weaker than the clause, and no decision in force lets it be" for name in ended]
        reasons = (*weak, *(reasons if status == "fail" else ()))
        return standing("fail", reasons, basis, checks=checks, weakenings=standing_by)
    if status == "pass" and standing_by:
        reasons = tuple(f"{each.parameter} is weaker than the clause: {each.reason}" for each in standing_by)
        status = "exception"
    return standing(status, reasons, basis, checks=checks, weakenings=standing_by)


# Whether it applies, and what people say


def _not_applicable(control: Control, case: Case, excused: Applicability | None) -> str:
    """Return why a control does not apply; empty if it does."""
    if control.only_if is not None and not control.only_if.holds(case.pack.values):
        return f"the lake's parameters say that it does not concern it: {control.only_if.text}"
    if control.ended is not None and control.ended <= case.question.until.date():
        return f"ended on {control.ended}" + (f", replaced by {control.replaced_by}" if control.replaced_by else "")
    return f"{excused.reason} (decided by {excused.owner} until {excused.until:%Y-%m-%d})" if excused else ""


def _stated(statement: Statement | None, case: Case) -> tuple[Status, list[str], Basis | None]:
    """Return how a control stands that a log cannot show."""
    if statement is None:
        return "not_evaluated", [_NOBODY], None
    if not is_in_force(statement, case.question.as_of):
        return "not_evaluated", [f"the statement of {statement.by} ended on {statement.until:%Y-%m-%d}"], None
    said = f"stated by {statement.by} on {statement.at:%Y-%m-%d}: {statement.note}"
    return ("pass" if statement.result == "met" else "fail"), [said], "statement"


def decision_for(parameter: str, case: Case) -> Weakening | None:
    """Return the decision in force that lets a parameter have the value that it has; None if there is none."""
    pack, decision = case.pack, case.decisions.weakened(case.pack.id).get(parameter)
    if decision is None or not is_same(pack.parameters[parameter], pack.values[parameter], decision.value):
        return None
    return decision


def _weaker(control: Control, case: Case) -> list[str]:
    """Return the parameters that bear on a control and ask for less than the framework, in order."""
    pack = case.pack
    return [
        name for name, parameter in sorted(pack.parameters.items())
        if needs_decision(parameter, pack.values[name]) and pack.bears_on(name, control)
    ]  # fmt: skip


# Its checks


def _checks(control: Control, case: Case) -> Iterator[CheckResult]:
    for check in control.policies:
        yield _policy_check(check, case)
    for policy_id in own_policies(control, case):
        yield _judged_policy(policy_id, USUAL_QUESTIONS, case)
    for record in control.records:
        if record.of and not case.named(record.of):  # no duty can be met about policies that the lake cannot judge
            yield result(record, control, case, "")
        else:
            yield CHECKS[record.kind](record, control, case)


def own_policies(control: Control, case: Case) -> list[str]:
    """Return the policies of the lake's own that name a control: each is one more check of it."""
    ids = {control.id, control.was}
    return [
        each.id for each in case.policies
        if control.shows != "nothing" and ids & {*each.controls.get(case.pack.framework, ())}
    ]  # fmt: skip


def _policy_check(check: PolicyCheck, case: Case) -> CheckResult:
    policy_id = qualified(case.pack.id, check.policy)
    if lacking := case.unready([check.policy]):
        return CheckResult("policy", "not_evaluated", undeclared(lacking), policy_id, check.asks)
    return _judged_policy(policy_id, check.asks, case)


def _judged_policy(policy_id: str, asks: tuple[str, ...], case: Case) -> CheckResult:
    """Return what a policy says to the questions asked; the first that applies of a fixed order."""
    report = case.reports.get(policy_id)
    if report is None or report.error is not None:
        why = report.error if report is not None else "it was not judged"
        return CheckResult("policy", "not_evaluated", f"{policy_id} could not be judged: {why}", policy_id, asks)
    counting = _finding_kinds(asks)
    findings = tuple(
        replace(each, accepted=case.acceptance(case.seen(policy_id, each)))
        for each in report.violations if each.kind in counting
    )  # fmt: skip
    status, reason = _of_findings(findings, report.total_events, case)
    measures = {"events": report.total_events}
    return CheckResult("policy", status, reason, policy_id, asks, findings, measures=measures)


def _of_findings(findings: Sequence[Finding], events: int, case: Case) -> tuple[Status, str]:
    if opened := [each for each in findings if each.accepted is None]:
        return "fail", opened[0].message + (f", and {len(opened) - 1:,} more" if opened[1:] else "")
    if not case.facts.received:
        return "no_data", NOTHING_CAME
    if findings:
        owners = sorted({each.accepted.owner for each in findings if each.accepted is not None})
        said = f"{len(findings):,} findings are" if findings[1:] else "1 finding is"
        return "exception", f"{said} accepted by {', '.join(owners)}"
    return "pass", f"{events:,} events, nothing missing"


def _finding_kinds(asks: Sequence[str]) -> frozenset[str]:
    """Return the kinds of findings that answer questions."""
    of = {"coverage": ("missing_required_type",), "gaps": ("coverage_gap",), "fields": ("field_incomplete",)}
    measured = {each.name for kind in kinds.measures() for each in kind.finding_kinds}
    return frozenset(name for ask in asks for name in of.get(ask, measured))


def _basis(checks: Sequence[CheckResult], parts: Sequence[ControlResult]) -> Basis | None:
    """Return what the checks rest on, and those of the parts; None where nothing was looked at."""
    looked = {"log" if each.kind == "policy" else "records" for each in checks if each.status != "not_evaluated"}
    for part in parts:
        looked |= {*(part.basis or "").split(" and ")} & {"log", "records"}
    stated = any(part.basis == "statement" for part in parts)
    if looked == {"log", "records"}:
        return "log and records"
    return "log" if "log" in looked else "records" if looked else "statement" if stated else None
