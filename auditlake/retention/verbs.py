"""The verbs of a lake that are about keeping and deleting; :class:`auditlake.AuditLake` has them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from auditlake.disk.layout import Layout
from auditlake.errors import AuditLakeError, RetentionError
from auditlake.events.times import Instant, given, given_end, judged_as_of
from auditlake.machine import Clock

if TYPE_CHECKING:
    from auditlake.landing.flush import FlushSummary
    from auditlake.policies.holds import Hold
    from auditlake.retention.apply import Applied
    from auditlake.retention.erase import Erased
    from auditlake.retention.plan import RetentionPlan


class RetentionVerbs:
    """Holds, retention and erasure of a lake."""

    layout: Layout
    config: Any
    _clock: Clock
    _wait: float

    if TYPE_CHECKING:

        def flush(self, *, reading: bool = False) -> FlushSummary: ...  # noqa: D102 - this is AuditLake's
        def _rows(self, query: str, values: Mapping[str, Any] | None, version: int | None) -> Any: ...

    def holds(self) -> tuple[Hold, ...]:
        """Every legal hold of the lake by id; those that have ended are on record too.

        Raises:
            HoldError: A file cannot be used; every mistake of every file is listed.
        """
        from auditlake.policies.holds import load_holds

        return load_holds(self.layout, self.config.event_types)

    def binding_holds(self) -> tuple[Hold, ...]:
        """The holds as they count: whom they name is also found by the pseudonym that has taken the name's place.

        Raises:
            HoldError: A file cannot be used.
            LakeFormatError: The key of the lake's pseudonyms has gone, or is another one.
        """
        from auditlake.policies.holds import binding

        return binding(self.layout, self.holds())

    def add_hold(
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

        ``matches`` of what this gives says how many events that are now, with those that are not flushed: none is
        likely a mistake.

        Args:
            hold_id: Its name: small letters, digits, ``_`` and ``-``.
            reason, owner, ticket: Why, who answers for it, and where it is written down.
            event_types, user_ids, resources: Only events with one of each that is given.
            since, until: Only events from then, and up to then; both inclusive, also as days.
            operator: Who does this; as the system knows them if None.

        Raises:
            HoldError: There is one of that name, or it says something that a hold cannot.
        """
        from auditlake.policies.holds import HoldRequest
        from auditlake.retention.holds import add_hold

        request = HoldRequest(
            reason, owner, ticket, tuple(event_types), tuple(user_ids), tuple(resources), given(since), given_end(until)
        )
        return self._counted(add_hold(self.layout, hold_id, request, **self._keeping(operator)))

    def _counted(self, hold: Hold) -> Hold:
        """A hold that has begun, with how many events it matches: what hinders counting does not hinder the hold."""
        from auditlake.engine.statements import statement
        from auditlake.policies.compile import fill_holds
        from auditlake.policies.holds import binding

        with suppress(AuditLakeError):
            step = fill_holds(statement("retention/held.sql", "matched"), binding(self.layout, [hold]), {})
            ((matches,),) = self._rows(step.sql, step.parameters, None).fetchall()
            return replace(hold, matches=matches)
        return hold

    def release_hold(self, hold_id: str, *, reason: str, operator: str | None = None) -> Hold:
        """End a hold. What it kept may then be due; the hold itself stays on record."""
        from auditlake.retention.holds import release_hold

        return release_hold(self.layout, hold_id, reason, **self._keeping(operator))

    def retention_plan(self, as_of: Instant | None = None) -> RetentionPlan:
        """What is due at an instant (now if None, never later), what stays, and why; flushes what was logged first."""
        from auditlake.retention.planner import plan

        self.flush(reading=True)
        return plan(self.layout, self.config, judged_as_of(as_of, self._clock(), RetentionError))

    def retention_apply(
        self,
        *,
        as_of: Instant | None = None,
        plan: str | None = None,
        accept_weaker: str | None = None,
        operator: str | None = None,
    ) -> Applied:
        """Delete what is due, and nothing else: one commit, a certificate, and the files go after the grace.

        Args:
            as_of: The instant to judge at; now if None, and never after now. Of a day, its end.
            plan: The digest of the plan that was looked at; refused if there is another one by now.
            accept_weaker: Why policies or holds that have become weaker since they were recorded are right.
            operator: Who does this; as the system knows them if None.

        Raises:
            RetentionError: The plan has changed, or the rules have become weaker; nothing was deleted.
            CommitError: The commit was refused; nothing was deleted.
        """
        from auditlake.retention.apply import apply

        self.flush()
        return apply(
            self.layout, self.config, as_of=judged_as_of(as_of, self._clock(), RetentionError), digest=plan,
            accept_weaker=accept_weaker, **self._acting(operator),
        )  # fmt: skip

    def erase(
        self, user_id: str, *, reason: str, ticket: str, paths: Sequence[str] = (), operator: str | None = None
    ) -> Erased:
        """Replace the personal data in a person's events by pseudonyms; the events stay, and holds win.

        Args:
            user_id: Who.
            reason, ticket: Why, and where it is written down.
            paths: Places in details and metadata beside those of the events' sources and of lake.toml, e.g.
                ``$.details.email``; lists on the way are passed.
            operator: Who does this; as the system knows them if None.

        Raises:
            RetentionError: Something is missing, no event has that user_id, or a hold has gone or changed; nothing was
                changed.
        """
        from auditlake.retention.erase import Person, erase

        self.flush()
        return erase(self.layout, self.config, Person(user_id, reason, ticket, tuple(paths)), **self._acting(operator))

    def _keeping(self, operator: str | None) -> dict[str, Any]:
        known = {"event_types": self.config.event_types, "default_retention": self.config.default_retention}
        return known | self._acting(operator)

    def _acting(self, operator: str | None) -> dict[str, Any]:
        from auditlake.retention.commit_record import operator_or_user

        now: datetime = self._clock()
        return {"operator": operator_or_user(operator), "now": now, "wait_seconds": self._wait}
