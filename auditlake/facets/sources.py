"""The sources that a lake can read: ``lake.sources``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.disk.files import SMALL, read_file
from auditlake.errors import MappingError, SourceError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.events.times import Instant, as_end_or_none, as_instant_or_none

if TYPE_CHECKING:
    from auditlake.ingest.trial import TestOutcome, Trial
    from auditlake.retention.remap import Remapped
    from auditlake.retention.remap_plan import RemapPlan
    from auditlake.sources.catalog import Catalog, Source


class Sources:
    """The kinds of logs that are read; iterate over it for every source.

    Args:
        context: The lake; without one, what every lake reads.
    """

    def __init__(self, context: LakeContext | None = None) -> None:
        self._context = context

    def __iter__(self) -> Iterator[Source]:
        return (source for source in self.catalog if source.is_input)

    @property
    def catalog(self) -> Catalog:
        """Every source, with what is wrong with mappings that cannot be used."""
        from auditlake.sources.catalog import built_in, catalog_of

        if self._context is None:
            return built_in()
        return catalog_of(self._context.layout, self._event_types)

    def of(self, which: str | Path) -> tuple[Catalog, Source]:
        """Return a source by its name, or that of a mapping's file, with the catalog that has it.

        Raises:
            SourceError: There is no such source and no such file.
            MappingError: The mapping has mistakes.
        """
        from auditlake.sources.catalog import own_source

        catalog = self.catalog
        if (path := Path(which)).suffix == ".yaml":
            try:
                content = read_file(path, limit=SMALL)
                source = own_source(content, str(which), self._event_types, may_replace=True)
            except OSError as error:
                raise SourceError(f"{which} cannot be read: {error.strerror}") from error
            return catalog.with_source(source), source
        if str(which) not in catalog.inputs:
            for fault in catalog.faults:
                raise fault
            hint = f"there are: {', '.join(catalog.inputs)}; a mapping's file ends in .yaml"
            raise SourceError(f"there is no source {str(which)!r}", hint=hint)
        return catalog, catalog[str(which)]

    def add(self, file: str | Path, *, replace: bool = False) -> Source:
        """Check a mapping and copy it into the lake, under its source's name; the ledger says so.

        Args:
            file: The ``.yaml`` file.
            replace: Whether it takes the place of a mapping of that source.

        Raises:
            SourceError: It cannot be read.
            MappingError: It has mistakes, or the lake has another mapping of the source and ``replace`` is not set.
        """
        from auditlake.sources.catalog import own_source
        from auditlake.storage.lake import write
        from auditlake.store.turn import recorded_policies

        context = self._lake
        try:
            content = read_file(Path(file), limit=SMALL)
        except OSError as error:
            raise SourceError(f"{file} cannot be read: {error.strerror}") from error
        source = own_source(content, str(file), self._event_types)
        target = context.layout.source(source.name)
        with recorded_policies(context):
            if target.exists() and not replace and read_file(target, within=context.layout.root) != content:
                message = f"{file}:1:1: the lake has another mapping of {source.name!r}"
                raise MappingError((message,), hint="--replace puts this one in its place")
            write(context.layout, target, content)
        return source

    def remove(self, name: str) -> None:
        """Take a mapping out of the lake; its events stay.

        Raises:
            SourceError: The lake has no mapping of its own of that source.
        """
        from auditlake.sources.mappings.outline import SOURCE_NAME
        from auditlake.storage.lake import remove
        from auditlake.store.turn import recorded_policies

        layout = self._lake.layout
        if not SOURCE_NAME.fullmatch(name) or not layout.source(name).is_file():
            own = ", ".join(sorted(path.stem for path in layout.sources.glob("*.yaml"))) or "none"
            raise SourceError(f"this lake has no mapping of its own of {name!r}", hint=f"there are: {own}")
        with recorded_policies(self._lake):
            remove(layout, [layout.source(name)])

    def test(self, which: str | Path) -> list[TestOutcome]:
        """Run the tests that stand in a mapping's file.

        Args:
            which: The source's name, or the file.

        Raises:
            SourceError: There is no such source.
            MappingError: The mapping has mistakes.
        """
        from auditlake.ingest.trial import run_tests

        catalog, source = self.of(which)
        return run_tests(catalog, source.name, self._event_types) if source.outline else []

    def try_on(self, which: str | Path, paths: Sequence[str | Path]) -> Trial:
        """Map files, and tell what comes of them; no lake is changed.

        Args:
            which: The source's name, or its file.
            paths: Files, folders and patterns.

        Raises:
            SourceError: There is no such source, or an input cannot be read.
            MappingError: The mapping has mistakes.
        """
        from auditlake.ingest.trial import try_files

        catalog, source = self.of(which)
        return try_files(catalog, source.name, paths, self._event_types)

    def draft(self, name: str, file: str | Path) -> str:
        """Return the text of a first mapping from a sample of a log, to be finished by hand.

        The sample is JSON, a table, lines of pairs, or other lines of text: of these the draft says no more than how
        they begin.

        Args:
            name: The source's name.
            file: The sample.

        Raises:
            SourceError: It cannot be read, or is empty or binary.
        """
        from auditlake.sources.mappings.draft import draft_mapping
        from auditlake.sources.mappings.draft_text import draft_of_lines, fields_of_text
        from auditlake.sources.mappings.outline import SOURCE_NAME
        from auditlake.sources.recognise import PEEK_MOST, is_text, sample

        if not SOURCE_NAME.fullmatch(name):
            expected = "small letters, digits, _ and ., the first a letter"
            raise SourceError(f"a source's name is of {expected}; got {name!r}")
        try:
            content = read_file(Path(file))
            records, wrapper = sample(content, Path(file).name, self.catalog)
        except OSError as error:
            raise SourceError(f"{file} cannot be read: {error.strerror}") from error
        if records:
            return draft_mapping(name, records, wrapper=wrapper)
        if not is_text(content):
            hint = "`auditlake docs mappings` has the syntax"
            raise SourceError(f"{file} holds neither JSON objects nor lines of text", hint=hint)
        read, fields = fields_of_text(content[:PEEK_MOST])
        return draft_mapping(name, fields, read=read) if read else draft_of_lines(name, content[:PEEK_MOST])

    def overlaps(self) -> list[tuple[str, str, str]]:
        """Return which records of the mappings' tests two sources take for theirs: whose, which test, and who else.

        Raises:
            MappingError: A mapping of the lake cannot be used.
        """
        from auditlake.ingest.trial import overlaps

        catalog = self.catalog
        problems = tuple(problem for fault in catalog.faults for problem in fault.problems)
        if problems:
            raise MappingError(problems, hint=catalog.faults[0].hint)
        return overlaps(catalog)

    def remap_plan(self, source: str, *, since: Instant | None = None, until: Instant | None = None) -> RemapPlan:
        """Return what a remap would change, what it would leave, and why. What was logged is flushed first.

        Args:
            source: The source's name.
            since, until: Only events from then, and up to then; both inclusive, also as days.

        Raises:
            SourceError: There is no such source, or its events cannot be derived anew.
            MappingError: A mapping of the lake has mistakes.
        """
        from auditlake.landing.flush import flush
        from auditlake.retention.remap import plan

        flush(self._lake, reading=True)
        return plan(self._lake, source, as_instant_or_none(since), as_end_or_none(until))

    def remap(
        self,
        source: str,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        plan: str | None = None,
        accept_weaker: str | None = None,
        operator: str | None = None,
    ) -> Remapped:
        """Derive the columns of a source's events anew from their details by its present mapping, in one commit.

        Ids, times and details stay. Events that were erased keep their personal columns. An event of which the mapping
        makes another time, or none, stays as it is. Everything is refused while a hold matches an event that would
        change, as it is or as it would become.

        Args:
            source: The source's name.
            since, until: Only events from then, and up to then; both inclusive, also as days.
            plan: The digest of the plan that was looked at; refused if there is another one by now.
            accept_weaker: Why it is right that events are kept shorter under their new types.
            operator: Who does this; the user of this process if None.

        Raises:
            SourceError: There is no such source, or its events cannot be derived anew.
            MappingError: A mapping of the lake has mistakes.
            RetentionError: A hold keeps events that would change or has gone, the plan has changed, or events would be
                kept shorter; nothing was changed.
            CommitError: The commit was refused; nothing was changed.
        """
        from auditlake.landing.flush import flush
        from auditlake.retention.remap import remap

        flush(self._lake)
        return remap(
            self._lake, source, as_instant_or_none(since), as_end_or_none(until), digest=plan,
            accept_weaker=accept_weaker, operator=operator,
        )  # fmt: skip

    @property
    def _lake(self) -> LakeContext:
        if self._context is None:
            raise SourceError("this is about a lake", hint="name it with --lake")
        return self._context

    @property
    def _event_types(self) -> frozenset[str]:
        return self._context.config.event_types if self._context else BUILT_IN_TYPES
