"""OTLP in JSON, as the OpenTelemetry collector writes it: each log record and each span is a record by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import orjson

from auditlake.sources.cutters.plain import placed
from auditlake.sources.mappings.outline import Outline
from auditlake.sources.model import TOO_LONG, Batch, Rejected, reject
from auditlake.sources.split import split_documents

_KINDS = (("resourceLogs", "scopeLogs", "logRecords", "log"), ("resourceSpans", "scopeSpans", "spans", "span"))
_PLAIN = ("stringValue", "boolValue", "doubleValue", "bytesValue")
_LONG = 1 << 63
_DEPTH = 100


def cut_otlp(stream: Any, max_record: int, _outline: Outline) -> Iterator[Batch]:
    """Cut a stream of JSON, documents or lines, into log records and spans.

    Each has its own fields, ``resource`` and ``scope``; the attributes of all three are plain objects, and ``signal``
    says what it is. What is no OTLP is a record as it came. The bytes of a record that was taken out of a document are
    its JSON text.
    """
    number = 0
    for batch in split_documents(stream, max_record, ()):
        places: list[tuple[int, int, int, int]] = []
        texts: list[bytes] = []
        rejected: list[Rejected] = []
        before = iter(batch.rejected)
        waiting = next(before, None)
        for i in range(len(batch) + 1):
            while waiting is not None and (i == len(batch) or waiting.record < batch.records[i]):
                rejected.append(replace(waiting, record=number))
                number += 1
                waiting = next(before, None)
            for text in _texts(batch.raw(i)) if i < len(batch) else ():
                place = (number, int(batch.lines[i]), int(batch.offsets[i]))
                number += 1
                if len(text) > max_record:
                    why = f"{len(text)} bytes as a record of its own, at most {max_record} are allowed"
                    rejected.append(reject(*place, TOO_LONG, why, text, max_record))
                else:
                    places.append((*place, len(text)))
                    texts.append(text)
        if places or rejected:
            yield placed(places, texts, rejected)


def _texts(raw: bytes) -> Iterator[bytes]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        document = None
    found = flattened(document)
    if found is None:
        yield raw
        return
    for record in found:
        try:
            yield orjson.dumps(record)
        except TypeError:
            yield json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def flattened(document: Any) -> Iterator[dict[str, Any]] | None:
    """Return the records of a document of OTLP; None if it is none."""
    if not isinstance(document, dict):
        return None
    kinds = [kind for kind in _KINDS if isinstance(document.get(kind[0]), list)]
    return chain.from_iterable(_records(document, *kind) for kind in kinds) if kinds else None


def _records(
    document: dict[str, Any], of_resource: str, of_scope: str, listed: str, signal: str
) -> Iterator[dict[str, Any]]:
    for part in _objects(document[of_resource]):
        resource = _plain(part.get("resource"))
        for within in _objects(part.get(of_scope)):
            scope = _plain(within.get("scope"))
            for each in _objects(within.get(listed)):
                yield {"signal": signal, **_plain(each), "resource": resource, "scope": scope}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _plain(thing: Any) -> dict[str, Any]:
    """Return a resource, scope, log record, span, event or link with plain attributes."""
    if not isinstance(thing, dict):
        return {}
    plain = dict(thing)
    if isinstance(thing.get("attributes"), list):
        plain["attributes"] = _object(thing["attributes"], 0)
    if isinstance(thing.get("body"), dict):
        plain["body"] = _value(thing["body"], 0)
    for key in ("events", "links"):
        if isinstance(thing.get(key), list):
            plain[key] = [_plain(each) for each in thing[key]]
    return plain


def _object(pairs: list[Any], depth: int) -> dict[str, Any]:
    """Return a list of keys and values as an object; the first of a repeated key counts."""
    found: dict[str, Any] = {}
    for pair in _objects(pairs):
        found.setdefault(str(pair.get("key", "")), _value(pair.get("value"), depth))
    return found


def _value(value: Any, depth: int) -> Any:
    """Return an AnyValue as the value that it is."""
    if not isinstance(value, dict) or depth > _DEPTH:
        return value
    for key in _PLAIN:
        if key in value:
            return value[key]
    if "intValue" in value:
        return _integer(value["intValue"])
    if isinstance(value.get("arrayValue"), dict):
        values = value["arrayValue"].get("values")
        return [_value(each, depth + 1) for each in values] if isinstance(values, list) else []
    if isinstance(value.get("kvlistValue"), dict):
        values = value["kvlistValue"].get("values")
        return _object(values, depth + 1) if isinstance(values, list) else {}
    return value or None


def _integer(written: Any) -> Any:
    try:
        number = int(written)
    except (TypeError, ValueError):
        return written
    return number if -_LONG <= number < _LONG else written
