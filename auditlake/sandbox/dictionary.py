"""The data dictionary: what each column of each view is, with the sources that the catalog has."""

from __future__ import annotations

from auditlake.engine.statements import statement
from auditlake.events.schema import METADATA_KEYS
from auditlake.sources.catalog import built_in_names


def dictionary(name: str = "dictionary") -> str:
    """Return a statement of ``sql/sandbox/dictionary.sql``; comments list the catalog and the known keys."""
    text = statement("sandbox/dictionary.sql", name).text
    text = text.replace("(listed in the catalog)", f"({', '.join(built_in_names())})")
    return text.replace("(listed in the schema)", ", ".join(METADATA_KEYS))
