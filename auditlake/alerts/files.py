"""Files of the alerts that name an erased person: the pseudonym takes the name's place.

The process that evaluates alerts has the same names in memory and writes them down again. So this is done only while no
process evaluates, under the lock that makes one of them the evaluator.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditlake.disk.durable import write_whole
from auditlake.disk.files import is_file, read_file
from auditlake.disk.layout import Layout
from auditlake.disk.lock import exclusive
from auditlake.errors import LakeBusyError
from auditlake.landing.segments import Position
from auditlake.storage.lake import elected, fetch, write


@dataclass(frozen=True, slots=True)
class NewContent:
    """A file that is to be written anew."""

    path: Path
    size: int
    """Bytes that it had."""
    data: bytes


def alert_files(layout: Layout, jsonl: str | None) -> list[Path]:
    """Every file that the alerts keep in the lake, and those that lake.toml sends them to, rotated ones included."""
    paths = set(layout.alerts.rglob("*"))
    if jsonl is not None:
        to = layout.root / jsonl
        paths |= {to, *to.parent.glob(f"{glob.escape(to.name)}.*")}
    return sorted(path for path in paths if is_file(path, within=path.parent) and path.name[0] != ".")


@contextmanager
def unwatched(layout: Layout) -> Iterator[bool]:
    """Tell whether no process evaluates the alerts of a lake; none begins to until the end of the context."""
    is_unwatched = True
    with ExitStack() as stack:
        if layout.alerts.is_dir():
            try:
                stack.enter_context(exclusive(layout.alerts / "watch.lock", wait_seconds=0))
            except LakeBusyError:
                is_unwatched = False
        yield is_unwatched


@contextmanager
def unwatched_by_all(layout: Layout) -> Iterator[bool]:
    """Do the same for the processes of all hosts, and let this one have the state that another host wrote down.

    Raises:
        OSError: The bucket cannot be asked.
    """
    with unwatched(layout) as is_free, elected(layout, for_alerts=True) if is_free else nullcontext("") as other:
        if other is None:
            fetch(layout, layout.alert_state)
        yield other is None


def write_anew(layout: Layout, new: NewContent) -> None:
    """Write a file of the alerts anew, in a bucket too if it lies there.

    Raises:
        OSError: It may have been written.
    """
    if new.path == layout.alert_state:
        write(layout, new.path, new.data)
    else:
        write_whole(new.path, new.data)


def followed(layout: Layout) -> Mapping[int, Position] | None:
    """How far the evaluator has read each slot, as far as it has written that down; None if there is no evaluator.

    One that begins later reads from the table what is there, as that of another host does.
    """
    with unwatched(layout) as is_unwatched:
        if is_unwatched:
            return None
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        positions = json.loads(read_file(layout.alert_state, within=layout.root))["positions"]
        return {int(slot): Position.unpack(int(packed)) for slot, packed in positions.items()}
    return None if layout.bucket.exists() and not layout.alert_state.exists() else {}


def renamed(path: Path, names: re.Pattern[str], rename: Callable[[str], str]) -> NewContent | None:
    """Return a file of JSON or JSON lines with pseudonyms in the place of names; None where some names would stay.

    Args:
        path: The file.
        names: What names the person.
        rename: Gives a text without that.
    """
    data = read_file(path, within=path.parent)
    try:
        try:
            new = _renamed(data, names, rename)
        except ValueError:
            new = b"".join(_renamed(line, names, rename) for line in data.splitlines(keepends=True))
    except (ValueError, RecursionError):
        return None
    return None if names.search(new.decode("utf-8", "replace")) else NewContent(path, len(data), new)


def _renamed(data: bytes, names: re.Pattern[str], rename: Callable[[str], str]) -> bytes:
    if not names.search(data.decode("utf-8", "replace")):
        return data
    document = _each_text(json.loads(data), rename)
    return json.dumps(document, separators=(",", ":")).encode("ascii") + data[len(data.rstrip()) :]


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each_text(each, change) for each in value]
    if isinstance(value, dict):
        return {key: _each_text(each, change) for key, each in value.items()}
    return value
