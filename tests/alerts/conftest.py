"""What the tests of alerts share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auditlake.alerts import watch
from tests.alerts.lakes import Play
from tests.lakes import create


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake to copy."""
    path = tmp_path_factory.mktemp("template") / "lake"
    create(path)
    return path


Make = Callable[..., Play]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let evaluators look again at once."""
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(watch, "_ASK_SECONDS", 0.01)


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
