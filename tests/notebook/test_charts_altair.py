"""Charts of reports and backtests: what they hold, and that nothing is needed from anywhere to see them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import altair as alt
import pytest

from auditlake import AuditLake
from auditlake.errors import ReportError
from auditlake.notebook import register
from auditlake.reports import notebook_charts
from auditlake.reports.compliance import ComplianceReport
from tests.lakes import create
from tests.notebook.conftest import AS_OF, copied
from tests.reports import samples

CHARTS = ("daily_peaks", "coverage", "by_user", "retention")


@pytest.fixture(autouse=True)
def renderer() -> Iterator[None]:
    with alt.renderers.enable("default"):
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ComplianceReport:
    return copied(tmp_path_factory.mktemp("charts")).report("authentication_monitoring", as_of=AS_OF)


def values(chart: alt.LayerChart) -> list[dict[str, Any]]:
    spec = chart.to_dict()
    return [row for layer in spec["layer"] for row in layer.get("data", spec.get("data"))["values"]]


def bundle(shown: Any) -> dict[str, Any]:
    """What a frontend gets, without metadata."""
    return shown[0] if isinstance(shown, tuple) else shown


@pytest.mark.parametrize("name", CHARTS)
def test_shown_offline(report: ComplianceReport, name: str) -> None:
    """A chart is a picture by itself; nothing in it is loaded, and hostile names stay text."""
    shown = report.chart(name)._repr_mimebundle_(None, None)

    assert set(shown) == {"image/svg+xml", "text/plain"}
    svg = shown["image/svg+xml"]
    assert svg.startswith("<svg")
    assert not re.search(r"<(script|image|foreignObject)|href=|\son\w+=\"|url\((?!#)", svg)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", json.dumps(values(report.chart(name)), ensure_ascii=False))


@pytest.mark.parametrize("name", CHARTS)
def test_a_lake_without_events(tmp_path: Path, name: str) -> None:
    """There is a chart of nothing, too."""
    chart = create(tmp_path / "lake", clock=lambda: AS_OF).report("failed_logins").chart(name)

    assert "image/svg+xml" in chart._repr_mimebundle_(None, None)


def settings() -> tuple[object, ...]:
    """Everything of Altair that its user sets."""
    registries = (alt.renderers, alt.data_transformers, alt.theme)
    return (*((each.active, dict(each.options)) for each in registries), tuple(alt.renderers.names()))


def test_altair_is_left_as_it_is(report: ComplianceReport) -> None:
    """Neither the extension nor a chart, made or shown, changes a setting of Altair, or adds a renderer."""
    before = settings()
    register(SimpleNamespace(register_magic_function=lambda *_, **__: None))
    for name in CHARTS:
        report.chart(name)._repr_mimebundle_()

    assert settings() == before


def test_a_chosen_renderer_stays(report: ComplianceReport) -> None:
    """A user who chose how charts are shown gets ours shown in that way."""
    with alt.renderers.enable("json"):
        shown = report.chart("daily_peaks")._repr_mimebundle_()
        assert alt.renderers.active == "json"

    assert "application/json" in bundle(shown)


@pytest.mark.parametrize(
    "derive",
    [
        lambda chart: chart.properties(width=300),
        lambda chart: chart.copy(),
        lambda chart: chart.configure_axis(grid=False),
    ],
    ids=["changed", "copied", "configured"],
)
def test_derived_charts_are_drawn_here(report: ComplianceReport, derive: Callable[[Any], Any]) -> None:
    """A chart that its user changed is a picture by itself, too."""
    shown = bundle(derive(report.chart("daily_peaks"))._repr_mimebundle_())

    assert shown["image/svg+xml"].startswith("<svg")


def test_daily_peaks(report: ComplianceReport) -> None:
    """The bars are the report's daily peaks, days before the first event apart."""
    bars = [row for row in values(report.chart("daily_peaks")) if "peak" in row]
    known = [each for each in report.report.threshold.daily_peaks if each.peak is not None]

    assert [row["peak"] for row in bars] == [each.peak for each in known]
    assert all((row["peak"] >= 3) == (row["state"] == "at or above the threshold") for row in bars)
    assert bars[0]["start"] == f"{known[0].date}T00:00:00.000000Z"


def test_coverage(report: ComplianceReport) -> None:
    """The cells are the report's events by type."""
    cells = values(report.chart("coverage"))
    for name, events in report.report.events_by_type.items():
        assert sum(row["events"] for row in cells if row["type"] == name) == events


def test_by_user(report: ComplianceReport) -> None:
    """The bars are the period's governed events; who has no name is one bar."""
    bars = values(report.chart("by_user"))

    assert sum(row["events"] for row in bars) == report.report.total_events
    assert {"ana", "eve", "no user_id"} < {row["user"] for row in bars}


def test_narrowed_by(lake: AuditLake, report: ComplianceReport) -> None:
    """Of a policy with a scope the bars by user are in it, as all numbers are; charts and card say so."""
    said = {"name": "Ana's", "description": "d", "required_events": ["auth_failure"], "scope": "user_id = 'ana'",
            "alert_threshold": 3}  # fmt: skip
    (lake.layout.policies / "anas.yaml").write_text(json.dumps(said))
    narrowed = lake.report("anas", as_of=AS_OF)
    users = {row["user"] for row in values(narrowed.chart("by_user"))}

    assert users == {"ana", "no user_id"}, "what cannot be told to be outside is in scope"
    assert sum(row["events"] for row in values(narrowed.chart("by_user"))) == narrowed.report.total_events
    for name in ("daily_peaks", "coverage", "by_user"):
        assert narrowed.chart(name).to_dict()["title"]["subtitle"].endswith("; narrowed by user_id = 'ana'")
        assert "narrowed" not in json.dumps(report.chart(name).to_dict())
    assert "narrowed by" in narrowed._repr_mimebundle_()["text/plain"]
    assert "narrowed by" not in report._repr_mimebundle_()["text/plain"]


def test_retention(lake: AuditLake, report: ComplianceReport) -> None:
    """What is older than the cutoff stands apart, and the cutoff is drawn where it is among the events."""
    month_later = AuditLake(lake.layout.root, clock=lambda: AS_OF + timedelta(days=30))
    later = month_later.report("authentication_monitoring")
    for each, old in ((report, 0), (later, 20)):
        bars = [row for row in values(each.chart("retention")) if "state" in row]
        counted = sum(row["events"] - row["base"] for row in bars if row["state"].endswith("passed"))
        assert counted == each.report.retention.due + each.report.retention.kept_by_other_policies == old
    assert "cutoff 2026-11-24" in json.dumps(later.chart("retention").to_dict())
    assert "is before the first event" in json.dumps(report.chart("retention").to_dict())


def test_backtest(lake: AuditLake) -> None:
    """One point for each threshold and window, and the policy's own threshold where it is among them."""
    found = lake.backtest("failed_logins", thresholds=range(1, 11), windows=["1h", "24h"])
    rows = values(found.chart())

    assert len([row for row in rows if "episodes" in row]) == 20
    assert [row["at"] for row in rows if "at" in row] == [5, 5]
    high = lake.backtest("failed_logins", thresholds=[100])
    assert [row for row in values(high.chart()) if "at" in row] == []


def test_long_periods_stay_small(renderer: None) -> None:
    """Seven years of days are drawn by weeks, months or quarters."""
    made = samples.violation(2562, threshold=100_000, unknown=300)
    for name in CHARTS[:2]:
        assert len(values(notebook_charts.report_chart(name, *made, None))) < 3000


def test_what_cannot_be_drawn(lake: AuditLake, report: ComplianceReport, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chart that is none, a report without what it shows, and Altair not installed: each is told in a line."""
    with pytest.raises(ReportError, match="there is no chart 'pie'") as error:
        report.chart("pie")
    assert error.value.hint == "there are: daily_peaks, coverage, by_user, retention"
    with pytest.raises(ReportError, match="was made without"):
        lake.report("failed_logins", as_of=AS_OF, pages=False).chart("coverage")
    with pytest.raises(ReportError, match="was made without its lake"):
        notebook_charts.report_chart("by_user", *samples.violation(), None)
    monkeypatch.setitem(sys.modules, "altair", None)
    monkeypatch.delitem(sys.modules, "auditlake.reports.notebook_charts")
    with pytest.raises(ReportError, match="charts need Altair and vl-convert, which are not installed") as error:
        report.chart("daily_peaks")
    assert error.value.hint == 'pip install "auditlake[notebook]"'
