"""The files that runs judged by, each kept once under the digest that the journal of runs names: ``LAKE/runs/by``.

A policy is a file that people change, and a run names it by its digest alone. With the file, what the run said can be
evaluated again, and a later report compared with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError

_MARK = "sha256:"


def keep(layout: Layout, contents: Iterable[bytes]) -> None:
    """Keep files; those that are there already are not written again.

    Raises:
        OSError: The disk refused one.
    """
    for content in contents:
        path = _path(layout, hashlib.sha256(content).hexdigest())
        if not path.exists():
            make_folders(path.parent, below=layout.root)
            write_whole(path, content)


def find(layout: Layout, digest: str) -> bytes | None:
    """Return a file by its digest; None if it was not kept.

    Args:
        layout: The lake.
        digest: ``sha256:`` and hex digits.

    Raises:
        LakeFormatError: What lies there is another file.
    """
    path = _path(layout, digest.removeprefix(_MARK))
    try:
        content = read_file(path, within=layout.root, limit=SMALL)
    except OSError:
        return None
    if (own := _MARK + hashlib.sha256(content).hexdigest()) != digest:
        message = f"{path}: expected the file whose digest is {digest}, got {own}"
        raise LakeFormatError(message, hint="restore it from a backup; its name is the SHA-256 of its bytes")
    return content


def _path(layout: Layout, digest: str) -> Path:
    return layout.judged_by / f"{digest}.yaml"
