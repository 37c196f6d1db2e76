"""One deletion or erasure as one commit: days are rewritten, and a certificate says what was done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from auditlake.alerts.files import NewContent
from auditlake.context import LakeContext
from auditlake.disk.durable import write_whole
from auditlake.display.text import count
from auditlake.events.personal import NAMED_COLUMNS
from auditlake.events.personal_paths import PersonalPath
from auditlake.events.times import print_instant
from auditlake.policies.compile import Step
from auditlake.retention.certificate import CERTIFICATE_VERSION, certificate_id, render_certificate_json
from auditlake.retention.commit_record import CommitRecord, Kind
from auditlake.retention.day_rewrite import Day, rewrite_day, taken_with_days
from auditlake.retention.rules import RetentionRules
from auditlake.retention.side_files import Leftover
from auditlake.store.dayfile import put_in_place, replacing
from auditlake.store.model import DataFile, Snapshot
from auditlake.store.pseudonyms import recorded_key
from auditlake.store.turn import Turn

_LISTED = 20
"""Places that a certificate names."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Everything that a commit of retention does and says."""

    kind: Kind
    at: datetime
    operator: str
    days: tuple[Day, ...]
    mark: Step
    """The statement that says which rows of a day stay, and which are changed."""
    terms: Mapping[str, Any]
    leftovers: tuple[Leftover, ...]
    facts: Mapping[str, Any]
    """What the certificate says of this kind of operation only."""
    weaker: Mapping[str, Any] | None
    elsewhere: int | None = None
    """For an erasure: how many events that it does not change name the person."""
    files: int | None = None
    """For an erasure: how many files outside of the table may name the person, and stay as they are."""
    alerts: tuple[NewContent, ...] = ()
    """Files of the alerts that get their new content just before the commit: once it is made, they have it."""


@dataclass(frozen=True, slots=True)
class Done:
    """A commit that was made."""

    version: int
    certificate: str
    """The certificate's id."""
    document: bytes
    """The certificate as JSON."""


def carry_out(context: LakeContext, turn: Turn, rules: RetentionRules, operation: Operation) -> Done:
    """Rewrite the days, and commit.

    Whatever happens before the commit, nothing has changed but files of the alerts, which then have a pseudonym a
    little early. All that follows can be told from the commit; see :mod:`auditlake.retention.cleanup`.
    """
    layout, eraser = turn.layout, rules.eraser if rules.names else None
    drafts = {
        day.day: rewrite_day(layout, turn.folder, day, operation.mark, eraser, rules.texts)
        for day in operation.days
        if not day.whole
    }
    whole = [file for day in operation.days if day.whole for file in day.files]
    taken = (*taken_with_days(layout, whole, turn.folder), *(each for new in drafts.values() for each in new.taken))
    put_in_place(layout, ((new.draft, new.file) for new in drafts.values()))
    added = {day: new.file for day, new in drafts.items()}
    change = replacing((file for day in operation.days for file in day.files), added.values(), taken=taken)
    removed = {file.path for file in change.removes}
    partitions = [_partition(day, added.get(day.day), removed) for day in operation.days]
    certificate = _certificate(context, rules, operation, turn.snapshot, turn.snapshot.after(change), partitions)
    document = render_certificate_json(certificate)
    name = certificate_id(document)
    verb = "replaced the personal data in" if operation.kind == "erase" else "deleted or pseudonymised"
    events = certificate["deleted"] + certificate["pseudonymised"]
    summary = f"{verb} {count(events, 'event')} (certificate {name})"
    record = CommitRecord(
        operation.kind, operation.at, operation.operator, summary, operation.terms,
        weaker=operation.weaker, certificate=certificate, pseudonym_key=_key_of(turn, rules, operation),
        quarantine={Path(each.path).name: each.becomes for each in operation.leftovers if each.kind == "quarantine"},
    )  # fmt: skip
    details = record.details() | {
        "certificate": name, "policies": [rule["id"] for rule in certificate["rules"]],
        "grace_seconds": int(context.config.grace_seconds),
    }  # fmt: skip
    for each in operation.alerts:
        if each.path.exists():  # an alert may have reached its receiver
            write_whole(each.path, each.data)
    return Done(turn.commit(replace(change, metadata=record.metadata(), details=details)), name, document)


def _key_of(turn: Turn, rules: RetentionRules, operation: Operation) -> str | None:
    """Return the digest of the key whose pseudonyms events have, by this operation or by an earlier one."""
    if rules.names is not None and (operation.kind == "erase" or any(day.changed for day in operation.days)):
        return rules.names.digest
    return recorded_key(turn.layout, turn.commits)


def _certificate(
    context: LakeContext,
    rules: RetentionRules,
    operation: Operation,
    before: Snapshot,
    after: Snapshot,
    partitions: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what the certificate of an operation says."""
    changed = any(day.changed for day in operation.days)
    return {
        "certificate_version": CERTIFICATE_VERSION,
        "kind": "erasure" if operation.kind == "erase" else "retention",
        "lake_id": context.config.id, "at": print_instant(operation.at), "operator": operation.operator,
        "reason": None, "ticket": None, "person": None,
        "places": [*NAMED_COLUMNS, *map(str, _places(rules))] if changed else [],
        "as_of": print_instant(rules.as_of), "plan_digest": None,
        "snapshot_before": before.version, "snapshot_after": after.version,
        "inputs_digest_before": before.inputs_digest, "inputs_digest_after": after.inputs_digest,
        "deleted": sum(day.deleted for day in operation.days),
        "pseudonymised": sum(day.changed for day in operation.days),
        "held": sum(day.held for day in operation.days),
        "default_retention": str(rules.default_retention) if rules.default_retention else None,
        "rules": [], "holds": [{"id": hold.id, "reason": hold.reason, "digest": hold.digest} for hold in rules.holds],
        "partitions": list(partitions),
        "leftovers": [
            {"path": each.path, "kind": each.kind, "bytes": each.size, "because": each.because}
            for each in operation.leftovers
        ],
        "left": [], "remaining": remaining_of(rules, operation) if changed or operation.kind == "erase" else None,
        "weaker": operation.weaker, "grace_seconds": int(context.config.grace_seconds),
    } | dict(operation.facts)  # fmt: skip


def _places(rules: RetentionRules) -> list[PersonalPath]:
    """Return where in JSON the changed events were searched: at the places of their sources, and at named ones."""
    personal = rules.eraser.personal
    own = [path for source in sorted(rules.eraser.sources & personal.keys()) for path in personal[source].paths]
    return list(dict.fromkeys((*own, *rules.personal)))


def remaining_of(rules: RetentionRules, operation: Operation) -> dict[str, Any]:
    """Return how much of what is replaced is left elsewhere, once the days are rewritten."""
    texts, keys = rules.eraser.left, rules.eraser.left_keys
    places = sorted((texts + keys).items(), key=lambda each: (-each[1], each[0]))
    return {
        "texts": texts.total(), "keys": keys.total(), "other_events": operation.elsewhere, "files": operation.files,
        "places": [{"place": place, "values": number} for place, number in places[:_LISTED]],
    }  # fmt: skip


def _partition(day: Day, added: DataFile | None, removed: Collection[str]) -> dict[str, Any]:
    return {
        "day": day.day.isoformat(), "action": "drop" if day.whole else "rewrite", "events": day.events,
        "deleted": day.deleted, "pseudonymised": day.changed, "held": day.held,
        "files_removed": [file.path for file in day.files if file.path in removed],
        "file_added": added.path if added else None,
    }  # fmt: skip
