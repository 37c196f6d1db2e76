"""JSON read and written again with every number as the text that it came as."""

from __future__ import annotations

import json
from typing import Any


class Number(str):
    """A number as it came, or another text that is written as it is."""

    __slots__ = ()


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text, its numbers as :class:`Number`.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested very deeply.
    """
    return json.loads(text, parse_int=Number, parse_float=Number)


def write(value: Any) -> str:
    """Return the JSON text of a value from :func:`parse`, or of texts put into it, without white space.

    Nothing is called for each level: a record may have more than Python has calls for.
    """
    texts, left = list[str](), [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            begin, end = "{}"
            items: list[tuple[Any, ...]] = [
                (Number(f"{json.dumps(key, ensure_ascii=False)}:"), own) for key, own in each.items()
            ]
        elif isinstance(each, list):
            begin, end = "[]"
            items = [(own,) for own in each]
        else:
            texts.append(each if isinstance(each, Number) else json.dumps(each, ensure_ascii=False))
            continue
        parts = [part for item in items for part in (Number(","), *item)][1:]
        left += [Number(end), *reversed(parts), Number(begin)]
    return "".join(texts)
