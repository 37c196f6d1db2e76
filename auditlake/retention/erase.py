"""Erasure of a person: the personal fields of that person's events become pseudonyms, the events stay.

The same value always becomes the same pseudonym in a lake, so counts and groups stay what they were. Holds win.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from auditlake.engine.duck import connect, rows
from auditlake.errors import RetentionError
from auditlake.events.paths import PersonalPath, personal_path
from auditlake.landing.committed import unflushed
from auditlake.reports.words import count, visible
from auditlake.retention.alertfiles import NewContent, alert_files, renamed, unwatched, write_anew
from auditlake.retention.deed import Day, Deed, carry_out, holds_of, left_everywhere
from auditlake.retention.finish import finish
from auditlake.retention.holds import load_holds
from auditlake.retention.judge import Judge
from auditlake.retention.leftovers import Leftover, quarantine_files, report_files
from auditlake.retention.planning import Settings, judge_of
from auditlake.retention.rewrite import DayRewrite
from auditlake.retention.terms import last_recorded, terms_of, weaker_holds
from auditlake.store import delta
from auditlake.store.durable import write_whole
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
        CommitError: The commit was refused; nothing was changed.
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
        leftovers, left = _beside(layout, judge, person, settings)
        with unwatched(layout) as is_unwatched:
            anew, left_alerts = _alerts(layout, settings, person, names, free=is_unwatched, held=bool(judge.holds))
            leftovers += [_replaced(layout, each) for each in anew]
            left += left_alerts
            if not days and not leftovers:
                return Erased(names.of(person.user_id), 0, held, snapshot.version, None, tuple(left))
            said = {"reason": person.reason, "ticket": person.ticket, "person": names.of(person.user_id), "held": held,
                    "left": left}  # fmt: skip
            mark = judge.step("of_person", who=_who(names, person))
            deed = Deed("erase", days, mark, terms, tuple(leftovers), said, None)
            version, name = carry_out(
                layout, folder, snapshot, judge, deed, lake_id=settings.id, operator=operator, now=now,
                grace_seconds=settings.grace_seconds,
            )  # fmt: skip
            for each in anew:
                write_anew(each)
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
        raise RetentionError(message, hint="put the hold's file back; auditlake hold release ends a hold")
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


# Beside the table


def _beside(layout: Layout, judge: Judge, person: Person, settings: Settings) -> tuple[list[Leftover], list[str]]:
    """Quarantine files that lose what names the person, and what is left, in sentences."""
    left = left_everywhere(layout, settings.grace_seconds, removes=True)
    names = _mentions(person.user_id)
    found: list[Leftover] = []
    quarantine = [path for path in quarantine_files(layout) if names.search(_text(path))]
    if quarantine and judge.holds:
        many = f"{count(len(quarantine), 'quarantine file')}"
        left.append(f"{many} may name the person and stay, since a legal hold is active: {_listed(quarantine)}.")
    else:
        found = [erased for path in quarantine if (erased := _erase_records(path, names)) is not None]
    if found:
        left.append("Records that cannot become events come back into the quarantine if they are ingested again.")
    if any(names.search(piece.data.decode("utf-8", "replace")) for piece in unflushed(layout)[1]):
        left.append("Events that may name the person were logged while this was done: erase again for those.")
    if reports := [path for path in report_files(layout) if names.search(_text(path))]:
        left.append(
            f"{count(len(reports), 'kept report file')} may name the person and stay: a report is evidence of what was "
            f"found, and goes when all its events are due: {_listed(reports)}."
        )
    if layout.journal.exists() and names.search(_text(layout.journal)):
        left.append("The journal of findings may name the person and stays as it is: it is chained, and is evidence.")
    return found, left


def _alerts(
    layout: Layout, settings: Settings, person: Person, names: Pseudonyms, *, free: bool, held: bool
) -> tuple[list[NewContent], list[str]]:
    """Files of the alerts to be written anew with the pseudonym, and what is left, in sentences."""
    mentions, jsonl = _mentions(person.user_id), settings.alerts.jsonl
    found = [path for path in alert_files(layout, jsonl) if mentions.search(_text(path))]
    if found and (held or not free):
        why = "and stay, since a legal hold is active" if held else (
            "and the process that evaluates them goes on writing them; end it and erase again"
        )  # fmt: skip
        return [], [f"{count(len(found), 'file')} of the alerts may name the person, {why}: {_listed(found)}."]
    anew = [renamed(path, mentions, names.of(person.user_id)) for path in found]
    left = ["Alerts that were sent cannot be called back."] if found or settings.alerts.webhook else []
    if odd := [path for path, new in zip(found, anew, strict=True) if new is None]:
        left.append(f"{count(len(odd), 'file')} of the alerts may name the person and cannot be read: {_listed(odd)}.")
    return [new for new in anew if new is not None], left


def _replaced(layout: Layout, new: NewContent) -> Leftover:
    path = new.path.relative_to(layout.root) if new.path.is_relative_to(layout.root) else new.path
    return Leftover(path.as_posix(), "alert", new.size, "where it named the person, it has the pseudonym now")


def _mentions(user_id: str) -> re.Pattern[str]:
    """The name as JSON, HTML or plain text has it, and not as a part of a longer one."""
    plain = {user_id, visible(user_id)}
    plain |= {f"{each[:79]}…" for each in tuple(plain) if len(each) > 80}  # as messages of alerts shorten it
    spelled = {
        way for each in plain
        for way in (each, json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1], html.escape(each))
    }  # fmt: skip
    # In a quarantine file the record is JSON text in JSON text.
    spelled |= {json.dumps(each, ensure_ascii=False)[1:-1] for each in tuple(spelled)}
    return re.compile(rf"(?<![\w.@-])(?:{'|'.join(map(re.escape, sorted(spelled, key=len, reverse=True)))})(?![\w.@-])")


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def _erase_records(path: Path, names: re.Pattern[str]) -> Leftover | None:
    """Write a quarantine file anew without the bytes of the records that name the person.

    The place of each record, its reason and its length stay; the new file has the name of its new content.
    """
    import base64

    changed, lines = 0, []
    for line in path.read_bytes().splitlines():
        entry = json.loads(line)
        data = entry["data"]
        if entry["encoding"] == "base64":
            data = base64.b64decode(data).decode("utf-8", "replace")
        if names.search(data) or names.search(str(entry["detail"])):
            entry |= {"encoding": "utf-8", "data": "", "detail": "", "erased": True}
            entry.pop("sha256", None)
            changed += 1
        lines.append(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    if not changed:
        return None
    content = b"".join(line + b"\n" for line in lines)
    new = path.with_name(f"records-{hashlib.sha256(content).hexdigest()}.jsonl")
    write_whole(new, content)
    because = f"{count(changed, 'record')} that may name the person lost the bytes; the rest is in {new.name}"
    return Leftover(f"quarantine/{path.name}", "quarantine", path.stat().st_size, because, new.name)


def _listed(paths: Sequence[Path]) -> str:
    shown = ", ".join(f"{path.parent.name}/{path.name}" for path in paths[:20])
    return shown + (f" and {len(paths) - 20:,} more" if len(paths) > 20 else "")
