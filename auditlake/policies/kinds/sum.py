"""The measure ``sum``: what the numbers in a rolling window come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from auditlake.display.text import spelled
from auditlake.engine.statements import Statement, statements
from auditlake.policies.condition import value_sql
from auditlake.policies.kinds.model import Key
from auditlake.policies.kinds.threshold import Threshold, ThresholdKind, groups, whose
from auditlake.policies.kinds.values import VALUE, read_value
from auditlake.policies.kinds.words import Words
from auditlake.policies.model import Number, Policy
from auditlake.policies.question import Question

if TYPE_CHECKING:
    import yaml

    from auditlake.engine.model import Row
    from auditlake.yaml_reader import Reader

PLACES = 6
"""How many decimals a number has."""
_LARGEST_VALUE = 10**20
_MICROS = 10**PLACES


class SumKind(ThresholdKind):
    """The sum of a number over a group's events; it may fall when a negative number comes."""

    name = "sum"
    asked_by = "sum"
    default_threshold = None
    counts_intervals = False
    is_of_values = True
    title = "Sums"
    meaning = "The sum of the numbers"
    is_average = False
    least = Decimal("0.000001")
    """The smallest threshold."""
    most = Decimal(10**15)
    """The largest one."""
    what = "The column or expression whose numbers are added up."

    def __init__(self) -> None:
        self.keys = (Key(self.name, VALUE | {"description": self.what}, read=read_value, needs=("alert_threshold",)),)
        schema = {"type": "number", "minimum": float(self.least), "maximum": float(self.most)}
        self.instead = (Key("alert_threshold", schema, read=self._threshold, asks=True),)

    def _threshold(self, reader: Reader, node: yaml.Node, key: str) -> Number | None:
        return reader.decimal(node, key, self.least, self.most, PLACES)

    def intervals(self, policy: Policy) -> Iterable[Statement]:
        """Return from when to when the numbers of a group come to the same."""
        own = self.machine(policy)
        return (own["matching"], groups(), own["movements"], own["levels"])

    def machine(self, policy: Policy) -> Mapping[str, Statement]:
        """Return its own: what it measures is no number of intervals."""
        return statements("policies/totals.sql")

    def cutting(self) -> Mapping[str, Statement]:
        """Return its own."""
        return statements("policies/totals.sql")

    def evidence(self, policy: Policy) -> Iterable[Statement]:
        """Return how many numbers there are."""
        return (self.machine(policy)["evidence"],)

    def own_slots(self, policy: Policy) -> Mapping[str, str]:
        """Return the number of an event."""
        number = f"try(cast({value_sql(policy.more[self.name])} as decimal(38, {PLACES})))"
        return {"number_of_event": number, "has_value": f"coalesce(abs({number}) <= {_LARGEST_VALUE}, false)"}

    def values(self, policy: Policy, question: Question) -> Mapping[str, object]:
        """Return the threshold in millionths, and from which number on one is none."""
        return {"is_average": self.is_average, "least": int(policy.least * _MICROS), "largest": _LARGEST_VALUE}

    def number(self, measure: int) -> Number:
        """Return a measure, which SQL has in millionths."""
        whole, rest = divmod(abs(int(measure)), _MICROS)  # numbers of 128 bits come as decimals
        sign = -1 if measure < 0 else 1
        return Decimal(f"{'-' * (sign < 0)}{whole}.{rest:06}".rstrip("0")) if rest else sign * whole

    def about(self, rows: Sequence[Row], policy: Policy) -> Mapping[str, Any]:
        """Return how many numbers the window of the peak has."""
        return {"numbers": rows[0][0]}

    def asked(self, policy: Policy) -> dict[str, Any]:
        """Return what is added up."""
        return {self.name: policy.more[self.name]}

    def expressions(self, policy: Policy) -> Iterable[str]:
        """Return what is added up."""
        return (policy.more[self.name],)

    def measured(self, asked: Mapping[str, Any], number: Number, said: Callable[[str], str] = str) -> str:
        """Return what is added up."""
        return f"as the {self.name} of {asked[self.name]}"

    def words(self, answer: Threshold, apart: str, noun: Callable[[Number], str]) -> Words:
        """Return what a page says of numbers."""
        least, window = f"{answer.alert_threshold:,}", spelled(answer.window)
        return replace(
            super().words(answer, apart, noun),
            measured=noun(2).removeprefix("as "),
            charted=f"Highest {self.name} {{}}: {answer.asked[self.name]}{apart} within {window}",
            highest=self.name,
            found=f"{least} or more {noun(2)}{apart} within {window}",
            none=f"No window of {window} had {least} or more {noun(2)}{apart}",
        )

    def message(self, policy: Policy, group: Mapping[str, str | None], peak: Number) -> str:
        """Return an episode in words."""
        what = f"The {self.name} of {policy.more[self.name]} within {policy.window}{whose(group)}"
        return f"{what} is {peak}: the threshold is {policy.alert_threshold}"
