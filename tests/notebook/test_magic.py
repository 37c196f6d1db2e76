"""``%%audit`` cells: parameters are values of named variables, and rows are shown or kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from auditlake import AuditLake
from auditlake.errors import QueryError
from auditlake.notebook import bind, read_line
from auditlake.query.rows import Rows


@pytest.fixture(scope="module")
def started() -> InteractiveShell:
    made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    made.run_line_magic("load_ext", "auditlake")
    return made


@pytest.fixture
def shell(started: InteractiveShell, lake: AuditLake) -> Iterator[InteractiveShell]:
    before = {*started.user_ns}
    started.user_ns |= {"lake": lake, "other": lake}
    yield started
    for name in {*started.user_ns} - before:  # as its reset does, which also searches all memory for what nothing holds
        del started.user_ns[name]


def run(shell: InteractiveShell, cell: str) -> Any:
    result = shell.run_cell(cell)
    result.raise_error()
    return result.result


def test_a_cell(shell: InteractiveShell) -> None:
    """A cell's rows are what it gives; parameters are Python variables."""
    shell.user_ns |= {"user": "eve", "least": 1}
    rows = run(
        shell, "%%audit\nselect user_id, count(*) as n from events where user_id = :user group by all having n > :least"
    )

    assert rows.fetchall() == [("eve", 6)]


def test_a_name(shell: InteractiveShell) -> None:
    """With `>> name` nothing is shown and the rows are kept, with the values that the parameters had."""
    shell.user_ns["user"] = "eve"
    assert run(shell, "%%audit other >> found\nselect count(*) from events where user_id = :user") is None
    shell.user_ns["user"] = "ana"

    assert isinstance(shell.user_ns["found"], Rows)
    assert shell.user_ns["found"].fetchall() == [(6,)]


def test_a_snapshot(shell: InteractiveShell) -> None:
    """A version of the lake can be named; what is not flushed is in none."""
    assert run(shell, "%%audit lake --snapshot 1\nselect count(*) from events").fetchall() == [(40,)]


def test_no_variable_is_seen_by_itself(shell: InteractiveShell) -> None:
    """A frame of a table's name is no table: nothing of Python is found by a scan for names."""
    run(shell, "import polars as pl\nframe = pl.DataFrame({'a': [1]})")

    with pytest.raises(Exception, match="frame"):
        run(shell, "%%audit\nselect * from frame")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%audit\nselect :absent", "there is no Python variable absent"),
        ("%%audit nothing\nselect 1", "there is none in the Python variable nothing"),
        ("%%audit >> 1x\nselect 1", "cannot be read"),
        ("%%audit lake --snapshot x\nselect 1", "cannot be read"),
        ("%%audit lake --snapshot\nselect 1", "cannot be read"),
        ("%%audit a b\nselect 1", "cannot be read"),
        ("%%audit >> kept\nselect absent_column from events", "absent_column"),
        ("%%audit >> kept\nselect $lake", "lake is not one"),
        ("%%audit >> kept\nselect ?", "is not one"),
        ("%%audit >> kept\nselect [1, 2][:lake]", "may be a slice"),
        ("%%audit >> kept\nselect /* /* */ :lake */ 1", "lake is not one"),
    ],
)
def test_mistakes(shell: InteractiveShell, cell: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake is one line where it was made, and nothing is kept."""
    result = shell.run_cell(cell)

    assert not result.success
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert "kept" not in shell.user_ns


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("select :a", "select $a"),
        ("select :a+:b,(:a)", "select $a+$b,($a)"),
        ("select a::int, :a::int", "select a::int, $a::int"),
        ("select ':a', \":a\", $$ :a $$, $x$ :a $$ $x$, :b", "select ':a', \":a\", $$ :a $$, $x$ :a $$ $x$, $b"),
        ("select e'it\\' :a', 'it'' :a', :b", "select e'it\\' :a', 'it'' :a', $b"),
        ("select 1 -- :a\n, :b /* :a */", "select 1 -- :a\n, $b /* :a */"),
        ("select l[1:2], l[1:n], l[n:m], {'a':n}, {a:n}", "select l[1:2], l[1:n], l[n:m], {'a':n}, {a:n}"),
        ("select l[:2], x := 1, [(:a), :b], l[1: :a]", "select l[:2], x := 1, [($a), $b], l[1: $a]"),
    ],
)  # fmt: skip
def test_what_is_a_parameter(text: str, sql: str) -> None:
    """Names after a colon are parameters, but not in text, names, comments, casts, slices and structs."""
    bound, values = bind(text, {"a": 1, "b": 2})

    assert bound == sql
    assert set(values) == {name for name in ("a", "b") if f"${name}" in sql.replace("$$ :a $$", "")}


def test_values_are_never_text() -> None:
    """What a variable holds does not become SQL."""
    assert bind("select :a", {"a": "1; drop table events"}) == ("select $a", {"a": "1; drop table events"})
    with pytest.raises(QueryError, match="is not one"):
        bind("select $b, :a", {"a": 1, "b": 2})


def test_lines() -> None:
    """The first line names a lake, a snapshot and where the rows go, all of them optional."""
    assert read_line("") == ("lake", None, None)
    assert read_line("mine --snapshot 3 >> found") == ("mine", 3, "found")
    assert read_line(">>found") == ("lake", None, "found")
