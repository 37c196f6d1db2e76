"""JSON text read token by token, so that some values can be replaced and every other byte stays what it was.

No number is read as a number, no key is looked up, and nesting costs no stack: digits, the order of keys and keys that
come twice stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}:,]|[^\s\[\]{}:,"]++', re.DOTALL)
_MARKS = frozenset("[]{}:,")


class Scalar(NamedTuple):
    """A key, or a value that is no object and no list."""

    start: int
    stop: int
    """Where it stands in the text."""
    path: tuple[str, ...]
    """The keys that lead to it, its own among them if it is a key; lists on the way add none."""
    string: str | None
    """What a string says; None of a number, a truth value and null."""
    is_key: bool


def tokens(text: str) -> list[str]:
    """Return the tokens of JSON text, white space left out; strings as they are written."""
    return _TOKEN.findall(text)


def string(token: str) -> str:
    """Return the text of a string's token; a broken escape stays as it is written."""
    if "\\" not in token:
        return token[1:-1]
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token[1:-1]


def spelled(text: str) -> list[str]:
    """Return how a string may be written in JSON, without the quotes."""
    return sorted({text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]})


def scalars(text: str) -> Iterator[Scalar]:
    """Yield the keys and plain values of JSON text, in order; of other text what looks like some."""
    keys: list[str] = []
    opened: list[str] = []
    in_key = False
    path: tuple[str, ...] | None = ()
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece == ":":
            in_key = False
        elif piece not in _MARKS:
            value = string(piece) if piece[0] == '"' else None
            if in_key and keys:
                keys[-1] = value if value is not None else piece
                path = None
            path = tuple(keys) if path is None else path
            yield Scalar(*match.span(), path, value, in_key)
        elif piece in "[{":
            opened.append(piece)
            in_key = piece == "{"
            keys += [""] if in_key else []
            path = None
        elif piece in "]}":
            if opened and opened.pop() == "{":
                keys.pop()
            in_key, path = False, None
        else:
            in_key = opened[-1:] == ["{"]


def rewritten(text: str, values: Iterable[Scalar], replace: Callable[[str], str]) -> str:
    """Return JSON text with some of its values replaced by strings; nulls stay.

    Args:
        text: A JSON document.
        values: The values to replace, of its :func:`scalars`.
        replace: Returns the new string for the text of a string, or for a number as it is written.
    """
    pieces, end = [], 0
    for each in values:
        value = each.string if each.string is not None else text[each.start : each.stop]
        after = replace(value) if value != "null" or each.string is not None else None
        if after is not None and after != each.string:
            pieces += [text[end : each.start], json.dumps(after, ensure_ascii=False)]
            end = each.stop
    return "".join([*pieces, text[end:]])
