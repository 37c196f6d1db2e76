"""Who evaluates: one process at a time, another when it dies, and nobody who logs waits for it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from auditlake import AuditEvent, AuditLake
from auditlake.alerts import evaluator
from auditlake.alerts import watch as room
from auditlake.alerts.model import Alert
from auditlake.alerts.watch import Watch, elected, evaluate_once
from auditlake.errors import LakeBusyError
from auditlake.landing.trail import Trail
from auditlake.machine import system_clock
from tests.alerts.conftest import Make
from tests.alerts.lakes import policy
from tests.waiting import HANG_SECONDS, until

ROOT = Path(__file__).resolve().parents[2]
JSONL = '\n[alerts]\njsonl = "alerts/alerts.jsonl"\n'


@pytest.fixture
def lake(make: Make) -> AuditLake:
    """A lake whose alerts go to a file, with a policy for three logins of a user within an hour."""
    layout = make({"watched": policy(3, window="1h")}).lake.layout
    text = layout.config.read_text()
    layout.config.write_text(text[: text.index("[alerts]")] + JSONL)
    return AuditLake(layout.root)


@pytest.fixture
def trail(lake: AuditLake) -> Iterator[Trail]:
    """Logs, and leaves the evaluation to what the test starts."""
    with lake.trail(alerts=False) as opened:
        yield opened


@pytest.fixture
def watch(lake: AuditLake) -> Iterator[Callable[..., Watch]]:
    """Starts watching in this process, and stops."""
    begun: list[Watch] = []

    def begin(sinks: object = None) -> Watch:
        begun.append(Watch(lake.layout, lake.config, system_clock, sinks))  # type: ignore[arg-type]
        begun[-1].start()
        return begun[-1]

    yield begin
    for each in begun:
        each.stop(wait_seconds=HANG_SECONDS)


def login(user: str, **ago: float) -> AuditEvent:
    return AuditEvent("login", system_clock() - timedelta(**ago), user_id=user)


def alerted(lake: AuditLake) -> list[str]:
    """The users that the file tells of, in order."""
    with suppress(FileNotFoundError):
        lines = (lake.layout.alerts / "alerts.jsonl").read_text().splitlines()
        return [json.loads(line)["group"]["user_id"] for line in lines]
    return []


class Worker:
    """One process that logs and evaluates."""

    def __init__(self, lake: AuditLake) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.alerts.worker", str(lake.layout.root)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.is_evaluating = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        if self.process.stdout.readline():
            self.is_evaluating.set()

    def log(self, *users: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.writelines(f"{user}\n" for user in users)
        self.process.stdin.flush()

    def end(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self.process.wait(HANG_SECONDS)


def test_alerts_come_as_it_happens(lake: AuditLake, trail: Trail, watch: Callable[..., Watch]) -> None:
    """A callable, the log and the file of lake.toml get an alert while the process logs on."""
    got: list[Alert] = []
    watch(got.append)
    for _ in range(3):
        trail.log(login("ann"))
    until(lambda: got and alerted(lake))

    assert [(alert.policy_id, dict(alert.group), alert.count) for alert in got] == [("watched", {"user_id": "ann"}, 3)]
    assert alerted(lake) == ["ann"]


def test_starting_is_idempotent(lake: AuditLake, watch: Callable[..., Watch]) -> None:
    """Starting twice is starting once, and what was stopped can be started again."""
    one = watch()
    until(lambda: one.is_evaluating)
    one.start()
    one.stop(wait_seconds=HANG_SECONDS)
    assert not one.is_evaluating
    one.start()
    until(lambda: one.is_evaluating)


def test_one_evaluates(lake: AuditLake, trail: Trail, watch: Callable[..., Watch]) -> None:
    """Of two, one evaluates, and the other when that one stops; each alert comes once."""
    one = watch()
    until(lambda: one.is_evaluating)
    two = watch()
    for _ in range(3):
        trail.log(login("ann"))
    until(lambda: alerted(lake))
    assert not two.is_evaluating
    one.stop(wait_seconds=HANG_SECONDS)
    until(lambda: two.is_evaluating)
    for _ in range(3):
        trail.log(login("ben"))
    until(lambda: len(alerted(lake)) == 2)

    assert alerted(lake) == ["ann", "ben"]


def test_another_process_takes_over(lake: AuditLake) -> None:
    """When the process that evaluates is killed, another one does and misses nothing; its last alert may repeat."""
    one = Worker(lake)
    assert one.is_evaluating.wait(HANG_SECONDS)
    two = Worker(lake)
    two.log("ann", "ann", "ann", "ben", "ben")
    until(lambda: alerted(lake) == ["ann"])
    assert not two.is_evaluating.is_set()

    one.process.send_signal(signal.SIGKILL)
    two.log("ben", "cy", "cy", "cy")
    assert two.is_evaluating.wait(HANG_SECONDS)
    until(lambda: {"ben", "cy"} <= set(alerted(lake)))
    two.end()
    one.end()

    assert sorted(set(alerted(lake))) == ["ann", "ben", "cy"]
    assert len(set((lake.layout.alerts / "alerts.jsonl").read_text().splitlines())) <= 4


def test_a_process_that_ends_leaves_nothing_undone(lake: AuditLake) -> None:
    """What a process logged right before its end is alerted before it is gone."""
    one = Worker(lake)
    assert one.is_evaluating.wait(HANG_SECONDS)
    one.log("ann", "ann", "ann")
    one.end()

    assert one.process.returncode == 0
    assert alerted(lake) == ["ann"]


def test_a_child_does_not_keep_the_lock(lake: AuditLake, watch: Callable[..., Watch]) -> None:
    """A forked child that outlives the evaluator does not keep others from evaluating."""
    one = watch()
    until(lambda: one.is_evaluating)
    here, there = os.pipe()
    forked, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(there)
        os.write(said, b"x")  # it has let go of what its parent holds
        os.read(here, 1)  # until the parent lets it go
        os._exit(0)
    os.read(forked, 1)
    try:
        one.stop(wait_seconds=HANG_SECONDS)
        with elected(lake.layout) as is_elected:
            assert is_elected
    finally:
        for descriptor in (there, here, forked, said):
            os.close(descriptor)
        assert os.waitpid(child, 0)[1] == 0


def test_stopping_in_a_child_leaves_the_parent_alone(lake: AuditLake, watch: Callable[..., Watch]) -> None:
    """What a child does with its copy of a watch concerns the child only."""
    one = watch()
    until(lambda: one.is_evaluating)
    child = multiprocessing.get_context("fork").Process(target=one.stop)
    child.start()
    child.join(HANG_SECONDS)

    assert child.exitcode == 0
    assert one.is_evaluating
    with elected(lake.layout) as is_elected:
        assert not is_elected


def test_nobody_waits_for_the_evaluator(
    lake: AuditLake, trail: Trail, watch: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logging goes on while the evaluator and a sink hang."""
    release, hung = threading.Event(), threading.Event()
    session = room._Session.round

    def hang(self: object, **asked: bool) -> bool:
        hung.set()
        release.wait()
        return session(self, **asked)  # type: ignore[arg-type]

    monkeypatch.setattr(room._Session, "round", hang)
    got: list[Alert] = []
    watch([lambda _: release.wait(), got.append])
    for _ in range(100):
        trail.log(login("ann"))
    assert hung.wait(HANG_SECONDS)
    for _ in range(100):
        trail.log(login("ann"))
    assert not got
    release.set()
    until(lambda: len(got) == 1)


def test_a_failure_is_no_end(
    lake: AuditLake,
    trail: Trail,
    watch: Callable[..., Watch],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An evaluator that fails is logged and replaced, and misses nothing."""
    from auditlake.alerts.live_batches import Batches

    failures = [OSError("the disk is gone"), RuntimeError("a mistake")]
    take = Batches.take

    def fail(self: Batches, *given: object) -> None:
        if failures:
            raise failures.pop()
        take(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Batches, "take", fail)
    one = watch()
    until(lambda: one.is_evaluating)
    for number in range(6):
        trail.log(login(f"user {number % 2}"))
    until(lambda: len(alerted(lake)) == 2)

    assert sorted(alerted(lake)) == ["user 0", "user 1"]
    assert "it is tried again" in caplog.text


def test_a_failure_that_lasts_is_told_once(
    lake: AuditLake, watch: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The same failure again and again, of the election or of the evaluation, is one line."""
    tries = [0]

    @contextmanager
    def fail(_: object) -> Iterator[bool]:
        tries[0] += 1
        raise PermissionError("not here")
        yield

    monkeypatch.setattr(room, "_ASK_SECONDS", 0.01)
    monkeypatch.setattr(room, "elected", fail)
    watch()
    until(lambda: tries[0] > 5)
    assert [record.getMessage() for record in caplog.records] == [
        f"the alerts of {lake.layout.root} cannot be evaluated, it is tried again: not here"
    ]


def test_a_lake_that_goes_away_is_left_alone(make: Make) -> None:
    """Where the lake is removed, watching ends by itself."""
    play = make({})
    one = Watch(play.lake.layout, play.lake.config, system_clock)
    one.start()
    until(lambda: one.is_evaluating)
    play.lake.layout.config.rename(play.lake.layout.root / "away.toml")
    until(lambda: not one.is_evaluating)
    one.stop(wait_seconds=HANG_SECONDS)


# Once


def test_once(lake: AuditLake, trail: Trail) -> None:
    """Evaluating once alerts what was logged until now, and the next time only what is new."""
    got: list[Alert] = []
    for _ in range(2):
        for _ in range(3):
            trail.log(login("ann"))
        evaluate_once(lake.layout, lake.config, system_clock, got.append)

    assert [dict(alert.group) for alert in got] == [{"user_id": "ann"}]
    assert alerted(lake) == ["ann"]


def test_once_while_another_one_evaluates(lake: AuditLake) -> None:
    """Two do not evaluate a lake at once."""
    with elected(lake.layout) as is_elected:
        assert is_elected
        with pytest.raises(LakeBusyError, match="another process"):
            evaluate_once(lake.layout, lake.config, system_clock)


def test_an_outbox_is_taken_up_by_the_next_process(lake: AuditLake, trail: Trail) -> None:
    """An alert that a file could not take is delivered by the evaluator that comes next."""
    (lake.layout.alerts).mkdir(exist_ok=True)
    (lake.layout.alerts / "alerts.jsonl").mkdir()
    for _ in range(3):
        trail.log(login("ann"))
    one = Watch(lake.layout, lake.config, system_clock)
    one.start()
    until(lambda: b"outbox" in state(lake) and b"jsonl" in state(lake))
    one.stop(wait_seconds=HANG_SECONDS)
    (lake.layout.alerts / "alerts.jsonl").rmdir()
    evaluate_once(lake.layout, lake.config, system_clock)

    assert alerted(lake) == ["ann"]
    assert json.loads(state(lake))["outbox"] == []


def test_what_was_told_is_written_down_at_once(
    lake: AuditLake, trail: Trail, watch: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed long after its alert was taken leaves no alert to be told again."""
    monkeypatch.setattr(evaluator, "_SAVE_SECONDS", 2 * HANG_SECONDS)
    watch(lambda _: until(lambda: b'"outbox":[{' in state(lake)))
    for _ in range(3):
        trail.log(login("ann"))

    until(lambda: b'"ann"' in state(lake) and b'"outbox":[]' in state(lake))


def test_the_end_is_after_the_last_of_it(watch: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told to stop evaluates in as many rounds as there is more to do."""
    rounds: list[bool] = []

    def evaluate(_: object, *, is_last: bool) -> bool:
        rounds.append(is_last)
        return rounds.count(True) < 3

    monkeypatch.setattr(room._Session, "round", evaluate)
    watching = watch()
    until(lambda: rounds)
    watching.stop(wait_seconds=HANG_SECONDS)

    assert rounds.count(True) == 3


def state(lake: AuditLake) -> bytes:
    with suppress(FileNotFoundError):
        return (lake.layout.alerts / "state.json").read_bytes()
    return b""
