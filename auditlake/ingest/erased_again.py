"""Events that come again after their personal data was replaced: the same event, not another one of a known id.

Nothing is kept of the original for this. Pseudonyms are a function of the value and the lake's key, so what comes is
the event that was erased if it becomes what is there once the same values are replaced.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from auditlake.disk.layout import Layout
from auditlake.engine.duck import rows
from auditlake.engine.statements import statement
from auditlake.errors import LakeFormatError, LostKeyError
from auditlake.events.json_tokens import string, tokens
from auditlake.events.schema import CANONICAL, SELF
from auditlake.store.pseudonyms import Pseudonyms, pseudonyms, recorded_key

if TYPE_CHECKING:
    import duckdb

_FILE = "ingest/erased.sql"


def take_keyed_ids(connection: duckdb.DuckDBPyConnection, layout: Layout, *, refuse: bool) -> bool:
    """Look for candidates by the keyed form of their id if the lake has that: they were erased; return whether it may.

    Args:
        connection: Where ``events`` shows every event of the lake.
        layout: The lake.
        refuse: Whether candidates are refused that cannot be looked for, since the key has gone.

    Raises:
        LostKeyError: They are refused; nothing was changed.
    """
    if recorded_key(layout) is None:
        return False
    connection.execute(statement(_FILE, "kept_ids").text)
    ((kept,),) = rows(connection, statement(_FILE, "kept").text)
    ((records,),) = rows(connection, statement(_FILE, "content_ids").text) if kept else ((0,),)
    if not records:
        return False
    try:
        names = pseudonyms(layout, make=False)
    except LakeFormatError as error:
        if refuse:
            connection.execute(statement(_FILE, "untold_by_content").text)
            if lost := _untold(connection, "no id but one made from content", error):
                raise lost from error
        return False
    assert names is not None
    rekeyed = statement(_FILE, "rekeyed")
    connection.execute(rekeyed.text, rekeyed.bind(dict(names.id_values)))
    connection.execute(statement(_FILE, "looked_for_by_keyed_ids").text)
    return True


def _untold(connection: duckdb.DuckDBPyConnection, what: str, error: LakeFormatError) -> LostKeyError | None:
    """Return the error about records that may be erased events, which only the key shows; None without any."""
    untold = rows(connection, statement(_FILE, "first_untold").text)
    if not (records := sum(each[-1] for each in untold)):
        return None
    many = f"{records:,} record{'s have' if records > 1 else ' has'}"
    message = f"{many} {what}, and may be events whose names were erased: {error}"
    hint = f"nothing was landed; {error.hint}"
    return LostKeyError(message, hint=hint, remedy=error.hint, first=[(each[0], each[1]) for each in untold])


def excuse_erased(
    connection: duckdb.DuckDBPyConnection, layout: Layout, exact_since: int | None, *, refuse: bool
) -> None:
    """Take the mark of a conflict from those ``matches`` that are events whose personal data was replaced.

    Args:
        connection: Where ``events`` shows the days on which the ids are known.
        layout: The lake.
        exact_since: The first batch that no earlier version spelled.
        refuse: Whether a candidate is refused that meets an event with a pseudonym where the key has gone: it cannot be
            told whether it is that event. All others land, or are conflicts, without the key.

    Raises:
        LostKeyError: Such candidates are refused; nothing was changed.
    """
    ((conflicts,),) = rows(connection, statement(_FILE, "conflicts").text)
    try:
        names = pseudonyms(layout, make=False) if conflicts else None
    except LakeFormatError as error:
        if refuse:
            untold = statement(_FILE, "untold_by_id")
            connection.execute(untold.text, untold.bind({"own": [CANONICAL, SELF]}))
            if lost := _untold(connection, "the id of an event that has a pseudonym", error):
                raise lost from error
        return
    if names is None:
        return
    renamed = statement(_FILE, "renamed")
    connection.execute(
        renamed.text, renamed.bind({**names.values, "own": [CANONICAL, SELF], "exact_since": exact_since})
    )
    others = [
        number
        for number, *texts in rows(connection, statement(_FILE, "renamed_texts").text)
        if not (is_erased(names, *texts[:2]) and is_erased(names, *texts[2:]))
    ]
    excused = statement(_FILE, "excused")
    connection.execute(excused.text, excused.bind({"others": others}))


def is_erased(names: Pseudonyms, text: str | None, known: str | None) -> bool:
    """Return whether JSON text becomes the known one once some values are replaced by their pseudonyms.

    Strings are compared by what they say, all else by how it is written. An earlier version replaced objects and lists
    as a whole, by the pseudonym of their text.
    """
    if text == known or text is None or known is None:
        return text == known
    came, ours = tokens(text), tokens(known)
    at = 0
    for token in ours:
        if at == len(came):
            return False
        end = _end(came, at) if came[at] in "{[" and came[at] != token else at + 1
        if not _becomes(names, came[at:end], token):
            return False
        at = end
    return at == len(came)


def _becomes(names: Pseudonyms, came: list[str], token: str) -> bool:
    if came == [token]:
        return True
    if token[0] != '"':
        return False
    known = string(token)
    if len(came) == 1 and came[0][0] == '"':
        text = string(came[0])
        return text == known or (names.knows(known) and names.of(text) == known)
    return names.knows(known) and names.of("".join(map(_spelled, came))) == known


def _spelled(token: str) -> str:
    return json.dumps(string(token), ensure_ascii=False) if token[0] == '"' else token


def _end(came: list[str], begin: int) -> int:
    """Return the place after the token that closes what a token opens."""
    depth = 0
    for at in range(begin, len(came)):
        depth += (came[at] in "{[") - (came[at] in "}]")
        if depth == 0:
            return at + 1
    return len(came)
