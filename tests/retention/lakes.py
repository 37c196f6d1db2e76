"""Small lakes with policies of a few days, events of a number, and what a plain-Python model says of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from auditlake import AuditLake
from auditlake.testing import NOW, Clock, change_settings, set_policies
from tests.lakes import make_lake

MIDNIGHT = NOW.replace(hour=0)
US = timedelta(microseconds=1)
DAY = timedelta(days=1)
put_policies = set_policies


def policy_text(types: Iterable[str], retention: str, limit: str | None = None) -> str:
    """A policy file."""
    more = f"max_retention: {limit}\n" if limit else ""
    return (
        f"name: a policy\ndescription: Article 5\nrequired_events: [{', '.join(types)}]\n"
        f"retention_period: {retention}\nalert_threshold: 1000\ncontrols: {{GDPR: ['5(1)(e)']}}\n{more}"
    )


def made(path: Path, policies: dict[str, str] | None = None, clock: Clock | None = None, **options: Any) -> AuditLake:
    """A new lake with these policies and no others; its terms are recorded as they are."""
    return make_lake(path, policies=policies, clock=clock, **options)


def graced(lake: AuditLake, text: str) -> AuditLake:
    """The same lake with another grace."""
    return change_settings(lake, grace=text)


def record(number: int, at: datetime, kind: str = "login", **fields: Any) -> dict[str, Any]:
    """An event of a number."""
    given = {"event_id": f"e{number}", "event_type": kind, "timestamp": at.isoformat(), "user_id": f"user {number % 3}"}
    return given | fields


def bring(lake: AuditLake, records: Iterable[dict[str, Any]], name: str = "events.jsonl") -> Any:
    """Ingest events."""
    file = lake.layout.root.parent / name
    file.write_text("".join(json.dumps(each) + "\n" for each in records))
    return lake.ingest(file)


def ids(lake: AuditLake, snapshot: int | None = None) -> list[str]:
    """The ids of all events, sorted."""
    return sorted(event_id for (event_id,) in lake.sql("select event_id from events", snapshot=snapshot))


def at_work(lake: AuditLake) -> bool:
    """Whether anything of a writer that is gone lies about."""
    return any(lake.layout.staging.rglob("*"))
