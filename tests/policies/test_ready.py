"""The ready policies: they load, say what they need, pass their tests; those of the starter set are quiet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

import auditlake
from auditlake.analysis.policy_tests import check_policies
from auditlake.cli import cli
from auditlake.errors import PolicyNotFoundError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.policies.files import READY, SETS, ready_names, ready_or_file
from auditlake.policies.loader import load_policies
from tests.lakes import create
from tests.retention.lakes import put_policies
from tests.sources.pieces import SHARED

REAL = SHARED / "data" / "real"
POLICIES = load_policies(READY, frozenset(BUILT_IN_TYPES))


def test_their_own_tests() -> None:
    """Each has a test that finds something and one that finds nothing, and all of them pass."""
    for policy in POLICIES:
        episodes = [test.expect.get("episodes") for test in policy.tests]
        assert (0 in episodes, any(episodes)) == (True, True), policy.id
    assert [each for each in check_policies(POLICIES) if not each.passed] == []


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real logs are not here: {REAL}")
def test_on_real_logs(tmp_path: Path) -> None:
    """On attacks against real accounts three of them find what was done, and none fails or finds anything else."""
    lake = create(tmp_path / "lake", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    put_policies(lake, {policy.id: policy.text for policy in POLICIES})
    lake.ingest(REAL / "cloudtrail" / "stratus", REAL / "okta")
    made = lake.reports(since="2022-01-01", pages=False)
    assert {each.policy_id: len(each.findings) for each in made if each.status != "compliant"} == {
        "logging_off": 3, "new_admin": 1, "refused_access": 1,
    }  # fmt: skip


def test_they_keep_nothing() -> None:
    """None of them keeps events, makes them due, or asks that events of a type come."""
    kept = [(policy.retention_period, policy.max_retention, policy.max_gap, policy.coverage) for policy in POLICIES]
    assert set(kept) == {(None, None, None, "optional")}


def test_they_are_added_by_name(tmp_path: Path) -> None:
    """``policy list --ready`` names all, and those of the starter set; ``policy add`` takes one by its name."""
    lake = auditlake.create(tmp_path / "lake")
    run = ["--lake", str(tmp_path / "lake"), "policy"]
    listed = CliRunner().invoke(cli, [*run, "list", "--ready"]).output
    assert all(policy.id in listed and policy.description in listed for policy in POLICIES)
    assert listed.count("has it") == len(SETS["starter"]) == len(lake.policies.all())
    assert CliRunner().invoke(cli, [*run, "add", "new_admin"]).exit_code == 0
    assert lake.policies.get("new_admin").text == (READY / "new_admin.yaml").read_text()


def test_a_name_that_is_none() -> None:
    """The nearest ready policy is suggested, or all are named."""
    with pytest.raises(PolicyNotFoundError, match="'loging_off'") as caught:
        ready_or_file("loging_off")
    assert caught.value.hint == "did you mean logging_off?"
    with pytest.raises(PolicyNotFoundError) as caught:
        ready_or_file("x.yaml")
    assert caught.value.hint == f"there are: {', '.join(ready_names())}"


def test_the_page_names_them() -> None:
    """The table of the documentation has each of them."""
    page = Path(auditlake.__file__).parent / "docs/reference/policies.md"
    section = page.read_text().partition("## Ready policies")[2].partition("\n## ")[0]
    assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == [
        *(file.stem for file in SETS["starter"]),
        "many_addresses", "new_country", "dormant_account", "mass_download", "new_admin", "unusual_volume",
    ]  # fmt: skip
    assert len(ready_names()) == 12
