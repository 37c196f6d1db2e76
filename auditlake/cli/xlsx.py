"""Workbooks, written by XlsxWriter: text is text, so that nothing in it is run, and instants are dates."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from itertools import chain, islice
from typing import Any

import click

MOST_ROWS = 1_048_575
"""Rows that a sheet has room for below its headings."""
FIRST_YEAR = 1901
"""The first year whose dates spreadsheets have right: to them 1900 is a leap year."""
_MOST_COLUMNS = 16_384
_MOST_TEXT = 32_767
_WIDEST = 60
_NOT_XML = re.compile("[\ufffe\uffff\ud800-\udfff]")
_MADE = datetime(1980, 1, 1)  # noqa: DTZ001 - the same rows give the same bytes at any time
_OPTIONS = {"constant_memory": True, "remove_timezone": True}


def workbook(headings: Sequence[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """Return a workbook with a frozen heading and filters; the same headings and rows give the same bytes.

    Rows that do not fit on one sheet are on further ones. Instants are in UTC, to the millisecond.

    Args:
        headings: The first row of each sheet.
        rows: None, truth values, numbers, dates, instants, and text.

    Raises:
        click.ClickException: A text is longer than a cell holds, or there are more columns than a sheet has.
    """
    import xlsxwriter

    if len(headings) > _MOST_COLUMNS:
        raise _too_much(f"{len(headings):,} columns; a sheet holds {_MOST_COLUMNS:,}")
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, _OPTIONS) as book:
        book.set_properties({"created": _MADE})
        formats = {
            "head": book.add_format({"bold": True}),
            "day": book.add_format({"num_format": "yyyy-mm-dd"}),
            "instant": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"}),
        }
        left, number = iter(rows), 1
        first = list(islice(left, 1))
        while first or number == 1:
            name = f"auditlake {number}" if number > 1 else "auditlake"
            _fill(book.add_worksheet(name), headings, islice(chain(first, left), MOST_ROWS), formats)
            first, number = list(islice(left, 1)), number + 1
    return out.getvalue()


def _fill(sheet: Any, headings: Sequence[str], rows: Iterable[Iterable[Any]], formats: dict[str, Any]) -> None:
    widths = [len(name) + 3 for name in headings]  # room for the filter's arrow
    for column, name in enumerate(headings):
        _text(sheet, 0, column, name, name, formats["head"])
    at = 0
    for at, row in enumerate(rows, 1):
        for column, value in enumerate(row):
            widths[column] = max(widths[column], _write(sheet, at, column, value, headings[column], formats))
    for column, width in enumerate(widths):
        sheet.set_column(column, column, min(width + 1, _WIDEST))
    sheet.freeze_panes(1, 0)
    if headings:
        sheet.autofilter(0, 0, at, len(headings) - 1)


def _write(sheet: Any, row: int, column: int, value: Any, name: str, formats: dict[str, Any]) -> int:
    """Fill a cell, and return its width in characters."""
    if value is None:
        return 0
    if isinstance(value, bool | int | float):
        sheet.write(row, column, value)
        return 5 if isinstance(value, bool) else len(str(value))
    if isinstance(value, date) and value.year >= FIRST_YEAR:
        if isinstance(value, datetime):
            at = value.astimezone(UTC) if value.tzinfo else value
            at = at.replace(microsecond=at.microsecond // 1_000 * 1_000)  # rounding may end in another year
            sheet.write_datetime(row, column, at, formats["instant"])
            return 23
        sheet.write_datetime(row, column, value, formats["day"])
        return 10
    return _text(sheet, row, column, str(value), name, None)


def _text(sheet: Any, row: int, column: int, text: str, name: str, cell_format: Any) -> int:
    if len(text) > _MOST_TEXT:
        raise _too_much(f"row {row}, column {name[:60]!r}: {len(text):,} characters; a cell holds {_MOST_TEXT:,}")
    sheet.write_string(row, column, _NOT_XML.sub("\ufffd", text), cell_format)
    return max(map(len, text[:2_000].splitlines()), default=0)


def _too_much(what: str) -> click.ClickException:
    return click.ClickException(f"a workbook cannot hold {what}. Write CSV or Parquet, or shorten it in the query.")
