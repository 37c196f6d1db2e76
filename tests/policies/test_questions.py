"""A policy asks what it says, and everything that shows or follows policies can do with one question alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest

from auditlake import AuditLake
from auditlake.display.cards import plain_card
from auditlake.errors import PolicyError, ReportError
from auditlake.llmguardian import AuditMonitor
from auditlake.llmguardian.policies import add, as_llmguardian
from auditlake.policies.loader import load_policy
from auditlake.sandbox.canned import chosen, questions
from tests.lakes import create
from tests.retention.lakes import bring, put_policies, record
from tests.sandbox.lakes import session

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
HEAD = "name: n\ndescription: d\nrequired_events: [login]\n"
OFF = "coverage: optional\n"
ASKED = {
    "beat": HEAD.replace("login", "api_call") + "max_gap: 6h\n",
    "count": HEAD.replace("login", "config_change") + OFF + "alert_threshold: 2\n",
    "cover": HEAD,
    "keep": HEAD + OFF + "retention_period: 30d\n",
    "limit": HEAD + OFF + "max_retention: 20d\n",
    "gone": HEAD.replace("login", "logout") + OFF + "max_retention: {longest: 20d, of: event}\n",
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """A lake whose policies ask one thing each, with an event of every kind of type on some days before now."""
    lake = create(tmp_path_factory.mktemp("questions") / "lake", clock=lambda: NOW)
    put_policies(lake, ASKED)
    records = [record(n, NOW - timedelta(days=n % 3, hours=n), "api_call") for n in range(6)]
    records += [record(10 + n, NOW - timedelta(hours=n), "config_change") for n in range(3)]
    records += [record(20 + n, NOW - timedelta(days=10 * n), "login") for n in range(5)]
    records += [record(30, NOW, "data_export")]
    bring(lake, records)
    return lake


def load(text: str) -> None:
    load_policy(
        text, file="p.yaml", policy_id="p", event_types=frozenset({"login", "logout", "api_call", "config_change"})
    )


@pytest.mark.parametrize("name", ASKED)
def test_one_question_is_enough(name: str) -> None:
    """Whatever a policy asks alone is asked; what the missing threshold would need is not missed."""
    load(ASKED[name])


MEASURES = "'alert_threshold', 'together', 'sequence', 'first_seen' or 'dormant'"
WRONG = {
    "nothing is asked": (OFF, ["4:11: coverage: 'optional' asks nothing by itself, and no other key asks anything: "
                               "write 'required', or add one of alert_threshold, together, sequence, first_seen, "
                               "dormant, max_gap, fields, retention_period, max_retention"]),
    "a window of nothing": ("window: 1h\nmax_gap: 1h\n",
                            [f"4:9: window: expected with {MEASURES}, which is missing"]),
    "what narrows nothing": ("retention_period: 1d\ngroup_by: [user_id]\nwhere: status = 'x'\n",
                             [f"5:11: group_by: expected with {MEASURES}, which is missing",
                              f"6:8: where: expected with {MEASURES}, which is missing"]),
    "threshold left blank": ("alert_threshold:\n", ["4:17: alert_threshold: expected a whole number from 1 to "
                                                      "1000000000, got nothing"]),
    "an event that must go before it may": (
        "retention_period: 1mo\nmax_retention: {longest: 1mo, of: event}\n",
        ["5:16: max_retention: expected at least the retention_period, which is 1mo, got 1mo; a month counts 30 days "
         "here and 31 there, a year 365 and 366"]),
    "a length of something else": (
        "max_retention: {longest: 1d, of: all}\nbasis: customary\n",
        ["4:34: of: unknown value 'all'; expected one of event, personal_data",
         "5:8: basis: expected with 'clause', which is missing"]),
    "a length of nothing": ("max_retention: {of: event}\n", ["4:16: max_retention needs the key 'longest'"]),
    "retention left blank": ("retention_period:\n", ["4:18: retention_period: expected a length of time, got nothing"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_names_its_line(name: str) -> None:
    """A key of a threshold that is not there, a question left blank, and no question at all are mistakes."""
    more, expected = WRONG[name]
    with pytest.raises(PolicyError) as caught:
        load(HEAD + more)

    assert list(caught.value.problems) == [f"p.yaml:{each}" for each in expected]


def test_reports_and_pages(lake: AuditLake) -> None:
    """What is not asked is null in the report, has no place on the page, and no chart."""
    made = {each.policy_id: each for each in lake.reports()}
    said = {name: json.loads(each.json()) for name, each in made.items()}

    assert {name for name, each in said.items() if each["threshold"]} == {"count"}
    assert {name for name, each in said.items() if each["retention"]} == {"keep"}
    assert {name: each["status_now"] for name, each in said.items() if each["status_now"]} == {"count": "violation"}
    assert {name: each["status"] for name, each in said.items()} == {
        "beat": "violation", "count": "violation", "cover": "compliant", "keep": "compliant", "limit": "compliant",
        "gone": "compliant",
    }  # fmt: skip
    periods = {each.report.since for name, each in made.items() if name != "keep"}
    assert (periods, made["keep"].report.since) == ({NOW - timedelta(days=90)}, NOW - timedelta(days=30))
    for name, each in made.items():
        page = each.html().decode()
        assert ('id="counts"' in page, 'id="episodes"' in page) == (name == "count", name == "count")
        assert ("sets no threshold" in page, "sets no retention period" in page) == (
            name != "count", name not in {"keep", "gone"}
        )  # fmt: skip
        assert ("Events must be gone after 20 days" in page) == (name == "gone")
        assert plain_card(each._card())
    for name, chart in (("beat", "daily_peaks"), ("count", "retention")):
        with pytest.raises(ReportError, match="has no"):
            made[name].chart(chart)


def test_the_default_period_is_that_of_the_lake(lake: AuditLake) -> None:
    """``report_period`` of lake.toml is how far a report goes back whose policy keeps nothing."""
    config = lake.layout.config.read_text()
    lake.layout.config.write_text(config.replace('# report_period = "90d"', 'report_period = "7d"'))
    other = AuditLake(lake.layout.root, clock=lambda: NOW)
    lake.layout.config.write_text(config)

    since = [each.report.since for each in other.reports("beat", "keep", pages=False)]
    assert since == [NOW - timedelta(days=7), NOW - timedelta(days=30)]
    assert other.policies.sql("beat")[0].parameters["since"] == NOW - timedelta(days=7)


def test_statistics_and_plans_name_what_is_left_out(lake: AuditLake) -> None:
    """Statistics have a status of the thresholds alone; types that nobody keeps or asks about are named and counted."""
    found, plan = lake.statistics(), lake.retention.plan()

    assert {each.policy_id: (each.status, each.window, each.threshold) for each in found.policies} == {
        "count": ("violation", "24h", 2),
        **dict.fromkeys(["beat", "cover", "gone", "keep", "limit"], (None, None, None)),
    }  # fmt: skip
    # Questions of other tests are on record in the same lake.
    own = {name: number for name, number in found.events_by_type.items() if name == "audit_log_access"}
    left = {"api_call": 6, **own, "config_change": 3, "data_export": 1}
    assert (found.kept_by_no_policy, found.asked_by_no_policy) == (left, {**own, "data_export": 1})
    assert plan.as_dict()["kept_by_no_policy"] == left
    assert plan.as_dict()["asked_by_no_policy"] == {**own, "data_export": 1}
    for name, number in left.items():
        assert f"{name} ({number})" in plain_card(plan._card())
    assert (plan.due, plan.never_expire - sum(own.values()), plan.pseudonymise) == (1, 10, 2)


def test_the_desk(lake: AuditLake) -> None:
    """The views have null for what a policy does not ask, and a question names the types that no policy keeps."""
    with session(lake, clock=lambda: NOW) as desk:
        asked = "from policies select policy_id, alert_threshold, window_length, retention_period order by all"
        nothing = (None, None, None)
        assert desk.sql(asked).fetchall() == [
            ("beat", *nothing), ("count", 2, "24h", None), ("cover", *nothing), ("gone", *nothing),
            ("keep", None, None, "30d"), ("limit", *nothing),
        ]  # fmt: skip
        asked = "from retention_status select policy_id, status, due where due is null or due > 0 order by all"
        assert [row[0] for row in desk.sql(asked).fetchall()] == ["beat", "count", "cover", "gone", "keep", "limit"]
        rows = desk.sql(chosen(questions(lake.layout), "types_without_policy").sql).fetchall()
        assert [row[:3] for row in rows] == [
            ("api_call", 6, True), ("config_change", 3, True), ("data_export", 1, False),
        ]  # fmt: skip


def test_other_verbs(lake: AuditLake, tmp_path: Path) -> None:
    """Thresholds can be tried on a policy that has none; packs, lists and the predecessor's form can do without one."""
    tried = lake.backtest("beat", thresholds=[1, 2])
    assert [each.episodes for each in tried.tried] == [1, 5]
    assert "no threshold" in plain_card(tried._card())
    assert plain_card(lake._card())
    with ZipFile(lake.evidence("beat", tmp_path / "pack.zip").path) as pack:
        assert pack.testzip() is None
    assert as_llmguardian(lake.policies.get("beat")).alert_threshold is None
    add(lake, "again", as_llmguardian(lake.policies.get("keep")))
    assert (lake.policies.get("again").alert_threshold, str(lake.policies.get("again").retention_period)) == (
        None,
        "30d",
    )
    lake.policies.remove("again")


def test_nothing_is_known_of_an_empty_lake(tmp_path: Path) -> None:
    """Where nothing was received nobody is compliant; LLMGuardian's monitor knows two answers, as it always did."""
    with AuditMonitor(audit_dir=tmp_path, clock=lambda: NOW) as monitor:
        assert {each.status for each in monitor.lake.statistics().policies} == {"no_data"}
        status = monitor.get_audit_statistics()["policy_status"].values()
        assert {each["status"] for each in status} == {"compliant"}
