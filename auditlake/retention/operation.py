"""What an apply and an erasure have in common: days are written anew, one commit is made, and what follows is done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from auditlake.alerts.files import NewContent, followed, write_anew
from auditlake.disk.durable import make_folders, rename_synced
from auditlake.disk.layout import Layout
from auditlake.display.text import count
from auditlake.events.personal import NAMED_COLUMNS, SOURCES
from auditlake.events.personal_paths import PersonalPath
from auditlake.events.times import print_instant
from auditlake.landing.blank_segments import copied
from auditlake.policies.compile import Step
from auditlake.policies.holds import Hold
from auditlake.reports.render import render_certificate_json
from auditlake.retention.certificate import CERTIFICATE_VERSION, certificate_id
from auditlake.retention.commit_record import Kind, Record
from auditlake.retention.day_rewrite import DayRewrite, rewrite_day
from auditlake.retention.rules import Judge
from auditlake.retention.side_files import Leftover
from auditlake.retention.taking import taken_with_days
from auditlake.store import delta
from auditlake.store.pseudonyms import recorded_key

_LISTED = 20
"""How many places a certificate names."""


@dataclass(frozen=True, slots=True)
class Day:
    """One partition that changes."""

    rewrite: DayRewrite
    """Its files, and what goes and changes."""
    events: int
    held: int
    whole: bool
    """Whether all of it goes: nothing is read or written then."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Everything that a commit of retention does and says."""

    kind: Kind
    days: tuple[Day, ...]
    mark: Step
    """The statement that says which rows of a day stay, and which are changed."""
    terms: Mapping[str, Any]
    leftovers: tuple[Leftover, ...]
    said: Mapping[str, Any]
    """What the certificate says that only this kind of deed knows."""
    weaker: Mapping[str, Any] | None
    elsewhere: int | None = None
    """Of an erasure: how many events that it does not change name the person."""
    files: int | None = None
    """Of an erasure: how many files beside the table may name the person, and stay as they are."""
    anew: tuple[NewContent, ...] = ()
    """Files of the alerts that get their new content just before the commit: where there is one, they have it."""


def carry_out(
    layout: Layout, folder: Path, snapshot: delta.Snapshot, judge: Judge, deed: Deed, *, lake_id: str, operator: str,
    now: datetime, grace_seconds: float,
) -> tuple[int, str]:  # fmt: skip
    """Write the days anew and commit; give the new version and the certificate's id.

    To be called with the lake's lock held. Whatever happens before the commit, nothing has changed but files of the
    alerts, which then have a pseudonym a little early; all that follows it is told by it.
    """
    eraser = judge.eraser if judge.names else None
    drafts = {
        day.rewrite.day: rewrite_day(layout, folder, day.rewrite, deed.mark, eraser, judge.texts)
        for day in deed.days
        if not day.whole
    }
    taken = [*taken_with_days(layout, [file for day in deed.days if day.whole for file in day.rewrite.files], folder),
             *(each for new in drafts.values() for each in new.taken)]  # fmt: skip
    for new in drafts.values():
        make_folders((layout.events / new.file.path).parent, below=layout.events)
    rename_synced((new.draft, layout.events / new.file.path) for new in drafts.values())
    added = {day: new.file for day, new in drafts.items()}
    had = {file.path: file for day in deed.days for file in day.rewrite.files}
    # Names are made of content: a day that lost all of one file's rows may be another file that it had.
    stays = {file.path for file in added.values()} & had.keys()
    adds = tuple(file for file in added.values() if file.path not in stays)
    removes = tuple(file for path, file in had.items() if path not in stays)
    live = [*(file for file in snapshot.files if file.path not in had or file.path in stays), *adds]
    after = delta.Snapshot(snapshot.version + 1, tuple(sorted(live, key=lambda file: file.path)))
    partitions = [_partition(day, added.get(day.rewrite.day), stays) for day in deed.days]
    certificate = _certificate(
        judge,
        deed,
        snapshot,
        after,
        partitions,
        lake_id=lake_id,
        operator=operator,
        now=now,
        grace_seconds=grace_seconds,
    )
    name = certificate_id(render_certificate_json(certificate))
    verb = "replaced the personal data in" if deed.kind == "erase" else "deleted or pseudonymised"
    events = certificate["deleted"] + certificate["pseudonymised"]
    record = Record(
        deed.kind, now, operator, f"{verb} {count(events, 'event')} (certificate {name})", deed.terms,
        weaker=deed.weaker, certificate=certificate, quarantine=_quarantined(deed.leftovers),
        pseudonym_key=_key_of(layout, judge, deed),
    )  # fmt: skip
    details = record.details() | {
        "certificate": name, "policies": [rule["id"] for rule in certificate["rules"]],
        "grace_seconds": int(grace_seconds),
    }  # fmt: skip
    change = delta.Change(adds, removes, record.metadata(), taken=tuple(taken), details=details)
    for each in deed.anew:
        write_anew(each)
    return delta.commit(layout, snapshot, change), name


def _key_of(layout: Layout, judge: Judge, deed: Deed) -> str | None:
    """The digest of the key whose pseudonyms events have, by this deed or by an earlier one."""
    if judge.names is not None and (deed.kind == "erase" or any(day.rewrite.changed for day in deed.days)):
        return judge.names.digest
    return recorded_key(layout)


def _certificate(
    judge: Judge, deed: Deed, before: delta.Snapshot, after: delta.Snapshot, partitions: Sequence[Mapping[str, Any]], *,
    lake_id: str, operator: str, now: datetime, grace_seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """What the certificate of a deed says."""
    changed = any(day.rewrite.changed for day in deed.days)
    return {
        "certificate_version": CERTIFICATE_VERSION,
        "kind": "erasure" if deed.kind == "erase" else "retention",
        "lake_id": lake_id, "at": print_instant(now), "operator": operator,
        "reason": None, "ticket": None, "person": None,
        "places": [*NAMED_COLUMNS, *map(str, _places(judge))] if changed else [],
        "as_of": print_instant(judge.as_of), "plan_digest": None,
        "snapshot_before": before.version, "snapshot_after": after.version,
        "inputs_digest_before": before.inputs_digest, "inputs_digest_after": after.inputs_digest,
        "deleted": sum(day.rewrite.deleted for day in deed.days),
        "pseudonymised": sum(day.rewrite.changed for day in deed.days),
        "held": sum(day.held for day in deed.days),
        "default_retention": str(judge.default_retention) if judge.default_retention else None,
        "rules": [], "holds": [_hold(hold) for hold in judge.holds],
        "partitions": list(partitions),
        "leftovers": [
            {"path": each.path, "kind": each.kind, "bytes": each.size, "because": each.because}
            for each in deed.leftovers
        ],
        "left": [], "remaining": remaining_of(judge, deed) if changed or deed.kind == "erase" else None,
        "weaker": deed.weaker, "grace_seconds": int(grace_seconds),
    } | dict(deed.said)  # fmt: skip


def _places(judge: Judge) -> list[PersonalPath]:
    """Where in JSON the changed events were looked at: at the places of their sources, and at those that were named."""
    found = [path for source in sorted(judge.eraser.sources & SOURCES.keys()) for path in SOURCES[source].paths]
    return list(dict.fromkeys((*found, *judge.personal)))


def remaining_of(judge: Judge, deed: Deed) -> dict[str, Any]:
    """How much of what is replaced is left elsewhere, once the days are written anew."""
    texts, keys = judge.eraser.left, judge.eraser.left_keys
    places = sorted((texts + keys).items(), key=lambda each: (-each[1], each[0]))
    return {
        "texts": texts.total(), "keys": keys.total(), "other_events": deed.elsewhere, "files": deed.files,
        "places": [{"place": place, "values": number} for place, number in places[:_LISTED]],
    }  # fmt: skip


def _quarantined(leftovers: Sequence[Leftover]) -> dict[str, str]:
    """The quarantine files that go, and the ones that are in their places, if any: all others are still to be there."""
    return {Path(each.path).name: each.becomes for each in leftovers if each.kind == "quarantine"}


def left_everywhere(layout: Layout, grace_seconds: float, *, removes: bool) -> list[str]:
    """What neither an apply nor an erasure does, in sentences."""
    left = ["Copies outside of the lake, backups and reports that were written elsewhere, are not touched."]
    if grace_seconds and removes:
        left.append(
            "The removed files stay on the disk for the grace, and go with the next apply, erasure or compaction."
        )
    read = followed(layout)
    if behind := sum(each.blank_to < each.copied_to for each in copied(layout, read)):
        left.append(
            f"{count(behind, 'segment')} of the landing that a process still writes to keeps lines, which are in the "
            f"table too, since the evaluator of alerts has not written down that it has read them; the next apply or "
            f"erasure, or the flush after that process has begun another one, takes them."
        )
    return left


def holds_of(terms: Mapping[str, Any], holds: Sequence[Hold]) -> dict[str, Any]:
    """Recorded terms with the holds as they are now."""
    return {**terms, "holds": {hold.id: hold.digest for hold in holds}}


def _hold(hold: Hold) -> dict[str, Any]:
    return {"id": hold.id, "reason": hold.reason, "digest": hold.digest}


def _partition(day: Day, added: delta.DataFile | None, stays: Collection[str]) -> dict[str, Any]:
    return {
        "day": day.rewrite.day.isoformat(), "action": "drop" if day.whole else "rewrite", "events": day.events,
        "deleted": day.rewrite.deleted, "pseudonymised": day.rewrite.changed, "held": day.held,
        "files_removed": [file.path for file in day.rewrite.files if file.path not in stays],
        "file_added": added.path if added else None,
    }  # fmt: skip
