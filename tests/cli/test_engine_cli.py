"""Another engine answers policies: named on the command line or in lake.toml, and the reports are the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

import auditlake
from auditlake import AuditLake
from auditlake.cli import cli
from auditlake.errors import EngineError, LakeFormatError
from auditlake.reports import evaluators
from tests.engine.test_slices import server  # noqa: F401 - a fixture
from tests.lakes import create
from tests.retention.lakes import bring, put_policies, record

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
HEAD = "name: n\ndescription: d\nrequired_events: [login]\n"
BY_USER = HEAD + "group_by: [user_id]\n"
BASELINE = "baseline: {bucket: 1d, season: 1d, seasons: 3, at_least: 2, ratio: 1.5}\n"
POLICIES = {
    "all": HEAD + "alert_threshold: 4\nretention_period: 30d\nmax_gap: 2d\n",
    "by_user": HEAD + "alert_threshold: 2\ngroup_by: [user_id]\nwindow: 36h\n",
    "few": HEAD + "alert_threshold: 1\nwindow: 1h\n",
    "by_both": HEAD + "alert_threshold: 2\ngroup_by: [user_id, action]\nwhere: \"action <> 'x'\"\n",
    "scoped": HEAD
    + "alert_threshold: 3\nretention_period: 10d\nmax_gap: {login: 9h}\nscope: \"action = 'a' or ip_address is null\"\n"
    + "fields: {who: [user_id, details.who], where: [ip_address]}\n",
    "addresses": BY_USER + "alert_threshold: 2\ndistinct: ip_address\n",
    "amounts": BY_USER + "alert_threshold: 20\nsum: details ->> '$.n'\n",
    "means": BY_USER + "alert_threshold: 20\naverage: details ->> '$.n'\n",
    "steps": BY_USER + "sequence: [{where: \"action = 'a'\"}, {where: \"action = 'b'\", count: 2}]\nwindow: 3d\n",
    "both": BY_USER + "together: [{where: \"action = 'a'\"}, {where: \"action = 'b'\"}]\nwindow: 2d\n",
    "new": BY_USER + "first_seen: {entity: [user_id], value: [ip_address], memory: 5d, learn: 1d}\n",
    "awake": BY_USER + "dormant: {entity: [user_id], silence: 2d}\n",
    "usual": BY_USER + f"{BASELINE}alert_threshold: 2\n",
    "of_all": HEAD + "alert_threshold: 3\ndistinct: ip_address\nwindow: 9h\n",
}
ASKED = ("report", *POLICIES, "--as-of", "2026-04-01T12:00:00Z", "--last", "60d")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """A lake with some days of events, many of one second, some without a user, and a hold over some; with policies
    that can be asked by slices, and one that cannot.
    """
    lake = create(tmp_path_factory.mktemp("engines") / "lake", clock=lambda: NOW)
    put_policies(lake, POLICIES | {"usual_of_all": f"{HEAD}{BASELINE}alert_threshold: 3\n"})
    bring(lake, [
        record(
            n, NOW - timedelta(hours=7 * (n % 40), minutes=n // 9), "login", action="ab"[n % 5 % 2],
            ip_address=[None, "10.0.0.1", f"10.0.1.{n % 11}"][n % 3], details={"n": n % 13 - 2.5},
            **{"user_id": None} if n % 8 == 0 else {},
        ) for n in range(90)
    ])  # fmt: skip
    lake.holds.add("case", reason="r", owner="o", ticket="t", user_ids=["user 1"])
    return lake


def run(lake: AuditLake, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["--lake", str(lake.layout.root), *arguments])
    return done.exit_code, done.output


def files(folder: Path) -> dict[str, bytes]:
    """What a folder of reports has, but for what is made of the journal of runs."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name != "index.html" and not path.name.endswith("_trend.html")
    }


def test_reports_are_the_same(lake: AuditLake, tmp_path: Path) -> None:
    """JSON and pages by slices are those of the usual statements to the byte; the run's line says what answered."""
    assert run(lake, *ASKED, "--out", str(tmp_path / "usual"))[0] == 0
    assert run(lake, *ASKED, "--out", str(tmp_path / "slices"), "--engine", "slices")[0] == 0

    assert len(files(tmp_path / "usual")) == 3 * len(POLICIES)
    assert files(tmp_path / "slices") == files(tmp_path / "usual")
    lines = [json.loads(line) for line in lake.layout.run_journal.read_text().splitlines()[-2:]]
    assert [line.get("engine") for line in lines] == [None, "slices"]
    assert [each.engine for each in auditlake.open(lake.layout.root).runs.all()[-2:]] == ["duckdb", "slices"]


@pytest.mark.parametrize(
    "asked", [("scoped", "steps"), pytest.param(("by_both", "addresses", "of_all"), marks=pytest.mark.soak)]
)
def test_a_server_gives_the_same(lake: AuditLake, server: str, asked: Sequence[str]) -> None:  # noqa: F811
    """What a server of Spark Connect answers is the same to the byte."""
    usual, theirs = (lake.reports(*asked, as_of=NOW, last="60d", engine=name) for name in ("duckdb", server))
    assert [each.json() for each in theirs] == [each.json() for each in usual]
    assert sum(each.total_events for each in usual) > 0


def test_where_memory_is_short(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that would spill is asked by slices where nothing is remembered, and the run's line says so."""
    usual = lake.reports("all", "by_user", "addresses", as_of=NOW, last="60d", cache=False)
    monkeypatch.setattr(evaluators, "_BYTES", 10**15)
    for asked, engine in ((["all", "by_user", "addresses"], "slices"), (["by_user", "addresses"], "duckdb")):
        with lake.runs.recorded() as run:
            reports = run.reports(*asked, as_of=NOW, last="60d", cache=False)
        expected = [each.json() for each in usual if each.policy_id in asked]
        assert [each.json() for each in reports] == expected
        assert lake.runs.all()[-1].engine == engine


def test_what_it_cannot_be_asked_for_is_named(lake: AuditLake) -> None:
    """A policy without a formulation by slices is refused by name, before anything is asked."""
    with pytest.raises(EngineError, match=r"^the engine slices cannot be asked for usual_of_all \(baseline without "):
        lake.reports(engine="slices")


def test_a_condition_that_fails_stops_no_other(lake: AuditLake, tmp_path: Path) -> None:
    """DuckDB says of which events it fails, as without the engine; the other policies are judged."""
    bad = HEAD + "alert_threshold: 2\nwhere: \"cast(action as integer) > 1 or nullif('', 1.5) is null\"\n"
    lake.layout.policy("bad").write_text(bad)
    try:
        asked = ("report", "bad", "all", "by_user", *ASKED[-4:])
        done = [run(lake, *asked, "--out", str(tmp_path / name), "--engine", name)[0] for name in ("duckdb", "slices")]
        assert done[0] == done[1]
        assert files(tmp_path / "slices") == files(tmp_path / "duckdb")
    finally:
        lake.layout.policy("bad").unlink()


def test_evidence_does_not_depend_on_it(lake: AuditLake, tmp_path: Path) -> None:
    """A pack of several policies has the events behind findings, whatever lake.toml names."""
    config = lake.layout.config
    text = config.read_text()
    try:
        config.write_text(f'{text}\n[engine]\nname = "sc://127.0.0.1:1"\n')
        opened = auditlake.open(lake.layout.root, clock=lambda: NOW)
        pack = opened.evidence(["all", "by_user"], tmp_path / "p.zip", as_of=NOW, last="60d")
        assert sum(pack.events.values()) > 0
    finally:
        config.write_text(text)


def test_the_check(lake: AuditLake) -> None:
    """The check says what works and which policies can be asked; no server at all is a no with its reason."""
    code, text = run(lake, "engine", "check", "slices", "--json")
    found = json.loads(text)
    assert (code, [each["works"] for each in found["checks"]]) == (0, [True] * 3)
    assert {each["policy"]: each["why"] for each in found["policies"]} == {
        **dict.fromkeys(POLICIES, ""), "usual_of_all": "baseline without groups",
    }  # fmt: skip
    code, text = run(lake, "engine", "check", "sc://127.0.0.1:1")
    assert code == 1
    assert "no server answers at sc://127.0.0.1:1: " in text
    code, text = run(lake, "engine", "check", "sc://127.0.0.1:1/;token=c2VjcmV0cw==", "--json")
    assert (code, "c2VjcmV0cw" in text) == (1, False)
    with pytest.raises(EngineError, match="duckdb is asked for everything"):
        lake.policies.check_engine()


def test_lake_toml_names_it(lake: AuditLake, tmp_path: Path) -> None:
    """The section [engine] names one, and DuckDB answers the rest; what is none is refused with what there is."""
    config = lake.layout.config
    text = config.read_text()
    try:
        config.write_text(f'{text}\n[engine]\nname = "slices"\n')
        asked = ("report", "all", "by_user", "usual_of_all", *ASKED[-4:])
        assert run(lake, *asked, "--out", str(tmp_path / "usual"), "--engine", "duckdb")[0] == 0
        assert run(lake, *asked, "--out", str(tmp_path / "set"))[0] == 0
        assert len(files(tmp_path / "usual")) == 3 * 3
        assert files(tmp_path / "set") == files(tmp_path / "usual")
        assert auditlake.open(lake.layout.root).runs.all()[-1].engine == "slices"
        config.write_text(f'{text}\n[engine]\nname = "spark"\n')
        with pytest.raises(LakeFormatError, match=r"engine\.name: expected 'duckdb', 'slices', or an address such as"):
            auditlake.open(lake.layout.root)
    finally:
        config.write_text(text)
