"""What a collection found, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from auditlake.sources.model import InputFile
from auditlake.sources.remote import RemoteObject

TOLD = 20
"""How many objects of a place are named in what is told."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file or an object that a listing has."""

    name: str
    """What custody and messages call it."""
    size: int | None
    """Bytes; None where its server does not say."""
    version: str
    """Differs once the bytes differ; empty where the server does not tell, and then the object is read each time."""
    path: Path | None = None
    """Where it lies, if that is on this machine."""
    remote: RemoteObject | None = None
    """The same, if it lies elsewhere."""
    fault: str = ""
    """Why it cannot be read, where the listing tells."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object whose bytes are at hand."""

    found: Found
    input: InputFile


@dataclass(frozen=True, slots=True)
class PlaceSummary:
    """What came of one place."""

    path: str
    """As lake.toml names it, without what may be a secret."""
    listed: int = 0
    """Objects that lie there."""
    known: int = 0
    """Those among them that were taken before."""
    taken: int = 0
    """Those that were read and committed now."""
    size: int = 0
    """Bytes of these."""
    read: int = 0
    """Records of these."""
    landed: int = 0
    """Events that are new."""
    duplicates: int = 0
    """Events that the lake had."""
    quarantined: int = 0
    """Records that cannot become events."""
    unrecognised: int = 0
    """Objects that no source knows; they are read again once the lake has other sources, or they change."""
    not_read: int = 0
    """Objects that could not be read; the next collection tries them again."""
    too_many_quarantined: bool = False
    """Whether more records were quarantined than the place allows."""
    problem: str = ""
    """Why the place could not be listed to its end."""
    told: tuple[str, ...] = ()
    """The first objects that could not be read or are not recognised, each with the reason."""
    new_skips: tuple[str, ...] = ()
    """The rules of mappings that newly leave out more than one record in a hundred, in words."""

    @property
    def failed(self) -> bool:
        """Whether something of the place is not in the lake that should be."""
        return bool(self.problem or self.not_read or self.too_many_quarantined)


@dataclass(frozen=True, slots=True)
class CollectSummary:
    """What a collection did."""

    places: tuple[PlaceSummary, ...]
    snapshot: int
    """The newest version of the lake after it."""

    listed: int = field(init=False)
    known: int = field(init=False)
    taken: int = field(init=False)
    size: int = field(init=False)
    read: int = field(init=False)
    landed: int = field(init=False)
    duplicates: int = field(init=False)
    quarantined: int = field(init=False)
    unrecognised: int = field(init=False)
    not_read: int = field(init=False)

    def __post_init__(self) -> None:
        for name in (
            "listed", "known", "taken", "size", "read", "landed", "duplicates", "quarantined", "unrecognised",
            "not_read",
        ):  # fmt: skip
            object.__setattr__(self, name, sum(getattr(each, name) for each in self.places))

    @property
    def failed(self) -> bool:
        """Whether something of a place is not in the lake that should be."""
        return any(each.failed for each in self.places)


PlaceListener = Callable[[PlaceSummary], None]
"""Told after each commit how far a place is."""
