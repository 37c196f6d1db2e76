"""What lies in a place: a folder, a pattern or a file of this machine, or a URL."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from auditlake.collect.model import Found
from auditlake.disk.layout import Layout
from auditlake.sources.inputs import expand_inputs, unreadable
from auditlake.sources.remote import Remote, is_url, open_remote, shown_url


class Place:
    """A place of lake.toml.

    Args:
        layout: The lake, in whose folder a relative path begins.
        path: The path or URL.
    """

    def __init__(self, layout: Layout, path: str) -> None:
        self.shown = shown_url(path) if is_url(path) else path
        """What messages call it: without what may be a secret."""
        self._path = path
        self._root = layout.root
        self._remote: Remote | None = None

    def found(self) -> Iterator[Found]:
        """Yield what lies there.

        Raises:
            SourceError: It cannot be listed.
        """
        if is_url(self._path):
            self._remote = open_remote(self._path)
            for each in self._remote.objects():
                yield Found(each.name, each.size, each.version, remote=each, fault=each.fault)
            return
        for file in expand_inputs([self._root / Path(self._path).expanduser()]):
            if file.left_out or file.path is None:
                continue
            try:
                status = file.path.stat()
            except OSError as error:
                yield Found(file.name, None, "", fault=str(unreadable(file.name, error)))
                continue
            if not stat.S_ISREG(status.st_mode):
                yield Found(file.name, None, "", fault="only a regular file is collected")
                continue
            yield Found(file.name, status.st_size, f"{status.st_ctime_ns}-{status.st_ino}", path=file.path)

    def fetch(self, found: Found, target: Path) -> Path:
        """Return where an object can be read: where it lies, or a copy at ``target``.

        Raises:
            SourceError: It cannot be read.
        """
        if found.remote is None or self._remote is None:
            assert found.path is not None
            return found.path
        self._remote.fetch(found.remote, target)
        return target
