"""What a notebook shows of a thing: a card of facts and a table, as HTML through a template or as plain text.

A class that is to be shown inherits :class:`Shown` and returns its card. A lake, its rows, its reports, findings,
backtests and retention plans do.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Literal

from auditlake.display.templates import render
from auditlake.display.text import moment, visible

_CELL = 120
_WIDTH = 60


@dataclass(frozen=True, slots=True)
class CardFact:
    """A fact about the whole."""

    label: str
    """What the value is."""
    value: str
    """The value; hidden characters made visible."""


@dataclass(frozen=True, slots=True)
class CardCell:
    """A place in the table."""

    text: str
    """Its text, hidden characters made visible, long ones cut."""
    kind: Literal["text", "number", "none"] = "text"
    """How it is set."""


@dataclass(frozen=True, slots=True)
class Card:
    """The variables of the template ``card.html``."""

    template: ClassVar[str] = "card.html"
    kind: str
    """What sort of thing it is, in a word or two."""
    title: str
    """Which one."""
    status: str = ""
    """``compliant``, ``violation``, ``no_data`` or ``error``; empty where there is none."""
    facts: tuple[CardFact, ...] = ()
    """The facts about the whole."""
    headings: tuple[str, ...] = ()
    """Of the table's columns; empty where there is no table."""
    rows: tuple[tuple[CardCell, ...], ...] = ()
    """The table's rows, a page of them at most."""
    note: str = ""
    """What else there is and how to get it."""


class Shown:
    """Base of what notebooks show as a card; ``repr`` stays one line."""

    __slots__ = ()

    def _card(self) -> Card:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """Return the card as HTML, everything escaped; no script, nothing loaded from anywhere."""
        return render(self._card())

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None, **_: Any
    ) -> dict[str, str]:
        """Return the card as HTML and as plain text, as far as the frontend asks for them."""
        card = self._card()
        renderers = {"text/plain": plain_card, "text/html": render}
        return {
            kind: renderer(card)
            for kind, renderer in renderers.items()
            if (not include or kind in include) and (not exclude or kind not in exclude)
        }


def cells(rows: Iterable[Sequence[Any]]) -> tuple[tuple[CardCell, ...], ...]:
    """Return values as a table shows them: text is hostile, instants are in UTC, what is absent says so."""
    return tuple(tuple(map(cell, row)) for row in rows)


def cell(value: Any) -> CardCell:
    """Return one value as a table shows it."""
    if value is None:
        return CardCell("none", "none")
    if isinstance(value, bool):
        return CardCell(str(value).lower())
    if isinstance(value, int):
        return CardCell(f"{value:,}", "number")
    if isinstance(value, float):
        return CardCell(f"{value:,.6g}", "number")
    if isinstance(value, datetime):
        return CardCell(moment(value, zone=False) if value.tzinfo else value.isoformat(" "))
    if isinstance(value, date):
        return CardCell(value.isoformat())
    return CardCell(cut(value if isinstance(value, str) else repr(value)))


def cut(text: str) -> str:
    """Make text fit to be looked at, and cut it where it is long."""
    return visible(text[:_CELL]) + ("…" if len(text) > _CELL else "")


def plain_card(card: Card) -> str:
    """Return the card for a terminal."""
    lines = [" ".join(filter(None, (card.kind, card.title, card.status.replace("_", " "))))]
    lines += [f"  {fact.label}: {fact.value}" for fact in card.facts]
    if card.headings:
        texts = [[each.text[:_WIDTH] for each in row] for row in card.rows]
        widths = [max(map(len, column)) for column in zip(card.headings, *texts, strict=True)]
        lines += ["", "  ".join(name.ljust(width) for name, width in zip(card.headings, widths, strict=True)).rstrip()]
        for row, row_texts in zip(card.rows, texts, strict=True):
            parts = (
                text.rjust(width) if each.kind == "number" else text.ljust(width)
                for each, text, width in zip(row, row_texts, widths, strict=True)
            )
            lines.append("  ".join(parts).rstrip())
    return "\n".join([*lines, *filter(None, [card.note])])
