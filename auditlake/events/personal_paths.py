"""Places inside of an event's JSON columns: ``$.details.email``, ``$.metadata."e-mail".home``."""

from __future__ import annotations

import re
from dataclasses import dataclass

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

    @property
    def above(self) -> tuple[PersonalPath, ...]:
        """The places on the way."""
        return tuple(PersonalPath(self.column, self.steps[:end]) for end in range(1, len(self.steps)))

    def __str__(self) -> str:
        steps = (step if _STEP.fullmatch(f".{step}") else f'"{step}"' for step in self.steps)
        return ".".join(["$", self.column, *steps])


def personal_path(text: str) -> PersonalPath | None:
    """Read a path as people write it; return None if it is none: keys only, of details or metadata."""
    steps: list[str] = []
    place = 1
    while text.startswith("$") and place < len(text) and (match := _STEP.match(text, place)):
        steps.append(match["plain"] or match["quoted"][1:-1])
        place = match.end()
    if place != len(text) or len(steps) < 2 or steps[0] not in _COLUMNS:
        return None
    return PersonalPath(steps[0], tuple(steps[1:]))
