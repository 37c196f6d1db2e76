"""A year of a policy or framework at a glance: how the last run of each day found it, as a strip of days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

from auditlake.display.text import Text, count, shown
from auditlake.reports.sentences import VERDICTS
from auditlake.runs.model import Entry, Run
from auditlake.runs.newest import RunsOfYear
from auditlake.site.words import STATUS_WORDS

_LOOKS = {
    "violation": "bad", "fail": "bad", "error": "bad", "no_data": "unsure", "not_evaluated": "unsure",
    "exception": "excepted", "compliant": "good", "pass": "good",
}  # fmt: skip
"""Which line of the strip a status is on."""
_LINES = {
    "bad": ("6", "12"),
    "unsure": ("9", "6"),
    "excepted": ("9.5", "5"),
    "good": ("10.5", "3"),
    "made": ("0.5", "1"),
}
"""Where each line lies in a strip 12 high, and its height: what is bad stands out without its colour."""
_WORDS: Mapping[str, str] = {f"{status}": word for status, word in (*VERDICTS.items(), *STATUS_WORDS.items())}


@dataclass(frozen=True, slots=True)
class Stretch:
    """The days of one look, as the path of a line."""

    kind: str
    """Which line: bad, unsure, excepted, good, or made, the days that were made up for."""
    path: str
    """Where it is drawn: a day is one wide."""
    height: str
    """Of the line."""


@dataclass(frozen=True, slots=True)
class YearRow:
    """A policy or framework over the year."""

    name: Text
    """What it is called."""
    file: str | None
    """The page that always leads to its newest report; None: there is none."""
    stretches: tuple[Stretch, ...]
    """The strip; a day without a run has nothing."""
    words: str
    """On how many days it was judged, and how it stood."""


_Point = tuple[str, bool]
"""How a day's last run found something, and whether it was made up for."""


def year_rows(runs: RunsOfYear, year: int, names: Mapping[str, Text], files: Mapping[str, str]) -> tuple[YearRow, ...]:
    """Return a row for each framework and policy that was judged as of several days of a year, frameworks first.

    Args:
        runs: The runs.
        year: The year.
        names: What they are called, where that is known.
        files: The pages that always lead to their newest reports.
    """
    packs: dict[str, dict[int, _Point]] = {}
    policies: dict[str, dict[int, _Point]] = {}
    for as_of, run in sorted(_runs(runs.entries, year), key=lambda each: (each[0], each[1].number)):
        day, found = as_of.timetuple().tm_yday, runs.statuses[run.number]
        for name, status in found.packs.items():
            packs.setdefault(name, {})[day] = (status, run.catch_up)
        for name, (status, _, _) in found.policies.items():
            policies.setdefault(name, {})[day] = (status, run.catch_up)
    called = Counter(names[each].text for each in {*packs, *policies} if each in names)

    def called_apart(each: str) -> Text:
        alone = each in names and called[names[each].text] == 1
        return names[each] if alone else shown(f"{names[each].text}, {each}" if each in names else each)

    return tuple(
        YearRow(called_apart(each), files.get(each), tuple(_stretches(days)), _words(days))
        for there in (packs, policies) for each, days in sorted(there.items()) if len(days) > 1
    )  # fmt: skip


def _runs(entries: Iterable[Entry], year: int) -> Iterator[tuple[datetime, Run]]:
    for each in entries:
        if isinstance(each, Run) and each.state == "ok" and each.as_of is not None and each.as_of.year == year:
            yield each.as_of, each


def _stretches(days: Mapping[int, _Point]) -> Iterator[Stretch]:
    looks: dict[str, list[int]] = {}
    for point in {*days.values()}:
        looks[_LOOKS.get(point[0], "unsure")] = []
    for day, (status, _) in days.items():
        looks[_LOOKS.get(status, "unsure")].append(day)
    if made := [day for day, (_, is_made_up) in days.items() if is_made_up]:
        looks["made"] = made
    for kind, own in sorted(looks.items()):
        y, height = _LINES[kind]
        yield Stretch(kind, _path(own, y), height)


def _path(days: Sequence[int], y: str) -> str:
    """Return the strokes of a line, each from where the last one ended: neighbouring days are one."""
    begins = [at for at, day in enumerate(days) if not at or day != days[at - 1] + 1]
    strokes, end = [f"M{days[0] - 1} {y}"], days[0] - 1
    for at, behind in pairwise([*begins, len(days)]):
        move = f"m{days[at] - 1 - end} 0" if at else ""
        strokes.append(f"{move}h{behind - at}")
        end = days[behind - 1]
    return "".join(strokes)


def _words(days: Mapping[int, _Point]) -> str:
    numbers = Counter(status for status, _ in days.values())
    parts = [f"{number:,} {_WORDS.get(status, status).lower()}" for status, number in sorted(numbers.items())]
    if made := sum(is_made_up for _, is_made_up in days.values()):
        parts.append(f"{made:,} made up for")
    return f"{count(len(days), 'day')}: {', '.join(parts)}"


def days_of(year: int) -> int:
    """Return how many days a year has."""
    return date(year, 12, 31).timetuple().tm_yday
