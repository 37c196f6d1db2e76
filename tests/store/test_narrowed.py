"""Files that cannot matter to an answer are not opened for it, and the answer is the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditLake
from auditlake.alerts.lake_reader import the_table
from auditlake.engine import duck
from auditlake.engine.statements import statement
from auditlake.ingest import day_files
from auditlake.query import events as query_events
from auditlake.query import view as query_view
from auditlake.query.view import judging_engine
from auditlake.store.file_types import file_types
from tests.lakes import create
from tests.store.test_foreign_readers import without_types

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
DAYS = 3
TYPES = ("login", "auth_failure", "data_access", "api_call")


def reported(lake: AuditLake, *policies: str) -> list[dict[str, Any]]:
    """What reports say of the events, not of what is remembered of them."""
    return [json.loads(report.json()) for report in lake.reports(*policies, cache=False)]


ASKED: dict[str, Callable[[AuditLake], Any]] = {
    "a policy": lambda lake: reported(lake, "authentication_monitoring"),
    "policies together": reported,
    "events of a type": lambda lake: lake.events(event_type="login").fetchall(),
    "events of types": lambda lake: lake.events(event_type=["login", "api_call"]).fetchall(),
    "events of a time": lambda lake: lake.events(since=NOON - timedelta(days=1)).fetchall(),
    "a query": lambda lake: lake.sql("select count(*) from events where event_type = 'data_access'").fetchall(),
    "a query with values": lambda lake: lake.sql("from events where event_type = $t", {"t": "login"}).fetchall(),
    "all": lambda lake: lake.sql("select event_type, count(*) from events group by all order by all").fetchall(),
    "statistics": lambda lake: lake.statistics(),
    "a backtest": lambda lake: lake.backtest("authentication_monitoring", thresholds=[1, 2, 3]).tried,
}


def made(folder: Path) -> AuditLake:
    """A lake with three days of events, one of each type a day."""
    lake = create(folder, clock=lambda: NOON)
    for day in range(DAYS):
        at = NOON - timedelta(days=day)
        lake.ingest([auditlake.AuditEvent(name, at, user_id="u", event_id=f"{name} {day}") for name in TYPES])
    return lake


LAYOUTS = ("in classes", "one file a day", "older files too")


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AuditLake]:
    """A lake in each layout; all are only read."""
    return {layout: laid_out(layout, tmp_path_factory.mktemp("narrowed") / "lake") for layout in LAYOUTS}


def laid_out(layout: str, folder: Path) -> AuditLake:
    """Make a lake in a layout."""
    if layout == "in classes":
        return made(folder)
    with pytest.MonkeyPatch.context() as patch:
        if layout == "one file a day":
            patch.setattr("auditlake.packs.classes.lake_classes", lambda *_: {})
        else:
            patch.setattr(day_files, "write_classes", without_types)
        lake = made(folder)
    if layout == "older files too":
        at = NOON - timedelta(days=DAYS)
        lake.ingest([auditlake.AuditEvent(name, at, user_id="u", event_id=name) for name in TYPES])
    return lake


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[Path]]:
    """The files of the views that were made."""
    files: set[Path] = set()
    view = duck.view_events

    def view_events(connection: Any, some: Any, **options: Any) -> None:
        files.update(map(Path, some))
        view(connection, some, **options)

    monkeypatch.setattr(duck, "view_events", view_events)
    monkeypatch.setattr(query_events, "view_events", view_events)
    yield files


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("question", ASKED)
def test_answers_do_not_depend_on_it(
    lakes: dict[str, AuditLake], layout: str, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked, the answer is that of a reader who opens every file."""
    lake = lakes[layout]
    answer = ASKED[question](lake)

    narrow = duck.EventsView.narrow
    monkeypatch.setattr(duck.EventsView, "narrow", lambda view, *_: narrow(view, None))
    monkeypatch.setattr(query_view, "files_for", lambda files, *_, **__: files.paths)
    assert answer == ASKED[question](lake)


def test_only_files_that_can_matter_are_opened(tmp_path: Path, shown: set[Path]) -> None:
    """A filter on the type, or a policy, opens the files of its types; one on the time, the files of its days."""
    lake = made(tmp_path / "lake")
    held = {
        path: {name for name, _ in types} for path, types in file_types(lake.layout, lake.snapshot().version).items()
    }
    assert len(held) == DAYS * 3

    def opened(question: str) -> set[str]:
        shown.clear()
        ASKED[question](lake)
        return {str(path.relative_to(lake.layout.events)) for path in shown}

    assert opened("events of a type") == opened("a query with values") == {
        path for path, types in held.items() if "login" in types
    }  # fmt: skip
    assert opened("a query") == {path for path, types in held.items() if "data_access" in types}
    assert opened("events of types") == {path for path, types in held.items() if types & {"login", "api_call"}}
    assert opened("a backtest") == {path for path, types in held.items() if "login" in types}
    first = f"event_date={(NOON - timedelta(days=2)).date()}/"
    assert not any(path.startswith(first) for path in opened("events of a time"))
    assert opened("all") == held.keys()


def test_the_first_of_all_needs_all(tmp_path: Path) -> None:
    """Where only what arrived by a version counts, a file may have no event at all: the first one is still found."""
    lake = create(tmp_path / "lake", clock=lambda: NOON)
    lake.ingest([auditlake.AuditEvent("login", NOON - timedelta(days=1), event_id="recent")])
    version = lake.snapshot().version
    lake.ingest([auditlake.AuditEvent("login", NOON - timedelta(days=9), event_id="older")])
    part = statement("policies/required_types.sql", "first_event")
    with judging_engine(lake._context, lake.snapshot().version, arrived_by=version) as (engine, _):
        assert engine.rows(part.text, part.bind({"as_of": NOON})) == [(NOON - timedelta(days=1),)]
    lake.compact(grace_seconds=0)
    first = "select event_id from events order by timestamp limit 1"
    assert lake.sql(first, snapshot=version).fetchall() == [("recent",)]


def test_alerts_look_back_without_files_of_other_types(tmp_path: Path) -> None:
    """What a policy counts is found though the files of all other types are gone."""
    lake = made(tmp_path / "lake")
    policy = next(each for each in lake.policies.all() if each.id == "failed_logins")
    held = file_types(lake.layout, lake.snapshot().version)
    of_others = {path for path, types in held.items() if not {name for name, _ in types} & {*policy.required_events}}
    assert len(of_others) == DAYS * 2
    with the_table(lake.layout) as reader:
        for path in of_others:
            (lake.layout.events / path).unlink()
        found = reader.counted("recent", policy, after=NOON - timedelta(days=DAYS), judged=NOON, until=NOON)
        assert sum(len(each.moments) for each in found) == DAYS


def test_a_policy_opens_files_of_its_types(tmp_path: Path, shown: set[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside those, it reads the files in which the lake's first event may be, and asks one whether any came."""
    lake, others = made(tmp_path / "lake"), []
    held = file_types(lake.layout, lake.snapshot().version)
    rows = duck.rows

    def noted(connection: Any, sql: str, parameters: Any = None) -> Any:
        of_all = any(name in sql for name in ("name: presence", "name: first_event"))
        if not of_all and "from events" in sql.lower():
            listed = connection.sql("select distinct event_type from events").fetchall()
            others.extend(name for (name,) in listed)
        return rows(connection, sql, parameters)

    monkeypatch.setattr(duck, "rows", noted)
    reported(lake, "authentication_monitoring")
    assert set(others) <= {"login", "auth_failure"}
    assert len(held) == DAYS * 3


@pytest.mark.parametrize("quiet_days", [0, 2])
def test_whether_any_came_is_asked_of_the_last_day(tmp_path: Path, shown: set[Path], quiet_days: int) -> None:
    """Files of other types are opened only where they may have the first event of all, or one of the last day; where
    that has none, all days are asked.
    """
    lake = made(tmp_path / "lake")
    for days in (5, 9):
        at = NOON - timedelta(days=days)
        lake.ingest([auditlake.AuditEvent("api_call", at, user_id="u", event_id=f"{days} days ago")])
    later = auditlake.open(lake.layout.root, clock=lambda: NOON + timedelta(days=quiet_days))
    (report,) = reported(later, "authentication_monitoring")
    assert report["status"] != "no_data"
    opened = {path.parent.name for path in shown if path.is_relative_to(lake.layout.events)}
    between = f"event_date={(NOON - timedelta(days=5)).date()}"
    assert (between in opened) is (quiet_days > 0)
