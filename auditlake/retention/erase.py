"""Erasure of a person: the personal fields of that person's events become pseudonyms, the events stay.

The same value always becomes the same pseudonym in a lake, so counts and groups stay what they were. Holds win. What is
personal in an event is told by its source (:mod:`auditlake.events.personal`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from auditlake.alerts.files import unwatched
from auditlake.disk.durable import write_whole
from auditlake.disk.layout import Layout
from auditlake.disk.lock import exclusive, workspace
from auditlake.errors import RetentionError
from auditlake.events.personal_paths import PersonalPath, personal_path
from auditlake.policies.holds import load_holds
from auditlake.retention.cleanup import finish
from auditlake.retention.mentions import NOT_SEARCHED, addressed, alerts, beside, replaced_file
from auditlake.retention.operation import Deed, carry_out, holds_of, remaining_of
from auditlake.retention.person import elsewhere, find, unknown
from auditlake.retention.planner import Settings, judge_of
from auditlake.retention.rules import Judge
from auditlake.retention.terms import last_recorded, terms_of, weaker_holds
from auditlake.store import delta
from auditlake.store.failures import explained
from auditlake.store.pseudonyms import keep_key, new_pseudonyms, pseudonyms


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
    """Where personal data lies in JSON, beside the places that lake.toml names."""


def erase(
    layout: Layout,
    settings: Settings,
    person: Person,
    *,
    operator: str,
    now: datetime,
    wait_seconds: float,
) -> Erased:
    """Replace a person's personal data.

    Raises:
        RetentionError: It is not said who, why or where, nobody of that name is known, or a hold has gone or changed;
            nothing was changed.
        CommitError: The commit was refused; nothing was changed but files of alerts, which may have the pseudonym
            already. The same erasure again does not name those.
    """
    paths = _paths(person)
    with (
        explained(layout, "the erasure"),
        exclusive(layout.lock, wait_seconds=wait_seconds),
        workspace(layout.staging) as folder,
    ):
        snapshot = delta.read_snapshot(layout)
        delta.sync_log(layout, snapshot.version)
        finish(layout, snapshot, settings.grace_seconds)
        names = pseudonyms(layout, make=False) or new_pseudonyms()
        judge = judge_of(layout, settings, now)
        personal = tuple(dict.fromkeys((*judge.personal, *paths)))
        judge = replace(judge, names=names, personal=personal, person=person.user_id)
        terms = _terms(layout, settings, judge, snapshot.version)
        found = find(layout, judge, snapshot, person.user_id)
        days = tuple(day for day in found.days if day.rewrite.changed)
        around = beside(layout, judge, found.words, settings, snapshot)
        around.left.extend(addressed(layout, settings, found.traces))
        with unwatched(layout) as is_unwatched:
            anew = alerts(layout, settings, found.words, names, around, free=is_unwatched, held=bool(judge.holds))
            leftovers = (*around.leftovers, *(replaced_file(layout, each) for each in anew))
            if not found.days and not leftovers:
                raise unknown(layout, judge, snapshot, person.user_id)
            keep_key(layout, names)  # before anything is written that it makes
            for new in around.quarantine:
                write_whole(new.path, new.data)
            said = {"reason": person.reason, "ticket": person.ticket, "person": names.of(person.user_id),
                    "held": found.held, "left": around.left}  # fmt: skip
            deed = Deed(
                "erase", days, judge.step("of_person", who=list(found.who)), terms, leftovers, said, None,
                elsewhere(layout, judge, snapshot, found), len(around.files), tuple(anew),
            )  # fmt: skip
            if not days and not leftovers:
                left = tuple(each for each in around.left if each not in NOT_SEARCHED)
                remaining = remaining_of(judge, deed)
                return Erased(names.of(person.user_id), 0, found.held, snapshot.version, None, left, remaining)
            version, name = carry_out(
                layout, folder, snapshot, judge, deed, lake_id=settings.id, operator=operator, now=now,
                grace_seconds=settings.grace_seconds,
            )  # fmt: skip
        finish(layout, delta.read_snapshot(layout), settings.grace_seconds)
    events = sum(day.rewrite.changed for day in days)
    remaining = remaining_of(judge, deed)
    return Erased(names.of(person.user_id), events, found.held, version, name, tuple(around.left), remaining)


def _paths(person: Person) -> list[PersonalPath]:
    for what in ("user_id", "reason", "ticket"):
        if not getattr(person, what).strip():
            raise RetentionError(f"an erasure needs a {what}", hint="nothing was changed")
    found = []
    for text in person.paths:
        path = personal_path(text)
        if path is None:
            raise RetentionError(f"{text!r} is no place in details or metadata", hint="e.g. $.details.email")
        found.append(path)
    return found


def _terms(layout: Layout, settings: Settings, judge: Judge, newest: int) -> dict[str, Any]:
    """The recorded terms with the holds as they are; an erasure asks nothing of the policies.

    Raises:
        RetentionError: A hold has gone or changed since it was recorded.
    """
    holds = load_holds(layout, settings.event_types)
    recorded = last_recorded(layout, newest) or terms_of(judge.policies, holds, judge.default_retention)
    terms = holds_of(recorded, holds)
    if weaker := weaker_holds(layout, recorded, terms):
        message = f"nothing was erased: {'; '.join(weaker)}"
        hint = (
            "put the files back, and end a hold with auditlake hold release; or answer for it with "
            "auditlake retention apply --accept-weaker REASON"
        )
        raise RetentionError(message, hint=hint)
    return terms
