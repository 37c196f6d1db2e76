"""The rules of retention at an instant: policies, holds and settings as the values that ``sql/retention`` binds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from auditlake.engine.arrow_rows import table_rows
from auditlake.engine.statements import statement
from auditlake.events.durations import Duration, length_of
from auditlake.events.json_tokens import spelled
from auditlake.events.personal import Eraser, PersonalData, Row
from auditlake.events.personal_paths import PersonalPath
from auditlake.policies.compile import Step, fill_holds
from auditlake.policies.holds import Hold
from auditlake.policies.model import Part, Policy, longest_retention, shortest_limit
from auditlake.policies.question import earlier
from auditlake.sources.catalog import built_in
from auditlake.store.pseudonyms import Pseudonyms

if TYPE_CHECKING:
    import duckdb

_DAY = timedelta(days=1)
_ROWS = 10_000

DEFAULT = "default_retention"
"""The name of the rule for events that no policy keeps; no policy has it, since it is no policy's file."""


@dataclass(frozen=True)
class RetentionRules:
    """The rules at an instant."""

    policies: tuple[Policy, ...]
    holds: tuple[Hold, ...]
    """The active ones, with the pseudonyms of the people whom they name."""
    default_retention: Duration | None
    personal: tuple[PersonalPath, ...]
    """Where personal data lies beside the columns."""
    names: Pseudonyms | None
    as_of: datetime
    own_sources: Mapping[str, PersonalData] | None = None
    """Where the events of each source name people, in a lake with mappings of its own; None in any other."""
    person: str | None = None
    """The user_id to erase, in an erasure."""
    all_holds: tuple[Hold, ...] = ()
    """Every hold of the lake as its file says it; those that have ended are on record too."""

    @cached_property
    def sources(self) -> Mapping[str, PersonalData]:
        """Where the events of each source name people; most plans need not know."""
        return built_in().personal_data if self.own_sources is None else self.own_sources

    @cached_property
    def eraser(self) -> Eraser:
        """What takes the personal data out of events."""
        return Eraser(self.names or Pseudonyms(b""), self.sources, self.personal, self.person)

    @property
    def midnight(self) -> datetime:
        """00:00 UTC of the day of as_of: what is kept until before then is due."""
        return self.as_of.replace(hour=0, minute=0, second=0, microsecond=0)

    @cached_property
    def keepers(self) -> dict[str, Policy]:
        """The policy that keeps each type the longest, of those types that any policy keeps."""
        types = sorted({name for policy in self.policies for name in policy.required_events})
        longest = {name: longest_retention(name, self.policies) for name in types}
        return {name: policy for name, policy in longest.items() if policy is not None}

    @cached_property
    def limits(self) -> dict[str, Policy]:
        """The policy with the shortest max_retention of personal data for each type that has one."""
        return self._shortest("personal_data")

    @cached_property
    def enders(self) -> dict[str, Policy]:
        """The policy by which events of a type must be gone, of those types that no policy keeps, and that go sooner by
        it than by ``default_retention``.
        """
        default = length_of(self.default_retention)
        return {
            name: policy for name, policy in self._shortest("event").items()
            if name not in self.keepers and not 0 < default < length_of(policy.max_event_retention)
        }  # fmt: skip

    def _shortest(self, of: Part) -> dict[str, Policy]:
        types = sorted({name for policy in self.policies for name in policy.required_events})
        return {name: limit for name in types if (limit := shortest_limit(name, self.policies, of))}

    def rule(self, event_type: str) -> str | None:
        """Return by what events of a type go: by the policy that keeps them the longest, by that which lets them stay
        the shortest where none keeps them, by :data:`DEFAULT`; None: nothing ends it.
        """
        if policy := self.keepers.get(event_type) or self.enders.get(event_type):
            return policy.id
        return DEFAULT if self.default_retention else None

    def length(self, event_type: str) -> Duration | None:
        """Return how long events of a type are kept; None: for ever."""
        if keeper := self.keepers.get(event_type):
            return keeper.retention_period
        ender = self.enders.get(event_type)
        return ender.max_event_retention if ender else self.default_retention

    def cutoff(self, event_type: str) -> datetime | None:
        """Return the instant before which events of a type are due; None: never.

        What must be gone goes on the day on which it must, and never late; what is kept goes after it, and never early.
        """
        length = self.length(event_type)
        if length is None:
            return None
        if event_type in self.enders:
            return min(self.before(length, self.midnight + _DAY), self.as_of)
        return self.before(length)

    def before(self, length: Duration, instant: datetime | None = None) -> datetime:
        """Return the instant before which everything is older than a length, as of midnight unless it is said."""
        return earlier(instant or self.midnight, timedelta(microseconds=length.microseconds))

    def limit(self, event_type: str) -> datetime | None:
        """Return the instant before which personal data must go, up to the end of the day of as_of, so never late."""
        policy = self.limits.get(event_type)
        length = policy.max_retention if policy else None
        return self.before(length, self.midnight + _DAY) if length else None

    def step(self, name: str, **more: object) -> Step:
        """Return a statement of ``sql/retention/judge.sql`` or ``day.sql``, ready to run."""
        is_timed = name in {"judged", "whole_days", "held_by"}
        part = statement(f"retention/{'judge' if is_timed or name == 'over_limit' else 'day'}.sql", name)
        return fill_holds(part, self.holds, (self._times if is_timed else self._values) | more)

    @property
    def texts(self) -> Step:
        """The statement that gives the marked rows of a day whose texts may name a person, some at a time."""
        part = statement("retention/day.sql", "personal_rows")
        return Step(part.name, part.text, part.bind({**self._values, "first": 0, "behind": 0}))

    @cached_property
    def _times(self) -> dict[str, object]:
        types, limited = [*self.keepers, *self.enders], list(self.limits)
        return {
            "types": types,
            "cutoffs": [self.cutoff(name) for name in types],
            "default_cutoff": self.default_retention and self.before(self.default_retention),
            "limited_types": limited,
            "limits": (limits := [self.limit(name) for name in limited]),
            "last_limit": max(filter(None, limits), default=None),
            "as_of": self.as_of,
        }

    @cached_property
    def _values(self) -> dict[str, object]:
        keys: dict[str, object] = {"inner_key": b"", "outer_key": b"", "check_key": None}
        return {
            **self._times,
            **self._places_of("details"),
            **self._places_of("metadata"),
            "nobody": self.eraser.nobody,
            "hints": sorted({f'"{path.steps[-1]}"' for path in (*self.eraser.source_places, *self.personal)}),
            "person": spelled(self.person) if self.person else [],
            **(self.names.values | self.names.id_values if self.names else keys),
        }

    def _places_of(self, column: str) -> dict[str, object]:
        """Return the places in a column: of the sources, of lake.toml or the caller, and all above them."""
        own = [path for path in self.eraser.source_places if path.column == column]
        named = [path for path in self.personal if path.column == column]
        above = {"$", *(each.below for path in (*own, *named) for each in path.above)}
        places = {"in": {path.below for path in own}, "told": {path.below for path in named}, "above": above}
        return {f"{name}_{column}": sorted(paths) for name, paths in places.items()}


def named(connection: duckdb.DuckDBPyConnection, step: Step, eraser: Eraser) -> Iterator[tuple[Any, ...]]:
    """Yield the groups of a statement's rows that name a person: surely, or as only a look at their texts tells.

    Args:
        connection: Where to run it.
        step: A statement whose last columns are source, resource, details, metadata and a number of events; all texts
            are null where it is sure, and so are then the personal columns of those where it is not.
        eraser: What takes personal data out of events.

    Yields:
        What precedes these columns, and the number of events.
    """
    for batch in connection.sql(step.sql, params=dict(step.parameters)).to_arrow_reader(_ROWS):
        for *group, source, resource, details, metadata, events in table_rows(batch):
            row = Row(source, None, resource, None, details, metadata, None, None, None)
            if (details is None and metadata is None and resource is None) or eraser.is_named(row):
                yield *group, events


def longest_of_all(policies: Sequence[Policy], default_retention: Duration | None) -> Duration | None:
    """Return the longest that anything is kept; None where nothing ends."""
    lengths = [*(policy.retention_period for policy in policies), default_retention]
    return max(filter(None, lengths), key=length_of, default=None)
