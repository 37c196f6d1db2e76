"""The sources that a lake can read. A new one is a row here and a statement in ``sql/sources``, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditlake.events.personal import PersonalData
from auditlake.events.schema import CANONICAL, SELF


@dataclass(frozen=True, slots=True)
class Marks:
    """The keys by which a record shows its source: at least ``enough`` of ``keys``, or any of ``alone``."""

    keys: frozenset[str]
    enough: int
    alone: frozenset[str] = frozenset()

    def fit(self, keys: frozenset[str]) -> bool:
        """Return whether an object with these keys has them."""
        return len(self.keys & keys) >= self.enough or bool(self.alone & keys)


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of input: how it is recognised, cut and mapped, and where its events name people."""

    name: str
    """The name for ``--source``, and in the column ``source`` of its events."""
    title: str
    """What it is, in the words of its vendor."""
    statement: str
    """The file below ``sql/`` that maps its records; the statement in it is named like the file."""
    marks: Marks | None = None
    """What its records look like; None: no input is ever taken for one."""
    condition: Callable[[Mapping[str, Any]], bool] | None = None
    """What else must hold of a record that has the marks; of one whose end is not seen yet, every value is None."""
    looks_for: str = ""
    """The marks in words, for the error about an input that no source knows."""
    tables: bool = False
    """Whether it also comes as CSV and Parquet."""
    wrappers: tuple[str, ...] = ()
    """The keys under which it wraps its records in one object."""
    leave_out: frozenset[str] = frozenset()
    """Keys that together mark a file which comes with the records and holds none."""
    left_out: str = ""
    """What such a file is."""
    several: bool = False
    """Whether one of its records may give several events, or none: then the statement numbers those of each record from
    0 in a column ``event_number``."""
    time_field: str = "timestamp"
    """The field of a record that says when."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """The field that each of the statement's own reasons is about."""
    personal: PersonalData = PersonalData()  # noqa: RUF009 - it is frozen
    """Where its events name people."""
    fixtures: tuple[str, ...] = ()
    """Files of ``tests/sources/fixtures`` that show what it looks like."""

    def fits(self, record: Mapping[str, Any]) -> bool:
        """Return whether a record is one of its own."""
        marked = self.marks is not None and self.marks.fit(frozenset(record))
        return marked and (self.condition is None or self.condition(record))


def _below(top: str, *places: str) -> tuple[str, ...]:
    return tuple(f"$.{top}.{place}" for place in places)


_ROWS = (
    Source(
        name=CANONICAL,
        title="events in auditlake's own form, and what a lake has exported",
        statement="sources/auditlake.sql",
        marks=Marks(frozenset({"event_type", "timestamp"}), enough=2),
        looks_for="JSON objects with the keys event_type and timestamp, or CSV or Parquet with these columns",
        tables=True,
        fixtures=("auditlake.jsonl", "auditlake.csv", "auditlake.parquet"),
    ),  # lake.toml says which of its details are personal
    Source(
        name=SELF,
        title="what auditlake records about itself",
        statement="sources/auditlake.sql",
        personal=PersonalData(traces=("$.details.system_user",)),
    ),
    Source(
        name="cloudtrail",
        title="AWS CloudTrail",
        statement="sources/cloudtrail.sql",
        marks=Marks(
            frozenset(
                ("eventVersion", "eventSource", "eventName", "eventTime", "userIdentity", "eventID", "awsRegion")
            ),
            enough=3,
            alone=frozenset({"CloudTrailEvent"}),
        ),
        looks_for="JSON objects with at least three of the keys eventVersion, eventSource, eventName, eventTime, ..., "
        'or with CloudTrailEvent: one per line, in an array, or under "Records" or "Events"',
        wrappers=("Records", "Events"),
        leave_out=frozenset({"digestStartTime", "digestEndTime", "logFiles"}),
        left_out="a CloudTrail digest file, which holds no events",
        time_field="eventTime",
        faults={
            "eventTime is missing": "eventTime",
            "eventName is missing": "eventName",
            "CloudTrailEvent is not valid JSON": "CloudTrailEvent",
            "CloudTrailEvent is not a JSON object": "CloudTrailEvent",
            "CloudTrailEvent has a key twice": "CloudTrailEvent",
        },
        personal=PersonalData(
            names=(
                *_below(
                    "details.userIdentity", "arn", "userName", "principalId", "userId", "accessKeyId", "credentialId",
                    "onBehalfOf.userId", "sessionContext.sourceIdentity",
                    "sessionContext.webIdFederationData.attributes",
                ),
                *_below("details.requestParameters", "roleSessionName", "sourceIdentity"),
                *_below(
                    "details.responseElements", "assumedRoleUser", "federatedUser", "sourceIdentity",
                    "subjectFromWebIdentityToken",
                ),
                *_below("details.additionalEventData", "UserName", "SwitchFrom"),
                *_below("metadata", "principal", "user_name", "on_behalf_of", "access_key"),
            ),
            traces=(
                "$.details.sourceIPAddress",
                *_below("details.userIdentity.sessionContext.sessionIssuer", "arn", "userName", "principalId"),
                *_below("details.responseElements.credentials", "accessKeyId", "sessionToken"),
                *_below("metadata", "role", "source_address"),
            ),
            nobody=r"\d{12}|AWS Internal|HIDDEN_DUE_TO_SECURITY_REASONS|[a-z0-9.-]+\.amazonaws\.com",
            within=(
                r"arn:[^:]*:iam::\d*:user/(?:.*/)?([^/]+)",
                r"arn:[^:]*:sts::\d*:(?:assumed-role|federated-user)/(?:.*/)?([^/]+)",
                r"[A-Z0-9]{16,}:(.+)",
            ),
        ),
        fixtures=("cloudtrail.json", "cloudtrail_lookup.jsonl"),
    ),
)  # fmt: skip

SOURCES: dict[str, Source] = {source.name: source for source in _ROWS}
"""Every source by its name, in the order in which recognition tries them."""


def input_sources() -> tuple[str, ...]:
    """Return the names of the sources that an input may have."""
    return tuple(name for name, source in SOURCES.items() if source.marks is not None)


def wrapper_keys() -> tuple[str, ...]:
    """Return the keys under which any source wraps its records."""
    return tuple(key for source in SOURCES.values() for key in source.wrappers)


def personal_data() -> dict[str, PersonalData]:
    """Return where the events of each source name people."""
    return {name: source.personal for name, source in SOURCES.items()}
