"""``policy add`` and ``policy remove`` say what changes, and ask where events become due."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditlake.errors import PolicyError
from tests.cli.conftest import Run
from tests.lakes import create
from tests.retention.lakes import bring, put_policies, record

KEEP = "name: n\ndescription: d\nrequired_events: [{types}]\ncoverage: optional\nretention_period: {keeps}\n"


def test_what_a_policy_changes_is_said_first(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is newly governed, kept longer or shorter, or becomes due is said; what makes events due asks."""
    now = datetime.now(UTC)
    lake = create(tmp_path / "lake")
    put_policies(lake, {"old": KEEP.format(types="login", keeps="20d")})
    bring(lake, [record(n, now - timedelta(days=n, minutes=1), ("login", "api_call")[n % 2]) for n in range(12)])
    file = tmp_path / "new.yaml"

    file.write_text(KEEP.format(types="login, logout", keeps="30d"))
    done = run("--lake", lake.layout.root, "policy", "add", file)
    assert (done.code, done.out.splitlines()[-1]) == (0, "added new")
    assert [line.split("  ")[0] for line in done.out.splitlines()[2:4]] == ["login", "logout"]
    assert "for 20d (old)  for 30d (new)  longer" in done.out
    again = run("--lake", lake.layout.root, "policy", "add", file)
    assert (again.code, again.out) == (0, "added new\n")

    file.write_text(KEEP.format(types="api_call", keeps="4d").replace("name: n", "name: other"))
    refused = run("--lake", lake.layout.root, "policy", "add", file)
    assert (refused.code, "another policy 'new'" in refused.err) == (3, True)
    for said, code in (("n\n", 1), ("", 1), ("y\n", 0)):
        monkeypatch.setattr("sys.stdin", io.StringIO(said))
        done = run("--lake", lake.layout.root, "policy", "add", file, "--replace")
        assert (done.code, "4 events become due for deletion" in done.out) == (code, True)
        assert ("nothing was done" in done.err) == (code == 1)
        assert (lake.policies.get("new").name == "other") == (code == 0)

    file.write_text(KEEP.format(types="api_call", keeps="2d"))
    done = run("--lake", lake.layout.root, "policy", "add", file, "--replace", "--yes", "--json")
    assert done.json["changes"] == {
        "types": [{"event_type": "api_call", "events": 6, "newly_governed": False, "before": "for 4d (new)",
                   "after": "for 2d (new)", "becomes_due": 1}],
        "becomes_due": 1, "pseudonymise": 0, "unusable": [],
    }  # fmt: skip

    put_policies(lake, {"new": KEEP.format(types="api_call", keeps="20d"), "short": KEEP.format(types="api_call",
                 keeps="8d")})  # fmt: skip
    done = run("--lake", lake.layout.root, "policy", "remove", "new", "--yes")
    assert "for 20d (new)  for 8d (short)  shorter" in done.out
    assert done.out.splitlines()[-2:] == ["2 events become due for deletion", "removed new"]
    again = run("--lake", lake.layout.root, "policy", "remove", "new")
    assert (again.code, again.err.count("no policy 'new'"), "nothing was done" in again.err) == (3, 1, False)
    done = run("--lake", lake.layout.root, "policy", "remove", "short", "--yes", "--json")
    assert (done.json["removed"], done.json["changes"]["types"][0]["after"]) == ("short", "for ever")


def test_the_effect_in_python(tmp_path: Path) -> None:
    """It can be asked without changing anything; a broken policy is named, and personal data that would go counts."""
    now = datetime(2026, 4, 1, 12, tzinfo=UTC)
    lake = create(tmp_path / "lake", clock=lambda: now, default_retention="9d")
    put_policies(lake, {"keep": KEEP.format(types="login", keeps="20d"), "broken": "name: n\n"})
    bring(lake, [record(n, now - timedelta(days=n), "login") for n in range(12)])
    file = tmp_path / "limit.yaml"
    file.write_text(KEEP.format(types="login", keeps="3d") + "max_retention: 5d\n")

    found = lake.policies.effect(file)
    assert [(each.before, each.change, each.becomes_due) for each in found.types] == [("for 20d (keep)", 0, 0)]
    assert (found.takes, found.pseudonymise, found.unusable) == (True, 7, ("broken",))
    gone = lake.policies.removal_effect("keep")
    assert [(each.after, each.change, each.becomes_due) for each in gone.types] == [
        ("for 9d (default_retention)", -1, 2)
    ]
    assert not lake.layout.policy("limit").exists()
    with pytest.raises(PolicyError, match="another policy 'keep'"):
        lake.policies.effect(file.rename(tmp_path / "keep.yaml"))
