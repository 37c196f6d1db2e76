"""Keeping and deleting: ``lake.retention``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.errors import RetentionError
from auditlake.events.times import Instant, judged_as_of
from auditlake.landing.flush import flush

if TYPE_CHECKING:
    from auditlake.retention.apply import Applied
    from auditlake.retention.erase import Erased
    from auditlake.retention.plan import RetentionPlan


class Retention:
    """What is due, its deletion, and the erasure of persons.

    Args:
        context: The lake.
    """

    def __init__(self, context: LakeContext) -> None:
        self._context = context

    def plan(self, as_of: Instant | None = None) -> RetentionPlan:
        """Return what is due, what stays, and why. What was logged is flushed first.

        Args:
            as_of: The instant to judge at; now if None, and never later. Of a day, its end.

        Raises:
            RetentionError: The instant lies ahead.
        """
        from auditlake.retention.planner import plan

        flush(self._context, reading=True)
        instant = judged_as_of(as_of, self._context.now, RetentionError)
        return plan(self._context.layout, self._context.config, instant)

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
        from auditlake.retention.apply import apply
        from auditlake.retention.commit_record import operator_or_user

        context = self._context
        flush(context)
        now = context.now
        return apply(
            context.layout, context.config, as_of=judged_as_of(as_of, now, RetentionError), digest=plan,
            accept_weaker=accept_weaker, operator=operator_or_user(operator), now=now,
            wait_seconds=context.wait_seconds,
        )  # fmt: skip

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
        from auditlake.retention.commit_record import operator_or_user
        from auditlake.retention.erase import Person, erase

        context = self._context
        flush(context)
        return erase(
            context.layout, context.config, Person(user_id, reason, ticket, tuple(paths)),
            operator=operator_or_user(operator), now=context.now, wait_seconds=context.wait_seconds,
        )  # fmt: skip
