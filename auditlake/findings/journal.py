"""The journal ``LAKE/findings/journal.jsonl``: one line of JSON for each decision, appended and never changed.

The digest of an entry is SHA-256 over the digest before it (32 bytes, zeros before the first) and the line's bytes
without its line break. Whoever knows the digest of one entry can tell whether any up to it was changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from auditlake.disk import evidence_json
from auditlake.disk.durable import make_folders, sync_folder
from auditlake.disk.files import descriptor_of, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeError, LakeFormatError
from auditlake.events.times import parse_instant, print_instant
from auditlake.findings.decisions import Acceptance, Entry, Journal, Reopening, Review, Subject

_KINDS: dict[str, type[Acceptance | Reopening | Review]] = {
    "accept": Acceptance, "reopen": Reopening, "review": Review,
}  # fmt: skip
_INSTANTS = ("at", "start", "since", "until", "as_of", "period_until")
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
    if entries is not None and entries > len(lines):
        message = f"the journal of findings has {len(lines)} entries, expected {entries} at least"
        raise LakeFormatError(message, hint="entries are missing: restore it from a backup")
    lines_about = [line for line in lines[:entries] if _is_about(line.entry, policy_id)]
    if not lines_about:
        return Journal()
    decisions = [line.entry for line in lines_about]
    taken_back = {entry.acceptance for entry in decisions if isinstance(entry, Reopening)}
    accepted = (entry for entry in decisions if isinstance(entry, Acceptance))
    return Journal(
        entries=lines_about[-1].entry.number,
        digest=lines_about[-1].digest,
        acceptances=tuple(entry for entry in accepted if entry.number not in taken_back),
        reviews=tuple(entry for entry in decisions if isinstance(entry, Review)),
    )


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
        make_folders(layout.journal.parent, below=layout.root)
        with _opened(layout) as descriptor:
            data = read_file(layout.journal, within=layout.root)
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):  # the writer of the last line never reported it
                os.ftruncate(descriptor, len(whole))
            before = tuple(_lines(layout, whole))
            check(before)
            entry = replace(entry, number=len(before) + 1)
            line = _printed(entry)
            _write(descriptor, line, len(whole))
        return Line(entry, _digest(before[-1].digest if before else "", line))
    except OSError as error:
        raise LakeError(f"the journal of findings cannot be written: {error.strerror or error}") from error


@contextmanager
def _opened(layout: Layout) -> Iterator[int]:
    """Open the journal's file for one writer at a time."""
    is_new = not layout.journal.exists()
    descriptor = descriptor_of(layout.journal, within=layout.root, flags=os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if is_new:
            sync_folder(layout.journal.parent)
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, line: bytes, at: int) -> None:
    """Append a line, or leave nothing of it."""
    text = line + b"\n"
    try:
        written = 0
        while written < len(text):
            written += os.pwrite(descriptor, text[written:], at + written)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, at)
        raise


def _is_about(entry: Entry, policy_id: str) -> bool:
    if isinstance(entry, Review):
        return entry.is_about(policy_id)
    return policy_id == (entry.subject.policy_id if isinstance(entry, Acceptance) else entry.policy_id)


def _digest(before: str, line: bytes) -> str:
    start = bytes.fromhex(before.removeprefix("sha256:")) if before else bytes(32)
    return "sha256:" + hashlib.sha256(start + line).hexdigest()


def entry_dict(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON values, its kind first."""
    (kind,) = (name for name, each in _KINDS.items() if isinstance(entry, each))
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
    kind = _KINDS[record.pop("kind")]
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
    return kind(**record)
