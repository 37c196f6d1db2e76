"""What of a mapping's file can be told without checking its expressions: enough to list, recognise and erase by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from auditlake.events.personal import PersonalData
from auditlake.sources.mappings.model import Marks
from auditlake.sources.mappings.names import Place, place

SOURCE_NAME = re.compile(r"[a-z][a-z0-9_.]{0,63}")
"""What the name of a source looks like."""


@dataclass(frozen=True)
class Outline:
    """The plain facts of a mapping."""

    name: str
    title: str
    version: int
    match: tuple[Place, ...] | Marks | str
    """The fields that its records have, or some of which they have enough, or a SQL condition."""
    before: str
    """The source that this one goes before where both fit."""
    read: tuple[str, ...]
    """How its inputs may be cut into records."""
    records: tuple[str, ...]
    """The fields under which documents keep its records."""
    leave_out: Mapping[str, frozenset[str]]
    """The documents among its inputs that hold no records: what they are, and the keys that together mark one."""
    require: tuple[str, ...]
    """What each of its records must have."""
    several: bool
    """Whether a record may give several events."""
    time_field: str
    """The field of a record that says when."""
    personal: PersonalData
    """Where its events name people."""
    keys: Mapping[str, Any]
    """Everything that the file says."""

    @property
    def looks_for(self) -> str:
        """What its records look like, in words."""
        if isinstance(self.match, str):
            return f"records where {self.match}"
        if isinstance(self.match, Marks):
            keys = [str(key) for key in self.keys["match"]["of"]]
            alone = "".join(f", or with {key}" for key in sorted(self.match.alone))
            return f"records with at least {self.match.enough} of {', '.join(keys)}{alone}"
        if not self.match:
            return f"what can be read as {' or '.join(self.read)}"
        return f"records with {', '.join(each.shown for each in self.match)}"


def outline_of(content: str) -> Outline:
    """Return the outline of a mapping's file that has no mistakes."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    keys = yaml.load(content, Loader=loader)  # noqa: S506 - a safe loader either way
    match = keys.get("match", ())
    each = str(keys.get("each", ""))
    about = keys.get("personal", {})
    timed = _read_first(str(keys["timestamp"]))
    top = re.split(r"[.\[]", each.removeprefix("$."))[0]
    return Outline(
        name=keys["source"],
        title=str(keys.get("title", keys["source"])),
        version=int(keys.get("version", 1)),
        match=_match(match),
        before=keys.get("before", ""),
        read=(read,) if isinstance(read := keys.get("read", "json"), str) else tuple(read),
        records=tuple(keys.get("records", ())),
        leave_out={what: frozenset(marks) for what, marks in keys.get("leave_out", {}).items()},
        require=tuple(keys.get("require", ())),
        several=bool(each) or "also" in keys,
        time_field=timed.shown if timed else "timestamp",
        personal=PersonalData(
            names=personal_places(about.get("names", ()), top) or (),
            traces=personal_places(about.get("traces", ()), top) or (),
            nobody=about.get("nobody", ""),
            within=tuple(about.get("within", ())),
        ),
        keys=keys,
    )


def _match(match: Any) -> tuple[Place, ...] | Marks | str:
    if isinstance(match, Mapping):
        return Marks(frozenset(match["of"]), match["at_least"], frozenset(match.get("or", ())))
    return match if isinstance(match, str) else tuple(filter(None, map(place, match)))


def _read_first(value: str) -> Place | None:
    """Return the place that a value reads first: a field, or the first argument of a function."""
    first = parts_of(value)[0].strip()
    called = re.fullmatch(r"[a-z_]+\((.*)\)", first, re.DOTALL)
    return _read_first(called[1]) if called else place(first)


def personal_places(texts: Iterable[str], top: str) -> tuple[str, ...] | None:
    """Return places of a record as those of an event, ``$.details.…``; None if one is no such place.

    Args:
        texts: Fields of a record, or of ``item``, an element of the list of which each gives an event.
        top: The field of the record which that list lies in: it does not stay there.
    """
    found = []
    for text in texts:
        if text.startswith("$."):
            found.append(text)
            continue
        where = place(text.replace("[*]", ""))
        steps = tuple(step for step in where.steps if isinstance(step, str)) if where else ()
        if not steps or steps[0] == top:
            return None
        plain = (step if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", step) else f'"{step}"' for step in steps)
        found.append(".".join(("$.details", *plain)))
    return tuple(found)


def parts_of(text: str) -> list[str]:
    """Return the parts of a text between commas that stand in no brackets and no quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]
