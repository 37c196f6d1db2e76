"""One lake, one desk at it, and one session there, for the tests that change none of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import auditlake
from auditlake.desk.client import DeskSession
from tests.desk.desks import EVERYTHING, Listening, listening, set_desk
from tests.sandbox.lakes import SECRET, make_lake
from tests.waiting import HANG_SECONDS


@pytest.fixture(scope="package")
def lake(tmp_path_factory: pytest.TempPathFactory) -> auditlake.AuditLake:
    """A lake, and beside it a folder ``out`` with a secret."""
    folder = tmp_path_factory.mktemp("listen")
    out = folder / "out"
    out.mkdir()
    (out / "secret.txt").write_text(SECRET)
    (out / "secret.csv").write_text(f"a,b\n1,{SECRET}\n")
    lake = make_lake(folder / "lake")
    (lake.layout.root / "auditor.yaml").write_text(EVERYTHING)
    set_desk(lake, seconds=HANG_SECONDS, sessions=4, sessions_per_account=3, threads=1)
    return lake


@pytest.fixture(scope="package")
def desk(lake: auditlake.AuditLake) -> Iterator[Listening]:
    """A desk in a process of its own, in a folder that other accounts can enter: those of pytest are not."""
    with TemporaryDirectory(prefix="auditlake-desk-") as folder:
        Path(folder).chmod(0o755)
        with listening(lake, Path(folder, "s")) as opened:
            yield opened


@pytest.fixture(scope="package")
def session(desk: Listening) -> Iterator[DeskSession]:
    """A session there."""
    with auditlake.audit_session(desk.path) as opened:
        yield opened
