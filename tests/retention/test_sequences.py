"""Whatever is done in whatever order, the lake holds what a plain-Python model of the same history holds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake import AuditEvent, AuditLake
from auditlake.errors import RetentionError, SnapshotError
from auditlake.retention.cleanup import certificate_paths
from auditlake.store.pseudonyms import pseudonyms
from tests.retention.lakes import DAY, NOW, Clock, bring, made, policy_text, record
from tests.retention.model import Event, Kept, Rule, holds_on, limited_by, verdict
from tests.store.lakes import copied, data_files

RULES = [Rule("long", ("logout",), 10, 4), Rule("two", ("login",), 2)]
DEFAULT = 20.0
KINDS, PEOPLE = ("login", "logout", "data_breach"), ("ann", "bob")
Step = tuple[str, Any]
NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=8)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ingest"), NUMBERS),
        st.tuples(st.just("ingest"), NUMBERS),
        st.tuples(st.just("log"), st.lists(st.integers(100, 130), min_size=1, max_size=4)),
        st.tuples(st.just("flush"), st.just(None)),
        st.tuples(st.just("days"), st.sampled_from([0.5, 1, 3, 6, 9])),
        st.tuples(st.just("compact"), st.sampled_from([0.0, 86_400.0])),
        st.tuples(st.just("hold"), st.sampled_from([("ann", None), ("ann", 3), (None, 2)])),
        st.tuples(st.just("release"), st.just(None)),
        st.tuples(st.just("apply"), st.just(None)),
        st.tuples(st.just("apply"), st.just(None)),
        st.tuples(st.just("erase"), st.sampled_from(PEOPLE)),
    ),
    min_size=4,
    max_size=10,
)


def event(number: int) -> Event:
    """The event of a number: the same number is the same event."""
    return Event(f"e{number}", KINDS[number % 3], NOW - (number % 29) * DAY, PEOPLE[number % 2])


class World:
    """A lake, and the model of it."""

    def __init__(self, root: Path) -> None:
        self.clock = Clock(NOW)
        self.lake = AuditLake(root, clock=self.clock)
        self.events: dict[str, Event] = {}
        self.logged: set[str] = set()
        self.holds: dict[str, Kept] = {}
        self.made = 0
        self.versions: dict[int, set[tuple[str, str | None]]] = {}
        """What each version had when it was the newest."""
        self.changed: set[int] = set()
        """Those of which rows may have been deleted or changed since."""

    def step(self, kind: str, value: Any) -> None:
        getattr(self, kind)(value)
        self.check()

    def known(self, event: Event) -> bool:
        return event.id in self.events

    def name(self, person: str) -> str:
        names = pseudonyms(self.lake.layout, make=False)
        assert names is not None
        return names.of(person)

    def kept(self) -> list[Kept]:
        """The holds, with the pseudonyms of whom they name."""
        return [
            replace(hold, users=(*hold.users, *map(self.name, hold.users)))
            if self.lake.layout.pseudonyms.exists()
            else hold
            for hold in self.holds.values()
        ]

    # Steps

    def ingest(self, numbers: Sequence[int]) -> None:
        asked = [event(number) for number in numbers]
        done = bring(self.lake, (record(n, e.at, e.kind, user_id=e.user) for n, e in zip(numbers, asked, strict=True)))
        new = {each.id: each for each in asked if not self.known(each)}
        assert (done.landed, done.quarantined) == (len(new), 0)
        self.events |= new
        self.remember(done.snapshot)

    def log(self, numbers: Sequence[int]) -> None:
        asked = [event(number) for number in numbers]
        new = [each for each in asked if not self.known(each)]
        with self.lake.trail() as trail:
            for each in asked:
                trail.log(AuditEvent(each.kind, each.at, user_id=each.user, event_id=each.id))
        self.events |= {each.id: each for each in new}
        self.logged |= {each.id for each in new}

    def flush(self, _: None) -> None:
        assert self.lake.flush().quarantined == 0
        self.logged.clear()

    def days(self, days: float) -> None:
        self.clock.now += timedelta(days=days)

    def compact(self, grace: float) -> None:
        self.lake.compact(grace_seconds=grace)

    def hold(self, what: tuple[str | None, int | None]) -> None:
        self.made += 1
        name, (user, age) = f"h{self.made}", what
        since = None if age is None else NOW - age * DAY
        self.lake.holds.add(name, reason="r", owner="o", ticket="t", user_ids=[user] if user else [], since=since)
        self.holds[name] = Kept(name, (), (user,) if user else (), since)

    def release(self, _: None) -> None:
        if self.holds:
            name = min(self.holds)
            self.lake.holds.release(name, reason="r")
            del self.holds[name]

    def apply(self, _: None) -> None:
        self.logged.clear()
        plan = self.lake.retention.plan()
        now = self.clock.now
        said = {each.id: verdict(each, RULES, self.kept(), DEFAULT, now)[0] for each in self.events.values()}
        assert plan.due == sum(what == "due" for what in said.values())
        assert plan.held == sum(what == "held" for what in said.values())
        over = {each.id for each in self.events.values()
                if said[each.id] not in {"due", "held"} and limited_by(each, RULES, now)}  # fmt: skip
        done = self.lake.retention.apply(plan=plan.digest)
        kept = {name: each for name, each in self.events.items() if said[name] != "due"}
        self.events = {name: self.nameless(each) if name in over else each for name, each in kept.items()}
        assert self.lake.retention.plan().due == 0
        self.settle(done.certificate, changed=bool(plan.changes))

    def erase(self, person: str) -> None:
        self.logged.clear()
        called = {person, self.name(person)} if self.lake.layout.pseudonyms.exists() else {person}
        if not any(each.user in called for each in self.events.values()):
            with pytest.raises(RetentionError, match="no event has the user_id"):
                self.lake.retention.erase(person, reason="r", ticket="t")
            self.remember(self.lake.snapshot().version)
            return
        done = self.lake.retention.erase(person, reason="r", ticket="t")
        theirs = [each for each in self.events.values() if each.user == person and not holds_on(each, self.kept())]
        assert done.events == len(theirs)
        self.events |= {each.id: self.nameless(each) for each in theirs}
        self.settle(done.certificate, changed=bool(theirs))

    def settle(self, certificate: str | None, *, changed: bool) -> None:
        if certificate is not None:
            assert all(path.exists() for path in certificate_paths(self.lake.layout, certificate))
        assert (certificate is None) <= (not changed)
        if changed:
            self.changed |= self.versions.keys()
        self.remember(self.lake.snapshot().version)

    def remember(self, version: int) -> None:
        """Note what a version has, all but what is not flushed."""
        if version not in self.versions:
            self.versions[version] = {
                (each.id, each.user) for each in self.events.values() if each.id not in self.logged
            }

    def nameless(self, event: Event) -> Event:
        return replace(event, user=self.name(event.user or ""))

    # What must be true

    def check(self) -> None:
        found = self.lake.sql('select event_id, event_type, epoch_us("timestamp"), user_id from events').fetchall()
        epoch = datetime(1970, 1, 1, tzinfo=NOW.tzinfo)
        expected = [(e.id, e.kind, (e.at - epoch) // timedelta(microseconds=1), e.user) for e in self.events.values()]
        assert sorted(found) == sorted(expected)
        assert {file.path for file in self.lake.snapshot().files} <= data_files(self.lake)
        assert not list(self.lake.layout.quarantine.iterdir())
        report = self.lake.ledger.verify()
        assert report.ok, report.problems

    def check_versions(self) -> None:
        """Every version has what it had, or says that it cannot be read exactly any more."""
        for version, had in self.versions.items():
            try:
                found = self.lake.sql("select event_id, user_id from events", snapshot=version).fetchall()
            except SnapshotError as error:
                assert version in self.changed
                assert "cannot be read exactly: version" in str(error)
            else:
                assert sorted(found) == sorted(had)

    def check_reports(self) -> None:
        """The retention of reports counts what the model counts."""
        now = self.clock.now
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        for rule in RULES:
            answer = self.lake.report(rule.name).report.retention
            old = [each for each in self.events.values()
                   if each.kind in rule.types and each.at < midnight - timedelta(days=rule.days)]  # fmt: skip
            said = [verdict(each, RULES, self.kept(), DEFAULT, now)[0] for each in old]
            counted = (answer.held, answer.kept_by_other_policies, answer.due)
            assert counted == tuple(said.count(what) for what in ("held", "kept", "due"))


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """An empty lake to copy, its rules recorded."""
    with tempfile.TemporaryDirectory() as folder:
        policies = {"two": policy_text(["login"], "2d"), "long": policy_text(["logout"], "10d", "4d")}
        lake = made(Path(folder) / "lake", policies, Clock(NOW - 400 * DAY), default_retention="20d")
        config = lake.layout.config.read_text()
        lake.layout.config.write_text(config.replace('grace = "24h"', 'grace = "0"'))
        lake.retention.apply(accept_weaker="tests")
        yield lake.layout.root


def same_as_the_model(steps: Sequence[Step], template: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(copied(template, Path(folder) / "lake"))
        for kind, value in steps:
            world.step(kind, value)
        world.check_reports()
        world.check_versions()


EVERYTHING: list[Step] = [
    ("ingest", [0, 1, 2, 3, 4, 5, 14, 20, 26]), ("log", [100, 101, 104]), ("hold", ("ann", 3)), ("erase", "ann"),
    ("ingest", [0, 2, 4, 14, 26, 6]), ("log", [104, 102]), ("flush", None), ("compact", 0.0), ("apply", None),
    ("ingest", [14, 20]), ("days", 6), ("hold", (None, 2)), ("apply", None), ("release", None), ("ingest", [0, 1, 7]),
    ("apply", None), ("erase", "bob"), ("ingest", [1, 3, 7, 2]), ("compact", 0.0), ("release", None), ("apply", None),
]  # fmt: skip
"""Each kind of step after each that it may go wrong after."""


def test_each_kind_of_step(template: Path) -> None:
    """After each kind of step nothing under a hold or a running policy is gone, and all answers are the model's."""
    same_as_the_model(EVERYTHING, template)


@pytest.mark.soak
@given(steps=STEPS)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_sequence(steps: list[Step], template: Path) -> None:
    """The same after any sequence."""
    same_as_the_model(steps, template)
