"""Rows as tables, files and data: for people, for spreadsheets, for machines.

What a terminal would act on is made visible. What a spreadsheet would run gets an apostrophe in front (OWASP), unless
the caller asks for raw text.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from itertools import chain
from itertools import count as count_from
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.options import FORCE, Decorator, keep_flag, several
from auditlake.cli.output import cell, say, table
from auditlake.disk.durable import write_whole
from auditlake.display.text import UNSEEN, count, visible
from auditlake.events.schema import PUBLIC_COLUMNS
from auditlake.events.times import print_instant

if TYPE_CHECKING:
    from auditlake.sandbox.session import Answer

FORMATS = ("table", "csv", "json", "jsonl", "parquet", "xlsx", "markdown")
"""How an answer can be printed or written."""
_BINARY = ("parquet", "xlsx")
_FOR_PEOPLE = ("table", "markdown")
_ENDINGS = {
    ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".xlsx": "xlsx",
    ".md": "markdown", ".txt": "table",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """How to print or write an answer."""

    format: str
    out: Path | None = None
    """A file; standard output if None."""
    raw: bool = False
    """Whether text stays as it is where a spreadsheet would run it."""
    quote_empty: bool = False
    """Whether CSV tells an empty text from NULL."""


def form_of(out: Path) -> str:
    """Return the form that a file's ending stands for.

    Raises:
        click.UsageError: It stands for none.
    """
    if (form := _ENDINGS.get(out.suffix.lower())) is None:
        raise click.UsageError(f"{out}: expected --format, or a name that ends in {', '.join(_ENDINGS)}")
    return form


def out_option(text: str) -> Decorator:
    """Add ``--out FILE``, and ``--force`` to overwrite a file. A bad place is refused before the command does anything.

    Args:
        text: The help of ``--out``.
    """
    return several(
        click.option(
            "--force", is_flag=True, is_eager=True, expose_value=False, callback=keep_flag,
            help="Let --out overwrite a file.",
        ),
        click.option("--out", type=click.Path(path_type=Path), metavar="FILE", callback=_placed, help=text),
    )  # fmt: skip


def _placed(context: click.Context, _: click.Parameter, out: Path | None) -> Path | None:
    if out is not None:
        check_place(out, force=FORCE in context.meta)
    return out


def check_place(out: Path, *, force: bool) -> None:
    """Refuse to overwrite a file without ``--force``, and to write over anything else.

    Raises:
        click.UsageError: Something has that name, or the folder does not exist.
    """
    if not out.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder {out.parent}")
    if os.path.lexists(out) and not out.is_file():
        raise click.UsageError(f"{out} is there and is no file")
    if os.path.lexists(out) and not force:
        raise click.UsageError(f"{out} is there already: --force overwrites it")


def give(answer: Answer, form: Form) -> bool:
    """Print an answer or write it to a file, and return whether it is whole. The last line says if it was cut off."""
    rows = count(len(answer), "row")
    cut = f"cut off after {rows}: lake.toml, section [desk], sets how many; --rows 0 is for the owner"
    if form.format == "table" and form.out is None:
        _show(answer)
    else:
        data = _WRITERS[form.format](answer, form)
        if not answer.complete and form.format in _FOR_PEOPLE:
            data += f"\n{cut}\n".encode()
        if form.out is not None:
            write(form.out, data)
        elif form.format in _BINARY:
            if sys.stdout.isatty():
                raise click.UsageError(f"{form.format} is for a file: --out FILE")
            to_pipe(data)
        else:
            print_text(data)
    if not answer.complete:
        if form.format == "table" and form.out is None and not sys.stdout.isatty():
            click.echo(cut)  # next to the rows
        click.echo(cut, err=True)
    return answer.complete


def print_text(data: bytes) -> None:
    """Print text in UTF-8: on a terminal made harmless, elsewhere as it is."""
    if sys.stdout.isatty():
        click.echo(visible(data.decode("utf-8"), keep="\n"), nl=False)
    else:  # click would strip colour codes from the data
        to_pipe(data)


def to_pipe(data: bytes) -> None:
    """Write bytes to standard output, after what was printed before."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        click.ClickException: The disk refused.
    """
    try:
        write_whole(path.absolute(), data)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror or error}") from error


def _show(answer: Answer) -> None:
    if not answer.columns:
        click.echo("no columns")
        return
    rows = [[_cell(value) for value in row] for row in answer.fetchall()]
    types = answer.arrow().schema.types
    right = [i for i, kind in enumerate(types) if str(kind).startswith(("int", "uint", "double", "float", "decimal"))]
    table([visible(name) for name in answer.columns], rows, right=right)
    say(f"{count(len(answer), 'row')} on snapshot {answer.snapshot}", err=True)


def _cell(value: Any) -> Any:
    """Return what a table shows: an instant to the second if it has no fraction."""
    if isinstance(value, datetime) and value.microsecond:
        return value.isoformat(sep=" ").replace("+00:00", "Z")
    if value is None or isinstance(value, datetime | date | int | str):
        return value
    return _text(value)


def _text(value: Any) -> str:
    """Return a value as the text of a cell."""
    spelled = plain_value(value)
    return spelled if isinstance(spelled, str) else json.dumps(spelled, ensure_ascii=False)


def plain_value(value: Any) -> Any:
    """Return a value as JSON has it: instants, dates, decimals, bytes and numbers that JSON lacks as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return print_instant(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): plain_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(each) for each in value]
    return str(value)


def names(answer: Answer) -> list[str]:
    """Return the columns' names, made unique: JSON and files keep one value a name."""
    unique: dict[str, None] = {}
    for name in answer.columns:
        numbered = chain([name], (f"{name}_{number}" for number in count_from(2)))
        unique[next(each for each in numbered if each not in unique)] = None
    return list(unique)


def _objects(answer: Answer) -> Iterator[dict[str, Any]]:
    heads = names(answer)
    for row in answer.fetchall():
        yield dict(zip(heads, map(plain_value, row), strict=True))


def _csv(answer: Answer, form: Form) -> bytes:
    from auditlake.display.csv_lines import csv_line

    line = partial(csv_line, raw=form.raw, quote_empty=form.quote_empty)
    lines = [line(answer.columns), *(line(map(_csv_cell, row)) for row in answer.fetchall())]
    return "".join(lines).encode("utf-8", "backslashreplace")


def _csv_cell(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | Decimal) else _text(value)


def _json(answer: Answer, _: Form) -> bytes:
    document = {
        "snapshot": answer.snapshot,
        "complete": answer.complete,
        "columns": names(answer),
        "rows": list(_objects(answer)),
    }
    return (json.dumps(document, ensure_ascii=True, indent=2) + "\n").encode("ascii")


def _jsonl(answer: Answer, _: Form) -> bytes:
    if answer.columns and set(PUBLIC_COLUMNS) <= set(answer.columns):
        # The JSON of events stays JSON.
        lines = (event_line(names(answer), map(plain_value, row)) for row in answer.fetchall())
    else:
        lines = (json.dumps(each, ensure_ascii=True) for each in _objects(answer))
    return "".join(line + "\n" for line in lines).encode("ascii", "backslashreplace")


def event_line(columns: Sequence[str], row: Iterable[Any]) -> str:
    """Return an event as a line of JSON; details and metadata keep every number as it came."""
    from auditlake.display.canonical_json import json_escape

    parts = []
    for name, value in zip(columns, row, strict=True):
        if name in {"details", "metadata"} and value is not None:
            spelled = UNSEEN.sub(lambda match: json_escape(match[0]), value)
        else:
            spelled = json.dumps(value)
        parts.append(f"{json.dumps(name)}:{spelled}")
    return "{" + ",".join(parts) + "}"


def _markdown(answer: Answer, _: Form) -> bytes:
    def line(cells: Sequence[str]) -> str:
        escaped = (visible(each).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for each in cells)
        return f"| {' | '.join(escaped)} |\n"

    lines = [line(answer.columns), f"|{'---|' * len(answer.columns)}\n"]
    lines += [line(["" if value is None else _text(value) for value in row]) for row in answer.fetchall()]
    return "".join(lines).encode("utf-8", "backslashreplace")


def _as_table(answer: Answer, _: Form) -> bytes:
    lines = ["\t".join(visible(name) for name in answer.columns)]
    lines += ["\t".join(cell(_cell(value)) for value in row) for row in answer.fetchall()]
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def _parquet(answer: Answer, _: Form) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    try:
        pq.write_table(answer.arrow().rename_columns(names(answer)), sink, compression="zstd")
    except pa.ArrowException as error:
        raise click.ClickException(f"Parquet cannot hold it: {error}; cast it to varchar in the query") from error
    return bytes(sink.getvalue())


def _xlsx(answer: Answer, _: Form) -> bytes:
    from auditlake.cli.xlsx import MOST_ROWS, workbook

    if len(answer) > MOST_ROWS:
        click.echo(f"a sheet holds {MOST_ROWS:,} rows; the others are on further sheets", err=True)
    return workbook(names(answer), (map(_xlsx_cell, row) for row in answer.fetchall()))


def _xlsx_cell(value: Any) -> Any:
    from auditlake.cli.xlsx import FIRST_YEAR

    if isinstance(value, date):
        fits = value.year >= FIRST_YEAR
    elif isinstance(value, int | float):
        # A spreadsheet's numbers have fifteen digits: longer ones are written as text, so that no digit changes.
        fits = math.isfinite(value) if isinstance(value, float) else abs(value) < 10**15
    else:
        fits = value is None
    return value if fits else _text(value)


_WRITERS: dict[str, Callable[[Answer, Form], bytes]] = {
    "table": _as_table, "csv": _csv, "json": _json, "jsonl": _jsonl, "parquet": _parquet, "xlsx": _xlsx,
    "markdown": _markdown,
}  # fmt: skip
