"""The README tells the truth: its Python and its commands run as printed, and its links lead somewhere."""

from __future__ import annotations

import doctest
import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake.cli import cli
from auditlake.findings.journal import read
from auditlake.testing import events
from tests.demos import DEMO, copy_demo, run

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def lines() -> list[str]:
    """The commands of the README, without their comments."""
    return [line[2:].partition("#")[0].strip() for block in blocks("console") for line in block.splitlines()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the lake that the demo leaves behind, and with logs of its own."""
    folder = tmp_path_factory.mktemp("readme")
    copy_demo(folder, tmp_path_factory)
    folder.joinpath("logs").mkdir()
    made = events("auth_failure", datetime.now(UTC) - timedelta(days=3), count=20, every="10min", user_id="frank")
    folder.joinpath("logs", "app.jsonl").write_text("".join(f"{each.to_json()}\n" for each in made))
    return folder


def test_python(demo: Path) -> None:
    """The blocks of Python run in order, as one program, and give what the README shows."""
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(demo)
        for number, block in enumerate(blocks("python"), 1):
            test = doctest.DocTestParser().get_doctest(block, names, f"block {number}", "README.md", 0)
            assert test.examples
            assert doctest.DocTestRunner().run(test, clear_globs=False).failed == 0
            names = test.globs

    assert "report" in names


def test_company(demo: Path) -> None:
    """The company of the demo is believable: what was written into its trail is found, and nothing else is."""
    lake = auditlake.open(demo / "demo" / "lake")
    reports = {each.policy_id: each for each in lake.reports(as_of="2026-09-30", last="90d", pages=False)}
    found = {name: each.findings for name, each in reports.items() if each.status == "violation"}
    users = {name: {(each.group or {}).get("user_id") for each in findings} for name, findings in found.items()}
    outages = [(f"{each.start:%m-%d}", f"{each.end:%m-%d}") for each in found["pci-dss-4--cardholder_access"]]
    decided = [type(line.entry).__name__ for line in read(lake.layout)]
    (accepted,) = reports["pci-dss-4--log_content"].findings

    assert {each.status for each in reports.values()} == {"compliant", "violation"}
    assert users == {
        "failed_logins": {"frank", "ingrid"}, "pci-dss-4--refused_access": {"frank", "ingrid"},
        "guessed_password": {"frank"}, "taken_documents": {"svc-reindex"}, "pci-dss-4--cardholder_access": {None},
    }  # fmt: skip
    assert outages == [("07-20", "07-28"), ("08-23", "08-25")]
    assert len(users) * 4 < len(reports)
    assert [each.id for each in lake.packs] == ["eu-ai-act", "pci-dss-4"]
    assert accepted.accepted is not None
    assert decided == ["Acceptance", "Resolution", "Review", "Statement", "Statement"]
    assert [(each.policy_id, each.differences) for each in lake.policies.check() if not each.passed] == []


def test_commands(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command of the README runs, in order, and ends with 0."""
    assert DEMO in lines()
    failed = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(demo)
        for line in lines():
            if line.startswith("auditlake ") and line != DEMO and (code := run(line)):  # the fixture made the demo
                failed[line] = (code, capsys.readouterr().err)

    assert failed == {}
    assert "failed_logins" in capsys.readouterr().out


def test_installation() -> None:
    """What the README says to install is this checkout; what it says to make, make knows."""
    packages = [line.split()[-1] for line in lines() if line.startswith("pip install")]
    targets = [line.split()[1] for line in lines() if line.startswith("make ")] + re.findall(r"`make (\w+)`", README)
    known = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert packages == ["."]
    assert set(targets) <= set(known)
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"] == "auditlake"


def test_commands_exist() -> None:
    """Every command that the README names is one, and the command reference has every command."""
    spans = [span[1:-1] for span in re.findall("`[^`\n]+`", README)]
    named = set(re.findall(r"^auditlake (?:--lake \S+ )?([a-z-]+)", "\n".join([*lines(), *spans]), re.MULTILINE))

    assert named <= set(cli.commands)
    reference = (ROOT / "auditlake/docs/reference/cli.md").read_text(encoding="utf-8")
    assert [name for name in cli.commands if f"auditlake {name}" not in reference] == []


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md"])
def test_paths_exist(name: str) -> None:
    """Files that the documents point to are there."""
    text = (ROOT / name).read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)#]+\.md)\)", text)
    named = re.findall(r"`((?:auditlake|sql|reports_templates|tests)/[\w./]+\.\w+)", text)

    assert [each for each in (*linked, *named) if not (ROOT / each).exists()] == []
