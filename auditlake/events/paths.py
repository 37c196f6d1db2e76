"""Places inside of an event's JSON columns: ``$.details.email``, ``$.metadata."e-mail".home``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from auditlake.events.exact import Number, parse, write

_STEP = re.compile(r'\.(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|(?P<quoted>"[^"\\]+"))')
_COLUMNS = ("details", "metadata")


@dataclass(frozen=True, slots=True)
class PersonalPath:
    """A place in a JSON column."""

    column: str
    steps: tuple[str, ...]
    """The keys to go by, at least one."""

    @property
    def below(self) -> str:
        """The path inside of the column, as DuckDB reads it."""
        return "$" + "".join(f'."{step}"' for step in self.steps)

    def __str__(self) -> str:
        return f"$.{self.column}" + self.below[1:]


def personal_path(text: str) -> PersonalPath | None:
    """A path as people write it; None if it is none: keys only, of details or metadata."""
    steps: list[str] = []
    place = 1
    while text.startswith("$") and place < len(text) and (match := _STEP.match(text, place)):
        steps.append(match["plain"] or match["quoted"][1:-1])
        place = match.end()
    if place != len(text) or len(steps) < 2 or steps[0] not in _COLUMNS:
        return None
    return PersonalPath(steps[0], tuple(steps[1:]))


def replaced(text: str, paths: list[tuple[str, ...]], replace: Callable[[str], str]) -> str:
    """JSON text with the values at some paths replaced by texts; numbers keep their spelling.

    Args:
        text: A JSON document; text that is none comes back as it is.
        paths: The keys to go by, for each.
        replace: Given a text, or another value as JSON text, what stands there then. Null stays null.
    """
    try:
        document = parse(text)
    except ValueError:
        return text
    changed = [_replace(document, path, replace) for path in paths]
    return write(document) if any(changed) else text


def _replace(document: Any, path: tuple[str, ...], replace: Callable[[str], str]) -> bool:
    for step in path[:-1]:
        document = document.get(step) if isinstance(document, dict) else None
    if not isinstance(document, dict) or document.get(path[-1]) is None:
        return False
    before = document[path[-1]]
    plain = isinstance(before, str) and not isinstance(before, Number)
    document[path[-1]] = after = replace(before if plain else write(before))
    return bool(after != before)
