"""The engine inside the child: opened with everything off, given its views, locked, and tried before it serves."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import duckdb

from auditlake.disk.layout import partition_day
from auditlake.engine.narrowing import asked_by
from auditlake.engine.sql_text import identifier, literal, select_events
from auditlake.events.schema import PUBLIC_COLUMNS
from auditlake.sandbox.gate import Gate, Refusal, check
from auditlake.store.narrowed import Contents, files_for

_SETTINGS = {
    "temp_directory": "",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "enable_external_file_cache": "false",
    "checkpoint_threshold": "1TB",
    "max_expression_depth": "250",
}
_SHARE = 0.75
"""How much of the memory DuckDB may plan with; what a function makes on the way comes on top."""
_PATH = re.compile(r"(?<![\w./])(?:file:)?/(?:[^\s'\"/:,;)]+/)*[^\s'\"/:,;)]*")
_PROPOSAL = re.compile(r"^(?:Candidate (?:bindings|tables)|Did you mean)\b.*", re.MULTILINE)
_QUOTED = re.compile(r'"((?:[^"]|"")+)"')
_WORD = re.compile(r"\w+")
_PROPOSED = 5
_READ_BACK = {"enable_external_access": "false", "lock_configuration": "true", "python_enable_replacements": "false"}


class Unsafe(Exception):  # noqa: N818 - a finding, not a failure
    """What should be impossible was possible: nothing may be served."""


def connect(opening: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB with the views that were asked for; if the layer ``engine`` is on, lock it.

    Args:
        opening: An :class:`auditlake.sandbox.model.Opening`, as the wire has it.
    """
    safe = "engine" in opening["layers"]
    config: dict[str, Any] = {"memory_limit": f"{int(opening['memory'] * _SHARE)}B"}
    if opening["threads"]:
        config["threads"] = opening["threads"]
    connection = duckdb.connect(":memory:", config=config | (_SETTINGS if safe else {}))
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set enable_progress_bar = false")
    connection.execute("set disabled_optimizers = 'common_subexpressions'")
    if opening["engine_reads"]:
        if safe and opening["files"]:
            allowed = ", ".join(literal(path) for path in opening["files"])
            connection.execute(f"set allowed_paths = [{allowed}]")
    else:
        connection.register("_files", _dataset(opening["files"]))
    if safe:
        connection.execute(f"set max_execution_time = {int(opening['seconds'] * 1000)}")
        connection.execute("set enable_external_access = false")
    for name, query in opening["views"].items():
        make_view(connection, name, query, secure=name in opening["secure"])
    if safe:
        connection.execute("set lock_configuration = true")
    return connection


def make_view(connection: duckdb.DuckDBPyConnection, name: str, query: str, *, secure: bool = False) -> None:
    """Make a view; a secure one lets nothing of the asker's run on rows that its own filter leaves out."""
    kind = "temp secure view" if secure else "temp view"
    connection.execute(f"create or replace {kind} {identifier(name)} as {query}")


class Narrowing:
    """Lets the view ``_read``, which ``events`` is made of, show the files alone that matter to a question.

    At first it shows one, for its columns.

    Args:
        connection: Where the views are.
        opening: An :class:`auditlake.sandbox.model.Opening`, as the wire has it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, opening: Mapping[str, Any]) -> None:
        reading, paths = opening["reading"], opening["files"]
        self._connection, self._batches = connection, reading["batches"]
        sets = [frozenset(types) for types in reading["types"]]
        held, *bounds = reading["contents"]
        self._files = Contents(paths, [None if each is None else sets[each] for each in held], *bounds)
        self._all: list[str] = paths
        self._shown = paths[:1]
        self._others = {name for name, query in opening["on_demand"].items() if "events" in query}
        """The views beside it that show events."""

    def show(self, text: str, values: Mapping[str, Any], used: Collection[str]) -> None:
        """Show what a statement reads, or more.

        Args:
            text: The statement.
            values: What it binds.
            used: The views that it reads.
        """
        asked = None if self._others & set(used) else asked_by(self._connection, text, values)
        files = self._all if asked is None else files_for(self._files, asked, is_whole=False)
        if files != self._shown:
            read = select_events([f"./{file}" for file in files], PUBLIC_COLUMNS, self._batches)
            make_view(self._connection, "_read", read)
            self._shown = files


def _dataset(files: list[str]) -> Any:
    """Return the files as Arrow reads them, their day from the folder they lie in; DuckDB asks it for columns and
    rows.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow.fs import LocalFileSystem

    place, form = LocalFileSystem(), ds.ParquetFileFormat()
    # Not as Arrow finds days out: it would take a folder far above the lake for one, too.
    days = [ds.field("event_date") == pa.scalar(partition_day(file), pa.date32()) for file in files]
    parts = [form.make_fragment(file, place, day) for file, day in zip(files, days, strict=True)]
    schema = parts[0].physical_schema
    if "event_date" not in schema.names:
        schema = schema.append(pa.field("event_date", pa.date32()))
    return ds.FileSystemDataset(parts, schema, form, place)


def catalog(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Return the names of the engine's own tables and views."""
    views = connection.table_function("duckdb_views").filter("internal").project("lower(view_name)")
    return frozenset(name for (name,) in views.fetchall())


def try_out(connection: duckdb.DuckDBPyConnection, layers: list[str], victim: str) -> None:
    """Do what must fail.

    Args:
        connection: The engine, as it will serve.
        layers: Those that are to hold.
        victim: A file outside the snapshot, which must not be read or changed.

    Raises:
        Unsafe: Something of it succeeded.
    """
    if "engine" in layers:
        for setting, expected in _READ_BACK.items():
            ((actual,),) = connection.execute(f"values (current_setting({literal(setting)}))").fetchall()
            if str(actual).lower() != expected:
                raise Unsafe(f"{setting} is {actual}")
        for statement in (
            f"copy (values (1)) to {literal(os.devnull)} (format csv)",
            f"from read_text({literal(victim)})",
            "set memory_limit = '64GB'",
            "attach '/tmp/auditlake-canary.db'",
        ):
            if _works(lambda statement=statement: connection.execute(statement)):
                raise Unsafe(f"the engine ran {statement.split()[0]}")
    if "gate" in layers:
        for statement in ("from (with x as (copy (values (1)) to 'x') from x)", f"from read_text({literal(victim)})"):
            with suppress(Refusal):
                check(connection, statement, Gate(()))
                raise Unsafe("the gate let a statement pass that reads or writes files")
    if "landlock" in layers and _works(lambda: os.close(os.open(victim, os.O_RDONLY))):
        raise Unsafe("a foreign file could be opened")
    if "calls" in layers and _works(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()):
        raise Unsafe("a socket could be opened")


def _works(action: Any) -> bool:
    try:
        action()
    except (duckdb.Error, OSError):
        return False
    return True


def hint(connection: duckdb.DuckDBPyConnection, text: str, views: Collection[str], message: str) -> str:
    """Return the names that DuckDB proposes instead of a wrong one: of views, of their columns, or the principal's
    own.
    """
    proposed = [name for line in _PROPOSAL.findall(message) for name in _QUOTED.findall(line)]
    if not proposed:
        return ""
    columns = connection.execute("from dictionary select distinct column_name").fetchall()
    known = {*views, *(name for (name,) in columns), *map(str.lower, _WORD.findall(text))}
    names = [f'"{name}"' for name in proposed if all(part.lower() in known for part in name.split("."))]
    return f" Did you mean {' or '.join(names[:_PROPOSED])}?" if names else ""


def one_line(error: Exception) -> str:
    """Return an error in one line and without the paths of this machine."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return _PATH.sub("…", " ".join(lines[0].split()))[:500]
