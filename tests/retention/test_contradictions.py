"""A whole event must go after some time: it goes unless another policy keeps it, and that is a contradiction."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.errors import ReportError
from auditlake.policies.deleted_days import deletion_of
from auditlake.store.deltalog import Commits
from tests.cli.conftest import Run
from tests.retention.lakes import DAY, MIDNIGHT, NOW, US, Clock, bring, ids, made, policy_text, put_policies, record
from tests.templates import copy_of

GONE = """name: Gone
description: Contract
required_events: [login, logout, api_call]
coverage: optional
alert_threshold: 1000
retention_period: 1d
max_retention: {longest: 3d, of: event}
clause: Contract 7
basis: by_risk
"""
ENDS = GONE.replace("retention_period: 1d\n", "").replace("api_call", "data_export")
KIND = "retention_contradiction"


def opposed(folder: Path) -> None:
    """Make a lake in which events must be gone after three days: some are kept for ten, and some not at all."""
    policies = {"ends": ENDS.replace("[login, ", "["), "gone": GONE, "ten": policy_text(["login"], "10d")}
    lake = made(folder / "lake", policies)
    events = [record(n, NOW - n * DAY, ("login", "logout")[n % 2]) for n in range(12)]
    events += [record(20, MIDNIGHT - 2 * DAY - US, "data_export"), record(21, MIDNIGHT - 2 * DAY, "data_export")]
    bring(lake, events)


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A copy of it."""
    return AuditLake(copy_of(opposed, tmp_path) / "lake", clock=Clock(NOW))


def test_what_nobody_keeps_goes_and_never_late(lake: AuditLake, run: Run) -> None:
    """It goes on the day on which it must; what is kept for longer stays, and its policy's name is in the plan."""
    plan = lake.retention.plan()
    due = {name for each in plan.partitions for name in each.due}
    shown = run("--lake", lake.layout.root, "retention", "plan", "--as-of", NOW.isoformat()).out

    assert ({(each.event_type, each.keep_policy, each.of) for each in plan.conflicts}, due) == (
        {("login", "ten", "event")}, {"ends", "gone"},
    )  # fmt: skip
    assert "contradiction over login: gone limits the event to 3d (Contract 7, by risk), ten needs" in shown
    assert (plan.kept_by_no_policy, plan.never_expire) == ({}, 0)
    applied = lake.retention.apply(accept_weaker="tests")
    assert ids(lake) == ["e0", "e1", "e10", "e2", "e21", "e4", "e6", "e8"]
    certificate = json.loads((lake.layout.certificates / f"{applied.certificate}.json").read_text())
    (ends,) = (each for each in certificate["rules"] if each["id"] == "ends")
    assert (ends["max_retention"], ends["max_retention_of"], ends["deleted"]) == ("3d", "event", 1)
    page = (lake.layout.certificates / f"{applied.certificate}.html").read_text()
    assert "the event for at most 3 days" in page
    commits = Commits(lake.layout, lake.snapshot().version)
    deletion = deletion_of(next(commit for _, commit in commits.of_retention()))
    assert deletion is not None
    assert [deletion.keeps(name) // 86_400_000_000 for name in ("data_export", "login", "logout")] == [2, 10, 1]
    assert lake.ledger.verify().ok


def test_it_is_a_finding_until_somebody_accepts_it(lake: AuditLake) -> None:
    """The report of the policy whose events must go has it; the other one's report lists it among the conflicts."""
    gone, ten = lake.reports("gone", "ten")
    (found,) = (each for each in gone.findings if each.kind == KIND)

    assert (gone.status, found.about) == ("violation", "login, ten")
    assert found.message == (
        "login must be gone after 3d (Contract 7, by risk), and ten keeps it for 10d: "
        "nothing of it is deleted before that"
    )
    said = json.loads(ten.json())
    assert [each["of"] for each in said["retention"]["conflicts"]] == ["event"]
    assert "Contradictions: one policy requires" in gone.html().decode()
    with pytest.raises(ReportError, match="a max_retention of the event"):
        ten.json(form=1)
    lake.findings.accept(found.id, reason="r", owner="o", expires=NOW + 9 * DAY)
    assert lake.report("gone").status == "compliant"
    put_policies(lake, {"gone": GONE, "ten": policy_text(["login"], "3d")})
    assert not lake.report("gone").findings


def test_a_shorter_time_is_weaker(lake: AuditLake) -> None:
    """What a file said that was changed by hand is known from the ledger."""
    lake.retention.apply(accept_weaker="tests")
    lake.layout.policy("ends").write_text(ENDS.replace("[login, ", "[").replace("3d", "2d"))
    assert lake.retention.plan().weaker == ("events of data_export were kept for 3d (ends) and are kept for 2d (ends)",)
