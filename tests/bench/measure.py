"""Pairs of runs become rows. This process only starts others, and stays small: a child's peak memory begins at ours."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_OURS = "ours"


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


class Bench:
    """Runs of one size on one folder."""

    def __init__(
        self, folder: Path, scale: float, pairs: int, say: Callable[[str], None], *, is_large: bool = False
    ) -> None:
        self._place = (folder, "large" if is_large else "usual", scale)
        self._pairs = pairs
        self._say = say

    def make_data(self) -> None:
        """Make the events where they are not there yet."""
        self._say("data")
        _python(*self._place)

    def rows(self, asked: Asked, sides: Sequence[str]) -> list[Row]:
        """Check that all sides agree, choose the rival, and run the pairs."""
        rivals = [side for side in sides if side not in {_OURS, asked.beside}]
        rival, failed = self._choose(asked, rivals)
        timed = [_OURS, *([rival] if rival else []), *([asked.beside] if asked.beside else [])]
        runs: dict[str, list[Mapping[str, float]]] = {side: [] for side in timed}
        for i in range(self._pairs):
            for side in timed if i % 2 == 0 else reversed(timed):
                runs[side].append(self._run(asked, side))
        found = [replace(_row(asked, rival, runs) if rival else _row_alone(asked, runs[_OURS]), failed=failed)]
        if asked.beside:
            shown = Asked(f"{asked.name}-{asked.beside}", f"{asked.title}, against {asked.beside}", None, asked.rate)
            found.append(_row(shown, asked.beside, runs))
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

    def _choose(self, asked: Asked, rivals: Sequence[str]) -> tuple[str, list[str]]:
        """The fastest of the rivals that give our answer, and why others do not count; fills the page cache."""
        failed: dict[str, str] = {}
        with tempfile.TemporaryDirectory() as name:
            file = Path(name) / "answer"
            answers, seconds = {}, {}
            for side in (_OURS, *rivals, *([asked.beside] if asked.beside else [])):
                try:
                    seconds[side] = self._run(asked, side, file)["seconds"]
                    answers[side] = pickle.loads(file.read_bytes())
                except subprocess.CalledProcessError as error:
                    # One way of a rival may not get there (Polars 2.1 panics on the larger streams); another has to.
                    if side not in rivals:
                        raise
                    failed[side] = _last_words(error)
        wrong = {side: _differs(answers, side) for side, answer in answers.items() if answer != answers[_OURS]}
        right = [side for side in rivals if side in answers and side not in wrong]
        for side, why in (failed | wrong).items():
            self._say(f"{asked.name}: {side} does not count: {why}")
        if wrong.keys() - rivals or (wrong and not right):  # one rival may be wrong, and not all of them
            raise AssertionError(f"{asked.name}: other answers than ours: {wrong}")
        failed |= dict.fromkeys(wrong, "gives another answer")
        return min(right, key=seconds.__getitem__, default=""), [f"{side}: {why}" for side, why in failed.items()]

    def _run(self, asked: Asked, side: str, answer: Path | None = None) -> Mapping[str, float]:
        os.sync()
        found: Mapping[str, float] = json.loads(_python(asked.name, side, *self._place, *([answer] if answer else [])))
        self._say(f"{asked.name}: {side}: {found['seconds']:.3f} s, {found['peak_mb']:.0f} MB")
        return found


def _python(*arguments: object) -> str:
    command = [sys.executable, "-m", "tests.bench.child", *map(str, arguments)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    sys.stderr.write(done.stderr)
    done.check_returncode()
    return done.stdout


def _last_words(error: subprocess.CalledProcessError) -> str:
    """Return the last line that a process wrote before it ended, and the signal if one ended it."""
    lines = str(error.stderr).split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"{said:.160}" if error.returncode >= 0 else f"{signal.Signals(-error.returncode).name} {said:.160}".strip()


def _row(asked: Asked, rival: str, runs: Mapping[str, Sequence[Mapping[str, float]]]) -> Row:
    ours, theirs = ([run["seconds"] for run in runs[side]] for side in (_OURS, rival))
    ratios = [b / a if asked.rate else a / b for a, b in zip(ours, theirs, strict=True)]
    ratio = median(ratios)
    peak = max(run["peak_mb"] for run in runs[_OURS])
    figures = [median(run["figure"] for run in runs[side]) if asked.figure else None for side in (_OURS, rival)]
    bounds, met = [], []
    if asked.reach is not None:
        bounds.append(f"rate >= {asked.reach:g} x" if asked.rate else f"<= {asked.reach:g} x")
        met.append(ratio >= asked.reach if asked.rate else ratio <= asked.reach)
    if asked.memory_mb is not None:
        bounds.append(f"<= {asked.memory_mb:.0f} MB")
        met.append(peak <= asked.memory_mb)
    if asked.least is not None and figures[0] is not None:
        bounds.append(f">= {asked.least:,g} {asked.figure}")
        met.append(figures[0] >= asked.least)
    if asked.most_seconds is not None:
        bounds.append(f"<= {asked.most_seconds:g} s")
        met.append(median(ours) <= asked.most_seconds)
    if asked.most is not None and figures[0] is not None:
        bounds.append(f"<= {asked.most:g} {asked.figure}")
        met.append(figures[0] <= asked.most)
    return Row(
        asked.name, asked.title, median(ours), median(theirs), rival, ratio, ratios, ", ".join(bounds),
        all(met) if met else None, asked.figure, *figures, peak, max(run["peak_mb"] for run in runs[rival]),
        {_OURS: ours, rival: theirs},
    )  # fmt: skip


def _row_alone(asked: Asked, runs: Sequence[Mapping[str, float]]) -> Row:
    """The row where no rival got there."""
    row = _row(replace(asked, reach=None), _OURS, {_OURS: runs})
    return replace(row, rival=None, rival_is="", ratio=None, ratios=(), rival_figure=None, rival_peak_mb=None)


def _differs(answers: Mapping[str, Any], side: str) -> str:
    """Where two answers first differ, as far as that is easy to say."""
    ours, theirs = answers[_OURS], answers[side]
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
    for row in rows:
        ours, theirs = (_figure(row.figure, each) for each in (row.ours_figure, row.rival_figure))
        rival = "–" if row.rival is None else f"{_seconds(row.rival)}{theirs} ({row.rival_is})"
        rival += f"; not counted: {'; '.join(row.failed)}" if row.failed else ""
        ratio = "–" if row.ratio is None else f"{row.ratio:.2f} ({min(row.ratios):.2f} – {max(row.ratios):.2f})"
        met = "–" if row.met is None else ("yes" if row.met else "**no**")
        peaks = (row.ours_peak_mb, row.rival_peak_mb)
        peak = " / ".join(f"{each:.0f} MB" for each in peaks if each is not None) or "–"
        lines.append(
            f"| {row.title} | {_seconds(row.ours)}{ours} | {rival} | {ratio} | {row.reach or '–'} | {met} | {peak} |"
        )
    return "\n".join(lines)


def _figure(what: str, figure: float | None) -> str:
    return "" if figure is None else f", {figure:,.{0 if figure >= 100 else 1 if figure >= 10 else 2}f} {what}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.{0 if seconds >= 0.01 else 2}f} ms"
