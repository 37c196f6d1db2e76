"""What starts the runs of a schedule: each form starts one when it is due, and says the lake's path whatever it is."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from auditlake import AuditLake
from auditlake.errors import PackError
from auditlake.packs.schedules import schedule_of, with_schedule
from auditlake.packs.settings import read_schedules
from auditlake.runs.due import due_instants
from auditlake.runs.model import Schedule
from auditlake.testing import Clock
from auditlake.upkeep.timers import FORMS, Timer, timer_of
from tests.runs.test_schedules import LIGHT, clock, declare, lake  # noqa: F401 - fixtures

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ODD = Path("/srv/a b/100% \"x\" 'y' $HOME \\é")


def made(every: str, at: str, name: str = "nightly") -> Schedule:
    return schedule_of(name, every, at, ["all"], "6h")


def timer(every: str = "1d", at: str = "00:15") -> Timer:
    return Timer(made(every, at), ODD, MONDAY, "audit", ("/opt/audit lake/bin/auditlake",))


def command() -> list[str]:
    return ["/opt/audit lake/bin/auditlake", "--lake", f"{ODD}", "schedule", "run", "nightly", "--catch-up"]


def started(fields: str, days: int) -> Iterator[datetime]:
    """Yield the minutes at which cron starts a line, by the words of its manual."""
    minute, hour, day, month, weekday = fields.split()
    assert (day, month) == ("*", "*")
    for number in range(days * 24 * 60):
        now = MONDAY + number * MINUTE
        holds = [
            (now.minute, minute), (now.hour, hour), (now.isoweekday() % 7, weekday),
        ]  # fmt: skip
        if all(field == "*" or f"{value}" in field.split(",") for value, field in holds):
            yield now


@pytest.mark.parametrize(
    ("every", "at"),
    [("1h", "00:00"), ("1h", "00:59"), ("6h", "05:30"), ("12h", "11:00"), ("1d", "00:15"), ("7d", "23:05")],
)
def test_each_run_is_started_when_it_is_due(every: str, at: str) -> None:
    """For two weeks, by cron, and by systemd where it is here: at each due instant and at no other."""
    schedule, end = made(every, at), MONDAY + timedelta(days=14)
    due = [*due_instants(schedule, MONDAY, end)]
    made_by = timer(every, at)
    assert [*started(made_by.cron, 14)] == due
    assert made_by.is_exact
    if systemd := shutil.which("systemd-analyze"):
        asked = [systemd, "calendar", made_by.calendar, "--base-time=2026-11-22 23:59:59 UTC", "--iterations=4"]
        said = subprocess.run(asked, capture_output=True, text=True, check=True, env=os.environ | {"TZ": "UTC"}).stdout
        named = re.findall(r"(?:Next elapse|Iter\. #\d): \w+ (\S+ \S+) UTC", said)
        assert named[: len(due)] == [f"{each:%Y-%m-%d %H:%M:%S}" for each in due[:4]]


def test_days_that_no_program_counts_start_a_run_a_day_that_does_nothing() -> None:
    """Every three days on the grid is no line of cron: most runs see that nothing is due."""
    every_day = timer("3d", "06:00")
    assert not every_day.is_exact
    assert set(due_instants(made("3d", "06:00"), MONDAY, MONDAY + timedelta(days=14))) < {*started(every_day.cron, 14)}
    assert every_day.words[-1] == "--if-due"
    assert timer().words[-1] == "--catch-up"


def test_cron() -> None:
    """The line starts the command through a shell, with no % of its own, and names the local time."""
    lines = FORMS["cron"](timer()).splitlines()
    assert lines[-2] == "CRON_TZ=UTC"
    assert "now 00:00 UTC here" in lines[1]
    shell = lines[-1].removeprefix("15 0 * * *  ").removesuffix(" 2>&1 | logger -t auditlake-nightly")
    assert not re.search(r"(?<!\\)%", shell)
    assert shlex.split(shell.replace(r"\%", "%")) == command()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd(tmp_path: Path) -> None:
    """Both units are what systemd takes, and it reads the command as it is meant."""
    text = FORMS["systemd"](Timer(made("1d", "00:15"), tmp_path / "a b%$'\"", MONDAY, "", (sys.executable,)))
    parts = re.split(r"^# /etc/systemd/system/(\S+?),?(?: .*)?\n", text, flags=re.MULTILINE)[1:]
    files = dict(zip(parts[::2], parts[1::2], strict=True))
    assert [*files] == ["auditlake-nightly.service", "auditlake-nightly.timer"]
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / each for each in files)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "User=" not in text
    assert "User=audit\n" in FORMS["systemd"](timer())
    for line in ("Persistent=true", "SuccessExitStatus=1", "UMask=0077", "NoNewPrivileges=yes", "ProtectSystem=strict"):
        assert f"\n{line}\n" in text
    assert f'ReadWritePaths="{tmp_path}/a b%%$\'\\""\n' in text
    assert f'"{tmp_path}/a b%%$$\'\\"" schedule run' in text


def test_github_actions() -> None:
    """It is YAML, and its steps run the command in a shell."""
    read = yaml.load(FORMS["github-actions"](timer()), yaml.BaseLoader)
    assert read["on"]["schedule"] == [{"cron": "15 0 * * *"}]
    (job,) = read["jobs"].values()
    (run,) = (each["run"] for each in job["steps"] if "schedule run" in each.get("run", ""))
    assert shlex.split(run) == ["auditlake", *command()[1:]]
    assert job["steps"][-1]["with"]["path"] == f"{ODD}/reports/"


def test_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is Python that makes one DAG with one task, for either place of the operator."""
    told: dict[str, object] = {}

    class Dag:
        def __init__(self, name: str, **options: object) -> None:
            told.update(options, name=name)

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    module = types.ModuleType("airflow")
    module.DAG = Dag  # type: ignore[attr-defined]
    operators = types.ModuleType("airflow.operators.bash")
    operators.BashOperator = told.update  # type: ignore[attr-defined]
    for name, each in {"airflow": module, "airflow.operators": module, "airflow.operators.bash": operators}.items():
        monkeypatch.setitem(sys.modules, name, each)
    exec(compile(FORMS["airflow"](timer()), "dag", "exec"), {})
    assert (told["name"], told["schedule"], told["catchup"], told["max_active_runs"]) == (
        "auditlake_nightly", "15 0 * * *", False, 1,
    )  # fmt: skip
    assert shlex.split(f"{told['bash_command']}") == command()


def test_a_path_that_no_form_can_say_is_refused() -> None:
    """A line break, or what GitHub and Airflow would fill in."""
    for path in ("/a\nb", "/a{{ x }}", "/a${{ x }}"):
        with pytest.raises(PackError, match="characters that these forms cannot say"):
            timer_of(made("1d", "00:15"), Path(path), MONDAY)


def test_the_local_time_is_named(lake: AuditLake, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """As it is when the schedule is due next."""
    declare(lake, LIGHT)
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert "now 01:15 CET here" in lake.schedules.timer("light", "cron")
        clock.now += timedelta(days=200)
        assert "now 02:15 CEST here" in lake.schedules.timer("light", "cron")
    finally:
        monkeypatch.undo()
        time.tzset()
    for wrong in (("light", "at"), ("dark", "cron")):
        with pytest.raises(PackError):
            lake.schedules.timer(*wrong)


NEW = '{name: weekly, every: 7d, at: "06:00", evaluate: [pci-dss-4, "1"], within: 1d}'


@pytest.mark.parametrize(
    ("before", "after"),
    [("", f"schedules:\n  - {NEW}\n"),
     ("packs: {}", f"packs: {{}}\nschedules:\n  - {NEW}\n"),
     ("schedules:\n# none\npacks: {}\n", f"schedules:\n  - {NEW}\n# none\npacks: {{}}\n"),
     ("schedules: []  # none\n", f"schedules: [{NEW}]  # none\n"),
     (f"schedules: [{LIGHT}]\n", f"schedules: [{NEW}, {LIGHT}]\n"),
     (f"# ours\nschedules:\n- {LIGHT}  # it\npacks: {{}}\n",
      f"# ours\nschedules:\n- {NEW}\n- {LIGHT}  # it\npacks: {{}}\n"),
     (f"schedules:\n\n    # all\n    - {LIGHT}\n", f"schedules:\n\n    # all\n    - {NEW}\n    - {LIGHT}\n")],
)  # fmt: skip
def test_writing_a_schedule_into_the_file(before: str, after: str) -> None:
    """It comes in, every other character stays, and it is read as it was meant."""
    weekly = schedule_of("weekly", "7d", "06:00", ["pci-dss-4", "1"], "1d")
    assert with_schedule(before.encode(), weekly).decode() == after
    assert weekly in read_schedules(after, "frameworks.yaml")


def test_adding_a_schedule(lake: AuditLake) -> None:  # noqa: F811
    """It is on record at once, in the journal and the ledger; a mistake changes nothing."""
    lake.schedules.add("weekly", every="7d", at="06:00", evaluate=["failed_logins"], within="1d")
    (declared,) = lake.runs.all()
    assert [*declared.schedules] == ["weekly"]  # type: ignore[union-attr]
    content = lake.layout.frameworks.read_bytes()
    assert lake.schedules.standing()[0].since is not None
    assert lake.ledger.verify(full=False).ok
    for name, more, why in (
        ("weekly", {}, "two are named 'weekly'"), ("Big", {}, "name: expected a name"),
        ("a", {"at": "24:00"}, "a time of the day"), ("a", {"every": "36h"}, "whole days"),
        ("a", {"within": "1mo"}, "whose length varies"), ("a", {"evaluate": ["ghost"]}, "neither a policy nor a pack"),
        ("a", {"evaluate": ["a, b], x: [c"]}, "expected a pack"),
    ):  # fmt: skip
        with pytest.raises(PackError, match=re.escape(why)):
            lake.schedules.add(name, **more)  # type: ignore[arg-type]
    assert lake.layout.frameworks.read_bytes() == content
