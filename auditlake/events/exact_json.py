"""JSON read and written again with every number as the text that it came as."""

from __future__ import annotations

import json
from typing import Any


class Number(str):
    """A number as it is written."""

    __slots__ = ()


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text, its numbers as :class:`Number`.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested very deeply.
    """
    return json.loads(text, parse_int=Number, parse_float=Number)


def write(value: Any) -> str:
    """Return the JSON text of a value from :func:`parse`, or of texts put into it, without white space."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        items = (f"{json.dumps(key, ensure_ascii=False)}:{write(each)}" for key, each in value.items())
        return "{" + ",".join(items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
