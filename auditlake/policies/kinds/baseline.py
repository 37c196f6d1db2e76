"""The measure ``baseline``: events of a stretch of time against the same stretch of the seasons before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from auditlake.display.text import spelled
from auditlake.engine.statements import Statement, statements
from auditlake.events.times import MICROSECOND, instant, micros
from auditlake.policies.kinds.model import FindingKind, Inquiry, Key, Query, length
from auditlake.policies.kinds.threshold import MEASURED, Comparison, Threshold, ThresholdKind, groups, whose
from auditlake.policies.kinds.words import Words
from auditlake.policies.model import Number, Policy
from auditlake.policies.question import BEFORE_ALL, Question, earlier

if TYPE_CHECKING:
    import yaml

    from auditlake.engine.model import Row
    from auditlake.yaml_reader import Reader

_MOST_SEASONS = 60
_RATIOS = (Decimal(1), Decimal(1000))
_OFFSET = re.compile(r"([+-])(0[0-9]|1[0-7]):([0-5][0-9])|([+-])(18):(00)")
_REQUIRED = ("bucket", "season", "seasons", "at_least", "ratio")
_SCHEMA: dict[str, Any] = {
    "type": "object", "additionalProperties": False, "required": list(_REQUIRED),
    "description": "Unusually many or few events, compared with the same stretch of the seasons before.",
    "properties": {
        "bucket": length("bucket", "The stretch of time whose events are counted, such as 1h."),
        "season": length("season", "After how long the same is expected again, such as 7d: a multiple of the bucket."),
        "seasons": {"type": "integer", "minimum": 1, "maximum": _MOST_SEASONS, "description":
            "How many seasons before are looked at."},
        "at_least": {"type": "integer", "minimum": 1, "maximum": _MOST_SEASONS, "description":
            "How many of them there must be to judge a bucket."},
        "ratio": {"type": "number", "minimum": int(_RATIOS[0]), "maximum": int(_RATIOS[1]), "description":
            "How many times as many, or as few, events as usual are unusual; at most two decimals."},
        "direction": {"enum": ("above", "below"), "default": "above", "description":
            "Whether unusually many or unusually few are looked for."},
        "offset": {"type": "string", "pattern": f"^({_OFFSET.pattern})$", "default": "+00:00", "description":
            "The offset of the zone whose midnight buckets are counted from."},
    },
}  # fmt: skip


class BaselineKind(ThresholdKind):
    """Buckets that have many more, or many fewer, events than the same bucket usually has."""

    name = "baseline"
    looks_far_back = True
    asked_by = "baseline"
    default_threshold = None
    floor = "a bucket is unusual where it is out of proportion as well"
    has_windows = False
    finding_kinds = (FindingKind("baseline", "unusual stretch", MEASURED),)

    def __init__(self) -> None:
        self.keys = (Key("baseline", _SCHEMA, read=self._read, needs=("alert_threshold",)),)

    def _read(self, reader: Reader, node: yaml.Node, key: str) -> dict[str, Any]:
        known = _SCHEMA["properties"]
        fields = reader.mapping(node, key, tuple(known), _REQUIRED)
        own: dict[str, Callable[[yaml.Node, str], Any]] = {
            "ratio": lambda value, name: reader.decimal(value, name, *_RATIOS, 2),
            "offset": lambda value, name: reader.parsed(value, name, "an offset, such as +02:00", _offset),
        }
        values = {
            name: own[name](value, name) if name in own else reader.value(value, name, known[name])
            for name, value in fields.items()
        }
        bucket, season, seasons, least = map(values.get, ("bucket", "season", "seasons", "at_least"))
        if bucket and season and season.microseconds % bucket.microseconds:
            reader.wrong(fields["season"], f"season: expected a multiple of the bucket, got {season} and {bucket}")
        if seasons and least and least > seasons:
            reader.wrong(fields["at_least"], f"at_least: expected at most {seasons}, the number of seasons")
        return {"direction": "above", "offset": "+00:00", **values}

    def complete(self, reader: Reader, fields: Mapping[str, yaml.Node], values: dict[str, Any]) -> None:
        """Take the bucket for the window, which the policy cannot have beside it."""
        super().complete(reader, fields, values)
        if "window" in fields:
            reader.wrong(fields["window"], "window: not with 'baseline', whose 'bucket' says how long is counted")
        values["window"] = values["baseline"]["bucket"]

    def intervals(self, policy: Policy) -> Iterable[Statement]:
        """Return the unusual buckets."""
        own = self.machine(policy)
        return (own["matching"], groups(), *(own[name] for name in ("counts", "candidates", "unusual")))

    def machine(self, policy: Policy) -> Mapping[str, Statement]:
        """Return its own: buckets are no windows."""
        return statements("policies/baseline.sql")

    def evidence(self, policy: Policy) -> Iterable[Statement]:
        """Return what is usual."""
        return (self.machine(policy)["evidence"],)

    def backtest(self, inquiry: Inquiry, thresholds: Sequence[int]) -> Query:
        """Return the query that counts the episodes of each threshold, the least of which finds the buckets."""
        return super().backtest(replace(inquiry, policy=replace(inquiry.policy, alert_threshold=min(thresholds))),
                                thresholds)  # fmt: skip

    def values(self, policy: Policy, question: Question) -> Mapping[str, object]:
        """Return the buckets that are judged, by number, and how they are compared."""
        own = policy.more["baseline"]
        bucket, is_below = own["bucket"].microseconds, own["direction"] == "below"
        zero = self._zero(policy)
        return {
            "zero": zero, "bucket_us": bucket, "season": own["season"].microseconds // bucket,
            "seasons": own["seasons"], "at_least": own["at_least"], "hundredths": int(own["ratio"] * 100),
            "is_below": is_below, "first": self._first(policy, question),
            "last": (micros(question.until) - zero) // bucket - is_below,
            "history_start": self.history_start(policy, question),
        }  # fmt: skip

    def history_start(self, policy: Policy, question: Question) -> datetime:
        """Return the instant before the first bucket of the seasons that the first judged bucket is compared with."""
        own = policy.more["baseline"]
        bucket, season = own["bucket"].microseconds, own["season"].microseconds
        reach = self._zero(policy) + self._first(policy, question) * bucket - season * (own["seasons"] + 1)
        return max(BEFORE_ALL, instant(max(reach, -1) - 1))

    def _first(self, policy: Policy, question: Question) -> int:
        """Return the first judged bucket: one that ends with `since` is judged too, as a run may go on from it."""
        bucket: int = policy.more["baseline"]["bucket"].microseconds
        return (micros(question.since) - 1 - self._zero(policy)) // bucket

    def about(self, rows: Sequence[Row], policy: Policy) -> Mapping[str, Any]:
        """Return what is usual, from which number on a bucket is unusual, and the numbers of the seasons before."""
        ((usual, limit, past),) = rows
        return {"usual": usual, "limit": limit, "m": len(past), "past": list(past)}

    @staticmethod
    def _zero(policy: Policy) -> int:
        """Return the instant before 1970 from which buckets are counted, in microseconds."""
        bucket: int = policy.more["baseline"]["bucket"].microseconds
        return -_offset_us(policy.more["baseline"]["offset"]) % bucket - bucket

    def looked_back(
        self, policy: Policy, evidence: Mapping[str, Any], peak_at: datetime
    ) -> Iterable[tuple[datetime, datetime]]:  # fmt: skip
        """Return from the first of the seasons before to the bucket of the peak."""
        own = policy.more["baseline"]
        bucket, zero = own["bucket"].microseconds, self._zero(policy)
        begins = peak_at - MICROSECOND * ((micros(peak_at) - zero) % bucket)
        past = timedelta(microseconds=own["season"].microseconds * own["seasons"])
        yield earlier(begins, past), begins

    def asked(self, policy: Policy) -> dict[str, Any]:
        """Return its keys as they were written."""
        own = policy.more["baseline"]
        return {"baseline": {key: str(own[key]) if key in ("bucket", "season") else own[key] for key in own}}

    def comparison(self, evidence: Mapping[str, Any], peak: Number) -> Comparison | None:
        """Return the seasons before, and the peak."""
        return Comparison(tuple(reversed(evidence["past"])), int(peak), evidence["usual"], evidence["limit"])

    def words(self, answer: Threshold, apart: str, noun: Callable[[Number], str]) -> Words:
        """Return what a page says of buckets and of what is usual."""
        own, least, bucket = answer.asked["baseline"], f"{answer.alert_threshold:,}", spelled(answer.window)
        words = replace(
            super().words(answer, apart, noun),
            heading="Counts against what is usual",
            measured=f"events, more than {own['ratio']} times the usual number",
            meaning="The number of counted events in a bucket. What is usual is the lower median of the same bucket of "
            "the seasons before.",
            stretch="A run of neighbouring buckets of one group that are unusual.",
            charted=f"Most events in a bucket of {bucket} {{}}{apart}",
            highest="number in a bucket",
            line="floor",
            reached="There is an unusual bucket",
        )
        if own["direction"] == "below":
            few = f"than usual divided by {own['ratio']}, where at least {least} are usual"
            found, none = (
                f"fewer events{apart} in {bucket} {few}",
                f"No bucket of {bucket} had fewer events{apart} {few}",
            )
            measured = f"events, fewer than the usual number divided by {own['ratio']}"
            return replace(
                words, measured=measured, highest=None, line=None, limit="below usual", found=found, none=none
            )
        events, many = "event" if answer.alert_threshold == 1 else "events", f"{own['ratio']} times as many as usual"
        return replace(
            words,
            limit="above usual",
            found=f"at least {least} {events}{apart} in {bucket}, and more than {many}",
            none=f"No bucket of {bucket} had {least} or more events{apart} and more than {many}",
        )

    def message(self, policy: Policy, group: Mapping[str, str | None], peak: Number) -> str:
        """Return an episode in words."""
        few = "Only " if policy.more["baseline"]["direction"] == "below" else ""
        return f"{few}{peak} event{'' if peak == 1 else 's'} within {policy.window}{whose(group)}"

    def told(
        self, policy: Policy, group: Mapping[str, str | None], peak: Number, evidence: Mapping[str, Any]
    ) -> str:  # fmt: skip
        """Return an episode in words, with what is usual."""
        are = "is" if evidence["usual"] == 1 else "are"
        edge = "up to" if policy.more["baseline"]["direction"] == "below" else "from"
        usual = f"{evidence['usual']} {are} usual, unusual {edge} {evidence['limit']}"
        return f"{self.message(policy, group, peak)}: {usual}"


def _offset(text: str) -> str:
    if not _OFFSET.fullmatch(text):
        message = f"expected an offset of a zone, such as +02:00, got {text!r}"
        raise ValueError(message)
    return text


def _offset_us(text: str) -> int:
    """Return how far a zone's clocks are ahead of UTC, in microseconds."""
    minutes = int(text[1:3]) * 60 + int(text[4:])
    return (-minutes if text[0] == "-" else minutes) * 60_000_000
