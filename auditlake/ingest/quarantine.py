"""Records that could not become events: kept with their bytes, so that nothing is dropped in silence.

One file per ingest that had any, JSON lines, named by the SHA-256 of its content: the same ingest run again writes the
same file. Keys: ``input``, ``line``, ``offset`` (of the decompressed stream), ``length``, ``reason``, ``detail``,
``encoding`` (``utf-8`` or ``base64``), ``data``, ``field`` and ``value`` (what is at fault, as it came, cut; absent
where it is the record as a whole), and ``sha256`` of the whole where ``data`` is only its beginning.

Of a record that named an erased person the place, the length and the reason stay, with ``erased``, and ``keyed``: a
digest of its bytes that only the lake can make, by which it is known where it comes again.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from auditlake.disk.files import open_file
from auditlake.disk.layout import Layout
from auditlake.disk.rights import FILE_MODE, give
from auditlake.errors import LakeFormatError
from auditlake.ingest.custody import Example
from auditlake.sources.model import Rejected
from auditlake.sources.refused import excerpt
from auditlake.store.deltalog import Commits, newest_version
from auditlake.store.pseudonyms import Pseudonyms, pseudonyms

_EXAMPLES = 100
"""So many fields are told apart: an input of invented fields does not fill the memory."""


class Quarantine:
    """Collects the refused records of one ingest in a file of its workspace."""

    def __init__(self, folder: Path) -> None:
        self.draft = folder / "quarantine.jsonl"
        self.reasons: Counter[str] = Counter()
        """How many records for each reason."""
        self._examples: dict[tuple[str, str], tuple[str, int]] = {}
        self._file = os.fdopen(os.open(self.draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb")
        give(self._file.fileno(), self.draft)
        self._digest = hashlib.sha256()
        self.first: list[str] = []
        """The first few, one line each, for messages."""

    @property
    def records(self) -> int:
        """How many there are."""
        return self.reasons.total()

    def add(self, name: str, rejected: Rejected) -> None:
        """Keep one record of the input ``name``."""
        line = orjson.dumps(_entry(name, rejected)) + b"\n"
        self._file.write(line)
        self._digest.update(line)
        self.reasons[rejected.reason] += 1
        self._exemplify(rejected)
        if len(self.first) < 5:
            detail = f" ({rejected.detail})" if rejected.detail else ""
            self.first.append(f"{name}:{rejected.line}: {rejected.reason}{detail}")

    def _exemplify(self, rejected: Rejected) -> None:
        key = (rejected.reason, rejected.field)
        if key not in self._examples and len(self._examples) >= _EXAMPLES:
            key = (rejected.reason, "")
        value, records = self._examples.get(key, ("", 0))
        value = value or rejected.value or ("" if rejected.field else excerpt(rejected))
        self._examples[key] = (value, records + 1)

    @property
    def examples(self) -> tuple[Example, ...]:
        """Each reason with its fields, how many records have it, and a value, the most frequent first."""
        examples = [Example(*key, *example) for key, example in self._examples.items()]
        return tuple(sorted(examples, key=lambda each: (-each.records, each.field, each.reason)))

    def abandon(self) -> None:
        """Let go of the draft; nothing happens if it is closed already."""
        self._file.close()

    def close(self) -> str:
        """Return the file's final name, once the draft is whole."""
        self._file.close()
        return f"records-{self._digest.hexdigest()}.jsonl"


class ErasedRecords:
    """The records that erasures took out of a lake's quarantine, and that are not to come back.

    Args:
        layout: The lake; nothing of it is read before a record is asked about.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def has(self, rejected: Rejected) -> bool:
        """Return whether a record is one of them; without the key of the pseudonyms that is unknown."""
        if not rejected.data:
            return False
        names, known = self._known
        return bool(known) and names.of_record(rejected.sha256 or hashlib.sha256(rejected.data).hexdigest()) in known

    @cached_property
    def _known(self) -> tuple[Pseudonyms, frozenset[str]]:
        names = None
        with suppress(LakeFormatError):
            names = pseudonyms(self._layout, make=False)
        return (names, frozenset(self._keyed())) if names is not None else (Pseudonyms(b""), frozenset())

    def _keyed(self) -> Iterator[str]:
        """Yield the keyed digests that erasures kept: only the files that they wrote are read."""
        past = Commits(self._layout, newest_version(self._layout)).history
        for name in (name for name, version in past.quarantine.items() if past.others.get(version) == "erase"):
            with (
                suppress(FileNotFoundError),
                open_file(self._layout.quarantine / name, within=self._layout.root) as lines,
            ):
                for line in lines:
                    if b'"keyed":"' in line and (keyed := orjson.loads(line).get("keyed")):
                        yield keyed


def _entry(name: str, rejected: Rejected) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "input": name,
        "line": rejected.line,
        "offset": rejected.offset,
        "length": rejected.length,
        "reason": rejected.reason,
        "detail": rejected.detail,
    }
    try:
        entry |= {"encoding": "utf-8", "data": rejected.data.decode("utf-8")}
    except UnicodeDecodeError:
        entry |= {"encoding": "base64", "data": base64.b64encode(rejected.data).decode("ascii")}
    if rejected.field:
        entry |= {"field": rejected.field, "value": rejected.value}
    if rejected.sha256 is not None:
        entry["sha256"] = rejected.sha256
    return entry
