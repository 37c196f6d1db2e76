"""What the cutters of text share: lines that are no JSON, other encodings, frames of syslog, pairs."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from auditlake.sources.cutters.frames import split_followed, split_messages
from auditlake.sources.in_memory import MemoryStream
from auditlake.sources.mappings.outline import Outline
from auditlake.sources.model import Batch, Damage, InputFile, Rejected, reject

ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252")
"""The encodings that a mapping may name."""
FRAME = r"^(?:[0-9]{1,7} )?<[0-9]{1,3}>(?:1 )?"
"""What stands before a message of syslog: its length, its priority, its version."""
AGAIN, REST = "_again", "_rest"
"""The fields with what further occurrences of a key say, and with the text that is no pair."""
_PAIR = re.compile(r"""([A-Za-z_@][^\s=,;|"'()]*)=("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;|]*)""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


class Recoded:
    """A stream as UTF-8; what is not of its encoding is written out as ``\\xNN``."""

    def __init__(self, stream: Any, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self.input: InputFile = stream.input

    @property
    def damage(self) -> Damage | None:
        """Why some bytes are missing."""
        damage: Damage | None = self._stream.damage
        return damage

    def __iter__(self) -> Iterator[bytes]:
        """Yield the text."""
        new = partial(codecs.getincrementaldecoder(self._encoding), "backslashreplace")
        decoder = new()
        for chunk in self._stream:
            if chunk:
                yield from filter(None, [decoder.decode(chunk).encode("utf-8", "backslashreplace")])
                continue
            yield from filter(None, [decoder.decode(b"", final=True).encode("utf-8", "backslashreplace")])
            decoder = new()
            yield b""
        yield from filter(None, [decoder.decode(b"", final=True).encode("utf-8", "backslashreplace")])


def as_utf8(stream: Any, outline: Outline) -> Any:
    """Return a stream as UTF-8, if its mapping names another encoding."""
    encoding = outline.keys.get("encoding", "utf-8")
    return stream if encoding == "utf-8" else Recoded(stream, encoding)


def plain_lines(stream: Any, max_record: int, outline: Outline) -> Iterator[Batch]:
    """Cut a stream into lines, or messages of syslog that say how long they are; what is followed, into lines."""
    if isinstance(stream, MemoryStream):
        return split_followed(stream, max_record)
    return split_messages(as_utf8(stream, outline), max_record)


def lines_of(batch: Batch) -> list[str]:
    """Return the lines of a batch as text."""
    texts: list[str] = batch.text.to_pylist()
    return texts


def recorded(
    batch: Batch, lines: Sequence[str], records: Iterable[dict[str, Any] | None], reason: str, max_record: int
) -> Batch:
    """Return a batch of lines with the record that each became; lines without one are rejected for a reason."""
    kept: list[int] = []
    texts: list[bytes] = []
    refused: list[Rejected] = []
    for i, record in enumerate(records):
        if record is None:
            place = (int(batch.records[i]), int(batch.lines[i]), int(batch.offsets[i]))
            refused.append(reject(*place, reason, "", lines[i].encode(), max_record))
        else:
            kept.append(i)
            texts.append(orjson.dumps(record))
    rejected = batch.rejected
    if refused:
        rejected = tuple(sorted((*rejected, *refused), key=lambda each: each.record))
    chosen = np.array(kept, np.int64)
    return replace(
        batch,
        records=batch.records[chosen],
        lines=batch.lines[chosen],
        offsets=batch.offsets[chosen],
        lengths=batch.lengths[chosen],
        texts=as_texts(texts),
        rejected=rejected,
        originals=tuple(lines[i].encode() for i in kept),
    )


def as_texts(texts: Sequence[bytes]) -> Any:
    """Return texts as a column."""
    return pa.array(texts, pa.large_binary()).cast(pa.large_string())


def placed(places: Sequence[tuple[int, int, int, int]], texts: Sequence[bytes], rejected: Sequence[Rejected]) -> Batch:
    """Return a batch of records, each with its number, line, offset and length."""
    numbers, lines, offsets, lengths = np.array(places, np.int64).reshape(-1, 4).T.copy()
    return Batch(numbers, lines, offsets, lengths, as_texts(texts), tuple(rejected))


def pairs(text: str) -> tuple[list[tuple[str, str]], str]:
    """Return the pairs ``k=v``, ``k="…"`` and ``k='…'`` in a text, and the text around them."""
    found = [(match[1], unquoted(match[2])) for match in _PAIR.finditer(text)]
    return found, " ".join(_PAIR.sub("", text).replace(",", " ").replace(";", " ").replace("|", " ").split())


def unquoted(value: str) -> str:
    """Return a value without the quotes around it, and without what guards quotes in it."""
    if len(value) < 2 or value[0] not in "\"'" or value[-1] != value[0]:
        return value
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), value[1:-1])


def add_again(record: dict[str, Any], key: str, value: Any) -> None:
    """Give a record a field; where it has one of the name, that counts, and this one is kept under ``_again``."""
    if key not in record and key != AGAIN:
        record[key] = value
    else:
        record.setdefault(AGAIN, {}).setdefault(key, []).append(value)
