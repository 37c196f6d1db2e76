"""What is asked of days: a query of a policy, or the events of all types."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import duckdb

from auditlake.engine.model import Row
from auditlake.events.times import instant
from auditlake.policies.compile import told_by_day
from auditlake.policies.condition import ConditionError
from auditlake.policies.days import DAY, Part, parts_of
from auditlake.policies.kinds import measure_of
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.remembered.files import OF_ALL, question_digest

FORM = 2
"""Of the answers: to be raised when they change."""
EPISODES = "episodes_by_day"
"""The query of a policy's episodes, which alone looks back."""
_SOME_DAY = Question(*map(instant, (2 * DAY - 1, DAY - 1, 2 * DAY - 1)))
"""What statements are compiled about to tell them apart."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that is asked of days: a query of a policy, or the events of all types."""

    policy: Policy | None
    query: str
    digest: str
    back: int
    """How many microseconds it looks back."""

    @property
    def file(self) -> str:
        """Return the name of the file that keeps what is said."""
        return OF_ALL if self.policy is None else self.policy.id

    def first(self, part: Part) -> int:
        """Return the first day whose files matter to what is said of a part of a day."""
        return max(part.since + 1 - self.back, 0) // DAY

    @property
    def bridged(self) -> int:
        """Return how many days between two that are missing are better asked about as well: they are read anyway."""
        return -(-self.back // DAY) + 1


def asks_of(policy: Policy) -> dict[str, Ask]:
    """Return what is asked of days for a policy, by the query's name; nothing where its condition cannot be read."""
    with suppress(ConditionError):
        back = policy.window.microseconds
        return {
            name: Ask(policy, name, question_digest(FORM, duckdb.__version__, told), back if name == EPISODES else 0)
            for name, told in told_by_day(policy, _SOME_DAY).items()
        }
    return {}


def nothing(ask: Ask, stretch: Part) -> dict[str, Sequence[Row]]:
    """Return what a query gives of days without an event of its policy's types."""
    rows: dict[str, Sequence[Row]] = {ask.query: []}
    if ask.policy is not None and ask.query == EPISODES:
        rows["daily_peaks"] = [(each.day, measure_of(ask.policy).of_nothing) for each in parts_of(*stretch)]
    return rows
