"""What the tests of faults and kills share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.lakes import BEFORE, made, write_events


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake of two ingests, and an input ``new.jsonl`` of which half is new and one line is bad."""
    folder = tmp_path_factory.mktemp("files")
    lake = made(folder / "lake")
    lake.ingest(write_events(folder / "first.jsonl", range(0, 6, 2)))
    lake.ingest(write_events(folder / "second.jsonl", BEFORE))
    write_events(folder / "new.jsonl", range(3, 12), bad=1)
    return folder
