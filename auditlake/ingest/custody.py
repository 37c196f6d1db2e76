"""The chain of custody: each input, how it was read, and what became of its records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from auditlake.context import LakeContext
from auditlake.errors import SourceError
from auditlake.sources.catalog import Catalog, canonical, catalog_of

_SHARE = re.compile(r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,6})?)\s?(?P<percent>%?)", re.ASCII)
_QUOTED = 60
_LONGEST = 4_000


@dataclass(frozen=True, slots=True)
class InputSummary:
    """The chain of custody of one input, with what became of it.

    Where each record is one event, ``read = landed + duplicates + quarantined + skipped``. A record may be several
    events, or none; a record is quarantined as a whole, and also where one of its events conflicts with another of its
    id.
    """

    name: str
    size: int
    """Bytes of the input as it lay there (compressed where it was)."""
    sha256: str
    source: str
    """The mapping that was used; empty where the input was left out."""
    format: str
    read: int
    """Records."""
    landed: int
    """Events that are new."""
    duplicates: int
    """Events that the lake has already, and records that an erasure took out of its quarantine."""
    quarantined: int
    """Records."""
    notice: str = ""
    """Why the input was left out, where it was, or that it is empty."""
    offset: int = 0
    """Where in the file the input begins, of a stretch of a landing segment."""
    events: int = 0
    """Events that its records gave: those that landed, those that the lake has, and those that conflict."""
    mapping: str = ""
    """The version of its mapping, as ``metadata.mapping`` of its events says it; empty where it has none."""
    skips: Mapping[str, int] = field(default_factory=dict)
    """Records that the mapping leaves out since they are no events, by the name that it gives them."""

    @property
    def skipped(self) -> int:
        """Records that the mapping leaves out."""
        return sum(self.skips.values())


@dataclass(frozen=True, slots=True)
class Most:
    """How many of the records of an ingest may be quarantined before it counts as failed."""

    number: float
    percent: bool
    """Whether the number is a share of the records, in percent."""

    def exceeded(self, quarantined: int, read: int) -> bool:
        """Return whether so many are more than that."""
        return quarantined * 100 > self.number * read if self.percent else quarantined > self.number


def read_limit(asked: str | int | None) -> Most | None:
    """Read a caller's limit, ``5%`` or ``100``; None if there is no limit.

    Raises:
        SourceError: It is neither.
    """
    if asked is None:
        return None
    limit = None if isinstance(asked, bool) else _SHARE.fullmatch(str(asked).strip())
    number = float(limit["number"]) if limit else -1
    if limit is None or (number > 100 if limit["percent"] else "." in limit["number"]):
        message = f"expected a number of records or a share of them up to 100%, got {asked!r}"
        raise SourceError(message, hint="for example 100, or 5%")
    return Most(number, bool(limit["percent"]))


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How an ingest is done."""

    event_types: frozenset[str]
    """The types that this lake knows."""
    max_record: int
    """Bytes; a longer record is quarantined."""
    source: str | None = None
    """The source of all inputs; each is recognised by itself if None."""
    strict: bool = False
    """Land nothing if anything would be quarantined."""
    most: Most | None = None
    """How many records may be quarantined before the ingest counts as failed; only if they all are, if None."""
    tolerant: bool = False
    """Leave out what no source knows also where that is all of a folder or pattern."""
    catalog: Catalog = field(default_factory=canonical)
    """The sources that inputs may be of; those of live events by default."""

    timezone: str = "UTC"
    """The zone of times that have no offset."""
    history: str | None = None
    """Why these are old events, loaded late on purpose; None where they are not."""
    dry_run: bool = False
    """Only tell what would land."""

    def __post_init__(self) -> None:
        if self.history is not None and not 0 < len(self.history.strip()) <= _LONGEST:
            got = f"{len(self.history):,} characters" if self.history.strip() else "nothing"
            message = f"history: expected 1 to {_LONGEST:,} characters, got {got}"
            raise SourceError(message, hint="say why old events are loaded")

    @classmethod
    def live(cls, context: LakeContext) -> IngestOptions:
        """Return the options for live events, for which no mapping is read."""
        return cls(context.config.event_types, context.config.max_record)

    @classmethod
    def of(
        cls,
        context: LakeContext,
        source: str | None = None,
        *,
        strict: bool = False,
        most: str | int | None = None,
        tolerant: bool = False,
    ) -> IngestOptions:
        """Return the options of a lake; its ``most`` is as a caller writes it.

        Raises:
            SourceError: ``most`` is no limit.
        """
        config = context.config
        catalog = catalog_of(context.layout, config.event_types)
        limit = read_limit(most)
        return cls(config.event_types, config.max_record, source, strict, limit, tolerant, catalog)


@dataclass(frozen=True, slots=True)
class Example:
    """Records that were quarantined for one reason, with what one of them had in the field at fault."""

    reason: str
    field: str
    """The field at fault; empty where it is the record as a whole."""
    value: str
    """What the first of them had there, as it came, cut; empty where there is nothing to show."""
    records: int

    def __str__(self) -> str:
        about = f"{self.field}: " if self.field else ""
        value = self.value if len(self.value) <= _QUOTED else f"{self.value[: _QUOTED - 1]}…"
        such = f", e.g. '{value}'" if self.value else ""
        return f"{about}{self.reason}{such}, {self.records:,} record{'' if self.records == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class NewSkip:
    """A rule that left out more than one record in a hundred, and did not in the ingest before, or is of another
    mapping since.
    """

    source: str
    rule: str
    """Its name in the mapping."""
    skipped: int
    """Records."""
    read: int
    """Records of the source."""
    why: str
    """What is new about it."""

    def __str__(self) -> str:
        share = f"{self.skipped:,} of {self.read:,} records ({self.skipped / self.read:.1%})"
        return f"{self.source} newly leaves out {self.rule!r}: {share}; {self.why}"


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What an ingest did."""

    inputs: tuple[InputSummary, ...]
    snapshot: int
    """The newest version of the lake after it."""
    batch: int | None
    """The batch it landed as; None if there was nothing new to record."""
    reasons: Mapping[str, int]
    """Quarantined records by reason."""
    quarantine: Path | None
    """The file that holds them."""
    examples: Sequence[Example] = ()
    """The same by field too, each with a value: what people need to mend their logs."""
    limit: Most | None = None
    """How many were to be quarantined at most."""
    history: str | None = None
    """Why these are old events, loaded late on purpose; None where they are not."""
    new_skips: tuple[NewSkip, ...] = ()
    """The rules of mappings that newly leave out more than one record in a hundred."""

    read: int = field(init=False)
    events: int = field(init=False)
    landed: int = field(init=False)
    duplicates: int = field(init=False)
    quarantined: int = field(init=False)
    skipped: int = field(init=False)

    def __post_init__(self) -> None:
        for name in ("read", "events", "landed", "duplicates", "quarantined", "skipped"):
            object.__setattr__(self, name, sum(getattr(each, name) for each in self.inputs))

    @property
    def skips(self) -> Mapping[str, int]:
        """Records that mappings leave out, by source and the name that the mapping gives them."""
        total: Counter[str] = Counter()
        for each in self.inputs:
            total.update({f"{each.source}: {name}": number for name, number in each.skips.items()})
        return total

    @property
    def nothing_read(self) -> bool:
        """Whether there was nothing that could be read: every input was left out or is empty, or there was none."""
        return all(each.notice or (each.format in {"tar", "zip"} and not each.read) for each in self.inputs)

    @property
    def failed(self) -> bool:
        """Whether every record was quarantined and no event landed, or more than ``max_quarantined`` allows."""
        if self.read and self.quarantined == self.read and not self.landed:
            return True
        return self.limit is not None and self.limit.exceeded(self.quarantined, self.read)


def _once(each: InputSummary) -> int:
    """Return the records of an input where each of them is one event."""
    return each.landed + each.duplicates + each.quarantined + each.skipped


def custody(
    batch: int,
    now: datetime,
    summaries: Sequence[InputSummary],
    landed: int,
    quarantine: str | None,
    options: IngestOptions,
) -> dict[str, Any]:
    """Return the chain of custody of everything that a commit brings, as the commit records it."""
    return {
        "kind": "ingest",
        "batch": batch,
        "rows": landed,
        "at": now.isoformat(),
        "quarantine": quarantine,
        **({"timezone": options.timezone} if options.timezone != "UTC" else {}),
        **({"history": options.history} if options.history is not None else {}),
        "inputs": [
            {
                "name": each.name, "size": each.size, "sha256": each.sha256, "source": each.source,
                "format": each.format, "read": each.read, "landed": each.landed, "duplicates": each.duplicates,
                "quarantined": each.quarantined, **({"offset": each.offset} if each.offset else {}),
                **({"notice": each.notice} if each.notice else {}),
                **({"mapping": each.mapping} if each.mapping else {}),
                **({"skipped": dict(sorted(each.skips.items()))} if each.skips else {}),
                **({"events": each.events} if each.read != _once(each) else {}),
            }
            for each in summaries
        ],
    }  # fmt: skip
