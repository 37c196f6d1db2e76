"""The README tells the truth: its Python runs on the demo lake, its commands work, its policy passes its own test."""

from __future__ import annotations

import doctest
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import auditlake
from auditlake.cli import cli, main
from auditlake.config import AlertSettings, parse_lateness

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what `make demo` leaves behind."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["auditlake", "demo", "demo"])
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


def test_python(demo: Path) -> None:
    """The Python in the README gives what the README shows."""
    test = doctest.DocTestParser().get_doctest("\n".join(blocks("python")), {}, "README.md", "README.md", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(demo)
        result = doctest.DocTestRunner().run(test)

    assert result.attempted > 5
    assert result.failed == 0


def test_commands_of_the_demo(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands on the demo lake run as they stand."""
    lines = [line[2:] for block in blocks("console") for line in block.splitlines() if "--lake demo/lake" in line]
    for line in lines:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(demo)
            patch.setattr("sys.argv", shlex.split(line))
            with pytest.raises(SystemExit) as left:
                main()
            assert not left.value.code

    assert lines
    assert "failed_logins" in capsys.readouterr().out


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
