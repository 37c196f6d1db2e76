"""A Spark session as an engine of slices."""

from __future__ import annotations

import re
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from auditlake.engine import duck
from auditlake.engine.arrow_rows import table_rows
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.duck_slices import answers
from auditlake.engine.model import ByTime, Leaf, Row, Script, engine_name
from auditlake.engine.sql_text import Batches, of_batches
from auditlake.errors import EngineError
from auditlake.events.schema import COLUMNS
from auditlake.storage.ranges import address

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

_PATTERN = re.compile(r"[\[\]{}*?\\]")
"""What Spark takes for a pattern in a path."""
_VALUE = re.compile(r"\$([a-z_]+)")
_OF_SPARK = {"varchar": "string", "timestamptz": "timestamp", "bigint": "bigint", "blob": "binary", "date": "date"}
_LEAF = "event_type string, t bigint, verdict int, g string, held int"
_ANSWER = "turn int, name string, rows binary"
_CONFIG: dict[str, Any] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "threads": 1,
}
"""The settings of a DuckDB in a worker."""
_SETTINGS = (
    "set TimeZone = 'UTC'",
    "set disabled_optimizers = 'common_subexpressions'",
    "set python_enable_replacements = false",
)
_PORT = 15002
"""Where Spark Connect listens unless its address says otherwise."""
_SECONDS = 10.0
"""How long a server may take to accept a connection."""
_RETRIES = 5
"""How often a server that does not answer is asked again, within some ten seconds."""
_TOLD = 300
"""How much of a server's message is told."""


def open_spark(address: str) -> SparkEngine:
    """Open a session with a server.

    Args:
        address: Where it listens: ``sc://host:port``, with the parameters of Spark Connect.

    Raises:
        EngineError: pyspark-client is not installed, or no such server answers.
    """
    try:
        where = urlsplit(engine_name(address))
        # Spark's client asks again for minutes where nothing listens.
        socket.create_connection((where.hostname or "", where.port or _PORT), timeout=_SECONDS).close()
    except ValueError as error:
        message = f"engine: {error}, got {_shown(address)!r}"
        raise EngineError(message, hint="sc:// is a server of Spark Connect") from error
    except OSError as error:
        message = f"no server answers at {_shown(address)}: {error.strerror or error}"
        raise EngineError(message, hint="start Spark Connect there, or ask with --engine duckdb") from error
    # An error says it too. The client warns from threads of its own, so the filter stays.
    warnings.filterwarnings("ignore", r"\[RETRIES_EXCEEDED\]")
    with warnings.catch_warnings(), _main_of_file():
        warnings.simplefilter("ignore", FutureWarning)  # of pandas, which is not used here
        try:
            from pyspark.sql import SparkSession
            from pyspark.sql.connect.client.retries import DefaultPolicy
        except ImportError as error:
            message = f"the engine {_shown(address)} needs Spark's client: {error}"
            raise EngineError(message, hint="pip install 'auditlake[spark]'") from error
        with _told(f"no session with {_shown(address)}", address):
            session = SparkSession.builder.remote(address).create()
            opened = SparkEngine(session, address)
            with ExitStack() as unless_open:
                unless_open.callback(opened.close)  # or the client asks this server about later sessions, too
                # By itself the client asks a server that has gone for ten minutes.
                session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES, max_backoff=4_000)])
                session.conf.set("spark.sql.session.timeZone", "UTC")
                session.sql("select 1").collect()
                unless_open.pop_all()
    return opened


@contextmanager
def _main_of_file() -> Iterator[None]:
    """Give the main module a file and a spec if it has none: Spark's client takes ``python -c`` for its own tests."""
    main = sys.modules["__main__"]
    missing = {name: value for name, value in (("__file__", ""), ("__spec__", None)) if not hasattr(main, name)}
    vars(main).update(missing)
    try:
        yield
    finally:
        for name in missing:
            delattr(main, name)


def _shown(address: str) -> str:
    """Return an address without its parameters, which may hold a token."""
    scheme, separator, rest = address.partition("://")
    return f"{scheme}{separator}{re.split('[/;?#]', rest)[0]}"


@contextmanager
def _told(what: str, address: str = "") -> Iterator[None]:
    """Turn whatever Spark's client raises into an :class:`EngineError`."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        said, hint = " ".join(str(error).split()), "auditlake engine check says what works there"
        for secret in sorted(re.split("[/;]|[a-z_]+=", address.partition("://")[2])[1:], key=len, reverse=True):
            said = said.replace(secret, "…") if secret else said
        if "StatusCode.UNAVAILABLE" in said:
            details = re.search(r'details = "([^"]*)', said)
            said = f"no server of Spark Connect answers at {_shown(address)}: {details[1] if details else said}"
            hint = "see whether it runs, and ask again; nothing of the lake has changed"
        raise EngineError(f"{what}: {said[:_TOLD] or type(error).__name__}", hint=hint) from error


class SparkEngine:
    """An engine of slices on a session of Spark Connect.

    Args:
        session: The session, in UTC.
        address: That of the server: it is kept out of messages.
    """

    name = "spark"
    is_one = False
    in_a_part = 500_000  # a worker holds a part in memory

    def __init__(self, session: SparkSession, address: str = "") -> None:
        self._session, self._address = session, address
        self._kept: list[DataFrame] = []

    def leaf(self, leaf: Leaf, files: Sequence[Path], batches: Batches | None) -> None:
        """Make ``leaf`` and ``everything`` of the files, which executors read where they lie: on a disk that is theirs
        too, or in the bucket, with credentials of their own.
        """
        from pyspark.sql import functions as f

        self._free()
        events = self._events([*map(address, files)], batches)
        own = f.when(f.col("source") == "auditlake.self", 1).otherwise(0)
        everything = events.select(f.unix_micros("timestamp").alias("t"), own.alias("is_own"))
        with _told("the events cannot be read", self._address):
            everything.createOrReplaceTempView("everything")
            governed = events.filter(f.col("event_type").isin(list(leaf.types)))
            made = self._plain(governed, leaf.group_by) if leaf.group_by is not None else _by_duckdb(governed, leaf)
            self._keep(made).createOrReplaceTempView("leaf")

    def _events(self, paths: list[str], batches: Batches | None) -> DataFrame:
        if odd := next(filter(_PATTERN.search, paths), None):
            message = f"Spark takes {odd!r} for a pattern"
            raise EngineError(message, hint="the path of the lake must be without []{}*?\\ for this engine")
        schema = _schema([name for name in COLUMNS if name != "event_date"])
        with _told("the events cannot be read", self._address):
            if not paths:
                return self._session.createDataFrame([], schema=schema)
            # Partitions are not looked for: a folder far above the lake may be named like one.
            events = self._session.read.schema(schema).option("recursiveFileLookup", "true").parquet(*paths)
            return events if batches is None else events.filter(of_batches(batches))

    def _plain(self, governed: DataFrame, group_by: tuple[str, ...]) -> DataFrame:
        from pyspark.sql import functions as f

        group = f.lit("") if not group_by else f.col(group_by[0])
        t, one, none = f.unix_micros("timestamp"), f.lit(1), f.lit(0)
        return governed.select("event_type", t.alias("t"), one.alias("verdict"), group.alias("g"), none.alias("held"))

    def _keep(self, frame: DataFrame) -> DataFrame:
        with suppress(Exception):  # where a server cannot keep what it made, it makes it again
            frame = frame.persist()
            self._kept.append(frame)
        return frame

    def parts(
        self, script: Script, files: Sequence[Path], batches: Batches | None
    ) -> Iterator[Mapping[str, Sequence[Row]]]:
        """Run a script within the executors: the events of a part meet in one of them."""
        import pyarrow as pa
        from pyspark.sql import functions as f

        governed = self._events([*map(address, files)], batches)
        columns = [name for name in script.columns if name != "event_date"]
        governed = governed.filter(f.col("event_type").isin(list(script.types))).select(*columns)
        number, dealt = max(1, script.rows // self.in_a_part), script.dealt
        with _told("the events cannot be judged part by part", self._address):
            if isinstance(dealt, ByTime):
                parted = _by_time(governed, dealt, len(script.turns)).repartition(len(script.turns) or 1, "turn")
            elif dealt.group_by is not None:
                parted = governed.repartition(number, *dealt.group_by)
            else:
                parted = governed.mapInArrow(
                    _evaluator(dealt.sql, dealt.parameters), f"{_schema(columns)}, part string"
                )
                parted = parted.repartition(number, "part")
            table = parted.mapInArrow(_answering(script), _ANSWER).toArrow()
        for answer in table.to_pylist():
            yield {answer["name"]: table_rows(pa.ipc.open_stream(answer["rows"]).read_all())}
        heard = {*table["turn"].to_pylist()} if isinstance(dealt, ByTime) else ()
        with duck.connect() as local:  # of a part without events no executor hears
            duck.view_events(local, [])
            empty = DuckEngine(local)
            yield from (
                answers(empty, turn, script.answers) for n, turn in enumerate(script.turns) if n not in heard
            )  # fmt: skip

    def table(self, name: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
        """Make a small table of rows."""
        schema = ", ".join(f"`{column}` {kind}" for column, kind in columns.items())
        with _told(f"the table {name} cannot be made", self._address):
            self._session.createDataFrame([*rows], schema=schema).createOrReplaceTempView(name)

    def define(self, name: str, sql: str, parameters: Mapping[str, object], *, is_kept: bool) -> None:
        """Make a view of what a statement returns; one that is read twice is kept."""
        with _told(f"the statement {name} failed", self._address):
            frame = self._session.sql(*_spelled(sql, parameters))
            (self._keep(frame) if is_kept else frame).createOrReplaceTempView(name)

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Run a statement and return its rows."""
        with _told("a statement failed", self._address):
            table = self._session.sql(*_spelled(sql, parameters or {})).toArrow()
        return [tuple(row.values()) for row in table.rename_columns([*map(str, range(table.num_columns))]).to_pylist()]

    def close(self) -> None:
        """Give back what was kept, and end the session."""
        with suppress(Exception):
            self._session.client.set_retry_policies([])  # a server that has gone has given back everything
            self._free()
            self._session.stop()

    def _free(self) -> None:
        """Give back what was kept for the policy before."""
        with suppress(Exception):
            while self._kept:
                self._kept.pop().unpersist()


def _spelled(sql: str, parameters: Mapping[str, object]) -> tuple[str, dict[str, Any]]:
    """Return a statement with its values named as Spark has them."""
    return _VALUE.sub(r":\1", sql), dict(parameters)


def _schema(columns: Sequence[str]) -> str:
    """Return the schema of columns of events, as Spark writes it."""
    return ", ".join(f"`{name}` {_OF_SPARK[COLUMNS[name]]}" for name in columns)


def _by_duckdb(governed: DataFrame, leaf: Leaf) -> DataFrame:
    """Return the leaf as DuckDB makes it within the executors, of one batch of events after the other."""
    return governed.select(*leaf.columns).mapInArrow(_evaluator(leaf.sql, leaf.parameters), _LEAF)


def _evaluator(
    sql: str, parameters: Mapping[str, object]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that executors run; it travels by value, so that they need DuckDB and Arrow alone."""
    config, settings = _CONFIG, _SETTINGS

    def evaluated(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import duckdb
        import pyarrow as pa

        with duckdb.connect(":memory:", config=config) as connection:
            for setting in settings:
                connection.execute(setting)
            for batch in batches:
                connection.register("events", pa.Table.from_batches([batch]))
                yield from connection.sql(sql, params=dict(parameters)).to_arrow_table().to_batches()
                connection.unregister("events")

    return evaluated


def _by_time(governed: DataFrame, dealt: ByTime, turns: int) -> DataFrame:
    """Return the events with the stretch of time that each matters to in ``turn``; once for each of several."""
    from pyspark.sql import functions as f

    at = f.unix_micros("timestamp") - f.lit(dealt.start + 1)
    near = governed.filter((at >= -dealt.back) & (at < turns * dealt.length))
    # What is divided is a multiple: no quotient is rounded.
    first, last = ((each - each % dealt.length) / dealt.length for each in (at, at + dealt.back))
    numbers = f.sequence(
        f.greatest(first, f.lit(0.0)).cast("int"), f.least(last, f.lit(float(turns - 1))).cast("int")
    )  # fmt: skip
    return near.withColumn("turn", f.explode(numbers))


def _answering(script: Script) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the same of a script over the events of parts; what its statements give travels as Arrow has it."""
    config, settings, wanted = _CONFIG, _SETTINGS, script.answers
    turns, is_by_time = [(turn.steps, turn.wide) for turn in script.turns], isinstance(script.dealt, ByTime)

    def answered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import duckdb
        import pyarrow as pa
        import pyarrow.compute

        events = [batch for batch in batches if batch.num_rows]
        if not events:
            return
        table = pa.Table.from_batches(events)
        numbers = pa.compute.unique(table["turn"]).to_pylist() if is_by_time else [0]

        def run(statements: Sequence[tuple[str, str, Mapping[str, object]]]) -> dict[str, bytes]:
            found = {}
            for name, sql, parameters in statements:
                relation = connection.sql(sql, params=dict(parameters) or None)
                if name in wanted:
                    sink, answer = pa.BufferOutputStream(), relation.to_arrow_table()
                    with pa.ipc.new_stream(sink, answer.schema) as stream:
                        stream.write_table(answer)
                    found[name] = sink.getvalue().to_pybytes()
            return found

        for number in numbers:
            steps, wide = turns[number]
            own = table.filter(pa.compute.equal(table["turn"], number)) if is_by_time else table
            with duckdb.connect(":memory:", config=config) as connection:
                for setting in settings:
                    connection.execute(setting)
                connection.register("events", own)
                try:
                    found = run(steps)
                except duckdb.OutOfRangeException:
                    found = run(wide)
            turn = pa.array([number] * len(found), pa.int32())
            yield pa.RecordBatch.from_pydict({"turn": turn, "name": [*found], "rows": [*found.values()]})

    return answered
