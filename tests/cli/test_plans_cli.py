"""Which plan answers a policy, and where the time of a report goes: told where it is asked, and never in a report."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.cli.exit_codes import DONE
from auditlake.policies import few_days
from tests.cli.conftest import Run
from tests.lakes import create
from tests.retention.lakes import bring, put_policies, record

NOW = datetime(2026, 4, 1, 23, 59, 59, 999_999, tzinfo=UTC)
HEAD = "name: n\ndescription: d\nrequired_events: [login]\nretention_period: 20d\n"
POLICIES = {
    "all": HEAD + "alert_threshold: 4\n",
    "by_user": HEAD + "alert_threshold: 2\ngroup_by: [user_id]\n",
    "addresses": HEAD + "alert_threshold: 2\ngroup_by: [user_id]\ndistinct: [ip_address]\n",
}


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake with some days of events and three policies."""
    lake = create(tmp_path / "lake", clock=lambda: NOW)
    put_policies(lake, POLICIES)
    bring(lake, [record(n, NOW - timedelta(hours=7 * (n % 40), minutes=n), "login") for n in range(90)])
    return lake


def test_report_says_where_the_time_went(run: Run, lake: AuditLake, tmp_path: Path) -> None:
    """The bytes of reports are the same with and without."""
    asked = ("--lake", lake.layout.root, "report", "all", "by_user", "--as-of", "2026-04-01")
    plain = run(*asked, "--out", tmp_path / "plain", "--no-cache")
    timed = run(*asked, "--out", tmp_path / "timed", "--timings", "--no-cache")

    assert plain.code == timed.code == DONE
    assert "plan of" not in plain.err
    assert timed.err.splitlines()[1:] == ["plan of all: sort and sweep", "plan of by_user: sort and sweep by user_id"]
    assert all(name in timed.err for name in ("judging", "opening", "asking", "rendering", "statements"))
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / each).rglob("*.json")} for each in ("plain", "timed")
    )
    assert len(first) == 2
    assert first == second


def test_timings_as_json(run: Run, lake: AuditLake) -> None:
    """They are null where they were not asked for."""
    asked = ("--lake", lake.layout.root, "report", "all", "--as-of", "2026-04-01", "--json")

    assert run(*asked).json["timings"] is None
    timings = run(*asked, "--timings").json["timings"]
    assert timings["plans"] == {"all": "remembered days"}
    assert timings["statements"] >= 0
    assert {"judging", "opening", "remembering", "rendering"} <= timings["seconds"].keys()


def test_explain(run: Run, lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan is named with its reason, before and after a report of the policy."""

    def plan(name: str) -> tuple[str, str]:
        said = run("--lake", lake.layout.root, "policy", "sql", name, "--explain", "--as-of", "2026-04-01", "--json")
        return said.json["plan"]["name"], said.json["plan"]["reason"]

    many = "it counts events, and many days or events are missing"
    assert plan("by_user") == ("sweep in arrays", many)
    put_policies(lake, POLICIES | {"odd": POLICIES["all"] + "where: user_id = 'user 1'\n"})
    assert plan("odd") == ("sweep in arrays", f"{many}; where five or more such policies are asked, it is sorted")
    put_policies(lake, POLICIES)
    assert plan("addresses") == ("sort and sweep by user_id", "its measure is distinct")
    monkeypatch.setattr(few_days, "MOST_DAYS", 100)
    assert plan("all")[0] == "days at once"
    assert run("--lake", lake.layout.root, "report", "all", "--as-of", "2026-04-01").code == DONE
    assert plan("all") == ("remembered days", "all days of the period are remembered")
    text = run("--lake", lake.layout.root, "policy", "sql", "all", "--explain", "--as-of", "2026-04-01").out
    assert text.splitlines()[1] == "0 days to ask about, 0 files, 0 events"


def test_statistics_of_a_long_window_without_numpy(lake: AuditLake) -> None:
    """A process of its own keeps Arrow from numpy, and asks by statements what would be swept in arrays."""
    put_policies(lake, {"long": POLICIES["by_user"] + "window: 30d\n"})
    lake.flush()
    words = ["--lake", str(lake.layout.root), "stats", "--as-of", "2026-04-01", "--json"]
    told = subprocess.run(
        [sys.executable, "-m", "auditlake", *words], check=True, capture_output=True, cwd=Path(__file__).parents[2]
    )  # fmt: skip
    assert json.loads(told.stdout)["policy_compliance"]["long"]["status"] == "violation"
