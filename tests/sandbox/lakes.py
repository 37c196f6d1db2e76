"""A small lake to ask questions of, and what must never happen to it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import auditlake
from auditlake import testing
from auditlake.errors import QueryError
from auditlake.sandbox.session import Answer, AuditSession
from tests.lakes import make_lake as make_four
from tests.templates import copy_of
from tests.waiting import HANG_SECONDS

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECRET = "TOP-SECRET-7f3a"
USERS = ("alice", "bob", "carol", "dave")


def make_lake(path: Path, *, settings: str = "") -> auditlake.AuditLake:
    """A lake of ten days with 400 events of four users, two of whom fail to log in now and then."""
    copy_of(_build, path.parent)
    if settings:
        config = path / "lake.toml"
        config.write_text(f"{config.read_text()}\n[desk]\n{settings}\n")
    return auditlake.open(path, clock=testing.Clock(NOW))


def _build(folder: Path) -> None:
    make_four(folder / "lake", clock=testing.Clock(NOW)).ingest(events())


def events() -> list[auditlake.AuditEvent]:
    """The same ones each time."""
    kinds = ("login", "data_access", "auth_failure", "model_access", "data_deletion", "prompt_injection", "logout")
    made = []
    for i in range(400):
        kind = kinds[i % 7]
        made.append(
            auditlake.AuditEvent(
                kind,
                NOW - timedelta(days=10) + timedelta(minutes=36 * i),
                user_id=USERS[i % 4] if i % 50 else None,
                action=f"{kind}:run",
                resource=f"/files/{i % 9}",
                status="failure" if kind == "auth_failure" else "success",
                details={"number": i, "text": f"=HYPERLINK({i})", "list": [i, i + 1], "deep": {"key": "värde"}},
                session_id=f"s{i % 20}",
                ip_address=f"10.0.{i % 3}.{i % 11}",
                event_id=f"e{i:04d}",
            )
        )
    return made


def session(lake: auditlake.AuditLake, **options: Any) -> AuditSession:
    """Open a session of an auditor, without a deadline unless the test sets one; tests may leave out layers."""
    limits: dict[str, Any] = {"seconds": HANG_SECONDS}
    limits |= {name: options.pop(name) for name in ("seconds", "memory_mb", "rows", "output_mb") if name in options}
    config = replace(lake.config, desk=replace(lake.config.desk, **limits))
    clock = options.pop("clock", lambda: NOW)
    context = replace(lake._context, config=config, clock=clock)
    return AuditSession(context, **{"principal": "erika", **options})


def asked(of: AuditSession, statement: str) -> Answer | QueryError:
    """The answer, or the error."""
    try:
        return of.sql(statement)
    except QueryError as error:
        return error


def prints(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, but for what the parent itself writes down."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "/landing/" not in str(file)
    }
