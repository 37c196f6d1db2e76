"""What the tests of alerts share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import auditlake
from tests.alerts.lakes import Play


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake to copy."""
    path = tmp_path_factory.mktemp("template") / "lake"
    auditlake.create(path)
    return path


Make = Callable[..., Play]


@pytest.fixture
def make(template: Path, tmp_path: Path) -> Iterator[Make]:
    """Makes plays, and ends them."""
    plays: list[Play] = []

    def make_one(policies: dict[str, str], **options: int) -> Play:
        plays.append(Play(tmp_path / f"lake{len(plays)}", template, policies, **options))
        return plays[-1]

    yield make_one
    for play in plays:
        play.close()
