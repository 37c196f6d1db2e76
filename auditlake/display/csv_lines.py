"""Lines of CSV (RFC 4180) that come back as what they were."""

from __future__ import annotations

import re
from collections.abc import Iterable

from auditlake.display.formula_guard import guarded

_QUOTED = re.compile('[",\\r\\n]|^\\s|\\s\\Z')
"""What must stand between quotes: a carriage return alone too, which many readers take for the end of a line."""


def csv_line(
    values: Iterable[object], *, raw: bool = False, quote_empty: bool = False, end: str = "\n"
) -> str:  # fmt: skip
    """Return a line, with its end.

    Args:
        values: None is nothing between two commas; text of any characters is what it is; anything else is as ``str``.
        raw: Leave text as it is where a spreadsheet would run it.
        quote_empty: Write an empty text as ``""``, so that it can be told from None.
        end: What ends the line: RFC 4180 asks for CR and LF.
    """
    cells = [_cell(value, raw=raw, quote_empty=quote_empty) for value in values]
    return (",".join(cells) if cells != [""] else '""') + end


def _cell(value: object, *, raw: bool, quote_empty: bool) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = value if raw else guarded(value)
    if _QUOTED.search(text) or (quote_empty and not text):
        return '"' + text.replace('"', '""') + '"'
    return text
