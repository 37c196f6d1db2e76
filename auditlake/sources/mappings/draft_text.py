"""A first mapping from a sample that is no JSON: a table, lines of pairs, or lines of text with a time in front."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from auditlake.errors import AuditLakeError
from auditlake.sources.cutters.catalog import CUTTERS
from auditlake.sources.cutters.patterns import compiled
from auditlake.sources.cutters.plain import FRAME
from auditlake.sources.mappings.outline import outline_of
from auditlake.sources.model import MAX_RECORD, Damage, InputFile

_LEAST_FIELDS = 3
_NAME = re.compile(r"[\w .@-]+")
_MOST = 1_000
"""Records of a sample that are looked at."""
_STAMPS = (("%{ISO8601:stamp}", "stamp"), ("%{SYSLOGTIME:stamp}", "parse_time(stamp, '%b %d %H:%M:%S')"))
"""The times that lines begin with, as pieces of a pattern, and their expressions."""
_DRAFT = """\
source: {name}
# match:   # fields of its records and of no other log, once the pattern has groups: [user, host]
read: lines
pattern:   # regular expressions, tried in order; each group (?P<user>…) is a field: `auditlake docs mappings`
  - '^{before}%{{GREEDYDATA:message}}$'
# a line: {line}
{timestamp}
# user_id:
action: message   # better a group that says what happened
# resource:
# ip_address:   # a group such as %{{IP:address}}
# status: [failure: …, success: true]
event_type:   # the first that holds; `auditlake docs events` lists the types
  # - TYPE: contains(message, '…')
  - api_call: true
# personal: {{names: […]}}   # where people are named; erasure covers these places
"""


@dataclass(frozen=True, slots=True)
class _Sample:
    """A sample as a stream."""

    data: bytes
    input = InputFile("-", None)
    damage: Damage | None = None

    def __iter__(self) -> Iterator[bytes]:
        yield self.data


def fields_of_text(sample: bytes) -> tuple[str, list[Mapping[str, Any]]]:
    """Return how a sample is to be read, ``csv`` or ``kv``, and its records; an empty text where it is neither."""
    for read in ("csv", "kv"):
        outline, records, lines = outline_of(f"source: draft\ntimestamp: t\nread: {read}\n"), list[Any](), 0
        try:
            for batch in CUTTERS[read](_Sample(sample), MAX_RECORD, outline):
                records += map(json.loads, batch.text.to_pylist())
                lines += len(batch) + len(batch.rejected)
        except AuditLakeError:
            continue
        whole = [each for each in records if len(each) >= _LEAST_FIELDS and all(map(_NAME.fullmatch, each))]
        if whole and len(whole) >= 0.8 * lines:
            return read, whole[:_MOST]
    return "", []


def draft_of_lines(name: str, sample: bytes) -> str:
    """Return the text of a mapping of lines, one at least, which says no more than how they begin."""
    lines = [line for line in sample.decode("utf-8", "replace").splitlines() if line.strip()][:_MOST]
    line = re.sub(FRAME, "", lines[0])
    before, timestamp = next(
        (
            (f"{stamp} ", f"timestamp: {expression}")
            for stamp, expression in _STAMPS
            if re.match(compiled(f"^{stamp} ", {}).regex, line)
        ),
        ("", "# timestamp:   # a group with the time: parse_time(stamp, '%d/%b/%Y:%H:%M:%S %z')"),
    )
    shown = "".join(each if each.isprintable() else " " for each in line)[:200]
    return _DRAFT.format(name=name, before=before, line=shown, timestamp=timestamp)
