"""The two small pictures of the index: a bar of controls by status, and a line of daily peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

_WIDTH, _GAP = 210, 2
_SPARK = (150, 26, 2)
"""Width, height and margin, pixels."""
_ORDER = (
    ("pass", "operation"), ("pass", "nothing"), ("pass", "logging"), ("exception", ""), ("no_data", ""),
    ("not_evaluated", ""), ("fail", ""),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TallyPart:
    """Controls of one status."""

    x: str
    """Left edge, pixels."""
    width: str
    """Pixels."""
    kind: str
    """The status, or ``logging`` for what passes and shows only that logging exists."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Controls by status; those that do not apply are left out."""

    parts: tuple[TallyPart, ...]
    """From left to right."""


@dataclass(frozen=True, slots=True)
class Spark:
    """Daily peaks as a line."""

    points: str
    """Of the line."""
    limit_y: str
    """Where the threshold lies, pixels."""
    words: str
    """What there is to see."""


def tally_of(counts: Mapping[str, Mapping[str, int]]) -> Tally:
    """Lay out the bar of controls.

    Args:
        counts: How many controls have each status, by how much a log can show of them.
    """
    numbers: dict[str, int] = {}
    for status, shows in _ORDER:
        number = counts[status][shows] if shows else sum(counts[status].values())
        kind = "logging" if shows == "logging" else status
        numbers[kind] = numbers.get(kind, 0) + number
    there = {kind: number for kind, number in numbers.items() if number}
    room, total, x, parts = _WIDTH - _GAP * max(0, len(there) - 1), sum(there.values()), 0.0, []
    for kind, number in there.items():
        width = room * number / total
        parts.append(TallyPart(f"{x:.1f}", f"{width:.1f}", kind))
        x += width + _GAP
    return Tally(tuple(parts))


def spark_of(peaks: Sequence[int | Decimal | None], threshold: int | Decimal) -> Spark:
    """Lay out the line of daily peaks; a day without one lies at zero."""
    width, height, margin = _SPARK
    known = [float(each) for each in peaks if each is not None]
    top = max([*known, float(threshold), 1e-9])

    def down(value: float) -> float:
        return height - margin - (height - 2 * margin) * max(0.0, value) / top

    points = [
        f"{width * at / max(1, len(peaks) - 1):.1f},{down(float(each or 0)):.1f}" for at, each in enumerate(peaks)
    ]
    most = f"at most {max(known):,.10g}" if known else "none"
    words = f"daily peaks, {most}, threshold {float(threshold):,.10g}"
    return Spark(" ".join(points), f"{down(float(threshold)):.1f}", words)
