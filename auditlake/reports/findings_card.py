"""What a notebook shows of findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import eq
from typing import overload

from auditlake.display.cards import Card, Shown, cells
from auditlake.display.text import count, moment
from auditlake.findings.finding import Finding
from auditlake.policies.kinds import finding_kinds

SHOWN = 20
"""How many rows a card has."""
_HEADINGS = ("finding", "kind", "who or what", "start", "end", "peak", "state", "message")


class Findings(Sequence[Finding], Shown):
    """Findings in the order of their report.

    Args:
        findings: The findings. Where they are millions, each is made when it is looked at.
    """

    def __init__(self, findings: Sequence[Finding] = ()) -> None:
        self._findings = findings

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    @overload
    def __getitem__(self, place: int) -> Finding: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Finding]: ...
    def __getitem__(self, place: int | slice) -> Finding | Sequence[Finding]:
        """Return one finding, or some."""
        return self._findings[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def _card(self) -> Card:
        return findings_card([(None, each) for each in self[:SHOWN]], len(self))


def findings_card(findings: Sequence[tuple[str | None, Finding]], total: int | None = None) -> Card:
    """Return findings as a card, each with the policy or control that found it where there may be several.

    Args:
        findings: At least the first of them.
        total: How many there are, if they are not all.
    """
    total = len(findings) if total is None else total
    policies = any(policy is not None for policy, _ in findings)
    rows = [(policy, *_row(each)) if policies else _row(each) for policy, each in findings[:SHOWN]]
    note = f"the first {SHOWN} of {count(total, 'finding')}" if total > SHOWN else ""
    headings = (("found by", *_HEADINGS) if policies else _HEADINGS) if rows else ()
    return Card("findings", count(total, "finding"), headings=headings, rows=cells(rows), note=note)


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
