"""Measures that are numbers: what they are read from, how exact they are, and how a threshold with decimals is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.analysis.policy_tests import check_policies
from auditlake.errors import PolicyError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.policies.loader import load_policy
from auditlake.policies.model import Policy
from auditlake.reports.reperform import _differences
from tests.lakes import create
from tests.retention.lakes import put_policies

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
HEAD = "name: n\ndescription: d\nrequired_events: [data_export]\ncoverage: optional\n"
BASELINE = "bucket: 1h, season: 7d, seasons: 8, at_least: 4, ratio: 3"
LARGE = "99999999999999999999.999999"
GROUPS: dict[str, list[Any]] = {
    "large": [LARGE] * 5,
    "too large": ["100000000000000000001", "1e30", "-1e30"],
    "none": ["x", "", None, "12 bytes", "inf", "nan"],
    "tenths": ["0.1"] * 10,
    "thirds": [1, 1, 0],
    "gone": [5, -3],
    "loss": [-3, -4],
}


def loaded(text: str) -> Policy:
    """Return a policy."""
    return load_policy(HEAD + text, file="p.yaml", policy_id="p", event_types=frozenset(BUILT_IN_TYPES))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """The numbers of each group, a minute apart."""
    lake = create(tmp_path_factory.mktemp("numbers") / "lake", clock=lambda: NOW)
    number = "\"details ->> '$.n'\"\ngroup_by: [user_id]\nwindow: 1h\n"
    put_policies(lake, {
        "one": f"{HEAD}alert_threshold: 1\nsum: {number}",
        "bits": f"{HEAD}alert_threshold: 0.000001\nsum: {number}",
        "mean": f"{HEAD}alert_threshold: -3.25\naverage: {number}",
    })  # fmt: skip
    lake.ingest(
        AuditEvent("data_export", NOW - timedelta(minutes=90 - n), user_id=group, details={"n": value})
        for group, values in GROUPS.items()
        for n, value in enumerate(values)
    )
    lake.ingest([AuditEvent("data_export", NOW - timedelta(days=2), user_id="early", details={"n": "x"})])
    return lake


def peaks(lake: AuditLake, policy: str) -> dict[str, Any]:
    """Return the peak of each group in the JSON, and check what the JSON is."""
    said = json.loads(lake.report(policy).json())
    return {each["group"]["user_id"]: each["peak"] for each in said["violations"]}


def test_a_sum_is_exact(lake: AuditLake) -> None:
    """Ten tenths are one, the largest numbers add up, and what is no number is counted as valueless."""
    found = lake.report("one").report
    assert {each.group["user_id"]: str(each.peak) for each in found.violations} == {
        "large": "499999999999999999999.999995", "tenths": "1", "thirds": "2", "gone": "5",
    }  # fmt: skip
    assert found.threshold.valueless_events == 10
    tenths = next(each for each in found.violations if each.group["user_id"] == "tenths")
    assert tenths.message == "The sum of details ->> '$.n' within 1h for user_id tenths is 1: the threshold is 1"
    # One until the first of them is an hour old, to the microsecond.
    assert tenths.end - tenths.start == timedelta(minutes=51)


def test_a_threshold_with_decimals(lake: AuditLake) -> None:
    """It is told as it was written, in the JSON as a number, and on the page."""
    assert peaks(lake, "bits")["tenths"] == 1
    made = lake.report("bits")
    assert json.loads(made.json())["threshold"]["alert_threshold"] == 0.000001
    assert "0.000001 or more" in made.html().decode()


def test_whole_sums_are_whole_numbers(lake: AuditLake, tmp_path: Path) -> None:
    """They are so in the JSON; an older report, which has them as doubles, is identical when done again."""
    said = json.loads(lake.report("one").json())
    assert {each["group"]["user_id"]: type(each["peak"]) for each in said["violations"]} == {
        "large": float, "tenths": int, "thirds": int, "gone": int,
    }  # fmt: skip
    for each in (*said["violations"], *said["threshold"]["daily_peaks"]):
        each["peak"] = None if each["peak"] is None else float(each["peak"])
    (file := tmp_path / "older.json").write_text(json.dumps(said))
    assert lake.reperform(file).differences == ()
    assert list(_differences({"a": float(2**53)}, {"a": 2**53 + 1})) == []
    assert len(list(_differences({"a": 2**53 + 1}, {"a": 2**53}))) == 1


def test_more_sums_than_are_listed(lake: AuditLake) -> None:
    """The largest groups are told with their peaks, decimals and all."""
    told = json.loads(lake.report("one").relisted(2).json())["more_findings"]
    assert [each["peak"] for each in told["largest_groups"]] == [5, 5e20, 1, 2]


def test_an_average_is_compared_exactly(lake: AuditLake) -> None:
    """It may be negative, is shown with six decimals, and a day without numbers has none."""
    found = peaks(lake, "mean")
    assert (found["loss"], found["thirds"], set(found) & {"none", "too large"}) == (-3, 1, set())
    report = lake.report("mean", since="2026-03-31", until="2026-04-01T10:40:00Z").report
    assert next(each.peak for each in report.threshold.daily_peaks) is None
    made = lake.report("mean")
    assert "Highest average per UTC day" in made.html().decode()
    assert made.chart("daily_peaks").to_json()


@pytest.mark.parametrize(("number", "shown"), [("0.000001", "0.000001"), ("-0.000001", "-0.000001")])
def test_halves_are_rounded_away_from_zero(number: str, shown: str) -> None:
    """The average of nothing and a millionth is half of one: shown as a millionth."""
    test = f"""
tests:
  - name: two numbers at one instant
    events:
      - {{type: data_export, at: 2026-11-02T08:00:00Z, user_id: a, details: {{n: "{number}"}}}}
      - {{type: data_export, at: 2026-11-02T08:00:00Z, user_id: b, details: {{n: "0"}}}}
    expect: {{episodes: 1, peak: {shown}}}
"""
    policy = loaded(f"alert_threshold: -1\naverage: details ->> '$.n'\n{test}")
    assert [each.differences for each in check_policies([policy])] == [()]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sum: user_id\nalert_threshold: 0\n", "6:18: alert_threshold: expected a number from 0.000001 to"),
        ("sum: user_id\nalert_threshold: 1.0000001\n", "with at most 6 decimals"),
        ("sum: user_id\n", "5:6: sum: expected with 'alert_threshold', which is missing"),
        ("alert_threshold: 1.5\n", "alert_threshold: expected a whole number"),
        ("sum: user_id\naverage: user_id\nalert_threshold: 1\n", "a policy has one measure, and has 'sum' too"),
        (f"baseline: {{{BASELINE}}}\n", "baseline: expected with 'alert_threshold', which is missing"),
        (f"alert_threshold: 5\nwindow: 1h\nbaseline: {{{BASELINE}}}\n", "6:9: window: not with 'baseline'"),
        (f"alert_threshold: 5\nbaseline: {{{BASELINE}, offset: '+19:00'}}\n", "expected an offset of a zone"),
        (f"alert_threshold: 5\nbaseline: {{{BASELINE.replace('7d', '90min')}}}\n", "expected a multiple of the bucket"),
        (f"alert_threshold: 5\nbaseline: {{{BASELINE.replace('4', '9')}}}\n", "at_least: expected at most 8"),
        (f"alert_threshold: 5\nbaseline: {{{BASELINE.replace('ratio: 3', 'ratio: 1.555')}}}\n", "at most 2 decimals"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    """Each mistake has its place, and says what is expected."""
    with pytest.raises(PolicyError) as caught:
        loaded(text)
    assert why in "; ".join(caught.value.problems)


def test_other_windows_of_a_baseline(lake: AuditLake, tmp_path: Path) -> None:
    """A backtest of a baseline takes thresholds; its bucket is no window that could be tried."""
    file = tmp_path / "p.yaml"
    file.write_text(f"{HEAD}alert_threshold: 5\nbaseline: {{{BASELINE}}}\n")
    assert [each.window for each in lake.backtest(file, thresholds=[1]).tried] == ["1h"]
    with pytest.raises(PolicyError, match="baseline"):
        lake.backtest(file, thresholds=[1], windows=["2h"])


def test_the_zone_of_a_baseline() -> None:
    """Midnight at +02:00 is 22:00Z of the day before; an offset needs no quotes."""
    policy = loaded(f"alert_threshold: 5\nbaseline: {{{BASELINE.replace('1h', '1d')}, offset: +02:00}}\n")
    assert policy.more["baseline"]["offset"] == "+02:00"
    at = datetime(2026, 3, 31, 22, tzinfo=UTC)
    kind = auditlake.policies.kinds.measure_of(policy)
    asked = auditlake.policies.question.Question(at, at - timedelta(days=1), at)
    values = kind.values(policy, asked)
    assert (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == (
        values["zero"] + values["last"] * values["bucket_us"]
    )
