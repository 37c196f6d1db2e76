"""The page on verification tells the truth: its commands, run as they stand, pass a good lake and no other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from auditlake import AuditLake
from tests.store.lakes import copied, opened, write_events
from tests.verify.lakes import rows_in, write_day

PAGE = (Path(__file__).resolve().parents[2] / "auditlake" / "verify" / "README.md").read_text(encoding="utf-8")
_BLOCK = r"(?ms)^```%s\n(.*?)^```"
SH, PYTHON, SQL = (re.findall(_BLOCK % language, PAGE) for language in ("sh", "python", "sql"))
pytestmark = pytest.mark.skipif(
    None in {shutil.which("openssl"), shutil.which("sha256sum")}, reason="openssl or sha256sum is not here"
)


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of it, whose public key and checkpoint are kept."""
    lake = opened(copied(template, tmp_path / "la[k]e *"))
    kept = tmp_path / "kept"
    kept.mkdir()
    shutil.copy(lake.layout.ledger / "key.pub", kept)
    shutil.copy(lake.layout.ledger / "checkpoint", kept)
    return lake


def failing(lake: AuditLake, folder: Path, steps: Sequence[str] = ("names", "signature", "tree", "rows")) -> list[str]:
    """The first of these steps of the page that fails."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    environment = {**os.environ, "LAKE": str(lake.layout.root), "KEPT": str(folder / "kept")}
    isolated = [sys.executable, "-I", "-S", "-c"]
    commands: dict[str, list[list[str]]] = {
        "names": [["sh", "-e", "-c", SH[0]]],
        "signature": [["sh", "-e", "-c", SH[1]]],
        "tree": [[*isolated, PYTHON[0], str(lake.layout.root), str(folder / "kept" / "checkpoint")]],
        "rows": [[sys.executable, "-c", "import duckdb, sys; duckdb.execute(sys.argv[1])", SQL[0]],
                 [*isolated, PYTHON[1], str(lake.layout.root)]],
    }  # fmt: skip
    for step in steps:
        for command in commands[step]:
            if subprocess.run(command, cwd=work, env=environment, capture_output=True, check=False).returncode:
                return [step]
    return []


def test_a_good_lake(lake: AuditLake, tmp_path: Path) -> None:
    """A lake of ingests, a compaction, a deletion and an erasure passes every step, and so does its continuation."""
    assert failing(lake, tmp_path) == []
    lake.ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))
    assert failing(lake, tmp_path) == []


def test_the_page_from_top_to_bottom(lake: AuditLake, tmp_path: Path) -> None:
    """The blocks run one after the other in one shell, with relative paths, and leave nothing in the lake."""
    work = tmp_path / "work"
    work.mkdir()
    work.joinpath("tree.py").write_text(PYTHON[0])
    before = sorted(lake.layout.root.rglob("*"))
    script = "\n".join([*SH[:2], f'"{sys.executable}" -I -S tree.py "$LAKE" "$KEPT/checkpoint"'])
    environment = {**os.environ, "LAKE": os.path.relpath(lake.layout.root, work), "KEPT": "../kept"}

    subprocess.run(["sh", "-e", "-c", script], cwd=work, env=environment, capture_output=True, check=True)
    assert sorted(lake.layout.root.rglob("*")) == before
    assert {each.name for each in work.iterdir()} >= {"text", "signature", "files.csv", "parts.csv"}


def data(lake: AuditLake) -> None:
    """Change a byte of a data file."""
    path = lake.layout.events / lake.snapshot().files[-1].path
    path.write_bytes(path.read_bytes()[:-9] + b"x" + path.read_bytes()[-8:])


def signature(lake: AuditLake) -> None:
    """Sign with another key."""
    lake.ledger.rotate_key()


def checkpoint(lake: AuditLake) -> None:
    """Change the text that was signed."""
    path = lake.layout.ledger / "checkpoint"
    path.write_text(path.read_text().replace("auditlake/version ", "auditlake/version 1"))


def entries(lake: AuditLake) -> None:
    """Change an entry."""
    (path,) = lake.layout.ledger.glob("tile/entries/*/*")
    path.write_bytes(path.read_bytes().replace(b"append", b"report"))


def log(lake: AuditLake) -> None:
    """Change a log entry."""
    path = lake.layout.commit(3)
    path.write_text(path.read_text().replace("compact", "cOmpact").replace("ingest", "iNgest"))


@pytest.mark.parametrize(
    ("attack", "found"),
    [(data, "names"), (signature, "signature"), (checkpoint, "signature"), (entries, "tree"), (log, "tree")],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_attacks(attack: Callable[[AuditLake], None], found: str, lake: AuditLake, tmp_path: Path) -> None:
    """Each step finds what it is there to find."""
    attack(lake)

    assert failing(lake, tmp_path) == [found]


def test_a_lake_set_back(lake: AuditLake, tmp_path: Path) -> None:
    """A lake that is older than the kept checkpoint is not its continuation."""
    before = copied(lake.layout.root, tmp_path / "before")
    lake.ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))
    shutil.copy(lake.layout.ledger / "checkpoint", tmp_path / "kept")

    assert failing(opened(before), tmp_path) == ["tree"]


def test_changed_rows(lake: AuditLake, tmp_path: Path) -> None:
    """Rows that are not those that were appended are found, whatever their file is called."""
    assert failing(lake, tmp_path) == []
    file = lake.snapshot().files[-1]
    other = write_day(lake, file.day, [{**row, "user_id": "somebody"} for row in rows_in(lake, file)])
    (lake.layout.events / other.path).rename(lake.layout.events / file.path)

    assert failing(lake, tmp_path, ("rows",)) == ["rows"]
