"""Output: tables and progress on a terminal, plain lines elsewhere, JSON for machines.

Text from events is hostile: control characters, escape sequences and marks that change the direction of writing are
made visible before they reach a terminal.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from textwrap import TextWrapper
from types import FunctionType
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.exit_codes import NEGATIVE
from auditlake.cli.options import JSON, QUIET
from auditlake.display.text import visible
from auditlake.events.times import print_instant

if TYPE_CHECKING:
    from auditlake.ingest.progress import Listener
    from auditlake.lake import AuditLake

_CELL = 200
_GAP = "  "
_QUIET_SECONDS = 5.0


def opened(path: str) -> AuditLake:
    """Open the lake that the command is about."""
    from auditlake.lake import AuditLake

    return AuditLake(path)


def _asked(key: str) -> Any:
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(key)


def is_quiet() -> bool:
    """Return whether the caller asked for ``--quiet``."""
    return _asked(QUIET) is not None


def is_json() -> bool:
    """Return whether the caller asked for ``--json``."""
    return _asked(JSON) is not None


def say(sentence: str, *, err: bool = False) -> None:
    """Print a summary or a note, unless the caller asked for ``--quiet``, or for ``--json`` instead of the summary."""
    if not is_quiet() and (err or not is_json()):
        click.echo(sentence, err=err)


def warn(sentence: str) -> None:
    """Print a warning or an error on standard error."""
    click.echo(visible(sentence), err=True)


def ask(question: str) -> None:
    """Ask for confirmation. Without it nothing is done, which the exit code says, too."""
    if sys.stdin is None:
        raise click.UsageError("standard input is closed: confirmation is impossible, use --yes")
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise
        agreed = False  # end of input
    if not agreed:
        if not sys.stdin.isatty():  # the caller did not end the line of the question
            click.echo(err=True)
        click.echo("nothing was done", err=True)
        raise click.exceptions.Exit(NEGATIVE)


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[int] = ()) -> None:
    """Print a table, the most important columns first: on a terminal, columns that do not fit go below each row.

    Every cell is made harmless. No cell is wrapped, and only very long ones are cut.
    """
    from rich.cells import cell_len

    texts = [[cell(value) for value in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(headings, *texts, strict=True)]
    ends = [sum(widths[: i + 1]) + i * len(_GAP) for i in range(len(widths))]
    most = shutil.get_terminal_size().columns if sys.stdout.isatty() else ends[-1]
    fitting = max(sum(end <= most for end in ends), 1)

    fold = TextWrapper(
        most, initial_indent="    ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    ).wrap

    def line(cells: Sequence[str]) -> str:
        parts = []
        for i, (text, width) in enumerate(zip(cells[:fitting], widths, strict=False)):
            blank = " " * (width - cell_len(text))
            parts.append(blank + text if i in right else text + blank)
        return _GAP.join(parts).rstrip()

    click.secho(line(headings), bold=True)
    click.echo("-" * ends[fitting - 1])
    for row in texts:
        click.echo(line(row))
        rest = zip(headings[fitting:], row[fitting:], strict=True)
        for each in fold(_GAP.join(f"{heading}: {text}" for heading, text in rest if text)):
            click.echo(each)
    click.echo()


def cell(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, tuple):  # of names that need no escaping
        return ", ".join(value)
    text = visible(str(value))
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def machine(record: Any = None, **values: Any) -> bool:
    """Print one JSON object if the caller asked for ``--json``, and return whether it is so.

    Args:
        record: The object, if it is a mapping; else a record that has the keys that the help of ``--json`` names; or a
            function that gives one of these, where that takes time.
        values: The values of those keys that the record lacks, or has otherwise.
    """
    if (keys := _asked(JSON)) is None:
        return False
    record = record() if isinstance(record, FunctionType) else record
    whole = record if isinstance(record, Mapping) else {
        key: values[key] if key in values else getattr(record, key) for key in keys
    }  # fmt: skip
    click.echo(as_json(whole, indent=2))
    return True


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON in ASCII."""
    return json.dumps(value, ensure_ascii=True, indent=indent, default=_as_json)


def pick(record: Any, *names: str) -> dict[str, Any]:
    """Return these attributes of a dataclass by name; all of its fields if none is named."""
    return {name: getattr(record, name) for name in names or [each.name for each in fields(record)]}


def _as_json(value: Any) -> Any:
    """Return what JSON has for a value: an instant as the lake prints it, a dataclass as an object, else its text."""
    if isinstance(value, datetime):
        return print_instant(value)
    if isinstance(value, Mapping):
        return dict(value)
    return pick(value) if is_dataclass(value) else str(value)


@contextmanager
def ingest_progress() -> Iterator[Listener]:
    """Show the progress of an ingest: a bar on a terminal, a line every few seconds elsewhere, nothing if quiet."""
    if is_quiet() or is_json():
        yield lambda _: None
    elif sys.stderr.isatty():
        yield from _bar()
    else:
        yield _lines()


def _bar() -> Iterator[Listener]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=None)

        def listen(step: Any) -> None:
            what = f"{step.stage} {visible(step.detail)[-40:]}".replace("[", "(")
            progress.update(task, description=what, completed=step.done, total=step.total)

        yield listen


def _lines() -> Listener:
    last = time.monotonic()

    def listen(step: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= _QUIET_SECONDS:
            last = time.monotonic()
            of = f" of {step.total:,}" if step.total else ""
            click.echo(f"{step.stage} {visible(step.detail)}: {step.done:,}{of}", err=True)

    return listen


def report_progress(what: str = "judging") -> Any:
    """Show which policy is being judged, or what else is done with each, on a terminal only."""
    if is_quiet() or is_json() or not sys.stderr.isatty():
        return lambda *_: None

    def listen(done: int, total: int, policy: str) -> None:
        line = f"{what} {policy} ({done + 1} of {total})" if policy else ""
        click.echo(f"\r\x1b[K{line}", nl=False, err=True, color=True)  # moving the cursor is no colour

    return listen
