"""A question that looks far back knows which days have lost events, and says so of what it found."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from auditlake.policies.deleted_days import Deletion, whole_since
from auditlake.testing import NOW
from tests.retention.lakes import bring, made, policy_text, record

DAY = timedelta(days=1)
NEW = (
    "name: n\ndescription: d\nrequired_events: [login, logout]\ncoverage: optional\nwindow: 1d\n"
    "first_seen: {value: [ip_address], memory: 90d}\n"
)
FIFTH = datetime(2026, 4, 5, tzinfo=UTC)


def test_a_value_is_new_to_what_is_left(tmp_path: Path) -> None:
    """The lake has events from before what is remembered; of a day in between, the logins were deleted.

    What was deleted of other types later than that does not matter.
    """
    policies = {"kept": policy_text(["login"], "30d"), "new": NEW, "long": policy_text(["logout"], "365d")}
    policies["short"] = policy_text(["api_call"], "7d")
    lake = made(tmp_path / "lake", policies)
    bring(lake, [
        record(1, NOW - 100 * DAY, "logout", ip_address="10.0.0.9"),
        record(2, NOW - 40 * DAY, "login", ip_address="10.0.0.1"),
        record(3, NOW - timedelta(hours=2), "login", ip_address="10.0.0.1"),
        record(4, NOW - 10 * DAY, "api_call"),
    ])  # fmt: skip
    assert not lake.report("new", last="7d").report.violations
    lake.retention.apply(accept_weaker="tests")
    made_again = lake.report("new", last="7d")
    (finding,) = json.loads(made_again.json())["violations"]
    since = (NOW - 39 * DAY).date()
    assert finding["evidence"]["history_since"] == f"{since}T00:00:00.000000Z"
    assert f"since {since} 00:00" in made_again.html().decode()
    (violation,) = lake.statistics().recent_violations
    assert f"{violation.finding.evidence['history_since']:%Y-%m-%d}" == f"{since}"


@pytest.mark.parametrize(
    ("types", "after", "until", "since"),
    [
        (["login"], FIFTH - 9 * DAY, FIFTH + 9 * DAY, FIFTH + DAY),
        (["login"], FIFTH + DAY / 2, FIFTH + 9 * DAY, FIFTH + DAY),
        (["login"], FIFTH + DAY, FIFTH + 9 * DAY, None),
        (["login"], FIFTH - 9 * DAY, FIFTH, FIFTH - DAY),
        (["login"], FIFTH - 9 * DAY, FIFTH + DAY / 2, FIFTH + DAY / 2),
        (["logout"], FIFTH - 9 * DAY, FIFTH + 9 * DAY, None),
        (["logout", "login"], FIFTH - 9 * DAY, FIFTH + 9 * DAY, FIFTH + DAY),
        (["logout", "api_call"], FIFTH - 9 * DAY, FIFTH + 9 * DAY, FIFTH - 2 * DAY),
        (["model_access"], FIFTH - 9 * DAY, FIFTH + 9 * DAY, FIFTH - 4 * DAY),
    ],
    ids=range(9),
)
def test_from_when_on_all_is_there(
    types: list[str], after: datetime, until: datetime, since: datetime | None
) -> None:  # fmt: skip
    """A stretch is whole from the end of its last day that lost events of a type; what no policy keeps may be any."""
    logins = Deletion({date(2026, 4, 3): 1, date(2026, 4, 5): 1}, frozenset({"login"}))
    others = Deletion({date(2026, 4, 2): 1}, frozenset(), frozenset({"login", "logout", "model_access"}))
    first, last = date(2026, 3, 30), date(2026, 3, 31)
    dated = Deletion(dict.fromkeys((first, last, FIFTH.date()), 1), frozenset(), lost={"model_access": (first, last)})
    assert whole_since([logins, others, dated], types, after, until) == since
