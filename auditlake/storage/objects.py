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
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from auditlake.errors import StorageError
from auditlake.machine import Clock, system_clock
from auditlake.storage.client import RETRIES, client, is_of_this_process, opened, refusal, scheme_of, status_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

T = TypeVar("T")
Version = Mapping[str, Any]
"""What the client says of the version of an object: ``e_tag``, and ``version`` where the store has such."""

_DIGEST = re.compile(r"(?:\A|/|/part-|/records-)([0-9a-f]{64})(?:\.(?:parquet|yaml|jsonl?))?\Z")
_PAGE = 1000
PIECE = 8 << 20
"""Bytes of one request, so that the time for each is enough however large an object is."""
_PARTS = 4
"""How many pieces of one object are put at the same time."""
AT_ONCE = 16
"""How many objects are put or fetched at the same time."""
_LARGE_AT_ONCE = 2
"""How many objects are put in pieces at the same time: of each one, as many pieces as are under way are in memory."""
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


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing has it."""

    tag: str
    """Another one as soon as its bytes are others."""
    size: int
    """Bytes."""
    modified: float
    """When it was written, in seconds since 1970."""


class ObjectStore:
    """A folder of a bucket: all calls of :class:`auditlake.storage.model.Storage` but ``local``.

    Args:
        store: The client's store, which must not try again by itself.
        name: What it is called in messages.
        bulk: One that may, for what is named by its content; the same if None.
        clock: Where the present comes from.
        sleep: Waits for so many seconds.
        patience: How long requests are tried again.
    """

    def __init__(
        self,
        store: Client,
        name: str,
        *,
        bulk: Client | None = None,
        clock: Clock = system_clock,
        sleep: Callable[[float], None] = time.sleep,
        patience: Patience = Patience(),
    ) -> None:
        self._client, self._errors = client()
        self._store = store
        self._bulk = bulk or store
        self._name = name
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

    def listed(self, folder: str = "", after: str = "") -> dict[str, Listed]:
        """Return the same with what the listing says of each."""

        def attempt() -> dict[str, Listed]:
            pages = self._client.list(self._store, folder or None, offset=after or None, chunk_size=_PAGE)
            # Not every server of Azure's protocol begins after a name.
            return {str(each["path"]): _listed(each) for page in pages for each in page if str(each["path"]) > after}

        return self._until_answered(folder, attempt)

    def top(self) -> tuple[dict[str, Listed], list[str]]:
        """Return the objects that lie in no folder, as :meth:`listed` does, and the names of the folders."""

        def attempt() -> tuple[dict[str, Listed], list[str]]:
            found = self._client.list_with_delimiter(self._store)
            return {str(each["path"]): _listed(each) for each in found["objects"]}, [*found["common_prefixes"]]

        return self._until_answered("", attempt)

    def fetch(self, name: str, path: Path, size: int | None = None) -> str:
        """Write the bytes of an object to a new file of this machine, which is not synced, a piece at a time.

        Args:
            name: The object.
            path: The file.
            size: The object's bytes, as it was listed; if None, the first answer says.

        Returns:
            The SHA-256 of the bytes, in hexadecimal.

        Raises:
            FileNotFoundError: There is no such object.
            OSError: It cannot be read, or the file cannot be written.
        """
        digest, end = sha256(), 0
        with path.open("wb") as file:
            while size is None or end < size:
                piece, about = self.piece(name, end, end + PIECE)
                digest.update(piece)
                file.write(piece)
                end, size = end + len(piece), about.size
        return digest.hexdigest()

    def piece(self, name: str, begin: int, end: int) -> tuple[bytes, Listed]:
        """Return the bytes of an object between two places, as far as there are so many, and what the object is."""

        def attempt() -> tuple[bytes, Listed]:
            result = self._client.get(self._store, name, options={"range": (begin, end)})
            data, about = bytes(result.bytes()), _listed(result.meta)
            self._check_length(len(data), min(end, about.size) - begin)
            return data, about

        return self._until_answered(name, attempt)

    def about(self, name: str) -> Listed:
        """Return what an object is.

        Raises:
            FileNotFoundError: There is no such object.
            StorageError: The store refused it, or did not answer.
        """
        return self._until_answered(name, lambda: _listed(self._client.head(self._store, name)))

    def read(self, name: str, part: tuple[int, int] | None = None) -> bytes:
        """Return the bytes of an object."""
        return self.get(name, part)[0]

    def get(self, name: str, part: tuple[int, int] | None = None) -> tuple[bytes, str]:
        """Return the same with the tag that the object had then."""
        data, version = self._until_answered(name, lambda: self._get(name, part))
        return data, _tag(version)

    def found(self, name: str) -> bytes | None:
        """Return the bytes of an object; None if there is none of that name."""
        with suppress(FileNotFoundError):
            return self.read(name)
        return None

    def create(self, files: Mapping[str, bytes | Path]) -> Collection[str]:
        """Make objects, several at the same time."""
        taken = self.make(files)
        for name, data in files.items():
            if isinstance(data, Path) and name not in taken:
                data.unlink()
        return taken

    def make(self, files: Mapping[str, bytes | Path]) -> Collection[str]:
        """Make objects as :meth:`create` does; files that they are made of stay."""
        with ThreadPoolExecutor(AT_ONCE, "auditlake-put") as pool, ThreadPoolExecutor(_LARGE_AT_ONCE) as large:
            made = {
                name: (large if _goes_in_pieces(name, data) else pool).submit(self._create, name, data)
                for name, data in files.items()
            }
            try:
                return {name for name, is_ours in made.items() if not is_ours.result()}
            finally:
                for each in made.values():  # where one failed
                    each.cancel()

    def swap(self, name: str, data: bytes, seen: bytes | None) -> bool:
        """Replace an object; writers need no lock."""
        if seen is None:
            return self._create(name, data)
        may_be_ours = False

        def attempt() -> bool:
            nonlocal may_be_ours
            there, version = self._found(name)
            if there == data:
                self._keep_tag(name, version)
                return True
            if there != seen:
                if may_be_ours:
                    raise self._error(name, "whether it was replaced is not known: it has been replaced since")
                return False
            try:
                self._put(name, data, version)
            except _refusals(self._client) as error:  # what is there now decides
                raise self._again() from error
            except self._errors:
                may_be_ours = True
                raise
            return True

        return self._until_answered(name, attempt)

    def remove(self, names: Iterable[str], *, synced: bool = True) -> None:  # noqa: ARG002 - what is gone is gone
        """Remove objects."""
        if not (gone := list(names)):
            return
        for name in gone:
            self.tags.pop(name, None)

        def attempt() -> None:
            try:
                self._client.delete(self._store, gone)
            except FileNotFoundError:
                for name in gone:
                    with suppress(FileNotFoundError):
                        self._client.delete(self._store, name)

        self._until_answered(gone[0], attempt)

    def _create(self, name: str, data: bytes | Path) -> bool:
        def attempt() -> bool:
            try:
                self._put(name, data, "create")
            except _refusals(self._client) as error:
                there, version = self._found(name)
                if there is None:  # removed meanwhile, or its writer is not done
                    raise self._again() from error
                if is_ours := there == (data if isinstance(data, bytes) else data.read_bytes()):
                    self._keep_tag(name, version)
                return is_ours
            return True

        return self._until_answered(name, attempt)

    def _get(self, name: str, part: tuple[int, int] | None = None) -> tuple[bytes, Version]:
        """Return bytes of an object and the version that they are of, by one request."""
        result = self._client.get(self._store, name, options={"range": part} if part else None)
        data, about = bytes(result.bytes()), result.meta
        self._check_length(len(data), part[1] - part[0] if part else about["size"])
        # Google Cloud Storage compares versions, the others tags.
        return data, {key: about[key] for key in ("e_tag", "version") if about.get(key) is not None}

    def _found(self, name: str) -> tuple[bytes | None, Version]:
        """Return the same of an object that need not be there."""
        try:
            return self._get(name)
        except FileNotFoundError:
            return None, {}

    def _put(self, name: str, data: bytes | Path, mode: Any) -> None:
        try:
            if _goes_in_pieces(name, data):  # whichever writer is last, the bytes are the same
                options: dict[str, Any] = {"use_multipart": True, "chunk_size": PIECE, "max_concurrency": _PARTS}
                made = self._client.put(self._bulk, name, data, **options)
            else:
                made = self._client.put(self._store, name, data, mode=mode, use_multipart=False)
        except FileNotFoundError:
            raise self._error(name, "there is no such bucket", hint="Check the name, and make the bucket.") from None
        self._keep_tag(name, made)

    def _keep_tag(self, name: str, version: Version) -> None:
        if version.get("e_tag") is not None:
            self.tags[name] = _tag(version)

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


def open_objects(url: str) -> ObjectStore:
    """Return the object store at a URL; nothing is asked of it yet. The credentials are those of the environment.

    Args:
        url: ``s3://``, ``gs://`` or ``az://``, the bucket, and perhaps a folder in it.

    Raises:
        StorageError: The URL is none of these, the client is not installed, or the environment does not suffice.
    """
    scheme, options = scheme_of(url), dict[str, Any]()
    if scheme == "s3":
        options["config"] = {"checksum_algorithm": "SHA256"}  # which the store compares with what it received
    try:
        _, errors = client()
    except ImportError as error:
        hint = "pip install 'auditlake[cloud]'"
        raise StorageError(url, "the client for object stores is not installed", hint=hint) from error
    try:
        store = opened(url, retry_config={"max_retries": 0}, **options)
        bulk = opened(url, retry_config=RETRIES, **options)
    except errors as error:
        why, hint = refusal(scheme, error)
        raise StorageError(url, why, hint=hint) from None
    return ObjectStore(store, url.rstrip("/"), bulk=bulk)


def digest_in(name: str) -> str | None:
    """Return the SHA-256 that a name says its bytes have, in hexadecimal; None if it says none."""
    match = _DIGEST.search(name)
    return match[1] if match else None


def _goes_in_pieces(name: str, data: bytes | Path) -> bool:
    return isinstance(data, Path) and data.stat().st_size > PIECE and digest_in(name) is not None


def _listed(about: Mapping[str, Any]) -> Listed:
    return Listed(_tag(about), int(about["size"]), about["last_modified"].timestamp())


def _tag(version: Version) -> str:
    """Return a tag without the quotes that some answers of Azure have and others have not."""
    return str(version["e_tag"]).strip('"')


def _refusals(module: Any) -> tuple[type[Exception], ...]:
    """Return the errors that say that a condition of a PUT did not hold."""
    return (module.exceptions.AlreadyExistsError, module.exceptions.PreconditionError)
