"""An auditor's session: one snapshot, one principal, one child at a time, and every question on record."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from auditlake.config import DeskSettings
from auditlake.confined.kernel import landlock_version
from auditlake.confined.process import ChildGone
from auditlake.context import LakeContext
from auditlake.disk.layout import Layout
from auditlake.engine.paths import has_pattern
from auditlake.engine.sql_text import Batches, of_batches, select_events
from auditlake.engine.statements import statement
from auditlake.errors import QueryError, RefusedError, SandboxError, StoppedError
from auditlake.events.schema import PUBLIC_COLUMNS
from auditlake.events.times import Instant, judged_as_of
from auditlake.landing.flush import flush
from auditlake.landing.positions import unflushed
from auditlake.landing.segments import OWN
from auditlake.machine import login_name
from auditlake.sandbox.answer import Answer
from auditlake.sandbox.dictionary import dictionary
from auditlake.sandbox.masking import Masking
from auditlake.sandbox.model import LAYERS, MEGABYTE, Interrupted, Layer, Opening, Outcome, Reading
from auditlake.sandbox.open import others_wait
from auditlake.sandbox.parent import Child, Reply
from auditlake.sandbox.principals import Account, folded, is_name, masking_of
from auditlake.sandbox.query_log import QueryLog
from auditlake.sandbox.received import Received
from auditlake.sandbox.values import is_text, sent
from auditlake.sandbox.views import SHAPES, Sight, Tables, TooMuch
from auditlake.storage.lake import fetched_again, mirror_of
from auditlake.store.model import Snapshot
from auditlake.store.narrowed import Chooser, Contents, contents_of
from auditlake.store.snapshot import read_snapshot, readable, whole_files
from auditlake.summaries.segments import FEWEST, has_own_names

if TYPE_CHECKING:
    import pyarrow as pa

    from auditlake.sandbox.canned import CannedQuery

VIEWS = ("events", *(name for name in SHAPES if name != "queries"), "queries", "dictionary")
"""What an auditor sees, in the order in which it is told."""
_DESCRIBED = ("dictionary", "_tables", "_all_tables")
"""The views that are the same in every lake; no question can name those that begin with _, which SHOW reads."""
_ANY = 1 << 60
"""More rows, and more bytes, than there are anywhere."""


class AuditSession:
    """Questions of one principal on one snapshot, run in a sandbox. Close it, or use it in a ``with``.

    Args:
        context: The lake.
        principal: Who asks: it is on record with every question, and decides what is masked.
        snapshot: The version to read; the newest if None, once what was logged is flushed.
        as_of: Events after it do not exist, and findings are judged as of it; if None, nothing is left out, and
            findings are judged as of now. Of a day, its end; never later than now.
        rows: At most so many rows an answer, instead of what lake.toml says. More than that, or 0 for any number and
            size, is for the lake's owner, who asks by the name that the system has for them, and at no desk.
        account: The account that asks at a desk, which is the principal; None for a caller who says who asks.
        layers: For tests: which layers of the sandbox to put on.
        engine_reads: For tests: whether DuckDB reads the files itself; only where Landlock holds if None.
        child: One that was started already.

    Raises:
        SandboxError: No sandbox can be had.
        RefusedError: The principal may not ask.
        SnapshotError: The snapshot is not there, or cannot be read exactly.
    """

    def __init__(
        self,
        context: LakeContext,
        *,
        principal: str,
        snapshot: int | None = None,
        as_of: Instant | None = None,
        rows: int | None = None,
        account: Account | None = None,
        layers: Sequence[Layer] = LAYERS,
        engine_reads: bool | None = None,
        child: Child | None = None,
    ) -> None:
        self._child: Child | None = child or Child()  # it imports while we look at the lake
        layout, config, clock = context.layout, context.config, context.clock
        try:
            self.principal = _name(principal)
            """Who asks."""
            self.id = str(uuid.uuid4())
            """The session's own id, on record with every question."""
            self.as_of = None if as_of is None else judged_as_of(as_of, clock(), QueryError)
            """Events after it do not exist; None if none is left out."""
            self.look: Callable[[], None] = lambda: None
            """Called now and then while a question runs; an :class:`Interrupted` that it raises stops the question."""
            self._layout = layout
            masking = masking_of(layout, self.principal, account)
            is_owner = account is None and not masking and _is_owner(layout, self.principal)
            self.limits = config.desk if rows is None else _limits(config.desk, rows, self.principal, is_owner=is_owner)
            """How much a question may take."""
            self._secrets = masking.secrets
            snapshot_read, waiting = _newest(context) if snapshot is None else (read_snapshot(layout, snapshot), ())
            self.snapshot = snapshot_read.version
            """The version of the lake that is read."""
            can_read = readable(layout, snapshot_read)
            files = can_read.files.paths
            # The child has no way to a bucket.
            self._paths = whole_files(layout, can_read.files) if mirror_of(layout) else []
            if engine_reads is None:
                engine_reads = landlock_version() > 0 and not any(map(has_pattern, files))
            reading = _reading(contents_of(layout, self.snapshot, can_read.files), can_read.batches)
            is_whole = not masking and can_read.batches is None
            is_kept = config.reports.summaries_mb > 0 and snapshot_read.rows >= FEWEST
            counted = snapshot_read if is_whole and is_kept and has_own_names(snapshot_read) else None
            self._opening = self._plan(
                layout, masking, files, reading, layers, engine_reads=engine_reads, is_counted=counted is not None
            )
            self._log = QueryLog(
                layout, config, clock, principal=self.principal, session=self.id, snapshot=self.snapshot,
                account=account,
            )  # fmt: skip
            chosen = Chooser(layout, self.snapshot, can_read.files, is_whole=False)
            sight = Sight(self.snapshot, self.as_of, clock(), chosen, can_read.batches, masking, waiting, counted)
            self._tables = Tables(layout, config, sight, self._log.lines)
            self._lock = Lock()
            self.layers: tuple[str, ...] = ()
            """The layers of the sandbox that hold, beside the process of its own."""
            self._open_child()
        except BaseException:
            self.close()
            raise

    def _plan(
        self, layout: Layout, masking: Masking, files: list[str], reading: Reading, layers: Sequence[Layer], *,
        engine_reads: bool, is_counted: bool,
    ) -> Opening:  # fmt: skip
        batches = reading.batches
        is_narrowed = engine_reads and "gate" in layers
        # What narrows it shows more for each question; a view of ten thousand files takes half a second to make.
        shown = files[:1] if is_narrowed else files
        read = select_events([f"./{file}" for file in shown], PUBLIC_COLUMNS, batches)
        if files and not engine_reads:
            columns = ", ".join(f'"{name}"' for name in PUBLIC_COLUMNS)
            read = f"select {columns} from _files" + ("" if batches is None else f" where {of_batches(batches)}")
        events = masking.query("from _read", self.as_of)
        by_rows = {"daily_counts": statement("sandbox/views.sql", "daily_counts_of_rows").text}
        return Opening(
            layers=layers,
            folder=str(layout.events),
            files=files,
            engine_reads=engine_reads or not files,
            views={"_read": read, "events": events} | {name: dictionary(name.lstrip("_")) for name in _DESCRIBED},
            secure=("events",) if masking.rows is not None else (),
            open=VIEWS,
            on_demand={name: statement("sandbox/views.sql", name).text for name in SHAPES}
            | ({} if is_counted else by_rows),
            growing=("queries",),
            seconds=self.limits.seconds,
            memory=self.limits.memory_mb * MEGABYTE,
            threads=self.limits.threads,
            rows=self.limits.rows,
            output=self.limits.output_mb * MEGABYTE,
            reading=reading if is_narrowed else None,
        )

    def sql(self, query: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Run one query; values bind as ``$name``.

        The question is an event of the lake before this returns or raises; if that cannot be written, there is no
        answer.

        Raises:
            RefusedError: It is not one query, or uses what is not allowed; nothing of it ran.
            StoppedError: It took more time or memory than it may.
            QueryError: It is wrong, or failed on the data.
            LandingError: The question could not be put on record.
        """
        with self._lock:
            reply, error = self._run(query, params)
            event_id = self._log.record(query, {} if params is None else params, reply.outcome)
        if error is not None:
            raise error
        if failure := _failure(reply.outcome, self.limits.seconds):
            raise failure
        return Answer(_rows(reply), reply.outcome, self.snapshot, event_id)

    def queries(self) -> dict[str, CannedQuery]:
        """Return every canned query, by name.

        Raises:
            QueryError: A file of the lake cannot be understood.
        """
        from auditlake.sandbox.canned import questions

        return questions(self._layout)

    def _run(self, query: str, params: Mapping[str, Any] | None) -> tuple[Reply, BaseException | None]:
        """How it ended, and what to raise for it where that is more than the outcome says."""
        if not is_text(query):
            return _ended("refused", "a statement is text"), None
        try:
            values = sent(params)
            if fetched_again(self._layout, self._paths):
                self._end_child()  # which may open no others than were there
        except QueryError as error:
            return _ended("refused", str(error)), error
        except BaseException as error:  # noqa: BLE001 - a parameter is whatever the asker made; no child was asked
            return _ended("failed", str(error) or type(error).__name__), error
        try:
            child = self._open_child()
            make = partial(self._tables.make, deadline=time.monotonic() + self.limits.seconds)
            reply = child.ask(query, values, self.limits.seconds, self._opening.output, make, self.look)
            return self._without_secrets(reply), None
        except (ChildGone, TooMuch) as gone:
            self._end_child()
            return _ended("stopped", str(gone)), None
        except Interrupted as stop:
            self._end_child()
            return _ended("interrupted", str(stop)), StoppedError(f"stopped: {stop}")
        except KeyboardInterrupt as interrupt:
            self._end_child()
            return _ended("interrupted", "the asker stopped it"), interrupt
        except BaseException as error:  # noqa: BLE001 - whatever it is, the question is put on record
            self._end_child()
            return _ended("failed", str(error) or type(error).__name__), error

    def _without_secrets(self, reply: Reply) -> Reply:
        """Return the reply, its reason without what is keyed with them: messages may quote expressions of a view."""
        reason = reply.outcome.reason
        for secret in self._secrets:
            reason = reason.replace(secret, "…")
        return replace(reply, outcome=replace(reply.outcome, reason=reason))

    def _open_child(self) -> Child:
        """Return the child, a new one if the last has ended."""
        if self._child is None:
            self._child = Child()
        if self._child.ready:
            return self._child
        try:
            self._child.open(self._opening)
        except ChildGone as gone:
            self._end_child()
            raise SandboxError(f"the sandbox could not be opened: {gone}") from gone
        self._check(self._child)
        self.layers = self._child.holds
        return self._child

    def _check(self, child: Child) -> None:
        """Whether enough holds for what the engine may do: Landlock, or an engine without a right over any file."""
        wanted = set(self._opening.layers)
        if wanted != set(LAYERS):
            return  # a test knows what it does
        if not {"engine", "gate"} <= set(child.holds):
            raise SandboxError("the engine could not be locked", hint="nothing is run without that")
        if "landlock" not in child.holds and self._opening.engine_reads and self._opening.files:
            why = child.lacks.get("landlock", "")
            raise SandboxError(f"Landlock does not hold ({why}), and the engine was to read files by itself")

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def close(self) -> None:
        """End the child, and with it the session."""
        self._end_child()
        if hasattr(self, "_log"):
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<AuditSession of {self.principal} on snapshot {self.snapshot}>"


def _newest(context: LakeContext) -> tuple[Snapshot, tuple[bytes, ...]]:
    """Return the newest snapshot, and the questions that are on record and not in it.

    What applications logged is flushed first. Auditlake's own events alone are not worth a commit for each question.
    """
    if others_wait(context.layout):
        flush(context)
    committed, left = unflushed(context.layout)
    return committed.snapshot, tuple(piece.data for piece in left if piece.segment.slot >= OWN)


def _reading(files: Contents, batches: Batches | None) -> Reading:
    """Return what the log says of files, as a child is told it."""
    sets = {types: number for number, types in enumerate(dict.fromkeys(filter(None, files.types)))}
    held = [None if types is None else sets.get(types) for types in files.types]
    return Reading(batches, [sorted(types) for types in sets], (held, files.first, files.last))


def _is_owner(layout: Layout, principal: str) -> bool:
    """Return whether it is the lake's owner who runs this, under their own name."""
    return layout.config.stat().st_uid == os.geteuid() and principal == login_name()


def _limits(limits: DeskSettings, rows: int, principal: str, *, is_owner: bool) -> DeskSettings:
    """Return the limits with another number of rows; 0 for any number, and then of any size.

    Raises:
        RefusedError: It is more than the lake's owner allows, and another principal asks for it.
    """
    if 0 < rows <= limits.rows:
        return replace(limits, rows=rows)
    if rows < 0 or not is_owner:
        message = f"an answer has at most {limits.rows:,} rows for {principal!r}, got {rows or 'any number'}"
        raise RefusedError(
            message, hint="only the lake's owner lifts that, under their own name; see lake.toml, [desk]"
        )
    return replace(limits, rows=rows) if rows else replace(limits, rows=_ANY, output_mb=_ANY // MEGABYTE)


def _name(principal: Any) -> str:
    if not isinstance(principal, str) or not is_name(principal):
        raise RefusedError(f"a principal has a name of at most 200 printable characters, got {str(principal)[:80]!r}")
    return folded(principal)


def _ended(status: Any, reason: str) -> Reply:
    return Reply(Outcome(status, reason))


def _rows(reply: Reply) -> pa.Table | Received:
    import pyarrow as pa

    return pa.table({}) if reply.rows is None else reply.rows


def _failure(outcome: Outcome, seconds: float) -> QueryError | None:
    """Return what to raise for an outcome that is no answer."""
    if outcome.status == "refused":
        return RefusedError(f"refused: {outcome.reason}")
    if outcome.status == "stopped":
        hint = f"a query has {seconds:g} s and some memory; the lake's owner sets both in lake.toml, section [desk]"
        return StoppedError(f"stopped: {outcome.reason}", hint=hint)
    if outcome.status == "failed":
        return QueryError(f"the query failed: {outcome.reason}")
    return None


__all__ = ["VIEWS", "Answer", "AuditSession"]
