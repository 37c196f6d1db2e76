"""The newest year of the journal of runs, for pages that show many runs and little of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice, tee

from auditlake.disk.chained import newest_first
from auditlake.disk.files import open_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeError, LakeFormatError
from auditlake.runs.journal import read_line, read_without_answers
from auditlake.runs.model import Entry, Run, Verification

_MONTHS = 3
"""How many months a page has at least."""
_SCHEDULE = b'"kind":"schedule"'


@dataclass(frozen=True, slots=True)
class Statuses:
    """How a run found what it judged."""

    packs: Mapping[str, str]
    policies: Mapping[str, tuple[str, int, int]]
    """The status of each, how many findings it had, and how many of them were open."""


@dataclass(frozen=True, slots=True)
class RunsOfYear:
    """What was written in a year."""

    entries: Sequence[Entry] = ()
    """In order; first the last schedules that were on record before. Of many runs the answers are left out."""
    years: range = range(0)
    """The years that the journal reaches over."""
    statuses: Mapping[int, Statuses] = field(default_factory=dict)
    """How each run found what it judged, by its number."""
    lines: Mapping[int, bytes] = field(default_factory=dict)
    """The lines of runs whose answers are left out, by their numbers."""
    layout: Layout | None = None
    """The lake."""
    before: Sequence[tuple[Run, Statuses]] = ()
    """Runs of the year before that are of the two months before the newest month, without their answers."""

    def lately(self) -> Iterator[tuple[Run, Statuses]]:
        """Yield the runs of the newest year, and those of the two months before the newest month, in order."""
        if self.entries:
            newest = _month(self.entries[-1])
            first = min(newest - newest % 12, newest - _MONTHS + 1)
            own = (each for each in self.entries if isinstance(each, Run) and _month(each) >= first)
            yield from self.before
            yield from ((each, self.statuses[each.number]) for each in own)

    def whole(self, run: Run) -> Run:
        """Return a run with its answers; without them if they are none of ours, which whoever verifies is told."""
        line, found = self.lines.get(run.number), None
        if line is not None and self.layout is not None:
            with suppress(LakeFormatError):
                found = read_line(self.layout, line)
        return found if isinstance(found, Run) else run


def of_entries(entries: Sequence[Entry]) -> RunsOfYear:
    """Return runs of whatever years that have their answers."""
    statuses = {each.number: _statuses(each) for each in entries if isinstance(each, Run)}
    return RunsOfYear(entries, statuses=statuses)


def newest_year(layout: Layout) -> RunsOfYear:
    """Return what was written in the year of the journal's last line; the runs of its month have their answers.

    Raises:
        LakeFormatError: A line is none of ours.
        LakeError: It cannot be read.
    """
    found: list[Entry] = []
    statuses: dict[int, Statuses] = {}
    lines: dict[int, bytes] = {}
    before: list[tuple[Run, Statuses]] = []
    try:
        backwards = newest_first(layout.run_journal, within=layout.root)
        for line in backwards:
            entry, said = _brief(layout, line, found[0] if found else None)
            if found and _written(entry)[0] != _written(found[0])[0]:
                rest, again = tee(chain([line], backwards))
                before = [*_just_before(layout, rest, found[0])]
                declared = (each for each in again if _SCHEDULE in each)
                found += (read_line(layout, each) for each in islice(declared, 1))
                break
            found.append(entry)
            if said is not None:
                statuses[entry.number] = said
                if not (isinstance(entry, Run) and (entry.answers or entry.packs)):
                    lines[entry.number] = line
        with open_file(layout.run_journal, within=layout.root) as file:
            first = file.readline().removesuffix(b"\n")
    except FileNotFoundError:
        return RunsOfYear()
    except OSError as error:
        raise LakeError(f"the journal of runs cannot be read: {error.strerror or error}") from error
    if not found:
        return RunsOfYear()
    last = _written(found[0])[0]
    years = range(min(_written(read_line(layout, first))[0], last), last + 1)
    return RunsOfYear(tuple(reversed(found)), years, statuses, lines, layout, tuple(reversed(before)))


def _just_before(layout: Layout, lines: Iterable[bytes], newest: Entry) -> Iterator[tuple[Run, Statuses]]:
    """Yield the runs of the two months before that of an entry, the newest first, as long as these go on."""
    for line in lines if _month(newest) % 12 < _MONTHS - 1 else ():
        entry, said = _brief(layout, line, newest)
        if _month(newest) - _month(entry) >= _MONTHS:
            return
        if isinstance(entry, Run) and said is not None:
            yield entry, said


def _brief(layout: Layout, line: bytes, last: Entry | None) -> tuple[Entry, Statuses | None]:
    """Return an entry, and of a run its statuses; it lacks its answers if the last entry is of another month."""
    if last is not None and (read := read_without_answers(line)) is not None:
        run, packs, answers = read
        if _written(run) != _written(last):
            try:
                stood = {name: (each["status"], each["findings"], each["open"]) for name, each in answers.items()}
                return run, Statuses({name: each["status"] for name, each in packs.items()}, stood)
            except (TypeError, KeyError, AttributeError):
                pass  # it is told when it is read whole
    entry = read_line(layout, line)
    return entry, _statuses(entry) if isinstance(entry, Run) else None


def _written(entry: Entry) -> tuple[int, int]:
    """Return the year and month in which a line was written: lines are in that order."""
    at = entry.finished if isinstance(entry, Run | Verification) else entry.at
    return at.year, at.month


def _month(entry: Entry) -> int:
    """Return the month in which a line was written, as one number."""
    year, month = _written(entry)
    return 12 * year + month - 1


def _statuses(run: Run) -> Statuses:
    packs = {name: each.status for name, each in run.packs.items()}
    return Statuses(packs, {name: (each.status, each.findings, each.open) for name, each in run.answers.items()})
