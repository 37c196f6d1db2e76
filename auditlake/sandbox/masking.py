"""What a principal sees in the place of what is kept from them, inside the view ``events`` and in findings.

What is kept from them is theirs to be judged: policies are judged by the true values, over the rows that the principal
may see, and only what is shown of the findings is masked. Judged by masked values, six users would be one.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from auditlake.disk.layout import Layout
from auditlake.engine.sql_text import identifier, literal
from auditlake.errors import LakeError
from auditlake.events.schema import PUBLIC_COLUMNS, SELF, TEXT_COLUMNS
from auditlake.events.times import print_instant
from auditlake.store.pseudonyms import KEYED, Pseudonyms, pseudonyms

MASKABLE = ("event_id", *TEXT_COLUMNS, "details", "metadata")
"""The columns that can be masked; without the others no policy could be judged."""
_DIGITS = 16
"""Hexadecimal digits of a pseudonym."""


@dataclass(frozen=True, slots=True)
class Masking:
    """What one principal may see."""

    columns: Mapping[str, str | int] = field(default_factory=dict)
    """Of each masked column: ``hide``, ``hash``, or how many characters are left of it."""
    rows: str | None = None
    """The condition that a row must meet, as DuckDB spells it; all rows if None."""
    key: str = ""
    """What pseudonyms are made with."""
    id_keys: tuple[str, str] = ("", "")
    """What keyed ids are made with, both halves in hexadecimal (auditlake/store/pseudonyms.py)."""

    def __bool__(self) -> bool:
        return bool(self.columns) or self.rows is not None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What pseudonyms and keyed ids are made with."""
        return tuple(filter(None, (self.key, *self.id_keys)))

    def shown(self, column: str) -> str:
        """Return the expression that stands in the place of a column."""
        how, name = self.columns.get(column), self._kept(column)
        if how is None:
            return name if name == identifier(column) else f"{name} as {identifier(column)}"
        if how == "hide":
            name = "cast(null as varchar)"
        elif how == "hash":
            name = f"left(sha256({literal(self.key)} || {name}), {_DIGITS})"
        else:
            name = f"left({name}, {int(how):d})"
        return f"{name} as {identifier(column)}"

    def _kept(self, column: str) -> str:
        """Return a column before it is masked: an id made from content would confirm a guess of the event.

        So of those only the keyed form is shown, the same that an erased event keeps.
        """
        name = identifier(column)
        if column != "event_id" or not self:
            return name
        inner, outer = (f"unhex({literal(each)})" for each in self.id_keys)
        keyed = f"{literal(KEYED)} || sha256({outer} || unhex(sha256({inner} || encode({name}))))"
        return f"case when regexp_full_match({name}, '[0-9a-f]{{64}}') then {keyed} else {name} end"

    def hides(self, values: Iterable[str]) -> bool:
        """Whether anything of these columns and expressions is kept from the principal."""
        return any(value in self.columns or self.hides_expression(value) for value in values)

    def hides_expression(self, text: str) -> bool:
        """Whether an expression, other than a column alone, reads a masked column: it may name the very user."""
        from auditlake.policies.condition import ConditionError, columns_of

        if not self.columns or text in MASKABLE:
            return False
        try:
            return any(column in self.columns for column in columns_of(text))
        except ConditionError:  # what an earlier version took
            return True

    def shown_group(self, group: Mapping[str, str]) -> dict[str, str | None]:
        """Return a finding's group as the view ``events`` shows those values."""
        return {column: self._shown_value(column, value) for column, value in group.items()}

    def shown_id(self, finding_id: str) -> str:
        """Return what stands for the id of a finding whose group is masked: its own could be computed from a
        guessed group.
        """
        return hmac.digest(self.key.encode(), f"finding {finding_id}".encode(), "sha256").hex()[:_DIGITS]

    def _shown_value(self, column: str, value: str) -> str | None:
        """Return what :meth:`shown` makes of a value; nothing of what was made from a masked column."""
        how = "hide" if self.hides_expression(column) else self.columns.get(column)
        if how is None or how == "hide":
            return value if how is None else None
        if how == "hash":
            return sha256((self.key + value).encode()).hexdigest()[:_DIGITS]
        return value[: int(how)]

    def _expression(self, column: str) -> str:
        """Return the same; other people's questions quote values, so a masked principal sees none of them."""
        if column == "details" and self and self.columns.get(column) != "hide":
            expression = self.shown(column).removesuffix(' as "details"')
            return f"case when source is distinct from {literal(SELF)} then {expression} end as details"
        return self.shown(column)

    def query(self, events: str, as_of: datetime | None = None, *, true_values: bool = False) -> str:
        """Return the query behind the view ``events``.

        Args:
            events: The query for all events.
            as_of: Events after this instant do not exist.
            true_values: Whether columns are as they are, to be judged and not to be shown.
        """
        conditions = [f"({self.rows})"] if self.rows is not None else []
        if as_of is not None:
            conditions.append(f""""timestamp" <= cast({literal(print_instant(as_of))} as timestamptz)""")
        columns = ", ".join(map(identifier if true_values else self._expression, PUBLIC_COLUMNS))
        where = f" where {' and '.join(conditions)}" if conditions else ""
        return f"select {columns} from ({events}) as events{where}"


def key_of(layout: Layout) -> str:
    """Return the key of the sandbox's pseudonyms, from the lake's secret: a user has the same one in every session."""
    secret = pseudonyms(layout, make=True)
    assert secret is not None
    return hmac.digest(secret.key, b"auditlake desk", "sha256").hex()


def id_keys_of(layout: Layout) -> tuple[str, str]:
    """Return the keys of keyed ids; where the lake's secret has gone or cannot be made, of this session alone."""
    try:
        secret = pseudonyms(layout, make=True)
    except (LakeError, OSError):
        secret = Pseudonyms(os.urandom(32))
    assert secret is not None
    inner, outer = secret.id_values.values()
    assert isinstance(inner, bytes)
    assert isinstance(outer, bytes)
    return inner.hex(), outer.hex()
