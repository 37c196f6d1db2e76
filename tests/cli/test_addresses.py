"""An address of no bucket in the place of a lake is refused in words by every verb that takes a lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize("verb", [
    "init", "ingest -", "log --event-type login", "report", "verify", "doctor", "sql select", "pack list",
    "pack show gdpr", "source list", "policy list", "nightly", "collect", "backup there",
])  # fmt: skip
def test_addresses(verb: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the option and in the environment; nothing is made."""
    words = verb.split()
    options = run("--lake", "S3://bucket/lake", *words)
    monkeypatch.setenv("AUDITLAKE_LAKE", "gcs://bucket/lake")
    environment = run(*words)
    for done in (options, environment):
        assert (done.out, done.code) == ("", 3)
        assert "expected s3://, gs:// or az://" in done.err
    assert list(tmp_path.iterdir()) == []
