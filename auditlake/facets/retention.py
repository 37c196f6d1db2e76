"""Keeping and deleting: ``lake.retention``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from auditlake.context import Facet
from auditlake.errors import ReportError, RetentionError
from auditlake.events.times import Instant, judged_as_of

if TYPE_CHECKING:
    from auditlake.retention.apply import Applied
    from auditlake.retention.erase import Erased
    from auditlake.retention.plan import RetentionPlan


class Retention(Facet):
    """What is due, its deletion, and the erasure of persons."""

    def plan(self, as_of: Instant | None = None) -> RetentionPlan:
        """Return what is due, what stays, and why. What was logged is flushed first.

        Args:
            as_of: The instant to judge at; now if None, and never later. Of a day, its end.

        Raises:
            RetentionError: The instant lies ahead.
        """
        from auditlake.landing.flush import flush
        from auditlake.retention.planner import plan

        flush(self._context, reading=True)
        return plan(self._context, judged_as_of(as_of, self._context.now, RetentionError))

    def apply(
        self,
        *,
        as_of: Instant | None = None,
        plan: str | None = None,
        accept_weaker: str | None = None,
        operator: str | None = None,
    ) -> Applied:
        """Delete what is due, and nothing else: one commit and a certificate; the files go after the grace.

        Args:
            as_of: The instant to judge at; now if None, and never later. Of a day, its end.
            plan: The digest of the plan that was looked at; refused if there is another one by now.
            accept_weaker: Why policies or holds that have become weaker since they were recorded are right.
            operator: Who does this; the user of this process if None.

        Raises:
            RetentionError: The plan has changed, or the rules have become weaker; nothing was deleted.
            CommitError: The commit was refused; nothing was deleted.
        """
        from auditlake.landing.flush import flush
        from auditlake.retention.apply import apply

        flush(self._context)
        done = apply(self._context, as_of, digest=plan, accept_weaker=accept_weaker, operator=operator)
        if any(each.kind == "report" for each in done.plan.leftovers):
            self._write_index()
        return done

    def _write_index(self) -> None:
        """Write the list of the lake's reports again, where there is one: some of them are gone."""
        from auditlake.site.index import check_index, write_index

        layout = self._context.layout
        if (layout.reports / "index.html").is_file():
            with suppress(ReportError):  # the events are deleted all the same, and the next run writes it
                check_index(layout.reports)
                write_index(layout.reports, layout, everything=True)

    def erase(
        self, user_id: str, *, reason: str, ticket: str, paths: Sequence[str] = (), operator: str | None = None
    ) -> Erased:
        """Replace the personal data in a person's events by pseudonyms; the events stay, and holds win.

        Args:
            user_id: The person.
            reason, ticket: Why, and where it is written down.
            paths: Places in details and metadata besides those of the events' sources and of lake.toml, e.g.
                ``$.details.email``; lists on the way are passed.
            operator: Who does this; the user of this process if None.

        Raises:
            RetentionError: Something is missing, no event has that user_id, or a hold has gone or changed; nothing was
                changed.
        """
        from auditlake.landing.flush import flush
        from auditlake.retention.erase import Person, erase

        flush(self._context)
        return erase(self._context, Person(user_id, reason, ticket, tuple(paths)), operator=operator)
