"""What a sandbox is told: its limits, its layers, and what a child is to open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Required, TypedDict

from auditlake.engine.sql_text import Batches
from auditlake.events.times import Instant

if TYPE_CHECKING:
    from auditlake.sandbox.principals import Account

Layer = Literal["landlock", "calls", "limits", "engine", "gate"]
"""A layer of the sandbox inside the child: the kernel's file and TCP rights, its filter of system calls, its limits of
memory and files; the engine's own settings; the look at each statement's syntax tree."""

LAYERS: tuple[Layer, ...] = ("landlock", "calls", "limits", "engine", "gate")
"""Every layer, the outermost first."""

MEGABYTE = 1_000_000


class Interrupted(Exception):  # noqa: N818 - told in other words above
    """A question is to be stopped. Says why in a few words."""


class SessionOptions(TypedDict, total=False):
    """The options of a session; see :class:`auditlake.sandbox.session.AuditSession`."""

    principal: Required[str]
    """The person who asks."""
    snapshot: int | None
    """The version to read; the newest if None."""
    as_of: Instant | None
    """Events after it do not exist."""
    rows: int | None
    """The most rows of an answer, instead of what lake.toml says."""
    account: Account | None
    """The account that asks at a desk."""
    layers: Sequence[Layer]
    """For tests: which layers of the sandbox to put on."""
    engine_reads: bool | None
    """For tests: whether DuckDB reads the files itself."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a child opens, once."""

    layers: Sequence[Layer]
    """Which layers to put on; only tests leave some out."""
    folder: str
    """Where the child goes before anything else: the paths of files are below it, and no error names more of them."""
    files: Sequence[str]
    """The Parquet files of the snapshot: all that may be read."""
    engine_reads: bool
    """Whether DuckDB reads the files; otherwise Arrow does, and DuckDB has no right over any file."""
    views: Mapping[str, str]
    """The queries behind the views, by name, in the order in which they build on each other."""
    secure: Sequence[str]
    """The views whose filter must run before anything of the asker's does."""
    open: Sequence[str]
    """The views that may be named in a query; the others are what these are made of."""
    on_demand: Mapping[str, str]
    """The queries behind views over a table ``_name``, which the parent hands over with the first question for it."""
    growing: Sequence[str]
    """Those of them that are asked for anew each time."""
    seconds: float
    memory: int
    """Bytes."""
    threads: int
    rows: int
    output: int
    """Bytes."""
    reading: Reading | None = None
    """What the view ``_read``, which ``events`` is made of, is narrowed by to the files that matter to a question; None
    if it is not."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it; ``asdict`` would copy what it says of ten thousand files piece by piece."""
        return _shallow(self) | {"reading": None if self.reading is None else _shallow(self.reading)}


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of the files of a snapshot, in their order."""

    batches: Batches | None
    """Only rows of these belong to it; None if every row of the files does."""
    types: Sequence[Sequence[str]]
    """The sets of event types that there are in files."""
    contents: tuple[Sequence[int | None], Sequence[int | None], Sequence[int | None]]
    """Which of those sets each file has, and the first and the last instant in each, in microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a query ended."""

    status: Literal["success", "refused", "failed", "stopped", "interrupted"]
    reason: str = ""
    """One line; empty for a success."""
    rows: int = 0
    seconds: float = 0.0
    complete: bool = True
    """Whether nothing was cut off."""


def _shallow(some: Opening | Reading) -> dict[str, Any]:
    return {field.name: getattr(some, field.name) for field in fields(some)}
