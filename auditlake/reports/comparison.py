"""Where things lie in the picture of an unusual stretch of time: the seasons before it, what is usual, and what was.

Left to right everything is a percentage of the picture's width, top to bottom it is pixels, as in day_axis.
"""

from __future__ import annotations

from dataclasses import dataclass

from auditlake.display.text import count
from auditlake.policies.kinds.threshold import Comparison

_TOP, _PLOT = 18, 90
_MOST_LABELS = 30
"""Up to how many columns each has its number over it."""


@dataclass(frozen=True, slots=True)
class ComparedBar:
    """One season, or what was."""

    x: str
    """Left edge, per cent."""
    y: str
    """Upper edge, pixels."""
    width: str
    """Per cent."""
    height: str
    """Pixels."""
    middle: str
    """Per cent."""
    label_y: str
    """Where its number stands, pixels."""
    label: str
    """Its number; empty where there is no room."""
    over: bool
    """Whether it is what was."""
    title: str
    """What it says, in words."""


@dataclass(frozen=True, slots=True)
class ComparisonChart:
    """The numbers of the seasons before against the peak."""

    summary: str
    """What there is to see, in words."""
    height: str
    """Of the whole picture, pixels."""
    baseline: str
    """Where zero is, pixels."""
    usual_y: str
    """Where the usual number is, pixels."""
    limit_y: str
    """Where the first unusual number is, pixels."""
    label_y: str
    """Where the labels under the columns stand, pixels."""
    bars: tuple[ComparedBar, ...]
    """The oldest first; the last is what was."""
    oldest: str
    """What the first column is."""
    usual: str
    """The usual number."""
    edge: str
    """From which number on, or up to which, it is unusual."""


def comparison_chart(compared: Comparison) -> ComparisonChart:
    """Lay out the seasons before and the peak."""
    values = (*compared.past, compared.actual)
    top, column = max(*values, compared.limit, 1), 100 / len(values)

    def y(value: int) -> float:
        return _TOP + _PLOT * (1 - value / top)

    bars = tuple(
        ComparedBar(
            f"{column * (place + 0.15):.2f}%", f"{y(value):.1f}", f"{column * 0.7:.2f}%",
            f"{_TOP + _PLOT - y(value):.1f}", f"{column * (place + 0.5):.2f}%", f"{y(value) - 4:.1f}",
            f"{value:,}" if len(values) <= _MOST_LABELS else "", place == len(compared.past),
            f"{value:,}, {_when(len(compared.past) - place)}",
        )
        for place, value in enumerate(values)
    )  # fmt: skip
    is_below = compared.actual <= compared.limit and compared.actual < compared.usual
    return ComparisonChart(
        summary=f"{compared.actual:,} where {compared.usual:,} is the lower median of "
        f"{count(len(compared.past), 'season')} before.",
        height=str(_TOP + _PLOT + 22),
        baseline=str(_TOP + _PLOT),
        usual_y=f"{y(compared.usual):.1f}",
        limit_y=f"{y(compared.limit):.1f}",
        label_y=str(_TOP + _PLOT + 16),
        bars=bars,
        oldest=_when(len(compared.past)),
        usual=f"{compared.usual:,}",
        edge=f"{'up to' if is_below else 'from'} {compared.limit:,}",
    )


def _when(seasons: int) -> str:
    return f"{count(seasons, 'season')} before" if seasons else "actual"
