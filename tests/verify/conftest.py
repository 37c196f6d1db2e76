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
OF_PARTS = frozenset({
    "test_nothing_is_wrong", "test_rows_removed", "test_rows_changed", "test_rows_of_a_new_batch",
    "test_rows_changed_beside_erased_ones", "test_rows_that_went_and_rows_that_were_changed_twice",
    "test_every_event_has_a_proof", "test_an_erased_event_that_was_changed", "test_a_good_lake",
})  # fmt: skip
"""Tests of what depends on the form of parts: the others are long ones on the older form."""
INSIDE = ("commits", "upgraded")
"""The lakes whose commits hold the ledger's entries: tests on them are long ones."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them."""
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent == HERE and hasattr(item, "callspec"):
            form = item.callspec.params.get("template")
            if form in INSIDE or (form == "days" and item.originalname not in OF_PARTS):
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
