"""The notebooks run top to bottom on the demo lake, and on real CloudTrail where that is; git keeps no outputs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbclient import NotebookClient

from auditlake.cli import cli
from tests.notebook.strip import NOTEBOOKS, stripped

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
NAMES = [path.name for path in NOTEBOOKS]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a checkout is after `make demo`, with the shared data beside it where it is there."""
    folder = tmp_path_factory.mktemp("work") / "auditlake"
    made = CliRunner(catch_exceptions=False).invoke(cli, ["demo", str(folder / "demo")])
    assert made.exit_code == 0
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    if SHARED.is_dir():
        (folder.parent / "shared").symlink_to(SHARED)
    return folder


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("default")  # those of Jupyter are not ours
def test_runs(checkout: Path, name: str) -> None:
    """Every cell runs, nothing is written to the error stream, and there are pictures to look at."""
    book = nbformat.read(checkout / "notebooks" / name, as_version=4)
    client = NotebookClient(book, timeout=None, resources={"metadata": {"path": str(checkout / "notebooks")}})
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]

    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    pictures = [output for output in outputs if "image/svg+xml" in output.get("data", {})]
    assert len(pictures) >= (3 if SHARED.is_dir() else 2)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_kept_without_outputs(path: Path) -> None:
    """Git has a notebook as people wrote it; `python -m tests.notebook.strip` brings it back to that."""
    text = path.read_text(encoding="utf-8")

    assert text == stripped(text)


def test_listed() -> None:
    """There are four, and the list beside them names each."""
    listed = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")

    assert len(NAMES) == 4
    assert [name for name in NAMES if f"[{name}]({name})" not in listed] == []
