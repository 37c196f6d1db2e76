"""The runs of a month on a page of their own, written again only where something of it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from typing import ClassVar

from auditlake.disk.files import open_file
from auditlake.display.templates import style_digest
from auditlake.reports.day_axis import MONTHS
from auditlake.runs.newest import RunsOfYear
from auditlake.site.entries import Folder
from auditlake.site.happenings import Happening
from auditlake.site.run_rows import RunRow, how_many, row_of

_HEAD = 4_096


@dataclass(frozen=True, slots=True)
class MonthPage:
    """The variables of the template ``month.html``."""

    template: ClassVar[str] = "month.html"
    style_digest: str
    """SHA-256 of the page's style in base64, for its content security policy."""
    made_of: str
    """SHA-256 over what the page is made of, so that it is not written again without need."""
    title: str
    """For the window and the heading."""
    words: str
    """How many runs."""
    year_file: str
    """The page of its year."""
    runs: tuple[RunRow, ...]
    """The newest first."""


def months_of(rows: Sequence[Happening]) -> Iterator[tuple[int, Sequence[Happening]]]:
    """Yield the months of a year's rows, which are the newest first, each with its rows."""
    for month, own in groupby(rows, key=lambda each: each.at.month):
        yield month, tuple(own)


def month_file(year: int, month: int) -> str:
    """Return the name of the page of a month."""
    return f"index-{year}-{month:02}.html"


def month_page(folder: Folder, rows: Sequence[Happening], runs: RunsOfYear, year_file: str) -> MonthPage | None:
    """Put a month into words; None where its page is there and says so already.

    Args:
        folder: The folder.
        rows: What happened in the month, the newest first.
        runs: Where its runs are.
        year_file: The page of its year.
    """
    made_of, at = _made_of(folder, rows, year_file), rows[0].at
    if _is_written(folder, month_file(at.year, at.month), made_of):
        return None
    title = f"Compliance, runs of {MONTHS[at.month - 1]} {at.year}"
    in_words = tuple(row_of(each, folder, runs) for each in rows)
    return MonthPage(style_digest(), made_of, title, how_many(rows), year_file, in_words)


def _made_of(folder: Folder, rows: Sequence[Happening], year_file: str) -> str:
    digest = hashlib.sha256(f"{style_digest()} {version('auditlake')} {year_file}".encode())
    for row in rows:
        files = folder.counts(row.key) if row.key else ""  # they are written once, and not renamed
        digest.update(f"\n{row.token} {files}".encode())
    return digest.hexdigest()


def _is_written(folder: Folder, name: str, made_of: str) -> bool:
    if name not in folder.files:
        return False
    with open_file(folder.path / name, within=folder.path) as file:
        return f'content="{made_of}"'.encode() in file.read(_HEAD)
