"""Small inputs that were once read wrongly, as users have them; they are read where they lie."""

from __future__ import annotations

import json
import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.ingest.lakes import checked, ids, kept, login, made
from tests.sources.pieces import SHARED

FAULTS = SHARED / "data" / "faults"

# The file; how many events land; how many records are quarantined.
INPUTS = {
    "catted.json.gz": (4, 0),
    "frames_then_zeros.jsonl.zst": (30, 1),
    "long_first.jsonl": (2, 0),
    "pzstd.jsonl.zst": (3, 0),
    "empty_array.json": (0, 0),
    "logs.tar.gz": (6, 0),
}


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the failing inputs are not on this machine")
def test_inputs_that_failed(tmp_path: Path) -> None:
    """Each of them is read as its README says, and what of it is damaged is kept with its bytes."""
    for name, (landed, quarantined) in INPUTS.items():
        path, lake = FAULTS / name, made(tmp_path / name)
        summary = checked(lake, lake.ingest(path))
        assert (name, summary.landed, summary.quarantined) == (name, landed, quarantined)
        assert not summary.nothing_read
        for each in kept(summary):
            assert each.data == path.read_bytes()[-len(each.data) :]
            assert each.data


EVENT = {"eventVersion": "1.08", "eventSource": "s3.amazonaws.com", "eventName": "x", "awsRegion": "y"}


def trail(*numbers: int) -> list[dict[str, str]]:
    return [EVENT | {"eventID": f"c{n}", "eventTime": "2026-11-24T00:00:00Z"} for n in numbers]


def test_documents_and_lines_that_touch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put together without anything between lands whole, from files and from standard input."""
    lake, mark = made(tmp_path / "lake"), "\ufeff"
    texts = {
        "zcat": "".join(json.dumps({"Records": trail(n, n + 1)}) for n in (1, 3)),
        "firehose": "".join(map(json.dumps, trail(5, 6, 7))),
        "arrays": json.dumps(trail(8)) + mark + json.dumps(trail(9)),
        "laid out": "".join(json.dumps(each, indent=2) for each in trail(10, 11)),
        "lines": login(1) + login(2) + "\n" + login(3) + "\r\n" + mark + login(4) + " " + mark + login(5),
        "no newline at the end of a file": login(6) + "\n" + login(7) + login(8) + "\n" + login(9),
    }
    for name, text in texts.items():
        (tmp_path / "x").write_text(text)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(text.encode())))
        summary = lake.ingest("-")
        assert (name, summary.quarantined, lake.ingest(tmp_path / "x").landed) == (name, 0, 0)
    assert ids(lake) == {f"c{n}": 1 for n in range(1, 12)} | {f"e{n}": 1 for n in range(1, 10)}
