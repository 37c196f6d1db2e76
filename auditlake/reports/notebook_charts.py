"""Altair charts of reports and backtests, imported only to draw one: Altair comes with ``auditlake[notebook]``.

Raises:
    ReportError: Altair is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from auditlake.display.cards import cut
from auditlake.display.text import count, moment, spelled
from auditlake.engine.statements import statement
from auditlake.errors import ReportError
from auditlake.events.times import print_instant
from auditlake.policies.compile import narrowed
from auditlake.policies.model import Number, Policy
from auditlake.reports.day_axis import CHART_COLUMNS, HEAT_COLUMNS, Bin, bins, unit_for
from auditlake.reports.model import Detail, Report
from auditlake.reports.sentences import unusual_days, words_of

try:
    import altair as alt
    import vl_convert
except ImportError as missing:
    why = "charts need Altair and vl-convert, which are not installed"
    raise ReportError(why, hint='pip install "auditlake[notebook]"') from missing

Ask = Callable[[int | None, str, Mapping[str, Any] | None], Any]
Values = list[dict[str, Any]]

_WIDTH = 640
_USERS = 20
_LOG_FROM = 20
"""From this ratio between the highest and the lowest of interest on, a linear scale would hide one of them."""
_MARKED = "at or above the threshold"
_BAR, _OVER, _UNKNOWN, _INK, _SOFT = "#8aa4c2", "#b3312c", "#e3e3df", "#1c2127", "#69727d"
_BLUES = ("#d3e1f0", "#a5c3e1", "#6d9bcb", "#3a70ab", "#17446f")


class OfflineChart(alt.LayerChart):
    """A chart of layers that draws itself as SVG, where Altair's own way would load scripts from the network.

    No setting of Altair is changed: where the user has chosen a renderer, that one shows the chart.
    """

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        """Return the picture, or what the renderer that the user chose makes of the chart."""
        if alt.renderers.active != "default":
            return super()._repr_mimebundle_(*args, **kwargs)
        spec = self.to_dict(context={"pre_transform": False})
        return {"image/svg+xml": vl_convert.vegalite_to_svg(spec), "text/plain": "a chart"}


def report_chart(name: str, report: Report, detail: Detail | None, ask: Ask | None) -> alt.LayerChart:
    """Return a chart of a report.

    Raises:
        ReportError: There is no such chart, or what it shows was not gathered.
    """
    charts: dict[str, Callable[[], alt.LayerChart]] = {
        "daily_peaks": lambda: _daily_peaks(report),
        "coverage": lambda: _coverage(report, detail),
        "by_user": lambda: _by_user(report, ask),
        "retention": lambda: _retention(report, ask),
    }
    if name not in charts:
        raise ReportError(f"there is no chart {name!r}", hint=f"there are: {', '.join(charts)}")
    return charts[name]()


def _daily_peaks(report: Report) -> alt.LayerChart:
    answer = report.threshold
    if answer is None:
        raise ReportError(f"the report of {report.policy_id} has no threshold to draw")
    threshold, peaks, words = _plain(answer.alert_threshold), answer.daily_peaks, words_of(report, answer)
    unusual = unusual_days(report)
    days = [each.date for each in peaks]
    unit = unit_for(days, CHART_COLUMNS)
    bars: Values = []
    for column in bins(days, unit):
        known = [_plain(each.peak) for each in peaks[column.start : column.stop] if each.peak is not None]
        peak = max(known, default=0)
        is_over = peak >= threshold if unusual is None else not unusual.isdisjoint(days[column.start : column.stop])
        over = "unknown" if not known else _MARKED if is_over else "below"
        bars.append({**_span(days, column), "peak": peak, "state": over})
    top = max([threshold if words.line else 0, *(bar["peak"] for bar in bars)])
    scale = alt.Scale(type="symlog" if top >= _LOG_FROM * threshold and words.line else "linear", domainMin=0)
    y = alt.Y(
        "peak:Q", title=f"highest {words.highest or 'measure'}", scale=scale, axis=_axis(format=",d", tickMinStep=1)
    )
    x = alt.X("start:T", title=None, scale=alt.Scale(type="utc"), axis=_axis(grid=False))
    tooltip = [alt.Tooltip("day:N"), alt.Tooltip("peak:Q", format=",")]
    state = alt.Color("state:N", legend=None, scale=_colours({_MARKED: _OVER, "below": _BAR}))
    judged = _chart([bar for bar in bars if bar["state"] != "unknown"])
    layers = [
        judged.mark_rect().encode(x=x, x2="end:T", y=y, y2=alt.datum(0), color=state, tooltip=tooltip),
        *(_limit("y", threshold, f"{words.line} {threshold:,}") if words.line else ()),
    ]
    if unknown := [bar for bar in bars if bar["state"] == "unknown"]:
        before = [{"start": unknown[0]["start"], "end": unknown[-1]["end"]}]
        layers.insert(0, _chart(before).mark_rect(color=_UNKNOWN).encode(x=x, x2="end:T"))
    episodes = count(answer.episodes, "episode")
    charted = words.charted.replace("{}", f"per {unit}", 1)
    return _layered(layers, f"{cut(report.policy_name)}: {episodes}", _within(report, charted))


def _coverage(report: Report, detail: Detail | None) -> alt.LayerChart:
    if detail is None:
        message = f"the report of {report.policy_id} was made without what its chart of coverage shows"
        raise ReportError(message, hint="make it with pages=True")
    days = detail.days
    unit = unit_for(days, HEAT_COLUMNS)
    heat: Values = []
    for column in bins(days, unit):
        known = detail.first_event_day is not None and days[column.stop - 1] >= detail.first_event_day
        for name, counts in detail.day_counts.items() if known else ():
            events = sum(counts[column.start : column.stop])
            heat.append({**_span(days, column), "type": name, "events": events})
    x = alt.X("start:T", title=None, scale=alt.Scale(type="utc"), axis=_axis(grid=False))
    y = alt.Y("type:N", title=None, sort=list(detail.day_counts), axis=_axis(grid=False))
    tooltip = [alt.Tooltip("type:N"), alt.Tooltip("day:N"), alt.Tooltip("events:Q", format=",")]
    some, none = ([each for each in heat if bool(each["events"]) is wanted] for wanted in (True, False))
    colour = alt.Color(
        "events:Q",
        title=f"events a {unit}",
        scale=alt.Scale(type="log", range=list(_BLUES)),
        legend=alt.Legend(format=",.0f"),
    )
    cells = [_chart(none).mark_rect(color=_UNKNOWN).encode(x=x, x2="end:T", y=y, tooltip=tooltip)]
    if some:
        cells.append(_chart(some).mark_rect().encode(x=x, x2="end:T", y=y, color=colour, tooltip=tooltip))
    silent = count(len(report.coverage.silent_days), "day")
    missing = [name for name, events in report.events_by_type.items() if not events]
    seen = f"missing: {', '.join(map(cut, missing))}" if missing else "every required type was seen"
    words = f"grey: no event; {silent} without any governed event"
    return _layered(
        cells, f"{cut(report.policy_name)}: {seen}", _within(report, words), height=max(26 * len(detail.day_counts), 60)
    )


def _by_user(report: Report, ask: Ask | None) -> alt.LayerChart:
    counts = _asked(report, ask, "by_user", since=report.since, until=report.until, limit=_USERS)
    users = {user: "no user_id" if user is None else cut(user)[:40] or "empty" for user, _, _ in counts}
    bars = [{"user": users[user], "type": name, "events": events} for user, name, events in counts]
    y = alt.Y("user:N", title=None, sort=list(dict.fromkeys(users.values())), axis=_axis(grid=False))
    x = alt.X("sum(events):Q", title="governed events in the period", axis=_axis(format=",d", tickMinStep=1))
    tooltip = [alt.Tooltip("user:N"), alt.Tooltip("type:N"), alt.Tooltip("sum(events):Q", format=",", title="events")]
    colour = alt.Color(
        "type:N",
        title=None,
        sort=list(report.events_by_type),
        legend=alt.Legend(orient="bottom"),
        scale=alt.Scale(scheme="tableau10"),
    )
    chart = _chart(bars).mark_bar().encode(x=x, y=y, color=colour, tooltip=tooltip)
    period = _stretch(report.since, report.until)
    subtitle = f"the {_USERS} with the most; {period}" if len(users) == _USERS else period
    return _layered(
        [chart],
        f"{cut(report.policy_name)}: events by user",
        _within(report, subtitle),
        height=max(19 * len(users), 40),
    )


def _retention(report: Report, ask: Ask | None) -> alt.LayerChart:
    answer = report.retention
    if answer is None:
        raise ReportError(f"the report of {report.policy_id} has no retention period to draw")
    counts = _asked(report, ask, "ages", cutoff=answer.cutoff, as_of=report.as_of)
    days = sorted({day for day, _, _ in counts})
    unit = unit_for(days, CHART_COLUMNS // 2)
    ages: Values = []
    for column in bins(days, unit):
        within, base = set(days[column.start : column.stop]), 0
        for old, state in ((True, "retention period has passed"), (False, "within its retention")):
            if events := sum(n for day, is_old, n in counts if day in within and is_old is old):
                ages.append({**_span(days, column), "state": state, "base": base, "events": base + events})
                base += events
    x = alt.X("start:T", title=None, scale=alt.Scale(type="utc"), axis=_axis(grid=False))
    y = alt.Y("events:Q", title=f"governed events a {unit}", axis=_axis(format=",d", tickMinStep=1))
    colours = _colours({"within its retention": _BAR, "retention period has passed": _OVER})
    tooltip = [alt.Tooltip("day:N"), alt.Tooltip("state:N"), alt.Tooltip("events:Q", format=",")]
    colour = alt.Color("state:N", title=None, scale=colours, legend=alt.Legend(orient="bottom"))
    bars = _chart(ages).mark_rect().encode(x=x, x2="end:T", y=y, y2="base:Q", color=colour, tooltip=tooltip)
    right = bool(days) and answer.cutoff.date() - days[0] > (report.as_of.date() - days[0]) / 2
    cutoff = _limit("x", print_instant(answer.cutoff), f"cutoff {answer.cutoff:%Y-%m-%d}", right=right)
    past = bool(days) and answer.cutoff.date() >= days[0]
    numbers = f"{answer.due:,} due, {answer.kept_by_other_policies:,} kept by other policies, {answer.held:,} held"
    subtitle = f"keeps {spelled(answer.retention_period)}; " + (
        numbers if past else f"{numbers}; the cutoff {answer.cutoff:%Y-%m-%d} is before the first event"
    )
    layers = [bars, *(cutoff if past else [])]
    return _layered(layers, f"{cut(report.policy_name)}: what is kept", subtitle)


def backtest_chart(policy: Policy, rows: Values, since: datetime, until: datetime) -> alt.LayerChart:
    """Return episodes over thresholds, one line a window, and where the policy stands."""
    windows = list(dict.fromkeys(row["window"] for row in rows))
    top = max((row["episodes"] for row in rows), default=0)
    x = alt.X(
        "threshold:Q",
        title="threshold",
        axis=_axis(grid=False, format=",d", tickMinStep=1),
        scale=alt.Scale(zero=False),
    )
    scale = alt.Scale(type="symlog" if top > _LOG_FROM * 5 else "linear")
    y = alt.Y("episodes:Q", title="episodes", axis=_axis(format=",d", tickMinStep=1), scale=scale)
    colours = alt.Scale(range=[_BLUES[3], "#c9772c", "#4b8a5a", "#7d5a9b", "#69727d"])
    colour = alt.Color("window:N", sort=windows, scale=colours, legend=alt.Legend() if len(windows) > 1 else None)
    tooltip = ["window:N", alt.Tooltip("threshold:Q", format=","), alt.Tooltip("episodes:Q", format=",")]
    lines = _chart(rows).mark_line(point=alt.OverlayMarkDef(size=28), interpolate="step").encode(
        x=x, y=y, color=colour, tooltip=tooltip
    )  # fmt: skip
    now = None if policy.alert_threshold is None else _plain(policy.alert_threshold)
    tried = [row["threshold"] for row in rows]
    is_shown = now is not None and min(tried) <= now <= max(tried)
    limit = _limit("x", now, f"now {now:,} in {policy.window}") if is_shown else []
    period = _stretch(since, until)
    return _layered([lines, *limit], f"{cut(policy.name)}: episodes by threshold", period)


# What they have in common


def _plain(number: Number) -> int | float:
    """Return a measure as JavaScript has numbers."""
    return float(number) if isinstance(number, Decimal) else number


def _asked(report: Report, ask: Ask | None, name: str, **values: Any) -> list[tuple[Any, ...]]:
    if ask is None:
        message = f"the report of {report.policy_id} was made without its lake, which this chart reads"
        raise ReportError(message, hint="make it with lake.report")
    part = statement("queries/charts.sql", name)
    bound = part.bind({"types": list(report.events_by_type), **values})
    text = narrowed(part, report.coverage.narrowed_by) if name == "by_user" else part.text
    answers: list[tuple[Any, ...]] = ask(report.evidence.snapshot, text, bound).fetchall()
    return answers


def _within(report: Report, subtitle: str) -> str:
    """Return a subtitle that says what narrows the numbers that are drawn, where something does."""
    scope = report.coverage.narrowed_by
    return subtitle if scope is None else f"{subtitle}; narrowed by {cut(scope)}"


def _span(days: Sequence[date], column: Bin) -> dict[str, str]:
    """Return the instants from the beginning of a column's first day to the end of its last, and its label."""
    bounds = (days[column.start], days[column.stop - 1] + timedelta(days=1))
    start, end = (print_instant(datetime.combine(day, time(), UTC)) for day in bounds)
    return {"start": start, "end": end, "day": column.label}


def _stretch(since: datetime, until: datetime) -> str:
    """Name a period by its days, or by its instants where it is not made of whole ones."""
    whole = {each.astimezone(UTC).time() for each in (since, until)}
    if whole == {time()}:
        return f"{since:%Y-%m-%d} to {until:%Y-%m-%d}"
    if whole == {time.max}:
        return f"{since + timedelta(microseconds=1):%Y-%m-%d} to {until:%Y-%m-%d}"
    return f"{moment(since)} to {moment(until)}"


def _chart(values: Values) -> alt.Chart:
    return alt.Chart(alt.Data(values=values))  # type: ignore[no-untyped-call]


def _axis(**more: Any) -> Any:
    return alt.Axis(**{"labelColor": _SOFT, "titleColor": _SOFT, "titleFontWeight": "normal", "domainColor": "#c3c7cb",
                       "tickColor": "#c3c7cb", "gridColor": "#ececea", "labelLimit": 260, **more})  # fmt: skip


def _colours(colours: Mapping[str, str]) -> Any:
    return alt.Scale(domain=list(colours), range=list(colours.values()))


def _limit(axis: str, at: Any, label: str, *, right: bool = False) -> list[Any]:
    """Return a dashed line across, and its label."""
    kind = "T" if isinstance(at, str) else "Q"
    place = {"x": alt.X(f"at:{kind}"), "y": alt.Y(f"at:{kind}")}[axis]
    chart = _chart([{"at": at, "label": label}])
    rule = chart.mark_rule(color=_INK, strokeDash=[5, 3]).encode(**{axis: place})
    beside: dict[str, Any] = {"y": 8, "align": "right", "dx": -5} if right else {"y": 8, "align": "left", "dx": 5}
    where = {"x": _WIDTH + 5, "align": "left"} if axis == "y" else beside
    return [rule, chart.mark_text(color=_INK, **where).encode(**{axis: place, "text": alt.Text("label:N")})]


def _layered(layers: Sequence[Any], title: str, subtitle: str, *, height: int = 240) -> alt.LayerChart:
    named = alt.TitleParams(
        title, subtitle=subtitle, anchor="start", fontSize=14, color=_INK, subtitleColor=_SOFT, offset=12
    )
    return OfflineChart(layer=layers).properties(
        width=_WIDTH, height=height, title=named, view=alt.ViewBackground(stroke=None), background="white"
    )
