"""Where the files of a lake are kept: in its folder, or in a bucket of which its folder is a host's copy."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.disk.chained import Appender, appending
from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import read_text
from auditlake.disk.layout import Layout
from auditlake.disk.lock import LOCK_SECONDS, exclusive, undisturbed
from auditlake.disk.rights import make_folder
from auditlake.errors import LakeBusyError, LakeError, LakeExistsError, LakeFormatError, LakeNotFoundError, StorageError
from auditlake.storage.bound import most_bytes
from auditlake.storage.client import scheme_of
from auditlake.storage.disk import Disk
from auditlake.storage.hosts import host_number, settle_number
from auditlake.storage.model import Storage, replace
from auditlake.storage.names import ASKED, CONFIG, DATA, LOG, has_key, is_kept, live_files
from auditlake.storage.ranges import BUCKETS

if TYPE_CHECKING:
    from auditlake.storage.lease import Lease
    from auditlake.storage.mirror import Mirror

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|(s3|gs|az):/", re.IGNORECASE)
"""How an address begins, also one that pathlib has taken a slash from."""
_BUCKET = Layout(Path()).bucket.name


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
        return _mirror(layout.root, place["url"])
    except (ValueError, KeyError, TypeError) as error:
        message = f"{layout.bucket} does not say which bucket has the lake"
        raise LakeFormatError(message, hint="move the folder away, and open the lake by its address") from error


@cache
def _mirror(root: Path, url: str) -> Mirror:
    from auditlake.storage.mirror import Mirror  # which is slow to import
    from auditlake.storage.objects import open_objects

    mirror = Mirror(Layout(root), open_objects(url), most=most_bytes())
    BUCKETS[root] = mirror.bucket
    return mirror


def is_url(path: str | Path) -> bool:
    """Return whether a lake is named by the address of a bucket, and not by a folder.

    Raises:
        StorageError: It is an address, and none of a bucket.
    """
    if _URL.match(str(path)) is None:
        return False
    scheme_of(str(path))
    return True


def may_be_lake(path: str | Path) -> bool:
    """Return whether there is a lake, or an address that opening it will tell of."""
    return is_url(path) or Layout(folder_of(path)).config.exists()


def folder_of(path: str | Path) -> Path:
    """Return the folder of a lake: the one that is named, or that of this host for a lake in a bucket.

    Raises:
        StorageError: It is an address, and none of a bucket.
    """
    if not is_url(path):
        return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - Path's own fails on ~name of no user
    url = str(path).rstrip("/")
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "auditlake" / f"{url.rpartition('/')[2][:60]}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def is_begun(url: str) -> bool:
    """Return whether there is no whole lake at an address, and this host's folder has the one that was to get there.

    Raises:
        LakeExistsError: There is a lake, or was one.
        StorageError: The bucket cannot be asked.
    """
    from auditlake.storage.objects import open_objects

    layout = Layout(folder_of(url))
    if open_objects(url).found(layout.config.name) is not None:
        raise LakeExistsError(f"there is a lake at {url} already", hint="name another folder of the bucket")
    if layout.fetched.exists():
        message = f"there was a lake at {url}, and {layout.root} is a copy of it"
        raise LakeExistsError(message, hint="move the copy away, or name another folder of the bucket")
    return layout.config.exists()


def put_into_bucket(layout: Layout, url: str) -> None:
    """Let this host's folder, which has a whole lake, be the copy of a bucket that gets it; again, this is finished.

    Raises:
        LakeError: The lake has its ledger beside its commits; or it may lie there in part.
    """
    check_format(layout)
    write_whole(layout.bucket, json.dumps({"url": url.rstrip("/")}).encode())
    try:
        taken = _publish(layout, _mirror(layout.root, url.rstrip("/")))
    except OSError as error:
        first = f"{error.hint} Then run" if isinstance(error, StorageError) and error.hint else "run"
        raise LakeError(f"the lake at {url} was not made whole: {error}", hint=f"{first} it again") from error
    if taken:
        message = f"there is something else at {url}: {min(taken)}"
        raise LakeExistsError(message, hint=f"name another folder of the bucket, and remove {layout.root}")


def _publish(layout: Layout, mirror: Mirror) -> Collection[str]:
    """Put a lake of this host's folder into its bucket, and return the names that are taken; again, it is finished.

    The first log entry comes first, which only one of two writers gets, and ``lake.toml`` last.

    Raises:
        OSError: It may lie there in part.
    """
    first = f"{LOG}{0:020d}.json"
    files = {name: layout.root / name for name in (*mirror.kept(), *mirror.data())}
    names = {name for name, path in files.items() if not has_key(name, path)}
    for some in ({first}, names - {first, CONFIG}, {CONFIG}):
        if taken := mirror.offer({name: files[name] for name in sorted(some)}):
            return taken
        if first in some and (taken := mirror.objects.create(dict(mirror.lines()))):
            return taken
    mirror.keep_tags()
    return ()


def check_format(layout: Layout) -> None:
    """Refuse a lake that cannot lie in a bucket.

    Raises:
        LakeFormatError: Its ledger lies beside its commits.
    """
    if tomllib.loads(read_text(layout.config, within=layout.root)).get("format_version") == 1:
        message = f"{layout.root} is a lake of format 1, and those in buckets are of format 2"
        raise LakeFormatError(message, hint="a lake on a disk gets there by auditlake upgrade")


def opened_folder(path: str | Path) -> Layout:
    """Return the folder of a lake, up to date. That of a lake in a bucket is made if this host has none.

    A folder that only says that it is one of a bucket, as a stranger's may, is refused before any request.

    Raises:
        LakeNotFoundError: There is no lake in the bucket.
        LakeFormatError: The folder is another one than this host has for the address, or the lake was not made whole.
        StorageError: It cannot be read.
    """
    layout = Layout(folder_of(path))
    if is_url(path) and not layout.bucket.exists():
        from auditlake.storage.objects import open_objects

        if open_objects(str(path)).found(layout.config.name) is None:
            raise LakeNotFoundError(f"there is no lake at {path}", hint=f"auditlake --lake {path} init makes one")
        make_folders(layout.root, below=Path(layout.root.anchor))
        for folder in layout.folders:
            make_folder(folder)
        write_whole(layout.bucket, json.dumps({"url": str(path).rstrip("/")}).encode())
    bring_up_to_date(layout)
    return layout


def bring_up_to_date(layout: Layout) -> None:
    """Let this host's copy of a lake in a bucket have what that has, unless another process is changing the lake.

    Raises:
        LakeFormatError: The folder is another one than this host has for the address, or the lake was not made whole.
        StorageError: The bucket cannot be read.
    """
    if (mirror := mirror_of(layout)) is None:
        return
    if folder_of(mirror.objects.url) != layout.root:
        message = f"{layout.root} says that it is a host's copy of {mirror.objects.url}, and is not this host's"
        raise LakeFormatError(message, hint="open the lake by its address")
    is_whole = layout.fetched.exists()  # then who changes the lake has brought it up to date
    with (
        suppress(*([LakeBusyError] if is_whole else [])),
        undisturbed(layout.lock, wait_seconds=0 if is_whole else LOCK_SECONDS) as is_writable,
    ):
        if is_writable:  # who may only read the copy reads it as it is
            mirror.update()
            check_format(layout)


@contextmanager
def changing(layout: Layout, *, wait_seconds: float) -> Iterator[None]:
    """Bring the copy of a lake in a bucket up to date, and keep other hosts from changing the lake within this.

    The caller holds the lock of this host's folder.

    Args:
        layout: The lake.
        wait_seconds: How long to wait for another host.

    Raises:
        LakeBusyError: Another host changed it for all of the time to wait.
        OSError: The bucket cannot be read or written.
    """
    if (mirror := mirror_of(layout)) is None:
        yield
        return
    from auditlake.storage.lease import leased

    with leased(mirror.objects, layout.root, wait_seconds=wait_seconds):
        try:
            mirror.update()
            mirror.push()
            settle_number(layout, mirror.objects)
            yield
        finally:
            mirror.keep_tags()


@contextmanager
def elected(layout: Layout, *, for_alerts: bool = False) -> Iterator[str | None]:
    """Let one host at a time do what need be done once for all hosts: give None to it, and its name to the others.

    Args:
        layout: The lake.
        for_alerts: Whether it is the evaluation of alerts, and not compaction and deletion.

    Raises:
        StorageError: The bucket cannot be asked, or must not be written.
    """
    lease = lease_of(layout, for_alerts=for_alerts)
    if lease is not None and not lease.taken_within():
        yield lease.holder[0]
        return
    with nullcontext() if lease is None else lease.renewed():
        yield None


def lease_of(layout: Layout, *, for_alerts: bool) -> Lease | None:
    """Return what one of the hosts is elected by, as for :func:`elected`; None where the lake is a folder."""
    if (mirror := mirror_of(layout)) is None:
        return None
    from auditlake.storage.lease import ALERTS, UPKEEP, Lease

    return Lease(mirror.objects, layout.root, ALERTS if for_alerts else UPKEEP)


def fetch(layout: Layout, path: Path) -> None:
    """Let this host have a file as the bucket has it now, that no copy takes by itself.

    Raises:
        OSError: It cannot be read, or the disk refused.
    """
    if (mirror := mirror_of(layout)) is None:
        return
    if (data := mirror.objects.found(layout.name(path))) is None:
        path.unlink(missing_ok=True)
    else:
        make_folders(path.parent, below=layout.root)
        write_whole(path, data)


def numbered_host(layout: Layout, *, wait_seconds: float) -> int:
    """Return the number of this host, which gets one if it has none; 0 where the lake is a folder.

    Raises:
        LakeBusyError: Another process held the lock of the folder for all of the time to wait.
        OSError: The bucket cannot be written.
    """
    if (number := host_number(layout)) is not None or (mirror := mirror_of(layout)) is None:
        return number or 0
    with exclusive(layout.lock, wait_seconds=wait_seconds):
        return settle_number(layout, mirror.objects)


def compared(layout: Layout, *, wait_seconds: float) -> list[str]:
    """Fetch every object of a lake in a bucket, and return the names of those that are not what the copy has.

    Args:
        layout: The lake.
        wait_seconds: How long to wait for others.

    Raises:
        LakeBusyError: Another process wrote for all of the time to wait.
        OSError: The bucket cannot be read.
    """
    if (mirror := mirror_of(layout)) is None:
        return []
    with exclusive(layout.lock, wait_seconds=wait_seconds):
        mirror.update()
        if wrong := mirror.compare():
            mirror.update()  # another host may have replaced some of them meanwhile, and removed them
            data = {name for name in wrong if DATA.match(name)}
            replaced = data - live_files(Disk(layout.root), data)
            wrong = [name for name in wrong if name not in replaced]
        return wrong


def bring_beside(layout: Layout, folders: Collection[str] = ASKED) -> None:
    """Fetch what a bucket has beside the entries of the ledger, and this host has not.

    Args:
        layout: The lake; one that is its folder has all of it.
        folders: Those of :data:`auditlake.storage.names.ASKED` that are wanted.

    Raises:
        OSError: The bucket cannot be read.
    """
    if (mirror := mirror_of(layout)) is not None:
        mirror.bring(name for folder in folders for name in mirror.objects.names(folder) if is_kept(name))


def brought(layout: Layout, days: Collection[date]) -> Mapping[str, int]:
    """Fetch the data files of some days, but those that are not what their names say; return the bytes of all others
    that only the bucket has, and of the ledger's marks that only it has, by name.

    Raises:
        OSError: The bucket cannot be read.
    """
    if (mirror := mirror_of(layout)) is None:
        return {}
    before = {*mirror.data()}  # first: another process puts what it writes into the bucket, then here, and then commits
    stored = mirror.stored()
    mirror.drop_replaced(before.difference(stored))
    here = {*mirror.data()}
    folders = {f"events/event_date={day}" for day in days}
    wanted = [name for name in stored.keys() - here if name.rpartition("/")[0] in folders]
    mirror.fetch(wanted)
    away = {name: stored[name].size for name in stored.keys() - here - {*wanted}}
    marks = mirror.objects.listed("ledger/marks")
    return away | {name: each.size for name, each in marks.items() if not (layout.root / name).exists()}


def fetched_again(layout: Layout, paths: Iterable[Path]) -> bool:
    """Fetch data files that this host has let go since it had them; return whether there were any.

    Raises:
        OSError: One is not there any more, or not what its name says.
    """
    mirror = mirror_of(layout)
    return mirror is not None and bool(mirror.local_again([layout.name(path) for path in paths]))


def data_files(layout: Layout, days: Collection[str] | None = None) -> Mapping[str, float]:
    """Return the names of the data files that a bucket has, with when each was written, in seconds since 1970.

    Args:
        layout: The lake; one that is its folder has none elsewhere.
        days: The folders to look into, by their names below that of the lake; all if None.

    Raises:
        OSError: The bucket cannot be read.
    """
    mirror = mirror_of(layout)
    return {} if mirror is None else {name: each.modified for name, each in mirror.stored(days).items()}


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

    A lake in a bucket gets each line as an object, before the folder of this host has it.

    Raises:
        StorageError: Another host has written a line meanwhile.
        OSError: As for that function; the line may be in the bucket then.
    """
    mirror, name = mirror_of(layout), layout.name(path)
    if mirror is not None:
        mirror.follow(name)
    first = None if mirror is None else partial(mirror.append, name)
    with appending(path, within=layout.root, first=first) as file:
        yield file
