"""Rows in the form that is asked for: for people, for spreadsheets, for machines.

What a terminal would act on is made visible; what a spreadsheet would run gets an apostrophe before it (OWASP), unless
it is to be raw.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.output import cell, plain, table

if TYPE_CHECKING:
    from auditlake.desk.session import Answer

EXIT_CUT = 5
"""The exit code where an answer was cut off."""
FORMATS = ("table", "csv", "json", "jsonl", "parquet", "xlsx", "markdown")
"""How an answer can be shown or written."""
_BINARY = ("parquet", "xlsx")
_FOR_PEOPLE = ("table", "markdown")
_ENDINGS = {
    ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".xlsx": "xlsx",
    ".md": "markdown", ".txt": "table",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is given."""

    format: str
    out: Path | None = None
    """A file; standard output if None."""
    raw: bool = False
    """Whether text stays as it is where a spreadsheet would run it."""


def form_of(out: Path) -> str:
    """The form that a file's name asks for.

    Raises:
        click.UsageError: It asks for none.
    """
    if (form := _ENDINGS.get(out.suffix.lower())) is None:
        raise click.UsageError(f"{out}: expected --format, or a name that ends in {', '.join(_ENDINGS)}")
    return form


def check_place(out: Path, *, force: bool) -> None:
    """Refuse to write over a file without being told to, and over what is no file at all.

    Raises:
        click.UsageError: There is something of that name, or no folder for it.
    """
    if not out.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder {out.parent}")
    if os.path.lexists(out) and not out.is_file():
        raise click.UsageError(f"{out} is there and is no file")
    if os.path.lexists(out) and not force:
        raise click.UsageError(f"{out} is there already: --force writes over it")


def give(answer: Answer, form: Form) -> bool:
    """Show an answer, or write it to a file; give whether it is whole, and say so in the last line where it is not."""
    cut = f"cut off after {len(answer):,} rows: lake.toml, section [desk], sets how many; --rows 0 is for the owner"
    if form.format == "table" and form.out is None:
        _show(answer)
    else:
        data = _WRITERS[form.format](answer, form)
        if not answer.complete and form.format in _FOR_PEOPLE:
            data += f"\n{cut}\n".encode()
        if form.out is not None:
            _write(form.out, data)
        elif form.format in _BINARY:
            if sys.stdout.isatty():
                raise click.UsageError(f"{form.format} is for a file: --out FILE")
            sys.stdout.buffer.write(data)
        else:
            text = data.decode("utf-8")
            click.echo(_shown(text) if sys.stdout.isatty() else text, nl=False)
    if not answer.complete:
        if form.format == "table" and form.out is None and not sys.stdout.isatty():
            click.echo(cut)  # it goes with the rows, wherever they go
        click.echo(cut, err=True)
    return answer.complete


def _write(path: Path, data: bytes) -> None:
    from auditlake.store.durable import write_whole

    try:
        write_whole(path.absolute(), data)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror or error}") from error


def _shown(text: str) -> str:
    from auditlake.reports.words import visible

    return visible(text, keep="\n")


def _show(answer: Answer) -> None:
    if not answer.columns:
        click.echo("no columns")
        return
    rows = [[_cell(value) for value in row] for row in answer.fetchall()]
    types = answer.arrow().schema.types
    right = [i for i, kind in enumerate(types) if str(kind).startswith(("int", "uint", "double", "float", "decimal"))]
    table([plain(name) for name in answer.columns], rows, right=right)
    click.echo(f"{len(answer):,} row{'' if len(answer) == 1 else 's'} on snapshot {answer.snapshot}", err=True)


def _cell(value: Any) -> Any:
    """What a table shows; instants to the second where they have no more."""
    if isinstance(value, datetime) and value.microsecond:
        return value.isoformat(sep=" ").replace("+00:00", "Z")
    if value is None or isinstance(value, datetime | date | int | str):
        return value
    return _text(value)


def _text(value: Any) -> str:
    """A value as text in a cell."""
    spelled = _plain_value(value)
    return spelled if isinstance(spelled, str) else json.dumps(spelled, ensure_ascii=False)


def _plain_value(value: Any) -> Any:
    """A value as JSON has it: instants, dates, decimals and bytes as text; numbers that JSON has none of, too."""
    from auditlake.events.times import print_instant

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
        return {str(key): _plain_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(each) for each in value]
    return str(value)


def names(answer: Answer) -> list[str]:
    """The columns' names, each different: JSON and files keep one value a name."""
    taken: set[str] = set()
    given = []
    for name in answer.columns:
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique)
        given.append(unique)
    return given


def _objects(answer: Answer) -> Iterator[dict[str, Any]]:
    heads = names(answer)
    for row in answer.fetchall():
        yield dict(zip(heads, map(_plain_value, row), strict=True))


def guarded(text: str, *, raw: bool) -> str:
    """Text that no spreadsheet runs as a formula, unless it is to stay as it is."""
    from auditlake.reports.words import no_formula

    return text if raw else no_formula(text)


def _csv(answer: Answer, form: Form) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([guarded(name, raw=form.raw) for name in answer.columns])
    for row in answer.fetchall():
        writer.writerow([_csv_cell(value, raw=form.raw) for value in row])
    return out.getvalue().encode("utf-8", "backslashreplace")


def _csv_cell(value: Any, *, raw: bool) -> Any:
    if value is None or isinstance(value, bool | int | float | Decimal):
        return value
    return guarded(_text(value), raw=raw)


def _json(answer: Answer, _: Form) -> bytes:
    said = {
        "snapshot": answer.snapshot,
        "complete": answer.complete,
        "columns": names(answer),
        "rows": list(_objects(answer)),
    }
    return (json.dumps(said, ensure_ascii=True, indent=2) + "\n").encode("ascii")


def _jsonl(answer: Answer, _: Form) -> bytes:
    return "".join(json.dumps(each, ensure_ascii=True) + "\n" for each in _objects(answer)).encode("ascii")


def _markdown(answer: Answer, _: Form) -> bytes:
    def line(cells: Sequence[str]) -> str:
        escaped = (plain(each).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for each in cells)
        return f"| {' | '.join(escaped)} |\n"

    lines = [line(answer.columns), f"|{'---|' * len(answer.columns)}\n"]
    lines += [line(["" if value is None else _text(value) for value in row]) for row in answer.fetchall()]
    return "".join(lines).encode("utf-8", "backslashreplace")


def _as_table(answer: Answer, _: Form) -> bytes:
    lines = ["\t".join(plain(name) for name in answer.columns)]
    lines += ["\t".join(cell(_cell(value)) for value in row) for row in answer.fetchall()]
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def _parquet(answer: Answer, _: Form) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    try:
        pq.write_table(answer.arrow().rename_columns(names(answer)), sink, compression="zstd")
    except pa.ArrowException as error:
        raise click.ClickException(f"Parquet has no place for it: {error}; cast it to varchar in the query") from error
    return bytes(sink.getvalue())


def _xlsx(answer: Answer, _: Form) -> bytes:
    from auditlake.cli.xlsx import workbook

    rows = ([_xlsx_cell(value) for value in row] for row in answer.fetchall())
    return workbook(names(answer), rows)


def _xlsx_cell(value: Any) -> Any:
    # A spreadsheet's numbers have fifteen digits: longer ones are text, or they would be others.
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**15:
        return str(value)
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _text(value)


_WRITERS: dict[str, Callable[[Answer, Form], bytes]] = {
    "table": _as_table, "csv": _csv, "json": _json, "jsonl": _jsonl, "parquet": _parquet, "xlsx": _xlsx,
    "markdown": _markdown,
}  # fmt: skip
