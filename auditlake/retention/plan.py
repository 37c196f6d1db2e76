"""The plan of retention as data: what is due for deletion, what stays and why, day by day."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import combinations
from statistics import median
from typing import Any, Literal

from auditlake.display.cards import Card, CardFact, Shown, cells, cut
from auditlake.display.text import count, moment, size_in_words
from auditlake.events.times import print_instant
from auditlake.policies.model import Policy, RetentionConflict
from auditlake.retention.side_files import Leftover
from auditlake.store.model import DataFile

Action = Literal["drop", "rewrite", "keep"]
_SHOWN = 20
_BECOMES = {"drop": "loses whole files", "rewrite": "is rewritten", "keep": "stays"}
_HEADINGS = ("day", "becomes", "events", "due", "held", "pseudonymised")


@dataclass(frozen=True, slots=True)
class Amount:
    """How many files, and how large they are together."""

    files: int = 0
    size: int = 0
    """Bytes."""

    @classmethod
    def of(cls, files: Sequence[DataFile]) -> Amount:
        """Return them of some files."""
        return cls(len(files), sum(file.size for file in files))

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.files + other.files, self.size + other.size)

    @property
    def words(self) -> str:
        """The same in words."""
        return f"{count(self.files, 'file')} ({size_in_words(self.size)})"

    def as_dict(self) -> dict[str, int]:
        """Return them as JSON values."""
        return {"files": self.files, "bytes": self.size}


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a lake takes to write files anew: a share that does not depend on them, and a rate."""

    fixed: float
    """Microseconds."""
    a_byte: float
    """Microseconds for each byte that is written anew."""

    @classmethod
    def learned(cls, taken: Sequence[tuple[int, int]]) -> Pace | None:
        """Return the pace of several times; None if there was none.

        Medians over pairs of them, so that one time on a busy machine does not count. Only where one had twice the
        bytes of another can the share be told from the rate.

        Args:
            taken: The bytes that were written anew, more than none, and the microseconds that it took.
        """
        if not taken:
            return None
        pairs = ((less, more) for less, more in combinations(sorted(taken), 2) if more[0] >= 2 * less[0])
        rates = [(more[1] - less[1]) / (more[0] - less[0]) for less, more in pairs]
        a_byte = max(median(rates), 0.0) if rates else 0.0
        fixed = median(took - size * a_byte for size, took in taken) if rates else 0.0
        return cls(fixed, a_byte) if fixed > 0 else cls(0.0, median(took / size for size, took in taken))

    def seconds(self, size: int) -> float:
        """Return how long it may take to write so many bytes anew."""
        return (self.fixed + size * self.a_byte) / 1_000_000


@dataclass(frozen=True, slots=True)
class Costs:
    """What an apply does to files: dropping one is a line in a commit, rewriting one reads and writes it."""

    dropped: Amount = Amount()
    rewritten: Amount = Amount()
    seconds: float | None = None
    """How long the rewriting may take, by how long it took in this lake before; None where that is not known."""

    def as_dict(self) -> dict[str, Any]:
        """Return them as JSON values."""
        seconds = None if self.seconds is None else round(self.seconds, 1)
        return {"dropped": self.dropped.as_dict(), "rewritten": self.rewritten.as_dict(), "seconds": seconds}

    @property
    def words(self) -> str:
        """What is to become of files, in words."""
        if not self.rewritten.files:
            return f"{self.dropped.words} dropped, none rewritten"
        pace = "how long that takes is not known yet"
        pace = pace if self.seconds is None else f"which takes about {self.seconds:,.1f} s"
        return f"{self.dropped.words} dropped, {self.rewritten.words} rewritten, {pace}"

    @property
    def done(self) -> str:
        """What became of them, in words."""
        took = f" in {self.seconds:,.1f} s" if self.rewritten.files and self.seconds is not None else ""
        return f"{self.dropped.words} dropped, {self.rewritten.words} rewritten{took}"


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """One day's events, each counted once: held, else due, else kept by a policy, else kept by none."""

    day: date
    events: int
    due: Mapping[str, int]
    """Expired events by the rule by which they go: a policy's id, or ``default_retention``."""
    kept: Mapping[str, int]
    """Events whose longest retention is still running, by the policy that keeps them the longest, or by that which says
    when they must be gone where none keeps them."""
    ungoverned: int
    """Events of which no policy says how long they are kept and that are not due: kept by default_retention, or for
    ever."""
    held: int
    """Events under an active hold, expired or not."""
    held_by: Mapping[str, int]
    """The same by hold; an event under several is counted for each."""
    pseudonymise: Mapping[str, int]
    """Events that stay although their personal data must go, by the policy whose max_retention says so."""
    files: tuple[DataFile, ...]
    due_types: Mapping[str, int] = field(default_factory=dict)
    """Expired events by their type."""
    dropped: tuple[DataFile, ...] = ()
    """The files of which every event goes: they leave by metadata alone."""
    rewritten: tuple[DataFile, ...] = ()
    """Those that are written anew, since some of their events may stay and others go or change."""

    @property
    def deleted(self) -> int:
        """How many events go."""
        return sum(self.due.values())

    @property
    def pseudonymised(self) -> int:
        """How many events lose their personal data."""
        return sum(self.pseudonymise.values())

    @property
    def costs(self) -> Costs:
        """What becomes of its files."""
        return Costs(Amount.of(self.dropped), Amount.of(self.rewritten))

    @property
    def leaving(self) -> tuple[DataFile, ...]:
        """The files that leave the lake, whether or not others replace them."""
        return tuple(sorted((*self.dropped, *self.rewritten), key=lambda file: file.path))

    @property
    def action(self) -> Action:
        """What becomes of the partition: files of it leave by metadata alone, or some are written anew."""
        if not self.deleted and not self.pseudonymised:
            return "keep"
        return "drop" if self.deleted == self.events or (self.dropped and not self.rewritten) else "rewrite"


@dataclass(frozen=True, slots=True)
class RetentionPlan(Shown):
    """What an apply would do."""

    lake_id: str
    as_of: datetime
    midnight: datetime
    """00:00 UTC of its day: what is kept until before then is due."""
    snapshot: int
    policies: tuple[Policy, ...]
    holds: tuple[tuple[str, str], ...]
    """The active holds: id and digest."""
    default_retention: str | None
    partitions: tuple[PartitionPlan, ...]
    """Every day that has events."""
    conflicts: tuple[RetentionConflict, ...]
    """Where a max_retention is shorter than another policy's retention_period for a type that both govern. Nothing is
    deleted for one that is of the event: the two contradict each other."""
    silent: Mapping[str, tuple[date, ...]]
    """By policy: the days of its retention period, since the lake has events or was made, without a governed event."""
    kept_by_no_policy: Mapping[str, int]
    """The event types of which no policy says how long they are kept, with their events: for them default_retention
    counts, and without it they stay for ever."""
    asked_by_no_policy: Mapping[str, int]
    """Those that no policy names at all."""
    leftovers: tuple[Leftover, ...]
    """Quarantine files and reports that go too."""
    weaker: tuple[str, ...]
    """What has become weaker since the last record; an apply refuses then unless it is accepted with a reason."""

    pace: Pace | None = None
    """How long this lake's last deletions took that wrote files anew; None where there was none."""

    @property
    def costs(self) -> Costs:
        """What becomes of files, and how long that may take."""
        days = [each.costs for each in self.partitions]
        dropped, rewritten = (
            sum((each.dropped for each in days), Amount()),
            sum((each.rewritten for each in days), Amount()),
        )
        if not rewritten.size:
            return Costs(dropped, rewritten, 0.0)
        return Costs(dropped, rewritten, None if self.pace is None else self.pace.seconds(rewritten.size))

    @property
    def due(self) -> int:
        """How many events go."""
        return sum(each.deleted for each in self.partitions)

    @property
    def held(self) -> int:
        """How many events are under a hold."""
        return sum(each.held for each in self.partitions)

    @property
    def pseudonymise(self) -> int:
        """How many events lose their personal data and stay."""
        return sum(each.pseudonymised for each in self.partitions)

    @property
    def never_expire(self) -> int:
        """How many events nothing ever ends: no policy keeps them, and there is no default_retention."""
        return 0 if self.default_retention else sum(each.ungoverned for each in self.partitions)

    @property
    def changes(self) -> tuple[PartitionPlan, ...]:
        """The partitions that do not stay as they are."""
        return tuple(each for each in self.partitions if each.action != "keep")

    @property
    def digest(self) -> str:
        """``sha256:`` over the canonical JSON of what an apply would do and under which rules.

        Neither the version nor days that stay are in it, nor the time of day: events that arrive meanwhile and change
        nothing of this do not make it another plan. Files are named by their content, so those of a day are.
        """
        content = {
            "lake": self.lake_id, "midnight": print_instant(self.midnight), "default_retention": self.default_retention,
            "policies": [[each.id, each.digest] for each in self.policies],
            "holds": [list(each) for each in self.holds],
            "partitions": [
                {"day": each.day.isoformat(), "action": each.action, "due": dict(each.due), "held": each.held,
                 "pseudonymise": dict(each.pseudonymise), "files": [file.path for file in each.leaving]}
                for each in self.changes
            ],
            "leftovers": [each.path for each in self.leftovers],
        }  # fmt: skip
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def _card(self) -> Card:
        """Return the days that change, and what the operator should know before."""
        changes = self.changes
        rows = [
            (each.day, _BECOMES[each.action], each.events, each.deleted, each.held, each.pseudonymised)
            for each in changes[:_SHOWN]
        ]
        facts = [
            CardFact("as of", moment(self.as_of)),
            CardFact("snapshot", str(self.snapshot)),
            CardFact("due", f"{count(self.due, 'event')} on {count(sum(bool(each.due) for each in changes), 'day')}"),
            CardFact("held", f"{self.held:,}"),
            CardFact("pseudonymised", f"{self.pseudonymise:,}"),
            CardFact("never expire", f"{self.never_expire:,}"),
            *([CardFact("files", self.costs.words)] if changes else []),
            *_left_out("kept by no policy", self.kept_by_no_policy),
            *_left_out("asked about by no policy", self.asked_by_no_policy),
            *(CardFact("contradiction" if each.of else "conflict",
                       cut(f"{each.event_type}: {each.limit_policy}, {each.keep_policy}"))
              for each in self.conflicts),
            *(CardFact("weaker", cut(sentence)) for sentence in self.weaker),
        ]  # fmt: skip
        more = f"the first {_SHOWN} of {count(len(changes), 'day')} that change" if len(changes) > _SHOWN else ""
        note = "; ".join(filter(None, [more, "nothing is deleted before auditlake retention apply"]))
        headings = _HEADINGS if rows else ()
        return Card("retention plan", self.digest[:19], "", tuple(facts), headings, cells(rows), note)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "digest": self.digest, "lake": self.lake_id, "as_of": print_instant(self.as_of),
            "midnight": print_instant(self.midnight), "snapshot": self.snapshot,
            "due": self.due, "held": self.held, "pseudonymise": self.pseudonymise, "never_expire": self.never_expire,
            "costs": self.costs.as_dict(),
            "default_retention": self.default_retention,
            "policies": [
                {"id": each.id, "digest": each.digest,
                 "retention_period": each.retention_period and str(each.retention_period),
                 "max_retention": each.asked_max_retention}
                for each in self.policies
            ],
            "holds": [{"id": hold, "digest": digest} for hold, digest in self.holds],
            "partitions": [_partition(each) for each in self.partitions],
            "conflicts": [each.as_dict() for each in self.conflicts],
            "silent_days": {policy: [day.isoformat() for day in days] for policy, days in self.silent.items()},
            "kept_by_no_policy": dict(self.kept_by_no_policy), "asked_by_no_policy": dict(self.asked_by_no_policy),
            "leftovers": [
                {"path": each.path, "kind": each.kind, "bytes": each.size, "because": each.because}
                for each in self.leftovers
            ],
            "weaker": list(self.weaker),
        }  # fmt: skip


def _partition(each: PartitionPlan) -> dict[str, Any]:
    return {
        "day": each.day.isoformat(), "action": each.action, "events": each.events, "due": dict(each.due),
        "kept": dict(each.kept), "ungoverned": each.ungoverned, "held": each.held, "held_by": dict(each.held_by),
        "pseudonymise": dict(each.pseudonymise), "files": len(each.files),
        "bytes": sum(file.size for file in each.files), "dropped": each.costs.dropped.as_dict(),
        "rewritten": each.costs.rewritten.as_dict(),
    }  # fmt: skip


def _left_out(what: str, types: Mapping[str, int]) -> list[CardFact]:
    return [CardFact(what, cut(", ".join(f"{name} ({events:,})" for name, events in types.items())))] if types else []
