"""A compliance report in Python: its numbers, and its card."""

from __future__ import annotations

from dataclasses import replace

from auditlake.display.cards import plain_card
from auditlake.reports.compliance import ComplianceReport
from tests.reports import samples

DIRECT = (
    "policy_id", "status", "status_now", "as_of", "since", "until", "total_events", "events_by_type", "threshold",
    "coverage", "retention",
)  # fmt: skip


def test_numbers_are_at_hand() -> None:
    """What a report says is an attribute of it, and its findings are too."""
    for report, detail in (samples.violation(), samples.compliant(), samples.no_data()):
        made = ComplianceReport(report, detail)
        assert {name: getattr(made, name) for name in DIRECT} == {name: getattr(report, name) for name in DIRECT}
        assert tuple(made.findings) == report.violations


def test_a_part_without_an_answer_is_none() -> None:
    """A policy without a threshold or a retention period has no such part."""
    report, detail = samples.compliant()
    made = ComplianceReport(replace(report, threshold=None, retention=None, status_now=None), detail)

    assert (made.threshold, made.retention, made.status_now) == (None, None, None)


def test_card() -> None:
    """A notebook shows the period, the numbers, why, and the first findings."""
    card = ComplianceReport(*samples.violation())._card()
    text = plain_card(card)

    assert (card.kind, card.title, card.status) == ("report", "Authentication Monitoring", "violation")
    assert "  threshold: 5 in 24h by user_id\n" in text
    assert "  why: The policy found 6 episodes" in text
    assert len(card.rows) == 9
    assert card.note.startswith(".chart(")
