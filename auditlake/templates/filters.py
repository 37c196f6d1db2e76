"""The filters of users' templates: values for people, and values made fit for the form that they are put into."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sized
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from auditlake.display.formula_guard import guarded
from auditlake.display.text import count as counted
from auditlake.display.text import moment as told_moment
from auditlake.display.text import visible

_MARKDOWN = re.compile(r"[\\`*_{}\[\]()#+.!|<>~&$@:-]")


def count(value: Any, one: str = "", many: str = "") -> str:
    """Return a number, or how many a list has, with the thousands apart and its noun if one is given."""
    number = len(value) if isinstance(value, Sized) else value
    return counted(number, one, many) if one else f"{number:,}"


def moment(value: str) -> str:
    """Return an instant of a report as the pages write it: ``2026-11-24 08:00:00 UTC``."""
    return told_moment(datetime.fromisoformat(value))


def md(value: Any) -> Markup:
    """Return text that Markdown shows as it is."""
    return Markup(_MARKDOWN.sub(r"\\\g<0>", " ".join(_text(value).split())))


def csv(value: Any) -> Markup:
    """Return a cell of a CSV file: quoted where it must be, and run as a formula by no spreadsheet."""
    text = guarded(_text(value)) if isinstance(value, str) else _text(value)
    return Markup('"{}"').format("") 


FILTERS: Mapping[str, Callable[..., Any]] = {}
