"""Dealing with findings: who answers for one until when, and who looked at a report."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

import auditlake
from auditlake import AuditEvent, AuditLake, AuditLakeError
from auditlake.errors import LakeFormatError, ReportError
from auditlake.findings.decisions import Review
from auditlake.findings.journal import append, concerning, read
from auditlake.reports.document import check_report
from auditlake.reports.sections.evidence import _journal
from auditlake.testing import Clock
from tests.lakes import create
from tests.templates import copy_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = """\
name: Watched
description: What is watched.
required_events: [login, logout]
retention_period: 90d
alert_threshold: 2
window: 1h
group_by: [user_id]
"""


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


def four_findings(folder: Path) -> None:
    """Make a lake with two bursts of ann on different days, one of ben, and no logout."""
    lake = create(folder / "lake", clock=lambda: NOON)
    for name in ("authentication_monitoring", "data_access_tracking", "security_compliance"):
        lake.policies.remove(name)
    (folder / "watched.yaml").write_text(POLICY)
    lake.policies.add(folder / "watched.yaml")
    burst(lake, "ann", NOON - 9 * DAY)
    burst(lake, "ann", NOON - 5 * DAY)
    burst(lake, "ben", NOON - 7 * DAY)


@pytest.fixture
def lake(tmp_path: Path, clock: Clock) -> AuditLake:
    """A lake with four findings."""
    return auditlake.open(copy_of(four_findings, tmp_path) / "lake", clock=clock)


def burst(lake: AuditLake, user: str, at: datetime) -> None:
    lake.ingest([AuditEvent("login", at + timedelta(seconds=i), user_id=user) for i in range(3)])


def found(lake: AuditLake, user: str | None, **options: object) -> list[tuple[str, str]]:
    """The ids and states of a user's episodes, or of the missing type, in order."""
    return [
        (each.finding.id, each.state)
        for each in lake.findings.list("watched", **options)
        if (each.finding.group or {}).get("user_id") == user
    ]


def accept(lake: AuditLake, finding_id: str, days: int = 30, **options: object) -> None:
    until = NOON + days * DAY
    lake.findings.accept(finding_id, reason="known", owner="ops", until=until, by="me", **options)


def states(lake: AuditLake, user: str | None, **options: object) -> list[str]:
    return [state for _, state in found(lake, user, **options)]


def test_an_acceptance_covers_what_is_like_it_and_later(lake: AuditLake) -> None:
    """The finding and later ones of its group are accepted; earlier ones and those of other groups stay open."""
    first, second = (number for number, _ in found(lake, "ann"))
    accept(lake, second)
    assert states(lake, "ann") == ["open", "accepted"]
    assert states(lake, "ben") == ["open"]
    assert states(lake, None) == ["open"]

    accept(lake, first)
    burst(lake, "ann", NOON - 2 * DAY)
    assert states(lake, "ann") == ["accepted", "accepted", "accepted"]


def test_the_status_counts_what_is_open(lake: AuditLake) -> None:
    """A report is a violation until every finding is accepted, and shows each all the same."""
    ids = [each.finding.id for each in lake.findings.list("watched")]
    for number in ids[:3]:  # the last, ann's second, is covered by her first
        assert lake.report("watched").status == "violation"
        accept(lake, number)
    made = lake.report("watched")

    assert made.status == "compliant"
    assert [each["accepted"]["owner"] for each in json.loads(made.json())["violations"]] == ["ops"] * 4
    assert b"Every finding has been accepted" in made.html()


def test_it_is_open_again_when_the_acceptance_ends(lake: AuditLake, clock: Clock) -> None:
    """As of an instant after its end an acceptance covers nothing, and up to its end it does."""
    accept(lake, found(lake, "ben")[0][0], days=3)
    clock.now = NOON + 3 * DAY
    assert states(lake, "ben") == ["accepted"]
    clock.now += timedelta(microseconds=1)
    assert states(lake, "ben") == ["open"]
    assert states(lake, "ben", as_of=NOON) == ["accepted"]


def test_reopening_takes_an_acceptance_back(lake: AuditLake) -> None:
    """What was accepted is open again, the reason is kept, and there is nothing more to take back."""
    number = found(lake, "ben")[0][0]
    accept(lake, number)
    lake.findings.reopen(number, reason="not so known", by="me")
    assert states(lake, "ben") == ["open"]
    with pytest.raises(ReportError, match="is open"):
        lake.findings.reopen(number, reason="again")
    accept(lake, number)

    listed, entries = lake.findings.show(number)
    assert listed.state == "accepted"
    assert [type(each).__name__ for each in entries] == ["Acceptance", "Reopening", "Acceptance"]


def test_an_expired_acceptance_is_not_taken_back(lake: AuditLake, clock: Clock) -> None:
    """The finding is open again by itself, which is said, and nothing is written down."""
    number = found(lake, "ben")[0][0]
    accept(lake, number, days=3)
    clock.now = NOON + 3 * DAY + timedelta(microseconds=1)
    with pytest.raises(ReportError, match=f"{number} is open again: its acceptance ended on 2026-11-27T12:00") as told:
        lake.findings.reopen(number[:12], reason="late")
    assert told.value.hint == "nothing is left to take back"
    assert len(read(lake.layout)) == 1


def test_a_missing_type_can_be_accepted(lake: AuditLake, clock: Clock) -> None:
    """A finding without a time is covered until the acceptance ends."""
    accept(lake, found(lake, None)[0][0])
    assert states(lake, None) == ["accepted"]
    clock.now += 31 * DAY
    assert states(lake, None) == ["open"]


def test_an_acceptance_covers_nothing_earlier(lake: AuditLake) -> None:
    """Neither a type that was missing before, nor what ran on at the end of an earlier period, is accepted with it."""
    accept(lake, found(lake, None)[0][0])
    earlier = NOON - 7 * DAY
    assert states(lake, None, as_of=earlier) == ["open"]
    assert states(lake, None, until=earlier) == ["open"]
    assert states(lake, None, since=earlier) == ["accepted"]

    accept(lake, found(lake, "ann")[1][0])
    running = {"as_of": NOON - 9 * DAY + timedelta(minutes=1)}
    assert states(lake, "ann", **running) == ["open"]
    accept(lake, found(lake, "ann", **running)[0][0], **running)
    assert states(lake, "ann") == ["accepted", "accepted"]


def test_a_longer_period_shows_the_same_stretch_as_accepted(lake: AuditLake) -> None:
    """An episode that was accepted where a period cut it is accepted where the period does not."""
    middle = NOON - 7 * DAY + timedelta(seconds=2)
    cut = found(lake, "ben", since=middle)[0][0]
    assert cut != found(lake, "ben")[0][0]
    accept(lake, cut, since=middle)
    assert states(lake, "ben") == ["accepted"]


def test_a_review_is_told_by_later_reports(lake: AuditLake) -> None:
    """Reports say who last looked at the policy, and what the report said then; those of other policies do not."""
    before = lake.report("watched").json()
    review, (made,) = lake.findings.review("watched", note="looked at ann", by="eve")
    said = json.loads(lake.report("watched").json())["evidence"]["journal"]

    assert made.json() == before
    assert review.report.startswith("sha256:")
    assert {key: said["reviews"][-1][key] for key in ("by", "note", "status")} == {
        "by": "eve", "note": "looked at ann", "status": "violation"
    }  # fmt: skip
    assert "journal" not in json.loads(lake.report("failed_logins").json())["evidence"]
    assert b"looked at ann" in lake.report("watched").html()


def test_a_review_is_of_one_period(lake: AuditLake) -> None:
    """A report shows the reviews of its own period and policy, and no other; all of them are listed."""
    october, november = {"period": "2026-10"}, {"since": "2026-11-01", "until": "2026-11-23"}
    lake.findings.review("watched", note="seen october", by="eve", **october)
    lake.findings.review("watched", note="seen november", by="eve", **november)
    pages = {name: lake.report("watched", **period) for name, period in
             {"october": october, "november": november, "usual": {}}.items()}  # fmt: skip

    shown = {name: [each.note for each in made.report.evidence.journal.reviews] for name, made in pages.items()}
    assert shown == {"october": ["seen october"], "november": ["seen november"], "usual": []}
    assert [b"seen october" in made.html() for made in pages.values()] == [True, False, False]
    assert [b"seen november" in made.html() for made in pages.values()] == [False, True, False]
    said = json.loads(pages["usual"].json())["evidence"]["journal"]
    assert said.get("last_review", said.get("reviews")) in (None, [])

    first, second = lake.findings.reviews("watched")
    assert lake.findings.reviews("failed_logins") == ()
    assert (first.policies, first.pack, second.policies) == (("watched",), None, ("watched",))
    assert (second.since, second.until) == (
        datetime(2026, 10, 31, 23, 59, 59, 999999, UTC), datetime(2026, 11, 23, 23, 59, 59, 999999, UTC)
    )  # fmt: skip
    made = lake.report("watched", **october, entries=0)
    assert first.report == "sha256:" + hashlib.sha256(made.json()).hexdigest()


def test_a_review_without_a_period_covers_nothing(lake: AuditLake) -> None:
    """An entry of before reviews had a period is read and listed under its old digest, and no page shows it."""
    lake.findings.review("watched", note="of now", by="eve")
    said = json.loads(lake.layout.journal.read_text())
    for name in ("since", "until", "policies", "pack"):
        del said[name]
    old = json.dumps({**said, "note": "of before"}, sort_keys=True, separators=(",", ":")).encode()
    lake.layout.journal.write_bytes(old + b"\n")

    (line,) = read(lake.layout)
    assert line.digest == "sha256:" + hashlib.sha256(bytes(32) + old).hexdigest()
    assert [(each.note, each.since) for each in lake.findings.reviews()] == [("of before", None)]
    assert b"of before" not in lake.report("watched").html()
    lake.layout.journal.write_bytes(json.dumps({**said, "since": said["as_of"]}).encode() + b"\n")
    with pytest.raises(LakeFormatError, match="expected an entry"):
        lake.findings.reviews()


def test_the_second_form_of_a_report_has_every_review_of_its_period(lake: AuditLake) -> None:
    """It says of each who signed which report when, as the schema has it."""
    review, _ = lake.findings.review("watched", note="looked", by="eve", ticket="T-1")
    said = json.loads(lake.report("watched").json())
    journal = _journal(lake.report("watched").report.evidence.journal, 2)
    assert journal["reviews"] == [{
        "at": "2026-11-24T12:00:00.000000Z", "by": "eve", "note": "looked", "status": "violation",
        "as_of": "2026-11-24T12:00:00.000000Z", "number": 1, "ticket": "T-1", "report": review.report, "pack": None,
    }]  # fmt: skip
    check_report({**said, "evidence": {**said["evidence"], "journal": journal}})


@pytest.mark.parametrize("seen", ["listed", "kept", "accepted", "elsewhere"])
def test_a_finding_is_found_in_the_period_that_showed_it(lake: AuditLake, clock: Clock, seen: str) -> None:
    """An id, or its beginning, is enough where it was listed, kept or accepted, whatever cut it."""
    cut = {"as_of": NOON - 6 * DAY, "since": NOON - 7 * DAY + timedelta(seconds=2)}
    number = found(lake, "ben", **cut)[0][0]
    if seen != "listed":
        (lake.layout.journal.parent / "listed.json").unlink()
    if seen == "kept":
        lake.report("watched", **cut).write(lake.layout.reports)
    if seen == "accepted":
        accept(lake, number, **cut)
    if seen == "elsewhere":  # it was seen in no period that began in it
        number = found(lake, "ben")[0][0]
        clock.now += 200 * DAY  # which is no part of the usual period any more
        (lake.layout.journal.parent / "listed.json").unlink()

    shown, entries = lake.findings.show(number[:12])
    assert (shown.finding.id, len(entries)) == (number, seen == "accepted")
    if seen == "accepted":
        assert lake.findings.reopen(number[:12], reason="no").finding_id == number
    taken = lake.findings.accept(number[:12], reason="known", owner="ops", expires="2028-01-31")
    assert taken.finding_id == number
    assert taken.until == datetime(2028, 1, 31, 23, 59, 59, 999999, UTC)
    if seen in ("listed", "kept"):
        assert (taken.as_of, taken.start) == (cut["as_of"], cut["since"])


def test_what_expired_is_accepted_again(lake: AuditLake, clock: Clock) -> None:
    """An acceptance that stood where a finding was listed, and has ended, keeps nobody from giving another one."""
    number = found(lake, "ben")[0][0]
    accept(lake, number, days=3)
    with pytest.raises(ReportError, match="accepted already"):
        accept(lake, number, days=9)
    clock.now += 4 * DAY
    accept(lake, number, days=9)
    assert states(lake, "ben") == ["accepted"]


def test_what_begins_several_ids_names_them(lake: AuditLake) -> None:
    """A beginning that is no id's alone is refused with those that it may be; so is what is no id."""
    at = NOON - 3 * DAY
    lake.ingest(
        [AuditEvent("login", at, user_id=f"u{user}", event_id=f"{user}-{n}") for user in range(16) for n in "ab"]
    )
    ids = sorted(each.finding.id for each in lake.findings.list())
    first = next(each[0] for each, other in pairwise(ids) if each[0] == other[0])
    with pytest.raises(ReportError) as refused:
        lake.findings.show(first)
    assert all(each in str(refused.value) for each in ids if each.startswith(first))
    for nothing in ("", "no id", "0" * 16):
        with pytest.raises(ReportError, match=r"no policy and no check of a control finds|expected a finding's id"):
            lake.findings.accept(nothing, reason="r", owner="o", expires=NOON + DAY)
    with pytest.raises(ReportError, match="one end"):
        lake.findings.accept(ids[0], reason="r", owner="o")


def test_where_was_looked_is_remembered_without_an_id(lake: AuditLake) -> None:
    """What a lake remembers of a listing names no finding and nobody; if damaged, it is none."""
    ids = [each.finding.id for each in lake.findings.list()]
    file = lake.layout.journal.with_name("listed.json")
    assert not any(each in file.read_text() for each in [*ids, "ann"])
    for damaged in (b"[[{}]]", b"{", b"[7]"):
        file.write_bytes(damaged)
        assert lake.findings.show(ids[0])[0].finding.id == ids[0]


def test_reports_before_and_after_a_decision_have_names_of_their_own(lake: AuditLake, tmp_path: Path) -> None:
    """Both can lie in one folder."""
    lake.report("watched").write(tmp_path / "reports")
    accept(lake, found(lake, "ben")[0][0])
    lake.report("watched").write(tmp_path / "reports")
    assert len(list((tmp_path / "reports").glob("*.json"))) == 2


WRONG: dict[str, Callable[[AuditLake, str], object]] = {
    "unknown": lambda lake, _: accept(lake, "0" * 16),
    "in the past": lambda lake, number: accept(lake, number, days=-1),
    "no reason": lambda lake, number: lake.findings.accept(number, reason=" ", owner="ops", until=NOON + DAY),
    "no owner": lambda lake, number: lake.findings.accept(number, reason="known", owner="", until=NOON + DAY),
    "no note": lambda lake, _: lake.findings.review("watched", note=""),
    "too long": lambda lake, _: lake.findings.review("watched", note="x" * 5000),
    "not accepted": lambda lake, number: lake.findings.reopen(number, reason="why not"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_is_told_and_not_written(lake: AuditLake, name: str) -> None:
    """One of auditlake's own errors, and no entry."""
    number = found(lake, "ben")[0][0]
    with pytest.raises(AuditLakeError):
        WRONG[name](lake, number)
    assert read(lake.layout) == ()


def test_accepting_twice_is_told(lake: AuditLake) -> None:
    """Who accepts what is accepted is told until when it is."""
    number = found(lake, "ben")[0][0]
    accept(lake, number)
    with pytest.raises(ReportError, match="accepted already"):
        accept(lake, number)


def test_of_two_who_accept_at_once_one_does(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has looked before another wrote finds out when writing, and one reopening opens the finding again."""
    number = found(lake, "ben")[0][0]
    seen = lake.findings._find(number)
    accept(lake, number)
    monkeypatch.setattr("auditlake.facets.findings.FindingRegister._find", lambda *_, **__: seen)
    with pytest.raises(ReportError, match="accepted already"):
        accept(lake, number)
    monkeypatch.undo()
    lake.findings.reopen(number, reason="not so known")
    assert states(lake, "ben") == ["open"]


def test_reopening_what_another_acceptance_covers_names_it(lake: AuditLake) -> None:
    """Whoever opens a finding again on which none was given learns which acceptance covers it, and what to do."""
    first, second = (number for number, _ in found(lake, "ann"))
    accept(lake, first)
    with pytest.raises(ReportError, match=f"entry 1 of the journal, given on finding {first}") as told:
        lake.findings.reopen(second, reason="not so known")
    assert f"auditlake finding reopen {first}" in told.value.hint
    lake.findings.reopen(first, reason="not so known")
    assert states(lake, "ann") == ["open", "open"]


def test_the_system_says_who_it_was(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside who somebody says to be stands the user of the process, whatever the environment says."""
    monkeypatch.setenv("LOGNAME", "mallory")
    monkeypatch.setenv("USER", "mallory")
    user = pwd.getpwuid(os.getuid()).pw_name
    number = found(lake, "ben")[0][0]
    accept(lake, number)
    lake.findings.reopen(number, reason="not so known")
    lake.findings.review("watched", note="looked", by="eve")
    said = [(line.entry.by, line.entry.system_user) for line in read(lake.layout)]
    assert said == [("me", user), (user, user), ("eve", user)]


# The journal


def review(number: int) -> Review:
    return Review(
        0, NOON, f"p{number % 3}", NOON, 1, "compliant", "sha256:00", "me", "root", f"note {number} \u2028 \ud800"
    )


def test_many_write_at_once(lake: AuditLake) -> None:
    """Every entry is there once, with numbers from 1."""
    with ThreadPoolExecutor(8) as pool:
        lines = list(pool.map(lambda number: append(lake.layout, review(number)), range(40)))
    there = read(lake.layout)
    assert [line.entry.number for line in there] == list(range(1, 41))
    assert sorted(there, key=lambda line: line.entry.number) == sorted(lines, key=lambda line: line.entry.number)


def test_a_line_that_was_not_finished_is_not_there(lake: AuditLake) -> None:
    """A writer that died left a piece of a line: nobody reads it, and the next entry takes its place."""
    first = append(lake.layout, review(1))
    whole = lake.layout.journal.read_bytes()
    for size in range(1, len(whole)):
        lake.layout.journal.write_bytes(whole + whole[:size])
        if size < len(whole):
            assert read(lake.layout) == (first,)
    append(lake.layout, review(2))
    assert [line.entry.number for line in read(lake.layout)] == [1, 2]


def test_every_change_to_an_entry_changes_the_digest_or_is_told(lake: AuditLake) -> None:
    """No byte of the journal can be changed unseen by whoever has the digest of a later entry."""
    for number in range(3):
        append(lake.layout, review(number))
    whole = lake.layout.journal.read_bytes()
    digest = read(lake.layout)[-1].digest
    for place in range(len(whole)):
        lake.layout.journal.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            lines = read(lake.layout)
        except LakeFormatError:
            continue
        assert not lines or len(lines) < 3 or lines[-1].digest != digest


def test_missing_entries_are_told(lake: AuditLake) -> None:
    """A journal that is shorter than a report says is refused."""
    append(lake.layout, review(1))
    assert concerning(read(lake.layout), "p1", entries=1).entries == 1
    with pytest.raises(LakeFormatError, match="1 entries, expected 2"):
        concerning(read(lake.layout), "p1", entries=2)


def test_a_refused_write_leaves_nothing(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk refuses an entry the journal is as before, and the next entry has its number."""
    append(lake.layout, review(1))

    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", refuse)
        with pytest.raises(AuditLakeError, match="cannot be written"):
            append(lake.layout, review(2))
    assert len(read(lake.layout)) == 1
    assert append(lake.layout, review(3)).entry.number == 2


def test_the_ledger_vouches_for_the_journal(lake: AuditLake) -> None:
    """Verification passes after every decision, and finds one that was changed or taken away."""
    number = found(lake, "ben")[0][0]
    accept(lake, number)
    lake.findings.reopen(number, reason="not so known", by="me")
    lake.findings.review("watched", note="looked", by="me")
    assert lake.ledger.verify().ok
    whole = lake.layout.journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    for changed in (whole.replace(b"known", b"happy"), b"".join(lines[:-1]), b"".join(reversed(lines)), b""):
        lake.layout.journal.write_bytes(changed)
        problems = lake.ledger.verify().problems
        assert {problem.where for problem in problems} == {"findings/journal.jsonl"}
    lake.layout.journal.unlink()
    assert not lake.ledger.verify(full=False).ok


def test_a_decision_that_the_ledger_missed_is_covered_by_the_next(
    lake: AuditLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that dies before the ledger knows of its entry is named in a notice until somebody decides again."""
    first, second = (number for number, _ in found(lake, "ann"))
    accept(lake, second)
    with monkeypatch.context() as patched:
        patched.setattr("auditlake.facets.decisions.record_journal", lambda *_, **__: None)
        accept(lake, first)
    report = lake.ledger.verify()
    assert report.ok
    assert "not recorded yet" in str(report.notices)
    lake.findings.review("watched", note="looked", by="me")
    assert "not recorded yet" not in str(lake.ledger.verify().notices)
