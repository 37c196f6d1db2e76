"""Files that are missing or damaged: told in one line that names the file, whoever asks."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import duckdb
import pytest

from auditlake import AuditLake
from auditlake.engine import duck
from auditlake.errors import AuditLakeError, LakeError, QueryError
from auditlake.store.file_types import with_types
from tests.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.lakes import before_classes
from tests.soak import mostly
from tests.store.lakes import made, opened, write_events
from tests.templates import copy_of


def four_days(folder: Path) -> None:
    """Make a lake of four days."""
    made(folder / "lake").ingest(write_events(folder / "first.jsonl", range(12)))


def four_days_before_classes(folder: Path) -> None:
    """Make it as earlier versions did."""
    with before_classes():
        four_days(folder)


def four_days_twice(folder: Path) -> None:
    """Make a lake of four days and one ingest more."""
    four_days(folder)
    opened(folder / "lake").ingest(write_events(folder / "few.jsonl", range(12, 14)))


@pytest.fixture(params=[four_days, four_days_before_classes])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> AuditLake:
    """A lake of four days, whose files are each of a class, or of a whole day."""
    return opened(copy_of(request.param, tmp_path) / "lake")


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def spoil_the_middle(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes(300) + data[400:])


def spoil_the_footer(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-700] + random.Random(3).randbytes(650) + data[-50:])


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILS = (Path.unlink, zero, spoil_the_middle, spoil_the_footer, make_folder, lambda path: path.write_bytes(b"PAR1"),
          lambda path: path.write_bytes(b""))  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "which"),
    mostly(product(SPOILS, [0, 2]), always=[*product(SPOILS[:5], [0]), *product(SPOILS[5:], [2])]),
)
def test_damage_is_named(spoil: Callable[[Path], None], which: int, tmp_path: Path) -> None:
    """Events, SQL, reports, statistics, ingest and compaction name the file that is missing or damaged."""
    lake = opened(copy_of(four_days_twice, tmp_path) / "lake")
    path = lake.snapshot(1).files[which].path
    more = write_events(tmp_path / "more.jsonl", range(24))
    spoil(lake.layout.events / path)

    for ask in (
        lambda: lake.events().fetchall(),
        lambda: lake.events().arrow(),
        lambda: list(lake.events().batches()),
        lambda: lake.sql("select * from events").pl(),
        lake.reports,
        lake.statistics,
        lambda: lake.ingest(more),
    ):
        with pytest.raises(LakeError) as caught:
            ask()
        assert path in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.hint


@pytest.mark.parametrize("spoil", [Path.unlink, zero, spoil_the_footer])
def test_command_line(spoil: Callable[[Path], None], lake: AuditLake, run: Run) -> None:  # noqa: F811
    """The command line names the file in one line and exits with 3."""
    path = lake.snapshot().files[1].path
    spoil(lake.layout.events / path)

    for words in (("events",), ("report",)):
        done = run("--lake", lake.layout.root, *words)
        assert done.code == 3
        assert path in done.err
        assert "Traceback" not in done.err
        assert len(done.err.splitlines()) == 2


def test_compaction_of_a_damaged_day(lake: AuditLake, tmp_path: Path) -> None:
    """A compaction that meets a damaged file names it and changes nothing."""
    late = tmp_path / "late.jsonl"
    late.write_text('{"event_id": "late", "event_type": "login", "timestamp": "2026-03-01T01:00:00Z"}\n')
    lake.ingest(late)
    files = with_types(lake.layout, lake.snapshot()).files
    crowded = [file for file in files if file.day == files[0].day and file.may_hold(["login"])]
    assert len(crowded) == 2
    zero(lake.layout.events / crowded[0].path)

    with pytest.raises(LakeError, match=crowded[0].path):
        lake.compact(grace_seconds=0)
    assert lake.snapshot().version == 2


def test_mistakes_in_queries_are_told_as_such(lake: AuditLake) -> None:
    """A mistake in a query of one's own is a query error, not damage."""
    for query in ("select no_column from events", "selct", "select 1 / 'x'", "select error('oh') from events"):
        with pytest.raises(QueryError, match="the query failed: "):
            lake.sql(query).fetchall()
    with pytest.raises(QueryError, match="a value that Python has not"):
        lake.sql("select timestamptz '20000-01-01'").fetchall()


def test_an_engine_that_gave_up_is_replaced(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some damage leaves a DuckDB of no use to anybody; the rows that are asked for next have another."""

    class GaveUp:
        def cursor(self) -> None:
            raise duckdb.FatalException("database has been invalidated because of a previous fatal error")

    gave_up = GaveUp()
    monkeypatch.setitem(duck._shared, tempfile.gettempdir(), gave_up)
    rows = lake.events()

    assert len(rows.fetchall()) == len(lake.events().fetchall()) == 12
    assert duck._shared[tempfile.gettempdir()] is not gave_up


@pytest.mark.soak
def test_any_damage_is_an_error_of_ours(lake: AuditLake) -> None:
    """Whatever bytes of a file are changed: an answer or one clear error, never anything else."""
    path = lake.layout.events / lake.snapshot().files[0].path
    data = path.read_bytes()
    seeded = random.Random(1)
    for _ in range(1000):
        spoilt = bytearray(data)
        at = seeded.randrange(len(data))
        end = min(len(data), at + seeded.choice([1, 4, 60]))
        spoilt[at:end] = seeded.randbytes(end - at)
        path.write_bytes(spoilt)
        for ask in (lambda: lake.events().fetchall(), lambda: lake.report("failed_logins")):
            try:
                ask()
            except AuditLakeError as error:
                assert "\n" not in str(error)
