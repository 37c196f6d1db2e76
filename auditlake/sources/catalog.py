"""The sources that a lake can read: those with a statement in ``sql/sources``, and those with a mapping.

A mapping is a YAML file: in ``sql/sources`` where it ships with auditlake, in ``LAKE/sources`` where it is the lake's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path, PurePath
from typing import Any

from auditlake.assets import folder
from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.engine.statements import statement
from auditlake.errors import MappingError
from auditlake.events.personal import PersonalData
from auditlake.events.schema import BUILT_IN_TYPES, CANONICAL, SELF
from auditlake.sources.mappings.model import Marks, SourceMapping
from auditlake.sources.mappings.outline import Outline, outline_of


@dataclass(frozen=True)
class Source:
    """A kind of input: how it is recognised, cut and mapped, and where its events name people."""

    name: str
    """The name for ``--source``, and in the column ``source`` of its events."""
    title: str
    """What it is, in the words of its vendor."""
    statement: str = ""
    """The file below ``sql/`` that maps its records, in a statement of its name; empty where a mapping does."""
    marks: Marks | None = None
    """What its records look like; None: no input is ever taken for one."""
    condition: Callable[[Mapping[str, Any]], bool] | None = None
    """What else must hold of a record that has the marks; of one whose end is not seen yet, every value is None."""
    looks_for: str = ""
    """The marks in words, for the error about an input that no source knows."""
    tables: bool = False
    """Whether it also comes as CSV and Parquet."""
    wrappers: tuple[str, ...] = ()
    """The keys under which it wraps its records in one object."""
    leave_out: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The files that come with the records and hold none: what they are, and the keys that together mark one."""
    several: bool = False
    """Whether one of its records may give several events, or none: then the statement numbers those of each record from
    0 in a column ``event_number``."""
    time_field: str = "timestamp"
    """The field of a record that says when."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """The field that each of the statement's own reasons is about."""
    personal: PersonalData = PersonalData()  # noqa: RUF009 - it is frozen
    """Where its events name people."""
    fixtures: tuple[str, ...] = ()
    """Files of ``tests/sources/fixtures`` that show what it looks like."""
    outline: Outline | None = None
    """The plain facts of its mapping; None for a source with a statement."""
    text: str = ""
    """The mapping's file as it is."""
    file: str = ""
    """What to call the file in messages."""
    built_in: bool = True
    event_types: frozenset[str] = BUILT_IN_TYPES
    """The types that its mapping may give."""

    @property
    def is_input(self) -> bool:
        """Whether an input may be of it."""
        return self.marks is not None or self.outline is not None

    @cached_property
    def mapping(self) -> SourceMapping:
        """Its mapping, checked and compiled when it is first asked for.

        Raises:
            MappingError: Its file has mistakes.
        """
        from auditlake.sources.mappings.loader import load_mapping

        return load_mapping(self.text, file=self.file, event_types=self.event_types, built_in=self.built_in)

    @property
    def sql(self) -> str:
        """The statement that maps its records."""
        if not self.statement:
            return self.mapping.statement
        return statement(self.statement, PurePath(self.statement).stem).text

    @property
    def version(self) -> str:
        """What ``metadata.mapping`` of its events says; empty where it has no mapping."""
        return self.mapping.label if self.outline else ""

    def fits(self, records: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Return of each record whether it is one of its own."""
        if self.outline is not None:
            from auditlake.sources.mappings.matching import matches

            return matches(self.outline, records)
        marks, condition = self.marks, self.condition
        return [
            marks is not None and marks.fit(frozenset(record)) and (condition is None or condition(record))
            for record in records
        ]

    def has_marks(self, keys: frozenset[str]) -> bool:
        """Return whether an object with these keys may be one of its records and not a document around them."""
        if self.outline is None or self.marks is not None:
            return self.marks is not None and self.marks.fit(keys)
        match = self.outline.match
        read = self.outline.read
        return "json" in read and isinstance(match, tuple) and all(place.steps[0] in keys for place in match)


_ROWS = (
    Source(
        name=CANONICAL,
        title="events in auditlake's own form, and what a lake has exported",
        statement="sources/auditlake.sql",
        marks=Marks(frozenset({"event_type", "timestamp"}), enough=2),
        looks_for="JSON objects with the keys event_type and timestamp, or CSV or Parquet with these columns",
        tables=True,
        fixtures=("auditlake.jsonl", "auditlake.csv", "auditlake.parquet"),
    ),  # lake.toml says which of its details are personal
    Source(
        name=SELF,
        title="what auditlake records about itself",
        statement="sources/auditlake.sql",
        personal=PersonalData(traces=("$.details.system_user", "$.details.uid")),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Catalog:
    """The sources of a lake.

    Args:
        sources: Each by its name, in the order in which recognition tries them.
        faults: What is wrong with the mappings of the lake that cannot be used.
    """

    sources: dict[str, Source]
    faults: tuple[MappingError, ...] = ()

    def __getitem__(self, name: str) -> Source:
        """Return the source of a name."""
        return self.sources[name]

    def __iter__(self) -> Iterator[Source]:
        """Yield every source."""
        return iter(self.sources.values())

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the sources that an input may have."""
        return tuple(source.name for source in self if source.is_input)

    @property
    def wrapper_keys(self) -> tuple[str, ...]:
        """The keys under which any source wraps its records."""
        return tuple(dict.fromkeys(key for source in self for key in source.wrappers))

    @property
    def personal_data(self) -> dict[str, PersonalData]:
        """Where the events of each source name people.

        Raises:
            MappingError: A mapping cannot be read, so that nobody knows.
        """
        for fault in self.faults:
            raise fault
        return {source.name: source.personal for source in self}

    def with_source(self, source: Source) -> Catalog:
        """Return the same catalog with one more source, which replaces one of its name."""
        return Catalog({**self.sources, source.name: source}, self.faults)


@cache
def canonical() -> Catalog:
    """Return what live events may be of; no mapping is read for it."""
    return Catalog({source.name: source for source in _ROWS})


@cache
def built_in() -> Catalog:
    """Return the sources that every lake knows."""
    mapped = (mapped_source(path.read_text(encoding="utf-8"), f"sql/sources/{path.name}") for path in _mappings())
    return Catalog({source.name: source for source in (*_ROWS, *mapped)})


def built_in_names() -> list[str]:
    """Return the names of the sources that every lake knows; no mapping is read for it."""
    return [*canonical().sources, *(path.stem for path in _mappings())]


def _mappings() -> list[Path]:
    """Return the mappings that ship, each in a file of its source's name."""
    return sorted((folder("sql") / "sources").glob("*.yaml"))


def mapped_source(
    text: str, file: str, *, is_built_in: bool = True, event_types: frozenset[str] = BUILT_IN_TYPES
) -> Source:
    """Return the source of a mapping whose file has no mistakes."""
    outline = outline_of(text)
    return Source(
        name=outline.name, title=outline.title, looks_for=outline.looks_for, wrappers=outline.records,
        marks=outline.match if isinstance(outline.match, Marks) else None, leave_out=outline.leave_out,
        several=outline.several, time_field=outline.time_field, personal=outline.personal, outline=outline,
        faults={f"{name} is missing": name for name in outline.require},
        text=text, file=file, built_in=is_built_in, event_types=event_types,
    )  # fmt: skip


def own_source(content: bytes, file: str, event_types: frozenset[str], *, may_replace: bool = False) -> Source:
    """Return the source of a mapping that does not ship with auditlake.

    Args:
        content: The file.
        file: What to call it in messages.
        event_types: The types that are known.
        may_replace: Whether it may have the name of a source that every lake knows: only to be tried.

    Raises:
        MappingError: It has mistakes, or the name of a source that every lake knows.
    """
    from auditlake.sources.mappings.loader import load_mapping

    load_mapping(content, file=file, event_types=event_types)
    source = mapped_source(content.decode().removeprefix("\ufeff"), file, is_built_in=False, event_types=event_types)
    if source.name in built_in().sources and not may_replace:
        known = f"{file}:1:1: every lake has a source {source.name!r}"
        raise MappingError((known,), hint="choose another name; `before` lets it go first")
    return source


def catalog_of(layout: Layout, event_types: frozenset[str]) -> Catalog:
    """Return the sources of a lake, its own among them; what cannot be used of these is among the faults."""
    files, unread = [], []
    for path in sorted(layout.sources.glob("*.yaml")):
        try:
            files.append((str(path), read_file(path, within=layout.sources, limit=SMALL)))
        except OSError as error:
            unread.append(MappingError((f"{path}:1:1: the mapping cannot be read: {error.strerror}",)))
    catalog = _own_catalog(tuple(files), event_types) if files else built_in()
    return Catalog(catalog.sources, (*unread, *catalog.faults)) if unread else catalog


@lru_cache(maxsize=64)
def _own_catalog(files: tuple[tuple[str, bytes], ...], event_types: frozenset[str]) -> Catalog:
    """Return the catalog with these files of a lake's own."""
    sources, faults = dict(built_in().sources), []
    for file, content in files:
        try:
            source = own_source(content, file, event_types)
            if source.name in sources:
                taken = f"{file}:1:1: another mapping is of the source {source.name!r}, too"
                raise MappingError((taken,), hint="keep one file a source")
            sources[source.name] = source
        except MappingError as error:
            faults.append(error)
    return Catalog(sources, tuple(faults))
