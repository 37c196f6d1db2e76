"""The forms of the demo's input files, of which each gives the same bytes on every machine."""

from __future__ import annotations

import csv
import io
import json
import struct
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

import orjson

from auditlake.events.schema import CANONICAL_FIELDS


def gzipped(data: bytes) -> bytes:
    """Gzip without compression: what a compressor makes of the same bytes differs between versions of zlib."""
    parts = [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"]  # no name, no time, no operating system
    for start in range(0, len(data), 0xFFFF):
        block = data[start : start + 0xFFFF]
        parts += (struct.pack("<BHH", start + 0xFFFF >= len(data), len(block), len(block) ^ 0xFFFF), block)
    parts.append(struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))
    return b"".join(parts)


def as_csv(lines: Iterable[bytes]) -> bytes:
    """Write events as an identity system does: local time with an offset, nothing for null, JSON in a column."""
    berlin = timezone(timedelta(hours=2))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CANONICAL_FIELDS)
    for line in lines:
        record = orjson.loads(line)
        record["timestamp"] = datetime.fromisoformat(record["timestamp"]).astimezone(berlin).isoformat()
        for name in ("details", "metadata"):
            record[name] = record[name] and orjson.dumps(record[name]).decode()
        writer.writerow([record[name] for name in CANONICAL_FIELDS])
    return text.getvalue().encode()


def as_llmguardian(lines: Iterable[bytes]) -> list[bytes]:
    """Write events as LLMGuardian's audit monitor does: no id, naive time, everything beyond ASCII escaped."""
    records = [orjson.loads(line) for line in lines]
    naive = ({**record, "timestamp": record["timestamp"].removesuffix("Z")} for record in records)
    return [json.dumps({key: record[key] for key in CANONICAL_FIELDS[1:]}).encode() for record in naive]
