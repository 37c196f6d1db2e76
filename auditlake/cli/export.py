"""Rows as tables, files and data: for people, for spreadsheets, for machines.

What a terminal would act on is made visible. What a spreadsheet would run gets an apostrophe in front (OWASP), unless
the caller asks for raw text.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from itertools import count as count_from
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from auditlake.cli.cells import cell_text, columns_for, plain_value
from auditlake.cli.options import FORCE, Decorator, keep_flag, several
from auditlake.cli.output import cell, say, table
from auditlake.disk.durable import writing_whole
from auditlake.display.text import count, visible
from auditlake.events.schema import PUBLIC_COLUMNS

if TYPE_CHECKING:
    from auditlake.query.rows import Table
    from auditlake.sandbox.session import Answer

FORMATS = ("table", "csv", "json", "jsonl", "parquet", "xlsx", "markdown")
"""How an answer can be printed or written."""
_BINARY = ("parquet", "xlsx")
_FOR_PEOPLE = ("table", "markdown")
_ENDINGS = {
    ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".xlsx": "xlsx",
    ".md": "markdown", ".txt": "table",
}  # fmt: skip


ROW_GROUP = 122_880
"""How many rows a row group of Parquet has."""


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, data: Any, /) -> object:
        """Write all of them."""


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
        with destination(form) as file:
            _WRITERS[form.format](answer, form, file)
            if not answer.complete and form.format in _FOR_PEOPLE:
                file.write(f"\n{cut}\n".encode())
    if not answer.complete:
        if form.format == "table" and form.out is None and not sys.stdout.isatty():
            click.echo(cut)  # next to the rows
        click.echo(cut, err=True)
    return answer.complete


def give_events(events: Table, form: Form) -> None:
    """Print events or write them to a file, as they are read."""
    with destination(form) as file:
        STREAMED[form.format](events, form, file)


@contextmanager
def destination(form: Form) -> Iterator[Sink]:
    """Give what to write to: a file, which is there whole or not at all, or standard output.

    Raises:
        click.UsageError: It is a terminal, and the form is none for people or programs to read.
        click.ClickException: The disk refused.
    """
    if form.out is not None:
        try:
            with writing_whole(form.out.absolute()) as file:
                yield file
        except OSError as error:
            raise click.ClickException(f"{form.out} cannot be written: {error.strerror or error}") from error
    elif sys.stdout.isatty():
        if form.format in _BINARY:
            raise click.UsageError(f"{form.format} is for a file: --out FILE")
        yield _Terminal()
    else:
        sys.stdout.flush()
        yield sys.stdout.buffer


class _Terminal:
    """A terminal, which gets text made harmless."""

    def write(self, data: Any, /) -> None:
        """Print whole lines of UTF-8."""
        click.echo(visible(bytes(data).decode("utf-8"), keep="\n"), nl=False)


def print_text(data: bytes) -> None:
    """Print text in UTF-8: on a terminal made harmless, elsewhere as it is."""
    with destination(Form("")) as file:
        file.write(data)


def write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        click.ClickException: The disk refused.
    """
    with destination(Form("", path)) as file:
        file.write(data)


def _show(answer: Answer) -> None:
    if not answer.columns:
        click.echo("no columns")
        return
    rows = [[_cell(value) for value in row] for row in answer.fetchall()]
    types = answer.to_batches().schema.types
    right = [i for i, kind in enumerate(types) if str(kind).startswith(("int", "uint", "double", "float", "decimal"))]
    table([visible(name) for name in answer.columns], rows, right=right)
    say(f"{count(len(answer), 'row')} on snapshot {answer.snapshot}", err=True)


def _cell(value: Any) -> Any:
    """Return what a table shows: an instant to the second if it has no fraction."""
    if isinstance(value, datetime) and value.microsecond:
        return value.isoformat(sep=" ").replace("+00:00", "Z")
    if value is None or isinstance(value, datetime | date | int | str):
        return value
    return cell_text(value)


def names(answer: Table) -> list[str]:
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


def _csv(answer: Table, form: Form, file: Sink) -> None:
    from auditlake.display.csv_lines import csv_line
    from auditlake.engine.lines import csv_lines

    file.write(csv_line(answer.columns, raw=form.raw).encode())
    columns = columns_for(answer.to_batches(), names(answer), form="csv", on_terminal=isinstance(file, _Terminal))
    made = csv_lines(columns.schema, raw=form.raw, quote_empty=form.quote_empty, ready=columns.ready)
    for lines in made.of(columns.batches):
        file.write(lines)


def _json(answer: Answer, _: Form, file: Sink) -> None:
    document = {
        "snapshot": answer.snapshot,
        "complete": answer.complete,
        "columns": names(answer),
        "rows": list(_objects(answer)),
    }
    file.write((json.dumps(document, ensure_ascii=True, indent=2) + "\n").encode("ascii"))


def _jsonl(answer: Table, _: Form, file: Sink) -> None:
    from auditlake.engine.lines import json_lines

    columns = columns_for(answer.to_batches(), names(answer), form="json")
    # The JSON of events stays JSON, and keeps every number as it came.
    of_events = set(PUBLIC_COLUMNS) <= set(columns.schema.names)
    own = [name for name in ("details", "metadata") if of_events and columns.schema.field(name).type == "string"]
    made = json_lines(columns.schema, own=own, ready=columns.ready, gap="" if of_events else " ")
    for lines in made.of(columns.batches):
        file.write(lines)


def _markdown(answer: Answer, _: Form, file: Sink) -> None:
    def line(cells: Sequence[str]) -> str:
        escaped = (visible(each).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for each in cells)
        return f"| {' | '.join(escaped)} |\n"

    lines = [line(answer.columns), f"|{'---|' * len(answer.columns)}\n"]
    lines += [line(["" if value is None else cell_text(value) for value in row]) for row in answer.fetchall()]
    file.write("".join(lines).encode("utf-8", "backslashreplace"))


def _as_table(answer: Answer, _: Form, file: Sink) -> None:
    lines = ["\t".join(visible(name) for name in answer.columns)]
    lines += ["\t".join(cell(_cell(value)) for value in row) for row in answer.fetchall()]
    file.write(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))


def _parquet(answer: Table, _: Form, file: Sink) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from auditlake.engine.lines import one_ahead

    reader = answer.to_batches(ROW_GROUP)
    schema = pa.schema([field.with_name(name) for field, name in zip(reader.schema, names(answer), strict=True)])
    try:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in one_ahead(reader):
                writer.write_batch(batch.rename_columns(schema.names))
    except pa.ArrowException as error:
        raise click.ClickException(f"Parquet cannot hold it: {error}; cast it to varchar in the query") from error


def _xlsx(answer: Answer, _: Form, file: Sink) -> None:
    from auditlake.cli.xlsx import MOST_ROWS, workbook

    if len(answer) > MOST_ROWS:
        click.echo(f"a sheet holds {MOST_ROWS:,} rows; the others are on further sheets", err=True)
    file.write(workbook(names(answer), (map(_xlsx_cell, row) for row in answer.fetchall())))


def _xlsx_cell(value: Any) -> Any:
    from auditlake.cli.xlsx import FIRST_YEAR

    if isinstance(value, date):
        fits = value.year >= FIRST_YEAR
    elif isinstance(value, int | float):
        # A spreadsheet's numbers have fifteen digits: longer ones are written as text, so that no digit changes.
        fits = math.isfinite(value) if isinstance(value, float) else abs(value) < 10**15
    else:
        fits = value is None
    return value if fits else cell_text(value)


STREAMED: dict[str, Callable[[Table, Form, Sink], None]] = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
"""The forms that are written as rows are read."""
_WRITERS: dict[str, Callable[[Any, Form, Sink], None]] = {
    **STREAMED, "table": _as_table, "json": _json, "xlsx": _xlsx, "markdown": _markdown,
}  # fmt: skip
