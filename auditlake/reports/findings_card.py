"""What a notebook shows of findings."""

from __future__ import annotations

from collections.abc import Sequence

from auditlake.display.cards import Card, Shown, cells
from auditlake.display.text import count, moment
from auditlake.findings.finding import Finding
from auditlake.policies.kinds import finding_kinds

_SHOWN = 20
_HEADINGS = ("finding", "kind", "who or what", "start", "end", "peak", "state", "message")


class Findings(tuple[Finding, ...], Shown):
    """Findings in the order of their report."""

    __slots__ = ()

    def _card(self) -> Card:
        return findings_card([(None, each) for each in self])


def findings_card(findings: Sequence[tuple[str | None, Finding]]) -> Card:
    """Return findings as a card, each with the policy or control that found it where there may be several."""
    policies = any(policy is not None for policy, _ in findings)
    rows = [(policy, *_row(each)) if policies else _row(each) for policy, each in findings[:_SHOWN]]
    note = f"the first {_SHOWN} of {count(len(findings), 'finding')}" if len(findings) > _SHOWN else ""
    headings = (("found by", *_HEADINGS) if policies else _HEADINGS) if rows else ()
    return Card("findings", count(len(findings), "finding"), headings=headings, rows=cells(rows), note=note)


def _row(finding: Finding) -> Sequence[object]:
    end = "goes on" if finding.start is not None and finding.end is None else finding.end
    accepted = finding.accepted
    state = "open" if accepted is None else f"accepted until {moment(accepted.until)}"
    kind = finding_kinds().get(finding.kind)
    return (
        finding.id,
        kind.noun if kind else finding.kind.replace("_", " "),
        finding.about,
        finding.start,
        end,
        finding.peak,
        state,
        finding.message,
    )
