"""One lake and one session for the tests that change neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import auditlake
from auditlake.sandbox.selfcheck import Holds, examine
from auditlake.sandbox.session import AuditSession
from tests.sandbox.lakes import SECRET, make_lake, session
from tests.waiting import HANG_SECONDS


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> auditlake.AuditLake:
    """A lake, and beside it a folder ``out`` with a secret."""
    folder = tmp_path_factory.mktemp("desk")
    out = folder / "out"
    out.mkdir()
    (out / "secret.txt").write_text(SECRET)
    (out / "secret.csv").write_text(f"a,b\n1,{SECRET}\n")
    return make_lake(folder / "lake", settings=f"seconds = {HANG_SECONDS}")


@pytest.fixture(scope="session")
def out(lake: auditlake.AuditLake) -> Path:
    """The folder beside the lake."""
    return lake.layout.root.parent / "out"


@pytest.fixture(scope="session")
def desk(lake: auditlake.AuditLake) -> Iterator[AuditSession]:
    """A session with the whole sandbox on."""
    with session(lake) as opened:
        yield opened


@pytest.fixture(scope="session")
def layers() -> tuple[Holds, ...]:
    """What doctor finds out of this machine."""
    return examine()
