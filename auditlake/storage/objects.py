"""The files of a lake in an object store: S3, Google Cloud Storage or Azure Blob Storage.

A name is made by a PUT that is refused where the name is taken (``If-None-Match``), and replaced by one that is refused
where it has changed (``If-Match``). So no lock is needed. What the store acknowledges is durable.

An answer can be lost: the store may have done what was asked, and the caller hears of an error. So what is there is
read back and compared before anything is claimed. Requests are tried again here and not by the client, which would take
its own first try for another writer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from auditlake.disk.durable import make_folders, writing_whole
from auditlake.errors import StorageError
from auditlake.machine import Clock, system_clock
from auditlake.storage.client import client, is_of_this_process, opened, refusal, status_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

T = TypeVar("T")

_URL = re.compile(r"(?P<scheme>s3|gs|az)://[A-Za-z0-9._-]+(/[^?#@]*)?\Z")
_PAGE = 1000
AT_ONCE = 16
"""How many objects are put or fetched at the same time."""
_MAY_PASS = frozenset({408, 409, 429, 500, 502, 503, 504})
"""Statuses after which the same request may be answered; 409 says that two writers met."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request is tried again that the store does not answer, or answers with an error that may pass."""

    tries: int = 7
    """How often it is made at most."""
    seconds: float = 60.0
    """After so long it is not begun again."""
    pause_seconds: float = 0.1
    """The first pause; each one after it is twice as long."""


class ObjectStore:
    """A folder of a bucket as :class:`auditlake.storage.model.Storage`.

    Args:
        store: The client's store, which must not try again by itself.
        name: What it is called in messages.
        cache: A folder of this machine for copies of objects, which may be removed at any time.
        clock: Where the present comes from.
        sleep: Waits for so many seconds.
        patience: How long requests are tried again.
    """

    def __init__(
        self,
        store: Client,
        name: str,
        cache: Path,
        *,
        clock: Clock = system_clock,
        sleep: Callable[[float], None] = time.sleep,
        patience: Patience = Patience(),
    ) -> None:
        self._client, self._errors = client()
        self._store = store
        self._name = name
        self._cache = cache
        self._clock = clock
        self._sleep = sleep
        self._patience = patience
        self.tags: dict[str, str] = {}
        """What was made or replaced here, with the tag that the store gave it."""

    @property
    def url(self) -> str:
        """Return its address, which messages name it by."""
        return self._name

    def names(self, folder: str = "", after: str = "") -> list[str]:
        """Return the names of all objects below a folder."""
        return sorted(self.listed(folder, after))

    def listed(self, folder: str = "", after: str = "") -> dict[str, str]:
        """Return the same with the tag of each, which is another one as soon as its bytes are others."""

        def attempt() -> dict[str, str]:
            pages = self._client.list(self._store, folder or None, offset=after or None, chunk_size=_PAGE)
            return {str(each["path"]): str(each["e_tag"]) for page in pages for each in page}

        return self._until_answered(folder, attempt)

    def fetch(self, name: str, path: Path) -> str:
        """Write the bytes of an object to a new file of this machine, which is not synced, and return its tag.

        Raises:
            FileNotFoundError: There is no such object.
            OSError: It cannot be read, or the file cannot be written.
        """

        def attempt() -> str:
            result = self._client.get(self._store, name)
            with path.open("wb") as file:
                for piece in result.stream():
                    file.write(piece)
                self._check_length(file.tell(), result.meta["size"])
            return str(result.meta["e_tag"])

        return self._until_answered(name, attempt)

    def read(self, name: str, part: tuple[int, int] | None = None) -> bytes:
        """Return the bytes of an object."""
        return self._until_answered(name, lambda: self._get(name, part)[0])

    def create(self, files: Mapping[str, bytes | Path]) -> Collection[str]:
        """Make objects, several at the same time."""
        taken = self.make(files)
        for name, data in files.items():
            if isinstance(data, Path) and name not in taken:
                data.unlink()
        return taken

    def make(self, files: Mapping[str, bytes | Path]) -> Collection[str]:
        """Make objects as :meth:`create` does; files that they are made of stay."""
        with ThreadPoolExecutor(min(AT_ONCE, len(files) or 1), "auditlake-put") as pool:
            are_ours = list(pool.map(self._create, files.keys(), files.values()))
        return {name for name, is_ours in zip(files, are_ours, strict=True) if not is_ours}

    def swap(self, name: str, data: bytes, seen: bytes | None) -> bool:
        """Replace an object; writers need no lock."""
        may_be_ours = False

        def attempt() -> bool:
            nonlocal may_be_ours
            there, tag = self._found(name)
            if there == data:
                self._keep_tag(name, tag)
                return True
            if there != seen:
                if may_be_ours:
                    raise self._error(name, "whether it was replaced is not known: it has been replaced since")
                return False
            try:
                self._put(name, data, "create" if tag is None else {"e_tag": tag})
            except _refusals(self._client) as error:  # what is there now decides
                raise self._again() from error
            except self._errors:
                may_be_ours = True
                raise
            return True

        try:
            return self._until_answered(name, attempt)
        finally:
            (self._cache / name).unlink(missing_ok=True)

    def remove(self, names: Iterable[str], *, synced: bool = True) -> None:  # noqa: ARG002 - what is gone is gone
        """Remove objects, and their copies here."""
        if not (gone := list(names)):
            return
        for name in gone:
            (self._cache / name).unlink(missing_ok=True)
            self.tags.pop(name, None)

        def attempt() -> None:
            try:
                self._client.delete(self._store, gone)
            except FileNotFoundError:
                for name in gone:
                    with suppress(FileNotFoundError):
                        self._client.delete(self._store, name)

        self._until_answered(gone[0], attempt)

    def local(self, names: Sequence[str]) -> list[str]:
        """Return where copies of objects lie, and copy those that are not here."""
        return [str(self._copied(name)) for name in names]

    def _copied(self, name: str) -> Path:
        path = self._cache / name

        def attempt() -> None:
            result = self._client.get(self._store, name)
            with writing_whole(path) as file:
                for piece in result.stream():
                    file.write(piece)
                self._check_length(file.tell(), result.meta["size"])

        if not path.is_file():
            make_folders(path.parent, below=Path(path.anchor))
            self._until_answered(name, attempt)
        return path

    def _create(self, name: str, data: bytes | Path) -> bool:
        def attempt() -> bool:
            try:
                self._put(name, data, "create")
            except _refusals(self._client) as error:
                there, tag = self._found(name)
                if there is None:  # removed meanwhile, or its writer is not done
                    raise self._again() from error
                if is_ours := there == (data if isinstance(data, bytes) else data.read_bytes()):
                    self._keep_tag(name, tag)
                return is_ours
            return True

        return self._until_answered(name, attempt)

    def _get(self, name: str, part: tuple[int, int] | None = None) -> tuple[bytes, str | None]:
        """Return bytes of an object and the tag that it had, by one request."""
        result = self._client.get(self._store, name, options={"range": part} if part else None)
        data = bytes(result.bytes())
        self._check_length(len(data), part[1] - part[0] if part else result.meta["size"])
        return data, result.meta["e_tag"]

    def _found(self, name: str) -> tuple[bytes | None, str | None]:
        """Return the same of an object that need not be there."""
        try:
            return self._get(name)
        except FileNotFoundError:
            return None, None

    def _put(self, name: str, data: bytes | Path, mode: Any) -> None:
        try:
            self._keep_tag(name, self._client.put(self._store, name, data, mode=mode, use_multipart=False)["e_tag"])
        except FileNotFoundError:
            raise self._error(name, "there is no such bucket", hint="Check the name, and make the bucket.") from None

    def _keep_tag(self, name: str, tag: str | None) -> None:
        if tag is not None:
            self.tags[name] = tag

    def _check_length(self, got: int, expected: int) -> None:
        if got != expected:
            raise self._client.exceptions.GenericError(f"expected {expected} bytes, got {got}")

    def _again(self) -> Exception:
        """Return an error that may pass: two writers met."""
        error: Exception = self._client.exceptions.GenericError("status code: 409")
        return error

    def _until_answered(self, name: str, attempt: Callable[[], T]) -> T:
        """Make a request until the store answers it, as long as that may help.

        Raises:
            FileNotFoundError: There is no such object.
            StorageError: The store refused it, or did not answer.
        """
        if not is_of_this_process():
            why = "this process was forked from one that has used the client for object stores"
            raise self._error(name, why, hint="start it otherwise than by a fork, or open the lake after it")
        patience, pause = self._patience, self._patience.pause_seconds
        deadline = self._clock() + timedelta(seconds=patience.seconds)
        for left in range(patience.tries - 1, -1, -1):
            try:
                return attempt()
            except FileNotFoundError as error:
                raise FileNotFoundError(2, "there is no such object", f"{self._name}/{name}") from error
            except self._errors as error:
                if not left or self._clock() >= deadline or not self._may_pass(error):
                    why, hint = refusal(self._name[:2], error)
                    raise self._error(name, why, hint=hint) from None
            self._sleep(pause)
            pause *= 2
        raise AssertionError("the last try returns or raises")

    def _may_pass(self, error: Exception) -> bool:
        status = status_of(error)
        return type(error) is self._client.exceptions.GenericError and (status is None or status in _MAY_PASS)

    def _error(self, name: str, why: str, *, hint: str = "") -> StorageError:
        return StorageError(f"{self._name}/{name}".rstrip("/"), why, hint=hint)


def open_objects(url: str, cache: Path) -> ObjectStore:
    """Return the object store at a URL; nothing is asked of it yet. The credentials are those of the environment.

    Args:
        url: ``s3://``, ``gs://`` or ``az://``, the bucket, and perhaps a folder in it.
        cache: A folder of this machine for copies of objects.

    Raises:
        StorageError: The URL is none of these, the client is not installed, or the environment does not suffice.
    """
    if (match := _URL.match(url)) is None:
        # It is not repeated, since it may have a secret.
        raise StorageError("the address of a lake", "expected s3://, gs:// or az://, a bucket, and perhaps a folder")
    options: dict[str, Any] = {"retry_config": {"max_retries": 0}}
    if match["scheme"] == "s3":
        options["config"] = {"checksum_algorithm": "SHA256"}  # which the store compares with what it received
    try:
        _, errors = client()
    except ImportError as error:
        hint = "pip install 'auditlake[cloud]'"
        raise StorageError(url, "the client for object stores is not installed", hint=hint) from error
    try:
        store = opened(url, **options)
    except errors as error:
        why, hint = refusal(match["scheme"], error)
        raise StorageError(url, why, hint=hint) from None
    return ObjectStore(store, url.rstrip("/"), cache)


def _refusals(module: Any) -> tuple[type[Exception], ...]:
    """Return the errors that say that a condition of a PUT did not hold."""
    return (module.exceptions.AlreadyExistsError, module.exceptions.PreconditionError)
