"""The attack list, statement by statement: refused by the gate, and harmless without it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import auditlake
from auditlake.errors import RefusedError
from auditlake.sandbox.model import Layer
from auditlake.sandbox.session import Answer, AuditSession
from tests.sandbox.attacks import ODD, all_of
from tests.sandbox.lakes import SECRET, asked, prints, session
from tests.waiting import HANG_SECONDS

STATEMENTS = all_of(lake="LAKE", part="PART", out="OUT")
ENDLESS = (
    "SELECT sleep_ms(100000)",
    "SELECT pg_sleep(100)",
    "WITH RECURSIVE x USING KEY (n) AS (SELECT 1 AS n UNION SELECT n + 1 FROM recurring.x) FROM x",
    "SELECT * FROM events, (PIVOT duckdb_settings() ON name)",
)
"""Those that run until they are stopped."""


def placed(statement: str, lake: auditlake.AuditLake) -> str:
    part = min(lake.layout.events.glob("event_date=*/*.parquet"))
    places = {"LAKE": lake.layout.root, "PART": part, "OUT": lake.layout.root.parent / "out"}
    return re.sub("LAKE|PART|OUT(?=/|')", lambda found: str(places[found[0]]), statement)


def test_list_is_long() -> None:
    """There are more than two hundred of them."""
    assert len(set(STATEMENTS)) > 200


@pytest.mark.parametrize("statement", STATEMENTS)
def test_refused(statement: str, desk: AuditSession, lake: auditlake.AuditLake) -> None:
    """Each is refused before any of it runs, in one line that names no place of this machine."""
    with pytest.raises(RefusedError) as refusal:
        desk.sql(placed(statement, lake))

    said = str(refusal.value)
    assert "\n" not in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "text", ["with x as (select 1) delete from events", "with x as (select 1) insert into events from x"]
)
def test_what_is_no_pivot(text: str, desk: AuditSession) -> None:
    """What begins as a query and is none is told as that."""
    with pytest.raises(RefusedError) as refusal:
        desk.sql(text)

    assert "needs its values" not in str(refusal.value)


@pytest.mark.parametrize("text", ODD)
def test_odd(text: str, desk: AuditSession) -> None:
    """What is no statement is refused as well."""
    with pytest.raises(RefusedError):
        desk.sql(text)


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    ("layers", "engine_reads"),
    [
        (("landlock", "calls"), True),
        # A file that DuckDB may read it may also write: this layer alone needs it to have none.
        (("engine",), False),
        pytest.param(("landlock", "calls", "limits", "engine"), True, marks=pytest.mark.soak),
        pytest.param(("limits", "engine"), False, marks=pytest.mark.soak),
        (("gate",), True),
    ],
)
def test_no_effect(
    layers: Sequence[Layer], engine_reads: bool, every: int, lake: auditlake.AuditLake, out: Path
) -> None:
    """The kernel's layers alone, the engine's alone, all but the gate, and the gate alone: nothing is written, and
    nothing foreign is read; every fourth statement shows it, of each kind some."""
    answers = []
    patient, hasty = (
        session(lake, layers=layers, engine_reads=engine_reads, seconds=seconds) for seconds in (HANG_SECONDS, 0.2)
    )
    with patient, hasty:
        before, beside = prints(lake.layout.root), prints(out)  # now that what others asked is in the table
        for statement in (placed(each, lake) for each in STATEMENTS[::every]):
            answer = asked(hasty if statement in ENDLESS else patient, statement)
            answers.append((statement, str(answer.arrow().to_pydict() if isinstance(answer, Answer) else answer)))

    assert [statement for statement, text in answers if SECRET in text or "root:x:0" in text] == []
    assert prints(lake.layout.root) == before
    assert prints(out) == beside
    assert not list(Path("/").glob("*.csv")) + list(Path("/tmp").glob("auditlake-canary*"))


def test_effects_are_seen(lake: auditlake.AuditLake, out: Path) -> None:
    """Without any layer the same statements do read and write: the test above would notice."""
    with session(lake, layers=()) as opened:
        read = opened.sql(placed("SELECT * FROM read_text('OUT/secret.txt')", lake))
        opened.sql(placed("COPY (SELECT 42) TO 'OUT/w.csv'", lake))

    assert SECRET in str(read.fetchall())
    assert (out / "w.csv").exists()
    (out / "w.csv").unlink()
