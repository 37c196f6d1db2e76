"""The README tells the truth: its Python runs on the demo lake, its commands work, its policy passes its own test."""

from __future__ import annotations

import doctest
import io
import logging
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake.cli import cli, main
from auditlake.config import AlertSettings, parse_lateness
from auditlake.testing import events

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DEMO = "auditlake demo demo"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the demo leaves behind."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", DEMO.split())
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code
        yield folder


def test_settings(tmp_path: Path) -> None:
    """The section of lake.toml in the README is one that a lake takes, and has every setting of its kind."""
    (section,) = blocks("toml")
    layout = auditlake.create(tmp_path / "lake").layout
    layout.config.write_text(layout.config.read_text().partition("[alerts]")[0] + section)

    assert set(tomllib.loads(section)["alerts"]) == {each.name for each in fields(AlertSettings)}
    assert auditlake.open(layout.root).config.alerts == AlertSettings(**{
        name: parse_lateness(value) if name == "lateness" else value
        for name, value in tomllib.loads(section)["alerts"].items()
    })  # fmt: skip


class Present:
    """What machine.py knows of the time: a day after everything that the README dates, and before what expires."""

    @staticmethod
    def now(_: object) -> datetime:
        return NOW


def run(line: str) -> int:
    """Run a command of the README as a shell would, with yes for an answer; give its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditlake.machine.datetime", Present)
        patch.setattr("sys.argv", shlex.split(line, comments=True))
        patch.setattr("sys.stdin", io.StringIO("y\n"))
        with pytest.raises(SystemExit) as left:
            main()
    return int(left.value.code or 0)


def parse(line: str) -> None:
    """Parse a command without running it."""
    words = shlex.split(line, comments=True)[1:]
    with cli.make_context("auditlake", words) as context:
        name, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        command.make_context(name, rest, parent=context)


def test_python(demo: Path) -> None:
    """The blocks of Python run in order, as one program, and give what the README shows."""
    names: dict[str, Any] = {}
    handlers = list(logging.getLogger().handlers)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(demo)
        for number, block in enumerate(blocks("python"), 1):
            if ">>> " not in block:
                exec(compile(block, f"block {number} of README.md", "exec"), names)  # a name that is unknown fails here
                continue
            test = doctest.DocTestParser().get_doctest(block, names, f"block {number}", "README.md", 0)
            assert test.examples
            assert doctest.DocTestRunner().run(test, clear_globs=False).failed == 0
            names = test.globs

    assert len(blocks("python")) > 2
    assert logging.getLogger().handlers == handlers
    assert names["lake"].sql("select count(*) from events where action = 'export'").fetchone() == (1,)


ONLY_PARSED = ("tail", "watch", "anchor", "shell")
"""The commands that need the network or a terminal, or follow a file until they are stopped."""


def written(line: str) -> str:
    """A command with what a reader would write in the place of names that no lake has."""
    if "finding accept ID" in line:
        return line.replace("ID", auditlake.open("lake", clock=lambda: NOW).findings.list()[0].finding.id)
    if "compliance_….json" in line:
        run("auditlake report failed_logins --out made")
        return line.replace("reports/compliance_….json", str(next(Path("made").glob("compliance_*.json"))))
    return line.replace("/mnt/copy", "copy").replace("key.pub", "lake/ledger/key.pub")


def test_commands(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command of the README runs, in order, on a machine with logs of its own; those that wait are parsed."""
    commands = [
        line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ auditlake")
    ]
    first, *lines = commands
    failed = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(demo)
        demo.joinpath("logs").mkdir()
        demo.joinpath("ca.pem").touch()
        made = [
            *events(
                "auth_failure", NOW - timedelta(days=3), count=20, every="10min", user_id="frank", status="failure"
            ),
            *events("login", NOW - timedelta(days=2), count=3, user_id="mallory"),
            *events("data_access", NOW - timedelta(days=2000), count=3, user_id="ann"),
            *events("data_access", NOW - timedelta(days=1), user_id="smith"),
        ]
        demo.joinpath("logs", "app.jsonl").write_text("".join(
            f"{replace(each, event_id=f'e{number}').to_json()}\n" for number, each in enumerate(made)
        ))  # fmt: skip
        for line in map(written, lines):
            if line.split()[1] in ONLY_PARSED:
                parse(line)
            elif code := run(line):
                failed[line] = (code, capsys.readouterr().err)

    assert first.startswith(DEMO)
    assert failed == {}
    assert "failed_logins" in capsys.readouterr().out


def test_installation() -> None:
    """What the README says to install is this checkout, with extras that it has; what it says to make, make knows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line[2:].partition("#")[0].strip() for block in blocks("console") for line in block.splitlines()]
    packages = [line.split()[-1].strip("'\"") for line in lines if line.startswith("pip install")]
    packages += re.findall(r"`pip install '?([^`']+)'?`", README)
    targets = [line.split()[1] for line in lines if line.startswith("make ")] + re.findall(r"`make (\w+)`", README)
    extras = {extra for each in packages for extra in re.findall(r"\[(\w+)\]", each)}

    assert packages[0] == "."
    assert {re.sub(r"\[.*\]", "", each) for each in packages} == {"."}
    assert extras <= set(project["optional-dependencies"])
    assert set(targets) <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_policy(tmp_path: Path) -> None:
    """The policy in the README is accepted, and the test inside it passes."""
    (text,) = blocks("yaml")
    file = tmp_path / "readme_policy.yaml"
    file.write_text(text)
    lake = auditlake.create(tmp_path / "lake")
    lake.policies.add(file)

    (result,) = lake.policies.check("readme_policy")
    assert result.differences == ()


def test_commands_exist() -> None:
    """Every `auditlake` command in the README is one, and every command is there or in the command reference."""
    said = set(re.findall(r"auditlake (?:--lake \S+ )?([a-z]+)\b", README)) - {"on", "engine", "reads"}
    told = README + (ROOT / "auditlake/docs/reference/cli.md").read_text(encoding="utf-8")

    assert said <= set(cli.commands)
    assert [name for name in cli.commands if f"auditlake {name}" not in told] == []


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md"])
def test_paths_exist(name: str) -> None:
    """Files that the documents point to are there."""
    text = (ROOT / name).read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)#]+\.md)\)", text)
    named = re.findall(r"`((?:auditlake|sql|reports_templates|tests)/[\w./]+\.\w+)", text)

    assert [each for each in (*linked, *named) if not (ROOT / each).exists()] == []
