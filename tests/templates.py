"""Folders that are made once in a process and copied for each test: a copy costs a hundredth of an ingest."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path


def copy_of(build: Callable[[Path], object], folder: Path) -> Path:
    """Fill a folder with what a function builds in an empty one; copies of a lake have one id.

    Args:
        build: Makes it. Paths within the lake's own records are those of the folder where it was made.
        folder: Where the copy goes.
    """
    return shutil.copytree(_built(build), folder, dirs_exist_ok=True)


@cache
def _built(build: Callable[[Path], object]) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="auditlake-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build(folder)
    return folder
