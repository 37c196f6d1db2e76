"""A new lake: made beside its place and moved there whole, so that there is never half of one."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from auditlake.config import dump_config, new_config
from auditlake.errors import LakeError, LakeExistsError
from auditlake.policies.loader import load_policies
from auditlake.policies.store import write_built_in
from auditlake.retention.terms import terms_of
from auditlake.store.delta import check_path, create_table
from auditlake.store.durable import FOLDER_MODE, make_folders, sync_folder, write_whole
from auditlake.store.layout import Layout


def create_lake(path: Path, *, now: datetime, event_types: Sequence[str], default_retention: str | None) -> Layout:
    """Make the folders, the empty table, lake.toml and the built-in policies.

    Raises:
        LakeExistsError: There is something at the path already.
        LakeError: A setting is not well formed, or the folder cannot be made.
    """
    path = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - Path's own fails on ~somebody
    check_path(path)
    try:
        if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
            raise LakeExistsError(f"there is something at {path} already", hint="name an empty or a new folder")
        config = new_config(now, extra_types=event_types, default_retention=default_retention)
    except (ValueError, OSError) as error:
        raise LakeError(f"the lake at {path} cannot be made: {error}") from error
    draft = path.with_name(f".{secrets.token_hex(6)}.draft")
    try:
        make_folders(path.parent, below=Path(path.anchor))
        draft.mkdir(mode=FOLDER_MODE)
        layout = Layout(draft)
        for folder in layout.folders:
            folder.mkdir(mode=FOLDER_MODE)
        write_built_in(layout)
        write_whole(layout.config, dump_config(config))
        terms = terms_of(load_policies(layout.policies, config.event_types), (), config.default_retention)
        create_table(layout, {"kind": "init", "lake": config.id, "at": now.isoformat(), "terms": terms})
        sync_folder(draft)
        os.replace(draft, path)  # refused where another process was quicker
        sync_folder(path.parent)
    except OSError as error:
        raise LakeError(f"the lake at {path} cannot be made: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Layout(path)
