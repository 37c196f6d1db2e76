"""Where answers of days lie: a file for each policy below ``LAKE/.remembered``, and one about events of all types.

An entry is found by what it was made of: a digest over the statement that gave it and over the names of the data files
that this read, which are digests of their bytes. So an entry is never out of date: it is found, or it is not. The first
line of a file is the digest of the rest: a damaged file is none.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from auditlake.disk.durable import sync_folder, write_whole
from auditlake.disk.files import check_folder, open_file, read_file, remove_any, remove_file
from auditlake.disk.layout import Layout
from auditlake.disk.lock import LOCK_SECONDS, exclusive
from auditlake.disk.rights import make_folder
from auditlake.errors import LakeBusyError
from auditlake.events.times import EPOCH
from auditlake.store.deltalog import is_newest
from auditlake.store.model import DataFile, Snapshot

OF_ALL = "_events"
"""The name of the file that is about no policy; an id of a policy never begins so."""
_SUFFIX = ".json"
_SHORT = 8
_MOST_DAYS = 80_000
"""The most days that an answer is made of: a window has at most 200 years."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that is remembered."""

    key: str
    """A digest over all that it was made of."""
    first: int
    """The first day whose files it was made of, since 1970."""
    last: int
    """The last one."""
    answer: Any
    """JSON values."""


Entries = dict[str, Entry]
"""By the day, or by whatever else tells them apart."""


class DayFiles:
    """The data files of a snapshot by day, as far as they tell what an answer was made of.

    Args:
        snapshot: The snapshot.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        by_day: dict[int, list[DataFile]] = defaultdict(list)
        for file in snapshot.files:
            by_day[(file.day - EPOCH.date()).days].append(file)
        self.events = {day: sum(each.rows for each in own) for day, own in by_day.items()}
        """How many events the files of each day have."""
        self._digests = {day: _digest("\n".join(sorted(each.path for each in own))) for day, own in by_day.items()}
        self._spans: dict[tuple[int, int], str] = {}
        """The files of some days, from one to another, as keys have them."""
        self._keys: dict[tuple[str, int, int], str] = {}

    @property
    def days(self) -> Collection[int]:
        """The days that have files."""
        return self.events.keys()

    def key(self, question: str, first: int, last: int) -> str:
        """Return the key of what a question gives over the files of some days."""
        if (known := self._keys.get((question, first, last))) is not None:
            return known
        if (span := self._spans.get((first, last))) is None:
            span = " ".join(f"{day}:{self._digests.get(day, '')}" for day in range(first, last + 1))
            if last - first < _SHORT:  # many questions have the same few days, and a long one may have all
                self._spans[first, last] = span
        found = self._keys[question, first, last] = _digest(f"{question} {span}")
        return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class Remembered:
    """What one file has: for each question its digest, and what is remembered of it."""

    questions: dict[str, tuple[str, Entries]]

    def entries(self, question: str, digest: str) -> Entries:
        """Return the entries of a question as it is asked now; none of one that was asked in another way."""
        known, entries = self.questions.get(question, ("", {}))
        if known != digest:
            entries = {}
            self.questions[question] = (digest, entries)
        return entries

    def keep_live(self, files: DayFiles) -> bool:
        """Leave only what was made of the files of a snapshot as they are; whether any of it had to go."""
        has_gone = False
        for name, (digest, entries) in self.questions.items():
            live = {
                place: each for place, each in entries.items() if files.key(digest, each.first, each.last) == each.key
            }
            has_gone = has_gone or len(live) < len(entries)
            self.questions[name] = (digest, live)
        return has_gone

    @property
    def is_empty(self) -> bool:
        """Whether it has nothing."""
        return not any(entries for _, entries in self.questions.values())


def read(layout: Layout, name: str) -> Remembered:
    """Return what a file has; nothing where there is none, or it is damaged."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        digest, content = read_file(_path(layout, name), within=layout.root).split(b"\n", 1)
        if hashlib.sha256(content).hexdigest().encode() == digest:
            questions = orjson.loads(content)
            return Remembered({
                question: (asked, {place: _entry(*entry) for place, entry in entries.items()})
                for question, (asked, entries) in questions.items()
            })  # fmt: skip
    return Remembered({})


def _entry(key: Any, first: Any, last: Any, answer: Any) -> Entry:
    """Return an entry of a file, which anybody may have written.

    Raises:
        ValueError: It is none.
    """
    if not (isinstance(key, str) and type(first) is type(last) is int and 0 <= last - first <= _MOST_DAYS):
        raise ValueError("no entry")
    return Entry(key, first, last, answer)


def _bytes(remembered: Remembered) -> bytes:
    content = orjson.dumps({
        question: (asked, {place: (each.key, each.first, each.last, each.answer) for place, each in entries.items()})
        for question, (asked, entries) in remembered.questions.items() if entries
    })  # fmt: skip
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def write(
    layout: Layout, changed: Mapping[str, Remembered], version: int, files: DayFiles, policies: Iterable[str], most: int
) -> None:
    """Write files that have changed, unless the lake has: what was taken from it since may be in them.

    It is no fault if nothing can be written.

    Args:
        layout: The lake.
        changed: The files, by name.
        version: The snapshot that they were made of.
        files: Its data files. What was made of others goes: it was read before a deletion took it away.
        policies: The ids of all policies: files of others go.
        most: How many bytes all files may have; what has no room is not kept.
    """
    names = {OF_ALL, *policies}
    with suppress(OSError, LakeBusyError):
        if not layout.remembered.exists():
            make_folder(layout.remembered)
        check_folder(layout.remembered, within=layout.root)
        with exclusive(layout.remembered_lock, wait_seconds=0):
            # A deletion commits first, and then takes this lock to forget.
            if not is_newest(layout, version):
                return
            sizes = {path.stem: path.stat().st_size for path in _paths(layout)}
            for name in sizes.keys() - names:
                remove_file(_path(layout, name), within=layout.root)
                del sizes[name]
            for name, each in changed.items():
                each.keep_live(files)
                content = _bytes(each)
                if sum(sizes.values()) - sizes.get(name, 0) + len(content) <= most:
                    write_whole(_path(layout, name), content, synced=False)
                    sizes[name] = len(content)


def forget(layout: Layout, snapshot: Snapshot) -> None:
    """Remove what was made of data files that are not part of the newest snapshot: they held what was to go.

    Args:
        layout: The lake.
        snapshot: The newest snapshot.

    Raises:
        LakeBusyError: Another process held the lock for too long.
    """
    if not layout.remembered.exists():
        return
    files = DayFiles(snapshot)
    check_folder(layout.remembered, within=layout.root)
    with exclusive(layout.remembered_lock, wait_seconds=LOCK_SECONDS):
        for draft in layout.remembered.glob(".*.draft"):  # of a writer that died
            remove_file(draft, within=layout.root)
        for path in _paths(layout):
            try:
                _forget_in(layout, path, files)
            except OSError:  # the disk is full: it can be found again, and must not stay
                remove_any(path, within=layout.root)
        sync_folder(layout.remembered)


def _forget_in(layout: Layout, path: Path, files: DayFiles) -> None:
    remembered = read(layout, path.stem)
    has_gone = remembered.keep_live(files)
    if remembered.is_empty:
        remove_any(path, within=layout.root)
    elif has_gone:
        write_whole(path, _bytes(remembered))
    else:
        with open_file(path, within=layout.root) as file:  # a report may have written it without a sync
            os.fsync(file.fileno())


def _paths(layout: Layout) -> list[Path]:
    return sorted(layout.remembered.glob(f"*{_SUFFIX}"))


def _path(layout: Layout, name: str) -> Path:
    return layout.remembered / f"{name}{_SUFFIX}"


def question_digest(*said: Any) -> str:
    """Return the digest of a question: of everything that its answers depend on beside the data files."""
    return _digest(json.dumps(said, default=str, sort_keys=True))
