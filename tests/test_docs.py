"""The documentation tells the truth: its commands and Python work as printed, its links resolve, its tables have every
key, and the pages that are made from the code are what the code gives.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner

import auditlake
from auditlake.cli import cli, main
from auditlake.cli.demo import build
from auditlake.cli.demo_data import write_demo
from auditlake.cli.docs import FOLDER, topics
from auditlake.cli.exit_codes import EXIT_CODES
from auditlake.engine import expression_gate
from auditlake.events.schema import PUBLIC_COLUMNS, EventType
from auditlake.policies import condition
from auditlake.policies.holds import Hold
from auditlake.policies.kinds import KINDS, measures
from auditlake.policies.model import Policy, PolicyTest
from auditlake.sources.catalog import built_in
from tests.docs.generate import PAGES, slug

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.md"))
WRITTEN = [path for path in PATHS if path not in PAGES]


def text_of(path: str) -> str:
    return (FOLDER / path).read_text(encoding="utf-8")


def blocks(path: str, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w+)\n(.*?)^```", text_of(path), re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def prose(path: str) -> str:
    return re.sub(r"^```.*?^```", "", text_of(path), flags=re.MULTILINE | re.DOTALL)


def headings(path: str) -> list[str]:
    return [line.lstrip("# ").replace("`", "") for line in prose(path).splitlines() if line.startswith("#")]


def first_cells(path: str) -> set[str]:
    """Every name in code in the first column of a table."""
    rows = [re.split(r"(?<!\\)\|", line)[1] for line in text_of(path).splitlines() if line.startswith("| ")]
    return {name for cell in rows for name in re.findall(r"`([^`]+)`", cell)}


# The pages as such


def test_every_page_is_a_topic() -> None:
    """index.md lists each other page once, and the file names are topics that differ."""
    listed = [each.path for each in topics().values()]

    assert sorted([*listed, "index.md"]) == PATHS


@pytest.mark.parametrize("path", PATHS)
def test_links_resolve(path: str) -> None:
    """Every link within the documentation leads to a page that is there, and to a heading of it."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", prose(path)):
        file, _, anchor = target.partition("#")
        page = (FOLDER / path).parent / file if file else FOLDER / path
        assert page.is_file(), target
        assert not anchor or anchor in map(slug, headings(page.resolve().relative_to(FOLDER).as_posix())), target


@pytest.mark.parametrize("path", PAGES)
def test_generated_pages_are_up_to_date(path: str) -> None:
    """A page that is made from the code is what the code gives; `make docs` writes it."""
    assert text_of(path) == PAGES[path]()


@pytest.mark.soak
def test_site(tmp_path: Path) -> None:
    """Sphinx builds the site without a warning, and no page of it loads anything from the network."""
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    options = ["-q", "-W", "-n", "-E", "-c", str(ROOT / "tests/docs/site"), "-d", str(tmp_path / "trees")]
    out = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "sphinx", *options, str(FOLDER), str(out)], check=True)

    for page in out.rglob("*.html"):
        loaded = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]+", page.read_text())
        assert loaded == [], page


# The verb


def test_verb() -> None:
    """`auditlake docs` lists the topics, shows a page as it is into a pipe, and names what is near a wrong topic."""
    listed = CliRunner().invoke(cli, ["docs"]).output
    shown = CliRunner().invoke(cli, ["docs", "policies"])
    as_json = json.loads(CliRunner().invoke(cli, ["docs", "policies", "--json"]).output)
    wrong = CliRunner().invoke(cli, ["docs", "policy"])

    assert all(name in listed and each.summary in listed for name, each in topics().items())
    assert shown.output == as_json["text"] == text_of("reference/policies.md")
    assert wrong.exit_code == 2
    assert "policies" in wrong.output


def test_verb_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a page is laid out, and a link to another page is the command that shows it."""
    from auditlake.cli import docs

    monkeypatch.setenv("COLUMNS", "80")
    page = f"# A\n\n[What](reference/semantics.md#time) and `code`\n\n| a |\n|---|\n| b |\n\n```sh\n{'x' * 120}\n```\n"
    shown = click.unstyle(docs._rendered(page))

    assert "What (auditlake docs semantics) and code" in shown
    assert "|---|" not in shown
    assert f"    {'x' * 120}\n" in shown


# What the pages show works


class Step(NamedTuple):
    """A command of a page, and what the page says that it prints."""

    command: str
    printed: list[str]
    code: int


def steps(block: str) -> Iterator[Step]:
    """The commands of a console block: each after a `$`, with a here-document, and then its output."""
    lines = block.splitlines()
    while lines:
        line = lines.pop(0)
        assert line.startswith("$ "), line
        command = [line[2:]]
        if match := re.search(r"<<'(\w+)'", line):
            while command[-1] != match[1]:
                command.append(lines.pop(0))
        printed = []
        while lines and not lines[0].startswith("$ "):
            printed.append(lines.pop(0))
        code = re.search(r"# exit code (\d+)$", command[0])
        yield Step("\n".join(command), printed, int(code[1]) if code else 0)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a demo of fewer days and events than `auditlake demo` has, with the same incidents."""
    folder = tmp_path_factory.mktemp("docs") / "demo"
    made = write_demo(folder / "inputs", days=14, events_per_day=100)
    build(folder / "lake", made)
    return folder


@pytest.fixture
def place(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a demo of its own."""
    shutil.copytree(demo, tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDITLAKE_LAKE", raising=False)
    return tmp_path


def run(command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command: those of auditlake in this process, which is quicker, and others in a shell."""
    capfd.readouterr()
    whole = re.fullmatch(r"(?P<own>auditlake [^$`|]*?)(?: > (?P<out>\S+))?(?:\s+#.*)?", command)
    if whole is None:
        done = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr
    monkeypatch.setattr("sys.argv", shlex.split(whole["own"]))
    with pytest.raises(SystemExit) as left:
        main()
    said = capfd.readouterr()
    if whole["out"]:
        Path(whole["out"]).write_text(said.out)
    code = left.value.code or 0
    return int(code), said.out if code == 0 else said.out + said.err


@pytest.mark.parametrize("path", [path for path in WRITTEN if blocks(path, "console")])
def test_commands_work_as_printed(
    path: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every command of a console block ends as the page says, and prints what it shows; … stands for anything."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for step in (step for block in blocks(path, "console") for step in steps(block)):
        if match := re.fullmatch(r"(?:export )?([A-Z_]+)=(.+)", step.command):  # a variable, for the commands after it
            _, value = run(f"echo {match[2]}", monkeypatch, capfd)
            monkeypatch.setenv(match[1], value.strip())
            continue
        code, printed = run(os.path.expandvars(step.command), monkeypatch, capfd)
        shown = re.escape("\n".join(step.printed).strip()).replace("…", "(.|\n)*")
        assert code == step.code, f"{step.command}\n{printed}"
        assert not shown or re.fullmatch(shown, printed.strip()), f"{step.command}\n{printed}"


@pytest.mark.parametrize("path", [path for path in WRITTEN if blocks(path, "python")])
def test_python_works_as_printed(path: str, place: Path) -> None:
    """The Python of a page gives what the page shows, one block after the other; a page may need a lake in `lake`."""
    auditlake.create(place / "lake")
    text = "\n".join(blocks(path, "python"))
    result = doctest.DocTestRunner().run(doctest.DocTestParser().get_doctest(text, {}, path, path, 0))

    assert result.attempted > 0
    assert result.failed == 0


def spoken_of(path: str) -> Iterator[str]:
    """Every command of auditlake that a page names: in a block, in a line of a unit, in the text."""
    for block in blocks(path, "console", "sh", "ini", "text"):
        for line in block.replace("\\\n", " ").splitlines():
            yield from re.findall(r"(?:^|[ /(])(auditlake (?:-|[a-z])[^>|;&)]*)", line.partition(" #")[0])
    for line in re.findall(r"`(auditlake [^`]+)`", prose(path)):
        yield " ".join(line.split())


@pytest.mark.parametrize("path", WRITTEN)
def test_commands_exist(path: str) -> None:
    """Every command that a page names is one, with the options that it names."""
    for line in spoken_of(path):
        words = shlex.split(
            line.replace("'", "").replace('"', "") if line.count("'") % 2 or line.count('"') % 2 else line
        )
        command: click.Command = cli
        context = click.Context(cli, **cli.context_settings)
        rest = words[1:]
        while True:
            _, rest, _ = command.make_parser(context).parse_args(rest) if command is cli else ({}, rest, [])
            if not isinstance(command, click.Group) or not rest or rest[0] in ("COMMAND", "--help", "…"):
                break
            if (below := command.get_command(context, rest[0])) is None:
                assert command.name == "review", line  # its first word may be left out
                break
            command, context, rest = below, click.Context(below, parent=context), rest[1:]
        known = {name for each in command.get_params(context) for name in (*each.opts, *each.secondary_opts)}
        if command.name == "review":
            known = {name for each in command.commands.values() for option in each.params for name in option.opts}  # type: ignore[attr-defined]
        assert {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)} - known == set(), line


# The tables have every key


def test_settings(tmp_path: Path) -> None:
    """Every key of lake.toml has a row, its section a heading, and the file that is shown has them all and is read."""
    layout = auditlake.create(tmp_path / "lake").layout
    made = layout.config.read_text()
    keys = set(re.findall(r"^(?:# )?(\w+) = ", made, re.MULTILINE))
    sections = set(re.findall(r"^(?:# )?(\[\[?\w+\]\]?)$", made, re.MULTILINE))
    (shown,) = blocks("reference/lake-toml.md", "toml")
    layout.config.write_text(shown)
    read = tomllib.loads(shown)
    tables = [each for value in read.values() for each in (value if isinstance(value, list) else [value])]

    assert first_cells("reference/lake-toml.md") == keys
    assert sections <= set(headings("reference/lake-toml.md"))
    within = [each for table in tables if isinstance(table, dict) for each in table.get("sinks", ())]
    inner = {key for each in (*tables, *within) if isinstance(each, dict) for key in each} - {"sinks"}
    assert inner | {key for key in read if not re.search(rf"^\[+{key}\]", shown, re.MULTILINE)} == keys
    assert auditlake.open(layout.root).config.personal == ("$.details.email", "$.metadata.phone")


def test_policy_language(tmp_path: Path) -> None:
    """Every key of a policy has a heading, those of a test and of a hold a row; the example has them all and passes."""
    text, *_ = blocks("reference/policies.md", "yaml")
    file = tmp_path / "example.yaml"
    file.write_text(text)
    lake = auditlake.create(tmp_path / "lake")
    lake.policies.add(file)
    keys = {each.name for each in fields(Policy)} - {"id", "digest", "text", "fault", "more"}
    own = {key.name for kind in measures() for key in kind.keys if kind.asked_by is not None}
    keys = keys - {"measure", "max_event_retention"} | {key.name for kind in KINDS for key in kind.keys}
    rows = first_cells("reference/policies.md")

    assert keys <= set(headings("reference/policies.md"))
    assert {line.partition(":")[0] for line in text.splitlines() if re.match(r"\w", line)} == keys - own
    assert {each.name for each in fields(PolicyTest)} - {"line"} <= rows
    assert {each.name for each in fields(Hold)} - {"id", "digest", "matches"} <= rows
    assert [each.differences for each in lake.policies.check("example")] == [(), ()]


@pytest.mark.parametrize("kind", [kind.name for kind in measures() if kind.asked_by is not None])
def test_kinds_of_question(tmp_path: Path, kind: str) -> None:
    """Each measure has a page with three policies that ask it; they are read, and the tests in them pass."""
    lake = auditlake.create(tmp_path / "lake")
    texts = blocks(f"kinds/{kind}.md", "yaml")
    for number, text in enumerate(texts):
        (file := tmp_path / f"p{number}.yaml").write_text(text)
        assert lake.policies.add(file).measure == kind
    results = lake.policies.check(*(f"p{number}" for number in range(len(texts))))

    assert (len(texts), [each.differences for each in results if not each.passed]) == (3, [])
    assert len(results) >= 2


def test_conditions() -> None:
    """The functions that the page lists are those that a condition may use, but for operators and their other names."""
    section = text_of("reference/policies.md").partition("## Conditions")[2].partition("## Values")[0]
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| .*", section, re.MULTILINE))))

    assert listed == {name for name in expression_gate.FUNCTIONS if name.isidentifier()} - {
        "like_escape",
        "ilike_escape",
    } | {*condition.MORE_FUNCTIONS}
    assert f"{condition.LONGEST:,} characters" in section


def test_events() -> None:
    """Every column, every built-in type and every source has a row."""
    rows = first_cells("reference/events.md")
    sources = {source.name for source in built_in() if source.outline is None}

    assert {*PUBLIC_COLUMNS, *(each.value for each in EventType), *sources} <= rows


def test_report_keys() -> None:
    """Every key that the schema of a report has is on its page."""
    schema = json.loads((ROOT / "reports_templates/compliance.schema.json").read_text())

    def keys(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from node.get("properties", {})
            for value in node.values():
                yield from keys(value)
        elif isinstance(node, list):
            for value in node:
                yield from keys(value)

    told = set(re.findall(r"`(\w+)`", text_of("reference/report-json.md")))
    assert set(keys(schema)) - {"name", "sql", "parameters", "rows"} - told == set()


def test_exit_codes() -> None:
    """Every exit code of the command line has a row."""
    codes = re.findall(r"^\| (\d+) \|", text_of("reference/exit-codes.md"), re.MULTILINE)

    assert [int(code) for code in codes] == list(EXIT_CODES)


def test_principals(tmp_path: Path) -> None:
    """The auditor.yaml of the security page is read, and masks as the page says."""
    (text,) = blocks("reference/security.md", "yaml")
    lake = auditlake.create(tmp_path / "lake")
    (lake.layout.root / "auditor.yaml").write_text(text)
    at = datetime(2026, 10, 5, 8, tzinfo=UTC)
    lake.log(auditlake.AuditEvent("login", at, user_id="ana", session_id="s1"))

    def seen_by(principal: str) -> list[tuple[Any, ...]]:
        with lake.audit_session(principal=principal) as session:
            return session.sql("select user_id, session_id from events where event_type = 'login'").fetchall()

    assert seen_by("erika") == [("ana", "s1")]
    assert seen_by("1001") == [("ana", None)]
    assert seen_by("whoever else") == []


def test_citations() -> None:
    """A rule that a docstring cites is a heading of the page that defines every number."""
    for file in (ROOT / "auditlake").rglob("*.py"):
        text = re.sub(r"\s+", " ", file.read_text(encoding="utf-8"))
        for cited in re.findall(r"semantics\.md, ([A-Z][\w ]+?)[).:]", text):
            assert cited in headings("reference/semantics.md"), f"{file}: {cited}"
        assert re.search(r"semantics\.md, section \d", text) is None, f"{file}: the page's headings have no numbers"
