"""The checkpoints of the table's log: what readers take the files of a version from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from auditlake.disk.layout import Layout
from auditlake.verify.deltalog import DeltaLog
from auditlake.verify.file_claims import digest_of
from auditlake.verify.model import Problem
from auditlake.verify.rows import checkpoint_files
from auditlake.verify.tree import LedgerEntry, texts_of


def check_log_checkpoints(
    layout: Layout, entries: Sequence[LedgerEntry], log: DeltaLog
) -> tuple[list[Problem], list[Problem]]:
    """Compare the log's checkpoints with what the ledger recorded of them, and with the files of their versions.

    Gives what is wrong, and what is worth knowing.
    """
    recorded: dict[str, str] = {}
    for entry in entries:
        recorded |= texts_of(entry, "delta_checkpoint")
    lost = [name for name in sorted(recorded) if not (layout.log / name).exists()]
    what = "is gone: nothing is lost with it, and opening the lake takes longer"
    notices = [Problem(f"events/_delta_log/{name}", what) for name in lost]
    problems: list[Problem] = []

    def compare(path: Path) -> None:
        where, digest = path.relative_to(layout.root).as_posix(), recorded.get(path.name)
        try:
            if digest is None:
                notices.append(Problem(where, "is not recorded yet: the next commit records it"))
            elif digest_of(path, within=layout.root)[0] != digest:
                problems.append(Problem(where, "is not what the ledger recorded"))
        except (OSError, ValueError) as error:
            problems.append(Problem(where, f"cannot be read: {getattr(error, 'strerror', error)}"))

    for version, files in sorted(log.at.items()):
        path = layout.delta_checkpoint(version)
        compare(path)
        if checkpoint_files(path, within=layout.root) != files:
            what = f"does not say of the files of version {version} what the log's entries say"
            problems.append(Problem(f"events/_delta_log/{path.name}", what))
    newest = max(log.at, default=None)
    if layout.delta_pointer.exists() and newest is not None and layout.delta_checkpoint(newest).name in recorded:
        compare(layout.delta_pointer)
    problems += _strangers(layout, log)
    return problems, notices


def _strangers(layout: Layout, log: DeltaLog) -> list[Problem]:
    """Return what has a version in its name and is neither an entry nor a checkpoint in one file, as auditlake writes.

    Readers of Delta tables also know checkpoints in parts, with a UUID, and entries put together.
    """
    versions = range(log.newest + 1)
    known = {path(each).name for path in (layout.commit, layout.delta_checkpoint) for each in versions}
    names = sorted(path.name for path in layout.log.iterdir() if path.name[:20].isdecimal() and path.name[20:21] == ".")
    what = "is no entry and no checkpoint of this log: readers may take the files of the lake from it"
    return [Problem(f"events/_delta_log/{name}", what) for name in names if name not in known]
