"""What follows a commit of retention, now or, should its writer have died, when the next one comes this way.

Everything here is told by the Delta log: the certificate is in the commit, whole, and so are the names of the files
that go. So it can be done again at any time and ends in the same state. The certificate's files come last: where they
are, all that was to go at once has gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from auditlake.alerts.files import followed
from auditlake.disk.durable import FOLDER_MODE, sync_folder, write_whole
from auditlake.disk.files import remove_file
from auditlake.disk.layout import Layout, partition_day
from auditlake.errors import RetentionError
from auditlake.landing.blank_segments import blank
from auditlake.retention.certificate import certificate_id, render_certificate_json, render_certificate_page
from auditlake.store.bookkeeping import settle_ledger
from auditlake.store.compact import unlink_unused
from auditlake.store.delta import Snapshot
from auditlake.store.deltalog import commit_metadata, history, removals

_KINDS = ("retention", "erase")


def finish(layout: Layout, live: Snapshot, grace_seconds: float) -> int:
    """Finish what writers committed and died over, and remove what went with commits of retention after the grace.

    To be called with the lake's lock held, the log being durable. Gives how many data files were removed.
    """
    settle_ledger(layout)
    done = list(_commits(layout, live.version))
    if not done:
        return 0
    for version, own in done:
        if own.get("certificate") and not _is_finished(layout, own["certificate"]):
            _remove_leftovers(layout, version, own["certificate"], live.version)
    blank(layout, followed(layout))
    unlinked = unlink_unused(layout, live, grace_seconds, only=_removed(layout, [version for version, _ in done]))
    for _, own in done:
        if own.get("certificate"):
            _write_certificate(layout, own["certificate"])
    return unlinked


def carried_out(layout: Layout, newest: int, plan: str) -> str | None:
    """The certificate's id of the commit that carried out a plan, by the plan's digest; None if none has."""
    for _, own in _commits(layout, newest):
        said = own.get("certificate")
        if said and said["plan_digest"] == plan:
            return certificate_id(render_certificate_json(said))
    return None


def certificate_paths(layout: Layout, name: str) -> tuple[Path, Path]:
    """The JSON and the page of a certificate."""
    return layout.certificates / f"{name}.json", layout.certificates / f"{name}.html"


def _commits(layout: Layout, newest: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for version, kind in sorted(history(layout, newest).others.items()):
        if kind in _KINDS and (own := commit_metadata(layout, version)):
            yield version, own


def _is_finished(layout: Layout, said: Mapping[str, Any]) -> bool:
    _, page = certificate_paths(layout, certificate_id(render_certificate_json(said)))
    return page.exists()


def _write_certificate(layout: Layout, said: Mapping[str, Any]) -> None:
    data = render_certificate_json(said)
    name = certificate_id(data)
    made, page = certificate_paths(layout, name)
    if made.exists() and page.exists():
        return
    layout.certificates.mkdir(mode=FOLDER_MODE, exist_ok=True)
    sync_folder(layout.root)
    write_whole(made, data)
    write_whole(page, render_certificate_page(said, name))  # last: where the page is, somebody has finished


def _remove_leftovers(layout: Layout, version: int, said: Mapping[str, Any], newest: int) -> None:
    """Remove the files beside the table that a commit says go, but not one that a later commit has brought again."""
    folders = set()
    there = history(layout, newest).quarantine
    for each in said["leftovers"]:
        if each["kind"] == "alert":  # written anew
            continue
        path = layout.root / each["path"]
        if path.parent not in (layout.quarantine, layout.reports):
            message = f"version {version} names {each['path']} as beside the table, where nothing of the kind lies"
            raise RetentionError(message, hint="the log has been changed; nothing was removed")
        if path.exists() and not (each["kind"] == "quarantine" and path.name in there):
            remove_file(path, within=layout.root)
            folders.add(path.parent)
    for folder in sorted(folders):
        sync_folder(folder)


def _removed(layout: Layout, versions: list[int]) -> frozenset[str]:
    """The files that commits of retention removed, and older ones of the same days that others had replaced.

    Others are compaction and other programs, whatever they did: no snapshot from before a deletion is read from a day
    that it changed. Those files may hold the same rows. Of each day only what was removed before its last such commit:
    what comes later does not hold them any more.
    """
    gone: set[str] = set()
    last_of: dict[date, int] = {}
    for version in versions:
        for path in removals(layout, version):
            gone.add(path)
            if day := partition_day(path):
                last_of[day] = version
    for version in range(1, max(last_of.values(), default=0)):
        own = commit_metadata(layout, version)
        if own is None or own.get("kind") == "compact":
            replaced = ((path, partition_day(path)) for path in removals(layout, version))
            gone.update(path for path, day in replaced if day and version < last_of.get(day, 0))
    return frozenset(gone)
