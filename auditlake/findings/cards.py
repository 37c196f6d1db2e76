"""What a notebook shows of a report and of its findings."""

from __future__ import annotations

from collections.abc import Sequence

from auditlake.display.cards import Card, Fact
from auditlake.display.shown import Shown, cells, cut
from auditlake.display.text import count, moment, verdict_words
from auditlake.findings.finding import Finding
from auditlake.policies.kinds import finding_kinds
from auditlake.reports.model import Report

_SHOWN = 20
_HEADINGS = ("finding", "kind", "who or what", "start", "end", "peak", "state", "said")


class Findings(tuple[Finding, ...], Shown):
    """Findings in the order of their report."""

    __slots__ = ()

    def _card(self) -> Card:
        return findings_card([(None, each) for each in self])


def findings_card(found: Sequence[tuple[str | None, Finding]]) -> Card:
    """Return findings, each with the policy that found it where there may be several."""
    policies = any(policy is not None for policy, _ in found)
    rows = [(policy, *_row(each)) if policies else _row(each) for policy, each in found[:_SHOWN]]
    headings = (("policy", *_HEADINGS) if policies else _HEADINGS) if rows else ()
    return Card("findings", count(len(found), "finding"), headings=headings, rows=cells(rows), note=_more(found))


def report_card(report: Report) -> Card:
    """Return a report in short; the page says all."""
    answer, kept = report.threshold, report.retention
    asked = (
        Fact("events", f"{report.total_events:,}"),
        Fact(
            "threshold",
            f"{answer.alert_threshold:,} in {answer.window}" + "".join(f" by {c}" for c in answer.group_by)
            if answer
            else "not judged"
            if report.error
            else "none",
        ),
        Fact("due for deletion", f"{kept.due:,}" if kept else "none: no retention period"),
    )
    facts = (
        Fact("period", f"{moment(report.since)} to {moment(report.until)}"),
        Fact("as of", moment(report.as_of)),
        Fact("snapshot", str(report.evidence.snapshot)),
        *(() if report.is_unread else asked),
        Fact("why", verdict_words(report)),
    )
    found = Findings(report.violations)
    headings, rows = (_HEADINGS, cells(map(_row, found[:_SHOWN]))) if found else ((), ())
    note = "; ".join(filter(None, [_more(found), '.chart("daily_peaks"), .findings, .html(), .json()']))
    return Card("report", cut(report.policy_name), report.status, facts, headings, rows, note)


def _row(finding: Finding) -> Sequence[object]:
    about = finding.event_type or ", ".join((finding.group or {}).values()) or None
    end = "goes on" if finding.start is not None and finding.end is None else finding.end
    accepted = finding.accepted
    state = "open" if accepted is None else f"accepted until {moment(accepted.until)}"
    return (
        finding.id,
        finding_kinds()[finding.kind].noun,
        about,
        finding.start,
        end,
        finding.peak,
        state,
        finding.message,
    )


def _more(found: Sequence[object]) -> str:
    return f"the first {_SHOWN} of {count(len(found), 'finding')}" if len(found) > _SHOWN else ""
