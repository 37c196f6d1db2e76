"""The shell, at a terminal and from a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

import auditlake
from auditlake.cli.shell import Completer, _is_whole, described
from tests.sandbox.lakes import make_lake
from tests.waiting import HANG_SECONDS, children, is_asleep, processor_time, until

ROOT = Path(__file__).resolve().parents[2]


class Terminal:
    """A shell at the other end of a pseudo-terminal."""

    def __init__(self, lake: Path, home: Path, *options: str) -> None:
        self._end, other = pty.openpty()
        environment = {
            **os.environ,
            "TERM": "dumb",
            "XDG_STATE_HOME": str(home),
            "COLUMNS": "200",
            "PYTHONPATH": str(ROOT),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "auditlake", "--lake", str(lake), "shell", *options],
            stdin=other, stdout=other, stderr=other, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - so that Ctrl-C is a signal
        )  # fmt: skip
        os.close(other)
        self.seen = ""

    def send(self, text: str) -> None:
        self.seen = ""
        os.write(self._end, text.encode())

    def wait_for(self, pattern: str) -> str:
        until(lambda: self._shows(pattern, wait_seconds=1))
        return self.seen

    def interrupt_input(self) -> None:
        """Press Ctrl-C once the shell waits for input: readline loses a signal that comes as it prints the prompt."""
        until(lambda: is_asleep(self._process.pid))
        self.send("\x03")

    def interrupt_question(self, idle: int) -> None:
        """Press Ctrl-C once the shell's child has worked for longer than it had when it was idle."""
        until(lambda: self.working() > idle)
        os.write(self._end, b"\x03")

    def working(self) -> int:
        """Return the processor time of the shell's child, which works for questions only."""
        return sum(map(processor_time, children(self._process.pid)))

    def _shows(self, pattern: str, wait_seconds: float) -> bool:
        """Read what comes; return whether the pattern is in what the shell has shown since the last input."""
        if not re.search(pattern, self.seen) and select.select([self._end], [], [], wait_seconds)[0]:
            try:
                part = os.read(self._end, 65536)
            except OSError:
                part = b""
            assert part, f"it ended before {pattern}: {self.seen}"
            self.seen += part.decode(errors="replace")
        return bool(re.search(pattern, self.seen))

    def end(self) -> int:
        try:
            return self._process.wait(HANG_SECONDS)
        finally:
            self._process.kill()
            os.close(self._end)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    lake = make_lake(tmp_path / "lake", settings=f"seconds = {HANG_SECONDS}")
    opened = Terminal(lake.layout.root, tmp_path / "state", "--principal", "erika")
    opened.wait_for(r"auditlake v1> ")
    yield opened
    opened._process.kill()


def test_at_a_terminal(terminal: Terminal, tmp_path: Path) -> None:
    """It shows the snapshot, takes statements of several lines, completes names, stops a query at Ctrl-C and goes on,
    and keeps a history."""
    terminal.send("select count(*)\n")
    terminal.wait_for(r"\.\.\.> ")
    terminal.send("from events;\n")
    assert "400" in terminal.wait_for(r"\d\.\d\d s\r\n.*v1> ")
    terminal.send("select policy_id from retention_st\t limit 1;\n")
    assert "retention_status" in terminal.wait_for(r"\d\.\d\d s\r\n.*v1> ")
    idle = terminal.working()
    terminal.send("select levenshtein(repeat('a', 2000000), repeat('b', 2000000));\n")
    terminal.interrupt_question(idle)
    terminal.wait_for(r"stopped\r\n.*v1> ")
    terminal.send("select 'half\n")
    terminal.wait_for(r"\.\.\.> ")
    terminal.interrupt_input()
    terminal.wait_for(r"v1> ")
    terminal.send("select 40 + 2;\n")
    assert "42" in terminal.wait_for(r"\d\.\d\d s\r\n.*v1> ")
    terminal.send(".tables\n")
    assert "retention_status" in terminal.wait_for(r"dictionary\r\n.*v1> ")
    terminal.send("\x04")
    assert terminal.end() == 0

    history = tmp_path / "state" / "auditlake" / "history"
    assert "select 40 + 2;" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600
    statuses = auditlake.open(tmp_path / "lake").sql("select status from events where source = 'auditlake.self'")
    assert "interrupted" in statuses.pl()["status"].to_list()


def piped(lake: auditlake.AuditLake, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "auditlake", "--lake", str(lake.layout.root), "shell", *options]
    return subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT, check=False)


def test_from_a_pipe(lake: auditlake.AuditLake, tmp_path: Path) -> None:
    """Statements and commands come from a pipe too; the exit code says whether all went well."""
    out = tmp_path / "answer.csv"
    done = piped(
        lake,
        f".help\n.tables\n.schema policies\n.queries\n.policies\n.mode csv\nselect 'a;b' as x,\n1 as y;\n.timing off\n"
        f".out {out}\nselect 2 as z;\n.run deletions since=2026-01-01 until=2027-01-01\n.mode table\nselect 3",
        "--as-of", "2026-11-23",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "x,y\na;b,1\n" in done.stdout
    assert out.read_text() == "z\n2\n"
    assert "policy_id" in done.stdout
    assert "failed_logins" in done.stdout
    assert "authentication_monitoring" in done.stdout
    assert "data_deletion:run" in done.stdout


def test_mistakes(lake: auditlake.AuditLake) -> None:
    """A mistake is told in a line, the next statement runs, and the exit code says that there was one."""
    done = piped(
        lake,
        ".nothing\n.mode odd\n.run\n.run nothing\n.schema nothing\n.x 'y\ncopy events to 'x';\n"
        ".out /nowhere/at/all.csv\n.out /proc/all.csv\nselect 8 as n;\n.tables odd\nselect 7 as n;\n",
    )

    assert done.returncode == 3
    assert "refused: COPY is not allowed" in done.stderr
    assert "there is no .nothing" in done.stderr
    assert "there is no folder /nowhere/at" in done.stderr
    assert "/proc/all.csv" in done.stderr
    assert "Traceback" not in done.stderr
    assert "\n7" in done.stdout.replace(" ", "")


WHOLE = {
    "select 1;": True, "select 1; -- done": True, "select 1": False, "select 1\n": True, "select 'a;": False,
    "select 'a\n": False, "select 'it''s;": False, "select 'it''s';": True, "select \"a';\";": True,
    'select "a;': False, "select e'it\\'s;": False, "select e'it\\'s';": True, "select 'a\\';": True,
    "select $$a;": False, "select $$a;$$;": True, "select $x$ a $$;": False, "select $x$ a $$;$x$;": True,
    "select $a;": True, "select 1 /* a;": False, "select 1 /* a */;": True, "select 1 /* /* ; */ b;": False,
    "select 1 /* /* ; */ b */;": True, "select 1 -- it's;": False, "select 1 -- it's\n;": True, "select 1 /*;": False,
}  # fmt: skip


@pytest.mark.parametrize("text", WHOLE)
def test_whole(text: str) -> None:
    """A statement ends with a semicolon or an empty line, but not inside text, names and comments."""
    assert _is_whole(text.split("\n")) is WHOLE[text]


def test_completion() -> None:
    """Views, columns, functions, keywords and commands are completed."""
    completer = Completer()

    def found(text: str) -> list[str]:
        words = []
        while (word := completer(text, len(words))) is not None:
            words.append(word)
        return words

    assert found("even") == ["events", "event_date", "event_id", "event_type", "even("]
    assert found(".t") == [".tables", ".timing"]
    assert "qualify" in found("qu")
    assert "regexp_extract(" in found("regexp_e")
    assert found("zzz") == []
    assert len(described()) > 70
