"""The notebooks run top to bottom on the demo lake, and on real CloudTrail where that is; git keeps no outputs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.demos import copy_demo
from tests.notebook.strip import NOTEBOOKS, stripped

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
NAMES = [path.name for path in NOTEBOOKS]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a checkout is after `make demo`."""
    folder = tmp_path_factory.mktemp("work") / "auditlake"
    copy_demo(folder, tmp_path_factory)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    return folder


@pytest.mark.filterwarnings("default")  # those of Jupyter are not ours
def test_run(checkout: Path) -> None:
    """Every cell of every notebook runs, one after the other in one kernel that forgets the names in between."""
    books = [nbformat.read(checkout / "notebooks" / name, as_version=4) for name in NAMES]
    whole = nbformat.v4.new_notebook()
    for book in books:
        whole.cells += [nbformat.v4.new_code_cell("%reset -sf"), *book.cells]
    judge(whole, books, checkout, pictures=2)


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("default")
def test_runs(checkout: Path, name: str) -> None:
    """Each notebook runs in a kernel of its own, also with the shared data where that is there."""
    if SHARED.is_dir() and not (checkout.parent / "shared").exists():
        (checkout.parent / "shared").symlink_to(SHARED)
    book = nbformat.read(checkout / "notebooks" / name, as_version=4)
    judge(book, [book], checkout, pictures=3 if SHARED.is_dir() else 2)


def judge(whole: nbformat.NotebookNode, books: list[nbformat.NotebookNode], checkout: Path, *, pictures: int) -> None:
    """Run a notebook: nothing is written to the error stream, and each book in it has pictures to look at."""
    client = NotebookClient(whole, timeout=None, resources={"metadata": {"path": str(checkout / "notebooks")}})
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
    for book in books:
        outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
        assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
        assert len([output for output in outputs if "image/svg+xml" in output.get("data", {})]) >= pictures


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
