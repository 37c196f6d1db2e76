"""A new lake: made beside its place and moved there whole, so that there is never half of one."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from auditlake.config import FORMAT_VERSION, INSIDE, LakeConfig, new_config
from auditlake.context import LakeContext
from auditlake.disk.durable import make_folders, sync_folder, write_whole
from auditlake.disk.files import check_folder
from auditlake.disk.layout import Layout
from auditlake.disk.lock import check_file_system, workspace
from auditlake.disk.rights import FOLDER_MODE
from auditlake.engine.paths import check_path
from auditlake.errors import LakeError, LakeExistsError
from auditlake.ledger.book import begin, begin_inside, integrate, nothing_counted
from auditlake.ledger.entry import Record
from auditlake.packs.effective import lake_policies
from auditlake.packs.files import adding
from auditlake.policies.files import SETS, PolicySet, write_policies
from auditlake.retention.terms import terms_of
from auditlake.storage.lake import folder_of, is_begun, is_url, put_into_bucket
from auditlake.store.commit import create_table
from auditlake.upkeep.settings import written_settings

_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ENOENT}
"""What one sees of another process that made a lake there meanwhile, and tidied up after itself."""


def create_lake(
    path: str | Path,
    *,
    now: datetime,
    event_types: Sequence[str],
    default_retention: str | None,
    policies: PolicySet | Sequence[Path] = "starter",
    packs: Sequence[str] = (),
    unsigned: bool = False,
    format_version: int = FORMAT_VERSION,
) -> Layout:
    """Make the folders, the empty table, lake.toml, the first policies and packs, and the ledger with its key.

    A lake in a bucket is made in this host's folder of it, whole, and then put into the bucket; one that was made and
    did not get there goes there. From format 2 on, as in every bucket, the ledger's entries lie inside the commits.

    Raises:
        LakeExistsError: There is something at the path already.
        LakeError: A setting is not well formed, there is no such set of policies, the folder cannot be made, or a lake
            cannot lie on its file system.
        PackError: A pack cannot be used.
    """
    if isinstance(policies, str) and policies not in SETS:
        known = ", ".join(SETS)
        raise LakeError(f"there is no set of policies {policies!r}", hint=f"there are: {known}")
    files = SETS[policies] if isinstance(policies, str) else policies
    url = str(path) if is_url(path) else None
    path = folder_of(path)
    check_path(path)
    if url is not None:
        format_version = INSIDE
        if is_begun(url):
            put_into_bucket(Layout(path), url)
            return Layout(path)
    try:
        _check_free(path)
        config = new_config(now, event_types, default_retention, format_version)
    except (ValueError, OSError) as error:
        raise LakeError(f"the lake at {path} cannot be made: {error}") from error

    def make(layout: Layout) -> None:
        _make(layout, config, now, files, packs)
        _begin(layout, config, now, unsigned=unsigned)

    _put_whole(path, make)
    if url is not None:
        put_into_bucket(Layout(path), url)
    return Layout(path)


def _put_whole(path: Path, make: Callable[[Layout], None]) -> None:
    """Make a lake beside its place, and move it there.

    Raises:
        LakeError: There is something at the path, the folder cannot be made, or a lake cannot lie on its file system.
    """
    # Named after the path, so that the next to make a lake there finds what one that was killed left behind.
    staging = path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}.draft")
    try:
        make_folders(path.parent, below=Path(path.anchor))
        check_folder(staging, within=staging.parent)
        staging.mkdir(mode=FOLDER_MODE, exist_ok=True)
        if (owner := staging.stat().st_uid) != os.geteuid():  # who may put another lake into the place of the new one
            raise OSError(errno.EPERM, f"{staging} belongs to the user {owner}; remove it or choose another folder")
        check_file_system(staging, path)
        with workspace(staging) as folder:
            make(Layout(folder / "lake"))
            os.replace(folder / "lake", path)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno in _TAKEN:
            with suppress(OSError):
                _check_free(path)
        raise LakeError(f"the lake at {path} cannot be made: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            staging.rmdir()


def _check_free(path: Path) -> None:
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        what = "a lake" if Layout(path).config.exists() else "something"
        raise LakeExistsError(f"there is {what} at {path} already", hint="name an empty or a new folder")


def _make(layout: Layout, config: LakeConfig, now: datetime, policies: Sequence[Path], packs: Sequence[str]) -> None:
    layout.root.mkdir(mode=FOLDER_MODE)
    for folder in layout.folders:
        folder.mkdir(mode=FOLDER_MODE)
    write_policies(layout, policies)
    write_whole(layout.config, written_settings(config))
    for name in dict.fromkeys(packs):  # before the terms: what they let go was never kept longer
        adding(LakeContext(layout, config, lambda: now, 0), name).write(layout)


def _begin(layout: Layout, config: LakeConfig, now: datetime, *, unsigned: bool) -> None:
    """Make the empty table and the ledger."""
    terms = terms_of(lake_policies(layout, config.event_types), (), config.default_retention)
    metadata = {"kind": "init", "lake": config.id, "at": now.isoformat(), "terms": terms}
    record = Record("begin", now.isoformat())
    if config.format_version < INSIDE:
        create_table(layout, metadata)
        begin(layout, 0, record, signed=not unsigned)
    else:
        entry = begin_inside(layout, record, signed=not unsigned)
        create_table(layout, metadata, entry.held)
        integrate(layout, nothing_counted(entry.settings), 0)
    sync_folder(layout.root)
