"""Where things lie in the two pictures."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest

from auditlake.policies.kinds.count import CountKind
from auditlake.reports.day_axis import CHART_COLUMNS, HEAT_COLUMNS, bins, unit_for
from auditlake.reports.heat_map import HEAT_ROWS, heat_maps, level_bounds
from auditlake.reports.page_charts import peak_chart
from tests.reports import samples

WORDS = CountKind().words(samples.compliant()[0].threshold, "", lambda _: "events")


def days(number: int, first: date = date(2019, 11, 18)) -> list[date]:
    """So many days in a row."""
    return [first + timedelta(days=at) for at in range(number)]


def per_cent(text: str) -> float:
    """A place across the picture."""
    assert text.endswith("%")
    return float(text[:-1])


@pytest.mark.parametrize("number", [1, 2, 7, 31, 90, 120, 366, 400, 801, 2563, 11_000])
def test_every_length_fits(number: int) -> None:
    """From one day to thirty years, columns fit, cover every day once, and their labels do not collide."""
    every = days(number)
    for limit in (CHART_COLUMNS, HEAT_COLUMNS):
        columns = bins(every, unit_for(every, limit))
        assert len(columns) <= limit
        assert [column.start for column in columns] == [0, *(column.stop for column in columns[:-1])]
        assert columns[-1].stop == number
    chart = peak_chart([(day, 3) for day in every], 5, frozenset(), WORDS)
    places = [per_cent(tick.at) for tick in chart.x_ticks]
    assert all(tick.label for tick in chart.x_ticks)
    assert 1 <= len(places) <= 13
    assert all(later - earlier > 4 for earlier, later in pairwise(places))
    assert all(0 <= per_cent(bar.x) <= per_cent(bar.x) + per_cent(bar.width) <= 100.01 for bar in chart.bars)


@pytest.mark.parametrize(("peak", "threshold"), [(3, 5), (1, 100_000), (90_000, 2), (5, 5), (1, 1), (10**12, 10**6)])
def test_scale_shows_both(peak: int, threshold: int) -> None:
    """However far apart they are, the highest column and the threshold can both be seen, and told apart."""
    chart = peak_chart([(day, peak) for day in days(30)], threshold, frozenset(), WORDS)
    top, limit, base = float(chart.bars[0].y), float(chart.threshold_y), float(chart.baseline)
    assert base - top >= 8
    assert base - limit >= 8
    assert min(top, limit) >= 14
    assert (top < limit) == (peak > threshold)
    assert chart.bars[0].over == (peak >= threshold)
    assert len(chart.y_ticks) <= 6


def test_unknown_is_not_zero_and_silence_is_marked() -> None:
    """Days before the first event are a band; days of zero are no column; silent ones are marked."""
    every = days(6)
    peaks: list[tuple[date, int | None]] = list(zip(every, [None, None, 4, 0, 0, 2], strict=True))
    chart = peak_chart(peaks, 3, frozenset({every[0], every[1], every[3], every[4]}), WORDS)
    assert [band.title for band in chart.unknown] == ["2019-11-18 to 2019-11-19: before first event"]
    assert [band.title for band in chart.silent] == ["2019-11-21 to 2019-11-22: no governed event"]
    assert [bar.title for bar in chart.bars] == ["2019-11-20: 4, threshold reached", "2019-11-23: 2"]


def test_days_with_an_episode_are_marked_where_no_line_decides() -> None:
    """Of a baseline the unusual days are marked, whatever their numbers: also a day without any event."""
    every, words = days(3), replace(WORDS, line=None, highest=None, reached="There is an unusual bucket")
    peaks: list[tuple[date, int | None]] = list(zip(every, [9, 0, 2], strict=True))
    chart = peak_chart(peaks, 5, frozenset(), words, over=frozenset({every[1]}))
    assert [bar.title for bar in chart.bars] == ["2019-11-18: 9", "2019-11-19: 0, unusual", "2019-11-20: 2"]
    assert (chart.threshold_label, chart.summary) == ("", "There is an unusual bucket on 1 of 3 days.")
    assert "0" in [tick.label for tick in chart.y_ticks]


def test_aggregated_columns_keep_the_highest() -> None:
    """A week's column is the highest of its days, so no breach disappears."""
    every = days(700)
    peaks: list[tuple[date, int | None]] = [(day, 9 if at == 345 else 1) for at, day in enumerate(every)]
    chart = peak_chart(peaks, 5, frozenset(), WORDS)
    assert [bar.title for bar in chart.bars if bar.over] == ["week of 2020-10-26: 9, threshold reached"]
    assert "Each column is the highest of the daily peaks of one week." in chart.scale_note


def test_heat_levels() -> None:
    """Zero, unknown and counts are told apart, and sums of a column are over its days."""
    every = days(4)
    (heat,) = heat_maps(["a", "b"], every, {"a": [0, 0, 1, 100], "b": [0, 0, 0, 0]}, every[1])
    assert [cell.level for cell in heat.rows[0].cells] == ["unknown", "0", "1", "5"]
    assert [cell.title for cell in heat.rows[1].cells][1:] == [f"{day}: 0" for day in every[1:]]
    (weekly,) = heat_maps(["a"], days(364), {"a": [1] * 364}, every[0])
    assert {cell.title.split(": ")[1] for cell in weekly.rows[0].cells} == {"7"}
    assert heat_maps(["a"], every, {"a": [0] * 4}, None)[0].legend[0].label == "before first event"


def test_many_rows_are_several_pictures() -> None:
    """Many types are pictures of a page of rows each, which have one scale and ids of their own."""
    every, names = days(3), [f"type_{at}" for at in range(HEAT_ROWS + 1)]
    counts = {name: [1, 10 * at, 500] for at, name in enumerate(names)}
    first, second = heat_maps(names, every, counts, every[0])
    assert [len(first.rows), len(second.rows)] == [HEAT_ROWS, 1]
    assert first.legend == second.legend
    assert first.id != second.id
    assert (first.title[-6:], second.title[-6:]) == ("1 of 2", "2 of 2")


@pytest.mark.parametrize("values", [[], [1], [1, 2], [3, 843], [7, 7], [10**9], [1, 10**12]])
def test_level_bounds(values: list[int]) -> None:
    """There are at most five levels, growing, and every count has one."""
    bounds = level_bounds(values)
    assert len(bounds) <= 5
    assert all(low < high for low, high in pairwise(bounds))
    assert not values or bounds[0] <= min(values)
