"""Resumable cleanup after a retention commit, by its writer or, if that died, by the next one.

The Delta log has all that is needed: the whole certificate is in the commit, and so are the names of the files that go.
So the cleanup can run again at any time and ends in the same state. The certificate's files come last: once they are
there, all that was to go at once has gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from auditlake.alerts.files import followed
from auditlake.disk.durable import sync_folder, write_whole
from auditlake.disk.files import remove_file
from auditlake.disk.layout import Layout, partition_day
from auditlake.disk.rights import make_folder
from auditlake.errors import RetentionError
from auditlake.landing.blank_segments import blank
from auditlake.ledger.sidecars import kept_path
from auditlake.remembered.files import forget
from auditlake.retention.certificate import certificate_id, render_certificate_json, render_certificate_page
from auditlake.retention.operation import Done
from auditlake.store.compact import unlink_unused
from auditlake.store.deltalog import Commits, removals
from auditlake.store.id_index import forget_ids
from auditlake.store.turn import Turn
from auditlake.summaries.segments import forget_summaries


class Cleanup:
    """The cleanup after all retention commits of a lake, within one turn of a writer.

    Args:
        turn: The turn.
        grace_seconds: How long data files stay whose events were deleted.
    """

    def __init__(self, turn: Turn, grace_seconds: float) -> None:
        self._turn = turn
        self._grace_seconds = grace_seconds
        self._documents: dict[int, bytes] = {}

    def complete_pending(self, done: Done | None = None) -> int:
        """Finish what writers committed and died over, and remove what went with retention commits after the grace.

        Args:
            done: The commit that was just made in this turn, if any.

        Returns:
            How many data files were removed.
        """
        turn, layout = self._turn, self._turn.layout
        commits = sorted(turn.commits.of_retention())
        if not commits:
            return 0
        if done is not None:
            self._documents[done.version] = done.document
        certificates = {version: own["certificate"] for version, own in commits if own.get("certificate")}
        documents = {version: self._document(version, each) for version, each in certificates.items()}
        unfinished = [
            version
            for version, document in documents.items()
            if not certificate_paths(layout, certificate_id(document))[1].exists()
        ]
        if unfinished:
            forget(layout, turn.snapshot)
            forget_summaries(layout, turn.snapshot)
        for version in unfinished:
            _remove_leftovers(layout, version, certificates[version], turn.commits.history.quarantine)
            _remove_superseded(layout, turn.commits.metadata(version) or {})
        blank(layout, followed(layout))
        removed = _removed(turn.commits, [version for version, _ in commits])
        unlinked = unlink_unused(layout, turn.snapshot, self._grace_seconds, only=removed)
        forget_ids(layout, turn.snapshot)
        for version, document in documents.items():
            _write_certificate(layout, certificates[version], document)
        return unlinked

    def carried_out(self, plan: str) -> str | None:
        """Return the certificate's id of the commit that carried out a plan, by its digest; None if none has."""
        for version, own in self._turn.commits.of_retention():
            certificate = own.get("certificate")
            if certificate and certificate["plan_digest"] == plan:
                return certificate_id(self._document(version, certificate))
        return None

    def _document(self, version: int, certificate: Mapping[str, Any]) -> bytes:
        """Return the certificate of a commit as JSON, rendered once."""
        if version not in self._documents:
            self._documents[version] = render_certificate_json(certificate)
        return self._documents[version]


def certificate_paths(layout: Layout, name: str) -> tuple[Path, Path]:
    """Return the paths of a certificate's JSON and page."""
    return layout.certificates / f"{name}.json", layout.certificates / f"{name}.html"


def _write_certificate(layout: Layout, certificate: Mapping[str, Any], document: bytes) -> None:
    name = certificate_id(document)
    path, page = certificate_paths(layout, name)
    if path.exists() and page.exists():
        return
    make_folder(layout.certificates)
    sync_folder(layout.root)
    write_whole(path, document)
    write_whole(page, render_certificate_page(certificate, name))  # last: once it is there, the cleanup is done


def _remove_leftovers(
    layout: Layout, version: int, certificate: Mapping[str, Any], quarantine: Mapping[str, int]
) -> None:
    """Remove the files outside of the table that a commit says go, but not one that a later commit brought again."""
    folders = set()
    for each in certificate["leftovers"]:
        if each["kind"] == "alert":  # rewritten already
            continue
        path = layout.root / each["path"]
        if path.parent not in (layout.quarantine, layout.reports):
            message = f"version {version} names {each['path']} as beside the table, where nothing of the kind lies"
            raise RetentionError(message, hint="the log has been changed; nothing was removed")
        if path.exists() and not (each["kind"] == "quarantine" and path.name in quarantine):
            remove_file(path, within=layout.root)
            folders.add(path.parent)
    for folder in sorted(folders):
        sync_folder(folder)


def _remove_superseded(layout: Layout, own: Mapping[str, Any]) -> None:
    """Remove what the ledger kept of parts until a commit, and nothing needs any more."""
    for folder in ("kept", "marks"):
        paths = [kept_path(layout, folder, name) for name in own.get("superseded", {}).get(folder, ())]
        there = [path for path in paths if path.parent == layout.ledger / folder and path.exists()]
        for path in there:
            remove_file(path, within=layout.root)
        if there:
            sync_folder(layout.ledger / folder)


def _removed(commits: Commits, versions: list[int]) -> frozenset[str]:
    """Return the files that retention commits removed, and older ones of the same days that others had replaced.

    Others are compaction and other programs: no snapshot from before a deletion is read from a day that it changed, and
    those files may hold the same rows. What was removed from a day after its last such commit does not hold them.
    """
    gone: set[str] = set()
    last_of: dict[date, int] = {}
    for version in versions:
        for path in removals(commits.layout, version):
            gone.add(path)
            if day := partition_day(path):
                last_of[day] = version
    for version in range(1, max(last_of.values(), default=0)):
        own = commits.metadata(version)
        if own is None or own.get("kind") == "compact":
            replaced = ((path, partition_day(path)) for path in removals(commits.layout, version))
            gone.update(path for path, day in replaced if day and version < last_of.get(day, 0))
    return frozenset(gone)
