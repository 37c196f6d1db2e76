"""``auditlake export``: lines or Parquet, to a file or a pipe, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import auditlake
from auditlake import AuditLake
from auditlake.testing import event
from tests.cli.conftest import Run
from tests.lakes import make_lake


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of two events."""
    made = make_lake(tmp_path_factory.mktemp("two") / "lake")
    made.ingest([event("login", user_id="ann", event_id="a"), event("api_call", user_id="bob\x1b[2J", event_id="b")])
    return made.layout.root


@pytest.fixture
def lake(two: Path, run: Run, tmp_path: Path) -> AuditLake:
    """The same, where the command line looks for it."""
    return auditlake.open(shutil.copytree(two, tmp_path / "lake"))


def test_lines_into_a_pipe(run: Run, lake: AuditLake) -> None:
    """Without --out the lines are all that is printed, and none has a control character."""
    done = run("export", "--ocsf", "1.8.0")
    found = [json.loads(line) for line in done.out.splitlines()]

    assert (done.code, done.err, "\x1b" in done.out) == (0, "", False)
    assert [each["actor"]["user"]["uid"] for each in found] == ["ann", "bob\x1b[2J"]
    assert {each["metadata"]["version"] for each in found} == {"1.8.0"}


def test_into_a_file(run: Run, lake: AuditLake, tmp_path: Path) -> None:
    """--out writes a file, Parquet by its name or by --parquet, and the summary says what of which snapshot."""
    lines = run("export", "--ocsf", "1.9.0", "--out", "x.jsonl", "--user-id", "ann")
    parquet = run("export", "--ocsf", "1.9.0", "--out", "x.PARQUET", "--json")
    also = run("export", "--ocsf", "1.9.0", "--out", "y", "--parquet", "--event-type", "api_call", "--quiet")

    assert lines.out == "1 event as OCSF 1.9.0 in x.jsonl, of snapshot 1\n"
    assert json.loads((tmp_path / "x.jsonl").read_text())["class_uid"] == 3002
    assert parquet.json == {"events": 2, "ocsf": "1.9.0", "snapshot": 1, "out": "x.PARQUET"}
    assert pq.read_table(tmp_path / "x.PARQUET")["class_uid"].to_pylist() == [3002, 6003]
    assert (also.out, pq.read_table(tmp_path / "y").num_rows) == ("", 1)


@pytest.mark.parametrize(("arguments", "said"), [
    ((), "Missing option '--ocsf'"),
    (("--ocsf", "1.7.0"), "'1.7.0' is not one of '1.8.0', '1.9.0'"),
    (("--ocsf", "1.8.0", "--parquet"), "expected --out FILE"),
    (("--ocsf", "1.8.0", "--json"), "expected --out FILE"),
    (("--ocsf", "1.8.0", "--out", "lake"), "is there and is no file"),
    (("--ocsf", "1.8.0", "--out", "kept"), "--force overwrites it"),
    (("--ocsf", "1.8.0", "--out", "none/x"), "there is no folder none"),
    (("--ocsf", "1.8.0", "--since", "soon"), "Invalid value for '--since'"),
])  # fmt: skip
def test_bad_usage(run: Run, lake: AuditLake, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Bad usage ends with exit code 2, says what was expected, and touches no file."""
    (tmp_path / "kept").write_text("kept")
    done = run("export", *arguments)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert (tmp_path / "kept").read_text() == "kept"


def test_what_the_lake_refuses(run: Run, lake: AuditLake, tmp_path: Path) -> None:
    """An unknown event type, and a snapshot that is not there, end with exit code 3 and one line; no file is made."""
    unknown = run("export", "--ocsf", "1.8.0", "--event-type", "logn", "--out", "x")
    later = run("export", "--ocsf", "1.8.0", "--snapshot", "7", "--out", "x")

    assert (unknown.code, later.code) == (3, 3)
    assert "did you mean login" in unknown.err
    assert "no snapshot 7" in later.err
    assert not (tmp_path / "x").exists()
