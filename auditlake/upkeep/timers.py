"""What starts the runs of a schedule, for programs that start others: cron, systemd, GitHub Actions, Airflow.

Each form is text to read and install. When it starts a run follows from the schedule, so what is due and what is
installed cannot differ unseen. All forms ask for ``--catch-up``: they start late, or leave out what fell into a
downtime.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from auditlake.errors import PackError
from auditlake.runs.model import Schedule

_HOUR = 3_600_000_000
_DAY, _WEEK = 24 * _HOUR, 7 * 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Timer:
    """What is to start which runs."""

    schedule: Schedule
    lake: Path
    """The lake's folder, absolute."""
    due: datetime
    """An instant at which the schedule is due, in the time of this machine."""
    owner: str = ""
    """Whose the lake's folder is; empty where that is not known."""
    program: tuple[str, ...] = ("auditlake",)
    """How auditlake is started."""

    @property
    def words(self) -> list[str]:
        """The command."""
        more = [] if self.is_exact else ["--if-due"]
        return [*self.program, "--lake", f"{self.lake}", "schedule", "run", self.schedule.name, "--catch-up", *more]

    @property
    def is_exact(self) -> bool:
        """Whether the other program can start a run at each due instant and at no other.

        None of them counts days from a fixed one: for such a schedule it starts one a day, and most do nothing.
        """
        length = self.schedule.every.microseconds
        return length <= _DAY or length == _WEEK

    @property
    def minute(self) -> int:
        """At which minute of an hour."""
        return int(self.schedule.at[3:])

    @property
    def hours(self) -> list[int] | None:
        """At which hours of a day, UTC; None at each."""
        length, first = self.schedule.every.microseconds, int(self.schedule.at[:2])
        return None if length == _HOUR else [*range(first, 24, max(1, min(length, _DAY) // _HOUR))]

    @property
    def cron(self) -> str:
        """The five fields of cron, UTC."""
        hours = "*" if self.hours is None else ",".join(map(str, self.hours))
        return f"{self.minute} {hours} * * {1 if self.schedule.every.microseconds == _WEEK else '*'}"

    @property
    def calendar(self) -> str:
        """The same for systemd."""
        hours = "*" if self.hours is None else ",".join(f"{each:02}" for each in self.hours)
        day = "Mon " if self.schedule.every.microseconds == _WEEK else ""
        return f"{day}*-*-* {hours}:{self.minute:02}:00 UTC"

    @property
    def name(self) -> str:
        """What to call it there."""
        return f"auditlake-{self.schedule.name}"


def timer_of(schedule: Schedule, lake: Path, due: datetime) -> Timer:
    """Return what is to start the runs of a schedule of a lake, with the auditlake of this process.

    Args:
        schedule: The schedule.
        lake: The lake's folder.
        due: An instant at which it is due.

    Raises:
        PackError: The lake's path has a line break or the like, which the forms cannot say.
    """
    if re.search(r"[\x00-\x1f\x7f]|\$\{\{|\{\{|\{%", f"{lake}"):
        raise PackError(f"{lake}: its path has characters that these forms cannot say", hint="move or link the lake")
    program = shutil.which("auditlake")
    try:
        owner = lake.owner()
    except (KeyError, OSError):
        owner = ""
    words = (program,) if program else (sys.executable, "-m", "auditlake")
    return Timer(schedule, lake.absolute(), due.astimezone(), owner, words)


def cron(timer: Timer) -> str:
    """Return the line of a crontab."""
    command = shlex.join(timer.words).replace("%", r"\%")
    local = f"{timer.due:%H:%M} {timer.due.tzname()}"
    return (
        f"# crontab -e, as the user whose the lake is{f' ({timer.owner})' if timer.owner else ''}.\n"
        f"# Due {timer.schedule.at} UTC{_each(timer)}, now {local} here: a cron that does not know CRON_TZ needs the\n"
        f"# local time, which moves with daylight saving. The output goes to the system's log.\n"
        f"CRON_TZ=UTC\n"
        f"{timer.cron}  {command} 2>&1 | logger -t {timer.name}\n"
    )


def systemd(timer: Timer) -> str:
    """Return the two units, each after a comment with the name of its file."""
    about = f"{timer.name}: {_specifiers(f'{timer.lake}')}"
    return (
        f"# /etc/systemd/system/{timer.name}.service\n"
        f"[Unit]\nDescription={about}\nAfter=network-online.target\nWants=network-online.target\n\n"
        f"[Service]\nType=oneshot\n{f'User={timer.owner}{chr(10)}' if timer.owner not in ('', 'root') else ''}"
        f"ExecStart={' '.join(map(_quoted, timer.words))}\n"
        f"# 1: it was done, and a person is to look at the answer.\n"
        f"SuccessExitStatus=1\nUMask=0077\nNoNewPrivileges=yes\nProtectSystem=strict\n"
        f"ReadWritePaths={_quoted(f'{timer.lake}', variables=False)}\nPrivateTmp=yes\n\n"
        f"# /etc/systemd/system/{timer.name}.timer, then: systemctl enable --now {timer.name}.timer\n"
        f"[Unit]\nDescription={about}\n\n"
        f"[Timer]\nOnCalendar={timer.calendar}\n"
        f"# After a downtime, at once.\nPersistent=true\nAccuracySec=1min\n\n"
        f"[Install]\nWantedBy=timers.target\n"
    )


def github_actions(timer: Timer) -> str:
    """Return a workflow."""
    said, name = json.dumps, timer.name
    command = shlex.join(["auditlake", *timer.words[len(timer.program) :]])
    return (
        f"# .github/workflows/{name}.yml, for a runner that reaches the lake's folder.\n"
        f"# GitHub starts a job late or not at all under load: --catch-up makes up for what was missed.\n"
        f"name: {name}\n"
        f"on:\n  schedule:\n    - cron: {said(timer.cron)}\n  workflow_dispatch: {{}}\n"
        f"concurrency: {name}\n"
        f"jobs:\n  run:\n    runs-on: [self-hosted]\n    steps:\n"
        f'      - uses: actions/setup-python@v6\n        with:\n          python-version: "3.13"\n'
        f"      - run: pip install auditlake=={version('auditlake')}\n"
        f"      - run: {said(command)}\n"
        f"      - uses: actions/upload-artifact@v4\n        if: always()\n"
        f"        with:\n          name: {name}\n          path: {said(f'{timer.lake}/reports/')}\n"
    )


def airflow(timer: Timer) -> str:
    """Return a file of DAGs."""
    name, said = timer.name.replace("-", "_"), json.dumps
    return (
        f"# dags/{name}.py\n"
        f"from datetime import datetime, timedelta, timezone\n\n"
        f"from airflow import DAG\n\n"
        f"try:\n    from airflow.providers.standard.operators.bash import BashOperator\n"
        f"except ImportError:  # Airflow 2\n    from airflow.operators.bash import BashOperator\n\n"
        f"with DAG(\n    {said(name)},\n    schedule={said(timer.cron)},\n"
        f"    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),\n"
        f"    catchup=False,  # auditlake makes up for what was missed by itself\n    max_active_runs=1,\n"
        f'    default_args={{"retries": 2, "retry_delay": timedelta(minutes=5)}},\n):\n'
        f"    # Exit code 1 means findings: it is no reason to skip a task.\n"
        f'    BashOperator(task_id="run", bash_command={said(shlex.join(timer.words))})\n'
    )


FORMS: Mapping[str, Callable[[Timer], str]] = {
    "cron": cron, "systemd": systemd, "github-actions": github_actions, "airflow": airflow,
}  # fmt: skip
"""The form for each program."""


def _each(timer: Timer) -> str:
    return "" if timer.schedule.every.microseconds == _DAY else f", every {timer.schedule.every}"


def _quoted(word: str, *, variables: bool = True) -> str:
    """Return a word of a unit file, quoted where it must be; only a command line has variables."""
    text = _specifiers(word)
    if variables:
        text = text.replace("$", "$$")
    if re.fullmatch(r"[A-Za-z0-9_@%+=:,./$-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")
