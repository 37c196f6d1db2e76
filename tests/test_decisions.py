"""What people decide about controls: written down, in force until an instant, taken back."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.cli import main
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError, PackError, ReportError
from auditlake.findings.decisions import (
    Acceptance,
    Applicability,
    Decisions,
    Entry,
    EvidenceFile,
    Reopening,
    Resolution,
    Retraction,
    Review,
    Seen,
    Statement,
    Subject,
    Weakening,
)  # fmt: skip
from auditlake.findings.journal import Line, append, concerning, decisions_as_of, read
from auditlake.testing import Clock
from tests.lakes import create
from tests.templates import copy_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SUBJECT = Subject("p", "threshold_exceeded", '{"user_id":"ann"}')
WHO = {"by": "me", "system_user": "root"}
PACK = """
pack: 1
id: pci
framework: Rules
edition: "1"
publisher: us
about: What these tests decide about.
revision: 2026-11-01.1
recheck: 2027-01-01
status: [{from: 2026-01-01, state: in_force, cites: [S]}]
sources: [{id: S, title: the rules, checked: primary}]
parameters:
  attempts: {type: number, default: 6, stricter: lower, cites: ["8.1"]}
  review: {type: duration, default: 2d, stricter: shorter, cites: ["8.1"]}
policies:
  sign_ins: {name: Sign-ins, description: Sign-ins, required_events: [auth_failure]}
controls:
  - {id: "8.1", title: Sign-ins are recorded, shows: logging, policies: [sign_ins], cites: [S]}
  - {id: "9.4.1", title: Doors are locked, shows: nothing, cites: [S]}
  - {id: "12.1", title: There is a policy, shows: nothing, was: "12.0", cites: [S]}
"""
EVERY: tuple[Entry, ...] = (
    Acceptance(0, NOON, "f" * 16, SUBJECT, NOON - HOUR, NOON, NOON, NOON + DAY, "known", "ops", **WHO),
    Reopening(0, NOON, "p", 1, "f" * 16, "not so known", **WHO),
    Review(
        0, NOON, "p", NOON, 1, "compliant", "sha256:00", "me", "root", "fine", None, NOON - DAY, NOON, ("p", "q"), "x"
    ),
    Resolution(0, NOON, "f" * 16, SUBJECT, NOON - HOUR, None, NOON - DAY, NOON, "reset", ticket="T-1", **WHO),
    Statement(0, NOON, "pci", "9.4.1", "met", "seen", NOON + DAY, evidence=(EvidenceFile("a.pdf", "00"),), **WHO),
    Applicability(0, NOON, "pci", "12.1", "no cards", "ops", NOON + DAY, **WHO),
    Weakening(0, NOON, "pci", "attempts", {"most": [10, 1.5]}, "old system", "ops", NOON + DAY, **WHO),
    Retraction(0, NOON, 3, "wrong", **WHO),
)  # fmt: skip


def with_a_finding(folder: Path) -> None:
    lake = create(folder / "lake", clock=lambda: NOON)
    lake.ingest([AuditEvent("auth_failure", NOON - timedelta(seconds=i), user_id="ann") for i in range(7)])
    lake.layout.packs.mkdir(exist_ok=True)
    lake.layout.pack("pci").write_text(PACK)
    lake.layout.frameworks.write_text("packs: {pci: {revision: 2026-11-01.1}}")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def lake(tmp_path: Path, clock: Clock) -> AuditLake:
    """A lake with one burst of failed logins."""
    return auditlake.open(copy_of(with_a_finding, tmp_path) / "lake", clock=clock)


def test_every_decision_is_read_as_it_was_written(tmp_path: Path) -> None:
    """All of an entry comes back, and an entry with a key too few or too many is told."""
    layout = Layout(tmp_path)
    written = [append(layout, each).entry for each in EVERY]
    assert written == [replace(each, number=number) for number, each in enumerate(EVERY, 1)]
    assert [line.entry for line in read(layout)] == written
    for line in layout.journal.read_bytes().splitlines():
        for wrong in (line[:-1] + b',"more":1}', line.replace(b'"by":"me",', b"")):
            layout.journal.write_bytes(wrong + b"\n")
            with pytest.raises(LakeFormatError, match="expected an entry"):
                read(layout)


MOMENTS = st.integers(0, 6).map(lambda hours: NOON + hours * HOUR)
NAMES = st.sampled_from(["a", "b"])


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    """Journals in which every kind comes, ends and is taken back, at instants that coincide and in any order."""
    made: list[Entry] = []
    for number in range(1, draw(st.integers(0, 9)) + 1):
        entry = draw(st.sampled_from(EVERY))
        values: dict[str, Any] = {"number": number, "at": draw(MOMENTS)}
        match entry:
            case Reopening():
                values["acceptance"] = draw(st.integers(1, 9))
            case Retraction():
                values["entry"] = draw(st.integers(1, 9))
            case Statement() | Applicability():
                values |= {"pack": draw(NAMES), "control": draw(NAMES), "until": draw(MOMENTS)}
            case Weakening():
                values |= {"pack": draw(NAMES), "parameter": draw(NAMES), "until": draw(MOMENTS)}
        made.append(replace(entry, **values))
    return made


def oracle(journal: Sequence[Entry], instant: datetime) -> Decisions:
    """Say it once more, slowly: go through the journal, and forget what was taken back or replaced."""
    known = {entry.number: entry for entry in journal if entry.at <= instant}
    for entry in [*known.values()]:
        taken = known.get(entry.acceptance if isinstance(entry, Reopening) else getattr(entry, "entry", 0))
        of_its_kind = isinstance(taken, Acceptance) == isinstance(entry, Reopening)
        if taken is not None and of_its_kind and not isinstance(taken, Reopening | Retraction):
            del known[taken.number]
    newest: dict[tuple[object, ...], Entry] = {}
    for entry in known.values():
        about = [getattr(entry, name, None) for name in ("pack", "control", "parameter")]
        is_replaced = isinstance(entry, Statement | Applicability | Weakening)
        newest[type(entry), *(about if is_replaced else [entry.number])] = entry

    def only(kind: type[Entry], *, ends: bool = False) -> tuple[Any, ...]:
        of_kind = [entry for entry in newest.values() if isinstance(entry, kind)]
        kept = [entry for entry in of_kind if not ends or instant <= getattr(entry, "until")]  # noqa: B009
        return tuple(sorted(kept, key=lambda entry: entry.number))

    return Decisions(
        instant, only(Statement), only(Applicability), only(Weakening, ends=True), only(Review),
        only(Resolution), only(Acceptance),
    )  # fmt: skip


@given(journal=entries(), instant=MOMENTS, data=st.data())
def test_decisions_follow_from_the_journal_and_an_instant(
    journal: list[Entry], instant: datetime, data: st.DataObject
) -> None:
    """What counts as of an instant is what was decided by then and neither taken back, replaced nor ended by then."""
    lines = [Line(entry, "") for entry in journal]
    entries = data.draw(st.none() | st.integers(0, len(lines)))
    found = decisions_as_of(lines, instant, entries)
    assert found == oracle(journal[:entries], instant)
    for each in found.applicabilities:
        assert found.not_applicable(each.pack, each.control) == (each if instant <= each.until else None)
    for stated in found.statements:
        assert found.statement(stated.pack, stated.control) == stated
    for each in (found.statement("a", "b", "a"), found.not_applicable("a", "b", "a")):
        of_both = [other for other in (*found.statements, *found.applicabilities) if other.pack == "a"]
        assert each is None or each.number == max(o.number for o in of_both if isinstance(o, type(each)))
    ended = sum(each.until < instant for each in (*found.statements, *found.applicabilities))
    assert sum(len(found.weakened(pack)) for pack in ("a", "b")) == len(found.weakenings)
    assert [each.number for each in found.all] == sorted(each.number for each in found.all)
    parts = ("statements", "applicabilities", "weakenings", "reviews", "resolutions", "acceptances")
    assert len(found.all) == sum(len(getattr(found, each)) for each in parts) - ended


def test_a_retraction_of_a_review_concerns_its_policy(tmp_path: Path) -> None:
    """A policy's report says so of the entries that it shows, and of those that take one of them back."""
    layout = Layout(tmp_path)
    for each in (EVERY[2], EVERY[4], replace(EVERY[7], entry=2), EVERY[3]):
        append(layout, each)
    lines = read(layout)
    assert [concerning(lines, name).entries for name in ("p", "q", "r")] == [1, 1, 0]
    append(layout, replace(EVERY[7], entry=1))
    journal = concerning(read(layout), "q")
    assert (journal.entries, journal.reviews) == (5, ())
    assert decisions_as_of(read(layout), NOON).reviews == ()
    with pytest.raises(LakeFormatError, match="5 entries, expected 6"):
        decisions_as_of(read(layout), NOON, 6)


STRETCHES = {
    "the same": (SUBJECT, NOON - HOUR, NOON, True),
    "cut by a later period": (SUBJECT, NOON - HOUR / 2, None, True),
    "begun before": (SUBJECT, NOON - 9 * HOUR, NOON - HOUR / 2, True),
    "ended before": (SUBJECT, NOON - 9 * HOUR, NOON - HOUR, False),
    "of somebody else": (Subject("p", "threshold_exceeded"), NOON - HOUR, NOON, False),
}


def test_a_resolution_is_about_a_stretch_of_time() -> None:
    """It deals with the same stretch as other periods cut it; what has no start stretches over its period."""
    resolved = Resolution(1, NOON, "f" * 16, SUBJECT, NOON - HOUR, NOON, NOON - DAY, NOON, "reset", **WHO)
    for name, (subject, start, end, expected) in STRETCHES.items():
        seen = Seen(subject, start, end, NOON + DAY, NOON + DAY, NOON - DAY)
        assert resolved.deals_with(seen) == expected, name
    missing = replace(resolved, start=None, end=None)
    for since, until, expected in ((NOON - 2 * DAY, NOON - HOUR, True), (NOON, NOON + DAY, False)):
        assert missing.deals_with(Seen(SUBJECT, None, None, NOON, until, since)) == expected


def test_what_is_stated_counts_until_it_ends(lake: AuditLake, clock: Clock, tmp_path: Path) -> None:
    """Statements, exceptions and weakenings are in force to the end of their day; the ledger covers each of them."""
    seen = tmp_path / "minutes.txt"
    seen.write_bytes(b"we looked")
    stated = lake.decisions.state(
        "pci", "9.4.1", met=False, note="the door", until="2026-12-01", evidence=[seen], by="eve"
    )
    lake.decisions.not_applicable("pci", "12.1", reason="no cards", owner="ops", until="2026-12-02")
    lake.decisions.weaken("pci", "attempts", 10, reason="old", owner="ops", until="2026-12-03")
    assert stated.evidence == (EvidenceFile("minutes.txt", hashlib.sha256(b"we looked").hexdigest()),)
    assert (stated.by, stated.result, stated.until) == (
        "eve", "not_met", datetime(2026, 12, 1, 23, 59, 59, 999999, UTC)
    )  # fmt: skip

    clock.now = NOON + 30 * DAY
    for day, expected in (
        ("2026-11-23", 0),
        ("2026-12-01", 3),
        ("2026-12-02", 2),
        ("2026-12-03", 1),
        ("2026-12-04", 0),
    ):
        assert len(lake.decisions.as_of(day).all) == expected, day
    assert lake.decisions.as_of("2026-12-03").weakened("pci")["attempts"].value == 10
    lake.decisions.retract(1, reason="it was another door")
    assert lake.decisions.as_of().statement("pci", "9.4.1") is None
    assert lake.decisions.as_of("2026-12-01").statement("pci", "9.4.1") == stated
    report = lake.ledger.verify(full=False)
    assert (report.ok, report.notices) == (True, ())


def test_a_finding_that_was_dealt_with_stays_open(lake: AuditLake) -> None:
    """A resolution is shown with its finding, and with what took it back; the report has the same bytes as before."""
    before = lake.report("failed_logins").json()
    (listed,) = lake.findings.list("failed_logins")
    lake.findings.resolve(listed.finding.id[:8], note="password reset", ticket="T-1", by="eve")
    lake.decisions.retract(1, reason="of somebody else", by="eve")
    lake.findings.resolve(listed.finding.id, note="blocked")

    shown, about = lake.findings.show(listed.finding.id)
    assert shown.state == "open"
    assert [type(each).__name__ for each in about] == ["Resolution", "Retraction", "Resolution"]
    assert lake.report("failed_logins").json() == before
    (resolution,) = lake.decisions.as_of().resolutions
    assert resolution.deals_with(shown.seen)


def test_a_review_may_be_of_several_policies(lake: AuditLake) -> None:
    """One entry signs them all, its digest is over the list of their reports, and each report shows it."""
    names = ("security_compliance", "failed_logins")
    entry, made = lake.findings.review(*names, note="all seen", by="eve", pack="pci", last="30d")
    sums = "".join(f"{hashlib.sha256(each.json()).hexdigest()}  {each.policy_id}\n" for each in made)
    assert entry.report == "sha256:" + hashlib.sha256(sums.encode()).hexdigest()
    assert (entry.policies, entry.pack, entry.status) == (
        tuple(each.policy_id for each in made),
        "pci",
        "violation",
    )
    for name in names:
        (shown,) = lake.report(name, last="30d").report.evidence.journal.reviews
        assert shown == entry


def test_a_review_may_be_of_a_pack(lake: AuditLake) -> None:
    """Without a policy it is of all that can be judged of the pack; one of them is named with the pack or without."""
    entry, made = lake.findings.review(pack="pci", note="all seen", by="eve")
    ready = [each.id for each in lake.policies.all() if each.id.startswith("pci--")]
    assert sorted(entry.policies) == sorted(each.policy_id for each in made) == ready != []
    assert (entry.pack, entry.since, entry.until) == ("pci", made[0].since, made[0].until)
    for name in ("sign_ins", "pci--sign_ins"):
        assert lake.findings.review(name, pack="pci", note="seen")[0].policies == ("pci--sign_ins",)


WRONG: dict[str, Callable[[AuditLake], object]] = {
    "not judged by a pack 'PCI DSS'": lambda lake: state(lake, pack="PCI DSS"),
    r"not judged by a pack 'pci4' .*did you mean pci": lambda lake: exclude(lake, pack="pci4"),
    r"not judged by a pack 'pic'.*did you mean pci": lambda lake: weaken(lake, 10, pack="pic"),
    "not judged by a pack 'dora'": lambda lake: lake.findings.review("failed_logins", note="fine", pack="dora"),
    "pci has no control '9999": lambda lake: state(lake, control="9" * 301),
    r"no control '9.4.2'.*did you mean 9.4.1": lambda lake: exclude(lake, control="9.4.2"),
    r"no control '12.0'.*it is called 12.1 now": lambda lake: state(lake, control="12.0"),
    r"a log shows pci 8.1.* finding list pci/8.1": lambda lake: state(lake, control="8.1"),
    r"no parameter 'attempt'.*did you mean attempts": lambda lake: weaken(lake, 10, parameter="attempt"),
    "attempts: expected a number": lambda lake: weaken(lake, [10]),
    "review: expected a length": lambda lake: weaken(lake, "soon", parameter="review"),
    r"review: 48h is not weaker.*2d is what 8.1 asks for": lambda lake: weaken(lake, "48h", parameter="review"),
    "note: expected 1 to": lambda lake: state(lake, note=" "),
    "at most 400 days ahead": lambda lake: state(lake, until=NOON + 401 * DAY),
    "an end in the future": lambda lake: state(lake, until=NOON),
    "evidence nothing.pdf: No such file": lambda lake: state(lake, evidence=["nothing.pdf"]),
    "must be one of JSON": lambda lake: weaken(lake, float("nan")),
    "no entry 7": lambda lake: lake.decisions.retract(7, reason="x"),
    "entry 1 is an acceptance": lambda lake: lake.decisions.retract(1, reason="x"),
    "entry 2 takes another one back": lambda lake: lake.decisions.retract(2, reason="x"),
    "taken back already, by entry 4": lambda lake: lake.decisions.retract(3, reason="x"),
    "reason: expected": lambda lake: lake.decisions.retract(3, reason=""),
    "have 2": lambda lake: lake.findings.review("failed_logins", "security_compliance", note="fine"),
    "got none": lambda lake: lake.findings.review(note="fine"),
}


def state(lake: AuditLake, **other: Any) -> object:
    asked = {"pack": "pci", "control": "9.4.1", "met": True, "note": "seen", "until": NOON + DAY} | other
    return lake.decisions.state(**asked)


def exclude(lake: AuditLake, pack: str = "pci", control: str = "9.4.1") -> object:
    return lake.decisions.not_applicable(pack, control, reason="no", owner="ops", until=NOON + DAY)


def weaken(lake: AuditLake, value: object, pack: str = "pci", parameter: str = "attempts") -> object:
    return lake.decisions.weaken(pack, parameter, value, reason="old", owner="ops", until=NOON + DAY)


def test_what_makes_no_sense_is_told_and_not_written(lake: AuditLake) -> None:
    """One of auditlake's own errors, and no entry."""
    for each in (EVERY[0], replace(EVERY[1], acceptance=1), EVERY[4], replace(EVERY[7], entry=3)):
        append(lake.layout, each)
    before = lake.layout.journal.read_bytes()
    for words, do in WRONG.items():
        with pytest.raises((ReportError, PackError)) as told:
            do(lake)
        assert re.search(words, f"{told.value} {told.value.hint}"), (words, told.value)
    assert lake.layout.journal.read_bytes() == before
    assert state(lake, until=NOON + 400 * DAY)


def test_the_commands(lake: AuditLake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """State, list, take back: as a user types it; a result must be said, and control characters are made visible."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["auditlake", "--lake", str(lake.layout.root), *words])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), "".join(capsys.readouterr())

    about = ("control", "state", "pci", "9.4.1", "--expires", "2027-11-01", "--note", "\x1b[31mseen")
    monkeypatch.setattr("auditlake.lake.AuditLake", partial(auditlake.AuditLake, clock=lambda: NOON))
    assert run(*about)[0] == 2
    code, out = run(*about, "--met", "--by", "eve")
    assert (code, "\x1b" in out, "9.4.1 is met until 2027-11-01 23:59:59Z, as eve states" in out) == (0, False, True)
    words = ("--expires", "2027-11-01", "--reason", "no cards", "--owner", "ops")
    assert "12.1 does not apply" in run("control", "not-applicable", "pci", "12.1", *words)[1]
    code, out = run("control", "not-applicable", "pic", "12.1", *words)
    assert (code, "not judged by a pack 'pic'" in out, "did you mean pci?" in out) == (3, True, True)
    for each in (*EVERY[:4], EVERY[6]):
        append(lake.layout, each)
    assert (
        "entry 2 taken back by root: wrong" in run("decision", "retract", "2", "--reason", "wrong", "--by", "root")[1]
    )
    listed = json.loads(run("decision", "list", "--json")[1])["decisions"]
    assert [each["kind"] for each in listed] == [
        "statement", "applicability", "accept", "reopen", "review", "resolve", "weaken", "retract"
    ]  # fmt: skip
    shown = run("decision", "list")[1]
    for words in ("dealt with by me: reset (T-1)", "p, q, period (", "attempts is weakened to", "8 decisions"):
        assert words in shown
    assert "5 decisions" in run("decision", "list", "--as-of", "2026-11-24")[1]
