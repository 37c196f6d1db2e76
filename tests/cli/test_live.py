"""``log`` and ``tail`` from a terminal: shells, pipes and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from auditlake import AuditLake
from tests.cli.conftest import Run
from tests.lakes import create
from tests.tail.conftest import append, event, landed, numbers
from tests.waiting import HANG_SECONDS, until

CLI = [sys.executable, "-m", "auditlake"]


def test_log_prints_the_id(run: Run, tmp_path: Path) -> None:
    """What was logged is in the landing under the id that was printed, with every field that was given."""
    create("lake")
    done = run(
        "log", "--event-type", "login", "--user-id", "alice", "--action", "sign in", "--resource", "db",
        "--status", "success", "--session-id", "s", "--ip-address", "192.0.2.1", "--details", '{"n": 1.5}',
        "--metadata", "{}", "--timestamp", "2026-11-24T10:00:00+01:00",
    )  # fmt: skip
    again = run("log", "--event-type", "logout", "--event-id", "mine", "--json")

    first, second = (json.loads(line) for line in landed(AuditLake(tmp_path / "lake")))
    assert first == {
        "event_id": done.out.strip(), "event_type": "login", "timestamp": "2026-11-24T09:00:00.000000Z",
        "user_id": "alice", "action": "sign in", "resource": "db", "status": "success", "details": {"n": 1.5},
        "metadata": {}, "session_id": "s", "ip_address": "192.0.2.1",
    }  # fmt: skip
    assert (second["event_id"], again.json) == ("mine", {"event_id": "mine"})


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        ((), 2, "--event-type"),
        (("--event-type", "logn"), 3, "close to it: login"),
        (("--event-type", "login", "--details", "{"), 2, "not JSON"),
        (("--event-type", "login", "--details", "[1]"), 2, "expected a JSON object"),
        (("--event-type", "login", "--details", '{"a": NaN}'), 3, "cannot be written as JSON"),
        (("--event-type", "login", "--timestamp", "soon"), 2, "not a time"),
        (("--event-type", "login", "--ip-address", "localhost"), 3, "ip_address"),
    ],
)
def test_log_refuses(run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, expected: str) -> None:
    """What cannot be recorded is told in a line, prints no id, and leaves nothing behind."""
    create("lake")
    done = run("log", *arguments)

    assert (done.code, done.out) == (code, "")
    assert expected in done.err
    assert landed(AuditLake(tmp_path / "lake")) == []


def test_log_needs_nothing_heavy() -> None:
    """A shell script that logs many events does not wait for DuckDB, Arrow or Polars each time."""
    code = "import sys, auditlake.cli.log, auditlake.lake, auditlake.landing.trail; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {"duckdb", "pyarrow", "polars", "jinja2", "sqlglot"} & set(done.stdout.split()) == set()


def test_tail_once(run: Run, tmp_path: Path) -> None:
    """It takes what is there, says so in a sentence or as JSON, and goes on from there the next time."""
    create("lake")
    append(log := tmp_path / "app.log", event(0), b"junk\n", event(1)[:10])
    done = run("tail", log, "--once")
    append(log, event(1)[10:])
    again = run("tail", log, "--once", "--json")

    assert (done.code, done.out) == (
        0,
        "1 line of 1 file landed; 1 more cannot be an event and goes to quarantine with the next flush at latest; "
        "10 bytes wait for their newline\n",
    )
    assert "following" in done.err
    assert again.json == {
        "records": 1,
        "refused": 0,
        "skipped": 0,
        "too_long": 0,
        "files": 1,
        "unfinished": 0,
    }


def test_tail_of_standard_input(run: Run, tmp_path: Path) -> None:
    """It reads to the end of a pipe, the last line without a newline too."""
    create("lake")
    done = subprocess.run(
        [*CLI, "--lake", str(tmp_path / "lake"), "tail", "-"], input=event(0) + event(1)[:-1], capture_output=True,
        check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, b"2 lines of 1 file landed\n")
    assert numbers(AuditLake(tmp_path / "lake")) == [0, 1]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_tail_until_a_signal(run: Run, tmp_path: Path, number: signal.Signals) -> None:
    """It follows a file through a rotation until it is told to stop, and then ends in good order."""
    create("lake")
    lake, log = AuditLake(tmp_path / "lake"), tmp_path / "app.log"
    append(log, event(0))
    with subprocess.Popen(
        [*CLI, "--lake", str(tmp_path / "lake"), "tail", str(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        until(lambda: numbers(lake) == [0])
        log.rename(tmp_path / "app.log.1")
        append(log, event(1))
        until(lambda: numbers(lake) == [0, 1])
        process.send_signal(number)
        out, err = process.communicate(timeout=HANG_SECONDS)

    assert (process.returncode, out) == (0, b"2 lines of 2 files landed\n")
    assert err.startswith(b"following ")


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)])
def test_a_silent_pipe_ends_too(run: Run, tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends the following of a pipe that says nothing; what it said before has landed, whole or not."""
    create("lake")
    lake = AuditLake(tmp_path / "lake")
    reader, writer = os.pipe()
    with subprocess.Popen([*CLI, "--lake", str(tmp_path / "lake"), "tail", "-"], stdin=reader, stdout=-1) as process:
        os.write(writer, event(0) + event(1)[:10])
        until(lambda: numbers(lake) == [0])
        process.send_signal(number)
        out, _ = process.communicate(timeout=HANG_SECONDS)
    os.close(reader)
    os.close(writer)

    assert (process.returncode, out) == (
        0, b"1 line of 1 file landed; 1 more cannot be an event and goes to quarantine with the next flush at latest\n",
    )  # fmt: skip
    assert landed(lake)[1] == event(1)[:10]


@pytest.mark.parametrize(("times", "lines"), [(3, 500), pytest.param(8, 3000, marks=pytest.mark.soak)])
def test_killed_again_and_again(run: Run, tmp_path: Path, times: int, lines: int) -> None:
    """Killed as it begins or once lines have landed, it goes on, and every line has landed under one id."""
    create("lake")
    lake, log = AuditLake(tmp_path / "lake"), tmp_path / "app.log"
    log.touch()
    for n in range(times):
        append(log, *(event(i) for i in range(lines * n, lines * (n + 1))))
        with subprocess.Popen(
            [*CLI, "--lake", str(tmp_path / "lake"), "tail", str(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            had = len(landed(lake))
            if n % 3:
                until(lambda had=had: len(landed(lake)) > had)
            else:
                assert process.stderr is not None
                process.stderr.readline()
            process.kill()
    run("tail", log, "--once")

    assert numbers(lake) == list(range(times * lines))
