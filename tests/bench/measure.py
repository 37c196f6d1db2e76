"""Pairs of runs become rows. This process only starts others: one for each side of a row, which warms up once.

How many pairs: three where that settles it, which is where each of them keeps a bound, or misses it, by a factor of 1.5
or more, where all three are the same, or where nothing bounds the row; as many as asked for elsewhere. A rival that
takes far longer than another one which gave our answer is stopped.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
_OURS = "ours"
_FAR = 1.5
_SETTLING = 3
"""How many pairs can settle a row."""
_SLOWER, _SLOWER_BY_SECONDS = 3, 30
"""How many times as long as the fastest one so far a rival may take, and how many seconds more."""
RUN = "run-"
"""How the names of the folders begin in which sides run."""
Run = Mapping[str, float]
"""The seconds of a run, the peak memory of its process so far, and perhaps another figure."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A number that was measured, and its limit."""

    text: str
    value: float
    limit: float
    is_least: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the number is within the limit."""
        return self.value >= self.limit if self.is_least else self.value <= self.limit

    @property
    def is_far(self) -> bool:
        """Whether the number is far from the limit, on either side of it."""
        return max(self.value, self.limit) >= _FAR * min(self.value, self.limit)


@dataclass(frozen=True, slots=True)
class Asked:
    """A row with a rival."""

    name: str
    title: str
    reach: float | None = None
    """The ratio to stay within; none if it is only shown."""
    rate: bool = False
    """Whether the ratio is one of rates (more is better), not of times."""
    memory_mb: float | None = None
    """The most memory ours may take."""
    beside: str | None = None
    """Another side that is timed beside the rival and gets a row of its own."""
    figure: str = ""
    """What the other figure of its sides is, e.g. events/s."""
    least: float | None = None
    """The least that ours may have of it."""
    most: float | None = None
    """The most that ours may have of it."""
    most_seconds: float | None = None
    """The longest that ours may take."""
    like: str = ""
    """An earlier row whose rivals do the very same: they have been asked there."""
    pairs: int | None = None
    """The most pairs, where each takes very long."""

    def ratio(self, ours: Run, rival: Run) -> float:
        """Return the ratio of a pair."""
        return rival["seconds"] / ours["seconds"] if self.rate else ours["seconds"] / rival["seconds"]

    def bounds(self, ratio: float, run: Run) -> Iterator[Bound]:
        """Yield what is asked of a ratio and of the numbers of ours."""
        figure = run.get("figure")
        if self.reach is not None:
            text = f"rate >= {self.reach:g} x" if self.rate else f"<= {self.reach:g} x"
            yield Bound(text, ratio, self.reach, is_least=self.rate)
        if self.memory_mb is not None:
            yield Bound(f"<= {self.memory_mb:.0f} MB", run["peak_mb"], self.memory_mb)
        if self.least is not None and figure is not None:
            yield Bound(f">= {self.least:,g} {self.figure}", figure, self.least, is_least=True)
        if self.most_seconds is not None:
            yield Bound(f"<= {self.most_seconds:g} s", run["seconds"], self.most_seconds)
        if self.most is not None and figure is not None:
            yield Bound(f"<= {self.most:g} {self.figure}", figure, self.most)


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured. Times are medians, in seconds."""

    name: str
    title: str
    ours: float
    rival: float | None = None
    rival_is: str = ""
    ratio: float | None = None
    """The median of the pairs' ratios."""
    ratios: Sequence[float] = ()
    reach: str = ""
    met: bool | None = None
    figure: str = ""
    ours_figure: float | None = None
    rival_figure: float | None = None
    ours_peak_mb: float | None = None
    rival_peak_mb: float | None = None
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)
    failed: Sequence[str] = ()
    """The ways to write its rival that did not get there, or gave another answer, and why."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class _Side:
    """The process of a side, which warms up when it is started."""

    def __init__(self, *arguments: object) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - end() closes it
        self._process = subprocess.Popen(
            _command(*arguments),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def run(self, answer: Path | None = None, most_seconds: float | None = None) -> Run:
        """Run once, and write the answer where a file is named.

        Raises:
            subprocess.CalledProcessError: The process has ended; the error has what it said.
            subprocess.TimeoutExpired: It took longer than it may; it has been killed.
        """
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{answer or ''}\n")
            self._process.stdin.flush()
        if most_seconds is not None and not select.select([self._process.stdout], [], [], most_seconds)[0]:
            self._process.kill()
            raise subprocess.TimeoutExpired(self._process.args, most_seconds)
        if not (line := self._process.stdout.readline()):
            code = self._process.wait()
            self._errors.seek(0)
            raise subprocess.CalledProcessError(code, self._process.args, stderr=self._errors.read())
        found: Run = json.loads(line)
        return found

    def end(self) -> None:
        """Let the process end, and pass on what it said."""
        with suppress(BrokenPipeError):
            self._process.communicate()
        self._errors.seek(0)
        sys.stderr.write(self._errors.read())
        self._errors.close()


class _Sides(dict[str, _Side]):
    """The processes of a row, by side; each is started when it is asked for first."""

    def __init__(self, row: str, place: Sequence[object]) -> None:
        super().__init__()
        self._row, self._place = row, place

    def __missing__(self, side: str) -> _Side:
        self[side] = _Side(self._row, side, *self._place)
        return self[side]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(set(self))

    def end(self, sides: AbstractSet[str]) -> None:
        """End those of some sides."""
        for side in sides & self.keys():
            self.pop(side).end()


@dataclass(frozen=True, slots=True)
class _First:
    """What a side gave when it was first asked."""

    seconds: float
    by_the_clock: float
    """Seconds as well, with the start of its process and its warming up."""
    answer: Path


class Bench:
    """Runs of one size on one folder."""

    def __init__(
        self, folder: Path, scale: float, pairs: int, say: Callable[[str], None], *, is_large: bool = False
    ) -> None:
        self._place: Sequence[object] = (folder, "large" if is_large else "usual", scale)
        self._pairs = pairs
        self._say = say
        self._answers = tempfile.TemporaryDirectory(dir=folder, prefix="answers-")
        self._rows: set[str] = set()
        self._firsts: dict[tuple[str, str], _First | subprocess.SubprocessError] = {}
        """What each side of these rows gave when it was first asked."""

    def make_data(self) -> None:
        """Make the events where they are not there yet."""
        self._say("data")
        subprocess.run(_command(*self._place), check=True, cwd=ROOT)

    def rows(self, asked: Asked, sides: Sequence[str]) -> list[Row]:
        """Check that all sides agree, choose the rival, and run the pairs."""
        rivals = [side for side in sides if side not in {_OURS, asked.beside}]
        own = [_OURS, *([asked.beside] if asked.beside else [])]
        began = time.monotonic()
        with _Sides(asked.name, self._place) as started:
            rival, failed = self._choose(asked, own, rivals, started)
            agreed = time.monotonic()
            timed = [_OURS, *([rival] if rival else []), *own[1:]]
            runs: dict[str, list[Run]] = {side: [] for side in timed}
            pairs = min(self._pairs, asked.pairs or self._pairs)
            while len(runs[_OURS]) < pairs and not _is_settled(asked, runs[_OURS], runs[rival or _OURS]):
                for side in reversed(timed) if len(runs[_OURS]) % 2 else timed:
                    runs[side].append(self._run(asked, started, side))
        ended = time.monotonic()
        self._say(f"{asked.name}: {agreed - began:.0f} s to agree, {ended - agreed:.0f} s for {len(runs[_OURS])} pairs")
        found = [replace(_row(asked, rival, runs) if rival else _row_alone(asked, runs[_OURS]), failed=failed)]
        if asked.beside:
            shown = Asked(f"{asked.name}-{asked.beside}", f"{asked.title}, against {asked.beside}", None, asked.rate)
            found.append(_row(shown, asked.beside, runs))
        for row in found:  # a whole run is long, and may be ended before its end
            self._say(_line(row))
        return found

    def command(self, name: str, command: Sequence[str]) -> Row:
        """How long a command takes from start to end."""
        self._say(name)
        times = []
        for _ in range(1 + max(5, self._pairs)):
            start = time.perf_counter()
            subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
        return Row(name, f"`{name}`", median(times[1:]), samples={_OURS: times[1:]})

    def _choose(
        self, asked: Asked, own: Sequence[str], rivals: Sequence[str], started: _Sides
    ) -> tuple[str, list[str]]:
        """The fastest of the rivals that give our answer, and why others do not count; fills the page cache."""
        failed, wrong, right, ours = {}, {}, {}, None
        most_seconds = None
        for side in (*own, *rivals):
            try:
                first = self._first(asked, started, side, most_seconds, is_rival=side in rivals)
            except subprocess.SubprocessError as error:
                # One way of a rival may not get there (Polars 2.1 panics on the larger streams); another has to.
                if side not in rivals:
                    raise
                failed[side] = _last_words(error)
                continue
            answer = pickle.loads(first.answer.read_bytes())
            ours = answer if side == _OURS else ours
            if answer != ours:
                wrong[side] = _differs(ours, answer)
            elif side in rivals:
                right[side] = first.seconds
                most_seconds = min(most_seconds or math.inf, _SLOWER * first.by_the_clock + _SLOWER_BY_SECONDS)
            fastest = min(right, key=right.__getitem__, default="")
            started.end(set(rivals) - {fastest})
        for side, why in (failed | wrong).items():
            self._say(f"{asked.name}: {side} does not count: {why}")
        if wrong.keys() - rivals or (wrong and not right):  # one rival may be wrong, and not all of them
            raise AssertionError(f"{asked.name}: other answers than ours: {wrong}")
        failed |= dict.fromkeys(wrong, "gives another answer")
        return fastest, [f"{side}: {why}" for side, why in failed.items()]

    def _first(self, asked: Asked, started: _Sides, side: str, most_seconds: float | None, *, is_rival: bool) -> _First:
        """Return what a side gave first; a rival that an earlier row had is not asked again."""
        row = asked.like if is_rival and asked.like in self._rows else asked.name
        self._rows.add(asked.name)
        if (row, side) not in self._firsts:
            file = Path(self._answers.name) / str(len(self._firsts))
            began = time.monotonic()
            try:
                seconds = self._run(asked, started, side, file, most_seconds)["seconds"]
                self._firsts[row, side] = _First(seconds, time.monotonic() - began, file)
            except subprocess.SubprocessError as error:
                self._firsts[row, side] = error
                for left in Path(self._answers.name).parent.glob(f"{RUN}*"):  # no other side runs just now
                    shutil.rmtree(left)
        found = self._firsts[row, side]
        if isinstance(found, subprocess.SubprocessError):
            raise found
        return found

    def _run(
        self, asked: Asked, started: _Sides, side: str, answer: Path | None = None, most_seconds: float | None = None
    ) -> Run:
        os.sync()
        found = started[side].run(answer, most_seconds)
        self._say(f"{asked.name}: {side}: {found['seconds']:.3f} s, {found['peak_mb']:.0f} MB")
        return found


def _is_settled(asked: Asked, ours: Sequence[Run], rivals: Sequence[Run]) -> bool:
    """Whether the pairs so far leave no doubt about any bound."""
    pairs = [list(asked.bounds(asked.ratio(*pair), pair[0])) for pair in zip(ours, rivals, strict=True)]
    return len(pairs) >= _SETTLING and all(
        len({each.value for each in bound}) == 1
        or (all(each.is_far for each in bound) and len({each.is_kept for each in bound}) == 1)
        for bound in zip(*pairs, strict=True)
    )


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tests.bench.child", *map(str, arguments)]


def _last_words(error: subprocess.SubprocessError) -> str:
    """Return the last line that a process wrote before it ended, and the signal if one ended it."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"stopped after {error.timeout:.0f} s"
    assert isinstance(error, subprocess.CalledProcessError)
    lines = str(error.stderr).split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"{said:.160}" if error.returncode >= 0 else f"{signal.Signals(-error.returncode).name} {said:.160}".strip()


def _row(asked: Asked, rival: str, runs: Mapping[str, Sequence[Mapping[str, float]]]) -> Row:
    ours, theirs = ([run["seconds"] for run in runs[side]] for side in (_OURS, rival))
    ratios = [asked.ratio(*pair) for pair in zip(runs[_OURS], runs[rival], strict=True)]
    ratio = median(ratios)
    peak = max(run["peak_mb"] for run in runs[_OURS])
    figures = [median(run["figure"] for run in runs[side]) if asked.figure else None for side in (_OURS, rival)]
    middle = {"seconds": median(ours), "peak_mb": peak}
    bounds = list(asked.bounds(ratio, middle if figures[0] is None else middle | {"figure": figures[0]}))
    return Row(
        asked.name, asked.title, median(ours), median(theirs), rival, ratio, ratios,
        ", ".join(each.text for each in bounds), all(each.is_kept for each in bounds) if bounds else None,
        asked.figure, *figures, peak, max(run["peak_mb"] for run in runs[rival]), {_OURS: ours, rival: theirs},
    )  # fmt: skip


def _row_alone(asked: Asked, runs: Sequence[Mapping[str, float]]) -> Row:
    """The row where no rival got there."""
    row = _row(replace(asked, reach=None), _OURS, {_OURS: runs})
    return replace(row, rival=None, rival_is="", ratio=None, ratios=(), rival_figure=None, rival_peak_mb=None)


def _differs(ours: Any, theirs: Any) -> str:
    """Where two answers first differ, as far as that is easy to say."""
    while isinstance(ours, list | tuple) and isinstance(theirs, list | tuple) and len(ours) == len(theirs):
        ours, theirs = next((a, b) for a, b in zip(ours, theirs, strict=True) if a != b)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return str({key: (ours[key], theirs.get(key)) for key in ours if ours[key] != theirs.get(key)})[:1000]
    return f"{ours!r:.500} and {theirs!r:.500}"


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| row | ours | rival | ratio (from – to) | reach | met | peak memory, ours / rival |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, rows)])


def _line(row: Row) -> str:
    ours, theirs = (_figure(row.figure, each) for each in (row.ours_figure, row.rival_figure))
    rival = "–" if row.rival is None else f"{_seconds(row.rival)}{theirs} ({row.rival_is})"
    rival += f"; not counted: {'; '.join(row.failed)}" if row.failed else ""
    ratio = "–" if row.ratio is None else f"{row.ratio:.2f} ({min(row.ratios):.2f} – {max(row.ratios):.2f})"
    met = "–" if row.met is None else ("yes" if row.met else "**no**")
    peaks = (row.ours_peak_mb, row.rival_peak_mb)
    peak = " / ".join(f"{each:.0f} MB" for each in peaks if each is not None) or "–"
    return f"| {row.title} | {_seconds(row.ours)}{ours} | {rival} | {ratio} | {row.reach or '–'} | {met} | {peak} |"


def _figure(what: str, figure: float | None) -> str:
    return "" if figure is None else f", {figure:,.{0 if figure >= 100 else 1 if figure >= 10 else 2}f} {what}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.{0 if seconds >= 0.01 else 2}f} ms"
