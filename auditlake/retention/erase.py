"""Erasure of a person: the personal fields of that person's events become pseudonyms, the events stay.

The same value always becomes the same pseudonym in a lake, so counts and groups stay what they were. Holds win.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from auditlake.engine.duck import connect, rows
from auditlake.errors import RetentionError
from auditlake.events.paths import PersonalPath, personal_path
from auditlake.retention.alertfiles import unwatched
from auditlake.retention.beside import addressed, alerts, beside, replaced_file
from auditlake.retention.deed import Day, Deed, carry_out, holds_of
from auditlake.retention.finish import finish
from auditlake.retention.holds import load_holds
from auditlake.retention.judge import Judge
from auditlake.retention.planning import Settings, judge_of
from auditlake.retention.rewrite import DayRewrite
from auditlake.retention.terms import last_recorded, terms_of, weaker_holds
from auditlake.sqlfiles import statement
from auditlake.store import delta
from auditlake.store.failures import explained
from auditlake.store.layout import Layout
from auditlake.store.lock import exclusive, workspace
from auditlake.store.pseudonyms import Pseudonyms, pseudonyms

_EPOCH_DAY = date(1970, 1, 1)


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
        RetentionError: It is not said who, why or where, or a hold has gone or changed; nothing was changed.
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
        names = pseudonyms(layout, make=True)
        assert names is not None
        judge = judge_of(layout, settings, now)
        judge = replace(judge, names=names, personal=tuple(dict.fromkeys((*judge.personal, *paths))))
        terms = _terms(layout, settings, judge, snapshot.version)
        days = tuple(_days(layout, judge, snapshot, person))
        held = sum(day.held for day in days)
        days = tuple(day for day in days if day.rewrite.changed)
        leftovers, left = beside(layout, judge, person.user_id, settings, snapshot)
        left += addressed(layout, settings, _traces(layout, names, snapshot, person))
        with unwatched(layout) as is_unwatched:
            anew, said_left = alerts(layout, settings, person.user_id, names, free=is_unwatched, held=bool(judge.holds))
            leftovers += [replaced_file(layout, each) for each in anew]
            left += said_left
            if not days and not leftovers:
                return Erased(names.of(person.user_id), 0, held, snapshot.version, None, tuple(left))
            said = {"reason": person.reason, "ticket": person.ticket, "person": names.of(person.user_id), "held": held,
                    "left": left}  # fmt: skip
            mark = judge.step("of_person", who=_who(names, person))
            deed = Deed("erase", days, mark, terms, tuple(leftovers), said, None, tuple(anew))
            version, name = carry_out(
                layout, folder, snapshot, judge, deed, lake_id=settings.id, operator=operator, now=now,
                grace_seconds=settings.grace_seconds,
            )  # fmt: skip
        finish(layout, delta.read_snapshot(layout), settings.grace_seconds)
    events = sum(day.rewrite.changed for day in days)
    return Erased(names.of(person.user_id), events, held, version, name, tuple(left))


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


def _who(names: Pseudonyms, person: Person) -> list[str]:
    return [person.user_id, names.of(person.user_id)]


def _days(layout: Layout, judge: Judge, snapshot: delta.Snapshot, person: Person) -> Iterator[Day]:
    """The days that have events of the person."""
    assert judge.names is not None
    step = judge.step("person_days", who=_who(judge.names, person))
    with TemporaryDirectory(prefix="auditlake-") as spill, connect(temp=Path(spill), exact_try=False) as connection:
        delta.view_snapshot(connection, layout, snapshot)
        found = rows(connection, step.sql, dict(step.parameters))
    for number, _, held, named in found:
        day = _EPOCH_DAY + timedelta(days=number)
        files = tuple(file for file in snapshot.files if file.day == day)
        yield Day(DayRewrite(day, files, 0, named), sum(file.rows for file in files), held, whole=False)


def _traces(layout: Layout, names: Pseudonyms, snapshot: delta.Snapshot, person: Person) -> set[str]:
    """The addresses and sessions of the person's events."""
    part = statement("retention/day.sql", "traces")
    with TemporaryDirectory(prefix="auditlake-") as spill, connect(temp=Path(spill), exact_try=False) as connection:
        delta.view_snapshot(connection, layout, snapshot)
        found = rows(connection, part.text, part.bind({"who": _who(names, person)}))
    return {text for (text,) in found if not names.knows(text)}
