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


@pytest.fixture(scope="session", params=FORMS)
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake with everything: a batch has a part for each class of a day, or one for the day, as it had earlier."""
    with pytest.MonkeyPatch.context() as patch, FORMS[request.param]():
        return full_lake(tmp_path_factory.mktemp(request.param), patch).layout.root


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of it."""
    return opened(copied(template, tmp_path / "lake"))
