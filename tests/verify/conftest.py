"""What the tests of verification share: the lake with everything, and the command line in this process."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from auditlake import AuditLake
from tests.cli.conftest import run
from tests.lakes import FORMS
from tests.store.lakes import copied, opened, write_events
from tests.verify.lakes import full_lake

__all__ = ["run"]

HERE = Path(__file__).parent
NOT_OF_PARTS = frozenset({
    "test_repairs", "test_whatever_is_thrown_is_told", "test_no_way_to_the_key", "test_hostile_log_entries",
    "test_what_a_dead_writer_left", "test_writers_at_work", "test_changed_holds_are_told",
    "test_a_lost_key_of_the_pseudonyms",
})  # fmt: skip
"""Tests of what does not depend on the form of parts: those on the older form are long ones."""
INSIDE = ("commits", "upgraded")
"""The lakes whose commits hold the ledger's entries: tests on them are long ones."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them."""
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent == HERE and hasattr(item, "callspec"):
            form = item.callspec.params.get("template")
            if form in INSIDE or (form == "days" and item.originalname in NOT_OF_PARTS):
                item.add_marker(pytest.mark.soak)


@pytest.fixture(scope="session", params=[*FORMS, "upgraded"])
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake with everything: a batch has a part for each class of a day, or one for the day, as it had earlier; the
    ledger's entries lie inside the commits from the beginning, or from the end of these on, or beside them.
    """
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch, FORMS.get(request.param, nullcontext)():
        lake = full_lake(folder, patch)
        if request.param == "upgraded":
            lake.ledger.upgrade()
            lake.ingest(write_events(folder / "more.jsonl", range(44, 48)))
        return lake.layout.root


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of it."""
    return opened(copied(template, tmp_path / "lake"))
