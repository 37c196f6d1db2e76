"""Which engine of slices answers, by its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from auditlake.engine.duck import connect
from auditlake.engine.duck_slices import DuckSlices
from auditlake.engine.model import SliceEngine


@contextmanager
def open_slices(name: str, spill: Path, memory: str | None = None) -> Iterator[SliceEngine]:
    """Open an engine of slices for as long as it is used.

    Args:
        name: ``slices``, or the address of a server of Spark Connect: ``sc://host:port``.
        spill: Where DuckDB may spill.
        memory: The most that DuckDB may hold in memory; four fifths of the machine's if None.

    Raises:
        EngineError: There is no such engine, or it cannot be reached.
    """
    if name == "slices":
        engine: SliceEngine = DuckSlices(connect(temp=spill, memory=memory))
    else:
        from auditlake.spark.engine import open_spark

        engine = open_spark(name)
    with closing(engine):
        yield engine
