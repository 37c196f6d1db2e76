"""What a notebook shows of a thing: a card of facts and a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is said about the whole."""

    label: str
    """What it is about."""
    value: str
    """What is so; hidden characters made visible."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A place in the table."""

    text: str
    """What it says, hidden characters made visible, long ones cut."""
    kind: Literal["text", "number", "none"] = "text"
    """How it is set."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a notebook shows of a thing: the variables of ``card.html``."""

    kind: str
    """What sort of thing it is, in a word or two."""
    title: str
    """Which one."""
    status: str = ""
    """``compliant``, ``violation`` or ``no_data``; empty where there is none."""
    facts: tuple[Fact, ...] = ()
    """What is said about the whole."""
    headings: tuple[str, ...] = ()
    """Of the table's columns; empty where there is no table."""
    rows: tuple[tuple[Cell, ...], ...] = ()
    """The table's rows; none are many."""
    note: str = ""
    """What else there is and how to get it."""
