"""The command line in this process, where nobody answers."""

from __future__ import annotations

from io import StringIO

import pytest

from tests.cli.conftest import Run, run  # noqa: F401 - a fixture


@pytest.fixture
def unanswered(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:  # noqa: F811
    """`auditlake` with nobody at the terminal."""
    monkeypatch.setattr("sys.stdin", StringIO())
    return run
