"""The journal of runs: what was evaluated, what was verified, and what nobody finished."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.cli import main
from auditlake.config import LakeConfig
from auditlake.context import LakeContext
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError, PolicyNotFoundError
from auditlake.findings.finding import subject_id, subject_of
from auditlake.runs.journal import append, last_verification, read, rows_read
from auditlake.runs.model import Answer, FailedRun, Found, PackAnswer, RowsRead, Run, Verification
from auditlake.runs.recorder import Recorder
from auditlake.testing import Clock
from auditlake.upkeep.doctor import examine
from tests.lakes import create
from tests.templates import copy_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUN = Run(
    0, "0" * 16, NOON, NOON, "report", "0.1.0", "ops", NOON, NOON, 3, 7, 0, "sha256:00", "ok", None,
    {"p": Answer("sha256:01", NOON - HOUR, NOON, "violation", 2, 1, 9, "sha256:02",
                 {"1": Found(), "2": Found("3", NOON), "4": Found("3", NOON - HOUR, NOON)})},
    {"pci-dss-4": PackAnswer("sha256:03", "fail", {"10.2.2": "fail"}, "sha256:04")},
)  # fmt: skip
FOUND = (
    b'"found":{"1":[],"2":["3","2026-11-24T12:00:00.000000Z"],'
    b'"4":["3","2026-11-24T11:00:00.000000Z","2026-11-24T12:00:00.000000Z"]},'
)


def with_a_finding(folder: Path) -> None:
    lake = create(folder / "lake", clock=lambda: NOON)
    lake.ingest([AuditEvent("auth_failure", NOON - timedelta(seconds=i), user_id="ann") for i in range(7)])


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def lake(tmp_path: Path, clock: Clock) -> AuditLake:
    """A lake with one burst of failed logins."""
    return auditlake.open(copy_of(with_a_finding, tmp_path) / "lake", clock=clock)


def bare(folder: Path, clock: Callable[[], datetime] = lambda: NOON) -> LakeContext:
    """The context of a folder that is no lake: enough for the journal."""
    folder.mkdir(exist_ok=True)
    return LakeContext(Layout(folder), LakeConfig.__new__(LakeConfig), clock, 0)


def kinds(layout: Layout) -> list[str]:
    return [type(entry).__name__ for entry in read(layout)]


def test_a_run_has_the_answers_of_its_reports(lake: AuditLake, clock: Clock) -> None:
    """A line says who asked for what when, and of each policy what its report says, with the digest of its JSON."""
    with lake.runs.recorded() as run:
        (made,) = run.reports("failed_logins", last="30d")
        clock.now += HOUR
    lake.report("failed_logins")  # a look
    (line,) = lake.runs.all()

    assert run.missing == ""
    assert isinstance(line, Run)
    assert (line.number, line.at, line.finished, line.verb) == (1, NOON, NOON + HOUR, "python")
    assert (line.as_of, line.snapshot, line.rows, line.journal, line.state, line.error) == (NOON, 1, 7, 0, "ok", None)
    assert line.settings == "sha256:" + hashlib.sha256(lake.layout.config.read_bytes()).hexdigest()
    digest = "sha256:" + hashlib.sha256(made.json()).hexdigest()
    policy = made.report.evidence.policy_digest
    (finding,) = made.report.violations
    found = {finding.id: Found(subject_id(subject_of("failed_logins", finding)), finding.start)}
    assert line.answers == {
        "failed_logins": Answer(policy, made.since, made.until, "violation", 1, 1, 7, digest, found)
    }  # fmt: skip
    assert json.loads(lake.layout.run_journal.read_text())["answers"]["failed_logins"]["found"] == {
        finding.id: [found[finding.id].subject, "2026-11-24T11:59:58.000000Z"]
    }  # fmt: skip
    clock.now -= HOUR
    with lake.runs.recorded() as run:
        run.reports("failed_logins", last="30d")
    assert lake.runs.all()[1].answers["failed_logins"].found == {}, "a line names what no earlier one had named"
    lake.layout.run_journal.write_bytes(lake.layout.run_journal.read_bytes().splitlines(keepends=True)[0])
    assert line.judged("failed_logins", made.since, made.until)
    assert not line.judged("failed_logins", made.since - HOUR, made.until)
    assert not replace(line, state="error").judged("failed_logins", made.since, made.until)
    assert {*lake.layout.run_journal.parent.iterdir()} == {lake.layout.run_journal, lake.layout.judged_by}
    assert [file.read_text() for file in lake.layout.judged_by.iterdir()] == [lake.policies.get("failed_logins").text]


def test_an_error_is_on_record(lake: AuditLake) -> None:
    """A run that ends with an error is a line that says so, and the error goes on."""
    with pytest.raises(PolicyNotFoundError), lake.runs.recorded() as run:
        run.reports("nothing")
    (line,) = lake.runs.all()
    assert isinstance(line, Run)
    assert (line.state, line.error, line.as_of, line.answers) == (
        "error",
        "this lake has no policy 'nothing'",
        None,
        {},
    )


def test_lines_of_full_verifications_are_those_of_earlier_versions(tmp_path: Path) -> None:
    """An earlier auditlake reads no line with a key that it does not know: `read` is in those of quick ones alone."""
    layout = bare(tmp_path / "lake").layout
    for level, reached in (("full", 9), ("quick", 7)):
        append(layout, Verification(0, NOON, NOON, "0.1.0", "ops", level, True, 3, 9, 0, reached))
        assert rows_read(layout) == RowsRead(reached)
    full, quick = map(json.loads, layout.run_journal.read_text().splitlines())
    assert full.keys() == quick.keys() - {"read"} != quick.keys()


@pytest.mark.parametrize("reached", ["7", True, -1, 1.0])
def test_a_number_that_is_none_is_not_trusted(reached: Any, tmp_path: Path) -> None:
    """A line whose `read` is no number of entries lets every row be read."""
    layout = bare(tmp_path / "lake").layout
    append(layout, Verification(0, NOON, NOON, "0.1.0", "ops", "quick", True, 3, 9, 0, reached))
    assert rows_read(layout) == RowsRead()


def test_what_was_damaged_is_on_record(tmp_path: Path) -> None:
    """A verification that found damage and says on which days counts as one that read all other rows; one that does not
    say it read none.
    """
    layout = bare(tmp_path / "lake").layout
    quick = Verification(0, NOON, NOON, "0.1.0", "ops", "quick", False, 3, 9, 0, 9)
    for damaged in ((date(2026, 3, 2), date(2026, 3, 4)), ()):
        append(layout, replace(quick, problems=1, read=8, damaged=damaged))
        assert rows_read(layout) == RowsRead(8, damaged)
        append(layout, replace(quick, problems=1))
        assert rows_read(layout) == RowsRead(8, damaged)
    append(layout, replace(quick, damaged=()))
    assert rows_read(layout) == RowsRead(9)
    *_, last = map(json.loads, layout.run_journal.read_text().splitlines())
    assert "damaged" not in last
    with layout.run_journal.open("a") as journal:
        false = last | {"number": 6, "problems": 1, "damaged": ["today"]}
        journal.write(json.dumps(false, separators=(",", ":")) + "\n")
    assert rows_read(layout) == RowsRead()


def test_every_kind_of_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    """All of a line comes back; a line that is changed, taken out or has a key too many is told."""
    layout = bare(tmp_path / "lake").layout
    entries = [
        append(layout, each)
        for each in (
            RUN,
            replace(RUN, state="error", error="no", as_of=None, snapshot=None, answers={}, packs={}),
            Verification(0, NOON, NOON, "0.1.0", "ops", "full", True, 3, 9, 0),
            FailedRun(0, "1" * 16, NOON, NOON - HOUR, "nightly", "0.1.0", "ops"),
        )
    ]
    assert [*read(layout)] == entries
    assert [entry.number for entry in entries if entry] == [1, 2, 3, 4]
    assert last_verification(layout) == entries[2]

    whole = layout.run_journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    unnamed = {"p": replace(RUN.answers["p"], found=None)}
    layout.run_journal.write_bytes(lines[0].replace(FOUND, b""))  # as lines of before were
    assert [*read(layout)] == [replace(RUN, number=1, answers=unnamed)]
    for wrong in (
        whole.replace(FOUND, b'"found":{"1":["2","3"]},'),
        whole.replace(b'"kept"', b'"kepT"'),
        b"".join(lines[1:]),
        lines[0].replace(b"{", b'{"more":1,', 1),
    ):
        layout.run_journal.write_bytes(wrong)
        with pytest.raises(LakeFormatError, match=r"expected an entry of the journal|expected entry 1") as told:
            [*read(layout)]
        assert told.value.hint


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.runs.test_runs import NOON, RUN, bare
from auditlake.runs.model import Occasion
from auditlake.runs.journal import append
from auditlake.runs.recorder import Recorder
from dataclasses import replace

CALLS = ("mkdir", "write", "pwrite", "fsync", "ftruncate", "rename", "unlink")

def killed_at(most, work):
    \"\"\"Do work in a child that dies before its n-th call; return whether it came to its end.\"\"\"
    if (child := os.fork()) == 0:
        left = [most]
        def dying(real):
            def call(*arguments, **options):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return real(*arguments, **options)
            return call
        for name in CALLS:
            setattr(os, name, dying(getattr(os, name)))
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def run(folder):
    context = bare(folder)
    recorder = Recorder(context, "report", Occasion("nightly", NOON, catch_up=True))
    recorder.end(replace(RUN, id=recorder.started.id))

folder, most = Path(sys.argv[1]), 0
while not killed_at(most, lambda: run(folder / f"run{{most}}")):
    most += 1
again = 0
while True:
    lake = folder / f"settle{{again}}"
    bare(lake)
    if (child := os.fork()) == 0:
        Recorder(bare(lake), "nightly")
        os._exit(9)
    os.waitpid(child, 0)
    if killed_at(again, lambda: run(lake)):
        break
    again += 1
print(most, again)
"""


def test_a_run_that_is_killed_is_on_record_once(tmp_path: Path) -> None:
    """Killed at any call to the system, a run is finished, failed or never began, and the next run writes which.

    The same holds for the run that writes it: no kill makes two lines of one run, or none of one that began.
    """
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(root=root), tmp_path], capture_output=True, text=True, check=True
    )
    steps, again = map(int, done.stdout.split())
    assert steps > 10
    assert again > 12
    seen = set()
    for folder in (tmp_path / f"run{step}" for step in range(steps + 1)):
        context = bare(folder)
        began = [path.stem for path in folder.glob("runs/*.started")]
        recorder = Recorder(context, "report")
        lines = [*read(context.layout)]
        assert len({line.id for line in lines}) == len(lines) <= 1
        assert {line.id for line in lines} >= {*began}
        failed = [line for line in lines if isinstance(line, FailedRun)]
        assert [(line.schedule, line.due, line.catch_up) for line in failed] in ([], [("nightly", NOON, True)])
        recorder.end(replace(RUN, id=recorder.started.id))
        assert [line.number for line in read(context.layout)] == [*range(1, len(lines) + 2)]
        assert [*folder.glob("runs/*.started")] == []
        seen.add(tuple(kinds(context.layout)))
    assert seen == {("Run",), ("FailedRun", "Run"), ("Run", "Run")}
    for folder in (tmp_path / f"settle{step}" for step in range(again + 1)):
        context = bare(folder)
        Recorder(context, "report")
        lines = [*read(context.layout)]
        assert len({line.id for line in lines}) == len(lines)
        assert sum(isinstance(line, FailedRun) and line.verb == "nightly" for line in lines) == 1


def test_a_run_under_way_has_not_failed(tmp_path: Path) -> None:
    """Nobody but its own process ends a run, and doctor names only one that nobody holds."""
    context = bare(tmp_path / "lake")
    first, second = Recorder(context, "report"), Recorder(context, "report")
    assert kinds(context.layout) == []
    first.end(replace(RUN, id=first.started.id))
    second.end(replace(RUN, id=second.started.id))
    assert kinds(context.layout) == ["Run", "Run"]


def test_doctor_names_a_run_that_was_not_finished(lake: AuditLake) -> None:
    """Until the next run writes it down; and a journal that cannot be read is wrong."""
    lake.layout.run_journal.parent.mkdir()
    lake.layout.started("0" * 16).write_text(
        '{"at": "2026-11-24T00:00:00Z", "verb": "report", "version": "0", "user": "u"}'
    )
    draft = lake.layout.run_journal.with_name(f".{'1' * 16}.started.draft")
    draft.touch()
    os.utime(draft, times=((NOON - 2 * HOUR).timestamp(),) * 2)
    examined = examine(lake.layout, now=NOON)
    assert "a run began" in str(examined.notices)
    assert [each.where for each in examined.changes] == [f"runs/{draft.name}"], "of one that died before it began"
    with lake.runs.recorded():
        pass
    failed, _ = lake.runs.all()
    assert isinstance(failed, FailedRun)
    assert (failed.started, failed.at, failed.user) == (NOON - 12 * HOUR, NOON, "u")
    assert lake.runs.all(until=NOON - 12 * HOUR) == (failed,)
    assert lake.runs.all(since="2026-11-25") == ()
    lake.layout.run_journal.write_bytes(b"{}\n")
    assert "runs/journal.jsonl" in {each.where for each in examine(lake.layout, now=NOON).problems}


def test_a_disk_that_refuses_stops_no_run(
    lake: AuditLake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reports are made, the run that is not on record is told, and so is such a verification."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("auditlake.runs.journal.appending_to", refuse)
    monkeypatch.setattr("auditlake.runs.recorder.make_folders", refuse)
    with lake.runs.recorded() as run:
        assert run.reports("failed_logins", last="30d")[0].status == "violation"
    assert "No space left" in run.missing
    assert "not on record" in str(lake.ledger.verify(full=False).notices)
    words = ["auditlake", "--lake", str(lake.layout.root), "report", "failed_logins", "--period", "2026-11"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as left:
        main()
    assert (left.value.code, "this run is not on record: " in capsys.readouterr().err) == (0, True)
    assert lake.runs.all() == ()


def test_the_ledger_covers_the_journal(lake: AuditLake, clock: Clock) -> None:
    """The first run of a day, and every commit, make an entry that covers all lines; verify names those since."""

    def unrecorded() -> list[str]:
        report = lake.ledger.verify(full=False)
        assert report.ok
        return [each.what for each in report.notices]

    def run() -> None:
        with lake.runs.recorded() as made:
            made.reports("failed_logins", last="30d")

    run()  # the lake's first entry is of the same day
    assert unrecorded() == ["line 1 is not recorded yet; the next commit does that"]
    assert unrecorded() == ["lines 1 to 2 are not recorded yet; the next commit does that"]
    clock.now += timedelta(days=1)
    run()
    assert unrecorded() == []
    run()
    lake.ingest(AuditEvent("login", NOON))
    assert unrecorded() == []

    whole = lake.layout.run_journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    for wrong in (whole.replace(b"ok", b"OK", 1), b"".join(lines[:3]), b"", b"".join(reversed(lines))):
        lake.layout.run_journal.write_bytes(wrong)
        assert {each.where for each in lake.ledger.verify(full=False).problems} == {"runs/journal.jsonl"}
    lake.layout.run_journal.unlink()
    assert not lake.ledger.verify(full=False).ok


def test_the_command_lists_runs(
    lake: AuditLake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs, verifications and failed runs are lines of a table; a policy's name picks the runs that judged it."""
    for entry in (RUN, Verification(0, NOON, NOON, "0.1.0", "ops", "full", True, 3, 9, 2),
                  FailedRun(0, "1" * 16, NOON, NOON - HOUR, "nightly", "0.1.0", "ops")):  # fmt: skip
        append(lake.layout, entry)

    def out(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["auditlake", "--lake", str(lake.layout.root), "runs", *words])
        with pytest.raises(SystemExit):
            main()
        return "".join(capsys.readouterr())

    shown = out()
    for words in ("p violation", "full, by a checkpoint kept elsewhere: 2 problems", "not finished"):
        assert words in shown
    assert [each["number"] for each in json.loads(out("p", "--json"))["runs"]] == [1]
    assert [each["kind"] for each in json.loads(out("--until", "2026-11-24T11:30:00Z", "--json"))["runs"]] == ["failed"]
    assert "no policy 'q'" in out("q")
