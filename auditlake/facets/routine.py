"""What recurs, mostly every night: ``lake.routine``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditlake.context import Facet, LakeContext

if TYPE_CHECKING:
    from auditlake.collect.model import CollectSummary, PlaceListener
    from auditlake.upkeep.nightly import NightlySummary, Verbs


class Routine(Facet):
    """New logs in, and all that a lake needs regularly.

    Args:
        context: The lake.
        verbs: Its other verbs.
    """

    def __init__(self, context: LakeContext, verbs: Verbs) -> None:
        super().__init__(context)
        self._verbs = verbs

    def collect(self, *, everything: bool = False, listen: PlaceListener = lambda _: None) -> CollectSummary:
        """Ingest what is new in the places that lake.toml names (``[[collect]]``) since the last time.

        Args:
            everything: Whether to read again what was taken before; events that the lake has are not landed twice.
            listen: Told after each commit how far a place is.

        Raises:
            SourceError: lake.toml names no place. What cannot be read is in the summary instead.
            LakeBusyError: Another process is collecting.
            CommitError: A commit was refused or could not be made durable; what was committed before stays.
        """
        from auditlake.collect.collect import collect

        return collect(self._context, everything=everything, listen=listen)

    def nightly(self, *, fail_on: Sequence[str] = (), operator: str | None = None) -> NightlySummary:
        """Collect, flush, verify, report, compact, and plan retention; apply the plan where lake.toml lets it.

        A step that fails is told in the summary, and those that do not depend on it are still done.

        Args:
            fail_on: The statuses of policies, such as ``violation``, and of frameworks, such as ``fail``, that leave
                something for a person to do; ``no_data`` is one of both.
            operator: Who deletes, if something is deleted; the user of this process if None.

        Raises:
            LakeBusyError: Another nightly run is at work on this lake.
        """
        from auditlake.upkeep.nightly import nightly

        return nightly(self._context, self._verbs, fail_on=fail_on, operator=operator)
