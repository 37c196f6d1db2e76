"""The mapping's second version: what an earlier lake keeps, and what a remap makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.sources import catalog
from auditlake.sources.catalog import built_in, mapped_source
from tests.lakes import make_lake
from tests.sources_cloudtrail.test_cloudtrail_rules import CASES

FIRST = Path(__file__).with_name("cloudtrail_1.yaml")
"""The mapping as it was before."""
SAME = 'event_id, "timestamp", user_id, action, resource, status, session_id, ip_address, details'


def judged(lake: AuditLake) -> dict[str, tuple[str, dict[str, Any]]]:
    """Type and metadata of the events, without the name of the mapping: where no more would change, it stays."""
    found = {
        each: (kind, json.loads(metadata)) for each, (kind, metadata) in rows(lake, "event_type, metadata").items()
    }
    return {each: (kind, {**metadata, "mapping": ""}) for each, (kind, metadata) in found.items()}


def rows(lake: AuditLake, columns: str) -> dict[str, tuple[Any, ...]]:
    """The events by their ids."""
    return {row[0]: row[1:] for row in lake.sql(f"select event_id, {columns} from events")}


def test_a_lake_of_the_first_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its events stay, and are known when they come again; a remap makes of them what a new ingest would."""
    given = [each.given for each in CASES if each.columns["reason"] is None and "CloudTrailEvent" not in each.given]
    known = [each | {"eventTime": "2026-03-02T10:00:00Z", "eventID": f"e{n}"} for n, each in enumerate(given)]
    file = tmp_path / "trail.jsonl"
    file.write_text("".join(f"{json.dumps(each)}\n" for each in known))
    old = built_in().with_source(mapped_source(FIRST.read_text(encoding="utf-8"), FIRST.name))
    with monkeypatch.context() as earlier:
        earlier.setattr(catalog, "built_in", lambda: old)
        lake = make_lake(tmp_path / "lake")
        assert lake.ingest(file, source="cloudtrail").landed == len(known)
    before = rows(lake, "event_type, metadata")
    assert {json.loads(each[1])["mapping"] for each in before.values()} == {"cloudtrail/1"}

    again = lake.ingest(file, source="cloudtrail")
    assert (again.landed, again.duplicates, again.quarantined) == (0, len(known), 0)
    assert rows(lake, "event_type, metadata") == before

    staying = rows(lake, SAME)
    lake.sources.remap("cloudtrail", accept_weaker="tests")
    new = make_lake(tmp_path / "new")
    new.ingest(file, source="cloudtrail")
    after = judged(lake)
    assert after == judged(new)
    assert rows(lake, SAME) == staying == rows(new, SAME)
    changed = {(before[each][0], after[each][0]) for each in after}
    assert {("permission_change", "network_change"), ("config_change", "audit_log_control")} < changed
    assert lake.ledger.verify().ok
