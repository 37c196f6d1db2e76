"""Drafts of policies say what was usual, ask for more than that, and pass their own tests."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.analysis.policy_tests import check_policies
from auditlake.errors import PolicyError
from auditlake.testing import NOW, events, make_lake, make_policy

HOSTILE = "mal\nlory: [\x1b[31m"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """Sixty days on which ana reads twice and ben ten times, one of them with a burst; alerts name nobody."""
    made = make_lake(tmp_path_factory.mktemp("draft") / "lake", policies="none")
    first = NOW - timedelta(days=60)
    made.ingest([
        *(each for day in range(60) for each in (
            *events("data_access", first + timedelta(days=day), count=2, every="1min", user_id="ana"),
            *events("data_access", first + timedelta(days=day), count=10, every="1min", user_id="ben"),
        )),
        *events("data_access", first + timedelta(days=7, hours=1), count=300, every="1s", user_id=HOSTILE),
        *events("security_alert", first, count=5, every="9d"),
        *events("login", NOW - timedelta(days=400), count=50),
    ])  # fmt: skip
    return made


def test_usual(lake: AuditLake) -> None:
    """The newest 90 days are looked at, each type by itself."""
    reads, alerts = lake.policies.usual()

    assert (reads.event_type, reads.events, reads.days, reads.usual, reads.busiest) == (
        "data_access",
        1020,
        60,
        12,
        312,
    )
    assert reads.silence == timedelta(days=1, minutes=-9).total_seconds()
    assert (alerts.event_type, alerts.events, alerts.days, alerts.usual) == ("security_alert", 5, 5, 1)


def test_a_threshold_above_what_was_usual(lake: AuditLake) -> None:
    """It is passed by the burst and by no usual day; the draft passes its own tests, whatever users are called."""
    drafted = lake.policies.draft("data_access")
    policy = make_policy(drafted.text)

    assert (policy.alert_threshold, policy.group_by, policy.coverage) == (21, ("user_id",), "required")
    assert policy.retention_period is None
    assert "at most 10; the most were 300" in drafted.text
    assert "Findings in these days: 1 from 21 on, 1 from 42 on, 1 from 105 on, 1 from 210 on." in drafted.text
    assert len(lake.backtest(policy, thresholds=[21], last="90d").tried) == 1
    assert [each.differences for each in check_policies([policy])] == [(), ()]
    assert drafted.no_data == ()


def test_without_users_all_count_together(lake: AuditLake) -> None:
    """A type that names nobody is counted as a whole, and one that is rare is not missed."""
    policy = make_policy(lake.policies.draft("security_alert").text)

    assert (policy.alert_threshold, policy.group_by, policy.coverage) == (3, (), "proven")


def test_no_data(lake: AuditLake) -> None:
    """What the lake has no event of is said, and asks for nothing that would be missing."""
    drafted = lake.policies.draft("data_access", "login")
    alone = lake.policies.draft("login")

    assert drafted.no_data == alone.no_data == ("login",)
    assert "- login    # no data" in drafted.text
    assert {make_policy(each.text).coverage for each in (drafted, alone)} == {"optional"}


@pytest.mark.parametrize(("types", "hint"), [(("logn",), "did you mean login?"), ((), "name what it is about")])
def test_refused(lake: AuditLake, types: tuple[str, ...], hint: str) -> None:
    """A type that the lake does not know is named with the nearest one."""
    with pytest.raises(PolicyError) as caught:
        lake.policies.draft(*types)
    assert caught.value.hint == hint


def test_an_empty_lake(tmp_path: Path) -> None:
    """A lake without an event gives a draft that guesses."""
    empty = make_lake(tmp_path / "lake", policies="none")

    assert empty.policies.usual() == ()
    assert empty.policies.draft("login").no_data == ("login",)
