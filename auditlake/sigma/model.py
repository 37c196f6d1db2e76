"""What crosses this room: rules as they were read, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT_WINDOW = "24h"


class RefusedRule(ValueError):  # noqa: N818 - it is no failure of the program
    """A rule that no policy can be made of; its text says why, for people."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A file that a policy was made from."""

    path: str
    """Relative to the folder that was named."""
    digest: str
    """``sha256:`` and the digest of its bytes."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One document of a rule file."""

    parsed: Any
    """pySigma's SigmaRule or SigmaCorrelationRule; None where it could not be read."""
    title: str
    id: str
    """Its UUID; empty where it has none."""
    origins: tuple[Origin, ...]
    """Its own file, then those of the filters and rules that it is made of."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The document's keys as they are, where pySigma keeps none."""
    fault: str = ""
    """Why it cannot be used."""

    @property
    def path(self) -> str:
        """Its own file."""
        return self.origins[0].path

    @property
    def key(self) -> str:
        """What it is known by when it is read again."""
        return self.id or f"{self.path}: {self.title}"


@dataclass(frozen=True, slots=True)
class Seen:
    """In how many events a field of a rule is."""

    field: str
    """As the rule calls it."""
    source: str
    places: tuple[str, ...]
    """Where it was looked for: JSON paths in ``details``, or a column."""
    seen: int
    events: int
    """How many events of the source were looked at."""

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.field}: seen in {self.seen:,} of {self.events:,} events of {self.source}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one rule."""

    path: str
    """Its file, relative to the folder that was named."""
    title: str
    id: str
    state: str
    """``new``, ``changed``, ``same``, ``edited``, ``refused``, ``part`` or ``gone``: see :data:`STATES`."""
    reason: str = ""
    """Why it was refused, or left alone."""
    policy_id: str = ""
    sources: tuple[str, ...] = ()
    """The sources whose events the policy is about."""
    fields: tuple[Seen, ...] = ()
    """Each field of the rule in each source."""
    can_match: bool | None = None
    """Whether an event could match that has no field which none has so far; None: no events of its sources yet."""
    notes: tuple[str, ...] = ()
    """What the policy means otherwise than a reader of the rule may expect."""
    absent: tuple[str, ...] = ()
    """In words: the logsources that no source of the lake has, each with how many events there are all the same."""

    @property
    def unseen(self) -> tuple[Seen, ...]:
        """The fields that no event has."""
        return tuple(each for each in self.fields if not each.seen)


STATES = {
    "new": "a policy was made",
    "changed": "the rule is another one, and so is the policy",
    "same": "the policy is there already",
    "edited": "the policy was edited by hand and stays",
    "refused": "no policy can be made of it",
    "part": "it is a part of other rules and no policy by itself",
    "gone": "the policy's rule is not there any more",
}
"""What may come of a rule."""
