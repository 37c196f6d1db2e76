"""Where the files of a lake are kept: in its folder, or in a bucket of which its folder is a host's copy."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.disk.chained import Appender, appending
from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.layout import Layout
from auditlake.disk.lock import exclusive, undisturbed
from auditlake.disk.rights import make_folder
from auditlake.errors import LakeBusyError, LakeError, LakeFormatError, LakeNotFoundError
from auditlake.storage.disk import Disk
from auditlake.storage.model import Storage, found, replace

if TYPE_CHECKING:
    from auditlake.storage.mirror import Mirror

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|(s3|gs|az):/", re.IGNORECASE)
"""How an address begins, also one that pathlib has taken a slash from."""
_BUCKET = Layout(Path()).bucket.name
_REACHABLE = "AUDITLAKE_TEST_BUCKETS"
# Only the tests of this room set it. What is known to be missing before a user may: commits on Google Cloud Storage and
# tags of Azure; a lake whose publishing died is to be refused; a private key among certificates or other files that
# people do not edit gets into the bucket; large objects are not done in the client's time; a reader must not become the
# writer, and must get a first copy of a busy lake; damage in the bucket must leave the copy alone; persons that were
# erased stay in the copies of readers; what is edited in the copy beside a pull is lost.


def storage_of(layout: Layout) -> Storage:
    """Return the storage of a lake. Names in it are those of :meth:`auditlake.disk.layout.Layout.name`."""
    return mirror_of(layout) or Disk(layout.root)


def mirror_of(layout: Layout) -> Mirror | None:
    """Return the storage of a lake in a bucket; None if the lake is its folder.

    Raises:
        LakeFormatError: The folder does not say which bucket.
        StorageError: The bucket cannot be opened.
    """
    if not os.path.exists(f"{layout.root}/{_BUCKET}"):  # noqa: PTH110 - a Path each time would show in a small commit
        return None
    try:
        place = json.loads(Disk(layout.root).read(layout.bucket.name))
        return _mirror(layout.root, place["url"], place["token"])
    except (ValueError, KeyError, TypeError) as error:
        message = f"{layout.bucket} does not say which bucket has the lake"
        raise LakeFormatError(message, hint="move the folder away, and open the lake by its address") from error


@cache
def _mirror(root: Path, url: str, token: str) -> Mirror:
    from auditlake.storage.mirror import Mirror  # which is slow to import
    from auditlake.storage.objects import open_objects

    layout = Layout(root)
    return Mirror(layout, open_objects(url, layout.staging), token)


def is_url(path: str | Path) -> bool:
    """Return whether a lake is named by the address of a bucket, and not by a folder.

    Raises:
        LakeError: It is, and no lake in a bucket can be used.
    """
    if _URL.match(str(path)) is None:
        return False
    _check_reachable()  # the address is not repeated, since it may have a secret
    return True


def folder_of(path: str | Path) -> Path:
    """Return the folder of a lake: the one that is named, or that of this host for a lake in a bucket.

    Raises:
        LakeError: It is one of a lake in a bucket, and none of these can be used.
    """
    if not is_url(path):
        folder = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - Path's own fails on ~name of no user
        if os.path.lexists(Layout(folder).bucket):
            _check_reachable(f": {folder} is a host's copy of one")
        return folder
    url = str(path).rstrip("/")
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "auditlake" / f"{url.rpartition('/')[2][:60]}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def _check_reachable(why: str = "") -> None:
    if not os.environ.get(_REACHABLE):
        message = f"lakes in buckets cannot be used yet{why}"
        raise LakeError(message, hint="name a folder of a disk in place of an address")


def has_objects(url: str) -> bool:
    """Return whether there is anything at the address of a lake.

    Raises:
        StorageError: It cannot be asked.
    """
    from auditlake.storage.objects import open_objects

    return bool(open_objects(url, Path()).names())


def place_in(layout: Layout, url: str) -> Mirror:
    """Let a folder of this host be the copy of a lake in a bucket."""
    place = {"url": url.rstrip("/"), "token": secrets.token_hex(16)}
    make_folders(layout.root, below=Path(layout.root.anchor))
    for folder in layout.folders:
        make_folder(folder)
    write_whole(layout.bucket, json.dumps(place).encode())
    return _mirror(layout.root, place["url"], place["token"])


def opened_folder(path: str | Path) -> Layout:
    """Return the folder of a lake, up to date. That of a lake in a bucket is made if this host has none.

    A folder that only says that it is one of a bucket, as a stranger's may, is refused before any request.

    Raises:
        LakeNotFoundError: There is no lake in the bucket.
        LakeFormatError: The folder is another one than this host has for the address.
        StorageError: It cannot be read.
    """
    layout = Layout(folder_of(path))
    if is_url(path) and not layout.bucket.exists():
        from auditlake.storage.objects import open_objects

        if found(open_objects(str(path), layout.staging), layout.config.name) is None:
            raise LakeNotFoundError(f"there is no lake at {path}", hint=f"auditlake --lake {path} init makes one")
        place_in(layout, str(path))
    if (mirror := mirror_of(layout)) is not None:
        if folder_of(mirror.objects.url) != layout.root:
            message = f"{layout.root} says that it is a host's copy of {mirror.objects.url}, and is not this host's"
            raise LakeFormatError(message, hint="open the lake by its address")
        # Who writes has brought it up to date; and who may only read the copy reads it as it is.
        with suppress(LakeBusyError), undisturbed(layout.lock, wait_seconds=0) as is_writable:
            if is_writable:
                mirror.pull()
    return layout


@contextmanager
def changing(layout: Layout) -> Iterator[None]:
    """Bring the copy of a lake in a bucket up to date, for a change by who holds the lock of this host's folder.

    Raises:
        WrittenElsewhereError: The lake is written by another host.
        OSError: The bucket cannot be read.
    """
    if (mirror := mirror_of(layout)) is None:
        yield
        return
    try:
        mirror.pull()
        mirror.push()
        yield
    finally:
        mirror.keep_tags()


def check_writer(layout: Layout) -> None:
    """Refuse a lake in a bucket that another host writes, before anything is taken that could not get there.

    Raises:
        WrittenElsewhereError: It is.
        StorageError: The bucket cannot be asked.
    """
    if (mirror := mirror_of(layout)) is not None:
        mirror.claim()


def compared(layout: Layout, *, anew: bool, wait_seconds: float) -> None:
    """See that the copy of a lake in a bucket is what lies there.

    Args:
        layout: The lake.
        anew: Whether every object is fetched and compared; otherwise those whose tags have changed.
        wait_seconds: How long to wait for others.

    Raises:
        LakeBusyError: Another process wrote for all of the time to wait.
        OSError: The bucket cannot be read.
    """
    if (mirror := mirror_of(layout)) is not None:
        with exclusive(layout.lock, wait_seconds=wait_seconds):
            with suppress(LakeBusyError):
                mirror.push()
            mirror.keep_tags()
            mirror.pull(anew=anew)


def write(layout: Layout, path: Path, data: bytes) -> None:
    """Write a file of a lake, whole and durably, over what has its name. The caller keeps other writers of it out.

    Raises:
        OSError: It may have been written.
    """
    replace(storage_of(layout), layout.name(path), data)


def remove(layout: Layout, paths: Iterable[Path], *, synced: bool = True) -> None:
    """Remove files of a lake, those that are there; see :meth:`auditlake.storage.model.Storage.remove`.

    Raises:
        OSError: Any of them may have been removed.
    """
    storage_of(layout).remove([layout.name(path) for path in paths], synced=synced)


@contextmanager
def appending_to(layout: Layout, path: Path) -> Iterator[Appender]:
    """Give a chained file of a lake to one writer at a time, as :func:`auditlake.disk.chained.appending` does.

    A lake in a bucket gets the file anew with each line, before the folder of this host does.

    Raises:
        WrittenElsewhereError: The lake is written by another host.
        OSError: As for that function; the line may be in the bucket then.
    """
    mirror = mirror_of(layout)
    first = None if mirror is None else partial(mirror.append, layout.name(path))
    with appending(path, within=layout.root, first=first) as file:
        yield file
    if mirror is not None:
        mirror.keep_tags()
