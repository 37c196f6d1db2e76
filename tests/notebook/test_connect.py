"""Other programs open the same snapshot with the recipes as they stand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
from click.testing import CliRunner

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.cli import cli
from tests.lakes import create
from tests.notebook.conftest import AS_OF

PROGRAMS = Path(sys.executable).parent


def run(*arguments: object) -> str:
    result = CliRunner(catch_exceptions=False).invoke(cli, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def odd(tmp_path: Path) -> AuditLake:
    """A lake in a folder whose name is a trap for shells, SQL, patterns and partitions, with two snapshots."""
    lake = create(tmp_path / "x=1 'l[a]ke' \"ü\"* %41#?", clock=lambda: AS_OF)
    lake.ingest([AuditEvent("login", AS_OF, user_id="ana", event_id="1")])
    lake.ingest([AuditEvent("logout", AS_OF, user_id="ana", event_id="2")])
    return lake


def test_duckdb(odd: AuditLake, tmp_path: Path) -> None:
    """The lines for a shell open DuckDB's own command line with the view of that snapshot."""
    if not (PROGRAMS / "duckdb").exists():
        pytest.skip("DuckDB's command line is not installed")
    asked = 'select count(*) as n, min("timestamp")::varchar as first from events'
    package = str(Path(auditlake.__file__).parents[1])
    environment = {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "PYTHONPATH": package, "HOME": str(tmp_path)}
    for snapshot, events in ((None, 2), (1, 1)):
        script = odd.connect(snapshot=snapshot).duckdb.rstrip("\n") + f" -json -c '{asked}'"
        script = script.replace("auditlake --lake", f"'{sys.executable}' -m auditlake --lake", 1)
        done = subprocess.run(
            ["sh", "-ec", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout) == [{"n": events, "first": "2026-11-24 12:00:00+00"}]


def polars(lake: AuditLake, snapshot: int | None) -> pl.DataFrame:
    names: dict[str, pl.LazyFrame] = {}
    exec(lake.connect(snapshot=snapshot).polars, names)  # the recipe as it stands
    return names["events"].collect().sort("event_id")


def test_polars(odd: AuditLake, lake: AuditLake) -> None:
    """The Python for Polars gives the snapshot's events, as auditlake does, whatever the lake's path."""
    for each in (odd, lake):
        for snapshot in (1, each.snapshot().version):
            assert polars(each, snapshot).equals(each.events(snapshot=snapshot).pl().sort("event_id"))
    assert "scan_delta" in lake.connect().polars


def test_spark(odd: AuditLake) -> None:
    """The Python for Spark names the table, the version and the columns; it is Python."""
    text = odd.connect().spark
    compile(text or "", "spark", "exec")

    assert f'.option("versionAsOf", {odd.snapshot().version}).load(' in (text or "")


def test_a_compacted_snapshot(odd: AuditLake, tmp_path: Path) -> None:
    """A snapshot whose files compaction has taken is given by the view alone, and what cannot give it says so."""
    odd.compact(grace_seconds=0)
    recipes = odd.connect(snapshot=1)

    assert recipes.spark is None
    assert polars(odd, 1)["event_id"].to_list() == ["1"]
    with duckdb.connect() as connection:
        connection.execute(recipes.view)
        assert connection.sql("select event_id from events").fetchall() == [("1",)]
    lake = odd.layout.root
    assert "cannot be read there any more" in run("--lake", lake, "connect", "--snapshot", 1)
    refused = CliRunner().invoke(cli, ["--lake", str(lake), "connect", "spark", "--snapshot", "1"])
    assert refused.exit_code == 2


def test_an_empty_lake(tmp_path: Path) -> None:
    """A lake without events has a view and a frame of no rows."""
    lake = create(tmp_path / "an empty lake")
    view = lake.connect().view
    assert polars(lake, None).columns[:3] == ["event_id", "event_type", "timestamp"]
    with duckdb.connect() as connection:
        connection.execute(view)
        assert connection.sql("from events").fetchall() == []
        assert connection.sql("from events").columns[:3] == ["event_id", "event_type", "timestamp"]


def test_the_command(lake: AuditLake) -> None:
    """All is shown, each piece alone is exactly that piece, JSON has them all, and what is not flushed is told."""
    root = lake.layout.root
    recipes = lake.connect()

    assert recipes.unflushed
    told = run("--lake", root, "connect")
    assert f"auditlake --lake {root} connect polars --snapshot 1\n" in told
    assert "create or replace view" not in told
    shown = run("--lake", root, "connect", "--verbose")
    assert all(text.strip() in shown for text in (recipes.duckdb, recipes.polars, recipes.spark, recipes.view))
    assert run("--lake", root, "connect", "view") == recipes.view
    assert run("--lake", root, "connect", "polars") == recipes.polars
    assert json.loads(run("--lake", root, "connect", "--json"))["view"] == recipes.view
    told = CliRunner().invoke(cli, ["--lake", str(root), "connect", "view"]).stderr
    assert "auditlake flush brings them in" in told


def test_the_backtest_command(lake: AuditLake) -> None:
    """Thresholds are numbers and ranges; the table and the JSON say what the library says."""
    root = lake.layout.root
    options = ("--thresholds", "1,3..5", "--windows", "1h, 24h", "--as-of", AS_OF.isoformat())
    found = json.loads(run("--lake", root, "policy", "backtest", "failed_logins", *options, "--json"))
    ours = lake.backtest("failed_logins", thresholds=[1, 3, 4, 5], windows=["1h", "24h"], as_of=AS_OF)

    assert [(each["window"], each["threshold"], each["episodes"]) for each in found["tried"]] == [
        (each.window, each.threshold, each.episodes) for each in ours.tried
    ]
    assert "episodes in 24h" in run("--lake", root, "policy", "backtest", "failed_logins", *options)
    for wrong in ("0", "5..1", "x", "1..99999", ""):
        asked = ["--lake", str(root), "policy", "backtest", "failed_logins", "--thresholds", wrong]
        assert CliRunner().invoke(cli, asked).exit_code == 2
