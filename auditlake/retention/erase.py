"""Erasure of a person: the personal fields of that person's events become pseudonyms, the events stay.

The same value always becomes the same pseudonym in a lake, so counts and groups stay what they were. Holds win. What is
personal in an event depends on its source (:mod:`auditlake.events.personal`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from auditlake.alerts.files import unwatched_by_all
from auditlake.context import LakeContext
from auditlake.errors import RetentionError
from auditlake.events.personal_paths import PersonalPath, personal_path
from auditlake.retention.cleanup import Cleanup
from auditlake.retention.commit_record import operator_or_user
from auditlake.retention.mentions import NOT_SEARCHED, find_mentions, replaced_file, rewritten_alerts, shared_traces
from auditlake.retention.operation import Operation, carry_out, remaining_of
from auditlake.retention.person import elsewhere, find, unknown
from auditlake.retention.planner import rules_of
from auditlake.retention.terms import with_holds_as_they_are
from auditlake.storage.lake import write
from auditlake.store.failures import explained
from auditlake.store.file_types import with_types
from auditlake.store.pseudonyms import keep_key, new_pseudonyms
from auditlake.store.turn import writer_turn


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did."""

    pseudonym: str
    """What stands for the person now."""
    events: int
    """Events whose personal fields were replaced."""
    held: int
    """Events of the person that a hold kept as they are."""
    snapshot: int
    """The newest version after it."""
    certificate: str | None
    """The certificate's id; None where there was nothing to do."""
    left: tuple[str, ...]
    """What was not done, in sentences."""
    remaining: Mapping[str, Any]
    """How much that names the person is left, as a certificate has it."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who is to be erased, and why."""

    user_id: str
    reason: str
    ticket: str
    paths: tuple[str, ...]
    """Where personal data lies in JSON, besides the places that lake.toml names."""


def erase(context: LakeContext, person: Person, *, operator: str | None) -> Erased:
    """Replace a person's personal data; see :meth:`auditlake.facets.retention.Retention.erase`.

    Raises:
        CommitError: The commit was refused; nothing was changed but files of alerts, which may have the pseudonym
            already. The same erasure again does not name those.
    """
    paths, now, layout = _paths(person), context.now, context.layout
    with explained(layout, "the erasure"), writer_turn(context) as turn:
        cleanup = Cleanup(turn, context.config.grace_seconds)
        cleanup.complete_pending()
        rules = rules_of(context, now, commits=turn.commits)
        names = rules.names or new_pseudonyms()
        personal = tuple(dict.fromkeys((*rules.personal, *paths)))
        rules = replace(rules, names=names, personal=personal, person=person.user_id)
        terms = with_holds_as_they_are(
            turn.commits, rules.policies, rules.all_holds, rules.default_retention, "erased"
        )  # fmt: skip
        events = find(layout, rules, with_types(layout, turn.snapshot), person.user_id)
        days = tuple(day for day in events.days if day.changed)
        mentions = find_mentions(context, rules, events.words, turn.snapshot)
        mentions.left.extend(shared_traces(context, events.traces))
        with unwatched_by_all(layout) as is_unwatched:
            alerts = rewritten_alerts(
                context, events.words, names, mentions, free=is_unwatched, held=bool(rules.holds)
            )  # fmt: skip
            leftovers = (*mentions.leftovers, *(replaced_file(layout, each) for each in alerts))
            if not events.days and not leftovers:
                raise unknown(layout, rules, turn.snapshot, person.user_id)
            keep_key(layout, names)  # before anything is written that it makes
            for new in mentions.quarantine:
                write(layout, new.path, new.data)
            facts = {"reason": person.reason, "ticket": person.ticket, "person": names.of(person.user_id),
                     "held": events.held, "left": mentions.left}  # fmt: skip
            operation = Operation(
                "erase", now, operator_or_user(operator), days, rules.step("of_person", who=list(events.who)), terms,
                leftovers, facts, None, elsewhere(layout, rules, turn.snapshot, events), len(mentions.files),
                tuple(alerts),
            )  # fmt: skip
            done = carry_out(context, turn, rules, operation) if days or leftovers else None
        if done:
            cleanup.complete_pending(done)
    return Erased(
        names.of(person.user_id), sum(day.changed for day in days), events.held, turn.snapshot.version,
        done.certificate if done else None, tuple(each for each in mentions.left if done or each not in NOT_SEARCHED),
        remaining_of(rules, operation),
    )  # fmt: skip


def _paths(person: Person) -> list[PersonalPath]:
    for what in ("user_id", "reason", "ticket"):
        if not getattr(person, what).strip():
            raise RetentionError(f"an erasure needs a {what}", hint="nothing was changed")
    paths = []
    for text in person.paths:
        path = personal_path(text)
        if path is None:
            raise RetentionError(f"{text!r} is no place in details or metadata", hint="e.g. $.details.email")
        paths.append(path)
    return paths
