"""The legal holds of a lake: ``lake.holds``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from auditlake.context import Facet
from auditlake.errors import AuditLakeError
from auditlake.events.times import Instant, as_end_or_none, as_instant_or_none

if TYPE_CHECKING:
    from auditlake.policies.holds import Hold


class Holds(Facet):
    """What must stay whatever is due; iterate over it for every hold."""

    def __iter__(self) -> Iterator[Hold]:
        return iter(self.all())

    def all(self) -> tuple[Hold, ...]:
        """Return every legal hold of the lake by id; those that have ended are on record too.

        Raises:
            HoldError: A file cannot be used; every mistake of every file is listed.
        """
        from auditlake.policies.holds import load_holds

        return load_holds(self._context.layout, self._context.config.event_types)

    def binding(self) -> tuple[Hold, ...]:
        """Return the holds as they count: a person whom one names is also found by the pseudonym.

        Raises:
            HoldError: A file cannot be used.
            LakeFormatError: The key of the lake's pseudonyms has gone, or is another one.
        """
        from auditlake.policies.holds import binding

        return binding(self._context.layout, self.all())

    def add(
        self,
        hold_id: str,
        *,
        reason: str,
        owner: str,
        ticket: str,
        event_types: Sequence[str] = (),
        user_ids: Sequence[str] = (),
        resources: Sequence[str] = (),
        since: Instant | None = None,
        until: Instant | None = None,
        operator: str | None = None,
    ) -> Hold:
        """Keep events from deletion and change until the hold is released: those that match everything it names.

        ``matches`` of the hold that is returned says how many events match now, those that are not flushed included.
        None is likely a mistake.

        Args:
            hold_id: Its name: small letters, digits, ``_`` and ``-``.
            reason, owner, ticket: Why, who answers for it, and where it is written down.
            event_types, user_ids, resources: Only events with one of each that is given.
            since, until: Only events from then, and up to then; both inclusive, also as days.
            operator: Who does this; the user of this process if None.

        Raises:
            HoldError: There is one of that name, or it says something that a hold cannot.
        """
        from auditlake.policies.holds import Hold
        from auditlake.retention.holds import add_hold

        asked = Hold(
            hold_id, reason, owner, ticket, self._context.now, tuple(event_types), tuple(user_ids), tuple(resources),
            as_instant_or_none(since), as_end_or_none(until),
        )  # fmt: skip
        return self._counted(add_hold(self._context, asked, operator=operator))

    def release(self, hold_id: str, *, reason: str, operator: str | None = None) -> Hold:
        """End a hold. What it kept may then be due; the hold itself stays on record.

        Raises:
            HoldError: There is none of that name, it has ended, or there is no reason.
        """
        from auditlake.retention.holds import release_hold

        return release_hold(self._context, hold_id, reason, operator=operator)

    def _counted(self, hold: Hold) -> Hold:
        """Return a new hold with how many events it matches. What hinders counting does not hinder the hold."""
        from auditlake.engine.statements import statement
        from auditlake.policies.compile import fill_holds
        from auditlake.policies.holds import binding
        from auditlake.query.view import ask

        with suppress(AuditLakeError):
            widened = binding(self._context.layout, [hold])
            step = fill_holds(statement("retention/held.sql", "matched"), widened, {})
            ((matches,),) = ask(self._context, None, step.sql, step.parameters).fetchall()
            return replace(hold, matches=matches)
        return hold
