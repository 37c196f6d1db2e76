"""What works with an engine of slices: a session, reading files of a lake, and conditions where they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from auditlake.engine.model import Leaf
from auditlake.engine.statements import statement
from auditlake.errors import AuditLakeError
from auditlake.spark.open import open_slices

_SESSION, _FILES, _CONDITIONS = "a session", "reads the lake's files", "conditions, in DuckDB where files are read"
_COLUMNS = ("event_type", "timestamp", "user_id")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that an engine must be able to do."""

    what: str
    works: bool
    why: str = ""
    """Why it does not."""


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """What works with an engine."""

    engine: str
    checks: tuple[Check, ...]
    policies: Mapping[str, str | None]
    """By id, what a policy asks that the engine cannot be asked for; None where it can be asked for all of it."""


def check_engine(name: str, files: Sequence[Path], rows: int, types: Sequence[str]) -> tuple[Check, ...]:
    """Try what reports need.

    Args:
        name: ``slices``, or the address of a server.
        files: A file or two of the lake.
        rows: How many events are in them.
        types: The event types in them.
    """
    done: list[Check] = []
    trial = statement("slices/leaf.sql", "trial")
    what = _SESSION
    try:
        with TemporaryDirectory(prefix="auditlake-") as spill, open_slices(name, Path(spill)) as engine:
            done.append(Check(what, works=True))
            for what, group_by in ((_FILES, ()), (_CONDITIONS, None)):
                engine.leaf(
                    Leaf(tuple(types), trial.text, trial.bind({"types": list(types)}), group_by, _COLUMNS), files, None
                )
                ((found,),) = engine.rows(statement("slices/leaf.sql", "matched").text)
                is_right = found == rows
                done.append(Check(what, is_right, "" if is_right else f"expected {rows:,} events, got {found:,}"))
    except AuditLakeError as error:
        done.append(Check(what, works=False, why=str(error)))
    return tuple(done)
