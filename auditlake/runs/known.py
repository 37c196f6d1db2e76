"""Since when findings are known: a run's line names what it found, and leaves out what an earlier one had named."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate, islice

from auditlake.events.times import MICROSECOND
from auditlake.runs.model import Answer, Entry, Found, Run

MOST = 10_000
"""A line names no finding of an answer where it would have to name more."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A stretch of time, its end exclusive, in which a run found something."""

    start: datetime
    end: datetime
    at: datetime
    """When the run began."""


class Known:
    """What runs found.

    Args:
        runs: The lines of the journal; only those of runs that came to their end count.
        policies: The policies that are asked about.
    """

    def __init__(self, runs: Iterable[Entry], policies: Collection[str]) -> None:
        there: dict[tuple[str, str], list[_Stretch]] = defaultdict(list)
        for run in runs:
            if isinstance(run, Run) and run.state == "ok":
                for policy in run.answers.keys() & policies:
                    for subject, stretch in _stretches(run.answers[policy], run.at):
                        there[policy, subject].append(stretch)
        self._there = {about: _Row(stretches) for about, stretches in there.items()}

    def first(self, policy: str, subject: str, start: datetime, end: datetime) -> datetime | None:
        """Return when the first run began that found something of a subject in a stretch of time; None if none did.

        A run that names none of its findings has found it if it found anything there.

        Args:
            policy: The policy.
            subject: The id that a finding like it has without its start.
            start, end: The stretch, its end exclusive.
        """
        rows = (self._there.get((policy, each)) for each in (subject, ""))
        return min((each.at for row in rows if row for each in row.within(start, end)), default=None)

    def news(self, policy: str, answer: Answer, at: datetime) -> Answer:
        """Return an answer without what an earlier run had found over all of its time.

        Args:
            policy: The policy.
            answer: All that a run found.
            at: When it began.
        """
        new = {name: each for name, each in (answer.found or {}).items() if not self._holds(policy, name, answer, at)}
        return replace(answer, found=new if answer.found is not None and len(new) <= MOST else None)

    def _holds(self, policy: str, name: str, answer: Answer, at: datetime) -> bool:
        subject, own = _stretch(name, answer, at)
        row = self._there.get((policy, subject))
        return row is not None and any(
            each.at <= at and each.start <= own.start and own.end <= each.end for each in row.within(own.start, own.end)
        )


class _Row:
    """Stretches in order of time."""

    def __init__(self, stretches: list[_Stretch]) -> None:
        self._stretches = sorted(stretches, key=lambda each: each.start)
        self._reach = [*accumulate((each.end for each in self._stretches), max)]
        """How far those up to each reach."""

    def within(self, start: datetime, end: datetime) -> Iterator[_Stretch]:
        """Yield those that have an instant in common with a stretch of time."""
        for each in islice(self._stretches, bisect_right(self._reach, start), None):
            if each.start >= end:
                return
            if start < each.end:
                yield each


def _stretches(answer: Answer, at: datetime) -> Iterator[tuple[str, _Stretch]]:
    """Yield what an answer found, each by its subject; an empty one where it is not named."""
    if answer.found is not None:
        yield from (_stretch(name, answer, at) for name in answer.found)
    elif answer.findings:
        yield "", _Stretch(answer.since, answer.until + MICROSECOND, at)


def _stretch(name: str, answer: Answer, at: datetime) -> tuple[str, _Stretch]:
    found: Found = (answer.found or {})[name]
    return found.subject or name, _Stretch(found.start or answer.since, found.end or answer.until + MICROSECOND, at)


def all_news(runs: Iterable[Entry], answers: Mapping[str, Answer], at: datetime) -> dict[str, Answer]:
    """Return the answers of a run as its line has them.

    Args:
        runs: The lines before it.
        answers: By policy, each with all that it found.
        at: When the run began.
    """
    known = Known(runs, answers)
    return {policy: known.news(policy, answer, at) for policy, answer in answers.items()}
