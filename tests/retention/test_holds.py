"""Holds: files that tell every mistake, conditions that bind their values, reports that count what is held."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.engine.statements import statement
from auditlake.errors import HoldError
from auditlake.policies.compile import fill_holds, hold_values
from auditlake.policies.holds import Hold, load_hold
from tests.cli.conftest import Run
from tests.retention.lakes import DAY, NOW, Clock, bring, made, policy_text, record
from tests.templates import copy_of

WHO = {"reason": "Smith v. Example", "owner": "legal", "ticket": "L-1"}
HEAD = "reason: r\nowner: o\nticket: t\ncreated: 2026-01-01T00:00:00Z\n"


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake with one policy of ten days."""
    return made(tmp_path / "lake", {"ten": policy_text(["login", "logout"], "10d")})


def test_added_read_and_released(lake: AuditLake) -> None:
    """A hold is read back as it was made; released, it stays on record with its reason and its end."""
    added = lake.holds.add(
        "smith", **WHO, event_types=["login"], user_ids=["a: b", "0x1", "\u202eé"], since="2026-03-01"
    )

    assert lake.holds.all() == (added,)
    assert added.user_ids == ("a: b", "0x1", "\u202eé")
    assert added.is_active(NOW)

    ended = lake.holds.release("smith", reason="settled")

    assert lake.holds.all() == (ended,)
    assert (ended.released, ended.released_because) == (NOW, "settled")
    assert not ended.is_active(NOW)
    assert ended.is_active(NOW - DAY)
    assert lake.layout.hold("smith").stat().st_mode & 0o777 == 0o600


def test_no_name_is_used_twice(lake: AuditLake) -> None:
    """A second hold of a name is refused, and so is a second release, a strange name, and one that is not there."""
    lake.holds.add("smith", **WHO)
    with pytest.raises(HoldError, match="has a hold 'smith' already"):
        lake.holds.add("smith", **WHO)
    with pytest.raises(HoldError, match="cannot be a hold's id"):
        lake.holds.add("../smith", **WHO)
    with pytest.raises(HoldError, match="no hold 'jones'"):
        lake.holds.release("jones", reason="r")
    lake.holds.release("smith", reason="r")
    with pytest.raises(HoldError, match="was released at"):
        lake.holds.release("smith", reason="r")


def test_what_makes_no_hold(lake: AuditLake) -> None:
    """A hold that could not be read back is not written."""
    with pytest.raises(HoldError, match="reason: expected text, got nothing"):
        lake.holds.add("smith", **{**WHO, "reason": " "})
    with pytest.raises(HoldError, match="unknown event type 'logn'; did you mean 'login'"):
        lake.holds.add("smith", **WHO, event_types=["logn"])
    with pytest.raises(HoldError, match="until: expected an instant not before since"):
        lake.holds.add("smith", **WHO, since="2026-02-01", until="2026-01-01")

    assert lake.holds.all() == ()
    assert lake.snapshot().version == 0


def test_every_mistake_with_its_place(lake: AuditLake) -> None:
    """Every mistake of a hold's file is told with file, line and column."""
    text = HEAD + "event_types: [login, logn]\nuser_ids: []\nsince: yesterday\nowners: x\nticket: [a]\n"
    with pytest.raises(HoldError) as raised:
        load_hold(text, file="h.yaml", hold_id="h", event_types=frozenset({"login"}))

    places = [problem.split(": ")[0] for problem in raised.value.problems]
    assert places == ["h.yaml:5:22", "h.yaml:7:8", "h.yaml:8:1", "h.yaml:9:1"]
    (lake.layout.holds / "broken.yaml").write_text("reason: r\n")
    (lake.layout.holds / "other.yml").write_text("")
    with pytest.raises(HoldError, match=r"broken.yaml:1:1: a hold needs the key 'owner'.*rename it to other.yaml"):
        lake.holds.all()


@pytest.mark.parametrize(("text", "said"), [
    (HEAD + "user_ids: []\n", "h.yaml:5:11: user_ids: expected at least one, got an empty list"),
    (HEAD + "released: 2026-01-01T00:00:00Z\n", "h.yaml:5:11: released and released_because: expected both or neither"),
    ("", "h.yaml:1:1: the file is empty; a hold needs reason, owner, ticket, created"),
])  # fmt: skip
def test_mistakes_of_the_whole(text: str, said: str) -> None:
    """What is wrong with a file as a whole is told too."""
    with pytest.raises(HoldError) as raised:
        load_hold(text, file="h.yaml", hold_id="h", event_types=frozenset())
    assert said in raised.value.problems[0]


def test_values_are_bound() -> None:
    """A hold's values are bound, never pasted into the statement."""
    hold = Hold("h", "r", "o", "t", NOW, ("login",), ("'; drop table events; --",), ("r",), NOW, NOW)
    step = fill_holds(statement("policies/retention.sql", "retention"), [hold],
                      {"types": [], "type_cutoffs": [], "cutoff": NOW})  # fmt: skip

    assert "drop" not in step.sql
    assert "$hold_0_user_ids" in step.sql
    assert hold_values([hold])["hold_0_user_ids"] == ["'; drop table events; --"]


def old_events(folder: Path) -> None:
    """Make a lake of six events that are older than their policy keeps them, and a hold that matches none."""
    lake = made(folder / "lake", {"ten": policy_text(["login", "logout"], "10d")})
    bring(lake, (
        record(n, NOW - (20 - n) * DAY, ("login", "logout")[n % 2], **({"resource": f"r{n}"} if n != 5 else {}))
        for n in range(6)
    ))  # fmt: skip
    lake.holds.add("other", **WHO, user_ids=["nobody"])


CASES: list[tuple[dict[str, Any], set[int]]] = [
    ({}, set(range(6))),
    ({"event_types": ["logout"]}, {1, 3, 5}),
    ({"user_ids": ["user 0", "user 1"]}, {0, 1, 3, 4}),
    ({"resources": ["r2"]}, {2}),
    ({"resources": ["r9"]}, set()),
    ({"since": NOW - 18 * DAY, "until": NOW - 16 * DAY}, {2, 3, 4}),
    ({"since": NOW - 18 * DAY + timedelta(microseconds=1)}, {3, 4, 5}),
    ({"event_types": ["logout"], "user_ids": ["user 1"], "until": NOW - 18 * DAY}, {1}),
]


@pytest.mark.parametrize(("names", "held"), CASES)
def test_reports_count_what_is_held(names: dict[str, Any], held: set[int], tmp_path: Path) -> None:
    """A report's retention counts each old event once: held if a hold names it, else due."""
    lake = AuditLake(copy_of(old_events, tmp_path) / "lake", clock=Clock())
    lake.holds.add("smith", **WHO, **names)

    answer = lake.report("ten").report.retention
    assert (answer.held, answer.due, answer.kept_by_other_policies) == (len(held), 6 - len(held), 0)


def test_a_released_hold_holds_what_it_held(tmp_path: Path) -> None:
    """A report of now counts nothing that only a released hold named; one of an earlier instant does."""
    lake = AuditLake(copy_of(old_events, tmp_path) / "lake", clock=Clock())
    lake.holds.add("smith", **WHO, event_types=["logout"])
    lake.holds.release("smith", reason="r")

    assert lake.report("ten").report.retention.held == 0
    assert lake.report("ten", as_of=NOW - timedelta(hours=1)).report.retention.held == 3


def test_snapshots_before_a_hold_are_read_as_they_were(lake: AuditLake) -> None:
    """A hold is a version of its own and no change of rows: older snapshots stay readable after a compaction."""
    rows = {lake.snapshot().version: 0}
    for number in range(2):
        bring(lake, [record(number, NOW - DAY)])
        rows[lake.snapshot().version] = number + 1
    lake.holds.add("smith", **WHO)
    rows[lake.snapshot().version] = 2
    assert lake.compact(grace_seconds=0).days
    rows[lake.snapshot().version] = 2

    assert {n: len(lake.sql("select * from events", snapshot=n).fetchall()) for n in rows} == rows


def test_interrupted_release_is_recorded(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that died before it was recorded is recorded by the next one, as it was first said."""
    from auditlake.retention import holds

    lake.holds.add("smith", **WHO)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(holds, "_record", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        lake.holds.release("smith", reason="first")

    assert lake.holds.release("smith", reason="second").released_because == "first"
    with pytest.raises(HoldError, match="was released"):
        lake.holds.release("smith", reason="third")


def test_a_release_by_hand_is_none(lake: AuditLake) -> None:
    """What was written into a hold's file by hand is not taken for a release: that has its own time and reason."""
    written = 'released: 2020-01-01T00:00:00Z\nreleased_because: "by hand"\n'
    lake.holds.add("smith", **WHO)
    path = lake.layout.hold("smith")
    path.write_text(path.read_text() + "# a note\n" + written)
    lake.layout.hold("new").write_text(HEAD + written)
    assert any("the hold smith has changed" in each for each in lake.retention.plan().weaker)
    for name in ("smith", "new"):
        released = lake.holds.release(name, reason="settled")
        assert (released.released, released.released_because) == (NOW, "settled")
    assert not any("hold" in each for each in lake.retention.plan().weaker)

    path.write_text(path.read_text() + "# another note\n")
    with pytest.raises(HoldError, match="was released at 2026-04-01T12"):
        lake.holds.release("smith", reason="again")


def test_on_the_command_line(run: Run, tmp_path: Path) -> None:
    """The command line adds, lists, shows and releases holds."""
    hold = partial(run, "--lake", made(tmp_path / "lake", clock=Clock()).layout.root, "hold")
    names = ("--user-id", "alice", "--user-id", "bob", "--event-type", "login", "--since", "2026-01-01")
    who = ("--reason", "r", "--owner", "o", "--ticket", "t")

    assert hold("add", "smith", *who, *names).out == ("holding: smith, which matches 0 events now\n")
    assert "type login; user alice, bob; since 2026-01-01" in hold("list").out
    assert 'user_ids: ["alice", "bob"]' in hold("show", "smith").out
    assert hold("release", "smith", "--reason", "r", "--yes").out == "released: smith\n"
    refused = hold("release", "smith", "--reason", "r", "--yes")
    assert refused.code == 3
    assert "was released at" in refused.err
