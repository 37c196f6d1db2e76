"""Pages of a name that never changes, each of which leads to the newest report of a policy or framework.

They are pages that send the browser on, and no links of the file system: such a folder can be mailed, zipped, kept
where nothing is ever changed, and looked at on any system, from the disk or from a server. The address that the browser
shows then is that of the report itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from auditlake.disk.durable import write_whole
from auditlake.disk.files import SMALL, read_file, remove_file
from auditlake.disk.layout import TREND
from auditlake.display.templates import Document, render_bytes
from auditlake.display.text import Text, instant_name, shown
from auditlake.events.times import parse_instant
from auditlake.reports.sentences import VERDICTS
from auditlake.site.entries import Folder, IndexEntry, Name

_ENDING = "_latest.html"


@dataclass(frozen=True, slots=True)
class LatestPage:
    """The variables of the template ``latest.html``."""

    template: ClassVar[str] = "latest.html"
    title: str
    """For the window."""
    name: Text
    """What the report is about."""
    file: str
    """Its page, or the index where it has none."""
    words: str
    """How it came out, as of when."""


def latest_file(kind: str, about: str) -> str:
    """Return the name of the page that leads to the newest report of a policy or pack.

    Args:
        kind: ``compliance`` or ``framework``, as reports' names begin.
        about: The policy or the pack.
    """
    return f"{kind}_{about}{_ENDING}"


def latest_pages(
    folder: Folder, entries: Iterable[IndexEntry], frameworks: Sequence[tuple[Name, Mapping[str, Any]]]
) -> Mapping[str, LatestPage]:
    """Return these pages by name.

    Args:
        folder: The folder.
        entries: The newest report of each policy.
        frameworks: The newest report of each framework, as JSON values.
    """
    return {latest_file(kind, about): page for kind, about, page in _pages(folder, entries, frameworks)}


def _pages(
    folder: Folder, entries: Iterable[IndexEntry], frameworks: Sequence[tuple[Name, Mapping[str, Any]]]
) -> Iterator[tuple[str, str, LatestPage]]:
    for each in entries:
        if file := each.html_file or _instead(folder, "compliance", each.policy_id):
            words = f"{VERDICTS[each.status]}, as of {instant_name(each.as_of)}"
            title = f"The newest report of {each.policy_id}"
            yield "compliance", each.policy_id, LatestPage(title, shown(each.policy_name), file, words)
    for name, made in frameworks:
        if file := folder.file(f"{name.stem}.html") or _instead(folder, "framework", name.about):
            words = f"as of {instant_name(parse_instant(made['as_of']))}"
            title = f"The newest report of {name.about}"
            yield "framework", name.about, LatestPage(title, shown(made["framework"]), file, words)


def _instead(folder: Folder, kind: str, about: str) -> str | None:
    """Return where a page leads that was there before, and whose newest report has no page of its own."""
    return "index.html" if latest_file(kind, about) in folder.files else None


def write_latest(folder: Folder, pages: Mapping[str, Document]) -> None:
    """Write the pages that are not there or say something else, and remove those whose reports have all gone.

    They are whole or not there, and not synced: the next run writes them again.

    Args:
        folder: The folder.
        pages: These pages and those of policies over time, by name.

    Raises:
        OSError: The disk refused.
    """
    for name, page in pages.items():
        data = render_bytes(page)
        if name not in folder.files or read_file(folder.path / name, within=folder.path, limit=SMALL) != data:
            write_whole(folder.path / name, data, synced=False)
    gone = (each for each in folder.files - pages.keys() if each.endswith((_ENDING, TREND)))
    for name in (each for each in gone if each.startswith(("compliance_", "framework_"))):
        with suppress(FileNotFoundError):
            remove_file(folder.path / name, within=folder.path)
