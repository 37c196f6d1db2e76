"""What the tests of verification share: the lake with everything, and the command line in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditlake import AuditLake
from tests.cli.conftest import run
from tests.store.lakes import copied, opened
from tests.verify.lakes import full_lake

__all__ = ["run"]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake with everything."""
    with pytest.MonkeyPatch.context() as patch:
        return full_lake(tmp_path_factory.mktemp("full"), patch).layout.root


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of it."""
    return opened(copied(template, tmp_path / "lake"))
