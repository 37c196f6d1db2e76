"""What a principal may see: ``auditor.yaml`` of the lake, enforced inside the view ``events``.

::

    default:                      # whoever is not named; without it, only those who are named may ask
      columns: {user_id: hash, details: hide, ip_address: {truncate: 7}}
      rows: source = 'cloudtrail'
    principals:
      erika: {}                   # everything
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from auditlake.engine.text import identifier, literal
from auditlake.errors import LakeError, LakeFormatError, RefusedError
from auditlake.events.schema import PUBLIC_COLUMNS, SELF, TEXT_COLUMNS
from auditlake.store.layout import Layout
from auditlake.store.pseudonyms import KEYED, Pseudonyms, pseudonyms

MASKABLE = ("event_id", *TEXT_COLUMNS, "details", "metadata")
"""The columns that can be masked; without the others no policy could be judged."""
_FILE = "auditor.yaml"
_LONGEST = 1_000_000
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

    def shown(self, column: str) -> str:
        """The expression that stands in the place of a column."""
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
        """A column before it is masked: an id that was made from content tells who guesses the event that it is there.

        So of those only the keyed form is shown, the same that an erased event keeps.
        """
        name = identifier(column)
        if column != "event_id" or not self:
            return name
        inner, outer = (f"unhex({literal(each)})" for each in self.id_keys)
        keyed = f"{literal(KEYED)} || sha256({outer} || unhex(sha256({inner} || encode({name}))))"
        return f"case when regexp_full_match({name}, '[0-9a-f]{{64}}') then {keyed} else {name} end"

    def _expression(self, column: str) -> str:
        """The same; and what other people asked quotes values, so it is nobody's who may not see everything."""
        if column == "details" and self and self.columns.get(column) != "hide":
            shown = self.shown(column).removesuffix(' as "details"')
            return f"case when source is distinct from {literal(SELF)} then {shown} end as details"
        return self.shown(column)

    def query(self, events: str, as_of: str | None = None) -> str:
        """The query behind the view ``events``.

        Args:
            events: The query for all events.
            as_of: Events after this instant do not exist; RFC 3339.
        """
        conditions = [f"({self.rows})"] if self.rows is not None else []
        if as_of is not None:
            conditions.append(f""""timestamp" <= cast({literal(as_of)} as timestamptz)""")
        shown = ", ".join(self._expression(column) for column in PUBLIC_COLUMNS)
        where = f" where {' and '.join(conditions)}" if conditions else ""
        return f"select {shown} from ({events}) as events{where}"


def masking_of(layout: Layout, principal: str) -> Masking:
    """What a principal may see; everything where the lake has no ``auditor.yaml``.

    Raises:
        RefusedError: The file names neither the principal nor a default.
        LakeFormatError: The file cannot be understood.
    """
    file = layout.root / _FILE
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return Masking()
    raw = _parsed(file, text)
    principals = raw.get("principals") or {}
    if principal in principals:
        chosen = principals[principal]
    elif "default" in raw:
        chosen = raw["default"]
    else:
        raise RefusedError(
            f"{principal[:80]!r} may not ask: auditor.yaml names nobody of that name and has no default",
            hint="the lake's owner can name them there",
        )
    masking = _masking(file, chosen or {})
    key = _key(layout) if "hash" in masking.columns.values() else ""
    return replace(masking, key=key, id_keys=_id_keys(layout)) if masking else masking


def _parsed(file: Path, text: bytes) -> Mapping[str, Any]:
    import yaml

    try:
        if len(text) > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST} bytes")
        raw = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _wrong(file, " ".join(str(error).split())) from error
    if not isinstance(raw, dict) or not set(raw) <= {"default", "principals"}:
        raise _wrong(file, "expected the keys default and principals")
    if not isinstance(raw.get("principals") or {}, dict):
        raise _wrong(file, "principals: expected a name for each, and what it may see")
    for each in (raw.get("principals") or {}).values():
        _masking(file, each or {})
    _masking(file, raw.get("default") or {})
    return raw


def _masking(file: Path, raw: Any) -> Masking:
    if not isinstance(raw, dict) or not set(raw) <= {"columns", "rows"}:
        raise _wrong(file, "expected the keys columns and rows for a principal")
    columns: dict[str, str | int] = {}
    given = raw.get("columns") or {}
    if not isinstance(given, dict):
        raise _wrong(file, "columns: expected a name for each, and how it is masked")
    for name, how in given.items():
        if name not in MASKABLE:
            raise _wrong(file, f"columns: {name!r} cannot be masked; expected some of {', '.join(MASKABLE)}")
        left = how.get("truncate") if isinstance(how, dict) and len(how) == 1 else None
        if how not in {"hide", "hash"} if isinstance(how, str) else type(left) is not int or not 0 < left < 1000:
            raise _wrong(file, f"columns.{name}: expected hide, hash or {{truncate: N}}, got {how!r}")
        columns[name] = how if isinstance(how, str) else int(left or 0)
    return Masking(columns, _condition(file, raw.get("rows")))


def _condition(file: Path, text: Any) -> str | None:
    from auditlake.policies.condition import ConditionError, check_condition

    if text is None:
        return None
    try:
        # What fails on a row hides it, and says nothing of it.
        return f"coalesce(try({check_condition(str(text))}), false)"
    except ConditionError as error:
        raise _wrong(file, f"rows: {error}") from error


def _key(layout: Layout) -> str:
    """What the desk makes pseudonyms with, from the lake's secret: the same user has the same one in every session."""
    found = pseudonyms(layout, make=True)
    assert found is not None
    return hmac.digest(found.key, b"auditlake desk", "sha256").hex()


def _id_keys(layout: Layout) -> tuple[str, str]:
    """What keyed ids are made with; where the lake's secret has gone or cannot be made, of this session alone."""
    try:
        found = pseudonyms(layout, make=True)
    except (LakeError, OSError):
        found = Pseudonyms(os.urandom(32))
    assert found is not None
    inner, outer = found.id_values.values()
    assert isinstance(inner, bytes)
    assert isinstance(outer, bytes)
    return inner.hex(), outer.hex()


def _wrong(file: Path, why: str) -> LakeFormatError:
    return LakeFormatError(f"{file} cannot be understood: {why}", hint="the lake's owner has to mend it")
