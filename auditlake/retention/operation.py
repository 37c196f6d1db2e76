"""One deletion or erasure as one commit: days are rewritten, and a certificate says what was done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from auditlake.alerts.files import NewContent, write_anew
from auditlake.context import LakeContext
from auditlake.display.text import count
from auditlake.engine.duck import connect
from auditlake.events.personal import NAMED_COLUMNS
from auditlake.events.personal_paths import PersonalPath
from auditlake.events.times import print_instant
from auditlake.ledger.hashing import expect
from auditlake.policies.compile import Step
from auditlake.retention.certificate import CERTIFICATE_VERSION, certificate_id, render_certificate_json
from auditlake.retention.commit_record import CommitRecord, Kind
from auditlake.retention.day_rewrite import Day, DayRows, rewrite_day, staying_rows
from auditlake.retention.rules import RetentionRules
from auditlake.retention.shorten import Going, due_counts, shorten, together
from auditlake.retention.side_files import Leftover
from auditlake.retention.withdrawn import Counts, Moved, OpenDay, Withdrawal, counts_of, joined
from auditlake.store.bookkeeping import are_long
from auditlake.store.dayfile import put_in_place, replacing
from auditlake.store.model import DataFile, Snapshot
from auditlake.store.pseudonyms import recorded_key
from auditlake.store.snapshot import whole_files
from auditlake.store.turn import Turn

if TYPE_CHECKING:
    import duckdb

Draft = tuple[Path, DataFile]
"""A file that is written and synced, and what it will be."""

_MEMORY = "700MB"
_LISTED = 20
"""Places that a certificate names."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Everything that a commit of retention does and says."""

    kind: Kind
    at: datetime
    operator: str
    days: tuple[Day, ...]
    mark: Step | DayRows
    """The statement that says which rows of a day stay and which lose their personal data, or what gives its rows."""
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
    going: Going | None = None
    """For a deletion: what knows the rows that go, where none of their day changes."""
    summary: str = ""
    """What it did, to follow "version 7"; made of the numbers if empty."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else the ledger's entry says."""


@dataclass(frozen=True, slots=True)
class Done:
    """A commit that was made."""

    version: int
    certificate: str
    """The certificate's id."""
    document: bytes
    """The certificate as JSON."""
    seconds: float
    """How long it took to write files anew."""


def carry_out(context: LakeContext, turn: Turn, rules: RetentionRules, operation: Operation) -> Done:
    """Rewrite the days, and commit.

    Whatever happens before the commit, nothing has changed but files of the alerts, which then have a pseudonym a
    little early. All that follows can be told from the commit; see :mod:`auditlake.retention.cleanup`.
    """
    layout, eraser, mark = turn.layout, rules.eraser if rules.names else None, operation.mark
    choose = staying_rows(mark, eraser, rules.texts) if isinstance(mark, Step) else mark
    began = monotonic()
    new, withdrawal = _rewrite(context, turn, operation, choose)
    microseconds = round((monotonic() - began) * 1_000_000)
    put_in_place(layout, (pair for pairs in new.values() for pair in pairs))
    added = {day: [file for _, file in pairs] for day, pairs in new.items()}
    left = (file for day in operation.days for file in day.files)
    change = replacing(left, (file for files in added.values() for file in files), taken=withdrawal.taken)
    removed = {file.path for file in change.removes}
    remap = operation.kind == "remap"
    partitions = [_partition(day, added.get(day.day, ()), removed, remap=remap) for day in operation.days]
    certificate = _certificate(context, rules, operation, turn.snapshot, turn.snapshot.after(change), partitions)
    document = render_certificate_json(certificate)
    name = certificate_id(document)
    summary = operation.summary or _summary(operation)
    record = CommitRecord(
        operation.kind, operation.at, operation.operator, f"{summary} (certificate {name})", operation.terms,
        weaker=operation.weaker, certificate=certificate, pseudonym_key=_key_of(turn, rules, operation),
        quarantine={Path(each.path).name: each.becomes for each in operation.leftovers if each.kind == "quarantine"},
        superseded=withdrawal.superseded, took=_took(operation.days, microseconds),
    )  # fmt: skip
    details = record.details() | {
        "certificate": name, "policies": [rule["id"] for rule in certificate["rules"]],
        "grace_seconds": int(context.config.grace_seconds), **operation.details,
    }  # fmt: skip
    for each in operation.alerts:
        if each.path.exists():  # an alert may have reached its receiver
            write_anew(layout, each)
    return Done(
        turn.commit(replace(change, metadata=record.metadata(), details=details)),
        name,
        document,
        microseconds / 1_000_000,
    )


def _rewrite(
    context: LakeContext, turn: Turn, operation: Operation, choose: DayRows
) -> tuple[dict[date, Sequence[Draft]], Withdrawal]:
    """Write the new files of days that lose more than whole files, and say what all take of the ledger's parts."""
    layout, going, days = turn.layout, operation.going, operation.days
    plain = [day for day in days if going and not day.changed]  # rows of it go, and none changes
    others = [day for day in days if not going or day.changed]
    new: dict[date, Sequence[Draft]] = {}
    (spill := turn.folder / "spill").mkdir(exist_ok=True)
    with connect(temp=spill, memory=_MEMORY, exact_try=False) as database:
        dropped = counts_of(database, layout, [file for day in days for file in day.dropped])
        named = counts_of(database, layout, [file for day in others for file in day.rewritten])
        due = due_counts(database, layout, plain, going) if going else {}
        batches = {batch for counts in (dropped, named, due) for of_day in counts.values() for batch in of_day}
        withdrawal = Withdrawal(layout, turn.recorded(batches))
        for day in others:
            done = rewrite_day(database, layout, turn.folder, day, choose, context.classes()) if day.rewritten else None
            moved, beside = done.moved if done else Moved(), (*day.rewritten, *day.staying)
            withdrawal.take(database, day.day, day.dropped, beside, dropped.get(day.day, {}), moved)
            new |= {day.day: done.written} if done else {}
        if going:
            new |= _shorten(context, turn, database, plain, going, withdrawal, joined(dropped, due))
    return new, withdrawal


def _took(days: Sequence[Day], microseconds: int) -> dict[str, int]:
    """Return what later plans are told by how long this one took; nothing where no file was written anew."""
    size = sum(file.size for day in days for file in day.rewritten)
    return {"bytes": size, "microseconds": microseconds} if size else {}


def _shorten(
    context: LakeContext,
    turn: Turn,
    database: duckdb.DuckDBPyConnection,
    days: Sequence[Day],
    going: Going,
    withdrawal: Withdrawal,
    counts: Mapping[date, Counts],
) -> dict[date, Sequence[Draft]]:
    """Write days anew of which rows go and none changes, and take what goes of the ledger's parts."""
    open_days = {
        day.day: OpenDay(day.day, batches, (*day.files, *day.staying))
        for day in days
        if (batches := withdrawal.take_whole(day.day, counts.get(day.day, {}), Moved()))
    }
    many = expect(sum(day.deleted for day in days if day.day in open_days))

    def done(some: Sequence[Day]) -> Mapping[date, Sequence[Draft]]:
        of_open = [open_days[day.day] for day in some if day.day in open_days]
        if of_open:
            withdrawal.take_days(database, going.leaves, of_open, many=many)
        written = [day for day in some if day.rewritten]
        return shorten(database, turn.layout, turn.folder, written, going, context.classes()) if written else {}

    stretches = list(together([day for day in days if day.rewritten or day.day in open_days]))
    alone = [are_long(whole_files(turn.layout, [file for day in some for file in day.files])) for some in stretches]
    # While one builds trees or writes a file, DuckDB reads for the other. Long rows fill the memory of both.
    with ThreadPoolExecutor(2, "auditlake-retention") as pool:
        found = list(pool.map(done, (some for some, is_long in zip(stretches, alone, strict=True) if not is_long)))
    found += [done(some) for some, is_long in zip(stretches, alone, strict=True) if is_long]
    return {day: files for each in found for day, files in each.items()}


def _summary(operation: Operation) -> str:
    verb = "replaced the personal data in" if operation.kind == "erase" else "deleted or pseudonymised"
    return f"{verb} {count(sum(day.deleted + day.changed for day in operation.days), 'event')}"


def _key_of(turn: Turn, rules: RetentionRules, operation: Operation) -> str | None:
    """Return the digest of the key whose pseudonyms events have, by this operation or by an earlier one."""
    pseudonymises = operation.kind != "remap" and any(day.changed for day in operation.days)
    if rules.names is not None and (operation.kind == "erase" or pseudonymises):
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
    remap = operation.kind == "remap"
    changed = not remap and any(day.changed for day in operation.days)
    return {
        "certificate_version": CERTIFICATE_VERSION,
        "kind": "erasure" if operation.kind == "erase" else operation.kind,
        "lake_id": context.config.id, "at": print_instant(operation.at), "operator": operation.operator,
        "reason": None, "ticket": None, "person": None,
        "places": [*NAMED_COLUMNS, *map(str, _places(rules))] if changed else [],
        "as_of": print_instant(rules.as_of), "plan_digest": None,
        "snapshot_before": before.version, "snapshot_after": after.version,
        "inputs_digest_before": before.inputs_digest, "inputs_digest_after": after.inputs_digest,
        "deleted": sum(day.deleted for day in operation.days),
        "pseudonymised": sum(day.changed for day in operation.days) if changed else 0,
        "held": sum(day.held for day in operation.days),
        "default_retention": str(rules.default_retention) if rules.default_retention else None,
        "rules": [], "holds": [{"id": hold.id, "reason": hold.reason, "digest": hold.digest} for hold in rules.holds],
        "partitions": list(partitions),
        "leftovers": [
            {"path": each.path, "kind": each.kind, "bytes": each.size, "because": each.because}
            for each in operation.leftovers
        ],
        "left": [], "remaining": remaining_of(rules, operation) if changed or operation.kind == "erase" else None,
        "remap": None, "event_types": {}, "weaker": operation.weaker,
        "grace_seconds": int(context.config.grace_seconds),
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


def _partition(day: Day, added: Sequence[DataFile], removed: Collection[str], *, remap: bool) -> dict[str, Any]:
    return {
        "day": day.day.isoformat(), "action": "rewrite" if day.rewritten else "drop", "events": day.events,
        "deleted": day.deleted, "pseudonymised": 0 if remap else day.changed,
        **({"remapped": day.changed} if remap else {}), "held": day.held,
        "files_removed": [file.path for file in day.files if file.path in removed],
        "files_added": sorted(file.path for file in added),
    }  # fmt: skip
