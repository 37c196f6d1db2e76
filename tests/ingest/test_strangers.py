"""Files that lie among logs and are none: left out of a folder or pattern and named, refused where named themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditlake.errors import UnrecognisedInputError
from auditlake.store.delta import commit_metadata
from tests.ingest.lakes import checked, login, made, put

STRANGERS = {
    "README.md": "it is neither JSON nor a table with the columns of an event",
    "compliance_old_v1.json": "it looks like JSON, without the keys of an event",
    "prices.csv": "it is neither JSON nor a table with the columns of an event",
    "prices.parquet": "no column event_type and no column timestamp",
}


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with two logs and files that are none."""
    folder = tmp_path / "logs"
    folder.mkdir()
    put(folder / "a.jsonl", login(1))
    put(folder / "z.jsonl", login(2))
    (folder / "README.md").write_text("# Notes\n")
    (folder / "compliance_old_v1.json").write_text(json.dumps({"report_version": 1, "policy_id": "x"}, indent=2))
    (folder / "prices.csv").write_text("item,price\nbook,3\n")
    pq.write_table(pa.table({"item": ["book"], "price": [3]}), folder / "prices.parquet")
    return folder


@pytest.mark.parametrize("pattern", ["", "/*", "/**"])
def test_left_out_and_named(logs: Path, tmp_path: Path, pattern: str) -> None:
    """The logs land; each other file is named, with why, and the chain of custody has it as left out."""
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(f"{logs}{pattern}"))

    left_out = {Path(each.name).name: each.notice for each in summary.inputs if each.notice}
    assert (summary.landed, summary.quarantined) == (2, 0)
    assert left_out == {name: f"not recognised ({why})" for name, why in STRANGERS.items()}
    entries: Any = commit_metadata(lake.layout, 1)
    custody = {Path(each["name"]).name: each for each in entries["inputs"]}
    assert {custody[name]["format"] for name in STRANGERS} == {"unrecognised"}
    assert custody["README.md"]["size"] == 8


@pytest.mark.parametrize("name", STRANGERS)
def test_refused_where_named(logs: Path, tmp_path: Path, name: str) -> None:
    """A file that is named itself must be recognised, also if a folder that is named too holds it."""
    lake = made(tmp_path / "lake")
    for inputs in ((logs / name,), (logs, logs / name), (logs / name, logs)):
        with pytest.raises(UnrecognisedInputError, match=re.escape(name)):
            lake.ingest(*inputs)
    assert lake.snapshot().version == 0


def test_refused_under_strict(logs: Path, tmp_path: Path) -> None:
    """Under strict, nothing is left out."""
    lake = made(tmp_path / "lake")
    with pytest.raises(UnrecognisedInputError, match=r"README\.md is not recognised"):
        lake.ingest(logs, strict=True)
    assert lake.snapshot().version == 0


def test_a_folder_of_strangers(logs: Path, tmp_path: Path) -> None:
    """A folder of which nothing is recognised is an error that names what lies there, whatever else is ingested."""
    (logs / "a.jsonl").unlink()
    (logs / "z.jsonl").rename(tmp_path / "z.jsonl")
    lake = made(tmp_path / "lake")
    with pytest.raises(UnrecognisedInputError, match=r"nothing in .*logs is an input: ") as caught:
        lake.ingest(tmp_path / "z.jsonl", logs)
    assert all(name in str(caught.value) and why in str(caught.value) for name, why in STRANGERS.items())
    assert lake.snapshot().version == 0

    for i in range(30):
        (logs / f"{i}.txt").write_text("?")
    with pytest.raises(UnrecognisedInputError, match="and 14 more"):
        lake.ingest(logs)
