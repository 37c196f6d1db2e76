"""``connect``: how other programs open a snapshot."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from auditlake.cli.options import json_option, snapshot_option
from auditlake.cli.output import machine, opened, pick, say
from auditlake.display.text import count

if TYPE_CHECKING:
    from auditlake.analysis.connect import Recipes

_PROGRAMS = ("duckdb", "polars", "spark", "view")


@click.command()
@click.argument("program", type=click.Choice(_PROGRAMS), required=False)
@snapshot_option
@click.option("--verbose", is_flag=True, help="Print the text of every program.")
@json_option("snapshot", "unflushed", *_PROGRAMS)
@click.pass_obj
def connect(path: str, program: str | None, snapshot: int | None, verbose: bool) -> None:
    """Show how DuckDB, Polars or Spark open a snapshot.

    With a PROGRAM, print what it runs and nothing else: `auditlake connect view > events.sql`. The view is for any
    DuckDB.
    """
    recipes = opened(path).connect(snapshot=snapshot)
    if machine(pick(recipes, "snapshot", "unflushed", *(_PROGRAMS if program is None else (program,)))):
        return
    if program is None:
        _show_all(recipes) if verbose else _show_ways(path, recipes)
    elif (text := getattr(recipes, program)) is None:
        raise click.UsageError(f"{_gone(recipes)}; auditlake connect view and polars give it")
    else:
        click.echo(text, nl=False)
    if recipes.unflushed:
        say("events logged since then are in no snapshot yet; auditlake flush brings them in", err=True)


def _show_ways(path: str, recipes: Recipes) -> None:
    """Print a line for each program."""
    files = count(recipes.view.count(".parquet'"), "file")
    click.echo(f"snapshot {recipes.snapshot}, {files}; what each program runs:\n")
    lake = f"auditlake --lake {shlex.quote(path)} connect"
    at = f"--snapshot {recipes.snapshot}"
    for program, command in (
        ("DuckDB's command line", f"{lake} view {at} > events.sql && duckdb -init events.sql"),
        ("Polars, in Python", f"{lake} polars {at}"),
        ("Spark, in Python", _gone(recipes) if recipes.spark is None else f"{lake} spark {at}"),
        ("a view for any DuckDB", f"{lake} view {at}"),
    ):
        click.echo(f"{program:24}{command}")
    click.echo("\n--verbose prints them all")


def _show_all(recipes: Recipes) -> None:
    files = recipes.view.count(".parquet'")
    click.echo(
        f"-- snapshot {recipes.snapshot}, {count(files, 'file')}; "
        f"each piece alone: auditlake connect duckdb|polars|spark|view"
    )
    for title, text in (
        ("DuckDB's command line", recipes.duckdb),
        ("Polars", recipes.polars),
        ("Spark", recipes.spark),
    ):
        click.secho(f"\n# {title}", bold=True)
        click.echo(f"# {_gone(recipes)}" if text is None else text.rstrip("\n"))
    click.secho("\n# A view for any DuckDB", bold=True)
    click.echo(recipes.view, nl=False)


def _gone(recipes: Recipes) -> str:
    return f"snapshot {recipes.snapshot} was compacted since, and the Delta table cannot be read there any more"
