"""How controls stood before: the runs on record of a pack, one for each month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from auditlake.display.text import moment, visible
from auditlake.frameworks.model import FrameworkReport, Status
from auditlake.reports.day_axis import MONTHS
from auditlake.runs.model import Entry, Run
from auditlake.site.words import STATUS_WORDS

MOST = 12
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Past:
    """How a control stood in one month."""

    month: str
    """The month."""
    status: Status | None
    """Its status in the month's last run; None where that had no such control."""
    word: str
    """The status in a word or two."""
    words: str
    """The month and the status in words."""
    as_of: str
    """What that run was judged as of."""


def months_of(report: FrameworkReport, runs: Sequence[Entry]) -> tuple[tuple[str, Run], ...]:
    """Return the last run before the report of each month that has one, the oldest first; at most a year of them."""
    last: dict[tuple[int, int], tuple[datetime, Run]] = {}
    for each in runs:
        if isinstance(each, Run) and report.pack_id in each.packs and each.as_of and each.as_of < report.as_of:
            month = (each.as_of.year, each.as_of.month)
            if month not in last or last[month][0] <= each.as_of:
                last[month] = (each.as_of, each)
    return tuple((MONTHS[month - 1], last[year, month][1]) for year, month in sorted(last)[-MOST:])


def past_of(report: FrameworkReport, control_id: str, months: Sequence[tuple[str, Run]]) -> tuple[Past, ...]:
    """Return how a control stood in each of the months."""
    return tuple(_past(month, run, run.packs[report.pack_id].controls.get(control_id)) for month, run in months)


def _past(month: str, run: Run, status: str | None) -> Past:
    words = STATUS_WORDS.get(status or "", "not in the pack")
    known: Status | None = status if status in STATUS_WORDS else None  # type: ignore[assignment]
    return Past(month, known, words, visible(f"{month}: {words}"), moment(run.as_of) if run.as_of else "")
