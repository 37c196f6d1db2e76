"""The parts of an archive of either kind: entries, and stretches that are none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auditlake.sources.inputs import HIDDEN, LAKE, MARKER, MARKERS, OF_A_LAKE, OF_A_LAKES_OWN, OWN

_NAME = 1_000


@dataclass(slots=True)
class Entry:
    """One thing in an archive, as the archive is gone through."""

    name: str
    left_out: str
    pieces: Iterator[bytes]
    """Its bytes; to be taken before the next entry."""
    modified: float | None = None
    """When it was last modified, in seconds since 1970, as the archive says it; None where it does not."""


def why_left_out(name: str) -> str:
    """Return why a member is left out for its name, as it would be in a folder; or an empty text."""
    parts = name.split("/")
    if any(part.startswith(".") and part not in {".", ".."} for part in parts):
        return HIDDEN
    if any(MARKERS.fullmatch(part) for part in parts):
        return MARKER
    return OF_A_LAKE if OF_A_LAKES_OWN.search(name) else ""


def lake_of(name: str) -> str | None:
    """Return the folder of the lake whose settings a member is, with its slash; None for any other member."""
    folder, slash, last = name.rpartition("/")
    return folder + slash if last == LAKE else None


def lies_in_a_lake(name: str, lakes: Iterable[str]) -> bool:
    """Return whether a member belongs to one of these lakes, by their folders: policies, certificates and such."""
    return any(name.startswith(lake) and name[len(lake) :].partition("/")[0] in OWN for lake in lakes)


def printable_name(name: str) -> str:
    """Return a member's name as text that can be kept, without what would make it a path from the root."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\0")
    text = text.removeprefix("./").lstrip("/")
    return text if len(text) <= _NAME else f"{text[:_NAME]}…"
