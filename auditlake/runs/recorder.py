"""A run from its beginning to its end, so that none is missing: one whose process dies leaves a file that says so.

The steps of a run, each durable before the next:

1. ``LAKE/runs/<id>.started``, which the process holds locked as long as it lives;
2. its line in the journal, which names the id;
3. the file goes.

A file without a holder is of a run that did not finish, unless the journal has its line: the next run writes a line
about it. The kernel releases a lock when its holder dies, however it dies, so no process number is compared.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from auditlake.context import LakeContext
from auditlake.disk.durable import make_folders, sync_folder
from auditlake.disk.files import SMALL, descriptor_of, remove_file
from auditlake.disk.layout import Layout
from auditlake.disk.lock import try_lock
from auditlake.errors import LakeError
from auditlake.events.times import parse_instant, print_instant
from auditlake.machine import login_name
from auditlake.runs.journal import append
from auditlake.runs.model import FailedRun, Occasion, PackedEvidence, Run

_STARTED = re.compile(r"[0-9a-f]{16}\.started")


@dataclass(frozen=True, slots=True)
class Started:
    """A run under way."""

    id: str
    at: datetime
    verb: str
    user: str
    version: str
    occasion: Occasion | None = None


class Recorder:
    """Puts one run on record. A disk that refuses that stops no run: :attr:`missing` says why it is not on record.

    Args:
        context: The lake.
        verb: Who asks; see :class:`auditlake.runs.model.Run`.
        occasion: Which schedule asks for it, and when it was due; None if a person does.
    """

    def __init__(self, context: LakeContext, verb: str, occasion: Occasion | None = None) -> None:
        self._layout = context.layout
        run_id, user = secrets.token_hex(8), login_name()
        self.started = Started(run_id, context.now, verb, user, version("auditlake"), occasion)
        self.missing = ""
        """Why the run is not on record; empty where it is."""
        self._descriptor: int | None = None
        try:
            self._descriptor = _mark(self._layout, self.started)
        except OSError as error:
            self.missing = f"{error.strerror or error}"
        settle(context)

    def end(self, run: Run) -> None:
        """Write the run down."""
        try:
            append(self._layout, run)
            self.missing = ""
            with suppress(OSError):  # the line says that the run was finished
                remove_file(self._layout.started(run.id), within=self._layout.root)
        except LakeError as error:
            self.missing = str(error)
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)


def _mark(layout: Layout, started: Started) -> int:
    """Make the file of a run under way, and return its descriptor, which holds its lock."""
    path = layout.started(started.id)
    draft = path.with_name(f".{path.name}.draft")
    make_folders(path.parent, below=layout.root)
    descriptor = descriptor_of(draft, within=layout.root, flags=os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # a process that sees its name finds it locked
        record: dict[str, Any] = {
            "id": started.id, "at": print_instant(started.at), "verb": started.verb, "user": started.user,
            "version": started.version,
        }  # fmt: skip
        if (own := started.occasion) is not None:
            due = print_instant(own.due) if own.due else None
            record |= {"schedule": own.schedule, "due": due, "catch_up": own.catch_up}
        os.write(descriptor, json.dumps(record).encode())
        os.fsync(descriptor)
        draft.rename(path)
        sync_folder(path.parent)
    except BaseException:
        for each in (draft, path):
            with suppress(OSError):
                remove_file(each, within=layout.root)
        os.close(descriptor)
        raise
    return descriptor


def settle(context: LakeContext) -> None:
    """Write down the runs that did not finish; where the lake cannot be written, a later run does."""
    for path, descriptor in unfinished(context.layout):
        with suppress(OSError, LakeError, ValueError, KeyError, TypeError, AttributeError):
            record = json.loads(os.pread(descriptor, SMALL, 0))
            failed = FailedRun(
                0, path.stem, context.now, parse_instant(record["at"]), record["verb"], record["version"],
                record["user"], record.get("schedule"), parse_instant(due) if (due := record.get("due")) else None,
                record.get("catch_up", False),
            )  # fmt: skip
            append(context.layout, failed, unless=partial(_has_line, path.stem))
            remove_file(path, within=context.layout.root)


def _has_line(run_id: str, lines: Iterator[bytes]) -> bool:
    own = f'"id":"{run_id}"'.encode()
    return any(own in line for line in lines)


def unfinished(layout: Layout) -> Iterator[tuple[Path, int]]:
    """Yield the files of runs whose process has gone, each with a descriptor that holds its lock meanwhile."""
    for path in sorted(filter(lambda each: _STARTED.fullmatch(each.name), layout.run_journal.parent.glob("*"))):
        with suppress(OSError):  # it has gone meanwhile, or this process may only read
            descriptor = descriptor_of(path, within=layout.root, flags=os.O_RDWR)
            try:
                if try_lock(descriptor):
                    yield path, descriptor
            finally:
                os.close(descriptor)


def record_evidence(context: LakeContext, about: Sequence[str], as_of: datetime, snapshot: int, sha256: str) -> None:
    """Put on record that an evidence pack was written; a lake that cannot be written to stops none.

    Args:
        context: The lake.
        about: The policies and packs whose reports are in it.
        as_of: What they were judged as of.
        snapshot: On which snapshot.
        sha256: Hex digits, over the bytes of the file.
    """
    made = PackedEvidence(0, context.now, version("auditlake"), login_name(), tuple(about), as_of, snapshot, sha256)
    with suppress(LakeError, OSError):
        append(context.layout, made)
