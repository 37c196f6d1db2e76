"""Inputs that lie elsewhere: objects of S3, Google Cloud Storage and Azure Blob Storage, and single files by HTTPS.

An object is known by its name, its size, and the version that its store gives it (the ETag, else the time of its last
change). It is read from a copy on the disk. The credentials are those of the environment, and no message, name or
record has any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from auditlake.config import checked_place
from auditlake.errors import InputChangedError, SourceError
from auditlake.sources.model import InputFile
from auditlake.storage.client import RETRIES, VARIABLES, client, opened, refusal

if TYPE_CHECKING:
    from obstore import ObjectMeta

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_MAGIC = re.compile(r"[*?]")
_PART = 8 * 1024 * 1024
"""How many bytes are asked for at a time: each request has its own timeout, and is tried again by itself."""
_PAGE = 1000
_UNLISTED = "names there have a part that is empty, '.' or '..', and such a folder cannot be listed"


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """An object as a listing has it."""

    name: str
    """Its URL, as custody and messages name it: without what may be a secret."""
    key: str
    """Its name in the store."""
    size: int | None
    """Bytes; None where the server does not say."""
    version: str
    """Another one once its bytes are others; empty where the server does not say."""
    fault: str = ""
    """Why it cannot be read, where the listing tells."""


class Remote(Protocol):
    """A place elsewhere."""

    shown: str
    """Its URL without what may be a secret."""
    named: bool
    """Whether the URL is that of an object, and none of a folder or pattern; known once it was listed."""

    def objects(self) -> Iterator[RemoteObject]:
        """Yield what lies there.

        Raises:
            SourceError: It cannot be listed.
        """

    def fetch(self, found: RemoteObject, target: Path) -> None:
        """Copy an object to a file.

        Raises:
            SourceError: It cannot be read.
            InputChangedError: It is another one by now.
        """


def is_url(text: object) -> bool:
    """Return whether an input is named by a URL."""
    return isinstance(text, str) and _URL.match(text) is not None


def shown_url(url: str) -> str:
    """Return a URL without name, password, query and fragment, which may be secrets."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if scheme.lower() not in VARIABLES:
        host, path = re.split(r"[?#]", host)[0], re.split(r"[?#]", path)[0]
    return f"{scheme.lower()}://{host.rpartition('@')[2]}{slash}{path}"


def open_remote(url: str) -> Remote:
    """Return the place that a URL names; nothing is asked of it yet.

    Raises:
        SourceError: The URL is none that can be read, or ``auditlake[cloud]`` is not installed.
    """
    try:
        checked_place(url)
    except ValueError as error:
        raise SourceError(f"{shown_url(url)}: {error}", hint="see the documentation of [[collect]]") from error
    if url.lower().startswith("https:"):
        from auditlake.sources.web import WebFile

        return WebFile(url, shown_url(url))
    return RemoteObjects(url)


def remote_inputs(url: str, spool: Path) -> list[InputFile]:
    """Return what lies at a URL as inputs; each is copied to a folder when it is opened, and lies there only then.

    Raises:
        SourceError: It cannot be listed, or nothing is there.
    """
    place = open_remote(url)
    inputs = []
    for number, found in enumerate(place.objects()):
        if found.fault:
            raise SourceError(f"{found.name} cannot be read: {found.fault}")
        path = spool / f"object-{number}"
        within = "" if place.named else place.shown
        inputs.append(InputFile(found.name, path, within, restore=partial(place.fetch, found, path)))
    if not inputs:
        raise SourceError(f"nothing lies at {place.shown}", hint="Check the name; a folder of a bucket ends in /.")
    return inputs


class RemoteObjects:
    """A bucket or container, or an object, a folder or a pattern in one.

    Args:
        url: ``s3://``, ``gs://`` or ``az://``, the bucket, and perhaps a name, which is taken as it stands: an
            object's, or a folder's. Where no object has it, ``*`` stands for any text without a slash, ``**`` for any
            text, and ``?`` for a character.
    """

    def __init__(self, url: str) -> None:
        self.shown = shown_url(url)
        self.named = False
        scheme, _, rest = url.partition("://")
        bucket, _, self._key = rest.partition("/")
        self._scheme = scheme.lower()
        self._base = f"{self._scheme}://{bucket}"
        try:
            self._client, self._errors = client()
        except ImportError as error:
            message = f"{self.shown} cannot be read: the client for object stores is not installed"
            raise SourceError(message, hint="pip install 'auditlake[cloud]'") from error
        try:
            self._store = opened(self._base, retry_config=RETRIES)
        except self._errors as error:
            raise self._refused(self.shown, error) from None

    def objects(self) -> Iterator[RemoteObject]:
        """Yield what lies there, page by page."""
        try:
            if self._key and not self._key.endswith("/") and (found := self._named_object()):
                self.named = True
                yield found
                return
            pattern = _MAGIC.search(self._key)
            prefix = self._key[: self._key.rfind("/", 0, pattern.start()) + 1] if pattern else self._key
            wanted = re.compile(_translated(self._key), re.DOTALL) if pattern else None
            for found in self._below(prefix.rstrip("/")):
                if wanted is None or found.fault or wanted.fullmatch(found.key):
                    yield found
        except (*self._errors, FileNotFoundError) as error:
            raise self._refused(self.shown, error) from None

    def fetch(self, found: RemoteObject, target: Path) -> None:
        """Copy an object, a part at a time, all of one version."""
        size = found.size or 0
        try:
            with target.open("wb") as file:
                for start in range(0, size, _PART):
                    options: Any = {"range": (start, min(start + _PART, size))}
                    if found.version.startswith('"'):
                        options["if_match"] = found.version
                    file.write(self._client.get(self._store, found.key, options=options).bytes())
                got = file.tell()
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                raise
            raise SourceError(f"{found.name} is gone since it was listed, or its name cannot be asked for") from None
        except self._client.exceptions.PreconditionError:
            raise _changed(found.name) from None
        except self._errors as error:
            raise self._refused(found.name, error) from None
        if got != size:
            raise InputChangedError(f"{found.name}: {size} bytes expected, got {got}", hint="Read it again.")

    def _named_object(self) -> RemoteObject | None:
        try:
            return self._object(self._client.head(self._store, self._key))
        except (FileNotFoundError, self._client.exceptions.InvalidPathError):
            return None

    def _below(self, prefix: str) -> Iterator[RemoteObject]:
        """Yield what lies below a folder; where its listing has names that cannot be read, folder by folder."""
        try:
            for page in self._client.list(self._store, prefix or None, chunk_size=_PAGE):
                yield from map(self._object, page)
        except self._client.exceptions.InvalidPathError:
            yield from self._by_folder(prefix)

    def _by_folder(self, prefix: str) -> Iterator[RemoteObject]:
        name = f"{self._base}/{prefix}/" if prefix else f"{self._base}/"
        try:
            listed = self._client.list_with_delimiter(self._store, prefix or None)
        except self._client.exceptions.InvalidPathError:
            yield RemoteObject(name, prefix, None, "", _UNLISTED)
            return
        yield from map(self._object, listed["objects"])
        for folder in listed["common_prefixes"]:
            if len(folder) > len(prefix):
                yield from self._below(folder)
            else:  # a name that begins with a slash
                yield RemoteObject(name, prefix, None, "", _UNLISTED)

    def _object(self, meta: ObjectMeta) -> RemoteObject:
        key = str(meta["path"])
        version = meta["e_tag"] or meta["last_modified"].isoformat()
        return RemoteObject(f"{self._base}/{key}", key, int(meta["size"]), version)

    def _refused(self, name: str, error: Exception) -> SourceError:
        """Return what is told of an error of the client."""
        why, hint = refusal(self._scheme, error)
        return SourceError(f"{name} cannot be read: {why}", hint=hint)


def _changed(name: str) -> InputChangedError:
    return InputChangedError(f"{name} changed since it was listed", hint="Read it again.")


def _translated(pattern: str) -> str:
    """Return a pattern of names as a regular expression."""
    parts = re.split(r"(\*\*/?|\*|\?)", pattern)
    meant = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return "".join(meant.get(part) or re.escape(part) for part in parts)
