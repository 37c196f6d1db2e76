"""The data dictionary: what each column of each view is, with the sources that the catalog has."""

from __future__ import annotations

from auditlake.engine.statements import statement
from auditlake.sources.catalog import built_in


def dictionary(name: str = "dictionary") -> str:
    """Return a statement of ``sql/sandbox/dictionary.sql``; the comment on ``events.source`` lists the catalog."""
    return statement("sandbox/dictionary.sql", name).text.replace(
        "(listed in the catalog)", f"({', '.join(built_in().sources)})"
    )
