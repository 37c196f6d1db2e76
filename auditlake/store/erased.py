"""Events that come again after their personal data was replaced: the same event, not another one of a known id.

Nothing is kept of the original for this. Pseudonyms are a function of the value and the lake's key, so what comes is
the event that was erased if it becomes what is there once the same values are replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from auditlake.engine.duck import rows
from auditlake.errors import LakeFormatError
from auditlake.events.paths import replaced
from auditlake.sqlfiles import statement
from auditlake.store.layout import Layout
from auditlake.store.pseudonyms import Pseudonyms, pseudonyms

if TYPE_CHECKING:
    import duckdb

_FILE = "ingest/erased.sql"


def excuse_erased(connection: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    """Take the mark of a conflict from those ``matches`` that are events whose personal data was replaced.

    Without the lake's key they cannot be told, and stay conflicts: no lost key keeps a lake from taking events.
    """
    ((conflicts,),) = rows(connection, statement(_FILE, "conflicts").text)
    names = None
    with suppress(LakeFormatError):
        names = pseudonyms(layout, make=False) if conflicts else None
    if names is None:
        return
    renamed = statement(_FILE, "renamed")
    connection.execute(renamed.text, renamed.bind(dict(names.values)))
    others = [
        number
        for number, *texts in rows(connection, statement(_FILE, "renamed_texts").text)
        if not (_is_erased(names, *texts[:2]) and _is_erased(names, *texts[2:]))
    ]
    excused = statement(_FILE, "excused")
    connection.execute(excused.text, excused.bind({"others": others}))


def _is_erased(names: Pseudonyms, text: str | None, known: str | None) -> bool:
    """Whether JSON text becomes what is known once the values at the places of its pseudonyms are replaced."""
    if text == known or text is None or known is None:
        return text == known
    try:
        places = list(_places(names, json.loads(known), ()))
    except ValueError:
        return False
    return bool(places) and replaced(text, places, names.of) == known


def _places(names: Pseudonyms, document: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Where in a document pseudonyms of the lake are, below keys alone: nothing else is replaced."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _places(names, value, (*above, key))
    elif isinstance(document, str) and above and names.knows(document):
        yield above
