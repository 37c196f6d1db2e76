"""The journal ``LAKE/findings/journal.jsonl``: one line of JSON for each decision, appended and never changed.

Whoever knows the digest of one entry can tell whether any up to it was changed: see :mod:`auditlake.disk.chained`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any, TypeVar

from auditlake.disk import evidence_json
from auditlake.disk.chained import digest_after
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeError, LakeFormatError
from auditlake.events.times import parse_instant, print_instant
from auditlake.findings.decisions import (
    Acceptance,
    Applicability,
    Decisions,
    Entry,
    EvidenceFile,
    Journal,
    Reopening,
    Resolution,
    Retractable,
    Retraction,
    Review,
    Statement,
    Subject,
    Weakening,
    is_in_force,
)  # fmt: skip
from auditlake.storage.lake import appending_to

E = TypeVar("E", bound=Entry)
KINDS: Mapping[str, type[Entry]] = {
    "accept": Acceptance, "reopen": Reopening, "review": Review, "resolve": Resolution, "statement": Statement,
    "applicability": Applicability, "weaken": Weakening, "retract": Retraction,
}  # fmt: skip
"""What a line may be, in its own words."""
_INSTANTS = ("at", "start", "end", "since", "until", "as_of", "period_until")
_PERIOD = frozenset({"since", "until", "policies", "pack"})
"""What a review of before has not, all of it or none."""


@dataclass(frozen=True, slots=True)
class Line:
    """An entry with the digest of the journal up to it."""

    entry: Entry
    digest: str
    """``sha256:`` and hex digits."""


def read(layout: Layout) -> tuple[Line, ...]:
    """Return all entries, in order. A last line without a line break was never acknowledged, and is left out.

    Raises:
        LakeFormatError: A line is none of ours.
    """
    try:
        data = read_file(layout.journal, within=layout.root)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise LakeError(f"the journal of findings cannot be read: {error.strerror or error}") from error
    return tuple(_lines(layout, data[: data.rfind(b"\n") + 1]))


def concerning(lines: Sequence[Line], policy_id: str, *, entries: int | None = None) -> Journal:
    """Return what the journal says about a policy.

    Args:
        lines: All entries.
        policy_id: The policy.
        entries: Only so many of the first; all of them if None.

    Raises:
        LakeFormatError: There are fewer.
    """
    lines = first_entries(lines, entries)
    about = [line for line in lines if is_about(line.entry, policy_id, lines)]
    if not about:
        return Journal()
    standing = _standing([line.entry for line in about])
    return Journal(
        entries=about[-1].entry.number,
        digest=about[-1].digest,
        acceptances=_only(Acceptance, standing),
        reviews=_only(Review, standing),
    )


def decisions_as_of(
    lines: Sequence[Line], instant: datetime, entries: int | None = None, *, known_by: datetime | None = None
) -> Decisions:
    """Return what people had decided as of an instant.

    What was decided or taken back later counts for nothing, so the same instant gives the same answer ever after.

    Args:
        lines: All entries.
        instant: Aware, in UTC.
        entries: Only so many of the first; all of them if None.
        known_by: What was decided up to this instant, and after the other, counts as decided at the other.

    Raises:
        LakeFormatError: There are fewer.
    """
    last = instant if known_by is None else max(instant, known_by)
    counted = [line.entry for line in first_entries(lines, entries) if line.entry.at <= last]
    standing = _standing([each if each.at <= instant else replace(each, at=instant) for each in counted])
    weakenings = _newest(_only(Weakening, standing), lambda each: (each.pack, each.parameter))
    return Decisions(
        as_of=instant,
        statements=_newest(_only(Statement, standing), lambda each: (each.pack, each.control)),
        applicabilities=_newest(_only(Applicability, standing), lambda each: (each.pack, each.control)),
        weakenings=tuple(each for each in weakenings if is_in_force(each, instant)),
        reviews=_only(Review, standing),
        resolutions=_only(Resolution, standing),
        acceptances=_only(Acceptance, standing),
    )


def first_entries(lines: Sequence[Line], entries: int | None) -> Sequence[Line]:
    """Return so many of the first entries; all of them if None.

    Raises:
        LakeFormatError: There are fewer.
    """
    if entries is not None and entries > len(lines):
        message = f"the journal of findings has {len(lines)} entries, expected {entries} at least"
        raise LakeFormatError(message, hint="entries are missing: restore it from a backup")
    return lines[:entries]


def _standing(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that were not taken back."""
    reopened = {entry.acceptance for entry in entries if isinstance(entry, Reopening)}
    retracted = {entry.entry for entry in entries if isinstance(entry, Retraction)}
    return [
        entry for entry in entries
        if entry.number not in (retracted if isinstance(entry, Retractable) else reopened)
    ]  # fmt: skip


def _only(kind: type[E], entries: Iterable[Entry]) -> tuple[E, ...]:
    return tuple(entry for entry in entries if isinstance(entry, kind))


def _newest(entries: Iterable[E], key: Callable[[E], object]) -> tuple[E, ...]:
    """Return the last entry of each key, in order."""
    return tuple(sorted({key(each): each for each in entries}.values(), key=lambda each: each.number))


def append(layout: Layout, entry: Entry, check: Callable[[Sequence[Line]], None] = lambda _: None) -> Line:
    """Write an entry down, durably; it gets the next number, whatever number it has.

    Args:
        layout: The lake.
        entry: What to write.
        check: Is told all entries before it, while no other process can write; what it raises keeps the entry out.

    Raises:
        LakeError: The disk refused it; nothing is written down.
    """
    try:
        with appending_to(layout, layout.journal) as file:
            before = tuple(_lines(layout, file.lines()))
            check(before)
            entry = replace(entry, number=len(before) + 1)
            line = _printed(entry)
            file.append(line)
        return Line(entry, _digest(before[-1].digest if before else "", line))
    except OSError as error:
        raise LakeError(f"the journal of findings cannot be written: {error.strerror or error}") from error


def _digest(before: str, line: bytes) -> str:
    return "sha256:" + digest_after(before.removeprefix("sha256:"), line)


def is_about(entry: Entry, policy_id: str, lines: Sequence[Line]) -> bool:
    """Return whether a policy's report says what an entry says."""
    match entry:
        case Review():
            return entry.is_about(policy_id)
        case Acceptance():
            return entry.subject.policy_id == policy_id
        case Reopening():
            return entry.policy_id == policy_id
        case Retraction():
            taken_back = lines[entry.entry - 1].entry if 0 < entry.entry < entry.number else None
            return isinstance(taken_back, Review) and taken_back.is_about(policy_id)
        case _:
            return False


def entry_dict(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON values, its kind first."""
    (kind,) = (name for name, each in KINDS.items() if isinstance(entry, each))
    values = asdict(entry)
    times = {name: print_instant(value) for name, value in values.items() if isinstance(value, datetime)}
    return {"kind": kind} | values | times


def _printed(entry: Entry) -> bytes:
    return json.dumps(entry_dict(entry), ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()


def _lines(layout: Layout, data: bytes) -> Iterator[Line]:
    digest = ""
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            entry = _parsed(evidence_json.parse(line))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            message = f"{layout.journal}:{number}: expected an entry of the journal of findings, got {line[:60]!r}"
            raise LakeFormatError(message, hint="restore it from a backup; it is only ever appended to") from error
        if entry.number != number:
            message = f"{layout.journal}:{number}: expected entry {number}, got entry {entry.number}"
            raise LakeFormatError(message, hint="lines are missing: restore it from a backup")
        digest = _digest(digest, line)
        yield Line(entry, digest)


def _parsed(record: dict[str, Any]) -> Entry:
    kind = KINDS[record.pop("kind")]
    expected = {field.name for field in fields(kind)}
    if set(record) not in ((expected, expected - _PERIOD) if kind is Review else (expected,)):
        raise ValueError("unknown or missing keys")
    for name in _INSTANTS:
        if record.get(name) is not None:
            record[name] = parse_instant(record[name])
    if "subject" in record:
        record["subject"] = Subject(**record["subject"])
    if "policies" in record:
        record["policies"] = tuple(record["policies"])
    if "evidence" in record:
        record["evidence"] = tuple(EvidenceFile(**each) for each in record["evidence"])
    return kind(**record)
