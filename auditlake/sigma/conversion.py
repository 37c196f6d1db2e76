"""A rule becomes what a policy asks: its condition, and for a correlation the kind of question that it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from auditlake.engine.sql_text import literal
from auditlake.sigma.conditions import Converter
from auditlake.sigma.logic import Comparison, Condition, can_hold, every, some, sql_of
from auditlake.sigma.logsources import Spot, home_of
from auditlake.sigma.model import DEFAULT_WINDOW
from auditlake.sources.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Part:
    """The events of one rule: of which source, and under which condition."""

    source: str
    condition: Condition
    spots: Mapping[str, Spot]
    """Where each field lies that it names."""
    keys: tuple[str, ...] = ()
    """The expressions by which a correlation groups its events, or measures them."""
    key_fields: frozenset[str] = frozenset()
    """The fields that these are: an event without one of them counts nowhere."""
    count: int = 1
    window: str = ""
    """A step's own: so many events within this length of time."""
    name: str = ""
    absent: str = ""
    """The logsource of the rule in words, where no source of the lake has it."""

    @property
    def where(self) -> Condition:
        """The condition of its events, source and all."""
        return every(Comparison(f"source = {literal(self.source)}", ("source",)), self.condition)

    def can_match(self, unseen: Mapping[str, frozenset[str] | None]) -> bool:
        """Return whether an event can match that lacks the fields which no event of its source has.

        Args:
            unseen: These fields by source; None of a source that the lake lacks, and has no event of.
        """
        missing = unseen[self.source]
        return missing is not None and not missing & self.key_fields and can_hold(self.condition, missing)


@dataclass(frozen=True, slots=True)
class Converted:
    """What a policy asks."""

    keys: Mapping[str, Any]
    """Keys of its YAML with their values; a condition is one."""
    parts: tuple[Part, ...]
    least: int = 1
    """How many of the parts must be there, so that it can match."""
    notes: tuple[str, ...] = ()

    def can_match(self, unseen: Mapping[str, frozenset[str] | None]) -> bool:
        """Return whether it can find anything, where events lack these fields, by source."""
        return sum(part.can_match(unseen) for part in self.parts) >= self.least


@dataclass
class Conversion:
    """Converts rules for one lake.

    Args:
        catalog: The sources of the lake.
        own: Sources by logsource, which go before those that are known.
        window: The window of a policy whose rule is about single events.
    """

    catalog: Catalog
    own: Mapping[str, str] = field(default_factory=dict)
    window: str = DEFAULT_WINDOW

    def convert(self, rule: Any) -> Converted:
        """Return what a policy asks.

        Args:
            rule: pySigma's rule or correlation.

        Raises:
            RefusedRule: No policy asks that.
            MappingError: The mapping of its source has mistakes.
        """
        if hasattr(rule, "detection"):
            part = self.part(rule)
            return Converted({"alert_threshold": 1, "window": self.window, "where": part.where}, (part,))
        from auditlake.sigma.correlations import convert_correlation

        return convert_correlation(self, rule)

    def part(self, rule: Any, fields: Sequence[str] = ()) -> Part:
        """Return the events of a plain rule.

        Args:
            rule: pySigma's rule.
            fields: The fields by which a correlation groups its events, or measures them.
        """
        logsource = rule.logsource
        wanted = {"category": logsource.category, "product": logsource.product, "service": logsource.service}
        home = home_of(wanted, self.catalog, self.own)
        converter = Converter(home.fields)
        condition = converter.condition_of(rule)
        keys = tuple(converter.field(name).sql for name in fields)
        name = str(rule.name or rule.title or "")
        return Part(home.name, condition, converter.spots, keys, frozenset(fields), name=name, absent=home.absent)


def any_of(parts: Sequence[Part]) -> Condition:
    """Return that an event is of any of these rules."""
    return some(*(part.where for part in parts))


def value_of(parts: Sequence[Part], number: int) -> str:
    """Return the value that events of several rules are grouped by, which each may call otherwise."""
    choices: dict[str, list[Part]] = {}
    for part in parts:
        choices.setdefault(part.keys[number], []).append(part)
    if len(choices) == 1:
        return parts[0].keys[number]
    whens = (f"when {sql_of(any_of(named))} then {value}" for value, named in choices.items())
    return f"case {' '.join(whens)} end"


def named_apart(parts: Sequence[Part]) -> list[Part]:
    """Return parts with names that a condition of steps can use, no two alike."""
    names: dict[str, None] = {}
    renamed = []
    for number, part in enumerate(parts, 1):
        plain = "".join(each if each.isascii() and each.isalnum() else "_" for each in part.name.lower()).strip("_")
        name = plain if plain and plain[0].isalpha() and len(plain) <= 64 and plain not in names else f"step_{number}"
        names[name] = None
        renamed.append(replace(part, name=name))
    return renamed
