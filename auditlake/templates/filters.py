"""The filters of users' templates: values for people, and values made fit for the form that they are put into."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sized
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from auditlake.display import markdown, text
from auditlake.display.csv_lines import csv_line

_AT_THE_START = re.compile(r"\A(\d*)([-+=.)])")
"""What Markdown acts on at the beginning of a line alone: lists, and what underlines a heading."""


def count(value: Any, one: str = "", many: str = "") -> str:
    """Return a number, or how many a list has, with its thousands apart, and its noun if one is given."""
    number = len(value) if isinstance(value, Sized) else value
    return text.count(number, one, many) if one else f"{number:,}"


def moment(value: str) -> str:
    """Return an instant of a report as the pages write it: ``2026-11-24 08:00:00 UTC``."""
    return text.moment(datetime.fromisoformat(value))


def md(value: Any) -> str:
    """Return text in one line that Markdown shows as it is."""
    return _AT_THE_START.sub(r"\1\\\2", markdown.escaped(" ".join(_plain(value).split())))


def csv(value: Any) -> str:
    """Return a cell of a CSV file: quoted where it must be, and run as a formula by no spreadsheet."""
    return csv_line([value], end="")


def xml(value: Any) -> Markup:
    """Return text for XML: escaped, and without the characters that XML cannot have."""
    return escape(text.visible(_plain(value), keep="\n\t"))


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


FILTERS: Mapping[str, Callable[..., Any]] = {"count": count, "moment": moment, "md": md, "csv": csv, "xml": xml}
"""Those that are added to Jinja's own."""
