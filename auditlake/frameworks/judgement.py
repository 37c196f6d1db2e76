"""A framework report as every form has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditlake.forms.model import Check, Item, Judgement
from auditlake.frameworks.model import CheckResult, ControlResult, FrameworkReport
from auditlake.policies.model import SEVERITIES
from auditlake.runs.model import Entry, Run


def judgement_of(report: FrameworkReport, runs: Sequence[Entry], digest: str, stem: str) -> Judgement:
    """Return what a framework report says: its controls are the items.

    Args:
        report: The report.
        runs: The journal of runs.
        digest: ``sha256:`` of its canonical JSON.
        stem: Its files' name without their ending.
    """
    severities = {each.policy: each.severity for each in report.policies}
    return Judgement(
        "framework", report.pack_id, report.framework, report.about, report.digest, report.as_of, report.since,
        report.until, report.generated_at, report.status, report.status, report.verdict, report.sentence,
        report.evidence.lake_id, report.evidence.snapshot, digest, stem,
        tuple(_item(each, severities) for each in report.controls), edition=report.edition, revision=report.revision,
        publisher=report.publisher, state=report.state.state if report.state else "",
        runs=tuple(
            each for each in runs
            if isinstance(each, Run) and report.pack_id in each.packs and report.since < each.at <= report.until
        ),
    )  # fmt: skip


def _item(control: ControlResult, severities: Mapping[str, str]) -> Item:
    checks = tuple(_check(each, severities) for each in control.checks)
    severity = max((each.severity for each in checks if each.severity), key=SEVERITIES.index, default="")
    return Item(
        control.id, control.title, control.status, control.status, control.reasons, control.shows, control.basis,
        control.says, control.says_not, checks, control.parts, severity, control.statement, control.applicability,
        control.weakenings,
    )  # fmt: skip


def _check(check: CheckResult, severities: Mapping[str, str]) -> Check:
    policy = check.policy or ""
    asked = {"asks": list(check.asks), "of": list(check.of)}
    return Check(
        check.kind, check.status, check.status, check.reason, policy, check.findings, severities.get(policy, ""),
        {name: value for name, value in asked.items() if value} | dict(check.asked),
    )  # fmt: skip
