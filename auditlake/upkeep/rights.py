"""Which files and folders of a lake have other rights than ``[files]`` of lake.toml says, and how they get them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from auditlake.disk.layout import Layout
from auditlake.disk.rights import FILE_MODE, Rights, rights_of
from auditlake.display.text import count
from auditlake.errors import AuditLakeError
from auditlake.ledger.keys import read_settings


def told(layout: Layout) -> str:
    """Say what differs in a sentence; nothing where lake.toml says nothing of rights, or no file differs."""
    rights = rights_of(layout.root)
    if rights == Rights():
        return ""
    if missing := rights.missing():
        return f"files are for their owner alone, since {missing}; lake.toml says {_spelled(rights)}"
    found = [path for path, _ in differing(layout)]
    if not found:
        return ""
    name = found[0].relative_to(layout.root).as_posix()
    many = f"{count(len(found), 'file or folder has', 'files and folders have')} other rights"
    which = "" if name == "." else f", such as {name}"
    return f"{many} than lake.toml says ({_spelled(rights)}){which}"


def differing(layout: Layout) -> Iterator[tuple[Path, int]]:
    """Yield every file and folder whose mode or group differs, and the mode that it should have.

    What writers are at is left out, and links are not followed. A private key is its owner's alone.
    """
    rights, keys = rights_of(layout.root), _keys(layout)
    gid = None if rights.missing() else rights.gid()
    most = 0o700 if rights.missing() else 0o777
    for path in _all(layout):
        with suppress(FileNotFoundError):
            found = path.lstat()
            is_key = path in keys
            mode = FILE_MODE if is_key else rights.folder_mode if stat.S_ISDIR(found.st_mode) else rights.mode
            has_group = is_key or gid is None or found.st_gid == gid
            if found.st_mode & 0o777 != mode & most or not has_group:
                yield path, mode & most


def give_all(layout: Layout) -> None:
    """Give every file and folder of a lake the rights that lake.toml says.

    Raises:
        OSError: One belongs to another user.
    """
    rights, keys = rights_of(layout.root), _keys(layout)
    gid = None if rights.missing() else rights.gid()
    for path, mode in differing(layout):
        if gid is not None and path not in keys:
            os.chown(path, -1, gid, follow_symlinks=False)
        path.chmod(mode)


def _all(layout: Layout) -> Iterator[Path]:
    yield layout.root
    for folder, folders, files in os.walk(layout.root):
        at = Path(folder)
        if at == layout.staging:
            folders.clear()
            continue
        for name in (*folders, *files):
            if not (path := at / name).is_symlink():
                yield path


def _keys(layout: Layout) -> frozenset[Path]:
    keys = {layout.pseudonyms}
    with suppress(AuditLakeError):
        settings = read_settings(layout)
        keys |= {settings.key, settings.next_key}
    return frozenset(keys)


def _spelled(rights: Rights) -> str:
    return f"{rights.mode:04o}" + ("" if rights.group is None else f", group {rights.group}")
