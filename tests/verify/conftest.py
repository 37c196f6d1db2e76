"""What the tests of verification share: the lake with everything, and the command line in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditlake import AuditLake
from tests.cli.conftest import run
from tests.lakes import FORMS
from tests.store.lakes import copied, opened
from tests.verify.lakes import full_lake

__all__ = ["run"]

HERE = Path(__file__).parent
NOT_OF_PARTS = frozenset({
    "test_repairs", "test_whatever_is_thrown_is_told", "test_no_way_to_the_key", "test_hostile_log_entries",
    "test_what_a_dead_writer_left", "test_writers_at_work", "test_changed_holds_are_told",
    "test_a_lost_key_of_the_pseudonyms",
})  # fmt: skip
"""Tests of what does not depend on the form of parts: those on the older form are long ones."""
OF_COMMITS = frozenset({"test_damaged_files", "test_a_version_of_another_program", "test_a_kept_checkpoint"})
"""Tests of lakes whose commits hold the ledger's entries that are short ones."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them."""
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent == HERE:
            is_long = item.originalname in NOT_OF_PARTS if "[days" in item.name else item.originalname not in OF_COMMITS
            if is_long and ("[days" in item.name or "[commits" in item.name):
                item.add_marker(pytest.mark.soak)


@pytest.fixture(scope="session", params=FORMS)
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake with everything: a batch has a part for each class of a day, or one for the day, as it had earlier."""
    with pytest.MonkeyPatch.context() as patch, FORMS[request.param]():
        return full_lake(tmp_path_factory.mktemp(request.param), patch).layout.root


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of it."""
    return opened(copied(template, tmp_path / "lake"))
