"""DuckDB as an engine of slices: less memory than the rolling counts of ``sql/policies``, for more work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from auditlake.engine import duck
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import ByTime, Leaf, RangeError, Row, Script, Turn
from auditlake.engine.sql_text import Batches, identifier
from auditlake.engine.statements import statement


class DuckSlices:
    """An engine of slices on a connection.

    Args:
        connection: The DuckDB.
    """

    name = "slices"
    is_one = True
    in_a_part = 2_000_000

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._engine = DuckEngine(connection)
        self._made: dict[str, str] = {}
        """Whether each name is that of a table or of a view."""

    def leaf(self, leaf: Leaf, files: Sequence[Path], batches: Batches | None) -> None:
        """Make the views ``leaf`` and ``everything``: to keep what files say would take more memory than is saved."""
        duck.view_events(self._engine.connection, files, batches=batches)
        self._engine.rows(statement("slices/leaf.sql", "everything").text)
        self.define("leaf", leaf.sql, leaf.parameters, is_kept=False)

    def parts(
        self, script: Script, files: Sequence[Path], batches: Batches | None
    ) -> Iterator[Mapping[str, Sequence[Row]]]:
        """Run a script over the events of one part after the other."""
        with duck.beside(self._engine.connection) as connection:
            own, dealt = DuckEngine(connection), script.dealt
            if isinstance(dealt, ByTime):
                # The statements read what lies in their stretch and its window, and DuckDB no other row groups.
                duck.view_events(connection, files, batches=batches)
                yield from (answers(own, turn, script.answers) for turn in script.turns)
                return
            duck.view_events(connection, files, name="all_events", batches=batches)
            own.rows(f"create temp view parted as {_inlined(dealt.sql, dealt.parameters, {'events': 'all_events'})}")
            parts, part = max(1, script.rows // self.in_a_part), statement("slices/groups.sql", "one_part")
            for number in range(parts):
                chosen = _inlined(part.text, {"parts": parts, "number": number})
                own.rows(f"create or replace temp view events as {chosen}")
                yield answers(own, script.turns[0], script.answers)

    def table(self, name: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
        """Make a table of rows."""
        import pyarrow as pa

        kinds = {"bigint": pa.int64(), "string": pa.string()}
        values = {column: [row[at] for row in rows] for at, column in enumerate(columns)}
        schema = pa.schema([(column, kinds[kind]) for column, kind in columns.items()])
        duck.keep_rows(self._engine.connection, name, pa.table(values, schema=schema))

    def define(self, name: str, sql: str, parameters: Mapping[str, object], *, is_kept: bool) -> None:
        """Make a table of what a statement returns if it is read twice, else a view."""
        if name in self._made:
            self._engine.rows(f"drop {self._made.pop(name)} {identifier(name)}")
        if is_kept:
            self._engine.rows(f"create or replace temp table {identifier(name)} as {sql}", parameters)
        else:
            self._engine.rows(f"create or replace temp view {identifier(name)} as {_inlined(sql, parameters)}")
        self._made[name] = "table" if is_kept else "view"

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Run a statement and return its rows."""
        return self._engine.rows(sql, parameters)

    def close(self) -> None:
        """Close the connection."""
        self._engine.close()


def answers(engine: DuckEngine, turn: Turn, wanted: Sequence[str]) -> Mapping[str, Sequence[Row]]:
    """Return the rows of the wanted statements of a turn over the ``events`` of an engine."""

    def run(steps: Sequence[tuple[str, str, Mapping[str, object]]]) -> Mapping[str, Sequence[Row]]:
        rows = {name: engine.step(name, sql, parameters) for name, sql, parameters in steps}
        return {name: rows[name] for name in wanted if name in rows}

    try:
        return run(turn.steps)
    except RangeError:
        return run(turn.wide)


def _inlined(sql: str, parameters: Mapping[str, object], tables: Mapping[str, str] | None = None) -> str:
    """Return a statement with its values in the syntax tree: a view binds none.

    Args:
        sql: The statement.
        parameters: Its values.
        tables: Other names for tables that it reads.
    """
    from sqlglot import exp, parse_one

    def filled(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Placeholder):
            return exp.convert(parameters[node.name])
        if isinstance(node, exp.Table) and node.name in (tables or {}):
            return exp.to_table((tables or {})[node.name], alias=node.alias_or_name)
        return node

    return parse_one(sql, dialect="duckdb").transform(filled).sql(dialect="duckdb", comments=False)
