"""What a notebook shows of a report."""

from __future__ import annotations

from auditlake.display.cards import Card, CardFact, cut
from auditlake.display.text import moment
from auditlake.reports.findings_card import findings_card
from auditlake.reports.model import Report
from auditlake.reports.sentences import verdict_words


def report_card(report: Report) -> Card:
    """Return a report in short; its page has all of it."""
    answer, kept = report.threshold, report.retention
    asked = (
        CardFact("events", f"{report.total_events:,}"),
        CardFact(
            "threshold",
            f"{answer.alert_threshold:,} in {answer.window}" + "".join(f" by {c}" for c in answer.group_by)
            if answer
            else "not judged"
            if report.error
            else "none",
        ),
        CardFact("due for deletion", f"{kept.due:,}" if kept else "none: no retention period"),
    )
    facts = (
        CardFact("period", f"{moment(report.since)} to {moment(report.until)}"),
        CardFact("as of", moment(report.as_of)),
        CardFact("snapshot", str(report.evidence.snapshot)),
        *(() if report.is_unread else asked),
        CardFact("why", verdict_words(report)),
    )
    findings = findings_card([(None, each) for each in report.violations])
    note = "; ".join(filter(None, [findings.note, '.chart("daily_peaks"), .findings, .html(), .json()']))
    return Card("report", cut(report.policy_name), report.status, facts, findings.headings, findings.rows, note)
