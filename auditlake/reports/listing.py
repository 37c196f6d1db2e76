"""All findings of a report that lists only the first of them: a Parquet file beside it, and what its JSON says of that.

The file's name is made of its digest, so it is found under the same name in whatever folder or pack the report lies.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO

from auditlake.display.canonical_json import json_value
from auditlake.findings.decisions import Acceptance
from auditlake.findings.finding import Finding, canonical_group
from auditlake.findings.many import ManyFindings, accepted_ones
from auditlake.reports.document import finding_dict
from auditlake.reports.episode_texts import EpisodeTexts, compact

if TYPE_CHECKING:
    import pyarrow as pa

_WHOLE = 1 << 63
"""Peaks from here on, and those with decimals, make the column of peaks one of doubles."""
_LARGEST = 100
_ROWS = 40_000
"""How many are written at once, a row group, and read."""
_REPEATED = ("kind", "event_type", "group", "peak", "message")
"""The columns that have some values often: ids and instants are not looked up among those that came before."""
_TAKEN = ("accepted_entry", "accepted_until", "accepted_owner")
_NAMED = 32
"""Hex digits of the digest in the file's name."""


@dataclass(frozen=True, slots=True)
class WholeList:
    """All findings of a report."""

    summary: Mapping[str, Any]
    """``more_findings`` of the report's JSON."""
    data: bytes
    """The Parquet file."""

    @property
    def file(self) -> str:
        """The file's name."""
        return str(self.summary["file"])


def whole_list(policy_id: str, findings: Sequence[Finding], listed: int) -> WholeList:
    """Write all findings as Parquet.

    Args:
        policy_id: The policy.
        findings: All of them, in the order of the report.
        listed: How many of them the report lists itself.
    """
    import pyarrow.parquet as pq

    digest, file, schema = hashlib.sha256(), io.BytesIO(), _schema(findings)
    with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=[*_REPEATED, *_TAKEN]) as writer:
        for batch, lines in _batches(policy_id, findings, schema):
            digest.update(lines)
            writer.write_batch(batch)
    data = file.getvalue()
    own = hashlib.sha256(data).hexdigest()
    summary = {
        "listed": min(listed, len(findings)),
        "total": len(findings),
        "accepted": len(accepted_ones(findings)),
        "largest_groups": list(_largest(findings)),
        "digest": f"sha256:{digest.hexdigest()}",
        "file": f"findings_{own[:_NAMED]}.parquet",
        "sha256": f"sha256:{own}",
    }
    return WholeList(summary, data)


def _batches(
    policy_id: str, findings: Sequence[Finding], schema: pa.Schema
) -> Iterator[tuple[pa.RecordBatch, bytes]]:  # fmt: skip
    """Yield findings some at a time, as rows and as the lines that the digest is over."""
    import pyarrow as pa

    if not isinstance(findings, ManyFindings):
        for at in range(0, len(findings), _ROWS):
            yield _made(findings[at : at + _ROWS], schema)
        return
    episodes = findings.many
    texts = EpisodeTexts(policy_id, episodes)
    for at in range(0, len(findings), _ROWS):
        own = [
            _of_episodes(texts, own.start, own.stop, schema) if piece is episodes else _made(piece[own], schema)
            for piece, own in findings.within(at, at + _ROWS)
        ]
        rows = pa.Table.from_batches([rows for rows, _ in own]).combine_chunks()
        yield rows.to_batches()[0], b"".join(lines for _, lines in own)


def _made(findings: Sequence[Finding], schema: pa.Schema) -> tuple[pa.RecordBatch, bytes]:
    import pyarrow as pa

    columns = zip(*map(_row, findings), strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema), b"".join(map(_line, findings))


def _line(finding: Finding) -> bytes:
    return f"{compact(finding_dict(finding))}\n".encode("utf-8", "surrogatepass")


def _of_episodes(texts: EpisodeTexts, begin: int, end: int, schema: pa.Schema) -> tuple[pa.RecordBatch, bytes]:
    """Return episodes that are kept as columns; those alone are made that an acceptance covers."""
    import pyarrow as pa

    episodes, rows = texts.episodes, end - begin
    (number, group, *told), lines = texts.of(begin, end)
    places = [at for at in range(begin, end) if at in episodes.accepted] if episodes.accepted else []
    covered = dict(zip(places, episodes.at(places), strict=True))
    if covered:
        made = zip(range(begin, end), lines.to_pylist(), strict=True)
        data = b"".join(_line(covered[at]) if at in covered else line.encode() for at, line in made)
    else:
        _, ends, text = lines.buffers()
        offsets = memoryview(ends).cast("i")
        data = memoryview(text)[offsets[lines.offset] : offsets[lines.offset + rows]].tobytes()
    kinds = schema.types[-len(_TAKEN) :]
    by = [pa.nulls(rows, kind) for kind in kinds]
    if covered:
        taken = zip(*(_taken(episodes.accepted.get(at)) for at in range(begin, end)), strict=True)
        by = [pa.array(each, kind) for each, kind in zip(taken, kinds, strict=True)]
    arrays = [number, pa.repeat(episodes.kind, rows), pa.nulls(rows, pa.string()), group, *told, *by]
    return pa.RecordBatch.from_arrays(arrays, schema=schema), data


def texts_of(file: BinaryIO) -> Iterator[str]:
    """Read the texts of a list of findings, some at a time, as JSON.

    Raises:
        OSError, ValueError: It is no such file, or damaged.
    """
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(file).iter_batches(_ROWS, columns=["event_type", "group", "message", "accepted_owner"]):
        yield json.dumps(batch.to_pylist(), ensure_ascii=False)


def findings_of(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Read a list of findings, some at a time, with the keys that a report's JSON has; of an acceptance its owner.

    Raises:
        OSError, ValueError: It is no such file, or damaged.
    """
    import pyarrow.parquet as pq

    columns = ["id", "kind", "event_type", "group", "start", "end", "peak", "message", "accepted_owner"]
    for batch in pq.ParquetFile(file).iter_batches(_ROWS, columns=columns):
        for each in batch.to_pylist():
            owner = each.pop("accepted_owner")
            group = json.loads(each["group"] or "{}")
            yield json_value(each | {"group": group, "accepted": None if owner is None else {"owner": owner}})


def newest_instant(file: BinaryIO) -> datetime | None:
    """Return the newest instant that a list of findings has; None where it has none.

    Raises:
        OSError, ValueError: It is no such file, or damaged.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.ParquetFile(file).read(["start", "end", "peak_at"])
    return max(filter(None, (pc.max(column).as_py() for column in table.columns)), default=None)


def _largest(findings: Sequence[Finding]) -> Iterator[dict[str, Any]]:
    """Return the groups with the most findings; an acceptance covers one group."""
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    if isinstance(findings, ManyFindings):
        episodes, findings = findings.many, findings.made
        for group, numbers in episodes.by_group():
            key = (episodes.kind, canonical_group(group), "")
            groups[key] = {"kind": episodes.kind, "group": group, "event_type": None, **numbers}
    for each in findings:
        group = dict(each.group) if each.group else None
        empty = {
            "kind": each.kind, "group": group, "event_type": each.event_type, "findings": 0, "accepted": 0,
            "peak": each.peak,
        }  # fmt: skip
        total = groups.setdefault((each.kind, canonical_group(each.group), each.event_type or ""), empty)
        total["findings"] += 1
        total["accepted"] += each.accepted is not None
        if each.peak is not None:
            total["peak"] = max(total["peak"], each.peak)
    ordered = sorted(groups.items(), key=lambda item: (-item[1]["findings"], item[0]))
    return (json_value(total) for _, total in ordered[:_LARGEST])


def _schema(findings: Sequence[Finding]) -> pa.Schema:
    import pyarrow as pa

    text, instant, whole, flag = pa.string(), pa.timestamp("us", tz="UTC"), pa.int64(), pa.bool_()
    measured = findings.made if isinstance(findings, ManyFindings) else findings  # counts are whole numbers
    peaks = [each.peak for each in measured if each.peak is not None]
    measure = whole if all(isinstance(peak, int) and abs(peak) < _WHOLE for peak in peaks) else pa.float64()
    return pa.schema([
        ("id", text), ("kind", text), ("event_type", text), ("group", text), ("start", instant), ("end", instant),
        ("ongoing", flag), ("started_before_period", flag), ("peak", measure), ("peak_at", instant), ("message", text),
        *zip(_TAKEN, (whole, instant, text), strict=True),
    ])  # fmt: skip


def _row(each: Finding) -> tuple[Any, ...]:
    peak = float(each.peak) if isinstance(each.peak, Decimal) else each.peak
    return (
        each.id, each.kind, each.event_type, canonical_group(each.group) or None, each.start, each.end,
        each.ongoing, each.started_before_period, peak, each.peak_at, each.message, *_taken(each.accepted),
    )  # fmt: skip


def _taken(accepted: Acceptance | None) -> tuple[Any, ...]:
    return (accepted.number, accepted.until, accepted.owner) if accepted else (None, None, None)
