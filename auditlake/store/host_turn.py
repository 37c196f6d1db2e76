"""The turn of a host that brings events to a lake in a bucket: prepared beside other hosts, committed together.

A host prepares its change on the version that it has. If it can have the lease at once, it commits the change, and with
it what other hosts propose: one version, one entry of the ledger. Otherwise it puts the change into the inbox, and
waits until the log has it, or until the lease is free.

Nothing rests on the lease. Which commit is made is decided by the log entry, which one host can make, and whether a
proposal is in the table by its number, which the commit moves. Before it is committed, its events are looked for in
what came since its version; a proposal that has one of them is made again by its host, on top.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.context import LakeContext
from auditlake.disk.lock import exclusive, workspace
from auditlake.errors import CommitError, LakeFormatError, LedgerError, OvertakenError, StorageError
from auditlake.ledger.book import read_head
from auditlake.ledger.keys import read_settings, read_signer
from auditlake.storage.hosts import give_up, host_number, keep_said, settle_number
from auditlake.storage.inbox import Inbox
from auditlake.storage.lake import mirror_of
from auditlake.storage.lease import Lease
from auditlake.store.batches import counted_by, reached_by_host, refuse_of_others
from auditlake.store.bookkeeping import complete_parts, settle_ledger
from auditlake.store.deltalog import additions, commit_metadata, newest_version, transactions_at, transactions_in
from auditlake.store.model import Change
from auditlake.store.proposals import Proposal, dumped, merged, parsed, proposed
from auditlake.store.snapshot import read_snapshot
from auditlake.store.turn import Turn, writer_turn

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    from auditlake.storage.mirror import Mirror

_TRIES = 10
"""How often a commit is tried again that another host was quicker with; at last without what others propose."""
_ROUNDS = 8
"""How often a host commits what others propose before it gives the lease back."""
_WAIT_SECONDS = 60.0
"""How long a host waits for its proposal to be committed."""
_POLL_SECONDS = 0.25
"""How long after a look at the log it is looked at again; longer where nothing has come for some time."""
_ASK_SECONDS = 1.0
"""How often the lease and the answers are looked at; no pause is longer."""


@contextmanager
def ingest_turn(
    context: LakeContext, *, folder: Path | None = None, applications: Iterable[str] = ()
) -> Iterator[Turn]:
    """Give the lake to who brings events, as :func:`auditlake.store.turn.writer_turn` does; other hosts may write.

    Args:
        context: The lake.
        folder: The caller's workspace; one is made if None.
        applications: Whose transactions the snapshot is to have.

    Raises:
        LakeBusyError: Another process of this host wrote for all of the time to wait.
        LedgerError: The lake is signed, and this host has no key of it.
        CommitError: An application is of a number that this host has no more.
        OSError: The bucket cannot be read or written.
    """
    layout = context.layout
    if (mirror := mirror_of(layout)) is None:
        with writer_turn(context, folder=folder, applications={*applications, *counted_by(layout)}) as turn:
            yield turn
        return
    with ExitStack() as stack:
        stack.enter_context(exclusive(layout.lock, wait_seconds=context.wait_seconds))
        own = folder or stack.enter_context(workspace(layout.staging))
        stack.callback(mirror.keep_tags)
        with suppress(*([StorageError] if layout.fetched.exists() else [])):  # any version is one to begin on
            mirror.update()
        read_signer(layout, read_settings(layout))
        mirror.push()
        refuse_of_others(applications, settle_number(layout, mirror.objects))
        yield HostTurn(context, mirror, own, {*applications, *counted_by(layout)}, stack)


class HostTurn(Turn):
    """What :func:`ingest_turn` gives where the lake is in a bucket.

    Args:
        context: The lake.
        mirror: Its bucket.
        folder: A workspace.
        applications: Whose transactions the snapshot is to have.
        stack: Gives the lease back at the end of the turn.
    """

    leads = False

    def __init__(
        self, context: LakeContext, mirror: Mirror, folder: Path, applications: Iterable[str], stack: ExitStack
    ) -> None:
        super().__init__(context.layout, folder, read_snapshot(context.layout, applications=applications), None)
        self._context = context
        self._mirror = mirror
        self._stack = stack
        self._inbox = Inbox(mirror.objects)
        self._leading: Turn | None = None
        self._came: dict[int, NDArray[np.uint64]] = {}

    def commit(self, change: Change, connection: duckdb.DuckDBPyConnection | None = None) -> int:
        """Have a change committed, by this host or another, and return a version that has it.

        Raises:
            OvertakenError: Another host has brought some of the same events meanwhile; nothing was landed.
            CommitError: Whether it was committed is not known, or it was refused.
        """
        if self._leading is not None:
            self._leading.commit(change, connection)
            self.snapshot = self._leading.snapshot
            return self.snapshot.version
        own = proposed(self.snapshot, replace(change, parts=complete_parts(self.layout, change, connection)))
        keep_said(self.layout, own.number, own.change.metadata)
        lease, is_put = Lease(self._mirror.objects, self.layout.root), False
        if not lease.take():
            if not self._inbox.put(own.place, dumped(self.layout, own)):
                give_up(self.layout)
                self._require_number(own)
            is_put = True
            if (version := self._committed_at(own, lease)) is not None:
                self.snapshot = replace(self.snapshot, version=version)
                return version
        self._stack.enter_context(lease.renewed())
        try:
            self._lead(own, connection)
        finally:
            if is_put:
                with suppress(StorageError):  # what the table has passed is removed by who looks next
                    self._inbox.remove(own.place)
        return self.snapshot.version

    def _committed_at(self, own: Proposal, lease: Lease) -> int | None:
        """Return the version with which another host has committed a proposal; None once this one has the lease.

        The copy gets the entries of the log that are read on the way, and nothing else.
        """
        version, began = self.snapshot.version, time.monotonic()
        moved = asked = began
        while True:
            now = time.monotonic()
            if (entry := self._entry(version + 1)) is not None:
                version, moved = version + 1, now
                with suppress(StorageError):  # it is in the log, whatever this host has of it
                    self._mirror.keep_entry(self.layout.commit(version), entry)
                self._require_number(own)
                if reached_by_host(transactions_in(entry)).get(own.host, 0) >= own.number:
                    return version
                continue
            if now - asked >= _ASK_SECONDS:
                asked = now
                if lease.take():
                    return None
                if (why := self._inbox.refusal(own.place)) is not None:
                    raise OvertakenError(why)
            if now - began >= _WAIT_SECONDS:
                self._inbox.remove(own.place)
                host, _ = lease.holder
                message = f"what this host proposes was not committed for {_WAIT_SECONDS:g} s; the host {host} writes"
                raise CommitError(message, hint="run it again: what has landed does not land twice")
            time.sleep(min(max(_POLL_SECONDS, (now - moved) / 8), _ASK_SECONDS))

    def _require_number(self, own: Proposal) -> None:
        """Refuse a proposal of a number that the host has given up; what is made again gets another one.

        Raises:
            OvertakenError: It has.
        """
        if host_number(self.layout) != own.host:
            raise OvertakenError("another host writes with the number of this one: its folder is a copy")

    def _entry(self, version: int) -> bytes | None:
        """Return the entry of the log of a version; None if that is not committed."""
        return self._mirror.objects.found(self.layout.name(self.layout.commit(version)))

    def _is_behind(self) -> bool:
        """Return whether there is a newer version than the copy has, or the copy lacks what is about its newest one."""
        version, head = newest_version(self.layout), read_head(self.layout)
        return head is None or head.version < version or self._entry(version + 1) is not None

    def _lead(self, own: Proposal, connection: duckdb.DuckDBPyConnection | None) -> None:
        """Commit a proposal, and what other hosts propose meanwhile, while this host has the lease."""
        if self._is_behind():
            self._mirror.update()
        for left in range(_TRIES - 1, -1, -1):
            folder = self.folder / f"lead-{left}"
            folder.mkdir()
            try:
                turn = Turn(self.layout, folder, *settle_ledger(self.layout))
                turn.begin(self._context.now)
                self._fold(turn, own, connection, with_others=left >= _TRIES // 2)
            except OvertakenError:
                raise
            except (CommitError, StorageError) as error:  # another host may have been quicker
                try:
                    self._mirror.update()
                except OSError:
                    raise error from None
                if not left:
                    raise
            else:
                self._leading, self.snapshot, self.leads = turn, turn.snapshot, True
                return

    def _fold(
        self, turn: Turn, own: Proposal, connection: duckdb.DuckDBPyConnection | None, *, with_others: bool
    ) -> None:
        self._require_number(own)
        turn.snapshot = replace(turn.snapshot, transactions=transactions_at(self.layout, turn.snapshot.version))
        for _ in range(_ROUNDS):
            reached = reached_by_host(turn.snapshot.transactions)
            waiting = self._inbox.waiting(reached) if with_others else {}
            found = {place: data for place, data in waiting.items() if place[0] != own.host}
            proposals = [] if reached.get(own.host, 0) >= own.number else [own]
            for place, data in found.items():
                try:
                    proposals.append(parsed(self.layout, place, data))
                except LedgerError as error:
                    self._inbox.refuse(place, str(error))
            if chosen := self._chosen(turn, own, proposals, connection):
                turn.append(merged(self.layout, turn.snapshot, chosen, self._context.now), connection)
            if not found:
                return

    def _chosen(
        self, turn: Turn, own: Proposal, proposals: Sequence[Proposal], connection: duckdb.DuckDBPyConnection | None
    ) -> list[Proposal]:
        """Return the proposals that can be committed together on top of a snapshot; the others are refused.

        Raises:
            OvertakenError: The own one cannot.
        """
        version, chosen = turn.snapshot.version, list[Proposal]()
        there = self._mirror.bring(f"events/{file.path}" for each in proposals for file in each.change.adds)
        ids = _Ids(self, proposals if len(proposals) > 1 or own.base < version else (), connection)
        for each in proposals:
            now = {name: at for name, at in turn.snapshot.transactions.items() if name in each.change.transactions}
            try:
                if dict(each.since) != now or each.base > version:
                    raise OvertakenError("another process of this host has brought the same events meanwhile")
                if any(later > each.base for later in turn.commits.history.others):
                    raise OvertakenError("events were deleted or changed meanwhile")
                if any(f"events/{file.path}" not in there for file in each.change.adds):
                    raise OvertakenError("a file of it is not in the bucket any more")
                came = [self._came_with(later, connection) for later in range(each.base + 1, version + 1)]
                if ids.has_any(each, [*came, *(ids.of(other) for other in chosen)]):
                    raise OvertakenError("another host has brought some of the same events meanwhile")
            except OvertakenError as error:
                if each is own:
                    raise
                self._inbox.refuse(each.place, str(error))
            else:
                chosen.append(each)
        return chosen

    def _came_with(self, version: int, connection: duckdb.DuckDBPyConnection | None) -> NDArray[np.uint64]:
        """Return hashes of the ids of the events that a version brought."""
        if version not in self._came:
            is_ingest = (commit_metadata(self.layout, version) or {}).get("kind") == "ingest"
            paths = [*additions(self.layout, version)] if is_ingest else []
            self._mirror.bring(f"events/{path}" for path in paths)
            (self._came[version],) = self.hashes([paths], connection)
        return self._came[version]

    def hashes(
        self, groups: Sequence[Sequence[str]], connection: duckdb.DuckDBPyConnection | None
    ) -> list[NDArray[np.uint64]]:
        """Return hashes of the ids of the events in each group of data files.

        Raises:
            OvertakenError: They cannot be read any more.
        """
        import duckdb

        from auditlake.engine.duck import connect
        from auditlake.store.id_index import hashes_of

        try:
            with connect(exact_try=False) if connection is None else nullcontext(connection) as own:
                return hashes_of(own, self.layout, groups)
        except (OSError, duckdb.Error, LakeFormatError) as error:
            raise OvertakenError("what came meanwhile cannot be read any more") from error


class _Ids:
    """Hashes of the ids of the events that proposals bring, read together where all can be read."""

    def __init__(
        self, turn: HostTurn, proposals: Sequence[Proposal], connection: duckdb.DuckDBPyConnection | None
    ) -> None:
        self._turn = turn
        self._connection = connection
        self._known: dict[tuple[int, int], NDArray[np.uint64]] = {}
        with suppress(OvertakenError):
            read = turn.hashes([_paths(each) for each in proposals], connection) if proposals else []
            self._known = dict(zip([each.place for each in proposals], read, strict=True))

    def of(self, proposal: Proposal) -> NDArray[np.uint64]:
        """Return those of one."""
        if proposal.place not in self._known:
            (self._known[proposal.place],) = self._turn.hashes([_paths(proposal)], self._connection)
        return self._known[proposal.place]

    def has_any(self, proposal: Proposal, others: Sequence[NDArray[np.uint64]]) -> bool:
        """Return whether a proposal has any of some others."""
        import numpy as np

        return any(len(some) and bool(np.isin(self.of(proposal), some).any()) for some in others)


def _paths(proposal: Proposal) -> list[str]:
    return [file.path for file in proposal.change.adds]
