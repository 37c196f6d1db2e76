"""``connect``, and ``policy backtest``: for those who explore a lake."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.data import Instant
from auditlake.cli.output import machine, opened, table
from auditlake.cli.policy import policy
from auditlake.display.text import count

if TYPE_CHECKING:
    from datetime import date

    from auditlake.analysis.connect import Recipes

_PROGRAMS = ("duckdb", "polars", "spark", "view")
_RANGE = re.compile(r"(\d{1,18})(?:\.\.(\d{1,18}))?")
_MOST = 10_000


class Numbers(click.ParamType[list[int]]):
    """Whole numbers and ranges of them, with commas between: ``1..50`` or ``3,5,10..20``."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Read them, or tell what was expected."""
        if not isinstance(value, str):
            return list(value)
        found: list[int] = []
        for part in value.split(","):
            match = _RANGE.fullmatch(part.strip())
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if not 1 <= first <= last or last - first >= _MOST:
                self.fail(
                    f"expected numbers from 1 on such as 1..50 or 3,5,8, got {part.strip() or 'nothing'}", param, ctx
                )
            found += range(first, last + 1)
        return found


def _words(_context: click.Context, _param: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else [word.strip() for word in value.split(",")]


@policy.command("backtest")
@click.argument("name", metavar="POLICY|FILE")
@click.option("--thresholds", type=Numbers(), default="1..50", show_default=True, help="Which to try, e.g. 3,5,10..20.")
@click.option("--windows", metavar="DURATION,...", callback=_words, help="Which to try; the policy's own if not given.")
@click.option("--as-of", type=Instant(), help="Events after it do not exist; now if not given.")
@click.option("--since", type=Instant(), help="The period is (since, until], as for a report.")
@click.option("--until", type=Instant())
@click.option("--last", metavar="DURATION", help="Instead of --since: a length back, e.g. 30d.")
@click.option("--period", metavar="NAME", help="Instead of both: 2026, 2026-Q3, 2026-10 or a day.")
@click.option("--snapshot", type=click.IntRange(min=0), help="The version of the lake to read.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def backtest(path: str, /, name: str, as_json: bool, as_of: date | None, **options: Any) -> None:
    """How many episodes other thresholds and windows of a policy (or a .yaml file) would have given."""
    found = opened(path).backtest(name, as_of=as_of, **options)
    if as_json:
        machine({
            "policy_id": found.policy.id, "as_of": found.as_of, "since": found.since, "until": found.until,
            "snapshot": found.snapshot, "threshold": found.policy.alert_threshold,
            "window": found.policy.shown_window,
            "tried": [
                {"window": each.window, "threshold": each.threshold, "episodes": each.episodes} for each in found.tried
            ],
        })  # fmt: skip
        return
    counts = {(each.window, each.threshold): each.episodes for each in found.tried}
    thresholds = dict.fromkeys(each.threshold for each in found.tried)
    rows = ([threshold, *(counts[window, threshold] for window in found.windows)] for threshold in thresholds)
    headings = ("threshold", *(f"episodes in {window}" for window in found.windows))
    table(headings, rows, right=range(len(headings)))
    least = found.policy.alert_threshold
    now = "no threshold now" if least is None else f"now {least:,} in {found.policy.window}"
    click.echo(f"{found.policy.id}, {now}; period ({found.since.isoformat()}, {found.until.isoformat()}]")


@click.command()
@click.argument("program", type=click.Choice(_PROGRAMS), required=False)
@click.option("--snapshot", type=click.IntRange(min=0), help="Which version; the newest if not given.")
@click.option("--verbose", is_flag=True, help="Print every piece.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def connect(path: str, program: str | None, snapshot: int | None, verbose: bool, as_json: bool) -> None:
    """Say how other programs open a snapshot: DuckDB's command line, Polars, Spark, a view for any DuckDB.

    With a PROGRAM, print what it runs, and nothing else: `auditlake connect view > events.sql`.
    """
    found = opened(path).connect(snapshot=snapshot)
    texts = {name: getattr(found, name) for name in _PROGRAMS}
    if as_json:
        chosen = texts if program is None else {program: texts[program]}
        machine({"snapshot": found.snapshot, "unflushed": found.unflushed, **chosen})
    elif program is None:
        _show_all(found) if verbose else _show_ways(path, found)
    elif texts[program] is None:
        raise click.UsageError(f"{_gone(found)}; auditlake connect view and polars give it")
    else:
        click.echo(texts[program], nl=False)
    if found.unflushed and not as_json:
        click.echo("what was logged since is in no snapshot yet; auditlake flush brings it in", err=True)


def _show_ways(path: str, found: Recipes) -> None:
    """A line for each program."""
    files = count(found.view.count(".parquet'"), "file")
    click.echo(f"snapshot {found.snapshot}, {files}; what each program runs:\n")
    lake = f"auditlake --lake {shlex.quote(path)} connect"
    at = f"--snapshot {found.snapshot}"
    for program, said in (
        ("DuckDB's command line", f"{lake} view {at} > events.sql && duckdb -init events.sql"),
        ("Polars, in Python", f"{lake} polars {at}"),
        ("Spark, in Python", _gone(found) if found.spark is None else f"{lake} spark {at}"),
        ("a view for any DuckDB", f"{lake} view {at}"),
    ):
        click.echo(f"{program:24}{said}")
    click.echo("\n--verbose prints them all")


def _show_all(found: Recipes) -> None:
    files = found.view.count(".parquet'")
    click.echo(
        f"-- snapshot {found.snapshot}, {count(files, 'file')}; "
        f"each piece alone: auditlake connect duckdb|polars|spark|view"
    )
    for title, text in (("DuckDB's command line", found.duckdb), ("Polars", found.polars), ("Spark", found.spark)):
        click.secho(f"\n# {title}", bold=True)
        click.echo(f"# {_gone(found)}" if text is None else text.rstrip("\n"))
    click.secho("\n# A view for any DuckDB", bold=True)
    click.echo(found.view, nl=False)


def _gone(found: Recipes) -> str:
    return f"snapshot {found.snapshot} was compacted since, and the Delta table cannot be read there any more"


COMMANDS = (connect,)
