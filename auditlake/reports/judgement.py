"""A policy's report as every form has it."""

from __future__ import annotations

from auditlake.forms.model import OUTCOMES, Check, Item, Judgement
from auditlake.reports.model import Report
from auditlake.reports.sentences import VERDICTS, verdict_words


def judgement_of(report: Report, digest: str, stem: str) -> Judgement:
    """Return what a policy's report says: the policy is the only item, and its only check.

    Args:
        report: The report.
        digest: ``sha256:`` of its canonical JSON.
        stem: Its files' name without their ending.
    """
    outcome = OUTCOMES[report.status]
    if outcome == "pass" and report.violations:
        outcome = "exception"
    why = verdict_words(report)
    check = Check("policy", report.status, outcome, why, report.policy_id, report.violations, report.severity)
    item = Item(
        report.policy_id, report.policy_name, report.status, outcome, (why,), basis=None if report.error else "log",
        checks=(check,), severity=report.severity,
    )  # fmt: skip
    return Judgement(
        "policy", report.policy_id, report.policy_name, report.description, report.evidence.policy_digest,
        report.as_of, report.since, report.until, report.generated_at, report.status, outcome,
        VERDICTS[report.status], why, report.evidence.lake_id, report.evidence.snapshot, digest, stem, (item,),
    )  # fmt: skip
