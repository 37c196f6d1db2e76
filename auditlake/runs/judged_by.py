"""The files that runs judged by, each kept once under the digest that the journal of runs names: ``LAKE/runs/by``.

A policy is a file that people change, and a run names it by its digest alone. With the file, what the run said can be
evaluated again, and a later report compared with it. A report that is not on record names digests too: the file may be
an earlier revision of a pack, or one that the ledger has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError
from auditlake.ledger.sidecars import read_kept
from auditlake.storage.lake import write

_MARK = "sha256:"


def keep(layout: Layout, contents: Iterable[bytes]) -> None:
    """Keep files; those that are there already are not written again.

    Raises:
        OSError: The disk refused one.
    """
    for content in contents:
        path = _path(layout, hashlib.sha256(content).hexdigest())
        if not path.exists():
            write(layout, path, content)


def find(layout: Layout, digest: str) -> bytes | None:
    """Return a file by its digest, wherever the lake has it; None if it has it nowhere.

    Args:
        layout: The lake.
        digest: ``sha256:`` and hex digits.

    Raises:
        LakeFormatError: What runs kept under this digest is another file.
    """
    name = digest.removeprefix(_MARK)
    if (own := _own(layout, name)) is not None:
        return own
    for path in sorted(layout.packs.glob("old/*.yaml")):
        with suppress(OSError):
            content = read_file(path, within=layout.root, limit=SMALL)
            if hashlib.sha256(content).hexdigest() == name:
                return content
    return read_kept(layout, "policies", name) or read_kept(layout, "packs", name)


def _own(layout: Layout, name: str) -> bytes | None:
    path = _path(layout, name)
    try:
        content = read_file(path, within=layout.root, limit=SMALL)
    except OSError:
        return None
    if (own := hashlib.sha256(content).hexdigest()) != name:
        message = f"{path}: expected the file whose digest is {_MARK}{name}, got {_MARK}{own}"
        raise LakeFormatError(message, hint="restore it from a backup; its name is the SHA-256 of its bytes")
    return content


def _path(layout: Layout, digest: str) -> Path:
    return layout.judged_by / f"{digest}.yaml"
