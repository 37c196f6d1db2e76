"""Runs sql/sources/cloudtrail.sql on records, and finds the real CloudTrail files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

from auditlake.engine.statements import statement

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "real" / "cloudtrail"
COLUMNS = (
    "record",
    "event_id",
    "event_type",
    "timestamp",
    "user_id",
    "action",
    "resource",
    "status",
    "details",
    "metadata",
    "session_id",
    "ip_address",
    "reason",
)
TYPES = frozenset(
    [
        "login",
        "logout",
        "auth_failure",
        "access_granted",
        "access_denied",
        "permission_change",
        "data_access",
        "data_modification",
        "data_deletion",
        "config_change",
        "system_error",
        "security_alert",
        "model_access",
        "model_update",
        "prompt_injection",
        "compliance_check",
        "policy_violation",
        "data_breach",
        "account_change",
        "privilege_use",
        "audit_log_access",
        "audit_log_control",
        "data_export",
        "human_oversight",
        "api_call",
    ]
)


def written() -> str:
    """The statement as it stands in the file, without its semicolon."""
    text = (ROOT / "sql" / "sources" / "cloudtrail.sql").read_text(encoding="utf-8")
    return text.strip().removesuffix(";")


@cache
def rewritten(relation: str) -> str:
    """The statement over another relation, put in its place in the syntax tree."""
    tree = sqlglot.parse_one(written(), dialect="duckdb")
    slots = [table for table in tree.find_all(exp.Table) if table.name == "records"]
    assert len(slots) == 1, "the statement reads its input once"
    slots[0].set("this", exp.to_identifier(relation))
    return tree.sql("duckdb")


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """One engine for all tests, set up as auditlake sets it up."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    con.execute("set threads = 2")
    con.execute(statement("ingest/numbers.sql", "inner_numbers_as_they_are").text)
    con.execute("create table input (record bigint, text varchar)")
    return con


def map_texts(texts: Sequence[str]) -> list[dict[str, Any]]:
    """What the statement makes of these texts, in their order."""
    con = connection()
    con.execute("delete from input")
    con.execute("insert into input select unnest(range(len($1))), unnest($1)", [list(texts)])
    rows = con.execute(f"select * from ({rewritten('input')}) order by record").fetchall()
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def map_events(events: Iterable[Any]) -> list[dict[str, Any]]:
    """What the statement makes of these objects, in their order."""
    return map_texts([json.dumps(event) for event in events])


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a file: one `Records` object, an array, or objects one after another."""
    decoder = json.JSONDecoder()
    text = path.read_text(encoding="utf-8").strip()
    while text:
        found, end = decoder.raw_decode(text)
        text = text[end:].lstrip()
        yield from found if isinstance(found, list) else found.get("Records", [found])


def real_files() -> list[Path]:
    """The real CloudTrail files at hand, none where the shared folder is absent."""
    return sorted(path for path in REAL.rglob("*.*json") if ".labels." not in path.name)
