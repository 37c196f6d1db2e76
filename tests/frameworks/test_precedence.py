"""How a control stands: one precedence, a case for each pair of statuses, and a plain reading of the rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.findings.decisions import Applicability, Decisions, Entry, Retraction, Statement, Weakening
from auditlake.findings.finding import Finding, subject_of
from auditlake.findings.journal import Line, decisions_as_of
from auditlake.frameworks.controls import judged_controls
from auditlake.frameworks.facts import Facts
from auditlake.frameworks.judge import judge
from auditlake.frameworks.model import STATUSES, ControlResult, Evidence, Extent, FrameworkReport
from auditlake.frameworks.records.model import Case
from auditlake.packs.model import Control, OnlyIf, Parameter, PolicyCheck, RecordCheck, State, qualified
from auditlake.runs.model import Schedule
from tests.frameworks.cases import (
    DAY,
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
)  # fmt: skip

EVIDENCE = Evidence(
    "lake", 1, 1, 1, "sha256:00", "sha256:00", None, None, Extent(0, ""), Extent(0, ""), Extent(0, ""), (), None, ()
)
ORDER = ("fail", "not_evaluated", "no_data", "exception", "pass", "not_applicable")
"""What goes before what, as the documentation has it: said here once more, so that a wrong order shows."""
GAP, MISSING = "coverage_gap", "missing_required_type"
NOTHING = replace(RECEIVED, received=False)


def control(control_id: str, *policies: str, **more: object) -> Control:
    checks = tuple(PolicyCheck(each) for each in policies)
    return Control(**{"id": control_id, "title": "t", "shows": "logging", "cites": ("S",), "policies": checks, **more})


def judged(made: Case) -> FrameworkReport:
    return judge(made, evidence=EVIDENCE)


def stands(made: Case, control_id: str) -> tuple[str, tuple[str, ...]]:
    result = judged(made).control(control_id)
    return result.status, result.reasons


# A check of each status. no_data holds for a lake as a whole, so the retention check gives it beside a pass.
STATES = {"fail": "failing", "not_evaluated": "broken", "no_data": "", "exception": "excused", "pass": "fine"}
REPORTS = {
    qualified("p", "failing"): report("p--failing", [found(GAP, start=SINCE + DAY)]),
    qualified("p", "broken"): report("p--broken", error="no such column"),
    qualified("p", "excused"): report("p--excused", [found(MISSING)]),
    qualified("p", "fine"): report("p--fine"),
}
DECISIONS = Decisions(UNTIL, acceptances=(accepted("p--excused", found(MISSING)),))
YOUNG = replace(RECEIVED, first_event=SINCE)
KEEP = RecordCheck("retention", min=length("90d"))


def with_checks(*statuses: str) -> Case:
    names = [STATES[each] for each in statuses if STATES[each]]
    records = (KEEP,) if "no_data" in statuses else ()
    of = pack(
        control("1", *names, records=records),
        policies=[policy(each, retention_period=length("90d")) for each in STATES.values() if each],
    )
    return case(of, reports=REPORTS, decisions=DECISIONS, facts=YOUNG)


def test_of_two_checks_the_worse_decides() -> None:
    """Fail goes before not evaluated, that before no data, that before an exception, and a pass is what is left."""
    assert STATUSES == ORDER
    for first, second in combinations(ORDER[:5], 2):
        assert stands(with_checks(first), "1")[0] == first
        assert stands(with_checks(second), "1")[0] == second
        assert stands(with_checks(second, first), "1") == stands(with_checks(first), "1"), (first, second)


def test_of_two_parts_the_worse_decides_and_one_that_does_not_apply_is_none() -> None:
    """A control with parts has the worst status of those that apply."""
    names = {each: STATES[each] for each in STATES if STATES[each]}
    policies = [policy(each, retention_period=length("90d")) for each in names.values()]
    for first, second in combinations(ORDER, 2):
        parts = [
            control(each, *([names[each]] if each in names else []), records=(KEEP,) if each == "no_data" else (),
                    ended=date(2026, 1, 1) if each == "not_applicable" else None)
            for each in (first, second)
        ]  # fmt: skip
        of = pack(control("whole", all_of=(second, first)), *parts, policies=policies)

        made = judged(case(of, reports=REPORTS, decisions=DECISIONS, facts=YOUNG))

        assert {each.id: each.status for each in made.controls} == {first: first, second: second, "whole": first}
        assert all(reason.startswith(f"{first}: ") for reason in made.control("whole").reasons)
        assert made.status == first, "and so has the framework"


def test_a_check_of_its_own_counts_beside_parts() -> None:
    """A policy of the lake's own that names a control with parts is one more of what decides, and enough by itself."""
    gone = control("gone", "fine", ended=date(2026, 1, 1))
    for own, parts, expected in (
        ("failing", ("good",), "fail"), ("fine", ("good",), "pass"), ("failing", ("gone",), "fail"),
        ("fine", ("gone",), "pass"), (None, ("gone",), "not_applicable"),
    ):  # fmt: skip
        ours = () if own is None else (replace(policy(own), controls={"Rules": ("whole",)}, id=f"p--{own}"),)
        of = pack(control("whole", all_of=parts), control("good", "fine"), gone, policies=[policy("fine")])
        made = case(of, reports=REPORTS, policies=(*of.policies.values(), *ours))

        assert stands(made, "whole")[0] == expected, (own, parts)


def test_the_order_within_a_check_over_records() -> None:
    """What is open goes before what could not be judged, that before an empty lake, and that before acceptances."""
    types = {"net": ("network_traffic",)}
    policies = [policy("a", "login", "logout"), policy("net", "network_traffic")]
    retained = RecordCheck("retention", min=length("30d"))
    answer = RecordCheck("response", within=length("1d"), of=("failing", "net"))
    over = {"p--failing": report("p--failing", [found(GAP, start=SINCE + DAY, end=SINCE + 2 * DAY)])}

    def made(check: RecordCheck, *taken: Finding, facts: Facts = RECEIVED) -> ControlResult:
        of = pack(control("1", records=(check,)), policies=[*policies, policy("failing")], unready=types)
        subjects = [replace(accepted("p/1", each), subject=subject_of("p/1", each)) for each in taken]
        decisions = Decisions(UNTIL, acceptances=tuple(subjects))
        return judged(case(of, reports=over, decisions=decisions, facts=facts)).control("1")

    open_answer = made(answer)
    assert open_answer.status == "fail"
    assert made(answer, *open_answer.findings).status == "not_evaluated"
    short = made(retained).findings
    assert len(short) == 2
    assert made(retained, short[0]).status == "fail", "one of two is accepted"
    assert made(retained, *short).status == "exception"
    assert made(retained, *short, facts=replace(RECEIVED, first_event=UNTIL)).status == "no_data"


BASES = {
    "log": {"policies": ("fine",)},
    "records": {"records": (KEEP,)},
    "log and records": {"policies": ("fine",), "records": (KEEP,)},
    None: {"policies": ("broken",)},
}


@pytest.mark.parametrize(("basis", "checks"), BASES.items(), ids=map(str, BASES))
def test_what_a_status_rests_on(basis: str | None, checks: dict) -> None:
    """On what was looked at and on nothing else; a control with parts on what they rest on."""
    checks = {**checks, "policies": tuple(PolicyCheck(each) for each in checks.get("policies", ()))}
    names = ("fine", "broken")
    of = pack(
        control("1", **checks), control("whole", all_of=("1", "said")), control("said", shows="nothing"),
        control("both", all_of=("1", "kept")), control("kept", records=(KEEP,)),
        policies=[policy(each, retention_period=length("90d")) for each in names],
    )  # fmt: skip
    said = Decisions(UNTIL, statements=(stated("met", control_id="said"),))
    made = judged(case(of, reports=REPORTS, decisions=said))

    assert made.control("1").basis == basis
    assert made.control("whole").basis == (basis or "statement")
    assert made.control("both").basis == ("records" if basis in ("records", None) else "log and records")


def test_the_order_within_a_policy() -> None:
    """A policy that could not be judged says nothing else; an open finding goes before an empty period; that before
    acceptances."""
    gap = found(GAP, start=SINCE + DAY)
    of = pack(control("1", "a"), policies=[policy("a")])
    taken = Decisions(UNTIL, acceptances=(accepted("p--a", gap),))

    def status(findings: list, *, error: str | None = None, decisions: Decisions = DECISIONS, facts=RECEIVED) -> str:
        reports = {"p--a": report("p--a", findings, error=error)}
        return stands(case(of, reports=reports, decisions=decisions, facts=facts), "1")[0]

    assert status([gap], error="broken") == "not_evaluated"
    assert status([gap], facts=NOTHING) == "fail"
    assert status([gap], facts=NOTHING, decisions=taken) == "no_data"
    assert status([gap], decisions=taken) == "exception"
    assert status([], facts=NOTHING) == "no_data"
    assert status([]) == "pass"
    assert status([gap], decisions=replace(taken, acceptances=(accepted("p--a", gap, until=UNTIL - DAY),))) == "fail"
    assert stands(case(of), "1")[0] == "not_evaluated"


def test_only_the_questions_asked_count() -> None:
    """An episode fails a control only where it asks for the threshold; a gap does not where it asks for coverage."""
    findings = [found("threshold_exceeded", 1, start=SINCE + DAY), found(GAP, 2, start=SINCE + DAY)]
    of = pack(
        control("usual", "a"),
        control("coverage", policies=(PolicyCheck("a", ("coverage",)),)),
        control("threshold", policies=(PolicyCheck("a", ("threshold",)),)),
        control("fields", policies=(PolicyCheck("a", ("fields",)),)),
        policies=[policy("a")],
    )

    made = judged(case(of, reports={"p--a": report("p--a", findings)}))

    assert {each.id: each.status for each in made.controls} == {
        "usual": "fail", "coverage": "pass", "threshold": "fail", "fields": "pass",
    }  # fmt: skip
    assert [each.id for each in made.control("threshold").findings] == [findings[0].id]


def stated(result: str, number: int = 1, control_id: str = "1", *, until=UNTIL + DAY) -> Statement:
    return Statement(number, SINCE, "p", control_id, result, "seen", until, **WHO)


@pytest.mark.parametrize(
    ("statements", "status", "reason"),
    [
        ((), "not_evaluated", "logs cannot show it, and nobody has stated it"),
        ((stated("met"),), "pass", "stated by ana on 2026-08-31: seen"),
        ((stated("not_met"),), "fail", "stated by ana on 2026-08-31: seen"),
        ((stated("met", until=UNTIL),), "pass", "stated by ana on 2026-08-31: seen"),
        ((stated("met", until=UNTIL - DAY),), "not_evaluated", "the statement of ana ended on 2026-09-29"),
        ((stated("met", control_id="old"),), "pass", "stated by ana on 2026-08-31: seen"),
        ((stated("met", 1, "old"), stated("not_met", 2)), "fail", "stated by ana on 2026-08-31: seen"),
    ],
)
def test_what_a_log_cannot_show_is_as_a_person_states(statements, status: str, reason: str) -> None:
    """A statement counts up to its end, that of an earlier id too; the newest goes before the others."""
    of = pack(control("1", shows="nothing", was="old"))

    made = judged(case(of, decisions=Decisions(UNTIL, statements=statements)))

    assert (made.controls[0].status, made.controls[0].reasons) == (status, (reason,))
    assert made.controls[0].basis == ("statement" if status in ("pass", "fail") else None)
    assert made.status == ("fail" if status == "fail" else "not_applicable"), "a log shows nothing here"


def test_what_does_not_apply_is_not_looked_at() -> None:
    """Parameters, an end and a decision go before everything, a failure and a statement too; each gives its reason."""
    excused = Applicability(1, SINCE, "p", "old", "no cards", "bea", UNTIL, **WHO)
    flag = Parameter("flag", "boolean", default=False)
    of = pack(
        control("flag", "failing", only_if=OnlyIf("$flag", "flag")),
        control("ended", "failing", ended=UNTIL.date(), replaced_by="4"),
        control("later", "failing", ended=UNTIL.date() + DAY),
        control("decided", "failing", was="old"),
        control("said", shows="nothing", ended=date(2026, 1, 1)),
        control("whole", all_of=("flag", "ended")),
        control("soon", "fine", in_force=UNTIL.date() + DAY),
        policies=[policy("failing"), policy("fine")], parameters={"flag": flag},
    )  # fmt: skip
    decisions = Decisions(UNTIL, applicabilities=(excused,), statements=(stated("not_met", control_id="said"),))

    made = judged(case(of, reports=REPORTS, decisions=decisions))

    reasons = {each.id: each.reasons for each in made.not_applicable}
    assert reasons == {
        "flag": ("the lake's parameters say that it does not concern it: $flag",),
        "ended": ("ended on 2026-09-30, replaced by 4",),
        "decided": ("no cards (decided by bea until 2026-09-30)",),
        "said": ("ended on 2026-01-01",),
        "whole": ("none of its parts applies",),
    }
    assert made.control("later").status == "fail"
    assert made.control("soon").status == "pass", "it is judged before it binds"
    assert made.control("soon").in_force == date(2026, 10, 1)


def test_a_decision_follows_a_rename_until_there_is_one_about_the_new_id() -> None:
    """What was decided about the earlier id counts; a newer one about the new id replaces it, also once it has ended.

    Either can be taken back: then the other counts, or none.
    """
    of = pack(control("1", "failing", was="old"), policies=[policy("failing")])
    old = Applicability(1, SINCE, "p", "old", "no cards", "bea", UNTIL + DAY, **WHO)
    new = Applicability(2, SINCE, "p", "1", "no cards yet", "bea", UNTIL - DAY, **WHO)

    def status(*entries: Entry) -> str:
        lines = [Line(each, "") for each in entries]
        return stands(case(of, reports=REPORTS, decisions=decisions_as_of(lines, UNTIL)), "1")[0]

    assert status(old) == "not_applicable"
    assert status(old, new) == "fail"
    assert status(old, new, Retraction(3, SINCE + DAY, 2, "wrong", **WHO)) == "not_applicable"
    assert status(old, Retraction(2, SINCE + DAY, 1, "wrong", **WHO)) == "fail"
    assert status(replace(old, number=2), replace(new, number=1)) == "not_applicable"
    assert status(replace(old, control="older")) == "fail", "a rename is followed once"


def test_a_weaker_value_is_at_best_an_exception_while_it_is_decided() -> None:
    """A weaker value lets no control pass; without a decision in force for that very value, it fails."""
    keep = Parameter("keep", "duration", length("12mo"), stricter="longer", cites=("2",))
    free = Parameter("free", "duration", length("12mo"), stricter="longer")
    of = pack(
        control("1", "fine", parameters=frozenset({"keep"})), control("2", "fine"), control("3", "fine"),
        control("4", "failing", parameters=frozenset({"keep"})), control("5", "fine", parameters=frozenset({"free"})),
        control("6", "fine", parameters=frozenset({"keep"}), ended=date(2026, 1, 1)),
        policies=[policy("fine"), policy("failing")], parameters={"keep": keep, "free": free},
    )  # fmt: skip
    of = replace(of, values={"keep": length("6mo"), "free": length("6mo")})

    def statuses(*weakenings: Weakening) -> list[str]:
        made = judged(case(of, reports=REPORTS, decisions=Decisions(UNTIL, weakenings=weakenings)))
        return [each.status for each in made.controls]

    decided = Weakening(1, SINCE, "p", "keep", "6mo", "old system", "bea", UNTIL, **WHO)
    assert statuses(decided) == ["exception", "exception", "pass", "fail", "pass", "not_applicable"]
    assert statuses() == ["fail", "fail", "pass", "fail", "pass", "not_applicable"]
    assert statuses(replace(decided, value="8mo")) == statuses()
    weak = judged(case(of, reports=REPORTS)).control("4").reasons
    assert weak == ("keep is weaker than the clause, and no decision in force lets it be", "coverage_gap 0"), "both"
    assert statuses(replace(decided, value="186d")) == statuses(decided), "a length is the same however it is written"


def test_a_weaker_value_makes_nothing_better() -> None:
    """Of a control that could not be judged, or has no data, it makes no exception."""
    keep = Parameter("keep", "duration", length("12mo"), stricter="longer", cites=("1",))
    decided = Weakening(1, SINCE, "p", "keep", "6mo", "old system", "bea", UNTIL, **WHO)
    for status in ORDER[:5]:
        weak = with_checks(status)
        of = replace(weak.pack, parameters={"keep": keep}, values={"keep": length("6mo")})
        made = replace(weak, pack=of, decisions=replace(weak.decisions, weakenings=(decided,)))
        assert stands(made, "1")[0] == ("exception" if status == "pass" else status)
        assert stands(replace(made, decisions=weak.decisions), "1")[0] == "fail"


def test_types_that_the_lake_does_not_declare_keep_a_control_from_passing() -> None:
    """A policy that the lake cannot judge is not evaluated, and so is a check over records that names it."""
    check = RecordCheck("response", within=length("7d"), of=("fine", "net"))
    duties = (
        RecordCheck("review", every=length("7d"), within=length("1d"), of=("net",)),
        RecordCheck("evaluation", every=length("7d"), within=length("1d"), of=("net",)),
    )
    of = pack(
        control("1", "net"), control("2", "net", "failing"), control("3", "fine", records=(check,)),
        control("4", records=duties[:1]), control("5", records=duties[1:]),
        policies=[policy("net", "network_traffic"), policy("fine"), policy("failing")],
        unready={"net": ("network_traffic",)},
    )  # fmt: skip

    schedule = Schedule("nightly", length("1d"), "00:15", ("all",), length("1d"))
    made = judged(case(of, reports=REPORTS, schedules=(schedule,)))

    assert [each.status for each in made.controls] == ["not_evaluated", "fail", *("not_evaluated",) * 3]
    assert all("network_traffic" in made.control(each).reasons[0] for each in "145")


def test_parts_may_lie_as_deep_as_a_pack_says() -> None:
    """A control has the status of its innermost part, however deep that is."""
    inner = [control(str(n), all_of=(str(n + 1),)) for n in range(2_000)]
    of = pack(*inner, control("2000", "failing"), policies=[policy("failing")])

    assert {each.status for each in judged_controls(case(of, reports=REPORTS))} == {"fail"}


def test_policies_of_the_lakes_own_are_further_checks() -> None:
    """A policy that names the framework and a control is one more check, whatever its id; none of what no log shows."""
    own = replace(policy("failing"), id="p--ours", controls={"Rules": ("1", "2")})
    for_nothing = replace(own, id="p--nothing", controls={"Rules": ("2",)})
    of = pack(control("1", "fine"), control("2", shows="nothing"), policies=[policy("fine")])
    reports = REPORTS | {"p--ours": report("p--ours", [found(GAP, start=SINCE + DAY)])}

    made = judged(case(of, reports=reports, policies=(*of.policies.values(), own, for_nothing)))

    assert [each.status for each in made.controls] == ["fail", "not_evaluated"]
    assert [(each.policy, each.own, each.controls) for each in made.policies] == [
        ("p--fine", False, ("1",)), ("p--ours", True, ("1",)),
    ]  # fmt: skip


def test_the_framework_in_numbers_and_words() -> None:
    """Counts are by status and by how much a log shows; what a log cannot show counts for no framework's pass."""
    of = pack(
        control("1", "fine", shows="operation"), control("2", "fine"), control("3", "failing"),
        control("4", shows="nothing"), control("5", "fine", ended=date(2026, 1, 1)),
        policies=[policy("fine"), policy("failing")],
    )  # fmt: skip
    statement = stated("met", control_id="4")
    made = judged(case(of, reports=REPORTS, decisions=Decisions(UNTIL, statements=(statement,))))

    assert made.sentence == (
        "1 of 4 controls fails. Of the 3 that a log can show, 2 pass, and 1 of these shows only that logging exists."
    )
    assert made.counts["pass"] == {"operation": 1, "logging": 1, "nothing": 1}
    assert sum(number for each in made.counts.values() for number in each.values()) == len(made.controls)
    assert (made.status, made.verdict) == ("fail", "Not met")
    assert "%" not in repr(made)


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ((State(date(2020, 1, 1), "in_force", ()),), "Met, as far as a log can show"),
        ((State(date(2020, 1, 1), "deferred", ()),), "Met, as far as a log can show, were it in force"),
        ((State(date(2020, 1, 1), "adopted", ()),), "Met, as far as a log can show, were it in force"),
        ((State(date(2030, 1, 1), "in_force", ()),), "Met, as far as a log can show, were it in force"),
        (
            (State(date(2020, 1, 1), "in_force", ()), State(date(2026, 9, 30), "rescinded", ())),
            "Met, as far as a log can show; rescinded since 2026-09-30",
        ),
    ],
)
def test_the_verdict_goes_with_the_state_and_the_status_does_not(states, verdict: str) -> None:
    """Whatever the framework is as of as_of, its controls are judged the same."""
    of = pack(control("1", "fine"), policies=[policy("fine")], states=states)
    made = judged(case(of, reports=REPORTS))

    assert (made.status, made.verdict) == ("pass", verdict)


# The law: the same as a plain reading of the rules

POLICIES = ("a", "b", "c")
flags = st.booleans()
findings_of = st.lists(st.tuples(st.sampled_from([GAP, MISSING, "field_incomplete"]), flags), max_size=2)
policy_states = st.fixed_dictionaries({"error": st.sampled_from([None, None, "bad"]), "findings": findings_of})
control_specs = st.fixed_dictionaries({
    "shows": st.sampled_from(["operation", "logging", "nothing"]),
    "policies": st.lists(st.sampled_from(POLICIES), min_size=1, max_size=2, unique=True),
    "only_if": st.sampled_from([None, None, True, False]), "ended": st.sampled_from([None, None, -1, 0, 1]),
    "excused": st.sampled_from([None, None, -1, 0]), "statement": st.sampled_from([None, "met", "not_met"]),
    "statement_until": st.sampled_from([-1, 0, 1]), "weak": st.sampled_from([None, None, None, -1, 0, 1]),
    "parts": st.lists(st.integers(0, 2), max_size=2, unique=True),
})  # fmt: skip


def by_the_rules(spec: dict, received: bool, policies: dict, parts: list[str]) -> str:
    """Read the rules one after the other, as they are written."""
    if spec["only_if"] is False:
        return "not_applicable"
    if spec["ended"] is not None and spec["ended"] <= 0:
        return "not_applicable"
    if spec["excused"] is not None and spec["excused"] >= 0:
        return "not_applicable"
    if spec["shows"] == "nothing":
        if spec["statement"] is None or spec["statement_until"] < 0:
            return "not_evaluated"
        return "pass" if spec["statement"] == "met" else "fail"
    if parts:
        applying = [each for each in parts if each != "not_applicable"]
        if not applying:
            return "not_applicable"
        results = applying
    else:
        results = []
        for name in spec["policies"]:
            state = policies[name]
            if state["error"]:
                results.append("not_evaluated")
            elif any(not is_accepted for _, is_accepted in state["findings"]):
                results.append("fail")
            elif not received:
                results.append("no_data")
            elif state["findings"]:
                results.append("exception")
            else:
                results.append("pass")
    for status in ("fail", "not_evaluated", "no_data", "exception", "pass"):
        if status in results:
            break
    if spec["weak"] is not None and spec["weak"] < 0:
        return "fail"
    if spec["weak"] is not None and status == "pass":
        return "exception"
    return status


@settings(max_examples=60)
@given(
    specs=st.lists(control_specs, min_size=1, max_size=4),
    policies=st.fixed_dictionaries(dict.fromkeys(POLICIES, policy_states)),
    received=flags,
)
def test_every_control_stands_as_the_rules_say(specs: list[dict], policies: dict, received: bool) -> None:
    """The judge gives what a plain reading of the rules gives, for each control and for the framework."""
    parameters = {f"w{i}": Parameter(f"w{i}", "number", 5, stricter="higher", cites=("x",)) for i in range(len(specs))}
    parameters |= {"yes": Parameter("yes", "boolean", default=True), "no": Parameter("no", "boolean", default=False)}
    values = {name: each.default for name, each in parameters.items()}
    controls, statements, excused, weakenings, expected = [], [], [], [], []
    for i, spec in enumerate(specs):
        # only those before it, so that none is a part of itself; and none with a weak value of its own beside parts
        parts = [each for each in spec["parts"] if each < i] if spec["shows"] != "nothing" else []
        condition = None if spec["only_if"] is None else OnlyIf("", "yes" if spec["only_if"] else "no")
        plain = spec["shows"] == "nothing"
        controls.append(control(
            str(i), *(() if plain or parts else spec["policies"]), shows=spec["shows"], all_of=tuple(map(str, parts)),
            only_if=condition, ended=None if spec["ended"] is None else UNTIL.date() + spec["ended"] * DAY,
            parameters=frozenset({f"w{i}"} if spec["weak"] is not None else ()),
        ))  # fmt: skip
        if spec["weak"] is not None:
            values[f"w{i}"] = 1
            if spec["weak"] >= 0:
                weakenings.append(Weakening(1, SINCE, "p", f"w{i}", 1, "r", "o", UNTIL + spec["weak"] * DAY, **WHO))
        if spec["statement"]:
            until = UNTIL + spec["statement_until"] * DAY
            statements.append(stated(spec["statement"], control_id=str(i), until=until))
        if spec["excused"] is not None and spec["excused"] >= 0:
            excused.append(Applicability(1, SINCE, "p", str(i), "r", "o", UNTIL, **WHO))
        expected.append(by_the_rules(spec, received, policies, [expected[each] for each in parts]))
    made = {
        name: [found(kind, number, start=SINCE + DAY) for number, (kind, _) in enumerate(each["findings"])]
        for name, each in policies.items()
    }
    taken = tuple(
        accepted(f"p--{name}", each)
        for name, findings in made.items()
        for each, (_, is_accepted) in zip(findings, policies[name]["findings"], strict=True)
        if is_accepted
    )
    of = pack(*controls, policies=[policy(each) for each in POLICIES], parameters=parameters, values=values)
    reports = {f"p--{name}": report(f"p--{name}", made[name], error=policies[name]["error"]) for name in POLICIES}
    decisions = Decisions(
        UNTIL, statements=tuple(statements), applicabilities=tuple(excused), weakenings=tuple(weakenings),
        acceptances=taken,
    )  # fmt: skip
    answer = judged(case(of, reports=reports, decisions=decisions, facts=replace(RECEIVED, received=received)))

    assert [each.status for each in answer.controls] == expected
    assert all(each.reasons for each in answer.controls)
    counting = [
        status for spec, status in zip(specs, expected, strict=True)
        if status != "not_applicable" and (spec["shows"] != "nothing" or status == "fail")
    ]  # fmt: skip
    assert answer.status == min(counting, key=ORDER.index, default="not_applicable")
