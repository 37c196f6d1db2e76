"""The log of the Linux audit daemon: an event is the lines of one node, time and serial number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from auditlake.sources.cutters.plain import FRAME, REST, add_again, lines_of, placed, plain_lines
from auditlake.sources.mappings.outline import Outline
from auditlake.sources.model import NO_AUDIT_LINE, TOO_LONG, Batch, Rejected, reject

_LINE = re.compile(
    FRAME.removeprefix("^").join(("(?:", ")?"))
    + r"(?:\S+ +\d+ [\d:]{8} \S+ \S+: |\d{4}-\S+ \S+ \S+: )?"  # what a syslog daemon puts before it
    r"(?:node=(?P<node>\S+) )?type=(?P<type>[A-Z][A-Z0-9_]*(?:\[\d+\])?) "
    r"msg=audit\((?P<time>\d{1,12}\.\d{1,9}):(?P<serial>\d{1,20})\):? ?(?P<rest>.*)",
    re.DOTALL,
)
_PAIR = re.compile(r"""([A-Za-z_][\w\[\]-]*)=("[^"]*"|'[^']*'|\S*)""", re.DOTALL)
_INNER = re.compile(r"""(?:^|(?<=\s))msg='(.*)'(?=\x1d|\s|$|[A-Z])""", re.DOTALL)
_ENRICHED = re.compile(r"\x1d|(?<=[\"')])(?=[A-Z][A-Z-]*=)")
_ENCODED = re.compile("(?:[0-9A-F]{2})+")
_ENCODED_KEYS = frozenset((
    "acct", "cgroup", "cmd", "comm", "cwd", "data", "device", "dir", "exe", "file", "grp", "key", "name", "new-chardev",
    "new-disk", "new-fs", "new-rng", "ocomm", "old-chardev", "old-disk", "old-fs", "old-rng", "path", "proctitle",
    "root_dir", "sw", "vm", "watch",
))  # fmt: skip
_ARGUMENT = re.compile(r"a\d+(?:\[\d+\])?")
_MOST_LINES = 5_000
"""After so many more lines an event has no further line."""
_MOST_BYTES = 64 * 1024 * 1024
"""So much may be held of events that have not ended."""


@dataclass(slots=True)
class _Open:
    """An event whose end has not come yet."""

    line: int
    """The line of its first part."""
    offset: int
    node: str | None
    time: str
    serial: str
    latest: int
    """How many lines there were when the latest part came."""
    parts: list[tuple[str, str, str]] = field(default_factory=list)
    """Of each line its type, its fields, and the whole."""
    size: int = 0


def cut_auditd(stream: Any, max_record: int, outline: Outline) -> Iterator[Batch]:
    """Cut a stream into events of the audit daemon.

    An event ends with a line of the type EOE, when 5,000 more lines have passed, and at the end of the stream. Its
    record has the fields of its first line, and under ``lines`` those of each other line by its type. Values in
    hexadecimal digits are decoded. Rejected are lines that have no type, time or serial number.
    """
    cutter = _Cutter(max_record)
    for batch in plain_lines(stream, max_record, outline):
        yield from cutter.take(batch)
    yield from cutter.finish()


class _Cutter:
    def __init__(self, max_record: int) -> None:
        self._max = max_record
        self._open: dict[tuple[str | None, str, str], _Open] = {}
        self._number = self._count = self._size = 0
        self._ended: list[tuple[int, _Open]] = []
        self._rejected: list[Rejected] = []

    def take(self, batch: Batch) -> Iterator[Batch]:
        """Take the next lines."""
        rejected = list(batch.rejected)
        for i, line in enumerate(lines_of(batch)):
            while rejected and rejected[0].record < batch.records[i]:
                self._reject(rejected.pop(0))
            self._line(line, int(batch.lines[i]), int(batch.offsets[i]))
        for each in rejected:
            self._reject(each)
        yield from self._flush()

    def finish(self) -> Iterator[Batch]:
        """End what is open."""
        for key in list(self._open):
            self._end(key)
        yield from self._flush()

    def _line(self, text: str, line: int, offset: int) -> None:
        self._count += 1
        while self._open and self._is_over(key := next(iter(self._open))):
            self._end(key)
        match = _LINE.match(text)
        if match is None:
            self._reject(
                reject(
                    0, line, offset, NO_AUDIT_LINE, "type, time or serial number is missing", text.encode(), self._max
                )
            )
            return
        key = (match["node"], match["time"], match["serial"])
        found = self._open.pop(key, None) or _Open(line, offset, *key, latest=self._count)
        self._open[key] = found  # the last to be over
        found.latest = self._count
        found.parts.append((match["type"], match["rest"], text))
        found.size += len(text) + 1
        self._size += len(text) + 1
        if match["type"] == "EOE" or found.size > self._max:
            self._end(key)

    def _is_over(self, key: tuple[str | None, str, str]) -> bool:
        return self._count - self._open[key].latest > _MOST_LINES or self._size > _MOST_BYTES

    def _end(self, key: tuple[str | None, str, str]) -> None:
        ended = self._open.pop(key)
        self._size -= ended.size
        self._ended.append((self._number, ended))
        self._number += 1

    def _reject(self, rejected: Rejected) -> None:
        self._rejected.append(replace(rejected, record=self._number))
        self._number += 1

    def _flush(self) -> Iterator[Batch]:
        """Give out the events that have ended."""
        places, texts, originals, rejected = [], [], [], self._rejected
        for number, each in self._ended:
            raw = "\n".join(whole for _, _, whole in each.parts).encode()
            if len(raw) > self._max:
                why = f"{len(raw)} bytes, at most {self._max} are allowed"
                rejected.append(reject(number, each.line, each.offset, TOO_LONG, why, raw, self._max))
                continue
            places.append((number, each.line, each.offset, len(raw)))
            texts.append(orjson.dumps(_record(each)))
            originals.append(raw)
        self._ended, self._rejected = [], []
        rejected.sort(key=lambda each: each.record)
        if places or rejected:
            yield replace(placed(places, texts, rejected), originals=tuple(originals))


def _record(event: _Open) -> dict[str, Any]:
    """Return an event as one record."""
    types = [kind for kind, _, _ in event.parts if kind != "EOE"]
    record: dict[str, Any] = {"type": types[0] if types else "EOE", "time": event.time, "serial": event.serial}
    if event.node is not None:
        record["node"] = event.node
    record["types"] = types
    others: dict[str, Any] = {}
    for number, (kind, rest, _) in enumerate(part for part in event.parts if part[0] != "EOE"):
        fields = _fields(kind, rest)
        if number == 0:
            for key, value in fields.items():
                if key in record:
                    add_again(record, key, value)
                else:
                    record[key] = value
        else:
            add_again(others, kind.lower(), fields)
    if others:
        record["lines"] = others
    return record


def _fields(kind: str, text: str) -> dict[str, Any]:
    """Return the fields of a line; those that the daemon adds in words are under ``enriched``."""
    fields: dict[str, Any] = {}
    inner = _INNER.search(text)
    outer, quoted, behind = (text[: inner.start()], inner[1], text[inner.end() :]) if inner else (text, "", "")
    outer, *enriched = _ENRICHED.split(outer, maxsplit=1)
    words: dict[str, Any] = {}
    rests = []
    for part, into in ((outer, fields), (quoted, fields), ("\x1d".join((*enriched, behind)), words)):
        for key, value in _PAIR.findall(part.replace("\x1d", " ")):
            add_again(into, key.lower() if into is words else key, _value(kind, key, value))
        rests += _PAIR.sub("", part.replace("\x1d", " ")).split()
    if rests:
        fields.setdefault(REST, " ".join(rests))
    if words:
        fields["enriched"] = words
    if kind == "EXECVE" and (command := _command(fields)):
        fields["command"] = command
    return fields


def _value(kind: str, key: str, written: str) -> str:
    """Return a value without its quotes; as text, where it is written in hexadecimal digits, which have none."""
    if written[:1] in ("'", '"'):
        return written.strip(written[0])
    encoded = key in _ENCODED_KEYS or (kind == "EXECVE" and _ARGUMENT.fullmatch(key) is not None)
    if not encoded or not _ENCODED.fullmatch(written):
        return written.rstrip(",")
    return bytes.fromhex(written).rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "backslashreplace")


def _command(fields: dict[str, Any]) -> str:
    """Return the arguments of a program, one behind the other."""
    arguments: Iterable[str] = (str(fields[f"a{i}"]) for i in range(1_000) if f"a{i}" in fields)
    return " ".join(arguments)
