"""Audited calls: how each ended is an event, and the call itself is as it was."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditEvent, AuditLake
from auditlake.audited import audited
from auditlake.errors import EventError, LandingError
from tests.lakes import create
from tests.tail.conftest import landed

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    return create(tmp_path / "lake")


def said(lake: AuditLake) -> list[dict[str, Any]]:
    return [json.loads(line) for line in landed(lake)]


class Broken:
    """A lake that takes nothing."""

    def log(self, event: AuditEvent) -> str:
        raise LandingError("the disk is full")


def test_success(lake: AuditLake) -> None:
    """A call that returns is a success, with how long it took and, of its arguments, only what was asked for."""

    @audited(
        lake, action="export", event_type="data_export", resource=lambda table, **_: table,
        user_id=lambda *_, user: user, details={"why": "request"}, metadata=lambda *_, **__: {"host": "a"},
        session_id="s", ip_address="192.0.2.1", clock=lambda: NOON,
    )  # fmt: skip
    def export(table: str, *, user: str, secret: str = "hush") -> str:
        """Exports."""
        return table + user + secret

    assert export("orders", user="alice") == "ordersalicehush"
    (event,) = said(lake)
    assert event["details"].pop("duration_ms") >= 0
    assert {name: event[name] for name in event if name != "event_id"} == {
        "event_type": "data_export", "timestamp": "2026-11-24T12:00:00.000000Z", "user_id": "alice",
        "action": "export", "resource": "orders", "status": "success", "details": {"why": "request"},
        "metadata": {"host": "a"}, "session_id": "s", "ip_address": "192.0.2.1",
    }  # fmt: skip
    assert "hush" not in landed(lake)[0].decode()
    assert (export.__name__, export.__doc__, str(inspect.signature(export))[:13]) == (
        "export",
        "Exports.",
        "(table: 'str'",
    )


class OddError(Exception):
    """Not one of Python's own."""


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError("a secret"), "ValueError"),
        (OddError("a secret"), f"{__name__}.OddError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit"),
    ],
)
def test_failure(lake: AuditLake, error: BaseException, name: str) -> None:
    """A call that raises is a failure with the type of the exception, not its message; the exception goes on."""

    @audited(lake, action="try")
    def attempt() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        attempt()

    (event,) = said(lake)
    assert caught.value is error
    assert (event["status"], event["event_type"], event["details"]["exception"]) == ("failure", "api_call", name)
    assert "secret" not in landed(lake)[0].decode()


def test_methods_and_recursion(lake: AuditLake) -> None:
    """Methods get their own object among the arguments, and a call within a call is an event of its own."""

    class Account:
        name = "savings"

        @audited(lake, action="withdraw", resource=lambda self, _: self.name, details=lambda _, n: {"n": n})
        def withdraw(self, n: int) -> int:
            return self.withdraw(n - 1) if n else 7

    assert Account().withdraw(2) == 7
    assert [(each["resource"], each["details"]["n"]) for each in said(lake)] == [
        ("savings", 0), ("savings", 1), ("savings", 2),
    ]  # fmt: skip


def test_a_block(lake: AuditLake) -> None:
    """A with block may add what it learns to the details, and fails with what leaves it."""
    with audited(lake, action="rotate", user_id="root") as details:
        details["keys"] = 3
    with pytest.raises(ZeroDivisionError), audited(lake, action="divide", details={"a": 1}):
        1 / 0  # noqa: B018

    first, second = said(lake)
    assert (first["action"], first["status"], first["details"]["keys"]) == ("rotate", "success", 3)
    assert (second["status"], second["details"]["a"], second["details"]["exception"]) == (
        "failure", 1, "ZeroDivisionError",
    )  # fmt: skip


def test_coroutines(lake: AuditLake) -> None:
    """Coroutine functions stay such, run side by side, and are logged when they have ended, cancelled ones too."""

    @audited(lake, action="wait", resource=lambda name, *_: name)
    async def wait(name: str, begun: asyncio.Event, done: asyncio.Event) -> str:
        begun.set()
        await done.wait()
        return name

    async def main() -> list[Any]:
        begun, done, never = (asyncio.Event() for _ in range(3))
        tasks = [
            asyncio.create_task(wait("a", asyncio.Event(), done)),
            asyncio.create_task(wait("b", asyncio.Event(), done)),
            asyncio.create_task(wait("c", begun, never)),
        ]
        await begun.wait()
        tasks[2].cancel()
        done.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert inspect.iscoroutinefunction(wait)
    *returned, cancelled = asyncio.run(main())
    assert returned == ["a", "b"]
    assert isinstance(cancelled, asyncio.CancelledError)
    assert sorted((each["resource"], each["status"]) for each in said(lake)) == [
        ("a", "success"), ("b", "success"), ("c", "failure"),
    ]  # fmt: skip


def test_a_coroutine_that_is_thrown_away(lake: AuditLake) -> None:
    """Closed in the middle, it is a failure like any other."""

    @audited(lake, action="wait")
    async def wait() -> None:
        await asyncio.sleep(0)

    begun = wait()
    begun.send(None)
    begun.close()

    assert [(each["status"], each["details"]["exception"]) for each in said(lake)] == [("failure", "GeneratorExit")]


def test_threads(lake: AuditLake) -> None:
    """One decorator serves calls of many threads at once."""

    @audited(lake, action="square", resource=str)
    def square(n: int) -> int:
        return n * n

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(square, range(100))) == [n * n for n in range(100)]
    assert sorted(int(each["resource"]) for each in said(lake)) == list(range(100))


def test_generators_are_refused(lake: AuditLake) -> None:
    """The call of a generator does nothing yet, so there is nothing to say about it."""

    def numbers() -> Iterator[int]:
        yield 1

    async def others() -> AsyncIterator[int]:
        yield 1

    for each in (numbers, others):
        with pytest.raises(EventError, match="yields"):
            audited(lake, action="count")(each)


def test_a_block_is_entered_once(lake: AuditLake) -> None:
    """The same block within itself is refused; one after the other works."""
    block = audited(lake, action="once")
    with block, pytest.raises(EventError, match="entered already"), block:
        pass
    with block:
        pass
    assert [each["status"] for each in said(lake)] == ["success", "success"]


def test_what_cannot_be_an_event_is_told_before_the_call(lake: AuditLake) -> None:
    """A field of the wrong kind, or a function for one that fails, is raised before anything is done."""
    done: list[int] = []

    @audited(lake, action="pay", user_id=lambda n: n)
    def pay(n: int) -> None:
        done.append(n)

    @audited(lake, action="pay", user_id=lambda n: n["user"])
    def pay_again(n: int) -> None:
        done.append(n)

    with pytest.raises(EventError, match="user_id"):
        pay(5)
    with pytest.raises(TypeError):
        pay_again(5)
    assert (done, landed(lake)) == ([], [])


@pytest.mark.parametrize("error", [None, ValueError("theirs")])
def test_a_refused_event_is_kept(lake: AuditLake, caplog: pytest.LogCaptureFixture, error: Exception | None) -> None:
    """One of an unknown type, or with details that no event can have, is quarantined; the call is as it was."""
    for name, amount in (("paying", 5), ("api_call", float("nan"))):
        with suppress(ValueError), audited(lake, action="pay", event_type=name) as details:
            details["sum"] = amount
            if error:
                raise error
    summary = lake.flush()
    (file,) = lake.layout.quarantine.iterdir()
    records = [json.loads(line) for line in file.read_text().splitlines()]

    assert not getattr(error, "__notes__", None)
    assert (summary.landed, summary.quarantined) == (0, 2)
    assert sorted(each["reason"] for each in records) == ["not valid JSON", "unknown event type"]
    assert all(json.loads(each["data"])["status"] == ("failure" if error else "success") for each in records)
    assert [record.name for record in caplog.records] == ["auditlake.audited"] * 2


def test_a_success_that_cannot_be_recorded_is_raised() -> None:
    """Nothing goes on unrecorded in silence."""

    @audited(Broken(), action="pay")  # type: ignore[arg-type]
    def pay() -> None:
        pass

    with pytest.raises(LandingError):
        pay()


def test_a_failure_that_cannot_be_recorded_stays_the_callers(caplog: pytest.LogCaptureFixture) -> None:
    """The call's own exception is raised, with a note, and the loss is logged."""

    @audited(Broken(), action="pay")  # type: ignore[arg-type]
    def pay() -> None:
        raise ValueError

    with pytest.raises(ValueError) as caught, caplog.at_level(logging.ERROR):
        pay()

    assert caught.value.__notes__ == ["auditlake could not record this failure: the disk is full"]
    assert [record.name for record in caplog.records] == ["auditlake.audited"]
