"""Checks over records: slots against counting them out, and what each kind finds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.events.durations import Duration
from auditlake.findings.decisions import Acceptance, Decisions, Resolution, Review, Subject
from auditlake.findings.finding import subject_id, subject_of
from auditlake.frameworks.facts import Facts, Look
from auditlake.frameworks.kept import retention_rows
from auditlake.frameworks.model import CheckResult
from auditlake.frameworks.records.catalog import CHECKS
from auditlake.frameworks.records.model import Case
from auditlake.frameworks.records.slots import intervals
from auditlake.packs.model import Control, RecordCheck
from auditlake.policies.deleted_days import Deletion
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.runs.model import FailedRun, Found, Schedule
from tests.frameworks.cases import (
    DAY,
    QUESTION,
    RECEIVED,
    SINCE,
    UNTIL,
    WHO,
    accepted,
    case,
    found,
    length,
    pack,
    policy,
    report,
    run,
    verification,
)  # fmt: skip

MICRO = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
CONTROL = Control("1", "t", "operation", ("S",))
FIRST = SINCE + MICRO
"""The first instant of the period, midnight."""


def judged(check: RecordCheck, made: Case) -> CheckResult:
    return CHECKS[check.kind](check, CONTROL, made)


def with_policies(*names: str, **more: object) -> Case:
    return case(pack(policies=[policy(each) for each in names]), **more)


# Slots

MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
LENGTHS = {"1h": HOUR, "6h": 6 * HOUR, "12h": 12 * HOUR, "1d": DAY, "3d": 3 * DAY, "7d": 7 * DAY}
instants = st.datetimes(datetime(1969, 12, 31, 23, 59, 59, 999_999), datetime(1970, 3, 1)).map(
    lambda each: each.replace(tzinfo=UTC, minute=each.minute // 30 * 30, second=0, microsecond=0)
)
edges = st.tuples(instants, st.sampled_from([-1, 0, 1])).map(lambda each: each[0] + each[1] * MICRO)


@given(every=st.sampled_from([*LENGTHS]), bounds=st.lists(edges, min_size=3, max_size=3, unique=True).map(sorted))
def test_consecutive_reports_judge_each_interval_once(every: str, bounds: list[datetime]) -> None:
    """The intervals of a period are those whose last microsecond lies in it; two periods in a row have each once."""
    unit = LENGTHS[every]
    grid = [MONDAY + n * unit for n in range(-10 * DAY // unit, 100 * DAY // unit)]

    def counted_out(since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
        return [(start, start + unit) for start in grid if since < start + unit - MICRO <= until]

    def given_out(since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
        asked = Duration(every, unit // MICRO)
        return list(intervals(asked, Question(until, since, until)))

    first, middle, last = bounds
    assert given_out(first, last) == counted_out(first, last)
    assert given_out(first, middle) + given_out(middle, last) == given_out(first, last)


# Reviews


def review(number: int, at: datetime, *days: int, names: tuple[str, ...] = ("p--a",), snapshot: int = 1) -> Review:
    """Return a review of some days of the period, the first and the last included."""
    since, until = SINCE + days[0] * DAY, SINCE + (days[-1] + 1) * DAY
    return Review(
        number,
        at,
        names[0],
        until,
        snapshot,
        "compliant",
        "sha256:00",
        "ana",
        "root",
        "seen",
        None,
        since,
        until,
        names,
    )


REVIEW = RecordCheck("review", every=length("1d"), of=("a",), within=length("2d"))


def reviewed(*reviews: Review, check: RecordCheck = REVIEW, facts: Facts = RECEIVED, **more: object) -> CheckResult:
    made = with_policies("a", "b", decisions=Decisions(UNTIL, reviews=reviews), facts=facts)
    return judged(check, replace(made, **more))


def test_each_state_of_a_review_is_told_with_its_stretch() -> None:
    """A day is open until its due, and missed from then on; neighbours that stand alike are one finding."""
    result = reviewed(review(1, FIRST + 12 * DAY, 10), review(2, FIRST + 20 * DAY, 11, 12), review(3, UNTIL, 13, 27))

    states = [slot.state for slot in result.slots]
    assert states == ["missed"] * 10 + ["met"] + ["late"] * 14 + ["late"] * 2 + ["met"] + ["open"] * 2
    assert [(each.kind, each.measures["intervals"]) for each in result.findings] == [
        ("review_missed", 10), ("review_late", 16),
    ]  # fmt: skip
    assert result.findings[0].message == "No review of 10 of the intervals of 1d, from 2026-09-01 to 2026-09-11"
    assert result.status == "fail"
    assert result.reason == "2 of 28 intervals of 1d in time, 16 late, 10 missed"
    assert result.slots[10].entry == 1
    assert (result.slots[12].at, result.slots[12].by) == (FIRST + 20 * DAY, "ana")


def test_a_review_covers_what_its_period_holds_and_every_policy_must_be_covered() -> None:
    """Half a day is not covered by a review of the other half; a pack's review names several policies."""
    both = replace(REVIEW, of=("a", "b"))
    part = replace(review(1, FIRST + DAY, 0), until=SINCE + DAY - MICRO)

    assert reviewed(review(1, FIRST + 3 * DAY, 0)).slots[0].state == "met"
    assert reviewed(review(1, FIRST + 3 * DAY + MICRO, 0)).slots[0].state == "late"
    assert reviewed(part).slots[0].state == "missed"
    assert reviewed(review(1, FIRST + DAY, 0), check=both).slots[0].state == "missed"
    assert reviewed(review(1, FIRST + DAY, 0, names=("p--a", "p--b")), check=both).slots[0].state == "met"
    split = reviewed(review(1, FIRST + DAY, 0), review(2, FIRST + 9 * DAY, 0, names=("p--b",)), check=both)
    assert (split.slots[0].state, split.slots[0].entry) == ("late", 2)
    none = replace(review(1, FIRST + DAY, 0), since=None, until=None)
    assert reviewed(none).slots[0].state == "missed"


def test_a_review_says_what_came_after_it_and_whose_actions_they_were() -> None:
    """Events of the interval from batches after the review's snapshot count; it is shown, and fails nothing."""
    looks = (
        Look(FIRST, "login", 1, 5, frozenset()), Look(FIRST + HOUR, "login", 7, 3, frozenset({"ana"})),
        Look(FIRST + HOUR, "logout", 8, 9, frozenset()), Look(FIRST + DAY, "login", 9, 2, frozenset()),
    )  # fmt: skip
    facts = replace(RECEIVED, looks=looks, batches={4: ((1, 6),)})
    week = Question(FIRST + 4 * DAY, SINCE, SINCE + 2 * DAY)
    result = reviewed(review(1, FIRST + 2 * DAY, 0, 1, snapshot=4), facts=facts, question=week)

    assert [(each.events_since, each.own_actions) for each in result.slots] == [(3, True), (2, False)]
    assert result.status == "pass"


def test_a_person_must_have_looked_where_that_is_asked() -> None:
    """What a program signs in its own name counts for nothing: one that settings name, else one that ran nightly."""
    person = replace(REVIEW, by="person")
    seen, at = review(1, FIRST + DAY, 0), FIRST + DAY
    nightly = replace(run(1, at - HOUR, since=SINCE, until=at), verb="nightly", user="ana")
    failed = FailedRun(1, "0" * 16, at, at - HOUR, "nightly", "0", "ana")

    def state(check: RecordCheck = person, given: Review = seen, **more: object) -> str:
        return reviewed(given, check=check, **more).slots[0].state

    assert [state(), state(runs=(nightly,)), state(runs=(failed,))] == ["met", "missed", "missed"]
    assert state(REVIEW, runs=(nightly,)) == "met", "nobody asked who it was"
    assert state(given=replace(seen, by="bea", system_user="ana"), runs=(nightly,)) == "met", "who says who they are"
    assert state(runs=(replace(nightly, verb="report"),)) == "met"
    assert state(runs=(replace(nightly, at=at),)) == "met", "it ran later"
    assert [state(programs=("ana",)), state(programs=("svc",))] == ["missed", "met"]
    assert state(programs=(), runs=(nightly,)) == "met", "settings say that no account is a program"
    later = replace(review(2, at + HOUR, 0), by="bea")
    made = reviewed(seen, later, check=person, programs=("ana", "svc"))
    assert (made.slots[0].state, made.slots[0].by) == ("met", "bea")
    assert made.reason == "1 of 27 intervals of 1d in time, 26 missed; what ana signed is by no person"
    assert made.findings[0].message.startswith("No review by a person of 26 of the intervals of 1d")


def test_a_period_in_which_nothing_was_due_is_no_pass() -> None:
    """A week within a day: no interval ended, so nothing is known."""
    day = Question(FIRST + DAY - MICRO, SINCE, FIRST + DAY - MICRO)
    result = reviewed(check=replace(REVIEW, every=length("7d")), question=day)

    assert (result.status, result.slots) == ("no_data", ())
    assert reviewed(question=day).slots[0].state == "open"
    assert reviewed(question=day).status == "no_data"


# Evaluations

EVALUATION = RecordCheck("evaluation", every=length("1d"), of=("a",), within=length("6h"))
NIGHTLY = Schedule("nightly", length("1d"), "00:15", ("all",), length("6h"))


def evaluated(*runs: object, schedules: tuple[Schedule, ...] = (NIGHTLY,)) -> CheckResult:
    week = Question(UNTIL, SINCE, SINCE + 7 * DAY)
    return judged(EVALUATION, replace(with_policies("a", runs=runs, schedules=schedules), question=week))


def test_an_evaluation_is_in_time_late_failed_or_missed() -> None:
    """An ok run whose as_of is not before the interval's end and that judged the policy over all of it."""
    day = [SINCE + n * DAY for n in range(8)]
    result = evaluated(
        run(1, day[1] + HOUR, "p--a", since=day[0], until=day[1]),
        run(2, day[2] + 7 * HOUR, "p--a", since=day[1], until=day[2]),
        run(3, day[3] + HOUR, "p--a", since=day[2], until=day[3], status="error"),
        FailedRun(4, "0" * 16, UNTIL, day[4] + 2 * HOUR, "report", "0", "root"),
        run(5, day[5] + HOUR, "p--b", since=day[4], until=day[5]),
        run(6, day[6] + HOUR, "p--a", since=day[5], until=day[6] - MICRO),
        run(7, day[7] + HOUR, "p--a", since=day[6], until=day[7], state="error"),
    )

    states = [slot.state for slot in result.slots]
    assert states == ["met", "late", "failed", "failed", "missed", "missed", "failed"]
    assert [each.kind for each in result.findings] == [
        "evaluation_late", "evaluation_failed", "evaluation_missed", "evaluation_failed",
    ]  # fmt: skip
    again = evaluated(run(1, day[7] + 30 * DAY, "p--a", since=day[0] - 80 * DAY, until=UNTIL))
    assert {slot.state for slot in again.slots} == {"late"}, "a run that makes up for others is late, and not missing"


def test_without_a_schedule_nothing_is_evaluated() -> None:
    """A schedule counts where it evaluates everything, the pack, or each policy of the check."""
    for evaluate, status in ((("p",), "fail"), (("p--a",), "fail"), (("p--b", "q"), "not_evaluated")):
        assert evaluated(schedules=(replace(NIGHTLY, evaluate=evaluate),)).status == status
    assert evaluated(schedules=()).reason == "no schedule is declared"


# Integrity

INTEGRITY = RecordCheck("integrity", every=length("7d"))


def verified(*runs: object, check: RecordCheck = INTEGRITY) -> CheckResult:
    return judged(check, with_policies("a", runs=runs))


def test_an_interval_has_a_verification_that_found_nothing() -> None:
    """It counts where it began, as deep as was asked and by a checkpoint kept elsewhere where that was asked."""
    weekly = [verification(n, FIRST + n * 7 * DAY - DAY) for n in range(5)]
    kept = [replace(each, kept=True) for each in weekly]
    quick = [replace(each, level="quick") for each in weekly]

    assert verified(*weekly).status == "pass"
    assert [slot.state for slot in verified(*weekly[1:3]).slots] == ["missed", "met", "met", "missed"]
    assert verified(*quick).status == "pass"
    assert verified(*quick, check=replace(INTEGRITY, level="full")).status == "fail"
    assert verified(*weekly, check=replace(INTEGRITY, kept=True)).status == "fail"
    assert verified(*kept, check=replace(INTEGRITY, kept=True)).status == "pass"
    assert (verified().status, verified().reason) == ("not_evaluated", "no verification is on record")


def test_what_a_verification_found_stands_until_a_later_one_is_clean() -> None:
    """A clean one counts only where it looked as closely as the one that found something."""
    weekly = [verification(n, FIRST + n * 7 * DAY - DAY) for n in range(5)]
    bad = verification(9, FIRST + 28 * DAY, problems=2)
    quick = verification(10, FIRST + 29 * DAY, level="quick")

    assert [each.kind for each in verified(*weekly, bad).findings if each.kind == "integrity_broken"]
    assert verified(*weekly, bad, quick).status == "fail"
    assert verified(*weekly, bad, verification(10, FIRST + 29 * DAY)).status == "pass"


# Responses

RESPONSE = RecordCheck("response", within=length("7d"), of=("a",))
EPISODE = found("threshold_exceeded", start=FIRST + DAY, end=FIRST + 2 * DAY)


def resolution(at: datetime) -> Resolution:
    subject = Subject("p--a", EPISODE.kind, "", EPISODE.event_type or "")
    return Resolution(1, at, EPISODE.id, subject, EPISODE.start, EPISODE.end, SINCE, UNTIL, "reset", **WHO)


def answered(**more: object) -> CheckResult:
    return judged(RESPONSE, with_policies("a", **{"reports": {"p--a": report("p--a", [EPISODE])}, **more}))


def test_a_finding_is_dealt_with_in_time_late_or_not() -> None:
    """It has so long from when it was known: by the first run that judged its place and found some, else its end."""
    early = run(1, FIRST + DAY + HOUR, "p--a", since=SINCE, until=FIRST + DAY + HOUR, findings=1)
    in_time, late = FIRST + 9 * DAY, FIRST + 9 * DAY + MICRO

    def kinds(**more: object) -> list[str]:
        return [each.kind for each in answered(**more).findings]

    done = Decisions(UNTIL, resolutions=(resolution(in_time),))
    assert kinds() == ["response_missing"]
    assert kinds(decisions=done) == []
    assert kinds(decisions=Decisions(UNTIL, resolutions=(resolution(late),))) == ["response_late"]
    assert kinds(decisions=done, runs=(early,)) == ["response_late"]
    assert kinds(decisions=done, runs=(replace(early, state="error"),)) == []
    assert kinds(decisions=done, runs=(run(1, early.at, "p--a", since=SINCE, until=early.at),)) == []
    gone = accepted("p--a", EPISODE, until=FIRST + 10 * DAY)
    assert kinds(decisions=Decisions(UNTIL, acceptances=(gone,))) == [], "that it has ended since is no late answer"


def test_a_run_that_names_what_it_found_knew_that_and_nothing_else() -> None:
    """The finding is known since that run however the period cut it then; one that names others did not know it."""
    done = Decisions(UNTIL, resolutions=(resolution(FIRST + 9 * DAY),))
    early = run(1, FIRST + DAY + HOUR, "p--a", since=SINCE, until=FIRST + DAY + HOUR, findings=1)
    like_it = subject_id(Subject("p--a", EPISODE.kind, "", EPISODE.event_type or ""))

    def kinds(found: Found, *, name: str = "f") -> list[str]:
        named = replace(early, answers={"p--a": replace(early.answers["p--a"], found={name: found})})
        return [each.kind for each in answered(decisions=done, runs=(named,)).findings]

    assert kinds(Found(like_it, FIRST + DAY)) == ["response_late"]
    assert kinds(Found(like_it, FIRST)) == ["response_late"], "a longer period showed more of it"
    assert kinds(Found(), name=like_it) == ["response_late"], "without a start it stretches over the period"
    assert kinds(Found(like_it, FIRST, FIRST + DAY)) == [], "that one had ended before"
    assert kinds(Found("0" * 16, FIRST + DAY)) == []
    assert answered(decisions=done, runs=(replace(early, answers={}),)).findings == ()


def test_what_is_not_due_yet_and_what_could_not_be_judged() -> None:
    """A finding at the period's end has time; a policy that could not be judged may hide some."""
    fresh = found("threshold_exceeded", start=UNTIL - DAY)

    assert answered(reports={"p--a": report("p--a", [fresh])}).status == "pass"
    assert answered(reports={"p--a": report("p--a", error="broken")}).status == "not_evaluated"
    both = with_policies("a", "b", reports={"p--a": report("p--a", [EPISODE]), "p--b": report("p--b", error="broken")})
    check = replace(RESPONSE, of=("a", "b"))
    assert judged(check, both).status == "fail"
    known = accepted("p/1", judged(check, both).findings[0])
    known = replace(known, subject=subject_of("p/1", judged(check, both).findings[0]))
    assert judged(check, replace(both, decisions=Decisions(UNTIL, acceptances=(known,)))).status == "not_evaluated"
    assert answered(reports={"p--a": report("p--a")}, facts=replace(RECEIVED, received=False)).status == "no_data"


# Arrival and clock


def test_enough_events_arrive_in_time_and_history_is_left_out() -> None:
    """The share is exact, and each late source is named."""
    check = RecordCheck("arrival", within=length("24h"), share=Decimal("0.99"))
    day = DAY // MICRO

    def arrived(late: int, *, events: int = 100, history: int = 50) -> CheckResult:
        facts = replace(
            RECEIVED, arrived={"sshd": events, "old": history}, history={1: {"sshd": 1}, day: {"old": history}},
            late={day: {"sshd": late}},
        )  # fmt: skip
        return judged(check, with_policies("a", facts=facts))

    assert arrived(1).status == "pass"
    assert arrived(2).status == "fail"
    assert [(each.kind, each.group, each.measures["late"]) for each in arrived(2).findings] == [
        ("arrival_late", {"source": "sshd"}, 2)
    ]
    assert arrived(1).reason == "99 of 100 events arrived within 24h; 50 came as history and are left out"
    assert arrived(0, events=0).status == "no_data"
    assert arrived(0, events=0, history=0).status == "no_data"


def test_no_event_is_dated_far_ahead_of_its_arrival() -> None:
    """One such event is a finding of its source."""
    check = RecordCheck("clock", ahead=length("2min"))
    facts = replace(RECEIVED, arrived={"sshd": 9}, ahead={120_000_000: {"sshd": 1}})

    assert judged(check, with_policies("a", facts=facts)).findings[0].kind == "clock_ahead"
    assert judged(check, with_policies("a", facts=replace(facts, ahead={120_000_000: {}}))).status == "pass"
    assert judged(check, with_policies("a")).status == "no_data"


# Retention


def kept(check: RecordCheck, *, keep: str = "90d", **facts: object) -> CheckResult:
    made = pack(policies=[policy("a", retention_period=length(keep))])
    return judged(check, case(made, facts=replace(RECEIVED, **facts)))


def test_events_are_kept_long_enough_and_were_not_taken_early() -> None:
    """The rules, the certificates, and the beginning of the lake; only the last is no data."""
    check = RecordCheck("retention", min=length("90d"))
    began = UNTIL - 90 * DAY
    old = {UNTIL.date() - 91 * DAY: 3}
    young = {UNTIL.date() - 90 * DAY: 3}

    assert kept(check, first_event=began).status == "pass"
    assert kept(check, first_event=began + MICRO).status == "no_data"
    assert kept(check, first_event=FIRST).reason == "the lake begins on 2026-09-01, so 30 of 90 days can be shown"
    assert kept(check, first_event=None).status == "no_data"
    assert kept(check, keep="89d").findings[0].kind == "kept_too_short"

    def taken(days: dict, *types: str, kept_types: frozenset | None = None, **more: object) -> str:
        return kept(check, deletions=(Deletion(days, frozenset(types), kept_types, at=UNTIL, **more),)).status

    assert taken(old, "login") == "pass"
    assert taken(young, "login") == "fail"
    assert taken(young, "logout") == "pass"
    assert taken(young, kept_types=frozenset({"login"})) == "pass"
    assert taken(young, kept_types=frozenset()) == "fail"
    assert taken(young, "login", "logout", lengths={"login": 90 * DAY // MICRO, "logout": 1}) == "pass", "others went"
    assert taken(young, "login", lengths={"login": 89 * DAY // MICRO}) == "fail"
    assert taken(young, "login", lost={"logout": (UNTIL.date(), UNTIL.date())}) == "pass"
    gone = Deletion(old, frozenset({"login"}), at=UNTIL)
    assert kept(check, first_event=began + MICRO, deletions=(gone,)).status == "pass", "it began before"
    assert kept(check, first_event=FIRST, keep="89d").status == "fail", "a failure goes before the beginning"


def test_old_events_name_nobody() -> None:
    """Events older than the limit with a name are a finding for their type."""
    check = RecordCheck("retention", max=length("30d"))

    assert kept(check).status == "pass"
    assert kept(check, named={30 * DAY // MICRO: {"login": 2, "logout": 5}}).findings[0].message == (
        "2 events of login are older than 30d and name somebody"
    )


def ending(keep: Policy, *accepting: Acceptance, limit: str = "30d", **more: object) -> CheckResult:
    """What is said where sign-ins must be gone, and sign-outs, and another policy keeps the sign-ins."""
    own = policy("a", "login", "logout", max_event_retention=length(limit), basis="mandatory", clause="Rule 1")
    made = case(pack(policies=[replace(own, **more)]), decisions=Decisions(UNTIL, acceptances=accepting),
                facts=replace(RECEIVED, older={30 * DAY // MICRO: {"login": 7, "logout": 5}}))  # fmt: skip
    check = RecordCheck("retention", max=length("30d"), max_of="event")
    return judged(check, replace(made, policies=[*made.policies, keep]))


def test_events_that_must_be_gone() -> None:
    """Old events that nothing keeps are found; where both lengths bind, so is what keeps others, until accepted."""
    longer = policy("k", pack="q", retention_period=length("1y"), basis="by_risk")
    logout = "5 events of logout are older than 30d"

    both = ending(longer)
    assert [each.kind for each in both.findings] == ["retention_contradiction", "kept_too_long"]
    assert (both.status, both.findings[1].message) == ("fail", logout)
    assert both.asked == {"max": "30d", "max_of": "event"}
    for less in ({"keep": replace(longer, basis="default")}, {"keep": longer, "basis": "customary"}):
        assert [each.message for each in ending(**less).findings] == [logout]
    equal = ending(replace(longer, retention_period=length("30d")))
    assert [each.kind for each in equal.findings] == ["kept_too_long", "kept_too_long"]
    opposed = both.findings[0]
    assert opposed.message.startswith("login must be gone after 30d (Rule 1, mandatory), and q--k keeps it for 1y")
    shown = replace(opposed, id=str(opposed.measures["finding"]))
    for subject in ("p--a", "p/1"):
        taken = replace(accepted(subject, shown), subject=subject_of(subject, shown))
        assert ending(longer, taken).findings[0].accepted == taken


def test_lengths_that_do_not_bind_are_said_beside_a_pass() -> None:
    """What is only customary fails nothing, and is no secret."""
    own = policy("a", max_event_retention=length("30d"), basis="customary")
    longer = policy("k", pack="q", retention_period=length("1y"))
    check = RecordCheck("retention", max=length("30d"), max_of="event")
    result = judged(check, case(pack(policies=[own]), policies=[own, longer]))
    assert (result.status, "q--k keeps it for 1y" in result.reason) == ("pass", True)
    (row,) = retention_rows(["login"], case(pack(policies=[own]), policies=[own, longer]))
    assert (row.gone and row.gone.basis, row.conflict) == ("customary", False)
    assert row.contradiction is not None
    assert retention_rows(["login"], case(pack(policies=[own])))[0].contradiction is None


# What people accept


def test_an_accepted_finding_of_records_is_an_exception_under_its_earlier_id_too() -> None:
    """A finding of a check is accepted as that of the control, be it renamed since."""
    control = replace(CONTROL, was="old")
    made = with_policies("a", decisions=Decisions(UNTIL))
    week = Question(FIRST + 4 * DAY, SINCE, SINCE + DAY)
    missed = CHECKS["review"](REVIEW, control, replace(made, question=week)).findings[0]
    for subject in ("p/1", "p/old"):
        taken = replace(accepted(subject, missed), period_until=week.until)
        result = CHECKS["review"](
            REVIEW, control, replace(made, question=week, decisions=Decisions(UNTIL, acceptances=(taken,)))
        )
        assert result.status == "exception"
        assert result.findings[0].accepted == taken


@pytest.mark.parametrize("kind", [*CHECKS])
def test_every_kind_is_judged_on_a_lake_without_anything(kind: str) -> None:
    """No events, no records, no decisions: no kind passes by that."""
    check = RecordCheck(
        kind,
        every=length("1d"),
        of=("a",),
        within=length("1d"),
        ahead=length("1h"),
        min=length("30d"),  # type: ignore[arg-type]
    )
    made = case(pack(policies=[policy("a", retention_period=length("30d"))]), facts=Facts(), question=QUESTION)

    assert judged(check, made).status in ("fail", "not_evaluated", "no_data")
    assert date(2026, 9, 1) == FIRST.date()
