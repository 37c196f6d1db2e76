"""The journal ``LAKE/runs/journal.jsonl``: one line of JSON for each run and verification, appended and never changed.

Its digests are those of :mod:`auditlake.disk.chained`. Every entry of the ledger says how far it reached then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from auditlake.disk import evidence_json
from auditlake.disk.chained import appending, digest_after, newest_first
from auditlake.disk.files import open_file, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeError, LakeFormatError
from auditlake.events.times import print_instant
from auditlake.runs.model import Answer, Entry, FailedRun, Found, PackAnswer, Run, Verification

E = TypeVar("E", bound=Entry)
KINDS: Mapping[str, type[Entry]] = {"run": Run, "verify": Verification, "failed": FailedRun}
"""What a line may be, in its own words."""
_PARTS = {"answers": Answer, "packs": PackAnswer}
_LATER: Mapping[type, frozenset[str]] = {Answer: frozenset({"found"})}
"""What lines of before have not."""
_INSTANTS = frozenset({"at", "finished", "started", "as_of", "generated_at", "since", "until"})


def read(layout: Layout) -> Iterator[Entry]:
    """Yield all entries, in order. A last line without a line break was never acknowledged, and is left out.

    Raises:
        LakeFormatError: A line is none of ours.
        LakeError: It cannot be read.
    """
    try:
        with open_file(layout.run_journal, within=layout.root) as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield _entry(layout, line[:-1], number)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LakeError(f"the journal of runs cannot be read: {error.strerror or error}") from error


def counting(layout: Layout, instant: datetime, entries: int | None = None) -> tuple[tuple[Entry, ...], str]:
    """Return the entries that had begun by an instant, and the digest of the journal up to the last of them.

    Args:
        layout: The lake.
        instant: Aware, in UTC.
        entries: Only so many of the first; all of them if None.

    Returns:
        The entries, in order, and ``sha256:`` with hex digits; an empty text where there is no entry.

    Raises:
        LakeFormatError: A line is none of ours, or there are fewer.
    """
    there = tuple(read(layout))
    if entries is not None and entries > len(there):
        message = f"the journal of runs has {len(there)} entries, expected {entries} at least"
        raise LakeFormatError(message, hint="entries are missing: restore it from a backup")
    counted = tuple(each for each in there[:entries] if each.began <= instant)
    if not counted:
        return (), ""
    digest = ""
    for line in read_file(layout.run_journal, within=layout.root).split(b"\n")[: counted[-1].number]:
        digest = digest_after(digest, line)
    return counted, f"sha256:{digest}"


def append(layout: Layout, entry: E, *, unless: Callable[[Iterator[bytes]], bool] = lambda _: False) -> E | None:
    """Write an entry down, durably; it gets the next number, whatever number it has.

    Args:
        layout: The lake.
        entry: What to write.
        unless: Is told all lines before it, the newest first, while no other process can write; true keeps it out.

    Returns:
        The entry as it was written; None if it was kept out.

    Raises:
        LakeError: The disk refused it, and nothing is written down; or the line before it is none of ours.
    """
    try:
        with appending(layout.run_journal, within=layout.root) as file:
            if unless(newest_first(layout.run_journal, within=layout.root)):
                return None
            last = file.last()
            numbered = replace(entry, number=_entry(layout, last).number + 1 if last else 1)
            file.append(json.dumps(entry_dict(numbered), sort_keys=True, separators=(",", ":")).encode())
            return numbered
    except OSError as error:
        raise LakeError(f"the journal of runs cannot be written: {error.strerror or error}") from error


def last_verification(layout: Layout) -> Verification | None:
    """Return the newest verification on record; None if there is none, or the journal cannot be read."""
    try:
        for line in newest_first(layout.run_journal, within=layout.root):
            if b'"kind":"verify"' in line and isinstance(entry := _entry(layout, line), Verification):
                return entry
    except (OSError, LakeFormatError):  # whoever verifies or repairs the lake is told
        pass
    return None


def entry_dict(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON values, its kind first."""
    (kind,) = (name for name, each in KINDS.items() if isinstance(entry, each))
    values: dict[str, Any] = _plain(asdict(entry))
    return {"kind": kind} | values


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return print_instant(value)
    if isinstance(value, Found):  # there may be thousands: what they end with and have not is left out
        parts = [_plain(each) for each in value]
        while parts and parts[-1] is None:
            parts.pop()
        return parts
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def _entry(layout: Layout, line: bytes, number: int | None = None) -> Entry:
    """Read a line.

    Args:
        layout: The lake.
        line: Its bytes.
        number: Its place in the journal, which it must say; None if that is not known.
    """
    where = f"{layout.run_journal}:{number}" if number else f"{layout.run_journal}"
    try:
        record = evidence_json.parse(line)
        kind = KINDS[record.pop("kind")]
        made: Entry = _made(kind, record)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        message = f"{where}: expected an entry of the journal of runs, got {line[:60]!r}"
        raise LakeFormatError(message, hint="restore it from a backup; it is only ever appended to") from error
    if number is not None and made.number != number:
        message = f"{where}: expected entry {number}, got entry {made.number}"
        raise LakeFormatError(message, hint="lines are missing: restore it from a backup")
    return made


def _made(kind: Any, record: dict[str, Any]) -> Any:
    """Make a dataclass of a JSON object that has exactly its fields, or those of before."""
    if not _names(kind) - _LATER.get(kind, frozenset()) <= record.keys() <= _names(kind):
        raise ValueError("unknown or missing keys")
    for name in _INSTANTS & record.keys():
        if record[name] is not None:
            record[name] = _instant(record[name])
    if record.get("found") is not None:
        record["found"] = {name: _found(*each) for name, each in record["found"].items()}
    for name, part in _PARTS.items() if kind is Run else ():
        record[name] = {key: _made(part, each) for key, each in record[name].items()}
    return kind(**record)


def _found(subject: str | None = None, *times: str | None) -> Found:
    return Found(subject, *(None if each is None else _instant(each) for each in times))


@cache
def _names(kind: Any) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind))


def _instant(text: str) -> datetime:
    """Read an instant as :func:`print_instant` writes it; a year of runs may have a million."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is not UTC:
        raise ValueError("expected an instant in UTC")
    return instant
