"""Summaries that are counted from rows: where none are kept, and on days that an instant cuts."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime

from auditlake.engine.model import Engine, Summary
from auditlake.engine.sql_text import identifier
from auditlake.engine.statements import statement
from auditlake.events.times import micros

DAY_US = 86_400_000_000
_FILE = "summaries/rows.sql"


class RowSummaries:
    """Summaries that are counted anew each time; see :class:`auditlake.engine.model.Summaries`.

    Args:
        engine: The engine, with ``events``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def lay_out(
        self, summary: Summary, days: Collection[int] | None = None, instants: Sequence[datetime] = ()
    ) -> None:  # fmt: skip
        """Make the temporary table of a summary."""
        before = (f'cast(epoch_us("timestamp") > {micros(each)} as int)' for each in instants)
        meant = "true" if days is None else f'list_contains({sorted(days)}, epoch_us("timestamp") // {DAY_US})'
        slots = {
            "stretch_of_event": f"({' + '.join(before) or '0'})", "stretches": str(len(instants) + 1),
            "is_meant": meant, "laid_out": identifier(summary.name),
            # A name of WITH goes before that of a view, whatever the statement is made of.
            "counted": f"(\nwith events as (from numbered_events)\nfrom (\n{summary.sql}\n) as counted\n)",
        }  # fmt: skip
        for macro in summary.macros:
            self._engine.rows(macro)
        for name, own in (("numbered_events", "numbered_events"), ("laid_out", summary.name)):
            part = statement(_FILE, name)
            self._engine.step(own, _filled(part.text, slots), {})


def _filled(text: str, slots: dict[str, str]) -> str:
    """Return a statement with its slots filled; its comments, which name them, are left out."""
    bare = re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)
    return re.sub(rf"\b({'|'.join(slots)})\b", lambda slot: slots[slot[1]], bare)
