"""A writer's turn: what every verb that changes a lake needs first, done once and in one order.

The lake's lock is taken, dead writers' workspaces are swept, the table is opened, its log made durable, and the ledger
settled. So all that a turn commits is built on what is on the disk.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.disk.layout import Layout
from auditlake.disk.lock import exclusive, workspace
from auditlake.errors import LakeBusyError, LakeFormatError
from auditlake.ledger import book
from auditlake.ledger.entry import Record
from auditlake.ledger.keys import finish_rotation, read_settings, read_signer, say_inside, saying_inside
from auditlake.ledger.parts import RecordedParts, recorded_parts
from auditlake.ledger.rules import Rules, read_rules, unrecorded
from auditlake.storage.lake import changing
from auditlake.store.bookkeeping import new_checkpoint, settle_ledger, settled
from auditlake.store.commit import commit, commit_entry_alone
from auditlake.store.deltalog import Commits
from auditlake.store.last_seen import follow
from auditlake.store.model import Change, Snapshot

if TYPE_CHECKING:
    import duckdb

    from auditlake.store.id_index import IdIndex


class Turn:
    """The lake while this process holds its lock; :func:`writer_turn` gives it.

    Args:
        layout: The lake.
        folder: A workspace.
        snapshot: The newest snapshot, whose log is durable.
        head: What the settled ledger counts; None if the lake has no ledger.
    """

    leads = True
    """Whether no other host commits meanwhile."""

    def __init__(self, layout: Layout, folder: Path, snapshot: Snapshot, head: book.Head | None) -> None:
        self.layout = layout
        self.folder = folder
        self.snapshot = snapshot
        self.commits = Commits(layout, snapshot.version)
        self._head = head
        self._rules: Rules | None = None
        self._ids: IdIndex | None = None

    def commit(self, change: Change, connection: duckdb.DuckDBPyConnection | None = None) -> int:
        """Make one durable commit, recorded in the ledger, and return the new version.

        Args:
            change: What to commit.
            connection: The caller's DuckDB, if it has one: the ledger then needs none of its own for a few rows.

        Raises:
            CommitError: Another program has changed the table, a file is not there, or the disk refused.
        """
        self.append(change, connection)
        if change.adds:
            from auditlake.engine.duck import connect  # which is slow to import

            with connect(exact_try=False) if connection is None else nullcontext(connection) as own:
                self.id_index(own).keep()
        return self.snapshot.version

    def append(self, change: Change, connection: duckdb.DuckDBPyConnection | None) -> None:
        """Make a commit as :meth:`commit` does, but for the index of ids: the next turn that asks it brings that in."""
        head = self._begun()
        rules = self._rules if head.is_inside else None
        if rules and change.metadata.get("kind") == "hold":  # whose file was written in this turn
            rules = replace(rules, holds=read_rules(self.layout, rules.settings).holds)
        self._head = commit(self.layout, self.folder, self.snapshot, change, head, rules, connection)
        self._follow(change)

    def begin(self, now: datetime) -> None:
        """Finish an upgrade whose writer died, and read what is in force, where that goes into each commit."""
        if self._head is not None and self._head.is_inside:
            if not self._head.settings.says_inside:
                say_inside(self.layout)
            self.notice(now)

    def _follow(self, change: Change) -> None:
        before, self.snapshot = self.snapshot, self.snapshot.after(change)
        self.commits = self.commits.following()
        follow(self.layout, before, change, self.snapshot)

    def id_index(self, connection: duckdb.DuckDBPyConnection) -> IdIndex:
        """Return the index of ids, for the files of the snapshot.

        Args:
            connection: A DuckDB, for the index to use until it is asked for again.
        """
        from auditlake.store.id_index import IdIndex  # with DuckDB

        if self._ids is None:
            self._ids = IdIndex(self.layout, self.snapshot, connection)
        else:
            self._ids.follow(self.snapshot, connection)
        return self._ids

    def recorded(self, batches: Collection[int]) -> RecordedParts:
        """Return what the ledger has recorded of some batches; one is begun if there is none."""
        self._head = self._begun()
        return recorded_parts(self.layout, self._head.size, batches)

    def notice(self, now: datetime, *, by: str = "hand", reason: str | None = None) -> None:
        """Let the ledger, if there is one, say what was changed of policies and holds since its last entry.

        Every commit does so by itself, but for the holds before one that is about a hold. Where entries lie inside
        commits, a turn begins with it, and what is changed by hand meanwhile waits for the next turn.
        """
        if self._head is not None:
            self._noticed(self._head, now.isoformat(), by, reason)

    def _noticed(self, head: book.Head, at: str, by: str = "hand", reason: str | None = None) -> Rules:
        """Record what has changed of what is in force, and return that; it is read once, whatever changes meanwhile."""
        self._rules = rules = read_rules(self.layout, head.settings)
        for record in unrecorded(self.layout, book.read_entry(self.layout, head.size - 1), rules, at, by, reason):
            head = self._add(head, record, rules)
        return rules

    def record(self, record: Record) -> None:
        """Add an entry that is about no commit to the ledger, if there is one."""
        if self._head is not None:
            rules = self._noticed(self._head, record.at)
            self._add(self._head, record, rules)

    def _add(self, head: book.Head, record: Record, rules: Rules, *, begins: bool = False) -> book.Head:
        version = self.snapshot.version
        if head.is_inside or begins:
            record = replace(record, details={**record.details, **new_checkpoint(self.layout, version)})
            entry = book.inside(self.layout, head, version + 1, record, rules, begins=begins)
            self._head = commit_entry_alone(self.layout, self.snapshot, entry, record.at, head)
            self._follow(Change((), (), {}))
        else:
            self._head = book.record(self.layout, head, version, record, rules)
        return self._head

    def rotate_key(self, now: datetime) -> str:
        """Let a new key sign the ledger's checkpoints, and return its public half (``NAME+ID+BASE64``).

        The next writer finishes what a dead writer left.

        Raises:
            LedgerError: The lake is unsigned, or its key may be that of other lakes too.
        """
        self._head = self._begun()
        rules = self._noticed(self._head, now.isoformat())
        record = book.rotation(self.layout, self._head, now.isoformat())
        finish_rotation(self.layout, self._add(self._head, record, rules).settings)
        return str(record.details["new"])

    def upgrade(self, now: datetime) -> bool:
        """Let the ledger's entries lie inside commits from the next one on; return whether they did not yet.

        That commit decides. Should the writer die before lake.toml says so, the next one lets it.

        Raises:
            LakeFormatError: lake.toml says its format in another way than auditlake writes it.
        """
        self._head = self._begun()
        if self._head.is_inside:
            return False
        if saying_inside(self.layout) is None:
            message = f"{self.layout.config} does not have its format_version on one line of its own"
            raise LakeFormatError(message, hint="write it as format_version = 1, and try again")
        rules = self._noticed(self._head, now.isoformat())
        self._add(self._head, Record("upgrade", now.isoformat()), rules, begins=True)
        say_inside(self.layout)
        return True

    def _begun(self) -> book.Head:
        """Return what the ledger counts, after beginning one if there is none."""
        return self._head or settled(self.layout, self.snapshot)


@contextmanager
def writer_turn(
    context: LakeContext, *, folder: Path | None = None, applications: Iterable[str] = ()
) -> Iterator[Turn]:
    """Keep other writers out, and give the lake as it is once what dead ones left is finished.

    Args:
        context: The lake.
        folder: The caller's workspace; one is made if None.
        applications: Whose transactions the snapshot is to have.

    Raises:
        LakeBusyError: Another process wrote for all of the time to wait.
        LakeFormatError: The table cannot be read.
        LedgerError: The ledger is damaged, or is not the one of this log.
    """
    layout = context.layout
    with (
        exclusive(layout.lock, wait_seconds=context.wait_seconds),
        nullcontext(folder) if folder else workspace(layout.staging) as own,
        changing(layout, wait_seconds=context.wait_seconds),
    ):
        turn = Turn(layout, own, *settle_ledger(layout, applications=applications))
        turn.begin(context.now)
        yield turn


@contextmanager
def recorded_policies(context: LakeContext, reason: str | None = None) -> Iterator[None]:
    """Change policies, mappings or packs within this, in a turn; the ledger then says so, and why if there is a reason.

    What was changed by hand before is recorded as such first. Should the writer die in between, the next commit
    notices. A lake without a ledger begins one with its next commit, which says what its policies are.
    """
    now = context.now
    if not book.has_ledger(context.layout):
        wait = context.wait_seconds
        with exclusive(context.layout.lock, wait_seconds=wait), changing(context.layout, wait_seconds=wait):
            yield
        return
    with writer_turn(context) as turn:
        turn.notice(now)
        yield
        turn.notice(now, by="auditlake", reason=reason)


def record_journal(context: LakeContext, lines: int, digest: str) -> None:
    """Let the ledger, if there is one, say how many durable entries the journal of findings has, and their digest."""
    if not book.has_ledger(context.layout):
        return
    details = {"journal": digest.removeprefix("sha256:"), "lines": lines}
    with writer_turn(context) as turn:
        turn.record(Record("report", context.now.isoformat(), details=details))


def record_runs(context: LakeContext) -> None:
    """Let the ledger, if there is one, say how far the journal of runs reaches, unless it has an entry of today.

    Every other entry says so too. Where another process writes, its commit does, so nothing is waited for.

    Raises:
        LedgerError: The ledger is damaged.
    """
    head, now = book.read_head(context.layout), context.now
    if head is None or book.read_entry(context.layout, head.size - 1).at[:10] >= now.isoformat()[:10]:
        return
    with suppress(LakeBusyError), writer_turn(replace(context, wait_seconds=0)) as turn:
        turn.record(Record("report", now.isoformat()))


def check_may_commit(layout: Layout) -> None:
    """Refuse a host that could bring nothing that it logs into the bucket of its lake; while another writes, none is.

    Raises:
        LedgerError: The lake is signed, and its key is not here.
        StorageError: The bucket must not be written, or cannot be reached.
    """
    read_signer(layout, read_settings(layout))
    with suppress(LakeBusyError), exclusive(layout.lock, wait_seconds=0), changing(layout, wait_seconds=0):
        pass
