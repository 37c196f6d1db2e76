"""What every command has in common: help, names of options, --json, --quiet, --lake, exit codes, completion, man."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

import auditlake
from auditlake.cli import VERBS, cli
from auditlake.cli.completion import SHELLS
from auditlake.cli.exit_codes import EXIT_CODES
from auditlake.cli.options import BOUNDS
from tests.cli.conftest import Done, Run

AS_OF = "2026-11-24T12:00:00Z"
WHO = ("--reason", "r", "--owner", "o", "--ticket", "t")


def every_command(context: click.Context, group: click.Group) -> Iterator[tuple[str, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, parent=context, info_name=name)
        yield inner.command_path.removeprefix("auditlake "), inner
        if isinstance(command, click.Group):
            yield from every_command(inner, command)


# With the settings of the command line: click keeps the option --help of a command as it was asked for first.
COMMANDS = dict(every_command(click.Context(cli, info_name="auditlake", **cli.context_settings), cli))
LEAVES = {path: each.command for path, each in COMMANDS.items() if not isinstance(each.command, click.Group)}


def words(text: str) -> str:
    return " ".join(text.split())


def pick(record: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(record[name] for name in names)


def documented(path: str) -> set[str]:
    """The keys that the help of --json names."""
    (option,) = (each for each in LEAVES[path].params if each.name == "as_json")
    assert isinstance(option, click.Option)
    assert option.help is not None
    return set(option.help.removesuffix(".").split(": ", 1)[1].split(", "))


def test_every_summary_is_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns the help lists every command under its heading, the summary whole and in one line."""
    monkeypatch.setenv("COLUMNS", "80")
    text = run("--help").out
    listed = re.findall(r"^  ([a-z-]+) {2,}([A-Z].*\.)$", text.partition("Events in:")[2], re.MULTILINE)

    assert [name for name, _ in listed] == [verb.name for verb in VERBS]
    assert {name: summary for name, summary in listed if summary.endswith("...")} == {}
    headings = list(dict.fromkeys(f"{verb.section}:" for verb in VERBS))
    assert [line for line in text.splitlines() if line in headings] == headings
    for path in ("", *(path for path, each in COMMANDS.items() if path not in LEAVES)):
        lines = run(*path.split(), "--help").out.splitlines()
        assert [line for line in lines[1:] if len(line) > 80 or line.endswith("...")] == []


def test_a_file_for_each_command() -> None:
    """Every command is in the file that its row names, and every command of these files has a row."""
    rows = {(verb.file, verb.name) for verb in VERBS}
    found = {
        (file, each)
        for file, _ in rows
        for each in vars(import_module(f"auditlake.cli.{file}")).values()
        if isinstance(each, click.Command)
    }
    below = [each for _, group in found if isinstance(group, click.Group) for each in group.commands.values()]

    assert rows == {(file, each.name) for file, each in found if each not in below}


def test_nothing_is_imported_before_it_is_needed() -> None:
    """A command's own help imports no other command, and the help of all of them nothing heavy."""
    code = "import sys, auditlake.cli as room; room.cli.main({}, standalone_mode=False); print(*sys.modules)"
    one, every = (
        set(subprocess.run([sys.executable, "-c", code.format(arguments)], capture_output=True, text=True, check=True)
            .stdout.split())
        for arguments in ("['flush', '--help']", "['--help']")
    )  # fmt: skip

    assert {f"auditlake.cli.{verb.file}" for verb in VERBS} & one == {"auditlake.cli.ingest"}
    assert {"duckdb", "pyarrow", "polars", "deltalake", "jinja2", "sqlglot", "numpy", "rich", "yaml"} & every == set()


def test_statistics_need_nothing_heavy(filled: auditlake.AuditLake) -> None:
    """Statistics of plain policies import neither sqlglot, Jinja, Polars nor numpy, and the version no lake."""
    code = """import sys, auditlake.__main__ as program
program._end, sys.argv = lambda _: print(*sys.modules), ["auditlake", *sys.argv[1:]]
program.main()"""
    lake = str(filled.layout.root)
    one, other = (
        set(subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
            .stdout.split())
        for arguments in (("--lake", lake, "stats"), ("--version",))
    )  # fmt: skip

    assert {"sqlglot", "jinja2", "polars"} & one == set()
    assert {"auditlake.lake", "duckdb", "pyarrow", "yaml"} & other == set()


def test_methods_are_compiled_when_they_are_called() -> None:
    """A data class that the program makes is as any other, and each of its methods is compiled at its first call."""
    code = """import dataclasses, sys, auditlake.__main__ as program
program.prepare()
__name__ = "auditlake.a_test"
sys.modules[__name__] = sys.modules["__main__"]
@dataclasses.dataclass(frozen=True, slots=True, order=True)
class A:
    x: int
    y: list = dataclasses.field(default_factory=list)
@dataclasses.dataclass(frozen=True, slots=True)
class B(A):
    z: str = "z"
made = [vars(A)["__init__"].__code__.co_name, A(1), A(1) == A(1), A(1) < A(2), hash(A(1, ())) == hash(A(1, ()))]
try:
    A(1).x = 2
except dataclasses.FrozenInstanceError as error:
    made.append(str(error))
print(*made, B(1), repr(B(2)), dataclasses.replace(B(1), z="a"), vars(A)["__init__"].__code__.co_name, sep="; ")"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    later = "method; " if sys.version_info < (3, 13) else "__init__; "
    assert done.stdout == later + (
        "A(x=1, y=[]); True; True; True; cannot assign to field 'x'; B(x=1, y=[], z='z'); B(x=2, y=[], z='z'); "
        "B(x=1, y=[], z='a'); __init__\n"
    )


def test_the_program_ends_at_once() -> None:
    """What is registered to run at exit runs before, its streams are written, and its exit code stays."""
    code = """import atexit, sys, auditlake.__main__ as program
print(atexit._ncallbacks())
run, sys.argv = program.run, ["auditlake", "nothing"]
program.run = lambda: (atexit.register(print, "closed", end=""), run())
atexit.register(print, "not reached")
program.main()"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "0\nclosed")
    assert "No such command" in done.stderr


@pytest.mark.parametrize("path", LEAVES)
def test_options_of_every_command(path: str) -> None:
    """Every command has --json, --lake and --quiet, names each thing as all do, and states the rule of inclusion."""
    names = {name for each in LEAVES[path].params for name in each.opts}

    assert {"--json", "--lake", "--quiet"} <= names
    assert names & {"--type", "--user", "--ip", "--session", "--start", "--end", "--by"} == set()
    assert [each.name for each in LEAVES[path].params if isinstance(each, click.Option) and not each.help] == []
    text = words(COMMANDS[path].get_help())
    rule = BOUNDS.replace("--until", "--period-until") if "--period-until" in names else BOUNDS
    assert (words(rule) in text) == bool(names & {"--since", "--until"})


@pytest.fixture
def lake(filled: auditlake.AuditLake) -> auditlake.AuditLake:
    """The lake in the folder that commands run in, with one policy."""
    for name in ("authentication_monitoring", "security_compliance", "data_access_tracking"):
        filled.layout.policy(name).unlink()
    return filled


def test_keys_of_json(run: Run, lake: auditlake.AuditLake, events: Path, tmp_path: Path) -> None:
    """What a command prints with --json is one object, and its help names the keys."""
    (tmp_path / "new.yaml").write_text("name: n\ndescription: d\nrequired_events: [login]\nretention_period: 30d\n")
    with lake.layout.config.open("a") as settings:
        settings.write(f"\n[[collect]]\npath = '{events}'\n")
    period = ("--as-of", AS_OF)
    (found,) = run("finding", "list", "failed_logins", *period, "--json").json["findings"]
    assert run("report", "failed_logins", *period, "--out", "o").code == 0
    (report,) = (tmp_path / "o").glob("*.json")
    key = Path(shutil.copy(lake.layout.root / "ledger" / "key.pub", tmp_path / "kept"))
    done = {
        "init": run("--lake", "other", "init", "--json"), "ingest": run("ingest", events, "--json"),
        "log": run("log", "--event-type", "login", "--json"), "flush": run("flush", "--json"),
        "collect": run("collect", "--json"),
        "tail": run("tail", events, "--once", "--json"), "events": run("events", "--json"),
        "stats": run("stats", *period, "--json"), "connect": run("connect", "--json"),
        "sql": run("sql", "select 1", "--json"), "query list": run("query", "list", "--json"),
        "query show": run("query", "show", "volume", "--json"), "report": run("report", *period, "--json"),
        "query run": run("query", "run", "volume", "--json"), "finding list": run("finding", "list", "--json"),
        "review list": run("review", "list", "--json"), "policy list": run("policy", "list", "--json"),
        "policy show": run("policy", "show", "failed_logins", "--json"),
        "policy check": run("policy", "check", "--json"),
        "policy sql": run("policy", "sql", "failed_logins", "--json"),
        "policy schema": run("policy", "schema", "--json"),
        "policy add": run("policy", "add", "new.yaml", "--json"),
        "policy backtest": run("policy", "backtest", "failed_logins", "--thresholds", "5", "--json"),
        "policy remove": run("policy", "remove", "new", "--yes", "--json"),
        "evidence": run("evidence", "failed_logins", *period, "--out", "p.zip", "--json"),
        "reperform": run("reperform", report, "--json"), "hold add": run("hold", "add", "h", *WHO, "--json"),
        "hold list": run("hold", "list", "--json"), "hold show": run("hold", "show", "h", "--json"),
        "hold release": run("hold", "release", "h", "--reason", "r", "--yes", "--json"),
        "retention plan": run("retention", "plan", "--json"),
        "retention apply": run("retention", "apply", "--yes", "--json"),
        "erase": run("erase", "--user-id", "alice", "--reason", "r", "--ticket", "t", "--yes", "--json"),
        "checkpoint": run("checkpoint", "--json"), "prove": run("prove", "e1", "--json"),
        "verify": run("verify", "--json"), "key rotate": run("key", "rotate", "--json"),
        "compact": run("compact", "--json"), "backup": run("backup", "copy", "--json"),
        "doctor": run("doctor", "--json"), "completion": run("completion", "bash", "--json"),
        "man": run("man", "--json"), "nightly": run("nightly", "--json"), "upgrade": run("upgrade", "--json"),
    }  # fmt: skip

    assert {path: each.err for path, each in done.items() if each.code} == {}
    assert {path: set(each.json) ^ documented(path) for path, each in done.items() if path != "doctor"} == {
        path: set() for path in done if path != "doctor"
    }
    assert {"problems", "notices", "changes"} == set(done["doctor"].json) <= documented("doctor")
    assert pick(done["ingest"].json, "read", "landed", "duplicates", "quarantined") == (10, 0, 10, 0)
    assert done["stats"].json["policy_compliance"]["failed_logins"]["status"] == "violation"
    assert [each["policy_id"] for each in done["stats"].json["recent_violations"]].count("failed_logins") == 1
    (tmp_path / "proof").write_text(json.dumps(done["prove"].json["proof"]))
    for file, code in ((key, 0), (tmp_path / "other" / "ledger" / "key.pub", 4)):
        checked = run("verify-proof", "proof", "--public-key", file, "--json")
        assert (checked.code, checked.json["ok"]) == (code, not code)
        assert {each.removeprefix("or ") for each in documented("verify-proof")} >= set(checked.json)
    accepted = run(
        "finding", "accept", found["id"], "--reason", "r", "--owner", "o", "--expires", "2099-01-01", "--json"
    )
    shown = run("finding", "show", found["id"], "--json")
    reopened = run("finding", "reopen", found["id"], "--reason", "r", "--json")
    signed = run("review", "failed_logins", "--note", "n", *period, "--json")
    assert [each.json["kind"] for each in (accepted, reopened, signed)] == ["accept", "reopen", "review"]
    assert shown.json["journal"] == [accepted.json]


def test_json_of_what_goes_on(run: Run, lake: auditlake.AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """watch prints an object for each alert, and shell one for each answer."""
    for _ in range(9):
        run("log", "--event-type", "auth_failure", "--user-id", "mallory")
    alerts = [json.loads(line) for line in run("watch", "--once", "--json").out.splitlines()]
    assert [(each["policy_id"], each["kind"]) for each in alerts] == [("failed_logins", "threshold_exceeded")]
    assert set(alerts[0]) == documented("watch")

    monkeypatch.setattr("sys.stdin", io.StringIO("select 7 as n;\n"))
    assert run("shell", "--json").json["rows"] == [{"n": 7}]


def test_old_names_are_accepted(run: Run, lake: auditlake.AuditLake) -> None:
    """The names that options had before do what the new ones do."""
    old = (("--type", "auth_failure"), ("--user", "mallory"), ("--ip", "203.0.113.9"), ("--session", "s"),
           ("--start", "2026-11-24T09:01:00Z"), ("--end", "2026-11-24T09:02:00Z"))  # fmt: skip
    new = ("--event-type", "--user-id", "--ip-address", "--session-id", "--since", "--until")

    for (name, value), other in zip(old, new, strict=True):
        first, second = (run("events", each, value, "--json") for each in (name, other))
        assert (first.code, first.out) == (0, second.out)
    assert run("finding", "accept", "0", "--reason", "r", "--owner", "o", "--until", "soon").code == 2
    for name in ("--by", "--operator"):
        run("hold", "add", f"h{name}".replace("-", "_"), *WHO, name, "erin")
    assert (lake.layout.root / "holds" / "h__by.yaml").read_text().count("erin") == (
        lake.layout.root / "holds" / "h__operator.yaml"
    ).read_text().count("erin")


def test_the_rule_of_inclusion(run: Run, lake: auditlake.AuditLake, tmp_path: Path) -> None:
    """Both ends are included and a date is its whole day, but a period begins after the instant that it names."""
    ends = ("--since", "2026-11-24T09:02:00Z", "--until", "2026-11-24T09:05:00Z")
    day = ("--since", "2026-11-24", "--until", "2026-11-24")

    def counted(*period: str) -> tuple[int, int, int]:
        made = run("report", "failed_logins", *period, "--format", "json", "--json").json["reports"][0]["files"]
        held = run("hold", "add", f"h{len(list(tmp_path.rglob('h*.yaml')))}", *WHO, *period, "--json").json["matches"]
        shown = run("events", "--event-type", "auth_failure", *period, "--json").json["events"]
        return len(shown), held, json.loads(Path(made[0]).read_text())["total_events"]

    assert counted(*ends) == (4, 4, 3)
    assert counted(*day) == (9, 10, 9)


def test_the_lake_after_the_verb(run: Run, lake: auditlake.AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """--lake counts before the verb, after a group and after the verb; the last one wins, over the environment too."""
    root = lake.layout.root
    monkeypatch.setenv("AUDITLAKE_LAKE", "nowhere")
    for arguments in (
        ("--lake", root, "policy", "list"), ("policy", "--lake", root, "list"), ("policy", "list", "--lake", root),
        ("--lake", "elsewhere", "policy", "list", "--lake", root), ("review", "--lake", root, "list"),
    ):  # fmt: skip
        assert run(*arguments, "--json").code == 0
    assert run("stats").code == 3


def test_quiet(run: Run, events: Path, tmp_path: Path) -> None:
    """With --quiet a command that succeeds prints its answer or nothing; warnings and errors are printed."""
    assert run("init", "--quiet") == Done(0, "", "")
    for file in (tmp_path / "lake" / "policies").iterdir():
        if file.stem != "failed_logins":
            file.unlink()
    bad = tmp_path / "bad.jsonl"
    bad.write_text("no json\n" + events.read_text())
    silent = (
        ("ingest", events), ("flush",), ("report", "--as-of", AS_OF), ("compact",), ("verify",), ("doctor",),
        ("backup", "copy"), ("policy", "check"), ("hold", "add", "h", *WHO), ("retention", "apply", "--yes"),
        ("evidence", "failed_logins", "--as-of", AS_OF, "--out", "p.zip"), ("reperform", "p.zip"),
        ("review", "failed_logins", "--note", "n", "--as-of", AS_OF),
    )  # fmt: skip

    for arguments in silent:
        assert run(*arguments, "--quiet") == Done(0, "", ""), arguments
    assert run("--quiet", "flush") == Done(0, "", "")
    told = run("ingest", bad, "--quiet")
    assert (told.code, "not valid JSON" in told.out) == (0, True)
    assert run("events", "--quiet", "--limit", "1", "--format", "jsonl").out.count("\n") == 1
    assert "auth_failure" in run("stats", "--as-of", AS_OF, "--quiet").out
    assert run("sql", "select 1 as n", "--quiet", "--format", "csv") == Done(0, "n\n1\n", "")
    assert "matches no event" in run("hold", "add", "none", *WHO, "--user-id", "zed", "--quiet").err
    assert "no policy 'nope'" in run("report", "nope", "--quiet").err


def test_no_color(lake: auditlake.AuditLake) -> None:
    """On a terminal headings are bold, unless NO_COLOR says otherwise."""

    def shown(**environment: str) -> bytes:
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb", buffering=0) as screen:
            command = [sys.executable, "-m", "auditlake", "--lake", str(lake.layout.root), "policy", "list"]
            subprocess.run(command, check=True, stdout=theirs, env=os.environ | environment)
            os.close(theirs)
            return screen.read(65536)

    assert b"\x1b[1m" in shown(NO_COLOR="")
    assert b"\x1b" not in shown(NO_COLOR="1")


NEAR = {
    ("repot",): (2, "Did you mean one of: 'export', 'remap', 'report'"),
    ("policy", "lst"): (2, "Did you mean 'list'"),
    ("events", "--event-typ", "x"): (2, "--event-type"),
    ("report", "--fail-on", "no-data"): (2, "got no-data; did you mean no_data?"),
    ("events", "--event-type", "logn"): (3, "does not know 'logn'; did you mean login or logout?"),
    ("events", "--status", "failed"): (3, "no event has 'failed'; did you mean failure?"),
    ("log", "--event-type", "logn"): (3, "close to it: login"),
    ("hold", "add", "h", *WHO, "--event-type", "logn"): (3, "did you mean 'login'?"),
    ("report", "faild_logins"): (3, "did you mean failed_logins?"),
    ("policy", "remove", "faild_logins", "--yes"): (3, "did you mean failed_logins?"),
    ("finding", "list", "faild_logins"): (3, "did you mean failed_logins?"),
    ("review", "list", "faild_logins"): (3, "did you mean failed_logins?"),
    ("evidence", "faild_logins", "--out", "p.zip"): (3, "did you mean failed_logins?"),
    ("query", "run", "faild_logins"): (3, "did you mean failed_logins?"),
}


def test_near_names(run: Run, lake: auditlake.AuditLake) -> None:
    """A name that is misspelled is an error, which names what is spelled nearly the same."""
    for arguments, (code, message) in NEAR.items():
        done = run(*arguments)
        assert (done.code, done.out) == (code, ""), arguments
        assert message.replace("one of: ", "") in done.err.replace("one of: ", "")


def test_what_has_no_near_name_is_no_mistake(run: Run, lake: auditlake.AuditLake) -> None:
    """Any text may be a status, and a type that lake.toml has no more is still asked for where events have it."""
    assert run("events", "--status", "blocked").code == 0
    config = lake.layout.config.read_text()
    lake.layout.config.write_text(config.replace("event_types = []", 'event_types = ["door"]'))
    run("log", "--event-type", "door")
    run("flush")
    lake.layout.config.write_text(config)
    assert [
        len(run("events", "--event-type", "door", "--json").json["events"]),
        run("events", "--event-type", "dor").code,
    ] == [1, 3]


def test_exit_codes(run: Run, lake: auditlake.AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each code of the table is what commands end with, and the help and the man page print the table."""
    (tmp_path / "folder").mkdir()
    by_code = {
        0: (("stats",), ("report", "--as-of", AS_OF)),
        1: (("report", "--as-of", AS_OF, "--fail-on", "violation"), ("ingest", "folder")),
        2: (("stats", "--as-of", "soon"), ("frobnicate",)),
        3: (("report", "nope"), ("--lake", "nowhere", "stats"), ("sql", "select 'x'", "--out", "/proc/x.csv")),
        5: (("sql", "from range(9)", "--rows", "3"),),
    }  # fmt: skip
    ends = {code: {run(*arguments).code for arguments in several} for code, several in by_code.items()}
    next(lake.layout.events.rglob("*.parquet")).unlink()
    ends[4] = {run(*arguments).code for arguments in (("verify",), ("doctor",))}

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("auditlake.lake.AuditLake.statistics", interrupt)
    ends[130] = {run("stats").code}

    assert ends == {code: {code} for code in EXIT_CODES}
    for text in (run("--help").out, run("man").out.replace("\\-", "-")):
        assert all(words(meaning) in words(text) for meaning in EXIT_CODES.values())


def completed(*arguments: str) -> list[str]:
    *before, last = arguments
    return [each.value for each in ShellComplete(cli, {}, "auditlake", "_").get_completions(before, last)]


def test_completion(run: Run, lake: auditlake.AuditLake) -> None:
    """A shell completes commands, options, policies, holds, queries, event types, statuses and kept findings."""
    run("report", "failed_logins", "--as-of", AS_OF)
    run("hold", "add", "smith", *WHO)
    (found,) = run("finding", "list", "failed_logins", "--as-of", AS_OF, "--json").json["findings"]

    assert completed("--lake", "lake", "repo") == ["report"]
    assert completed("--lake", "lake", "report", "fa") == ["failed_logins"]
    assert completed("report", "--lake", "lake", "fa") == ["failed_logins"]
    assert completed("hold", "show", "") == ["smith"]
    assert completed("query", "run", "failed") == ["failed_logins"]
    assert completed("events", "--event-type", "log") == ["login", "logout"]
    assert completed("finding", "show", found["id"][:3]) == [found["id"]]
    assert completed("report", "--fail-on", "violation,no_") == ["violation,no_data"]
    assert "--event-type" in completed("events", "--")
    assert "--type" not in completed("events", "--")
    for shell in SHELLS:
        assert "_AUDITLAKE_COMPLETE" in run("completion", shell).out


@pytest.mark.parametrize("damage", ["none", "config", "folders", "bytes"])
def test_completion_never_raises(run: Run, lake: auditlake.AuditLake, damage: str, tmp_path: Path) -> None:
    """A lake that is not there or damaged completes to the built-in names or to nothing."""
    root = lake.layout.root
    if damage == "none":
        root.rename(tmp_path / "gone")
    elif damage == "config":
        lake.layout.config.write_bytes(b"\xff\x00")
    else:
        for folder in (lake.layout.policies, lake.layout.reports, root / "queries"):
            if folder.is_dir():
                folder.rename(tmp_path / f"old {folder.name}")
        if damage == "folders":
            lake.layout.policies.write_text("no folder")
        else:
            lake.layout.reports.mkdir()
            (lake.layout.reports / "compliance_x.json").write_bytes(b'\xff"id": "zz')
            (lake.layout.reports / "compliance_y.json").symlink_to("nothing")

    assert completed("finding", "show", "") == []
    assert completed("report", "x") == completed("hold", "show", "x") == []
    assert completed("events", "--event-type", "logi") == ["login"]
    assert completed("query", "show", "failed") == ["failed_logins"]


def test_man(run: Run) -> None:
    """The manual page has every command, and every option with its help; roff takes no line of text for a request."""
    lines = run("man").out.splitlines()
    headings = [line.replace("\\-", "-") for line in lines if line.startswith(".SS ")]

    assert [re.sub(r' \[OPTIONS\].*|"', "", each.removeprefix('.SS "auditlake ')) for each in headings] == list(
        COMMANDS
    )
    requests = {line.split()[0] for line in lines if line.startswith((".", "'"))}
    assert requests == {".TH", ".SH", ".SS", ".B", ".TP", ".PP", ".nf", ".fi"}
    assert ".B \\-\\-max\\-quarantined N|N%" in lines
