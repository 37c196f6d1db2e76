"""Inputs become batches of records: gathered from what the caller names, recognised, and cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np

from auditlake.errors import InputChangedError, SourceError, UnrecognisedInputError
from auditlake.events.schema import CANONICAL
from auditlake.sources.archive import NESTED, Archive, archive_kind
from auditlake.sources.catalog import Catalog
from auditlake.sources.cutters.catalog import CUTTERS
from auditlake.sources.in_memory import ID_ROOM, MemoryLines, MemoryStream
from auditlake.sources.inputs import expand_inputs
from auditlake.sources.model import Batch, InputFile
from auditlake.sources.python_events import Made, PythonInput, with_reasons, write_inputs
from auditlake.sources.recognise import Format, Recognised, recognise
from auditlake.sources.remote import is_url, remote_inputs
from auditlake.sources.split import split_documents, split_lines
from auditlake.sources.stream import Stream, open_stream

UNRECOGNISED = "unrecognised"
"""The format of a file that is left out of a folder or pattern since no source knows it."""
_IN_PLACE = ("lines", "documents")
"""The formats of which a record's bytes lie in the input as they are."""
UNREAD = "left out"
"""The format of what is named and was not opened."""
DAMAGED = "it is damaged, and no record of it could be unpacked"
"""The notice of a member of an archive whose bytes are in quarantine, as a part of the archive."""


@dataclass(frozen=True, slots=True)
class OpenInput:
    """An input that is ready to be read."""

    source: str | None
    """The name of its mapping in ``sql/sources``; None for an input that is left out."""
    format: str
    notice: str
    """Why it is left out, where it is."""
    stream: Stream | MemoryStream
    batches: Iterator[Batch]
    """Its records; to be taken to the end."""
    recut: Callable[[Stream], Iterator[Batch]] | None = None
    """Cuts the same input again, where the bytes of a record do not lie in it as they are."""
    archive: Archive | None = None
    """Where it is one: its members are inputs, to be read first; its own records are only what is damaged in it."""


def open_records(
    origin: InputFile | MemoryLines,
    source: str | None,
    max_record: int,
    spool: Path,
    *,
    catalog: Catalog,
    strict: bool = False,
) -> OpenInput:
    """Open an input, find out what it is, and cut it into records. Held lines are of the source that they name.

    Args:
        origin: The input.
        source: The source that the user named; None to recognise it.
        max_record: Bytes; longer records are refused.
        spool: Where to keep what comes from a pipe.
        catalog: The sources that there are.
        strict: Leave out nothing that no source knows, also where it was not named itself.

    Raises:
        SourceError: It cannot be read, or there is no such source.
        UnrecognisedInputError: No source knows it, and it is not one of the files of a folder or pattern.
    """
    if source is not None and source not in catalog.inputs:
        for fault in catalog.faults:
            raise fault
        raise SourceError(f"there is no source {source!r}", hint=f"there are: {', '.join(catalog.inputs)}")
    if isinstance(origin, MemoryLines):
        lines, room = MemoryStream(origin), ID_ROOM if catalog[origin.source].outline is None else 0
        cut = _cutter(Recognised(origin.source, cast("Format", origin.format)), max_record + room, catalog)
        return OpenInput(origin.source, origin.format, "", lines, lines.records(cut, max_record))
    if origin.left_out:
        unread = MemoryStream(MemoryLines(origin.name, 0, 1, b"", b""))
        return OpenInput(None, UNREAD, origin.left_out, unread, iter(()))
    stream = open_stream(origin, spool_dir=spool)
    try:
        if kind := archive_kind(stream.peek(1024)):
            return _archive(stream, kind, spool)
        recognised = _recognised(stream, origin, source, catalog)
        if recognised.format == "skip":
            return OpenInput(None, recognised.format, recognised.notice, stream, _nothing(stream))
        cut = _cutter(recognised, max_record, catalog)
        batches = cut(stream)
        if origin.within:
            batches = _begun(batches)
        if isinstance(origin, PythonInput):
            batches = with_reasons(batches)
        recut = cut if recognised.format not in _IN_PLACE else None
        return OpenInput(recognised.source, recognised.format, "", stream, batches, recut)
    except UnrecognisedInputError as error:
        if strict or not origin.within:
            stream.close()
            raise
        notice = DAMAGED if origin.damaged else f"not recognised ({error.why})"
        return OpenInput(None, UNRECOGNISED, notice, stream, _nothing(stream))
    except BaseException:
        stream.close()
        raise


def _recognised(stream: Stream, origin: InputFile, source: str | None, catalog: Catalog) -> Recognised:
    """Return what an input is; of records made in Python that no source knows, each says by itself what it lacks."""
    if isinstance(origin, PythonInput) and origin.format == "arrow":
        return Recognised(source or CANONICAL, "arrow")
    if isinstance(origin, PythonInput) and origin.is_own and source is None:
        return Recognised(CANONICAL, origin.format)
    try:
        return recognise(stream.peek(), origin.name, source, stream.peek, catalog, partial(_first_rows, origin))
    except UnrecognisedInputError:
        if isinstance(origin, PythonInput):
            return Recognised(CANONICAL, origin.format)
        raise


def _first_rows(origin: InputFile, many: int) -> list[dict[str, Any]]:
    from auditlake.sources.tabular import first_rows

    return first_rows(origin.path, many) if origin.path is not None else []


def _cutter(recognised: Recognised, max_record: int, catalog: Catalog) -> Callable[[Any], Iterator[Batch]]:
    """Return what cuts an input."""
    source, form = catalog[recognised.source], recognised.format
    if form == "lines":
        return partial(split_lines, max_record=max_record)
    if form == "documents":
        wrappers = source.wrappers if recognised.unwrap else ()
        return partial(split_documents, max_record=max_record, wrappers=wrappers)
    if source.outline is not None and form != "arrow":
        outline, cutter = source.outline, CUTTERS["lines" if form == "text" else form]
        return lambda stream: cutter(stream, max_record, outline)
    from auditlake.sources.csv_table import split_csv
    from auditlake.sources.tabular import read_arrow, read_parquet

    table: Callable[..., Iterator[Batch]] = {"csv": split_csv, "arrow": read_arrow, "parquet": read_parquet}[form]
    return partial(table, max_record=max_record)


def reread(stream: Stream, cut: Callable[[Stream], Iterator[Batch]], records: Iterable[int]) -> Iterator[bytes]:
    """Yield the bytes of records of an input once more, by their ascending numbers.

    Such a record has no place to seek to, so all are cut again.

    Raises:
        InputChangedError: The input is no longer what was read.
    """
    with stream.again() as again:
        wanted = iter(records)
        record = next(wanted, None)
        for batch in cut(again):
            while record is not None and record in batch.records:
                yield batch.raw(int(np.searchsorted(batch.records, record)))
                record = next(wanted, None)
        if again.sha256 != stream.sha256:
            message = f"{stream.input.name} changed while it was read"
            raise InputChangedError(message, hint="nothing of it was landed; read it again")


def _archive(stream: Stream, kind: str, spool: Path) -> OpenInput:
    """Open an archive, and refuse one that lies in another."""
    if stream.input.archive:
        name = stream.input.name
        raise UnrecognisedInputError(f"{name} is {NESTED}", why=NESTED, hint="Unpack the archive, and give the folder.")
    archive = Archive(stream, kind, spool)
    if why := archive.why_no_logs():
        raise UnrecognisedInputError(f"{stream.input.name} is not recognised ({why})", why=why)
    return OpenInput(None, kind, "", stream, archive.damages(), archive=archive)


def _begun(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Return the same batches, the first of them made: by then the columns of a table are checked."""
    return chain([first] if (first := next(batches, None)) is not None else [], batches)


def cut_ahead(batches: Iterator[Batch], many: int) -> Iterator[Batch]:
    """Yield the same batches; so many of the next ones are cut while the caller works on those before."""
    with ThreadPoolExecutor(1, "auditlake-cut") as pool:
        waiting = deque(pool.submit(next, batches, None) for _ in range(many))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, batches, None))
            yield batch


def _nothing(stream: Stream) -> Iterator[Batch]:
    """Read an input to its end, so that its digest is known, and take nothing from it."""
    for _ in stream:
        pass
    yield from ()


def gather(inputs: Sequence[str | Path | Made], spool: Path) -> list[InputFile]:
    """Return the inputs that are meant: paths first, then URLs, then events made in Python.

    Those are written to files in a folder; what a URL names is copied there while it is read.

    Raises:
        SourceError: A path or an object does not exist or cannot be read.
        EventError: An input is neither a path nor an event, several events or a table.
    """
    paths = [each for each in inputs if isinstance(each, str | Path)]
    if "" in paths:
        raise SourceError("an input has an empty name", hint="is a variable of the shell not set?")
    urls = [str(each) for each in paths if is_url(each)]
    local = [each for each in paths if not is_url(each)]
    files = expand_inputs(local) if local else []
    for number, url in enumerate(urls):
        (folder := spool / f"remote-{number}").mkdir()
        files += remote_inputs(url, folder)
    return [*files, *write_inputs((each for each in inputs if not isinstance(each, str | Path)), spool)]
