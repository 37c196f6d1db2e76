"""A small lake whose events are hostile to whoever shows them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

import auditlake
from auditlake import AuditEvent, AuditLake
from tests.lakes import create
from tests.templates import copy_of

AS_OF = datetime.fromisoformat("2026-11-24T12:00:00+00:00")
HOSTILE = '<script>alert("x")</script><img src=x onerror=1>\x1b[31m\u202eb\x00'


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """Forty events in two days, most of them by somebody whose name is an attack; six more are not flushed."""
    return copied(tmp_path)


def copied(folder: Path) -> AuditLake:
    """Put a copy of that lake into a folder."""
    return auditlake.open(copy_of(_build, folder) / "lake", clock=lambda: AS_OF)


def _build(folder: Path) -> None:
    lake = create(folder / "lake", clock=lambda: AS_OF)
    types = ("auth_failure", "login", "logout", "data_access")
    users = [None if n % 9 == 4 else HOSTILE if n % 3 else "ana" for n in range(40)]
    lake.ingest([
        AuditEvent(types[n % 4], AS_OF - timedelta(hours=n), user_id=user, resource=HOSTILE, event_id=f"{n:02d}",
                   status="failure" if n % 4 == 0 else "success")
        for n, user in enumerate(users)
    ])  # fmt: skip
    lake.log_many([AuditEvent("auth_failure", AS_OF, user_id="eve", status="failure") for _ in range(6)])
