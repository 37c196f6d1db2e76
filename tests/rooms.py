"""The rooms of the package as each describes itself; ``python -m tests.rooms`` puts them into ARCHITECTURE.md."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "auditlake"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
_FORM = re.compile(
    r"(?P<what>.+?)\n\n.*?Hides (?P<hides>.+?)\nThe door: (?P<door>.+?)\.\nRead first: ``(?P<first>.+?)``\.", re.DOTALL
)
_BEGIN, _END = "<!-- rooms: made by python -m tests.rooms -->\n", "<!-- end of rooms -->\n"


@dataclass(frozen=True)
class Room:
    """What a room says of itself."""

    name: str
    what: str
    hides: str
    door: tuple[str, ...]
    """At most three names, each ``module.name`` below the room."""
    first: str
    """The file to read first."""


def rooms() -> list[Room]:
    """Return every room, from the top layer to the ground.

    Raises:
        ValueError: A room does not describe itself in the five lines.
    """
    return [_room(name) for name in layers() if (PACKAGE / name / "__init__.py").exists()]


def layers() -> list[str]:
    """Return the names of the layers in pyproject.toml, from the top."""
    text = (ROOT / "pyproject.toml").read_text()
    listed = text[text.index("layers = [") : text.index("]", text.index("layers = ["))]
    return re.findall(r"\w+", " ".join(re.findall(r'"([^"]+)"', listed)))


def table() -> str:
    """Return the rooms as a Markdown table."""
    lines = ["| room | what it is | hides | door | read first |", "|---|---|---|---|---|"]
    for room in rooms():
        door = ", ".join(f"`{name}`" for name in room.door)
        lines.append(f"| `{room.name}/` | {room.what} | {room.hides} | {door} | `{room.name}/{room.first}` |")
    return "\n".join(lines) + "\n"


def _room(name: str) -> Room:
    text = ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text())) or ""
    if (match := _FORM.match(text)) is None:
        message = (
            f"auditlake/{name}/__init__.py does not say what the room is, what it hides, its door, what to read first"
        )
        raise ValueError(message)
    flat = {key: " ".join(value.split()).replace("``", "`") for key, value in match.groupdict().items()}
    flat["what"] = re.sub(r":(?:class|func|mod):`([^`]+)`", r"`\1`", flat["what"])
    door = tuple(re.findall(r"`([^`]+)`", flat["door"]))
    what = re.sub(r"^[\w' ]{1,20}: ", "", flat["what"]).rstrip(".")
    return Room(name, what, flat["hides"].rstrip("."), door, match["first"])


def main() -> int:
    """Rewrite the table in ARCHITECTURE.md."""
    text = ARCHITECTURE.read_text()
    begin, end = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
    ARCHITECTURE.write_text(text[:begin] + table() + text[end:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
