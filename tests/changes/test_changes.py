"""What changed between two reports: each difference has one cause, and the differences add up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.changes.compare import compared, controls_changed
from auditlake.changes.model import Found
from auditlake.changes.page import SHOWN_CHANGES
from auditlake.errors import ReportError
from auditlake.facets.changes import ChangeReport
from auditlake.testing import Clock, set_policies
from tests.demos import run
from tests.frameworks.test_lake import HOUSE
from tests.lakes import make_lake
from tests.templates import copy_of

AUGUST, SEPTEMBER, OCTOBER = (datetime(2026, month, 1, tzinfo=UTC) for month in (8, 9, 10))
DAY = timedelta(days=1)
POLICY = """
name: Failures
description: Failed logins of one user
required_events: [auth_failure]
coverage: optional
alert_threshold: 3
window: 1h
group_by: [user_id]
retention_period: 30d
"""


def burst(user: str, day: int, number: int, month: datetime = AUGUST) -> list[AuditEvent]:
    at = month + (day - 1) * DAY + timedelta(hours=9)
    return [AuditEvent("auth_failure", at + timedelta(minutes=i), user_id=user) for i in range(number)]


def two_bursts(folder: Path) -> None:
    """Make a lake with two bursts in August, and the report of that month on record."""
    lake = make_lake(
        folder / "lake", clock=Clock(SEPTEMBER), policies={"failures": POLICY}, settings={"grace": "0h"}
    )  # fmt: skip
    lake.ingest(burst("ann", 5, 4) + burst("bob", 20, 3))
    report(lake, "2026-08")


def report(lake: AuditLake, period: str) -> None:
    with lake.runs.recorded("report") as recording:
        for each in recording.reports("failures", period=period):
            each.write(lake.layout.reports, ["json"])


@pytest.fixture
def clock() -> Clock:
    return Clock(SEPTEMBER)


@pytest.fixture
def lake(tmp_path: Path, clock: Clock) -> AuditLake:
    return auditlake.open(copy_of(two_bursts, tmp_path) / "lake", clock=clock)


def told(made: ChangeReport) -> list[tuple[str, int, int, int, str, list[str]]]:
    """Return each step with its numbers, and who became what."""
    return [
        (step.name, step.numbers.events, step.numbers.findings, step.numbers.open, step.numbers.status,
         [f"{each.what} {json.loads(each.finding.group)['user_id']}" for each in step.changes])
        for step in made.steps
    ]  # fmt: skip


def test_each_difference_has_its_cause(lake: AuditLake, clock: Clock, tmp_path: Path) -> None:
    """Deleted, late, the policy, decisions, time: each is a step of its own, in this order, and the rest stays."""
    lake.ingest(burst("eve", 25, 5))
    clock.move("10d")  # what is older than 11 August goes
    lake.retention.apply()
    set_policies(lake, {"failures": POLICY.replace("threshold: 3", "threshold: 4")})
    (found,) = (each.finding for each in lake.findings.list("failures", period="2026-08"))
    lake.findings.accept(found.id, reason="a test", owner="ops", until=OCTOBER + 90 * DAY)
    clock.move("20d")
    lake.ingest(burst("zoe", 9, 4, SEPTEMBER))
    report(lake, "2026-09")
    made = lake.runs.changes("failures")
    assert told(made) == [
        ("reported", 7, 2, 2, "violation", []),
        ("deleted", 3, 1, 1, "violation", ["gone ann"]),
        ("late", 8, 2, 2, "violation", ["new eve"]),
        ("policy", 8, 1, 1, "violation", ["gone bob", "changed eve"]),
        ("decisions", 8, 1, 0, "compliant", ["accepted eve"]),
        ("time", 4, 1, 1, "violation", ["gone eve", "new zoe"]),
    ]
    assert [each.place for each in made.steps[-1].changes] == ["left_period", "new_events"]
    assert made.steps[3].why == "alert_threshold 3 became 4"
    assert "ops answers for it" in made.steps[4].why
    assert len(made.changes.notes) == 1, "that the rows of the earlier snapshot are gone"
    page = made.html().decode()
    assert "threshold 3 became 4" in page
    written = made.write(tmp_path / "out")
    assert [each.suffix for each in written] == [".json", ".html"]
    assert made.write(tmp_path / "out") == written


def test_nothing_differs(lake: AuditLake, clock: Clock) -> None:
    """Two runs that say the same have no step between them."""
    clock.move("1h")
    report(lake, "2026-08")
    made = lake.runs.changes("failures")
    assert [step.name for step in made.steps] == ["reported", "time"]
    assert made.steps[1].changes == ()
    assert "No finding and no status differs." in made.html().decode()


def test_rows_that_are_gone(lake: AuditLake, clock: Clock) -> None:
    """Where the earlier snapshot cannot be read any more, its JSON is taken at its word; without it, it is an error."""
    clock.move("10d")
    lake.retention.apply()
    report(lake, "2026-08")
    made = lake.runs.changes("failures")
    assert [each[:3] for each in told(made)][:2] == [("reported", 7, 2), ("deleted", 3, 1)]
    assert "taken at its word" in made.changes.notes[0]
    for file in lake.layout.reports.glob("*.json"):
        file.unlink()
    with pytest.raises(ReportError, match="cannot be made again"):
        lake.runs.changes("failures")


def test_a_report_that_cannot_be_given_again(lake: AuditLake, clock: Clock, tmp_path: Path) -> None:
    """A number that was changed in the earlier report stops the comparison, which says so first."""
    (file,) = lake.layout.reports.glob("*.json")
    document = json.loads(file.read_bytes())
    document["total_events"] = 6
    (other := tmp_path / "changed.json").write_text(json.dumps(document))
    clock.move("1d")
    report(lake, "2026-08")
    made = lake.runs.changes("failures", before=other)
    assert [step.name for step in made.steps] == ["reported"]
    assert "total_events was 6" in made.changes.stopped
    assert run(f"auditlake --lake {lake.layout.root} changes failures --from {other}") == 1


def test_which_two(lake: AuditLake, clock: Clock, tmp_path: Path) -> None:
    """Runs are named by number, reports by file; one run alone, an unknown run and another lake's report are errors."""
    with pytest.raises(ReportError, match="no earlier run"):
        lake.runs.changes("failures")
    clock.move("1d")
    lake.ingest(burst("eve", 25, 5))
    report(lake, "2026-08")
    (first, second) = (each.number for each in lake.runs.all())
    file = next(each for each in sorted(lake.layout.reports.glob("*.json")))
    by_number, by_file = (
        lake.runs.changes("failures", before=first, after=second),
        lake.runs.changes("failures", before=file),
    )
    assert by_number.json() == by_file.json()
    with pytest.raises(ReportError, match="run 99 did not judge"):
        lake.runs.changes("failures", before=99)
    with pytest.raises(ReportError, match="after the later one"):
        lake.runs.changes("failures", before=second, after=first)
    document = json.loads(file.read_bytes())
    document["evidence"]["lake_id"] = "ffffffff-ffff-4fff-8fff-ffffffffffff"
    (other := tmp_path / "other.json").write_text(json.dumps(document))
    with pytest.raises(ReportError, match="is a report of 'failures' of lake ffff"):
        lake.runs.changes("failures", before=other)
    with pytest.raises(ReportError, match="is no report"):
        lake.runs.changes("failures", before=lake.layout.config)


def test_a_policy_that_nobody_kept(lake: AuditLake, clock: Clock, tmp_path: Path) -> None:
    """What a run judged by is kept; without it a folder with the policies of then is needed."""
    set_policies(lake, {"failures": POLICY.replace("threshold: 3", "threshold: 4")})
    clock.move("1d")
    report(lake, "2026-08")
    whole = lake.runs.changes("failures")
    assert [step.name for step in whole.steps] == ["reported", "policy", "time"]
    (early, _) = sorted(lake.layout.reports.glob("*.json"))
    again = lake.reperform(early)
    assert (again.identical, again.reasons) == (
        True,
        ("it is judged by policies as they were then: the lake has others now",),
    )
    for folder in (lake.layout.judged_by, lake.layout.ledger / "policies"):
        for each in folder.iterdir():
            each.unlink()
    with pytest.raises(ReportError, match="is not there any more"):
        lake.runs.changes("failures")
    assert "evidence.policy_digest" in {each.where for each in lake.reperform(early).differences}
    (tmp_path / "then").mkdir()
    (tmp_path / "then" / "failures.yaml").write_text(POLICY)
    assert lake.runs.changes("failures", policies=tmp_path / "then").json() == whole.json()


def test_rows_that_are_gone_and_more_findings(lake: AuditLake, clock: Clock) -> None:
    """A report that lists some of its findings alone is taken at its word too: by the file of all of them beside it."""
    (config := lake.layout.config).write_text(config.read_text().replace("# max_findings = 10000", "max_findings = 1"))
    lake = auditlake.open(lake.layout.root, clock=clock)
    report(lake, "2026-08")
    clock.move("10d")
    lake.retention.apply()
    report(lake, "2026-08")
    made = lake.runs.changes("failures")
    assert told(made)[:2] == [
        ("reported", 7, 2, 2, "violation", []),
        ("deleted", 3, 1, 1, "violation", ["gone ann"]),
    ]
    for each in lake.layout.reports.glob("findings_*.parquet"):
        each.unlink()
    assert "lists 1 of its 2 findings" in lake.runs.changes("failures").changes.stopped


def test_settings_that_changed(lake: AuditLake, clock: Clock) -> None:
    """What lake.toml says is that of now in every evaluation, so a change of it is told."""
    report(lake, "2026-08")
    assert lake.runs.changes("failures").changes.notes == ()
    lake.layout.config.write_text(lake.layout.config.read_text() + "# another day\n")
    report(lake, "2026-08")
    (note,) = lake.runs.changes("failures").changes.notes
    assert note.startswith("lake.toml changed between the two reports")


def test_a_name_that_no_run_judged(lake: AuditLake) -> None:
    """A name with a slip of the pen is answered with the name that is meant."""
    with pytest.raises(ReportError, match="no run on record judged 'failurs'") as raised:
        lake.runs.changes("failurs")
    assert raised.value.hint == "did you mean failures?"


def test_many_differences(lake: AuditLake, clock: Clock) -> None:
    """The page lists a bounded number of differences, and says how many there are; the JSON has all."""
    lake.ingest([each for user in range(SHOWN_CHANGES + 5) for each in burst(f"user{user}", 25, 3)])
    clock.move("1h")
    report(lake, "2026-08")
    made = lake.runs.changes("failures")
    assert len(made.steps[1].changes) == SHOWN_CHANGES + 5
    assert "and 5 more, in the JSON" in made.html().decode()


# Matching


def found(start: int | None, end: int | None = None, *, group: str = "", peak: str = "", owner: str = "") -> Found:
    def at(hours: int | None) -> datetime | None:
        return None if hours is None else AUGUST + timedelta(hours=hours)

    return Found(f"{start}", "p", "k", "m", "", group, at(start), at(end), peak, owner)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([found(1, 3)], [found(1, 3)], []),
        ([found(1, 3)], [found(2, 3)], ["changed"]),
        ([found(1, 3)], [found(3, 5)], ["gone", "new"]),
        ([found(1, 3)], [found(1, 3, group="x")], ["gone", "new"]),
        ([found(1, 3, peak="5")], [found(1, 3, peak="6")], ["changed"]),
        ([found(1)], [found(4, 5)], ["changed"]),
        ([found(None)], [found(None)], []),
        ([found(None)], [], ["gone"]),
        ([found(1, 3)], [found(1, 3, owner="ops")], ["accepted"]),
        ([found(1, 3, owner="ops")], [found(1, 3)], ["reopened"]),
        ([found(1, 3)], [found(0, 3, owner="ops")], ["accepted", "changed"]),
        ([found(1, 9)], [found(1, 3), found(5, 6)], ["changed", "new"]),
        ([found(1, 3), found(5, 6)], [found(1, 9)], ["changed", "gone"]),
    ],
)
def test_matched(before: Sequence[Found], after: Sequence[Found], expected: list[str]) -> None:
    """Findings of one subject whose stretches overlap are one, each once, in the order of their starts."""
    assert sorted(each.what for each in compared(before, after)) == sorted(expected)
    new, gone = (sum(each.what == what for each in compared(before, after)) for what in ("new", "gone"))
    assert len(before) + new - gone == len(after)


def by_definition(before: Sequence[Found], after: Sequence[Found]) -> list[tuple[str, int | None, int | None]]:
    """What becomes of each finding, by what the documentation says alone: the first that is left and overlaps."""
    ever, never = (each.replace(tzinfo=UTC) for each in (datetime.min, datetime.max))

    def in_order(found: Sequence[Found]) -> list[Found]:
        return sorted(found, key=lambda each: each.start or ever)

    def overlap(one: Found, other: Found) -> bool:
        start, its_start = one.start or ever, other.start or ever
        return start == its_start or (start < (other.end or never) and its_start < (one.end or never))

    left, said = in_order(after), []
    for one in in_order(before):
        other = next((each for each in left if each.subject == one.subject and overlap(one, each)), None)
        if other is not None:
            left = [each for each in left if each is not other]
        stretches = [(each.start, each.end) for each in (one, other) if each]
        if other is None or len({*stretches}) > 1:
            said.append(("changed" if other else "gone", id(one), id(other) if other else None))
    return said + [("new", None, id(each)) for each in left]


STRETCHES = st.lists(
    st.builds(
        lambda start, length, group: found(start, None if length is None else (start or 0) + length, group=group),
        st.none() | st.integers(0, 12), st.none() | st.integers(0, 6), st.sampled_from(["", "x"]),
    ),
    max_size=12,
)  # fmt: skip


@given(STRETCHES, STRETCHES)
def test_matched_as_defined(before: list[Found], after: list[Found]) -> None:
    """Whatever overlaps whatever, the pairs are those of the definition."""
    made = compared(before, after)
    assert sorted(
        (each.what, id(each.before) if each.before else None, id(each.after) if each.after else None) for each in made
    ) == sorted(by_definition(before, after)), made  # fmt: skip


def test_controls_that_were_renamed() -> None:
    """A control follows its ``was``; one that is gone and one that is new are told."""
    before, after = {"1": "pass", "2": "fail", "9": "pass"}, {"1.1": "fail", "2": "fail", "3": "pass"}
    said = controls_changed(before, after, {"1.1": "1"})
    assert [(each.control, each.before, each.after) for each in said] == [
        ("1.1", "pass", "fail"), ("3", "absent", "pass"), ("9", "pass", "absent"),
    ]  # fmt: skip


def test_the_numbers_add_up(lake: AuditLake, clock: Clock) -> None:
    """Whatever happens between the reports, the findings of each step are those before it, plus new, minus gone."""
    for number in range(3):
        lake.ingest(burst(f"late{number}", 14 + 3 * number, 3))
        clock.move("9d")
        lake.retention.apply()
    report(lake, "2026-08")
    report(lake, "2026-09")
    made = lake.runs.changes("failures", before=1)
    for before, after in pairwise(made.steps):
        assert before.numbers.findings + after.count("new") - after.count("gone") == after.numbers.findings


# Frameworks


def with_a_pack(folder: Path) -> None:
    """Make a lake judged by the house's own rules, with the report of a week on record."""
    lake = make_lake(folder / "lake", clock=Clock(SEPTEMBER), policies={})
    (folder / "house.yaml").write_text(HOUSE)
    lake.packs.add(folder / "house.yaml")
    lake.ingest([AuditEvent("login", SEPTEMBER - timedelta(hours=hours), user_id="ann") for hours in range(1, 9)])
    framework(lake, SEPTEMBER)


def framework(lake: AuditLake, as_of: datetime) -> None:
    with lake.runs.recorded("report") as recording:
        made = recording.judged((), ("house",), only=True, as_of=as_of, since=SEPTEMBER - 7 * DAY, until=SEPTEMBER)
        for each in made.frameworks:
            each.write(lake.layout.reports)


def test_a_framework(tmp_path: Path, clock: Clock) -> None:
    """The status of each control, findings and decisions; a statement of later counts in the step of decisions."""
    lake = auditlake.open(copy_of(with_a_pack, tmp_path) / "lake", clock=clock)
    clock.move("1d")
    lake.ingest([AuditEvent("login", SEPTEMBER - timedelta(hours=hours)) for hours in range(20, 23)])
    lake.decisions.state("house", "6", met=True, note="looked", until=OCTOBER + 30 * DAY)
    pack = lake.layout.pack("house")
    pack.write_text(
        pack.read_text().replace("2026-09-01.1", "2026-09-02.1").replace('id: "1", title', 'id: "1.1", was: "1", title')
    )
    (settings := lake.layout.frameworks).write_text(settings.read_text().replace("2026-09-01.1", "2026-09-02.1"))
    framework(lake, SEPTEMBER + DAY)
    made = lake.runs.changes("house")
    said = {step.name: [(each.control, each.before, each.after) for each in step.controls] for step in made.steps}
    assert said == {
        "reported": [], "late": [("1", "pass", "fail")], "policy": [], "decisions": [("6", "not_evaluated", "pass")],
        "time": [("2", "no_data", "fail"), ("3", "pass", "fail")],
    }  # fmt: skip
    (late,) = (each for step in made.steps[:-1] for each in step.changes)
    assert (late.what, late.finding.kind, late.finding.policy) == ("new", "field_incomplete", "house--sign_ins")
    assert "house 2026-09-01.1 became 2026-09-02.1" in made.steps[2].why
    assert "6 stated met" in made.steps[3].why
    assert "not evaluated became pass" in made.html().decode()
    assert run(f"auditlake --lake {lake.layout.root} changes house") == 0


def test_a_framework_by_the_files_of_then(tmp_path: Path, clock: Clock) -> None:
    """Packs and settings that the lake does not have any more are found in a folder; another policy is refused."""
    lake = auditlake.open(copy_of(with_a_pack, tmp_path) / "lake", clock=clock)
    clock.move("2d")
    (then := tmp_path / "then").mkdir()
    pack, settings = lake.layout.pack("house"), lake.layout.frameworks
    for each in (pack, settings):
        (then / each.name).write_bytes(each.read_bytes())
        each.write_text(each.read_text().replace("2026-09-01.1", "2026-09-02.1"))
    framework(lake, SEPTEMBER + DAY)
    whole = lake.runs.changes("house")
    for folder in (lake.layout.judged_by, lake.layout.ledger / "packs"):
        for file in folder.iterdir():
            file.unlink()
    with pytest.raises(ReportError, match="as it was judged by is not there any more"):
        lake.runs.changes("house")
    assert lake.runs.changes("house", policies=then).json() == whole.json()
    (then / "house--sign_ins.yaml").write_text(POLICY)
    with pytest.raises(ReportError, match="is not what the report was judged by"):
        lake.runs.changes("house", policies=then)
