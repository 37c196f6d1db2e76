"""The sources that a lake can read: ``lake.sources``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.errors import MappingError, SourceError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.sources.catalog import Catalog, Source, built_in, catalog_of, own_source

if TYPE_CHECKING:
    from auditlake.ingest.trial import TestOutcome, Trial


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
        if self._context is None:
            return built_in()
        return catalog_of(self._context.layout, self._event_types)

    def of(self, which: str | Path) -> tuple[Catalog, Source]:
        """Return a source by its name, or that of a mapping's file, with the catalog that has it.

        Raises:
            SourceError: There is no such source and no such file.
            MappingError: The mapping has mistakes.
        """
        catalog = self.catalog
        if (path := Path(which)).suffix == ".yaml":
            try:
                source = own_source(path.read_bytes(), str(which), self._event_types, may_replace=True)
            except OSError as error:
                raise SourceError(f"{which} cannot be read: {error.strerror}") from error
            return catalog.with_source(source), source
        if str(which) not in catalog.inputs:
            for fault in catalog.faults:
                raise fault
            hint = f"there are: {', '.join(catalog.inputs)}; a mapping's file ends in .yaml"
            raise SourceError(f"there is no source {str(which)!r}", hint=hint)
        return catalog, catalog[str(which)]

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

    @property
    def _event_types(self) -> frozenset[str]:
        return self._context.config.event_types if self._context else BUILT_IN_TYPES
