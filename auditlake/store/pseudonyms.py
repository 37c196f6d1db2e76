"""Pseudonyms: what stands in the place of a person, the same for the same value in one lake, and hard to guess.

A pseudonym is ``pseudonym-`` and 40 hexadecimal digits: 32 of an HMAC-SHA256 over the value, and 8 that tell it from a
text that only looks like one. The key never leaves the lake; without it no one can try values.

An id made from an event's content is a hash, which a good guess of the event reproduces. So an event that loses its
names gets another id, which only the lake can make of the first: ``keyed-`` and the HMAC-SHA256 of it. Such
an id is told by its form, 64 hexadecimal digits; one of a source's own that looks the same becomes a keyed one too.

From the first commit that put pseudonyms into the lake's events, the commits of retention say the SHA-256 of the key. A
lake whose key is another one, or has gone, makes no pseudonyms: holds would no longer find whom they name.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass

from auditlake.disk.durable import write_whole
from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeError, LakeFormatError
from auditlake.events.personal import CONTENT_ID
from auditlake.store.deltalog import Commits

PREFIX = "pseudonym-"
KEYED = "keyed-"
"""The beginning of an id that stands in the place of one that was made from content."""
_SHAPE = re.compile(rf"{PREFIX}[0-9a-f]{{40}}\Z", re.ASCII)
_LOST = "without it holds do not find the people whom it made pseudonyms of, so nothing is deleted or erased"
_BLOCK = 64
"""Bytes of a block of SHA-256."""


@dataclass(frozen=True, slots=True, repr=False)
class Pseudonyms:
    """The pseudonyms of one lake."""

    key: bytes

    def of(self, value: str) -> str:
        """Return the pseudonym of a value; one of this lake stays what it is."""
        if self.knows(value):
            return value
        body = hmac.new(self._name_key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]
        return f"{PREFIX}{body}{self._check(body)}"

    def knows(self, value: str) -> bool:
        """Return whether a text is a pseudonym of this lake."""
        body = value[len(PREFIX) : -8]
        return _SHAPE.match(value) is not None and hmac.compare_digest(value[-8:], self._check(body))

    def keyed(self, event_id: str) -> str:
        """Return the id that stands in the place of one that was made from content; any other stays what it is."""
        if CONTENT_ID.match(event_id) is None:
            return event_id
        return KEYED + hmac.new(self._id_key, event_id.encode(), hashlib.sha256).hexdigest()

    def of_record(self, sha256: str) -> str:
        """Return what an erasure keeps of a record that cannot be an event, made of the SHA-256 (hex) of its bytes."""
        return hmac.new(self._derived(b"quarantined record"), sha256.encode(), hashlib.sha256).hexdigest()

    @property
    def digest(self) -> str:
        """What commits say of the key: it tells one from another, and not what it is."""
        return hashlib.sha256(b"auditlake pseudonym key\0" + self.key).hexdigest()

    @property
    def values(self) -> dict[str, object]:
        """What the statements of ``sql/retention`` bind to make the same pseudonyms."""
        return {"inner_key": _padded(self._name_key, 0x36), "outer_key": _padded(self._name_key, 0x5C),
                "check_key": self._check_key}  # fmt: skip

    @property
    def id_values(self) -> dict[str, object]:
        """What statements bind to make the same keyed ids."""
        return {"id_inner_key": _padded(self._id_key, 0x36), "id_outer_key": _padded(self._id_key, 0x5C)}

    @property
    def _id_key(self) -> bytes:
        return self._derived(b"event id")

    @property
    def _name_key(self) -> bytes:
        return self._derived(b"pseudonym name")

    @property
    def _check_key(self) -> str:
        return self._derived(b"pseudonym check").hex()

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.digest(self.key, b"auditlake " + purpose, "sha256")

    def _check(self, body: str) -> str:
        return hashlib.sha256((self._check_key + body).encode()).hexdigest()[:8]


def pseudonyms(layout: Layout, *, make: bool, commits: Commits | None = None) -> Pseudonyms | None:
    """Return the pseudonyms of a lake; None where it has no key yet and none is to be made.

    Args:
        layout: The lake.
        make: Whether to make a key where there is none.
        commits: The commits of the lake; its log is read if None.

    Raises:
        LakeFormatError: The key's file does not hold a key, or the lake's events have pseudonyms of another one.
        LakeError: It cannot be read or made.
    """
    key = _read(layout)
    recorded = recorded_key(layout, commits)
    if recorded is not None and (key is None or key.digest != recorded):
        what = "is another one" if key else "has gone"
        message = f"the lake has pseudonyms, and their key {layout.pseudonyms} {what}"
        raise LakeFormatError(message, hint=f"restore it from a backup: {_LOST}")
    if key is None and make:
        # The second of two processes takes the key of the first: the lake may have pseudonyms of it already.
        write_whole(layout.pseudonyms, _text(new_pseudonyms().key), over=False, private=True)
        return _read(layout)
    return key


def new_pseudonyms() -> Pseudonyms:
    """Return the pseudonyms of a new key, which is written nowhere yet."""
    return Pseudonyms(os.urandom(32))


def keep_key(layout: Layout, names: Pseudonyms) -> None:
    """Write the key where the lake has none yet.

    Raises:
        LakeError: It cannot be written, or another process has made one meanwhile.
    """
    write_whole(layout.pseudonyms, _text(names.key), over=False, private=True)
    if _read(layout) != names:
        message = f"another process has made the key {layout.pseudonyms} meanwhile"
        raise LakeError(message, hint="nothing was changed; do it again")


def recorded_key(layout: Layout, commits: Commits | None = None) -> str | None:
    """Return the digest of the key whose pseudonyms events have, as the newest deletion or erasure recorded it."""
    if commits is None:
        newest = max((int(path.stem) for path in layout.log.glob("*.json") if path.stem.isdecimal()), default=-1)
        commits = Commits(layout, newest)
    for _, own in commits.of_retention():
        return own.get("pseudonym_key")
    return None


def _text(key: bytes) -> bytes:
    return f"{key.hex()}\n".encode()


def _read(layout: Layout) -> Pseudonyms | None:
    path = layout.pseudonyms
    try:
        text = read_file(path, within=layout.root, limit=SMALL)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LakeError(f"the key of the pseudonyms, {path}: {error.strerror or error}") from error
    if re.fullmatch(rb"[0-9a-f]{64}\n?", text) is None:
        message = f"{path} does not hold a key of 64 hexadecimal digits"
        raise LakeFormatError(message, hint="restore it from a backup: another key makes other pseudonyms")
    return Pseudonyms(bytes.fromhex(text.decode()))


def _padded(key: bytes, pad: int) -> bytes:
    return bytes(byte ^ pad for byte in key.ljust(_BLOCK, b"\0"))
