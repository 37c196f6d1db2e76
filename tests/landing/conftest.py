"""What the tests of the landing share."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.disk.layout import Layout
from tests.landing.lakes import made


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """An empty lake."""
    return made(tmp_path / "lake")


@pytest.fixture
def layout(lake: AuditLake) -> Layout:
    """Where an empty lake lies."""
    return lake.layout
