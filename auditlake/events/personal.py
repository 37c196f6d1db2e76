"""How an event loses its person: names become pseudonyms, and the rest stays.

Each source's row of ``auditlake/sources/catalog.py`` has the places of names in its JSON. Whatever stands at one of
them, or in the columns ``user_id``, ``ip_address`` and ``session_id``, is also replaced where it is the whole of a
string anywhere else in the same event.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

from auditlake.events.json_tokens import Scalar, rewritten, scalars
from auditlake.events.linear_regex import LinearRegex, linear_regex
from auditlake.events.personal_paths import PersonalPath, personal_path

NAMED_COLUMNS = ("user_id", "ip_address", "session_id")
"""The columns that hold personal data."""
CONTENT_ID = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
"""What an id looks like that was made from content. One that a source gave and that looks the same is treated alike."""


class Names(Protocol):
    """A maker of pseudonyms."""

    def of(self, value: str) -> str:
        """Return the pseudonym of a value; a pseudonym is its own."""

    def knows(self, value: str) -> bool:
        """Return whether a text is a pseudonym."""


@dataclass(frozen=True)
class PersonalData:
    """The personal data in the JSON of one source's events."""

    names: tuple[str, ...] = ()
    """Places of what names the person who acted, such as ``$.details.user.email``; lists on the way are passed."""
    traces: tuple[str, ...] = ()
    """Places of what leads to the person and that others may share: addresses, sessions, roles."""
    nobody: str = ""
    """The whole texts at such places that name no person: a regular expression, for DuckDB as well."""
    within: tuple[str, ...] = ()
    """Regular expressions whose groups, nine at most, are names inside of a name."""

    @cached_property
    def paths(self) -> tuple[PersonalPath, ...]:
        """All places, those of names first."""
        return tuple(path for text in (*self.names, *self.traces) if (path := personal_path(text)))

    @cached_property
    def _steps(self) -> Mapping[tuple[str, str], Sequence[tuple[str, ...]]]:
        """The places by their column and first key."""
        steps: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
        for path in self.paths:
            steps[path.column, path.steps[0]].append(path.steps)
        return steps

    def has(self, column: str, path: tuple[str, ...]) -> bool:
        """Return whether a value stands at one of the places, or inside of an object that does."""
        some = self._steps.get((column, path[0])) if path else None
        return some is not None and any(path[: len(steps)] == steps for steps in some)

    def is_nobody(self, text: str) -> bool:
        """Return whether a text names no person."""
        return linear_regex(self.nobody).fits(text)

    def parts(self, name: str) -> Iterator[str]:
        """Yield the names inside of a name."""
        for pattern in self.within:
            yield from linear_regex(pattern).groups(name)


class Row(NamedTuple):
    """The fields of an event that may name a person."""

    source: str | None
    action: str | None
    resource: str | None
    status: str | None
    details: str | None
    metadata: str | None
    user_id: str | None
    ip_address: str | None
    session_id: str | None


class Texts(NamedTuple):
    """The texts of an event that are replaced, apart from :data:`NAMED_COLUMNS`."""

    resource: str | None
    details: str | None
    metadata: str | None


@dataclass
class Eraser:
    """Takes the personal data out of events.

    Args:
        names: The lake's pseudonyms.
        personal: The places of each source.
        places: Further places, in events of any source.
        person: Whose events these are; None where they are many people's.
    """

    names: Names
    personal: Mapping[str, PersonalData]
    places: tuple[PersonalPath, ...] = ()
    person: str | None = None
    left: Counter[str] = field(default_factory=Counter)
    """What :meth:`erased` left inside of longer text, by place."""
    left_keys: Counter[str] = field(default_factory=Counter)
    """What it left in keys, by the place of their object."""
    sources: set[str] = field(default_factory=set)
    """Whose events it has seen."""

    @cached_property
    def source_places(self) -> tuple[PersonalPath, ...]:
        """The places of all sources."""
        return tuple(path for about in self.personal.values() for path in about.paths)

    @cached_property
    def nobody(self) -> str:
        """What names no person at a place of any source: a regular expression, for DuckDB as well."""
        return "|".join(f"(?:{about.nobody})" for about in self.personal.values() if about.nobody)

    @cached_property
    def _nobody(self) -> LinearRegex:
        return linear_regex(f"(?:{self.nobody})?")

    def erased(self, row: Row, *, count: bool = False) -> Texts:
        """Return an event's texts with pseudonyms at the places, and wherever else the same value is a whole string.

        Args:
            row: The event.
            count: Count what is left of it in these texts, in action and in status.
        """
        about = self.personal.get(row.source or "", _OTHER)
        values_of = {column: list(scalars(text)) for column, text in _texts(row)}
        personal = {
            column: [each for each in some if not each.is_key and self._is_personal(about, column, each)]
            for column, some in values_of.items()
        }
        values = self._values(row, about, personal)
        texts = {}
        for column, text in _texts(row):
            chosen = {each.start for each in personal[column]}
            chosen |= {each.start for each in values_of[column] if each.string in values and not each.is_key}
            texts[column] = rewritten(text, [each for each in values_of[column] if each.start in chosen], self.names.of)
        resource = self.names.of(row.resource) if row.resource in values and row.resource else row.resource
        after = Texts(resource, texts.get("details", row.details), texts.get("metadata", row.metadata))
        if count:
            self.sources.add(row.source or "")
            self._count(row._replace(**after._asdict()), values)
        return after

    def is_named(self, row: Row) -> bool:
        """Return whether the texts still name a person."""
        return self.erased(row) != (row.resource, row.details, row.metadata)

    def at_places(self, row: Row) -> set[str]:
        """Return what stands in the personal columns and at the personal places of an event, pseudonyms among it."""
        about = self.personal.get(row.source or "", _OTHER)
        values = {text for text in (row.user_id, row.ip_address, row.session_id) if text}
        for column, text in _texts(row):
            some = (each for each in scalars(text) if not each.is_key and self._is_personal(about, column, each))
            values |= {each.string if each.string is not None else text[each.start : each.stop] for each in some}
        values = {text for text in values if text not in _NOTHING and not about.is_nobody(text)}
        return values | {part for text in tuple(values) for part in about.parts(text)}

    def _values(self, row: Row, about: PersonalData, personal: Mapping[str, Sequence[Scalar]]) -> set[str]:
        """Return what names the person in an event, or leads to them."""
        values = {text for text in (row.user_id, row.ip_address, row.session_id) if text}
        values |= {each.string for some in personal.values() for each in some if each.string}
        values = {text for text in values if not self.names.knows(text) and not about.is_nobody(text)}
        if self.person:
            values.add(self.person)
        return values | {part for text in tuple(values) for part in about.parts(text)}

    def _is_personal(self, about: PersonalData, column: str, each: Scalar) -> bool:
        """Return whether a value stands at a place of its source and may be a person, or at a place of the caller's."""
        if about.has(column, each.path) and (each.string is None or not self._nobody.fits(each.string)):
            return True
        places = self.places
        return any(one.column == column and each.path[: len(one.steps)] == one.steps for one in places)

    def _count(self, row: Row, values: Collection[str]) -> None:
        """Count where values are left in an event that was erased."""
        for column in ("action", "resource", "status"):
            self.left[column] += mentions(getattr(row, column), values)
        for column, text in _texts(row):
            if "\\" not in text and not any(value in text for value in values):
                continue
            for each in scalars(text):
                value = each.string if each.string is not None else text[each.start : each.stop]
                if mentions(value, values):
                    path = each.path[:-1] if each.is_key else each.path
                    place = ".".join(["$", column, *("…" if mentions(step, values) else step for step in path)])
                    (self.left_keys if each.is_key else self.left)[place] += 1


def _texts(row: Row) -> list[tuple[str, str]]:
    return [(column, text) for column, text in (("details", row.details), ("metadata", row.metadata)) if text]


def mentions(text: str | None, values: Iterable[str]) -> bool:
    """Return whether a text has one of some values as a whole word or words."""
    return text is not None and any(value in text and _stands_in(text, value) for value in values if value)


def _stands_in(text: str, value: str) -> bool:
    at = text.find(value)
    while at >= 0:
        end = at + len(value)
        if not text[at - 1 : at].isalnum() and not text[end : end + 1].isalnum():
            return True
        at = text.find(value, at + 1)
    return False


_OTHER = PersonalData()
_NOTHING = frozenset({"", "null", "true", "false"})
"""What stands at a place and is nobody."""
