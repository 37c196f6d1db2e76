"""Small lakes for tests: of an application that logs into a lake, and of auditlake itself.

A lake in a temporary folder, with policies from YAML text and a clock that stands still until it is moved::

    from auditlake.testing import NOW, Clock, events, temporary_lake

    POLICY = '''
    name: Failed logins
    description: Three failed logins of one user within an hour
    required_events: [auth_failure]
    alert_threshold: 3
    window: 1h
    group_by: [user_id]
    coverage: optional
    '''

    def test_failed_logins_are_found():
        with temporary_lake(policies={"failed": POLICY}) as lake:
            lake.ingest(events("auth_failure", "2026-04-01T09:00:00Z", count=3, every="5min", user_id="mallory"))
            assert lake.report("failed", last="1d").status == "violation"

What the application logs is in the next answer; no test needs to wait, and time moves when the test says so::

    def test_logins_are_kept_for_a_month():
        clock = Clock()
        with temporary_lake(clock=clock, default_retention="30d") as lake:
            my_application(lake).sign_in("alice")
            assert lake.sql("select user_id from events").fetchall() == [("alice",)]
            clock.move("31d")
            assert lake.retention.plan().due == 1

As a fixture of pytest, in ``conftest.py``::

    @pytest.fixture
    def lake():
        with temporary_lake() as lake:
            yield lake
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypedDict, Unpack

import auditlake
from auditlake.errors import LakeError
from auditlake.events.durations import parse_duration
from auditlake.events.event import AuditEvent
from auditlake.events.times import Instant, as_instant
from auditlake.lake import AuditLake
from auditlake.policies.files import PolicySet
from auditlake.policies.model import Policy

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
"""What time it is for a new clock: noon, so that days have passed and hours of this one are left."""


class Clock:
    """A clock that stands still until a test moves it.

    >>> clock = Clock()
    >>> clock.move("36h").isoformat()
    '2026-04-03T00:00:00+00:00'
    """

    def __init__(self, now: Instant = NOW) -> None:
        self.now = as_instant(now)
        """The present; it may be set."""

    def __call__(self) -> datetime:
        """Return the present."""
        return self.now

    def move(self, length: str | timedelta) -> datetime:
        """Move the present on by a length such as ``90min`` or ``30d``, and return it."""
        self.now += _length(length)
        return self.now


class LakeOptions(TypedDict, total=False):
    """The options of :func:`auditlake.create` but for the clock and the policies."""

    event_types: Sequence[str]
    default_retention: str | None
    unsigned: bool


class SmallLakeOptions(LakeOptions, total=False):
    """The options of :func:`make_lake`."""

    clock: Clock | None
    policies: Mapping[str, str] | PolicySet
    settings: Mapping[str, str | int] | None


@contextmanager
def temporary_lake(**options: Unpack[SmallLakeOptions]) -> Iterator[AuditLake]:
    """Make a lake in a temporary folder, with the options of :func:`make_lake`, which goes away with all that is in it.

    >>> with temporary_lake() as lake:
    ...     _ = lake.log(event_type="login", user_id="alice")
    ...     lake.events().fetchone()[:2] == (_, "login")
    True
    """
    with TemporaryDirectory(prefix="auditlake-test-") as folder:
        lake = make_lake(Path(folder, "lake"), **options)
        try:
            yield lake
        finally:
            if trail := vars(lake).get("_trail"):  # opened by the first event that was logged
                trail.close()


def make_lake(
    path: str | Path,
    *,
    clock: Clock | None = None,
    policies: Mapping[str, str] | PolicySet = "starter",
    settings: Mapping[str, str | int] | None = None,
    **options: Unpack[LakeOptions],
) -> AuditLake:
    """Make a lake whose clock stands still.

    Args:
        path: Its folder.
        clock: Its clock; one that stands at :data:`NOW` if None.
        policies: Their YAML text by their id, and no others; or the name of a set, as for :func:`auditlake.create`.
        settings: Keys of lake.toml and their values, as :func:`change_settings` takes them.
        **options: Those of :func:`auditlake.create`.
    """
    named: PolicySet = policies if isinstance(policies, str) else "none"
    lake = auditlake.create(path, clock=clock or Clock(), policies=named, **options)
    if not isinstance(policies, str):
        set_policies(lake, policies)
    return change_settings(lake, **settings) if settings else lake


def set_policies(lake: AuditLake, policies: Mapping[str, str]) -> None:
    """Give a lake these policies, YAML text by id, and no others; mistakes in them show when they are used."""
    for file in lake.layout.policies.iterdir():
        file.unlink()
    for policy_id, text in policies.items():
        lake.layout.policy(policy_id).write_text(text, encoding="utf-8")


def make_policy(text: str, policy_id: str = "policy", *, event_types: tuple[str, ...] = ()) -> Policy:
    """Return a policy of YAML text, for what takes one that is in no lake, such as ``lake.backtest``.

    Args:
        text: The policy's file.
        policy_id: Its id.
        event_types: Types beside the built-in ones.

    Raises:
        PolicyError: It has mistakes; all are listed.
    """
    from auditlake.events.schema import BUILT_IN_TYPES
    from auditlake.policies.loader import load_policy

    types = BUILT_IN_TYPES | set(event_types)
    return load_policy(text, file=f"{policy_id}.yaml", policy_id=policy_id, event_types=types)


def change_settings(lake: AuditLake, **settings: str | int) -> AuditLake:
    """Change keys that lake.toml has, such as ``grace="1d"`` or ``max_record=1000``, and return the lake opened anew.

    Raises:
        LakeError: lake.toml has no such key.
    """
    text = lake.layout.config.read_text(encoding="utf-8")
    for key, value in settings.items():
        written = f'"{value}"' if isinstance(value, str) else str(value)
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {written}", text, flags=re.MULTILINE)
        if not count:
            raise LakeError(f"lake.toml has no key {key}")
    lake.layout.config.write_text(text, encoding="utf-8")
    context = lake._context  # noqa: SLF001 - the same lake again
    return AuditLake(lake.layout.root, clock=context.clock, wait_seconds=context.wait_seconds)


def event(event_type: str = "login", at: Instant = NOW, **fields: Any) -> AuditEvent:
    """Return an event in short form: its type, its time (a datetime, a date or text), and any other field.

    >>> event("logout", "2026-04-01T09:00:00Z", user_id="alice").timestamp.hour
    9
    """
    return AuditEvent(event_type, as_instant(at), **fields)


def events(
    event_type: str = "login", at: Instant = NOW, *, count: int = 1, every: str | timedelta = "1h", **fields: Any
) -> list[AuditEvent]:
    """Return several events, the first at an instant and each further one so much later, as tests in policies do.

    Args:
        event_type: The type of all.
        at: When the first happens.
        count: How many.
        every: The time between two.
        **fields: Any other field.
    """
    first, step = as_instant(at), _length(every)
    return [AuditEvent(event_type, first + number * step, **fields) for number in range(count)]


def _length(length: str | timedelta) -> timedelta:
    if isinstance(length, timedelta):
        return length
    try:
        return timedelta(microseconds=parse_duration(length, "window").microseconds)
    except ValueError as error:
        raise LakeError(str(error)) from error
