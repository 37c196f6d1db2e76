"""Text in a cell of a CSV file: what a spreadsheet would run as a formula gets an apostrophe before it (OWASP).

So does what begins with apostrophes before such a formula, so that taking one away always gives the text again.
"""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - what spreadsheets take for =+-@


def guarded(text: str) -> str:
    """Return text that no spreadsheet runs.

    >>> guarded("=1+1"), guarded("'=1+1"), guarded("'quoted'")
    ("'=1+1", "''=1+1", "'quoted'")
    """
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def unguarded(text: str) -> str:
    """Return the text that was guarded."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text
