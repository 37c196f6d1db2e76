"""What no expression needs, and what hides something from its reader: refused before any parser sees it."""

from __future__ import annotations

import re

from auditlake.engine.probe import ConditionError

_LEXEME = re.compile(
    r"""(?P<literal>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")*")|(?P<comment>--|/\*)
    |(?P<prefix>(?<![A-Za-z0-9_])(?:[EeXxBbNn]|[Uu]&)'(?=[^']|''))|(?P<open>[(\[])|(?P<close>[)\]])
    |(?P<quote>['"])|(?P<parameter>[$?\#])|(?P<other>[;`\\{}]|[^\x00-\x7f])""",
    re.VERBOSE,
)
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""A character that a reader would not see, which no expression may have."""
_LEXICAL = {
    "comment": "a comment is not allowed in {1}",
    "prefix": "write a string as '…', without a letter before it",
    "quote": "a string that begins here has no end",
    "parameter": "a parameter ({0}) is not allowed; write the value",
    "other": "{0!r} is not allowed outside a string",
}


def check_characters(text: str, *, what: str, longest: int, deepest: int) -> None:
    """Refuse a text for its length, its characters or its brackets.

    Args:
        text: The expression.
        what: What it is called in messages.
        longest: How many characters it may have.
        deepest: How many brackets may be open at once.

    Raises:
        ConditionError: With the place, where there is one.
    """
    a = f"an {what}" if what[0] in "aeiou" else f"a {what}"
    if len(text) > longest:
        raise ConditionError(f"{a} has at most {longest:,} characters, got {len(text):,}")
    if not text.strip():
        raise ConditionError(f"the {what} is empty")
    if unseen := UNSEEN.search(text):
        raise ConditionError(f"the invisible character U+{ord(unseen[0]):04X} is not allowed", unseen.start())
    opened: list[tuple[str, int]] = []
    for lexeme in _LEXEME.finditer(text):
        kind = lexeme.lastgroup or ""
        if kind in _LEXICAL:
            raise ConditionError(_LEXICAL[kind].format(lexeme[0], a), lexeme.start())
        if kind == "open":
            opened.append((lexeme[0], lexeme.start()))
            if len(opened) > deepest:
                raise ConditionError(f"brackets are nested more than {deepest} deep", lexeme.start())
        elif kind == "close" and (not opened or opened.pop()[0] + lexeme[0] not in ("()", "[]")):
            raise ConditionError(f"{lexeme[0]!r} closes nothing", lexeme.start())
    if opened:
        raise ConditionError(f"{opened[-1][0]!r} is never closed", opened[-1][1])
