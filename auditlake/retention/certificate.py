"""A certificate of a deletion, an erasure or a remap: what it says as JSON, and the words of its page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, ClassVar, Literal

from auditlake.display.canonical_json import canonical
from auditlake.display.templates import check_schema, file_name, render_bytes, render_values, style_digest
from auditlake.display.text import Fact, Text, count, length, moment, shown, spelled, visible
from auditlake.events.times import parse_instant

CERTIFICATE_VERSION = 5
"""The form of certificates that are made now; the first had no ``remaining``, the second no ``remap``, the third no
``event_types``, and the fourth one ``file_added`` of a day in place of ``files_added``."""

_KINDS = {"retention": "deletion", "erasure": "erasure", "remap": "remap"}
_LATER = {"remaining": None, "remap": None, "event_types": None}
"""What earlier forms do not have."""
_LINE = 200
_REMAINING = {"texts": "longer text", "keys": "key", "other_events": "other event", "files": "file"}
"""Where what was replaced may be left, in words."""


@dataclass(frozen=True, slots=True)
class CertificateDocument:
    """The variables of the template ``certificate.json``: the keys of a certificate, in order."""

    template: ClassVar[str] = "certificate.json"
    certificate_version: int
    """The version of this form."""
    kind: Literal["retention", "erasure", "remap"]
    """Whether what was due was deleted, a person's name was erased, or a mapping was run anew."""
    lake_id: str
    """The lake."""
    at: str
    """When it was done."""
    operator: str
    """Who did it."""
    reason: str | None
    """Of an erasure: why."""
    ticket: str | None
    """Of an erasure: where it is written down."""
    person: str | None
    """Of an erasure: the pseudonym that stands for the person now; never the name."""
    places: list[str]
    """What was replaced by pseudonyms, where anything was."""
    as_of: str
    """The instant that was judged at."""
    plan_digest: str | None
    """Of retention and a remap: the digest of the plan that was carried out."""
    snapshot_before: int
    """The version before."""
    snapshot_after: int
    """The version that this was."""
    inputs_digest_before: str
    """What the table held before, by the names of its files."""
    inputs_digest_after: str
    """What it held after."""
    deleted: int
    """Events that went."""
    pseudonymised: int
    """Events that stayed without personal data."""
    held: int
    """Events of the days concerned that a hold kept as they were."""
    default_retention: str | None
    """How long events were kept that no policy keeps."""
    rules: list[dict[str, Any]]
    """By which policy, at which digest, with its description and controls: the legal basis."""
    holds: list[dict[str, Any]]
    """The holds that were active."""
    partitions: list[dict[str, Any]]
    """Each day concerned: what it lost, the files that left, and those that came. Forms 1 to 4 have ``file_added``, one
    or null."""
    leftovers: list[dict[str, Any]]
    """Files beside the table that went too."""
    left: list[str]
    """What was not done, in sentences."""
    remaining: dict[str, Any] | None
    """How often the personal data that was replaced is left elsewhere; null where none was. Form 1 has no such key."""
    remap: dict[str, Any] | None
    """Of a remap: which events were derived anew by which mapping, and what changed. Forms 1 and 2 have no such key."""
    event_types: dict[str, Any] | None
    """Of retention: of which types events went, how many, and the first and the last day of such events. Forms 1 to 3
    have no such key."""
    weaker: dict[str, Any] | None
    """Where weaker rules than recorded were accepted: which, and why."""
    grace_seconds: int
    """How long the removed files stayed on the disk for readers under way."""


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule by which something was done."""

    name: Text
    """The policy's name."""
    id: str
    """Its id, or ``default_retention``."""
    basis: Text
    """Its description."""
    controls: tuple[str, ...]
    """The controls that it serves, one line each framework."""
    terms: str
    """How long it keeps, and for how long personal data."""
    digest: str
    """The policy file's digest."""
    deleted: str
    """Events deleted by it."""
    pseudonymised: str
    """Events pseudonymised by it."""


@dataclass(frozen=True, slots=True)
class DayRow:
    """A day concerned."""

    day: str
    """The UTC day."""
    became: str
    """What became of it."""
    events: str
    """Events before."""
    deleted: str
    """Events that went."""
    pseudonymised: str
    """Events without personal data now."""
    remapped: str
    """Events with other columns now."""
    held: str
    """Events that a hold kept."""
    files: tuple[str, ...]
    """The files that went, by the SHA-256 of their bytes."""
    added: tuple[str, ...]
    """The files that came, in the same way."""


@dataclass(frozen=True, slots=True)
class CertificatePage:
    """The variables of the template ``certificate.html``."""

    template: ClassVar[str] = "certificate.html"
    style_digest: str
    """SHA-256 of the page's style in base64, for its content security policy."""
    title: str
    """The page's title."""
    kind: str
    """What kind of paper this is."""
    heading: str
    """What was done, as a heading."""
    sentence: str
    """What was done, in a sentence."""
    under: str
    """What stayed, in a sentence."""
    json_file: str | None
    """The same as JSON, by name."""
    figures: tuple[Fact, ...]
    """The numbers that matter most."""
    facts: tuple[Fact, ...]
    """Who, when, and on what."""
    rules: tuple[RuleRow, ...]
    """By which rules."""
    holds: tuple[Fact, ...]
    """The holds that were active."""
    days: tuple[DayRow, ...]
    """Each day concerned."""
    days_words: str
    """How many days."""
    changes: tuple[Fact, ...]
    """Of a remap: what became of types and columns."""
    leftovers: tuple[Fact, ...]
    """Files beside the table that went too."""
    left: tuple[Text, ...]
    """What was not done."""
    weaker: tuple[Text, ...]
    """What had become weaker; empty where nothing had."""
    weaker_reason: Text
    """Why that was accepted."""
    evidence: tuple[Fact, ...]
    """Snapshots and digests."""


def render_certificate_json(record: Mapping[str, Any]) -> bytes:
    """Return a certificate as JSON, in the way of reports; its name is the SHA-256 of these bytes.

    Raises:
        ReportError: It does not fit ``certificate.schema.json``.
    """
    later: dict[str, None] = {} if record["certificate_version"] == CERTIFICATE_VERSION else _LATER
    whole = {**later, **record}
    document = CertificateDocument(**{each.name: whole[each.name] for each in fields(CertificateDocument)})
    values = render_values(document)
    check_schema(values, "certificate", "certificate")
    return canonical(values)


def certificate_id(data: bytes) -> str:
    """Return a certificate's name: the hex SHA-256 of its JSON's bytes."""
    return hashlib.sha256(data).hexdigest()


def render_certificate_page(record: Mapping[str, Any], name: str) -> bytes:
    """Return a certificate as a self-contained HTML page.

    Args:
        record: Its values.
        name: Its id.
    """
    partitions: Sequence[Mapping[str, Any]] = record["partitions"]
    weaker: Mapping[str, Any] = record["weaker"] or {"changes": [], "reason": None}
    kind = f"Certificate of {_KINDS[record['kind']]}"
    return render_bytes(CertificatePage(
        style_digest=style_digest(),
        title=f"{kind}, {record['at'][:10]}",
        kind=kind,
        heading=_heading(record),
        sentence=_sentence(record),
        under=_under(record),
        json_file=file_name(f"{name}.json"),
        figures=_figures(record),
        facts=_facts(record),
        rules=tuple(_rule(each) for each in record["rules"]),
        holds=tuple(Fact(each["id"], shown(each["reason"]), each["digest"]) for each in record["holds"]),
        days=tuple(_day_row(each) for each in partitions),
        days_words=f"{count(len(partitions), 'day')}: {_days_words(partitions)}." if partitions else "No day changed.",
        changes=tuple(_changes(record["remap"])) if record.get("remap") else (),
        leftovers=tuple(Fact(each["path"], shown(each["because"])) for each in record["leftovers"]),
        left=tuple(shown(each) for each in record["left"]),
        weaker=tuple(shown(each) for each in weaker["changes"]),
        weaker_reason=shown(weaker["reason"]),
        evidence=_evidence(record, name),
    ))  # fmt: skip


def _heading(record: Mapping[str, Any]) -> str:
    if record["kind"] == "remap":
        return f"{count(record['remap']['events'], 'event')} derived anew"
    if record["kind"] == "erasure":
        left = f"; {words}" if (words := remaining_words(record.get("remaining"))) else ""
        return f"{count(record['pseudonymised'], 'event')} pseudonymised{left}"
    if record["deleted"]:
        return f"{count(record['deleted'], 'event')} deleted"
    return f"{count(record['pseudonymised'], 'event')} pseudonymised" if record["pseudonymised"] else "No event was due"


def remaining_words(remaining: Mapping[str, Any] | None) -> str:
    """Say how much that names the person is left; return an empty text where nothing is."""
    phrases = [count(remaining[key], one) for key, one in _REMAINING.items() if remaining[key]] if remaining else []
    if not phrases:
        return ""
    *others, last = phrases
    return f"personal data remains in {', '.join(others)}{' and ' if others else ''}{last}"


def _sentence(record: Mapping[str, Any]) -> str:
    at, who = moment(parse_instant(record["at"])), visible(record["operator"])
    if record["kind"] == "erasure":
        return (
            f"On {at}, {who} replaced the personal data in {count(record['pseudonymised'], 'event')} of one person by "
            f"pseudonyms. The events are still there."
        )
    if remap := record.get("remap"):
        return (
            f"On {at}, {who} derived the columns of {count(remap['events'], 'event')} of {visible(remap['source'])} "
            f"anew from their records, by the mapping {visible(remap['mapping'])}. The records stayed as they were."
        )
    parts = []
    if record["deleted"]:
        parts.append(f"deleted {count(record['deleted'], 'event')} whose retention period had passed")
    if record["pseudonymised"]:
        parts.append(f"replaced the personal data in {count(record['pseudonymised'], 'event')} by pseudonyms")
    return f"On {at}, {who} {' and '.join(parts) or 'accepted weaker rules; no event was due'}."


def _under(record: Mapping[str, Any]) -> str:
    if not record["holds"]:
        return "No legal hold was active."
    active = count(len(record["holds"]), "legal hold was", "legal holds were")
    if record["kind"] == "remap":
        return f"{active} active and matched no event that changed, neither as it was nor as it became."
    return f"{active} active and kept {count(record['held'], 'event')} of the days concerned unchanged."


def _figures(record: Mapping[str, Any]) -> tuple[Fact, ...]:
    dropped = sum(each["action"] == "drop" for each in record["partitions"])
    rewritten = len(record["partitions"]) - dropped
    remaining = record.get("remaining") or {}
    remap = record.get("remap")
    if remap:
        return (
            Fact("Events of the source", shown(f"{remap['looked_at']:,}")),
            Fact("Events derived anew", shown(f"{remap['events']:,}")),
            Fact("Of these, erased before", shown(f"{remap['erased']:,}")),
            Fact("Events left as they were", shown(f"{sum(remap['left'].values()):,}")),
            Fact("Days rewritten", shown(f"{rewritten:,}")),
        )
    return (
        Fact("Events deleted", shown(f"{record['deleted']:,}")),
        Fact("Events pseudonymised", shown(f"{record['pseudonymised']:,}")),
        Fact("Events held", shown(f"{record['held']:,}")),
        Fact("Days dropped", shown(f"{dropped:,}")),
        Fact("Days rewritten", shown(f"{rewritten:,}")),
        Fact("Files removed", shown(f"{sum(len(each['files_removed']) for each in record['partitions']):,}")),
        *(
            Fact(f"Remaining in {one}s", shown(f"{remaining[key]:,}"))
            for key, one in _REMAINING.items()
            if remaining.get(key) is not None
        ),
    )


def _facts(record: Mapping[str, Any]) -> tuple[Fact, ...]:
    facts = [
        Fact("Done", shown(moment(parse_instant(record["at"])))),
        Fact("By", shown(record["operator"])),
        Fact("Judged as of", shown(moment(parse_instant(record["as_of"])))),
        Fact("Lake", shown(record["lake_id"]), code=True),
    ]
    if record["kind"] == "erasure":
        facts += [
            Fact("Reason", shown(record["reason"])),
            Fact("Ticket", shown(record["ticket"])),
            Fact("Pseudonym", shown(record["person"]), code=True),
        ]
    if remap := record.get("remap"):
        facts += [
            Fact("Source", shown(remap["source"])),
            Fact("Mapping", shown(remap["mapping"])),
            Fact("Mapping file", shown(remap["mapping_digest"]), code=True),
            *(Fact(name.capitalize(), shown(moment(parse_instant(remap[name]))))
              for name in ("since", "until") if remap[name]),
        ]  # fmt: skip
    facts += [Fact("Replaced", shown(listed)) for listed in _lines(record["places"])]
    for each in (record.get("remaining") or {}).get("places", []):
        facts.append(Fact("Remaining", shown(each["place"]), count(each["values"], "value")))
    if record["default_retention"]:
        facts.append(Fact("Without a policy", shown(f"kept for {spelled(record['default_retention'])}")))
    return tuple(facts)


def _lines(places: Sequence[str]) -> list[str]:
    """Return places in lines, none of which is cut for its length."""
    lines: list[str] = []
    for place in places:
        if lines and len(lines[-1]) + len(place) < _LINE:
            lines[-1] += f", {place}"
        else:
            lines.append(place)
    return lines


def _changes(remap: Mapping[str, Any]) -> Iterator[Fact]:
    """Yield what became of types and columns in a remap, and what that does to how long events are kept."""
    for each in remap["types"]:
        became = f"{each['before']} became {each['after']}" if each["before"] != each["after"] else each["after"]
        yield Fact("Type", shown(became), count(each["events"], "event"))
    for name, events in remap["columns"].items():
        yield Fact("Column", shown(name), count(events, "event"))
    for sentence in remap["retention"]:
        yield Fact("Retention", shown(sentence))


def _rule(each: Mapping[str, Any]) -> RuleRow:
    terms = f"keeps events for {spelled(each['retention_period'])}" if each["retention_period"] else ""
    if each["max_retention"]:
        what = "the event" if each.get("max_retention_of") else "personal data"
        terms += f"{', ' if terms else ''}{what} for at most {spelled(each['max_retention'])}"
    return RuleRow(
        name=shown(each["name"]),
        id=visible(each["id"]),
        basis=shown(each["description"]),
        controls=tuple(f"{visible(name)}: {visible(', '.join(ids))}" for name, ids in each["controls"].items()),
        terms=terms,
        digest=each["digest"] or "",
        deleted=f"{each['deleted']:,}",
        pseudonymised=f"{each['pseudonymised']:,}",
    )


def _day_row(each: Mapping[str, Any]) -> DayRow:
    return DayRow(
        day=each["day"],
        became="dropped" if each["action"] == "drop" else "rewritten",
        events=f"{each['events']:,}",
        deleted=f"{each['deleted']:,}",
        pseudonymised=f"{each['pseudonymised']:,}",
        remapped=f"{each.get('remapped', 0):,}",
        held=f"{each['held']:,}",
        files=tuple(map(_digest, each["files_removed"])),
        added=tuple(map(_digest, each["files_added"] if "files_added" in each else filter(None, [each["file_added"]]))),
    )


def _days_words(partitions: Sequence[Mapping[str, Any]]) -> str:
    dropped = sum(each["action"] == "drop" for each in partitions)
    parts = [f"{dropped:,} dropped"] * (dropped > 0)
    parts += [f"{len(partitions) - dropped:,} rewritten"] * (dropped < len(partitions))
    return ", ".join(parts)


def _evidence(record: Mapping[str, Any], name: str) -> tuple[Fact, ...]:
    grace = f"after {length(timedelta(seconds=record['grace_seconds']))}" if record["grace_seconds"] else "at once"
    facts = [
        Fact("This certificate", shown(name), "SHA-256 of its JSON", code=True),
        Fact("Snapshot before", shown(f"{record['snapshot_before']}")),
        Fact("Snapshot after", shown(f"{record['snapshot_after']}")),
        Fact("Files before", shown(record["inputs_digest_before"]), code=True),
        Fact("Files after", shown(record["inputs_digest_after"]), code=True),
        Fact("Removed files deleted from disk", shown(grace)),
    ]
    if record["plan_digest"]:
        facts.append(Fact("Plan", shown(record["plan_digest"]), code=True))
    return tuple(facts)


def _digest(path: str) -> str:
    """Return a file's digest from its path."""
    return path.rpartition("/part-")[2].removesuffix(".parquet")
