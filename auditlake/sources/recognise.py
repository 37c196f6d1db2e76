"""Recognition: the source of an input, and how it is cut into records. Its content counts first, its name second."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import orjson

from auditlake.errors import AuditLakeError, UnrecognisedInputError
from auditlake.events.times import parse_instant
from auditlake.sources.batches import BOM, unmarked
from auditlake.sources.catalog import Catalog, Source, built_in
from auditlake.sources.cutters.catalog import CUTTERS, TEXTS
from auditlake.sources.cutters.otlp import flattened
from auditlake.sources.impression import MAGIC, impression
from auditlake.sources.model import MAX_RECORD, Damage, InputFile
from auditlake.sources.rows import delimiter
from auditlake.sources.split import split_documents
from auditlake.sources.split_lines import records_of
from auditlake.sources.stream import PEEK
from auditlake.sources.strictjson import Scanner

Format = Literal["lines", "documents", "csv", "parquet", "arrow", "text", "kv", "auditd", "otlp", "skip"]

PEEK_MOST = MAX_RECORD + 1024 * 1024
"""How much is looked at where the first record does not end before: whatever may be a record fits into it."""
TRIED = 20
"""How many of the first records decide whether a mapping is for them."""
_LINE_NAMES = (".jsonl", ".ndjson", ".log")
_WHITE = b" \t\r\n"
_SOLID = re.compile(rb"[^ \t\r\n]")
_OPENING = re.compile(rb"\{")
_KEY = re.compile(rb'"([A-Za-z0-9_]{1,40})"\s*:')


@dataclass(frozen=True, slots=True)
class Recognised:
    """The answer: how to read an input.

    Args:
        source: The name of the source, as the SQL mapping is called.
        format: How to cut it: ``lines`` and ``documents`` of JSON, ``csv``, ``parquet``, ``arrow``, ``text`` (lines by
            patterns), ``kv``, ``auditd``, ``otlp``; ``skip`` is to be left out.
        notice: A sentence for the user, or an empty text.
        unwrap: Whether an array under a wrapper key holds records, and is no field of an event.
    """

    source: str
    format: Format
    notice: str = ""
    unwrap: bool = True


def recognise(
    peeked: bytes,
    name: str,
    named: str | None = None,
    more: Callable[[int], bytes] | None = None,
    catalog: Catalog | None = None,
    rows: Callable[[int], Sequence[Mapping[str, Any]]] | None = None,
) -> Recognised:
    """Say what an input is.

    Args:
        peeked: Its first bytes, decompressed; fewer than :data:`~auditlake.sources.stream.PEEK` only if that is all.
        name: Its file name, or ``-``.
        named: The source that the caller named: then only the format is decided.
        more: Gives so many first bytes, where ``peeked`` may not be enough.
        catalog: The sources to try, in their order; those that every lake knows by default.
        rows: Gives so many first rows of a Parquet file.

    Raises:
        UnrecognisedInputError: It is none of them, or two know it.
    """
    catalog = catalog or built_in()
    sources = [source for source in catalog if source.is_input] if named is None else [catalog[named]]
    size = PEEK
    taken = _taken_for(peeked, name, named, sources, rows)
    if taken is not None:
        return taken
    while more is not None and len(peeked) >= size and size < PEEK_MOST and not _tells(peeked, catalog):
        size = min(8 * size, PEEK_MOST)
        peeked = more(size)
    head = unmarked(peeked)
    suffix = _suffix(name)
    tables = [source.name for source in sources if source.tables]
    if head.startswith(b"PAR1") and tables:
        return Recognised(tables[0], "parquet")
    if (tables and _table_columns(head) is not None) or (
        named in tables and suffix in (".csv", ".tsv") and head.strip()
    ):
        return Recognised(tables[0], "csv")
    if not head.strip(_WHITE):
        return Recognised(sources[0].name, "documents" if suffix == ".json" else "lines")
    try:
        return _recognise_json(head, name, suffix, sources, catalog)
    except UnrecognisedInputError:
        # Lines of text may begin with a bracket, too.
        taken = _taken_for_text(peeked[:PEEK], name, sources, whole=len(peeked) < PEEK)
        if taken is None:
            raise
        return taken


def takes(source: Source, content: bytes) -> bool:
    """Return whether a source with a mapping takes a whole input, a document or text, for one of its own."""
    if isinstance(record := _value(content), dict):
        return _fitting("-", [record], [source]) is not None
    return any(2 * _share(source, form, content, whole=True) >= 1 for form in _texts(source))


def _taken_for(
    head: bytes,
    name: str,
    named: str | None,
    sources: Sequence[Source],
    rows: Callable[[int], Sequence[Mapping[str, Any]]] | None,
) -> Recognised | None:
    """Return what an input is that is neither JSON nor a table of events; None if it is one of these, or nothing."""
    whole, bare = len(head) < PEEK, unmarked(head).lstrip(_WHITE)
    if named is not None:
        return _named(head, sources[0], whole=whole) if bare and sources[0].outline else None
    if bare.startswith(b"PAR1"):
        found = rows(TRIED) if rows is not None else ()
        mapped = [source for source in sources if source.outline and "parquet" in source.outline.read]
        if any(source.tables and source.fits(found)[0] for source in sources if found):
            return None
        fitting = _only(name, [source for source in mapped if 2 * sum(source.fits(found)) >= len(found) > 0])
        return Recognised(fitting.name, "parquet") if fitting else None
    if bare[:1] in (b"{", b"[", b"") or _table_columns(bare) is not None:
        return None
    return _taken_for_text(head, name, sources, whole=whole)


def _taken_for_text(head: bytes, name: str, sources: Sequence[Source], *, whole: bool) -> Recognised | None:
    """Return what an input is that some source reads as text; None if it is none of these."""
    forms: dict[str, str] = {}
    for source in sources:
        shares = {form: _share(source, form, head, whole=whole) for form in _texts(source)}
        best = max(shares, key=lambda form: shares[form], default="")
        if best and 2 * shares[best] >= 1:
            forms[source.name] = best
    fitting = _only(name, [source for source in sources if source.name in forms])
    return _as_text(fitting, forms[fitting.name]) if fitting else None


def _named(head: bytes, source: Source, *, whole: bool) -> Recognised | None:
    """Return how to read an input of a source; None: as JSON."""
    reads = source.outline.read if source.outline else ()
    bare = unmarked(head).lstrip(_WHITE)
    if bare.startswith(b"PAR1") and "parquet" in reads:
        return Recognised(source.name, "parquet")
    texts = _texts(source)
    as_json = {"json", "otlp", "parquet"} & set(reads)
    if not texts or (as_json and bare[:1] in (b"{", b"[")):
        return Recognised(source.name, "otlp") if "otlp" in reads else None
    if len(texts) == 1:
        return _as_text(source, texts[0])
    shares = {form: _share(source, form, head, whole=whole) for form in texts}
    return _as_text(source, max(texts, key=lambda form: shares[form]))


def _texts(source: Source) -> list[str]:
    return [form for form in source.outline.read if form in TEXTS] if source.outline else []


def _as_text(source: Source, form: str) -> Recognised:
    formats: dict[str, Format] = {"csv": "csv", "lines": "text", "kv": "kv", "auditd": "auditd"}
    return Recognised(source.name, formats[form])


def _share(source: Source, form: str, head: bytes, *, whole: bool) -> float:
    """Return which share of the first records of a text a source takes for its own."""
    outline = source.outline
    if outline is None or (head.startswith(tuple(MAGIC)) and "encoding" not in outline.keys):
        return 0
    found: list[tuple[int, bytes | None]] = []
    try:
        for batch in CUTTERS[form](_Peeked(head), MAX_RECORD, outline):
            found += zip(batch.records.tolist(), map(str.encode, batch.text.to_pylist()), strict=True)
            found += [(rejected.record, None) for rejected in batch.rejected]
        if form == "csv" and not found and head.strip(_WHITE):
            # A table without a row is known by its columns.
            line = head.rstrip(_WHITE) + b"\n"
            apart = outline.keys.get("delimiter") or delimiter(line.decode("utf-8", "replace"))
            row = line + apart.encode() * line.rpartition(b"\n")[0].rpartition(b"\n")[2].count(apart.encode()) + b"\n"
            for batch in CUTTERS[form](_Peeked(row), MAX_RECORD, outline):
                found += [(0, text.encode()) for text in batch.text.to_pylist()]
    except AuditLakeError:
        return 0
    first = [text for _, text in sorted(found, key=itemgetter(0))][: TRIED if whole else min(TRIED, len(found) - 1)]
    records = [json.loads(text) for text in first if text is not None]
    return sum(source.fits(records)) / len(first) if first else 0


def _only(name: str, fitting: Sequence[Source]) -> Source | None:
    """Return the one of these sources that an input is of, or None if there is none.

    Raises:
        UnrecognisedInputError: Two sources know it, and neither goes before the other.
    """
    gone_before = {source.outline.before for source in fitting if source.outline and source.outline.before}
    fitting = [source for source in fitting if source.name not in gone_before]
    if len(fitting) > 1 and fitting[0].outline is not None:
        names = " and ".join(source.name for source in fitting)
        why = f"{names} both know its records"
        raise UnrecognisedInputError(f"{name} is ambiguous: {why}", why=why, hint="Name the source with --source.")
    return fitting[0] if fitting else None


def _recognise_json(head: bytes, name: str, suffix: str, sources: Sequence[Source], catalog: Catalog) -> Recognised:
    outline = _outline(head, catalog)
    form = _form(head, suffix, outline)
    records: Sequence[Mapping[str, Any]] = _records(head, form, catalog, unwrap=outline.unwrap)
    empty = None if records else outline.empty
    if not records and head.lstrip(_WHITE)[:1] in (b"{", b"["):
        # The first record may be longer than any record may be: then the keys in its beginning have to do.
        keys = (key.decode() for key in _KEY.findall(head[: 64 * 1024]))
        records = [dict.fromkeys(outline.keys), dict.fromkeys(keys)]
    for source in sources:
        for what, marks in source.leave_out.items():
            if records and all(marks <= record.keys() for record in records):
                return Recognised(source.name, "skip", f"{name} is {what}; it is left out")
    for source in sources:
        if len(sources) == 1 or (empty is not None and set(empty) <= set(source.wrappers)):
            return Recognised(source.name, form, unwrap=outline.unwrap)
    if (fitting := _fitting(name, records, sources)) is not None:
        if fitting.outline is not None and "otlp" in fitting.outline.read:
            return Recognised(fitting.name, "otlp")
        return Recognised(fitting.name, form, unwrap=outline.unwrap)
    why = impression(head)
    is_near = any(source.marks and source.marks.keys & record.keys() for source in sources for record in records)
    stated = [f"{source.name}: {source.looks_for}" for source in sources if source.marks or source.outline is None]
    mapped = ", ".join(source.name for source in sources if source.outline is not None and source.marks is None)
    faults = [f"the mapping {fault.problems[0]}, is not used" for fault in catalog.faults]
    raise UnrecognisedInputError(
        f"{name} is not recognised ({why}); tried {'; '.join([*stated, *filter(None, [mapped]), *faults])}",
        why=why,
        hint="Name the source with --source if you know what it is; its records are then checked one by one."
        if is_near
        else "Write a mapping: `auditlake source new FILE` drafts one, and `auditlake docs mappings` has the syntax.",
    )


def sample(content: bytes, name: str, catalog: Catalog) -> tuple[list[dict[str, Any]], str]:
    """Return the first records of a file that are JSON objects, whatever they are, and the key that documents have
    around them, if any.
    """
    head = unmarked(content[:PEEK_MOST])
    if not head.strip(_WHITE):
        return [], ""
    outline = _outline(head, catalog)
    form = _form(head, _suffix(name), outline)
    documents = _records(head, form, catalog, unwrap=False)
    if key := _envelope(documents[:TRIED], catalog):
        lists = [listed for one in documents if isinstance(listed := one.get(key), list)]
        return [each for listed in lists for each in listed if isinstance(each, dict)][:1_000], key
    return _records(head, form, catalog, unwrap=outline.unwrap)[:1_000], ""


def is_text(content: bytes) -> bool:
    """Return whether a sample may be lines of text: it has some at its beginning, and is no JSON.

    Text may begin with a bracket, as the logs of Apache do; it hardly does with a brace.
    """
    head = unmarked(content[:PEEK_MOST])
    if b"\0" in head or not (text := head.decode("utf-8", "replace").strip()) or text.startswith("{"):
        return False
    lines = (text.partition("\n")[0], text) if text.startswith("[") else ()
    return all(_value(each.encode()) is None for each in lines)


def _envelope(documents: Sequence[Mapping[str, Any]], catalog: Catalog) -> str:
    """Return the key under which all of some objects keep a list of objects, if they are documents around records.

    A record may have such a list, too; but it has a time of its own.
    """
    lists = [
        {key for key, value in one.items() if isinstance(value, list) and value and isinstance(value[0], dict)}
        for one in documents
    ]
    keys = set.intersection(*lists) if lists else set()
    if any(_is_time(value) for one in documents for value in one.values()):
        return ""
    known = [key for key in catalog.wrapper_keys if key in keys]
    return known[0] if known else next(iter(keys), "") if len(keys) == 1 else ""


def _is_time(value: Any) -> bool:
    try:
        parse_instant(value)
    except (TypeError, ValueError):
        return False
    return True


def _fitting(name: str, records: Sequence[Mapping[str, Any]], sources: Sequence[Source]) -> Source | None:
    """Return the source of most of these records, or None if there is none.

    Raises:
        UnrecognisedInputError: Two sources know them, and neither goes before the other.
    """
    fitting = []
    for source in sources:
        if source.outline is None:
            fits = any(source.fits(records))
        else:
            own = records[:TRIED]
            if "otlp" in source.outline.read:
                own = [each for record in own for each in (flattened(record) or (record,))][:TRIED]
            elif "json" not in source.outline.read:
                continue
            fits = 2 * sum(source.fits(own)) >= len(own) > 0
        fitting += [source] if fits else []
    if not fitting:
        fitting = [source for source in sources if source.outline and source.marks and any(source.fits(records))]
    return _only(name, fitting)


def _tells(head: bytes, catalog: Catalog) -> bool:
    """Return whether the beginning of a long input is enough: it has a whole record in it, or is no JSON at all."""
    head = head.replace(BOM, b"")
    if head.lstrip(_WHITE)[:1] not in (b"{", b"["):
        table = head.startswith(tuple(MAGIC)) or _table_columns(head) is not None
        return table or b"\0" in head or bool(_records(head, "lines", catalog, unwrap=False))
    outline = _outline(head, catalog)
    form = _form(head, "", outline)
    if outline.wrapper and not outline.whole:
        # Only what is under the key can tell whether that is a field of an event or holds the records.
        return any(_is_event(frozenset(record), catalog) for record in _records(head, form, catalog, unwrap=True))
    return bool(_records(head, form, catalog, unwrap=outline.unwrap))


def _suffix(name: str) -> str:
    bare = re.sub(r"\.(gz|zst|zstd)$", "", name.lower())
    return "." + bare.rpartition(".")[2] if "." in bare else ""


@dataclass(frozen=True, slots=True)
class _Outline:
    """What the beginning shows of the first value."""

    keys: frozenset[str] = frozenset()
    """The keys of an object, so far as it was seen."""
    wrapper: bool = False
    """Whether it has an array under a wrapper key."""
    whole: bool = False
    """Whether it was seen to its end."""
    more: bool = False
    """Whether another object follows on the same line."""
    empty: tuple[str, ...] | None = None
    """Under which wrapper keys it holds no records, where it holds none; no keys of an array without elements."""

    unwrap: bool = True
    """Whether arrays under wrapper keys are records."""


def _outline(head: bytes, catalog: Catalog) -> _Outline:
    start = len(head) - len(head.lstrip(_WHITE))
    text = head[start:]
    if text[:1] not in (b"{", b"["):
        return _Outline()
    tokens = Scanner().feed(np.frombuffer(text, np.uint8))
    closed = np.flatnonzero(tokens.depth == 0)
    whole = bool(len(closed))
    stop = int(tokens.at[closed[0]]) + 1 if whole else len(text)
    value = _value(text[:stop]) if whole else None
    if isinstance(value, list):
        return _Outline(whole=True, empty=None if value else ())
    if text[:1] == b"[":
        return _Outline()
    # Only what stands directly in the object, without what is nested in it.
    count = int(closed[0]) if whole else len(tokens.at)
    edges, own = np.append(tokens.at[:count], stop), np.flatnonzero(tokens.depth[:count] == 1)
    spans = list(zip(edges[own].tolist(), edges[own + 1].tolist(), strict=True))
    keys = frozenset(key.decode() for a, b in spans for key in _KEY.findall(text, a, b))
    arrays = [text[max(0, b - 256) : b] for a, b in spans if text[b : b + 1] == b"["]
    wrappers = catalog.wrapper_keys
    opens_records = re.compile(b'"(?:' + "|".join(map(re.escape, wrappers)).encode() + rb')"\s*:\s*\Z')
    wrapper = any(opens_records.search(before) for before in arrays)
    empty = None
    if whole and wrapper and isinstance(value, dict):
        wrapped = tuple(key for key in wrappers if isinstance(value.get(key), list))
        empty = None if any(value[key] for key in wrapped) else wrapped
    is_record = wrapper and (_is_event(keys, catalog) or (isinstance(value, dict) and _is_known(value, catalog)))
    return _Outline(keys, wrapper, whole, len(records_of(text.partition(b"\n")[0])) > 1, empty, not is_record)


def _form(head: bytes, suffix: str, outline: _Outline) -> Format:
    """Return whether it is cut into lines or into documents."""
    lines = list(islice(_lines(head, _SOLID), 20))
    whole = [line for line in lines if isinstance(_value(line), dict)]
    first = _value(lines[0])
    if (outline.wrapper and outline.unwrap) or isinstance(first, list):
        return "documents"
    if outline.more and len(lines) == 1:
        # However long it is, it is no line.
        return "documents"
    if isinstance(first, dict):
        return "documents" if suffix == ".json" and len(lines) == 1 else "lines"
    if suffix in _LINE_NAMES:
        # A torn or foreign first line does not make a log a document.
        return "lines" if whole or lines[0].lstrip(_WHITE)[:1] != b"[" else "documents"
    if suffix == ".json" or lines[0].lstrip(_WHITE)[:1] == b"[":
        return "documents"
    return "lines" if 2 * len(whole) >= len(lines) or lines[0].lstrip(_WHITE)[:1] != b"{" else "documents"


def _lines(head: bytes, having: re.Pattern[bytes]) -> Iterator[bytes]:
    """Yield the lines in which a pattern occurs; there may be millions in which it does not."""
    at = 0
    while match := having.search(head, at):
        begin = head.rfind(b"\n", at, match.start()) + 1 or at
        at = end if (end := head.find(b"\n", match.start())) >= 0 else len(head)
        yield head[begin:at]


def _is_known(value: Mapping[str, Any], catalog: Catalog) -> bool:
    """Return whether a mapping whose ``match`` is a condition takes an object for one of its records."""
    return any(
        source.outline is not None and isinstance(source.outline.match, str) and source.fits([value])[0]
        for source in catalog
    )


def _is_event(keys: frozenset[str], catalog: Catalog) -> bool:
    return any(source.has_marks(keys) for source in catalog)


def _value(text: bytes) -> Any:
    """Return the JSON value, or None where it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "infinity" not in error.msg:
            return None
    try:
        # Numbers of any size are valid; half a surrogate pair is no text, here as above.
        value = json.loads(text, parse_int=len, parse_float=len)
        json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError):
        return None


class _Peeked:
    """What was looked at, as a stream; it breaks off, which here says nothing."""

    damage: Damage | None = None
    input = InputFile("-", None)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        yield self._data


def _records(head: bytes, form: Format, catalog: Catalog, *, unwrap: bool) -> list[dict[str, Any]]:
    """Return the records in it that are objects."""
    if form == "lines":
        texts = [record for line in _lines(head, _OPENING) for record in records_of(line)]
    else:
        texts = []
        for batch in split_documents(_Peeked(head), PEEK_MOST, catalog.wrapper_keys if unwrap else ()):
            texts += [batch.raw(i) for i in range(len(batch))]
    values = (_value(text) for text in texts)
    return [value for value in values if isinstance(value, dict)]


def _table_columns(head: bytes) -> list[str] | None:
    """Return the columns, if the first line is a CSV header with those of an event."""
    try:
        first = head.lstrip(_WHITE).partition(b"\n")[0][: 64 * 1024].decode().rstrip("\r")
        columns = next(csv.reader(io.StringIO(first), delimiter=delimiter(first)), [])
    except (UnicodeDecodeError, csv.Error):
        return None
    names = [column.strip() for column in columns]
    return names if {"event_type", "timestamp"} <= set(names) else None
