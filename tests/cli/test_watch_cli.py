"""``auditlake watch``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.alerts.sinks import JsonlSink, Place
from auditlake.alerts.watch import Watch, all_sinks, elected
from auditlake.machine import system_clock
from tests.alerts.samples import alert
from tests.cli.conftest import Run
from tests.lakes import create
from tests.waiting import HANG_SECONDS

POLICY = """
name: "Watched \\e[31m"
description: d
required_events: [login]
retention_period: 30d
alert_threshold: 3
window: 1h
group_by: [user_id]
severity: high
"""


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake in which three logins of a hostile user, and three of three hours ago, were logged."""
    lake = create(tmp_path / "lake")
    for file in lake.layout.policies.iterdir():
        file.unlink()
    lake.layout.policy("watched").write_text(POLICY)
    now = system_clock()
    with lake.trail(flush_seconds=None) as trail:
        for _ in range(3):
            trail.log(AuditEvent("login", now, user_id="mal\x1b]0;x\x07\u202e\nory"))
        for _ in range(3):
            trail.log(AuditEvent("login", now - timedelta(hours=3), user_id="ann"))
    return lake


def test_once(run: Run, lake: AuditLake, tmp_path: Path) -> None:
    """One line for each alert, which a terminal can only show; the second time there is nothing new."""
    done = run("watch", "--once", "--jsonl", "alerts.jsonl")

    (line,) = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert "  ALERT  high  watched  " in line
    assert line.isprintable()
    assert json.loads((tmp_path / "alerts.jsonl").read_text())["group"]["user_id"].startswith("mal\x1b")

    lake.flush()
    late, ended = run("watch", "--once", "--jsonl", "alerts.jsonl").out.splitlines()
    assert "  LATE ALERT  high  watched  " in late
    assert "  resolved  high  watched  " in ended
    assert "user_id ann" in late
    assert run("watch", "--once", "--jsonl", "alerts.jsonl").out == ""
    assert len((tmp_path / "alerts.jsonl").read_text().splitlines()) == 3


def test_a_file_that_lake_toml_names(run: Run, lake: AuditLake, tmp_path: Path) -> None:
    """A file outside of the lake is named before anything is appended, and a link or a pipe in its place is refused."""
    file, other = tmp_path / "outside.jsonl", tmp_path / "other"
    said = lake.layout.config.read_text()
    lake.layout.config.write_text(said.replace("[alerts]\n", f"[alerts]\njsonl = '{file}'\n"))
    other.write_text("mine\n")
    for make in (lambda: file.symlink_to(other), lambda: os.mkfifo(file)):
        make()
        done = run("watch", "--once")
        assert (done.code, done.out) == (3, "")
        assert f"{file}: this is a " in done.err
        assert "lake.toml" in done.err
        file.unlink()
    done = run("watch", "--once")
    assert (done.code, done.err.splitlines()[0]) == (0, f"alerts are appended to {file} too, as lake.toml says")
    assert len(file.read_text().splitlines()) == 1
    file.rename(tmp_path / "moved")
    file.symlink_to(other)
    sink = next(
        each for each in all_sinks(auditlake.open(lake.layout.root).config, None) if isinstance(each, JsonlSink)
    )
    sink.open(Place(lake.layout.root, lake.layout.alerts, system_clock), "jsonl")
    with pytest.raises(OSError, match="symbolic link"):
        sink.deliver(alert(1))
    assert other.read_text() == "mine\n"


def test_what_it_evaluates(run: Run, lake: AuditLake) -> None:
    """--verbose says which policies and where alerts go too, of a URL no secret, and only then."""
    words = ("watch", "--once", "--webhook", "http://127.0.0.1:9/secret", "--jsonl", "alerts.jsonl")
    with elected(lake.layout):  # so that nothing is posted
        told, quiet = run(*words, "--verbose").err, run(*words).err
    assert told.splitlines()[:3] == [
        "policy watched: 3 in 1h by user_id", "alerts go to http://127.0.0.1 too", "alerts go to alerts.jsonl too"
    ]  # fmt: skip
    assert "alerts go to" not in quiet


def test_nobody_evaluates_before_the_first_round(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its first round is done, a process neither evaluates nor waits; it waits where another one evaluates."""
    watch = Watch(lake.layout, lake.config, system_clock, [])
    seen: list[tuple[bool, bool]] = []
    monkeypatch.setattr(watch, "_evaluate", lambda: seen.append((watch.is_evaluating, watch.is_waiting)))
    watch._stopping.set()
    watch._run()
    assert seen == [(False, False)]
    with elected(lake.layout):
        watch._run()
    assert (seen, watch.is_evaluating, watch.is_waiting) == ([(False, False)], False, True)


def test_lateness(run: Run, lake: AuditLake) -> None:
    """With a longer lateness the same events are in time."""
    done = run("watch", "--once", "--lateness", "200m")

    assert sorted(line.split("  ")[1] for line in done.out.splitlines()) == ["ALERT", "ALERT", "resolved"]


def test_while_another_one_evaluates(run: Run, lake: AuditLake) -> None:
    """--once does not wait for another process that evaluates the lake."""
    with elected(lake.layout) as is_elected:
        assert is_elected
        done = run("watch", "--once")

    assert done.code == 3
    assert "another process evaluates" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--webhook", "ftp://x"], "http://"),
        (["--lateness", "10"], "no unit"),
        (["--lateness", "30d"], "1s to 7d"),
        (["--jsonl", "."], "is a directory"),
    ],
)
def test_wrong_usage(run: Run, lake: AuditLake, words: list[str], message: str) -> None:
    """What cannot be meant is told before anything is done."""
    done = run("watch", *words)

    assert done.code == 2
    assert message in done.err


def test_no_lake(run: Run) -> None:
    """Without a lake there is nothing to watch."""
    assert run("watch").code == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)])
def test_until_it_is_told_to_end(lake: AuditLake, number: signal.Signals) -> None:
    """It says that it evaluates, and nothing of another process that is not there; alerts come until it is to end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "auditlake", "--lake", str(lake.layout.root), "watch"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    assert process.stderr is not None
    told = process.stderr.readline()
    with lake.trail(flush_seconds=None) as trail:
        for _ in range(3):
            trail.log(AuditEvent("login", system_clock(), user_id="ben"))
    second = process.stdout.readline()
    process.send_signal(number)
    rest, err = process.communicate(timeout=HANG_SECONDS)

    assert told == "evaluating; alerts are printed here until Ctrl-C\n"
    assert "user_id mal" in first
    assert "user_id ben" in second
    assert (rest, process.returncode) == ("", 0)
    assert "Traceback" not in err
