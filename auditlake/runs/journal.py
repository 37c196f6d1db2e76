"""The journal ``LAKE/runs/journal.jsonl``: one line of JSON for each run and verification, appended and never changed.

Its digests are those of :mod:`auditlake.disk.chained`. Every entry of the ledger says how far it reached then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, TypeVar

from auditlake.disk import evidence_json
from auditlake.disk.chained import digest_after, newest_first
from auditlake.disk.files import open_file, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeError, LakeFormatError
from auditlake.events.durations import parse_duration
from auditlake.events.times import print_instant
from auditlake.runs.model import (
    Answer,
    Declaration,
    Entry,
    FailedRun,
    Found,
    PackAnswer,
    PackedEvidence,
    Pruning,
    RowsRead,
    Run,
    Schedule,
    Verification,
)
from auditlake.storage.lake import appending_to

E = TypeVar("E", bound=Entry)
KINDS: Mapping[str, type[Entry]] = {
    "run": Run, "verify": Verification, "failed": FailedRun, "schedule": Declaration, "evidence": PackedEvidence,
    "pruned": Pruning,
}  # fmt: skip
"""What a line may be, in its own words."""
_INSTANTS = frozenset({"at", "finished", "started", "as_of", "generated_at", "since", "until", "due", "before"})
_LISTS = ("about", "pages")


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
                    yield read_line(layout, line[:-1], number)
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
        with appending_to(layout, layout.run_journal) as file:
            if unless(newest_first(layout.run_journal, within=layout.root)):
                return None
            last = file.last()
            numbered = replace(entry, number=read_line(layout, last).number + 1 if last else 1)
            file.append(json.dumps(entry_dict(numbered), sort_keys=True, separators=(",", ":")).encode())
            return numbered
    except OSError as error:
        raise LakeError(f"the journal of runs cannot be written: {error.strerror or error}") from error


def last_verification(layout: Layout) -> Verification | None:
    """Return the newest verification on record; None if there is none, or the journal cannot be read."""
    try:
        for line in newest_first(layout.run_journal, within=layout.root):
            if b'"kind":"verify"' in line and isinstance(entry := read_line(layout, line), Verification):
                return entry
    except (OSError, LakeFormatError):  # whoever verifies or repairs the lake is told
        pass
    return None


def rows_read(layout: Layout) -> RowsRead:
    """Return which rows were read, and found as recorded; none where that is not known."""
    try:
        for line in newest_first(layout.run_journal, within=layout.root):
            entry = read_line(layout, line) if b'"kind":"verify"' in line else None
            if not isinstance(entry, Verification) or not (entry.ok or entry.damaged is not None):
                continue
            if entry.read is not None or entry.level == "full":
                reached = entry.entries if entry.read is None else entry.read
                return RowsRead(reached, entry.damaged or ()) if type(reached) is int and reached >= 0 else RowsRead()
    except (OSError, LakeFormatError):  # then every row is read, and the verification tells of the journal
        pass
    return RowsRead()


def entry_dict(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON values, its kind first."""
    (kind,) = (name for name, each in KINDS.items() if isinstance(entry, each))
    values = asdict(entry)
    if isinstance(entry, Declaration):
        values["schedules"] = {name: _schedule_dict(each) for name, each in entry.schedules.items()}
    if isinstance(entry, Run) and entry.engine == "duckdb":
        del values["engine"]
    if isinstance(entry, Verification) and (entry.read is None or entry.level == "full"):  # it read all entries
        del values["read"]
    if isinstance(entry, Verification) and (entry.ok or entry.damaged is None):
        del values["damaged"]
    return {"kind": kind, **_plain(values)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return print_instant(value)
    if isinstance(value, Found):  # there may be thousands: what they end with and have not is left out
        parts = [_plain(each) for each in value]
        while parts and parts[-1] is None:
            parts.pop()
        return parts
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def _schedule_dict(schedule: Schedule) -> dict[str, Any]:
    evaluate = [*schedule.evaluate]
    return {"every": f"{schedule.every}", "at": schedule.at, "evaluate": evaluate, "within": f"{schedule.within}"}


def read_line(layout: Layout, line: bytes, number: int | None = None) -> Entry:
    """Return the entry that a line is.

    Args:
        layout: The lake.
        line: Its bytes.
        number: Its place in the journal, which it must say; None if that is not known.

    Raises:
        LakeFormatError: It is none of ours.
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


def read_without_answers(line: bytes) -> tuple[Run, dict[str, dict[str, Any]], dict[str, dict[str, Any]]] | None:
    """Return a run without its answers, and these as JSON values: of packs and of policies; None if it is no run.

    It is for who looks at many runs and at little of each: nothing of an answer is checked.
    """
    try:
        record = json.loads(line)
        if record.pop("kind") != "run":
            return None
        packs, answers = record["packs"], record["answers"]
        run: Run = _made(Run, record | {"packs": {}, "answers": {}})
        return run, packs, answers
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _made(kind: Any, record: dict[str, Any]) -> Any:
    """Make a dataclass of a JSON object that has its fields; it may lack those that earlier lines did not have.

    Raises:
        TypeError: It has another key, or lacks one: the dataclass says so.
    """
    for name in _instants(kind):
        if record.get(name) is not None:
            record[name] = _instant(record[name])
    for name in _LISTS if kind in (PackedEvidence, Pruning) else ():
        if name in record:
            record[name] = tuple(record[name])
    if record.get("damaged") is not None:
        record["damaged"] = tuple(map(date.fromisoformat, record["damaged"]))
    if kind is Run:
        record["answers"] = {name: _answer(each) for name, each in record["answers"].items()}
        record["packs"] = {name: PackAnswer(**each) for name, each in record["packs"].items()}
    if kind is Declaration:
        record["schedules"] = {name: _schedule(name, each) for name, each in record["schedules"].items()}
    return kind(**record)


def _answer(record: dict[str, Any]) -> Answer:
    """Make an answer; a year of runs may have a hundred thousand."""
    record["since"], record["until"] = _instant(record["since"]), _instant(record["until"])
    if record.get("found") is not None:
        record["found"] = {name: _found(*each) for name, each in record["found"].items()}
    return Answer(**record)


def _found(subject: str | None = None, *times: str | None) -> Found:
    return Found(subject, *(None if each is None else _instant(each) for each in times))


def _schedule(name: str, record: dict[str, Any]) -> Schedule:
    every, within = (parse_duration(record.pop(key), key) for key in ("every", "within"))
    return Schedule(name, every, evaluate=tuple(record.pop("evaluate")), within=within, **record)


@cache
def _instants(kind: Any) -> tuple[str, ...]:
    """Return the names of the fields that are instants."""
    return tuple(each.name for each in fields(kind) if each.name in _INSTANTS)


def _instant(text: str) -> datetime:
    """Read an instant as :func:`print_instant` writes it."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is not UTC:
        raise ValueError("expected an instant in UTC")
    return instant
