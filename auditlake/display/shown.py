"""How things look in a notebook: their card as HTML through a template, and as plain text for a terminal.

To register a thing: let its class inherit :class:`Shown` and give its card. That is all. Those of a lake, its rows, its
reports, findings, backtests and retention plans do.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from datetime import date, datetime
from typing import Any

from auditlake.display.cards import Card, Cell
from auditlake.display.text import moment, visible

_CELL = 120
_WIDTH = 60


class Shown:
    """Notebooks show it as its card; ``repr`` stays one line."""

    __slots__ = ()

    def _card(self) -> Card:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """The card as HTML, everything escaped; no script, nothing loaded from anywhere."""
        from auditlake.reports.render import render_card  # Jinja is slow to import

        return render_card(self._card())

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None, **_: Any
    ) -> dict[str, str]:
        """The card as HTML and as plain text, as far as the frontend asks for them."""
        from auditlake.reports.render import render_card  # Jinja is slow to import

        card = self._card()
        ways = {"text/plain": plain_card, "text/html": render_card}
        return {
            kind: way(card)
            for kind, way in ways.items()
            if (not include or kind in include) and (not exclude or kind not in exclude)
        }


def cells(rows: Iterable[Sequence[Any]]) -> tuple[tuple[Cell, ...], ...]:
    """Values as a table shows them: text is hostile, instants are in UTC, what is absent says so."""
    return tuple(tuple(map(cell, row)) for row in rows)


def cell(value: Any) -> Cell:
    """One value."""
    if value is None:
        return Cell("none", "none")
    if isinstance(value, bool):
        return Cell(str(value).lower())
    if isinstance(value, int):
        return Cell(f"{value:,}", "number")
    if isinstance(value, float):
        return Cell(f"{value:,.6g}", "number")
    if isinstance(value, datetime):
        return Cell(moment(value, zone=False) if value.tzinfo else value.isoformat(" "))
    if isinstance(value, date):
        return Cell(value.isoformat())
    return Cell(cut(value if isinstance(value, str) else repr(value)))


def cut(text: str) -> str:
    """Text fit to be looked at, and not too long of it."""
    return visible(text[:_CELL]) + ("…" if len(text) > _CELL else "")


def plain_card(card: Card) -> str:
    """The card for a terminal."""
    lines = [" ".join(filter(None, (card.kind, card.title, card.status.replace("_", " "))))]
    lines += [f"  {fact.label}: {fact.value}" for fact in card.facts]
    if card.headings:
        texts = [[each.text[:_WIDTH] for each in row] for row in card.rows]
        widths = [max(map(len, column)) for column in zip(card.headings, *texts, strict=True)]
        lines += ["", "  ".join(name.ljust(width) for name, width in zip(card.headings, widths, strict=True)).rstrip()]
        for row, said in zip(card.rows, texts, strict=True):
            parts = (
                text.rjust(width) if each.kind == "number" else text.ljust(width)
                for each, text, width in zip(row, said, widths, strict=True)
            )
            lines.append("  ".join(parts).rstrip())
    return "\n".join([*lines, *filter(None, [card.note])])
