"""What is wrong with packs: mistakes in their files, and values that are weaker than the clause without a decision."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from auditlake.packs.effective import LakePacks
from auditlake.packs.model import Pack
from auditlake.packs.parameters import is_same, needs_decision, shown_value
from auditlake.packs.settings import ALL, Chosen
from auditlake.yaml_reader import nearest


class Decision(Protocol):
    """That a parameter of a pack may have a weaker value, as the journal of findings says."""

    @property
    def value(self) -> Any:
        """The very value that it lets the parameter have, as JSON."""

    @property
    def owner(self) -> str:
        """Who answers for it."""

    @property
    def until(self) -> datetime:
        """The last instant at which it counts."""


Decisions = Callable[[str], Mapping[str, Decision]]
"""Gives the decisions about a pack's parameters that are in force, by parameter."""


def weaker_values(pack: Pack) -> dict[str, Any]:
    """Return the values of a pack that are weaker than what a control asks for, as JSON, by parameter."""
    return {
        name: shown_value(value)
        for name, value in pack.values.items()
        if needs_decision(pack.parameters[name], value)
    }  # fmt: skip


def undecided(pack: Pack, chosen: Chosen | None, decisions: Mapping[str, Decision]) -> Iterator[str]:
    """Yield the weaker values of a pack that are not decided, each with its place in ``frameworks.yaml``.

    Args:
        pack: The pack, with the lake's values.
        chosen: Where the lake sets them.
        decisions: The decisions in force, by parameter; one lets a parameter have the very value that it names.
    """
    for name, value in weaker_values(pack).items():
        parameter, decision = pack.parameters[name], decisions.get(name)
        if decision is not None and is_same(parameter, pack.values[name], decision.value):
            continue
        place = chosen.places.get(name, "") if chosen else ""
        clause = f"{pack.framework} {', '.join(parameter.cites)}"
        asked = shown_value(parameter.default)
        why = f"{name}: {value} is weaker than {asked}, which {clause} asks for"
        why += f", and what was decided is {decision.value}" if decision else ", and no decision in force lets it be"
        yield f"{place}: {why}" if place else why


def unknown_of(found: LakePacks, file: str, policies: Collection[str]) -> Iterator[str]:
    """Yield what schedules evaluate and the lake does not have, each with its place.

    Args:
        found: The lake's packs and settings.
        file: What to call the file of settings.
        policies: The ids of the lake's policies.
    """
    there = {*policies, *found.known, ALL}
    for place, name in found.settings.evaluated:
        if name not in there:
            hint = nearest(name, there)
            yield f"{file}:{place}: evaluate: {name!r} is neither a policy nor a pack of this lake; {hint}"


def problems_of(found: LakePacks, decisions: Decisions) -> tuple[str, ...]:
    """Return every mistake in a lake's packs, and every weaker value that are not decided."""
    weak = (
        problem
        for name, pack in found.packs.items()
        for problem in undecided(pack, found.settings.packs.get(name), decisions(name))
    )
    return (*found.problems, *weak)
