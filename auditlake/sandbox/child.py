"""The process that runs an auditor's statements and can do nothing else: a fresh one for each session.

It is told once what to open, puts the sandbox on before DuckDB has started, tries it out, and then answers one
statement after the other over its pipes. It ends with its parent. All that it ever needs is imported here: once the
sandbox is on, it has no right to read a module.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from io import BufferedReader, BufferedWriter
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.ipc

from auditlake.confined import kernel
from auditlake.confined.frames import STRETCH, send
from auditlake.confined.served import IN, OUT, begin, end_with_parent, listen, say
from auditlake.engine.arrow_rows import exact
from auditlake.engine.sql_text import identifier
from auditlake.sandbox import engine, gate, pivot
from auditlake.sandbox.protocol import RowsIn, RowsOut
from auditlake.sandbox.values import bound

_FEEDS = ("/proc/self/cgroup", "/proc/stat", "/proc/meminfo", "/sys/devices/system/cpu/online", "/sys/fs/cgroup")
"""What DuckDB 2.0 reads when it opens, to find out about cores and memory: it ends the process if it cannot."""
_ENGINE_ROOM = 1_000_000_000
"""Bytes of address space for threads' stacks and allocators' reserves, which is not memory in use."""
_OPEN_FILES = 256
_BATCH = 8_192


def main() -> None:
    """Serve until the parent goes."""
    begin()
    try:
        opening = listen()["open"]
        if not opening["engine_reads"]:
            import pyarrow.dataset  # noqa: F401 - before the right to read it is gone
        Server(opening).serve()
    except EOFError:
        pass
    os._exit(0)


class Server:
    """What the child does, once it knows what to open."""

    def __init__(self, opening: Mapping[str, Any]) -> None:
        self._opening = opening
        self._loaded: set[str] = set()
        os.chdir(opening["folder"])
        holds = self._lock()
        try:
            self._connection = engine.connect(opening)
            engine.try_out(self._connection, holds, os.__file__)
        except engine.Unsafe as finding:
            say({"unsafe": str(finding)})
            os._exit(1)
        except Exception as error:  # noqa: BLE001 - the parent tells it
            say({"broken": engine.one_line(error)})
            os._exit(1)
        tables = frozenset(opening["open"])
        self._gate = gate.Gate(tables, engine.catalog(self._connection)) if "gate" in holds else None
        self._narrowing = engine.Narrowing(self._connection, opening) if opening["reading"] else None
        end_with_parent()
        say({"ready": holds})

    def _lock(self) -> list[str]:
        """Put on the layers of the kernel; give all that hold."""
        opening = self._opening
        holds: list[str] = []
        if "limits" in opening["layers"]:
            self._try("limits", lambda: kernel.limit(opening["memory"] + _ENGINE_ROOM, _OPEN_FILES), holds)
        if "calls" in opening["layers"]:
            self._try("calls", kernel.filter_calls, holds)
        if "landlock" in opening["layers"]:
            # What Arrow reads by itself is read with the rights that are left.
            self._try("landlock", lambda: kernel.landlock((*_FEEDS, *opening["files"])), holds)
        return [*holds, *(each for each in ("engine", "gate") if each in opening["layers"])]

    def _try(self, name: str, put_on: Any, holds: list[str]) -> None:
        try:
            put_on()
        except (OSError, ValueError) as error:
            say({"lacks": name, "why": str(error)})
        else:
            holds.append(name)

    def serve(self) -> None:
        """Answer."""
        while True:
            asked = listen()["ask"]
            began = time.monotonic()
            kernel.limit_processor((self._opening["seconds"] + 1) * (os.cpu_count() or 1))
            try:
                end = self._answer(asked)
            except EOFError:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
                end = _failure(error, partial(engine.hint, self._connection, asked["text"], self._opening["open"]))
            say({"done": end | {"seconds": time.monotonic() - began}})

    def _answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        text, values = asked["text"], bound(asked["values"])
        if self._gate is not None:
            text = self._passed(text, values)
        relation = self._connection.sql(text, params=values or None)
        if relation is None:
            return {"status": "success", "rows": 0, "complete": True}
        return self._stream(relation)

    def _passed(self, text: str, values: Mapping[str, Any]) -> str:
        """Return the statement as it is run, once it has passed the gate and its views are there."""
        if (view := gate.listing(text)) is not None:
            return f"from {view}"
        text = gate.described(text, self._opening["open"])
        try:
            self._prepare(text, values)
            return text
        except gate.Several as several:
            try:
                # Without running anything first: all that is to run has to pass.
                self._views_of(pivot.written_out(text, self._tried))
            except (gate.Refusal, pivot.NoValues) as refusal:
                reason = str(several) if isinstance(refusal, gate.Several) else f"{refusal}; {several}"
                raise gate.Refusal(reason) from refusal
        try:
            text = pivot.written_out(text, partial(self._found, values))
        except pivot.NoValues as none:
            raise gate.Refusal(str(none)) from none
        self._prepare(text, values)
        return text

    def _prepare(self, text: str, values: Mapping[str, Any]) -> None:
        """Let a statement that passes the gate find its views, and of the snapshot's files those that matter to it."""
        used = self._views_of(text)
        self._load(used)
        if self._narrowing is not None:
            self._narrowing.show(text, values, used)

    def _views_of(self, text: str) -> frozenset[str]:
        """Return the views that a statement reads, once it has passed the gate."""
        assert self._gate is not None
        return gate.check(self._connection, text, self._gate)

    def _tried(self, query: str) -> list[str]:
        """Something that a query might find, if it passes the gate."""
        self._views_of(query)
        return ["x"]

    def _found(self, values: Mapping[str, Any], query: str) -> list[str]:
        """Run a query of one column of text with those of the parameters that it names, and return its values."""
        self._prepare(query, values)
        (statement,) = self._connection.extract_statements(query)
        named = {name: value for name, value in values.items() if name in statement.named_parameters}
        return [value for (value,) in self._connection.execute(query, named or None).fetchall()]

    def _load(self, used: frozenset[str]) -> None:
        """Get the tables behind the views that are wanted for the first time."""
        for name in sorted((used & set(self._opening["on_demand"])) - self._loaded):
            say({"need": name})
            _take_table(self._connection, f"_{name}")
            engine.make_view(self._connection, name, self._opening["on_demand"][name])
            if name not in self._opening["growing"]:
                self._loaded.add(name)

    def _stream(self, relation: duckdb.DuckDBPyRelation) -> dict[str, Any]:
        """Send rows until there are no more of them, or too many."""
        reader = exact(relation).to_arrow_reader(_BATCH)
        sent, whole = 0, True
        out = RowsOut(partial(send, OUT))
        with BufferedWriter(out, STRETCH) as file, pa.ipc.new_stream(file, reader.schema) as stream:
            for batch in reader:
                fits = _fitting(batch, self._opening["rows"] - sent, self._opening["output"] - out.sent)
                whole = fits == batch.num_rows
                if not (fits or whole or sent):
                    return {"status": "stopped", "reason": "its first row has more bytes than an answer may have"}
                stream.write_batch(batch.slice(0, fits))
                file.flush()
                sent += fits
                if not whole:
                    break
        return {"status": "success", "rows": sent, "complete": whole}


def _fitting(batch: pa.RecordBatch, rows: int, size: int) -> int:
    """How many rows of a batch, from its beginning, are no more than so many rows and bytes."""
    least, most = 0, min(rows, batch.num_rows)
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if batch.slice(0, middle).nbytes <= size else (least, middle - 1)
    return least


def _take_table(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    source = RowsIn(IN)
    try:
        table = pa.ipc.open_stream(BufferedReader(source, STRETCH)).read_all()
    finally:
        source.rest()
    connection.register("arriving", table)
    connection.execute(f"create or replace temp table {identifier(name)} as from arriving")
    connection.unregister("arriving")


def _failure(error: BaseException, hint: Callable[[str], str]) -> dict[str, Any]:
    if isinstance(error, gate.Refusal):
        return {"status": "refused", "reason": str(error)}
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException):
        return {"status": "stopped", "reason": "it needed more memory than it may have"}
    if isinstance(error, duckdb.InterruptException):
        return {"status": "stopped", "reason": "it took longer than it may"}
    reason = engine.one_line(error) + hint(str(error)) if isinstance(error, Exception) else type(error).__name__
    return {"status": "failed", "reason": reason}
