"""Text in Markdown that stays the text that it is: in CommonMark, in tables of GFM, in OSCAL, and on GitHub."""

from __future__ import annotations

import re

from auditlake.display.text import visible

_ACTS = re.compile(r"[\\`*\[\]<>|~$&#!{}]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/|(?<=www)\.", re.IGNORECASE)
"""What Markdown acts on inside of a line: an underline only at the edge of a word, addresses only by these signs."""
_CALLS = re.compile(r"(?<![\w.])@\w|#\d|\bgh-\d|(?<!\w):[a-z0-9+-][\w+-]*:|\b[0-9a-f]{40}\b", re.IGNORECASE)
"""What GitHub acts on after Markdown: names of people and teams, numbers of issues, signs for emoji, commits."""


def escaped(text: str) -> str:
    r"""Return text for the inside of a line or a cell, not for the beginning of a line.

    Whatever would call people or lead to an issue stands in ``<code>``, where GitHub leaves it alone.

    Example:
        >>> print(escaped("failed_logins: *a* | <b>"))
        failed_logins: \*a\* \| \<b\>
        >>> print(escaped("ask @octocat about #1"))
        <code>ask @octocat about \#1</code>
    """
    shown = marked(text)
    return f"<code>{shown}</code>" if _CALLS.search(visible(text)) else shown


def marked(text: str) -> str:
    """Return text in which Markdown itself acts on nothing."""
    return _ACTS.sub(r"\\\g<0>", visible(text))


def row(cells: list[str]) -> str:
    """Return a row of a table, of cells that are escaped already."""
    return f"| {' | '.join(cells)} |\n"
