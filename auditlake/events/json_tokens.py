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
    """The tokens of JSON text, white space left out; of strings each as it is written."""
    return _TOKEN.findall(text)


def string(token: str) -> str:
    """What the token of a string says; a broken escape stays as it is written."""
    if "\\" not in token:
        return token[1:-1]
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token[1:-1]


def spelled(said: str) -> list[str]:
    """How a string may be written in JSON, without the quotes."""
    return sorted({said, json.dumps(said)[1:-1], json.dumps(said, ensure_ascii=False)[1:-1]})


def scalars(text: str) -> Iterator[Scalar]:
    """The keys and plain values of JSON text, in order; text that is none gives what looks like some."""
    keys: list[str] = []
    opened: list[str] = []
    in_key = False
    path: tuple[str, ...] | None = ()
    for match in _TOKEN.finditer(text):
        found = match[0]
        if found == ":":
            in_key = False
        elif found not in _MARKS:
            said = string(found) if found[0] == '"' else None
            if in_key and keys:
                keys[-1] = said if said is not None else found
                path = None
            path = tuple(keys) if path is None else path
            yield Scalar(*match.span(), path, said, in_key)
        elif found in "[{":
            opened.append(found)
            in_key = found == "{"
            keys += [""] if in_key else []
            path = None
        elif found in "]}":
            if opened and opened.pop() == "{":
                keys.pop()
            in_key, path = False, None
        else:
            in_key = opened[-1:] == ["{"]


def rewritten(text: str, found: Iterable[Scalar], replace: Callable[[str], str]) -> str:
    """JSON text with some of its values replaced by strings; nulls stay.

    Args:
        text: A JSON document.
        found: The values, of its :func:`scalars`.
        replace: Given what a string says, or a number as it is written, the string that stands there then.
    """
    pieces, end = [], 0
    for each in found:
        said = each.string if each.string is not None else text[each.start : each.stop]
        after = replace(said) if said != "null" or each.string is not None else None
        if after is not None and after != each.string:
            pieces += [text[end : each.start], json.dumps(after, ensure_ascii=False)]
            end = each.stop
    return "".join([*pieces, text[end:]])
