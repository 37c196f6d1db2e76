"""How a policy stood over time, from the runs on record alone: a page of its own, which its reports link to.

A report follows from its snapshot, and says nothing of other runs. This page follows from the journal of runs, and is
written again after each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import ClassVar

from auditlake.disk.layout import instant_in_name, trend_file
from auditlake.display.templates import style_digest
from auditlake.display.text import Text, count, instant_name, moment, shown, visible
from auditlake.reports.day_axis import MONTHS
from auditlake.reports.sentences import VERDICTS
from auditlake.runs.model import Run
from auditlake.runs.newest import RunsOfYear
from auditlake.site.entries import Folder, IndexEntry
from auditlake.site.words import NOTHING

_LEAST_MONTHS = 3
_YEAR = timedelta(days=366)
_WIDTH, _HEIGHT, _MARGIN = 600, 64, 3
_WORDS: Mapping[str, str] = {f"{status}": word for status, word in VERDICTS.items()}


@dataclass(frozen=True, slots=True)
class TrendLine:
    """Findings day by day; a day without a run is a gap."""

    findings: str
    """The path of all findings."""
    open: str
    """The path of those that no acceptance covers."""
    words: str
    """What there is to see."""


@dataclass(frozen=True, slots=True)
class TrendMonth:
    """The last run of a month."""

    month: str
    """The month."""
    status: str
    """Which mark and colour; empty where there was no run."""
    word: str
    """How the policy stood, in a word or two."""
    findings: str
    """How many it had."""
    open: str
    """How many of them no acceptance covered."""
    as_of: str
    """What that run was judged as of."""
    file: str | None
    """Its report beside this page; None: there is none."""


@dataclass(frozen=True, slots=True)
class TrendPage:
    """The variables of the template ``trend.html``."""

    template: ClassVar[str] = "trend.html"
    style_digest: str
    """SHA-256 of the page's style in base64, for its content security policy."""
    title: str
    """For the window."""
    name: Text
    """The policy's name."""
    status: str
    """Which mark and colour the newest report has."""
    word: str
    """How it came out."""
    words: str
    """As of when, with how many findings."""
    file: str | None
    """The newest report beside this page."""
    line: TrendLine | None
    """None where no run on record judged the policy."""
    months: tuple[TrendMonth, ...]
    """The newest first."""


_Day = tuple[date, Run, tuple[str, int, int]]
"""A day, its last run, and the status, findings and open findings of that."""


def trend_pages(folder: Folder, entries: Sequence[IndexEntry], runs: RunsOfYear) -> Mapping[str, TrendPage]:
    """Return the page of each policy whose newest report has one, and of those that have it already, by file name.

    Args:
        folder: The folder of reports.
        entries: The newest report of each policy.
        runs: The runs on record.
    """
    shown_ones = [each for each in entries if each.html_file or trend_file(each.policy_id) in folder.files]
    days = _days(runs, {each.policy_id for each in shown_ones})
    return {trend_file(each.policy_id): _page(each, days[each.policy_id], folder) for each in shown_ones}


def _days(runs: RunsOfYear, policy_ids: set[str]) -> dict[str, list[_Day]]:
    """Return the days of the last year on which each policy was judged, in order."""
    found: dict[str, dict[date, _Day]] = {each: {} for each in policy_ids}
    judged = [(each.as_of, each, said) for each, said in runs.lately() if each.state == "ok" and each.as_of]
    newest = max((as_of.date() for as_of, _, _ in judged), default=date.min)
    for as_of, run, said in sorted(judged, key=lambda each: (each[0], each[1].number)):
        day = as_of.date()
        if newest - day > _YEAR:  # one look back to long ago would leave no room for the rest
            continue
        for policy_id, stood in said.policies.items():
            if policy_id in found:
                found[policy_id][day] = (day, run, stood)
    return {policy_id: [*days.values()] for policy_id, days in found.items()}


def _page(entry: IndexEntry, days: Sequence[_Day], folder: Folder) -> TrendPage:
    return TrendPage(
        style_digest(), f"{visible(entry.policy_id)} over time", shown(entry.policy_name), entry.status,
        VERDICTS[entry.status], f"as of {instant_name(entry.as_of)}, {count(entry.findings, 'finding')}",
        entry.html_file or entry.json_file, _line(days) if days else None,
        tuple(_months(entry.policy_id, days, folder)) if days else (),
    )  # fmt: skip


def _line(days: Sequence[_Day]) -> TrendLine:
    findings, still_open = [stood[1] for _, _, stood in days], [stood[2] for _, _, stood in days]
    first, last, most = days[0][0], days[-1][0], max(findings)
    at_most = f"at most {count(most, 'finding')} at once" if most else "none with a finding"
    words = f"{count(len(days), 'day')} with a run between {first} and {last}, {at_most}"
    ordinals = [day.toordinal() - first.toordinal() for day, _, _ in days]
    all_strokes, open_strokes = ("".join(_strokes(ordinals, each, max(1, most))) for each in (findings, still_open))
    return TrendLine(all_strokes, open_strokes, words)


def _strokes(days: Sequence[int], values: Sequence[int], most: int) -> Iterator[str]:
    """Yield a line of steps: one for each change, and a new beginning after each day without a run.

    Args:
        days: The days from the first one, rising.
        values: What there was on each.
        most: The greatest of all values.
    """
    wide = _WIDTH / (days[-1] + 1)
    behind, before = -1, 0
    for day, value in zip(days, values, strict=True):
        y = (
            f"{_HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * value / most:.1f}"
            if day != behind or value != before
            else ""
        )
        if day != behind:
            yield f"{f'H{behind * wide:.1f}' if behind > 0 else ''}M{day * wide:.1f} {y}"
        elif y:
            yield f"H{day * wide:.1f}V{y}"
        behind, before = day + 1, value
    yield f"H{behind * wide:.1f}"


def _months(policy_id: str, days: Sequence[_Day], folder: Folder) -> Iterator[TrendMonth]:
    """Yield the months from the newest back to the first that has a run, at least three of them."""
    last = {month: [*own][-1] for month, own in groupby(days, key=lambda each: each[0].year * 12 + each[0].month - 1)}
    newest = max(last)
    for month in range(newest, min([*last, newest - _LEAST_MONTHS + 1]) - 1, -1):
        name = f"{MONTHS[month % 12]} {month // 12}"
        if month not in last:
            yield TrendMonth(name, "", "no run", NOTHING, NOTHING, "", None)
            continue
        _, run, (status, findings, still_open) = last[month]
        assert run.as_of is not None
        key = (instant_in_name(run.as_of), f"{run.snapshot}")
        begins = f"compliance_{policy_id}_{key[0]}_v"
        there = sorted(each for each in folder.groups.get(key, ()) if each.startswith(begins))
        yield TrendMonth(
            name, status, _WORDS.get(status, status), f"{findings:,}", f"{still_open:,}", moment(run.as_of),
            folder.page(there[0].rpartition(".")[0]) if there else None,
        )  # fmt: skip
