"""Compare a lake with its ledger, by public data alone: ``verify``.

It shares with the writer the paths and the hashing, and nothing else: log, entries, tree, signature and files are read
here by the words of their formats. No damage makes it fail; whatever it cannot read is a problem that it names.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from auditlake.disk.files import is_file, read_file, read_text
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.errors import LedgerError
from auditlake.ledger.leaves import Key, Part
from auditlake.ledger.merkle import HASH_SIZE, leaf_hash, root
from auditlake.verify.anchors import Anchors, read_anchors
from auditlake.verify.changed_rows import Rows, marks_needed, marks_path
from auditlake.verify.checkpoints import SignedCheckpoint, key_chain, read_checkpoint, read_key
from auditlake.verify.deletions import NOT_YET, Deletions, read_deletions
from auditlake.verify.deltalog import DeltaLog, read_log
from auditlake.verify.file_claims import damage, digest_of, false_claims
from auditlake.verify.inside import check_inside, check_pending, read_pending
from auditlake.verify.log_checkpoints import check_log_checkpoints
from auditlake.verify.meanwhile import UNSIGNED, state, stays
from auditlake.verify.model import BAD, BatchVerdict, PartVerdict, Problem, VerifyReport, worst
from auditlake.verify.other_files import check_journals, check_landing, check_private_key
from auditlake.verify.policy_files import changed_policies, lost_lists, unrecorded
from auditlake.verify.rows import Recorded, appended_part, hash_rows, shown_alone
from auditlake.verify.tree import LedgerEntry, Tree, days_added, read_tree
from auditlake.verify.withdrawals import Taking, quarantined, read_takings, told

T = TypeVar("T")
Elsewhere = Callable[[Collection[date]], Mapping[str, int]]
_TRIES = 5
"""How often to look again where writers were at work meanwhile."""
_LONG = timedelta(days=36_500)
GRACE = timedelta(hours=24)
"""How long files may still lie there that a deletion removed, unless the caller says otherwise."""


def verify(
    layout: Layout,
    *,
    now: datetime,
    full: bool = True,
    since: int | None = None,
    again: Collection[date] = (),
    checkpoint: bytes | None = None,
    public_key: str | None = None,
    tsa_roots: bytes | None = None,
    grace: timedelta = GRACE,
    elsewhere: Elsewhere = lambda _: {},
    bring: Callable[[], object] = lambda: None,
    bring_log: Callable[[], object] = lambda: None,
) -> VerifyReport:
    """Compare everything in a lake with its ledger.

    Args:
        layout: The lake; it is only read.
        now: The present.
        full: Hash every row, and compare what the log claims of them; otherwise the files, whose names hold their
            digests, and the tree.
        since: Hash also every row of the days of which this entry of the ledger, or a later one, added files; of none
            if None.
        again: Hash every row of these days too.
        checkpoint: A checkpoint that was kept elsewhere: the lake must be its continuation.
        public_key: The key that was kept elsewhere (``NAME+ID+BASE64``); that of the lake if None.
        tsa_roots: Certificates (PEM) that time stamps must lead to; without them, stamps anchor nothing.
        grace: How long files may lie there that a deletion removed.
        elsewhere: Brings the data files of some days to this host, and returns the sizes of those and of the ledger's
            marks that lie elsewhere alone, by name.
        bring: Brings what lies beside the ledger's entries to this host, but for marks; called before each try.
        bring_log: Brings what other hosts have committed meanwhile; called where something is wrong.

    Raises:
        LedgerError: The kept checkpoint or public key is not one.
    """
    for _ in range(_TRIES):
        bring()
        before = state(layout)
        check = _Check(layout, now, grace, elsewhere, full=full, since=since, again=again)
        report = check.run(checkpoint, public_key, tsa_roots)
        if report.ok or stays(layout, before, report, bring_log):
            break
    return report


class _Check:
    """One verification on its way."""

    def __init__(
        self, layout: Layout, now: datetime, grace: timedelta, elsewhere: Elsewhere, *, full: bool, since: int | None,
        again: Collection[date],
    ) -> None:  # fmt: skip
        self._layout = layout
        self._now = now
        self._grace = grace
        self._full = full
        self._since = since
        self._again = again
        self._elsewhere = elsewhere
        self._away: Mapping[str, int] = {}
        """The bytes of files that lie elsewhere alone, by name."""
        self._read: frozenset[date] = frozenset()
        """The days of which every row is hashed, beside those of ``full``."""
        self._problems: list[Problem] = []
        self._notices: list[Problem] = []
        self._damaged: dict[str, str] = {}
        """Data files that are not what their names say, and how."""
        self._damaged_days: set[date] | None = None
        """The days of which something is wrong; None where they alone would not show it."""

    def run(self, kept: bytes | None, public_key: str | None, tsa_roots: bytes | None) -> VerifyReport:
        """Everything."""
        if public_key is not None:
            read_key(public_key)
        older = read_checkpoint(kept) if kept is not None else None
        log = self._part_of("the log", read_log, self._layout) or DeltaLog()
        self._problems += log.problems
        began = any((self._layout.ledger / name).exists() for name in ("checkpoint", "key.pub", "tile"))
        if public_key is None and older is None and not log.leaves and not began:
            return self._no_ledger(log)
        newest, key = self._checkpoint(public_key)
        tree = self._part_of("the ledger", read_tree, self._layout, newest, log) or Tree()
        self._part_of("the ledger", read_pending, self._layout, tree, newest, log)
        self._notices += tree.notices
        self._problems += tree.problems
        self._part_of("the ledger", self._tree, tree, newest, log)
        keys = self._part_of("the keys", self._keys, tree, newest, key, public_key is not None) or (key,)
        waiting = self._part_of("the ledger", check_pending, tree, newest, log, keys[-1]) or ([], [])
        self._problems += waiting[0]
        self._notices += waiting[1]
        if older is not None:
            self._older(older, keys, tree, log)
        anchors = self._part_of("the anchors", self._anchors, tree, keys, tsa_roots) or Anchors()
        is_sound = not self._problems
        if keys[-1]:
            self._problems += self._part_of("the private key", list, check_private_key(self._layout, keys[-1])) or []
        deletions = read_deletions(self._layout, tree.history, log, self._grace)
        files = self._part_of("the files", self._files, tree.history, log, deletions) or {}
        checkpoints = self._part_of("the log's checkpoints", check_log_checkpoints, self._layout, tree.history, log)
        self._problems += checkpoints[0] if checkpoints else []
        self._notices += checkpoints[1] if checkpoints else []
        self._part_of("what lies beside", self._beside, tree.history, log, deletions)
        self._problems += self._part_of("landing", list, check_landing(self._layout)) or []
        journals = self._part_of("the journals", check_journals, self._layout, tree.history) or ([], [])
        self._problems += journals[0]
        self._notices += journals[1]
        takings, problems = self._part_of("kept leaves", read_takings, self._layout, tree.history) or ({}, [])
        self._problems += problems
        if self._full:
            self._part_of("what the log says of files", self._claims, log)
        batches = self._part_of("the rows", self._rows, tree.history, files, takings) or ()
        newest_stamp = max(anchors.found, key=lambda anchor: (anchor.size, anchor.at), default=None)
        anchored = max(older.size if older is not None else 0, anchors.covered())
        behind = [entry for entry in tree.entries if entry.index >= anchored and entry.fields["at"]]
        report = VerifyReport(
            str(self._layout.root), newest.origin, newest.size, newest.root.hex(), newest.version, keys[-1], self._full,
            batches, tuple(self._problems), tuple(self._notices), anchored,
            str(behind[0].fields["at"]) if behind else "",
            *((int(min(self._age(behind[0]), _LONG).total_seconds()),) if behind else (0,)),
            *((newest_stamp.at.isoformat(), newest_stamp.size, newest_stamp.trusted) if newest_stamp else ()),
        )  # fmt: skip
        days = self._damaged_days
        return replace(report, damaged_days=tuple(sorted(days)) if is_sound and days is not None else None)

    def _no_ledger(self, log: DeltaLog) -> VerifyReport:
        self._wrong("ledger", "there is none: the lake is older than ledgers, and nothing vouches for what it holds; "
                    "its next commit, or auditlake checkpoint, begins one")  # fmt: skip
        return VerifyReport(
            str(self._layout.root), "", 0, root(b"").hex(), log.newest, "", self._full, (), tuple(self._problems),
            tuple(self._notices), 0, "",
        )  # fmt: skip

    def _wrong(self, where: str, what: str) -> None:
        self._problems.append(Problem(where, what))

    def _part_of(self, where: str, work: Callable[..., T], *arguments: Any) -> T | None:
        """Do a part of the work; an unforeseen error makes that part wrong, and is told."""
        try:
            return work(*arguments)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - damage may make anything throw anything
            self._wrong(where, f"cannot be checked: {type(error).__name__}: {error}")
            return None

    # The ledger

    def _checkpoint(self, public_key: str | None) -> tuple[SignedCheckpoint, str]:
        """Return the newest checkpoint, and the key that it was to be signed with, empty if there is none."""
        key = (public_key or "").strip()
        try:
            key = key or read_text(self._layout.ledger / "key.pub", within=self._layout.root).strip()
        except FileNotFoundError:
            pass  # whether it may be missing is known once the entries are
        except (OSError, ValueError) as error:
            self._wrong("ledger/key.pub", f"cannot be read: {error}")
        try:
            newest = read_checkpoint(read_file(self._layout.ledger / "checkpoint", within=self._layout.root))
        except (LedgerError, OSError) as error:
            self._wrong("ledger/checkpoint", str(error))
            return SignedCheckpoint("", "", 0, root(b""), -1, "", ()), key
        return newest, key

    def _keys(self, tree: Tree, newest: SignedCheckpoint, key: str, asked: bool) -> tuple[str, ...]:
        """Return the keys that signed this ledger one after the other, the one that was asked for among them.

        The newest checkpoint is signed by the last of them.
        """
        keys, _ = key_chain(tree.rotations(), tree.first_key)
        if what := key_chain(tree.rotations(waiting=True), tree.first_key)[1]:
            self._wrong("ledger", what)
        if not key:
            if not keys and not newest.signatures:
                what = "is unsigned: a person who can write the lake can make another history"
                self._notices.append(Problem("ledger", what))
                return ("",)
            what = "is not there, and the ledger is signed: restore it from where it was kept, or from a backup"
            self._wrong("ledger/key.pub", what)
            if not keys:
                return ("",)
            key = keys[-1]
        elif key in keys:
            if not asked and key != keys[-1]:
                self._notices.append(Problem("ledger/key.pub", "is the old key: the next commit puts the new there"))
            key = keys[-1]
        elif keys:
            self._wrong("ledger", f"its checkpoints are signed by other keys than {key}")
            return (key,)
        try:
            if not newest.is_signed_by(key):
                self._wrong("ledger/checkpoint", f"is not signed by {key}")
        except LedgerError as error:
            self._wrong("ledger/key.pub", str(error))
        return keys or (key,)

    def _tree(self, tree: Tree, newest: SignedCheckpoint, log: DeltaLog) -> None:
        """Check that the entries are those of the checkpoint, and the log is the one that they tell of."""
        if root(tree.hashes) != newest.root:
            self._wrong("ledger", "the entries are not those of the checkpoint")
        if newest.version >= 0 and log.digests.get(newest.version) != newest.log:
            self._wrong(f"version {newest.version}", "its log entry is not the one that the checkpoint covers")
        expected: int | None = None
        self._problems += check_inside(self._layout, tree, log)
        for entry in tree.history:
            if (lake := entry.fields.get("lake_id")) != newest.origin.removeprefix("auditlake/"):
                self._wrong(f"entry {entry.index}", f"is one of the lake {lake}")
            version = entry.fields["version"]
            if version is None:
                continue
            self._version(entry, version, expected, log)
            expected = version + 1
        if newest.version >= 0 and expected != newest.version + len(tree.pending) + 1:
            self._wrong(f"version {newest.version}", "the ledger's last entry is about another one")
        self._newer(tree, newest, log)

    def _version(self, entry: LedgerEntry, version: int, expected: int | None, log: DeltaLog) -> None:
        for unknown in range(version if expected is None else expected, version):
            self._wrong(f"version {unknown}", "is unknown to the ledger: another program made it")
        if expected is not None and version < expected:
            self._wrong(f"entry {entry.index}", f"is about version {version}, which has one already")
        if version and log.digests.get(version - 1) != entry.fields.get("previous_log"):
            self._wrong(f"version {version - 1}", "its log entry is not the one that the ledger recorded")
        if entry.fields["kind"] not in ("begin", "foreign") and log.leaves.get(version) != leaf_hash(entry.data).hex():
            self._wrong(f"version {version}", "its commit names another entry of the ledger")

    def _newer(self, tree: Tree, newest: SignedCheckpoint, log: DeltaLog) -> None:
        """Versions behind the checkpoint."""
        waiting = leaf_hash(tree.uncounted).hex() if tree.uncounted is not None else None
        for version in range(newest.version + 1 + len(tree.pending), log.newest + 1):
            if waiting is not None and log.leaves.get(version) == waiting:
                self._wrong(f"version {version}", f"{UNSIGNED}: its writer died, and the next commit signs it")
            else:
                self._wrong(f"version {version}", "is unknown to the ledger")
        if waiting is not None and waiting not in log.leaves.values():
            self._notices.append(Problem("ledger", "a writer died before it committed; the next one tidies up"))

    def _older(self, older: SignedCheckpoint, keys: Sequence[str], tree: Tree, log: DeltaLog) -> None:
        """Check that the lake is the continuation of what the kept checkpoint says."""
        if keys[-1] and not any(older.is_signed_by(key) for key in keys):
            self._wrong("the kept checkpoint", f"is not signed by {keys[-1]}")
        if older.signatures and not keys[-1]:
            self._wrong("ledger", "is unsigned, and the kept checkpoint is signed: the writer since then had no key")
        first = (tree.hashes + tree.pending_hashes)[: older.size * HASH_SIZE]
        if (known := len(tree.bundle) + len(tree.pending)) < older.size:
            self._wrong("ledger", f"was set back: it has {known} entries, the kept checkpoint {older.size}")
        elif root(first) != older.root:
            self._wrong("ledger", f"was rewritten: its first {older.size} entries are not those of the kept checkpoint")
        if log.digests.get(older.version) != older.log:
            self._wrong(f"version {older.version}", "its log entry is not the one that the kept checkpoint covers")

    def _anchors(self, tree: Tree, keys: Sequence[str], roots: bytes | None) -> Anchors:
        """Check that the lake is the continuation of every checkpoint that was stamped, by a key of its own;
        return the stamps.
        """
        anchors = read_anchors(self._layout, tree.hashes, roots)
        self._problems += anchors.problems
        self._notices += anchors.notices
        for anchor in anchors.found:
            if keys[-1] and not any(anchor.checkpoint.is_signed_by(key) for key in keys):
                self._wrong("ledger/anchors", f"the checkpoint of {anchor.size} entries has another signature")
            if anchor.checkpoint.signatures and not keys[-1]:
                self._wrong("ledger", f"is unsigned, and the stamped checkpoint of {anchor.size} entries is signed")
        return anchors

    # Files

    def _files(
        self, entries: Sequence[LedgerEntry], log: DeltaLog, deletions: Deletions
    ) -> dict[date, list[tuple[Path, int]]]:
        """Compare files on the disk, in the log and in the ledger; give those that are part of the lake, by day."""
        recorded: dict[str, tuple[int, int]] = {}
        removed: dict[str, LedgerEntry] = {}
        for entry in entries:
            for path in entry.fields["removes"]:
                recorded.pop(path, None)
                removed[path] = entry
            for path, size, rows in entry.fields["adds"]:
                recorded[path] = (size, rows)
                removed.pop(path, None)
        for path in sorted(log.live.keys() - recorded.keys()):
            self._wrong(f"events/{path}", "is part of the lake and unknown to the ledger")
        for path in sorted(recorded.keys() - log.live.keys()):
            self._wrong(f"events/{path}", "is in the ledger and not part of the lake")
        days: dict[date, list[tuple[Path, int]]] = defaultdict(list)
        self._read = frozenset() if self._since is None else days_added(entries, self._since).union(self._again)
        every = (named[0] for path in log.live if self._full and (named := part_day_and_digest(path)))
        self._away = self._elsewhere(self._read.union(every))
        self._unread("events", sum(f"events/{path}" in self._away for path in {*recorded, *log.live}))
        for path in sorted({*recorded, *log.live}):
            size, rows = recorded.get(path, (log.live.get(path, 0), 0))
            if (there := self._away.get(f"events/{path}")) is None:
                self._file(path, size)
            elif there != size:
                self._wrong(f"events/{path}", f"has {there} bytes instead of {size}")
            named, file = part_day_and_digest(path), self._layout.events / path
            if named is not None and is_file(file, within=self._layout.root):
                days[named[0]].append((file, rows))
        self._left_behind({*recorded, *log.live}, removed, deletions)
        return days

    def _file(self, path: str, size: int) -> None:
        """Check that a data file has the size and the digest that its name says."""
        if what := damage(self._layout.events / path, path, size, within=self._layout.root):
            self._damaged[path] = what
            self._wrong(f"events/{path}", what)

    def _unread(self, where: str, number: int) -> None:
        if number:
            what = f"{number:,} files lie in the bucket alone, and of these only the sizes were compared"
            self._notices.append(Problem(where, what))

    def _claims(self, log: DeltaLog) -> None:
        """Check that what the log claims of the rows of files is so: readers pass over files by that."""
        for path in sorted(log.claims.keys() - self._damaged):
            for what in false_claims(self._layout.events / path, log.claims[path], within=self._layout.root):
                self._wrong(f"events/{path}", what)

    def _left_behind(self, live: set[str], removed: Mapping[str, LedgerEntry], deletions: Deletions) -> None:
        """Files below events/ that are not part of the lake."""
        for file in sorted(Path(place, name) for place, _, names in os.walk(self._layout.events) for name in names):
            path = file.relative_to(self._layout.events).as_posix()
            if (
                path in live
                or unquote(path) in live
                or path.startswith("_delta_log/")
                or not is_file(file, within=self._layout.root)
            ):
                continue
            entry = removed.get(path)
            taker = deletions.took(path, entry) if entry is not None else None
            if entry is None:
                # A writer that died before its commit leaves such files, and a compaction takes them.
                what = "lies there and is no part of the lake: the table's log does not name it, so no answer reads it"
                self._notices.append(Problem(f"events/{path}", f"{what}; the ledger does not know it either"))
            elif taker is not None and deletions.must_be_gone(taker, self._age(taker)):
                self._wrong(f"events/{path}", f"was deleted by entry {taker.index}, and is there again or still")
            else:
                self._notices.append(Problem(f"events/{path}", f"was replaced by entry {entry.index}, not removed yet"))

    def _age(self, entry: LedgerEntry) -> timedelta:
        try:
            return self._now - datetime.fromisoformat(str(entry.fields["at"]))
        except (ValueError, TypeError):
            return timedelta.max

    def _beside(self, entries: Sequence[LedgerEntry], log: DeltaLog, deletions: Deletions) -> None:
        """Check quarantine, certificates, policies and holds."""
        for name, version in sorted(quarantined(entries, log.quarantine).items()):
            digest = name.removeprefix("records-").removesuffix(".jsonl")
            self._named(self._layout.quarantine / Path(name).name, digest, f"version {version} put it there")
        for entry in deletions.certified:
            path = deletions.certificate(entry)
            if deletions.is_under_way(entry):
                self._notices.append(Problem(path.relative_to(self._layout.root).as_posix(), NOT_YET))
            else:
                self._named(path, entry.fields["details"]["certificate"], f"entry {entry.index} names it")
        unread = 0
        for entry, marks, size in marks_needed(entries):
            if self._away.get(f"ledger/marks/{marks}") == size:
                unread += 1
            else:
                self._named(marks_path(self._layout, marks), marks, f"entry {entry.index} names it")
        self._unread("ledger/marks", unread)
        self._problems += lost_lists(self._layout, entries)
        self._problems += changed_policies(self._layout)
        if entries:
            self._notices += unrecorded(self._layout, entries[-1])

    def _named(self, path: Path, digest: str, why: str) -> None:
        where = path.relative_to(self._layout.root).as_posix()
        try:
            if digest_of(path, within=self._layout.root)[0] != digest:
                self._wrong(where, f"was changed: its bytes are not those that its name says; {why}")
        except (OSError, ValueError) as error:
            self._wrong(where, f"is missing: {getattr(error, 'strerror', error)}; {why}")

    # Rows

    def _rows(
        self,
        entries: Sequence[LedgerEntry],
        days: Mapping[date, Sequence[tuple[Path, int]]],
        takings: Mapping[Key, Taking],
    ) -> tuple[BatchVerdict, ...]:
        expected = {part.key: part for entry in entries for part in entry.parts}
        rows = Rows(self._layout, entries, days)
        recorded = Recorded(
            expected,
            {key: taking.replaced for key, taking in takings.items() if taking.replaced and taking.kept is None},
            {key: taking.kept for key, taking in takings.items() if taking.kept is not None and not taking.whole},
        )
        read = days if self._full else {day: files for day, files in days.items() if day in self._read}
        hashed = hash_rows(read, recorded)
        for file, why in sorted(hashed.problems.items()):
            self._wrong(file.relative_to(self._layout.root).as_posix(), f"cannot be read: {why}")
        for key, parts in sorted(hashed.parts.items()):
            if key not in expected:
                batch, day, _ = key
                what = f"has {sum(part.rows for part in parts)} rows of batch {batch} that the ledger does not know"
                self._wrong(f"events/event_date={day}", f"{what}: {rows.listed(batch, day, expected)}")
        verdicts: dict[int, list[PartVerdict]] = defaultdict(list)
        for key, part in sorted(expected.items()):
            verdicts[part.batch].append(self._part(part, hashed.parts.get(key, []), takings.get(key), rows))
        if self._since is not None and not self._full:
            wrong = {part.day for parts in verdicts.values() for part in parts if part.verdict in BAD}
            wrong |= {day for _, day, _ in hashed.parts.keys() - expected.keys()}
            self._damaged_days = wrong if shown_alone(wrong, read, hashed, recorded) else None
        return tuple(
            BatchVerdict(batch, sum(part.rows for part in parts), worst(tuple(parts)), tuple(parts))
            for batch, parts in sorted(verdicts.items())
        )

    def _part(self, part: Part, present: Sequence[Part], taking: Taking | None, there: Rows) -> PartVerdict:
        damaged = [f"{path} {why}" for path, why in self._damaged.items() if f"event_date={part.day}/" in path]
        verdict = partial(PartVerdict, part.batch, part.day, part.rows, retention_class=part.retention_class)
        good = verdict(*(told(taking) if taking else ("verified", "")))
        kept = taking is not None and taking.kept is not None
        if taking is not None and taking.whole:
            return verdict("CHANGED", "it was deleted, and has rows again") if present else good
        if not (self._full or part.day in self._read):
            missing = all(" is missing: " in each for each in damaged)
            return verdict("MISSING" if missing else "CHANGED", "; ".join(damaged)) if damaged else good
        if not present and taking is not None and not kept:  # one after the other, all of its events went
            present = [appended_part(Part(part.batch, part.day, 0, b""), (), taking.replaced)]
        if [*present] == [part]:
            return good
        if not present or not present[0].rows:
            return verdict("MISSING", "; ".join(damaged) or "no file has its rows")
        rows = sum(each.rows for each in present)
        counted = f"{rows} rows instead of {part.rows}" if rows != part.rows else "other rows than were appended"
        which = there.explained(part, taking or Taking())
        return verdict("CHANGED", "; ".join(filter(None, [counted, which, *damaged])))
