"""The verb ``doctor``: what is wrong with a lake, and which repairs are safe.

It works on a lake that cannot be opened, too, so it is handed a layout and no context. It moves to ``LAKE/set-aside``
only what provably was never acknowledged: files and log entries whose writer died, and copies of what is there in
another form. All other damage is reported, and a backup must repair it.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from auditlake.alerts.upkeep import readable_on_the_way, undelivered
from auditlake.config import read_config
from auditlake.disk.durable import make_folders, sync_folder, write_whole
from auditlake.disk.files import check_folder, is_file, read_file, read_text
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.disk.links import LINK, links
from auditlake.disk.lock import exclusive, workspace
from auditlake.disk.rights import Rights, rights_of
from auditlake.errors import AuditLakeError, LakeBusyError, LakeError, LakeNotFoundError, PolicyError
from auditlake.findings.journal import read as read_decisions
from auditlake.ledger.keys import read_public_key, read_settings
from auditlake.ledger.merkle import root
from auditlake.packs.effective import lake_policies
from auditlake.runs.journal import read as read_runs
from auditlake.runs.recorder import unfinished
from auditlake.storage.lake import bring_beside, bring_up_to_date, brought, mirror_of
from auditlake.storage.names import NEEDED
from auditlake.store.bookkeeping import settle_ledger
from auditlake.store.commit import says_columns
from auditlake.store.deltalog import ENTRY, OTHER
from auditlake.store.model import Change
from auditlake.store.pseudonyms import pseudonyms
from auditlake.store.snapshot import open_table, read_snapshot
from auditlake.store.turn import Turn
from auditlake.upkeep import rights
from auditlake.verify.check import verify
from auditlake.verify.checkpoints import SignedCheckpoint, read_checkpoint
from auditlake.verify.deltalog import DeltaLog, read_log
from auditlake.verify.model import Problem
from auditlake.verify.rows import checkpoint_files
from auditlake.verify.tree import Tree, read_tree, tile_files

_DRAFT_SECONDS = 3_600.0
"""No file that is being written is so old."""
_FOREIGN_SECONDS = 7 * 86_400.0
"""No file of another Delta writer that is to be committed is so old: what they keep by default before a vacuum."""
_WAIT_SECONDS = 5.0

Action = Literal["set aside", "rewrite", "finish", "make", "amend", "give rights to"]


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that a repair does."""

    action: Action
    where: str
    """A file or folder below the lake."""
    why: str

    def __str__(self) -> str:
        return f"{self.action} {self.where}: {self.why}"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found."""

    problems: tuple[Problem, ...]
    """What is wrong."""
    notices: tuple[Problem, ...]
    """What is worth knowing and not wrong."""
    changes: tuple[Repair, ...]
    """What a repair would do."""


def examine(layout: Layout, *, now: datetime) -> Diagnosis:
    """Say what is wrong with a lake, and what can be done about it; nothing is changed.

    Raises:
        LakeNotFoundError: There is nothing that could be a lake.
    """
    if not layout.config.exists() and not layout.log.is_dir():
        raise LakeNotFoundError(f"there is no lake at {layout.root}")
    problems: list[Problem] = []
    _told(problems, "lake.toml", read_config, layout)
    problems += [Problem(_name(layout, path), LINK) for path in links(layout)]
    _told(problems, "events", read_snapshot, layout)
    _told(problems, _name(layout, layout.journal), read_decisions, layout)
    _told(problems, _name(layout, layout.run_journal), lambda layout: deque(read_runs(layout), maxlen=0), layout)
    _told(problems, layout.pseudonyms.name, partial(pseudonyms, make=False), layout)
    problems += _lost_key(layout)
    problems += [Problem("lake", what) for what in (rights.told(layout),) if what]
    problems += [Problem("alerts", what) for what in undelivered(layout, now)]
    with suppress(AuditLakeError):  # told above
        try:
            lake_policies(layout, read_config(layout).event_types, in_use=False)
        except PolicyError as error:
            problems += [Problem("policies", text) for text in error.problems]
    report = verify(
        layout, now=now, full=False, elsewhere=partial(brought, layout),
        bring=partial(bring_beside, layout, NEEDED), bring_log=partial(bring_up_to_date, layout),
    )  # fmt: skip
    notices, changes = list(report.notices), tuple[Repair, ...]()
    with suppress(AuditLakeError):
        notices += [Problem("alerts", what) for what in readable_on_the_way(read_config(layout).alerts)]
    for path, _ in unfinished(layout):
        notices.append(Problem(_name(layout, path), "a run began and was not finished: the next run writes that down"))
    try:
        with exclusive(layout.lock, wait_seconds=_WAIT_SECONDS):
            changes = tuple(_changes(layout, now))
    except LakeBusyError:
        notices.append(Problem("lake", "a writer is at work: what can be repaired is not known before it has ended"))
    except OSError as error:
        notices.append(Problem("lake", f"cannot be written, so nothing can be repaired: {error.strerror}"))
    return Diagnosis((*problems, *report.problems), tuple(notices), changes)


def repair(layout: Layout, expected: tuple[Repair, ...], *, now: datetime, wait_seconds: float) -> None:
    """Make the changes that the operator was shown.

    Raises:
        LakeError: What can be done is not what is expected any more; nothing was changed. Or the disk refused.
        LakeBusyError: Another process wrote for all of ``wait_seconds``.
    """
    if mirror_of(layout) is not None:
        message = "repairs do not work on a lake in a bucket yet: what they set aside would stay there"
        raise LakeError(message, hint="the next change finishes what a dead writer left; restore all else from a copy")
    with exclusive(layout.lock, wait_seconds=wait_seconds):
        if tuple(_changes(layout, now)) != expected:
            raise LakeError("the lake has changed since that was shown; nothing was done", hint="look again")
        for change in expected:
            _apply(layout, change, now)


def _told(problems: list[Problem], where: str, look: Callable[[Layout], object], layout: Layout) -> None:
    """Look, and tell why that does not work; a damaged file makes a library throw anything."""
    try:
        look(layout)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - see above
        hint = f"; {error.hint}" if isinstance(error, AuditLakeError) and error.hint else ""
        problems.append(Problem(where, f"{error}{hint}"))


def _lost_key(layout: Layout) -> Iterator[Problem]:
    """Say that a signed lake has no private key; whether one that is there fits is for a verification to say."""
    with suppress(AuditLakeError, OSError):  # told elsewhere; and a key may be kept from this user
        key = read_settings(layout).key
        if read_public_key(layout) is not None and not key.exists():
            where = _name(layout, key) if key.is_relative_to(layout.root) else str(key)
            what = "the private key is not there, so nothing can be recorded; a copy that is only read needs none"
            yield Problem(where, f"{what}; restore it, or let lake.toml name its place ([ledger] key)")


# What can be done; with the lock held, so that no writer is in the middle of anything


def _changes(layout: Layout, now: datetime) -> Iterator[Repair]:
    missing = [folder for folder in layout.folders if not os.path.lexists(folder)]
    yield from (Repair("make", _name(layout, folder), "it is not there") for folder in missing)
    yield from _drafts(layout, now)
    if next(rights.differing(layout), None) is not None and rights_of(layout.root) != Rights():
        yield Repair("give rights to", "files and folders", "they have others than lake.toml says")
    log = read_log(layout)
    checkpoint, tree = _ledger(layout, log)
    if checkpoint is None or tree is None or root(tree.hashes) != checkpoint.root:
        return  # what was acknowledged is not known
    for version in range(checkpoint.version + 1, log.newest + 1):  # the ledger does not count these yet
        if not _whole(path := layout.commit(version)):
            yield Repair("set aside", _name(layout, path), "its writer died before it was whole")
    if tree.uncounted is not None or log.after(checkpoint.version) or _has_next_key(layout):
        yield Repair("finish", "ledger", "a writer died between the commit and the checkpoint")
    yield from _tiles(layout, tree)
    if log.problems:
        return  # which files are part of the lake is not known: it is once what is torn has been set aside
    yield from _strays(layout, tree, log, now)
    yield from _log_checkpoints(layout, log)
    with suppress(AuditLakeError):  # what is wrong with the table is told
        if not says_columns(open_table(layout, None)):
            what = "it does not say which columns have statistics: filters of other programs find too little"
            yield Repair("amend", _name(layout, layout.log), f"{what}; the next commit does it too")


def _drafts(layout: Layout, now: datetime) -> Iterator[Repair]:
    """Yield small files that were never moved to their names."""
    drafts = [path for path in sorted(layout.root.rglob(".*.draft")) if is_file(path, within=layout.root)]
    for path in [*drafts, *sorted(layout.log.glob("*.json#*"))]:
        with suppress(FileNotFoundError):
            if "set-aside" not in path.parts and now.timestamp() - path.stat().st_mtime > _DRAFT_SECONDS:
                yield Repair("set aside", _name(layout, path), "its writer died before it had its name")


def _ledger(layout: Layout, log: DeltaLog) -> tuple[SignedCheckpoint | None, Tree | None]:
    with suppress(AuditLakeError, OSError):
        checkpoint = read_checkpoint(read_file(layout.ledger / "checkpoint", within=layout.root))
        public = layout.ledger / "key.pub"
        is_unsigned = not public.exists() and not checkpoint.signatures
        if is_unsigned or checkpoint.is_signed_by(read_text(public, within=layout.root, errors="replace")):
            return checkpoint, read_tree(layout, checkpoint, log)
    return None, None


def _whole(path: Path) -> bool:
    """Return whether a file is JSON, line by line, and ends where a line does."""
    try:
        data = read_file(path, within=path.parent)
        return bool(data) and all(isinstance(json.loads(line), dict) for line in data.splitlines())
    except (OSError, ValueError, RecursionError):
        return False


def _has_next_key(layout: Layout) -> bool:
    with suppress(AuditLakeError):  # lake.toml cannot be read, which is told
        return read_settings(layout).next_key.exists()
    return False


def _tiles(layout: Layout, tree: Tree) -> Iterator[Repair]:
    """Yield hashes of the tree that are not what follows from its entries."""
    for name, data in sorted(tile_files(tree.bundle).items()):
        path = layout.ledger / name
        if not (is_file(path, within=layout.root) and read_file(path) == data):
            yield Repair("rewrite", _name(layout, path), "it does not hold what follows from the entries")


def _strays(layout: Layout, tree: Tree, log: DeltaLog, now: datetime) -> Iterator[Repair]:
    """Yield data files that neither the log nor the ledger ever named, and that no writer is about to commit.

    Under the lock no writer of auditlake is. Another program may have written its file and not its log entry.
    """
    named = {path for entry in tree.entries for path, *_ in entry.fields["adds"]}
    named |= {path for entry in tree.entries for path in entry.fields["removes"]} | log.live.keys() | log.removed
    for path in sorted(layout.events.rglob("*.parquet")):
        name = path.relative_to(layout.events).as_posix()
        if {name, unquote(name)} & named or any(part[0] in "_." for part in name.split("/")):
            continue
        with suppress(FileNotFoundError):
            if not is_file(path, within=layout.root):
                continue
            if part_day_and_digest(name) or now.timestamp() - path.stat().st_mtime > _FOREIGN_SECONDS:
                yield Repair("set aside", _name(layout, path), "no commit has it: its writer died, or it is a stray")


def _log_checkpoints(layout: Layout, log: DeltaLog) -> Iterator[Repair]:
    """Yield checkpoints of the Delta log that differ from its entries, which are all there, or are not of its form."""
    for path in sorted(layout.log.iterdir()):
        if OTHER.match(path.name) and not ENTRY.match(path.name):
            yield Repair(
                "set aside", _name(layout, path), "readers take the lake's files from it, and it is not auditlake's"
            )
    for version, files in sorted(log.at.items()):
        path = layout.delta_checkpoint(version)
        if checkpoint_files(path, within=layout.root) != files:
            yield Repair("set aside", _name(layout, path), "the log's entries, which are whole, say something else")
            if layout.delta_pointer.exists():
                yield Repair("set aside", _name(layout, layout.delta_pointer), "it may name that checkpoint")
            return


def _name(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


# Doing it


def _apply(layout: Layout, change: Repair, now: datetime) -> None:
    if change.action == "give rights to":
        rights.give_all(layout)
        return
    path = layout.root / change.where
    check_folder(path.parent, within=layout.root)
    if change.action == "make":
        make_folders(path, below=layout.root)
    elif change.action == "finish":
        settle_ledger(layout)
    elif change.action == "amend":
        metadata = {"kind": "compact", "at": now.isoformat(), "days": 0, "replaced": 0}
        with workspace(layout.staging) as folder:
            turn = Turn(layout, folder, *settle_ledger(layout))
            turn.begin(now)
            turn.commit(Change((), (), metadata, data_change=False))
    elif change.action == "rewrite":
        checkpoint, tree = _ledger(layout, read_log(layout))
        if checkpoint is not None and tree is not None:
            make_folders(path.parent, below=layout.root)
            write_whole(path, tile_files(tree.bundle)[path.relative_to(layout.ledger).as_posix()])
    else:
        target = _free(layout.root / "set-aside", f"{now:%Y%m%dT%H%M%SZ}", change.where)
        make_folders(target.parent, below=layout.root)
        os.replace(path, target)
        sync_folder(target.parent)
        sync_folder(path.parent)


def _free(folder: Path, moment: str, where: str) -> Path:
    """Return where to set a file aside: what was set aside in the same second stays."""
    names = chain([moment], (f"{moment}-{number}" for number in count(2)))
    return next(path for name in names if not os.path.lexists(path := folder / name / where))
