"""The module that makes small lakes for users' tests: its examples run, and its lakes are like any other."""

from __future__ import annotations

import doctest
import re
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake, testing
from auditlake.errors import LakeError, PolicyError
from auditlake.testing import NOW, Clock, change_settings, event, events, make_lake, make_policy, temporary_lake


class Application:
    """One of a user, which logs into a lake."""

    def __init__(self, lake: AuditLake) -> None:
        self._lake = lake

    def sign_in(self, user: str) -> None:
        self._lake.log(event_type="login", user_id=user)


def test_the_examples_run() -> None:
    """What the module's documentation shows works as it is printed, tests and fixture."""
    blocks = [textwrap.dedent(each) for each in re.findall(r"::\n\n((?:    .*\n|\n)+)", testing.__doc__ or "")]
    names: dict[str, Any] = {"my_application": Application, "pytest": pytest}
    for block in blocks:
        exec(block, names)
    for name in ("test_failed_logins_are_found", "test_logins_are_kept_for_a_month"):
        names[name]()

    assert len(blocks) == 3
    assert doctest.testmod(testing).failed == 0


def test_nothing_is_left() -> None:
    """A temporary lake goes with its folder, whatever was logged into it, and however the test ends."""
    with pytest.raises(ZeroDivisionError), temporary_lake(unsigned=True) as lake:
        lake.log(event())
        root = lake.layout.root
        1 / 0  # noqa: B018
    assert not root.parent.exists()


def test_time_moves() -> None:
    """A clock stands still until it is set or moved."""
    clock = Clock("2026-01-31")
    assert clock() == clock() == datetime(2026, 1, 31, tzinfo=UTC)
    assert clock.move("1d") == clock.move(timedelta(hours=-1)) + timedelta(hours=1)
    clock.now = NOW
    assert clock() == NOW
    with pytest.raises(LakeError, match="a day"):
        clock.move("a day")


def test_short_forms() -> None:
    """Events are made of a type, a time and fields; several lie a step apart."""
    first, second, third = events("logout", "2026-01-01T00:00:00Z", count=3, every="90min", user_id="a")

    assert (event().event_type, event().timestamp) == ("login", NOW)
    assert (first.event_type, first.user_id) == ("logout", "a")
    assert third.timestamp - second.timestamp == second.timestamp - first.timestamp == timedelta(minutes=90)
    assert events(count=0) == []


def test_settings_and_policies(tmp_path: Path) -> None:
    """A lake has the settings and policies that it is made with, keeps its clock, and refuses keys that it lacks."""
    text = "name: n\ndescription: d\nrequired_events: [badge_read]\nretention_period: 30d\n"
    lake = make_lake(
        tmp_path / "lake",
        policies={"mine": text},
        settings={"max_record": 1000, "grace": "1d"},
        event_types=["badge_read"],
    )

    assert [policy.id for policy in lake.policies] == ["mine"]
    assert (lake.config.max_record, lake.config.grace_seconds) == (1000, 86_400)
    assert lake.ingest(event("badge_read")).landed == 1
    assert lake.events().pl()["ingested_at"].to_list() == [NOW]
    assert make_policy(text, event_types=("badge_read",)).required_events == ("badge_read",)
    with pytest.raises(LakeError, match="no key nothing"):
        change_settings(lake, nothing=1)
    with pytest.raises(PolicyError, match=r"policy\.yaml:3"):
        make_policy(text)
