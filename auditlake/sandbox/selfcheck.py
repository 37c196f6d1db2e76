"""Which layers of the sandbox hold on this machine: each put on alone in a child, and tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from auditlake.confined.kernel import landlock_version
from auditlake.confined.process import ChildGone
from auditlake.errors import SandboxError
from auditlake.sandbox.model import LAYERS, MEGABYTE, Layer, Opening
from auditlake.sandbox.parent import Child

_OPENING = Opening(
    layers=(), folder="/", files=(), engine_reads=True, views={}, secure=(), open=(), on_demand={}, growing=(),
    seconds=10.0, memory=512 * MEGABYTE, threads=1, rows=1, output=MEGABYTE,
)  # fmt: skip
_WHAT = {
    "process": "a process of its own for each session, killed at the deadline",
    "landlock": "the kernel gives no file but the snapshot's, for reading, and no TCP",
    "calls": "the kernel refuses sockets, programs and other processes",
    "limits": "the kernel limits memory and open files, and lets no file be written",
    "engine": "DuckDB has external access off and its configuration locked",
    "gate": "each statement's syntax tree is compared with lists of what is allowed",
}


@dataclass(frozen=True, slots=True)
class Holds:
    """One layer."""

    layer: str
    holds: bool
    what: str
    """What it does."""
    why: str = ""
    """Why it does not hold, where it does not."""


def examine() -> tuple[Holds, ...]:
    """Try every layer."""
    return (Holds("process", holds=True, what=_WHAT["process"]), *(_try(layer) for layer in LAYERS))


def verdict(layers: tuple[Holds, ...]) -> tuple[bool, str]:
    """Whether auditors' SQL can be run here, and in which way."""
    holds = {each.layer for each in layers if each.holds}
    if not {"engine", "gate"} <= holds:
        return False, "auditors' SQL is refused here: the engine cannot be locked"
    if "landlock" in holds:
        return True, f"auditors' SQL runs here, behind Landlock {landlock_version()}"
    return True, "auditors' SQL runs here, without Landlock: DuckDB has no right over any file, and Arrow reads for it"


def _try(layer: Layer) -> Holds:
    child = Child()
    try:
        child.open(replace(_OPENING, layers=(layer,)))
    except (SandboxError, ChildGone) as error:
        return Holds(layer, holds=False, what=_WHAT[layer], why=str(error))
    finally:
        child.kill()
    return Holds(layer, layer in child.holds, _WHAT[layer], child.lacks.get(layer, ""))


def lines(layers: tuple[Holds, ...]) -> Iterator[str]:
    """Yield the same in words."""
    for each in layers:
        yield f"{'ok  ' if each.holds else 'NO  '} {each.layer:<9} {each.what}"
        if each.why:
            yield f"               {each.why}"
    yield verdict(layers)[1]
