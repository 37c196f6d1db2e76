"""Where the files of a lake are kept."""

from __future__ import annotations

from auditlake.disk.layout import Layout
from auditlake.storage.disk import Disk
from auditlake.storage.model import Storage


def storage_of(layout: Layout) -> Storage:
    """Return the storage of a lake: its folder. Names in it are those of :meth:`auditlake.disk.layout.Layout.name`."""
    return Disk(layout.root)
