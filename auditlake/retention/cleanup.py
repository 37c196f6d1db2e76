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
from auditlake.disk.layout import Layout, partition_day
from auditlake.errors import RetentionError
from auditlake.landing.blank_segments import blank
from auditlake.ledger.sidecars import kept_path
from auditlake.remembered.files import forget
from auditlake.retention.certificate import certificate_id, render_certificate_json, render_certificate_page
from auditlake.retention.operation import Done
from auditlake.storage.lake import remove, write
from auditlake.store.compact import unlink_unused
from auditlake.store.deltalog import RETENTION, Commits, committed_at, removals
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
        turn, layout, commits = self._turn, self._turn.layout, self._turn.commits
        if not commits.retention_versions:
            return 0
        if done is not None:
            self._documents[done.version] = done.document
        uncertified = self._uncertified()
        unfinished = [
            version
            for version in uncertified
            if not certificate_paths(layout, certificate_id(self._documents[version]))[1].exists()
        ]
        for version in unfinished:
            _remove_leftovers(layout, version, uncertified[version], commits.history.quarantine)
            _remove_superseded(layout, commits.metadata(version) or {})
        if unfinished:
            forget(layout, turn.snapshot)
            forget_summaries(layout, turn.snapshot)
        blank(layout, followed(layout))
        finished = (version for version in commits.retention_versions if version < min(unfinished, default=version + 1))
        removed = _removed(commits, next(finished, None), is_new=bool(unfinished))
        unlinked = unlink_unused(layout, turn.snapshot, self._grace_seconds, only=removed)
        if unfinished:
            forget_ids(layout, turn.snapshot)
        for version, certificate in uncertified.items():
            _write_certificate(layout, certificate, self._documents[version])
        return unlinked

    def _uncertified(self) -> dict[int, Mapping[str, Any]]:
        """Return the certificates that are not there whole, by the version of their commit, in order.

        Each commit is made after what earlier ones left is finished. So those before the newest are looked at only as
        far as certificates are missing: their number does not grow with the history of a lake.
        """
        layout, versions = self._turn.layout, self._turn.commits.retention_versions
        names = {path.name for path in layout.certificates.glob("*")}
        missing = len(versions) - sum(f"{name.removesuffix('.json')}.html" in names for name in names)
        found: dict[int, Mapping[str, Any]] = {}
        for version, own in self._turn.commits.of_retention():
            if version < versions[0] and missing <= 0:
                break
            if not (certificate := own.get("certificate")):
                continue
            name = certificate_id(self._document(version, certificate))
            if not all(path.exists() for path in certificate_paths(layout, name)):
                found[version] = certificate
                missing -= 1
        return dict(sorted(found.items()))

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
    write(layout, path, document)
    write(layout, page, render_certificate_page(certificate, name))  # last: once it is there, the cleanup is done


def _remove_leftovers(
    layout: Layout, version: int, certificate: Mapping[str, Any], quarantine: Mapping[str, int]
) -> None:
    """Remove the files outside of the table that a commit says go, but not one that a later commit brought again."""
    gone = []
    for each in certificate["leftovers"]:
        if each["kind"] == "alert":  # rewritten already
            continue
        path = layout.root / each["path"]
        if path.parent not in (layout.quarantine, layout.reports):
            message = f"version {version} names {each['path']} as beside the table, where nothing of the kind lies"
            raise RetentionError(message, hint="the log has been changed; nothing was removed")
        if path.exists() and not (each["kind"] == "quarantine" and path.name in quarantine):
            gone.append(path)
    remove(layout, gone)


def _remove_superseded(layout: Layout, own: Mapping[str, Any]) -> None:
    """Remove what the ledger kept of parts until a commit, and nothing needs any more."""
    for folder in ("kept", "marks"):
        paths = [kept_path(layout, folder, name) for name in own.get("superseded", {}).get(folder, ())]
        remove(layout, (path for path in paths if path.parent == layout.ledger / folder))


def _removed(commits: Commits, finished: int | None, *, is_new: bool) -> dict[str, float]:
    """Return the files that retention commits removed, and older ones of the same days that others had replaced.

    Others are compaction and other programs: no snapshot from before a deletion is read from a day that it changed, and
    those files may hold the same rows. What was removed from a day after its last such commit does not hold them.

    Args:
        commits: The commits of the lake.
        finished: A retention commit after which all that was to go then has gone, as those before it; None if none is.
        is_new: Whether there are later ones: they change days whose files others may have replaced long before.

    Returns:
        When each was removed, by path, in seconds since 1970: those that may be there still, and perhaps others.
    """
    own = (commits.metadata(finished) if finished is not None else None) or {}
    grace, since = own.get("certificate", {}).get("grace_seconds"), None
    if finished is not None and grace is not None and (at := committed_at(commits.layout, finished)) is not None:
        since = at - grace - 1  # whole seconds are recorded
    gone: dict[str, float] = {}
    days: set[date | None] = set()
    for version in range(max(commits.retention_versions), 0, -1):
        kind = (commits.metadata(version) or {}).get("kind")
        if since is not None and version < (finished or 0) and kind in RETENTION:  # clocks of others may be wrong
            at = committed_at(commits.layout, version)
            if at is not None and at < since:
                if is_new:
                    continue
                break
        if kind in RETENTION:
            removed = removals(commits.layout, version)
            days.update(map(partition_day, removed))
            gone |= removed
        elif kind in (None, "compact"):
            replaced = removals(commits.layout, version)
            gone |= {path: at for path, at in replaced.items() if (day := partition_day(path)) and day in days}
    return gone
