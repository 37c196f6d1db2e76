"""Checkpoints as a third party reads them, by the words of C2SP alone: a signed note over origin, size and root."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from auditlake.errors import LedgerError

_SIGNATURE = re.compile(r"— (\S+) ([A-Za-z0-9+/=]+)\Z")
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+\Z")
_NEW_KEY = "auditlake/new-key"
_VERSION = re.compile(r"auditlake/version (\d{1,18}) ([0-9a-f]{64})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What an entry says by which one key followed another."""

    index: int
    """Of the entry."""
    root: bytes
    """Of the tree before it."""
    old: str
    new: str
    note: str
    """Signed by the old key."""


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint, and whose signatures it has."""

    text: str
    origin: str
    size: int
    root: bytes
    version: int
    """The newest version of the lake when it was made."""
    log: str
    """The SHA-256 of the log entry of that version."""
    signatures: tuple[tuple[str, bytes], ...]
    """Names, and key ids followed by signatures."""

    def is_signed_by(self, key: str) -> bool:
        """Whether the holder of a public key (``NAME+ID+BASE64``) signed it.

        Raises:
            LedgerError: That is not a public key.
        """
        name, key_id, _ = read_key(key)
        return any(
            signer == name and data[:4] == key_id and verifies(key, data[4:], self.text.encode())
            for signer, data in self.signatures
        )


def verifies(key: str, signature: bytes, data: bytes) -> bool:
    """Return whether a signature over bytes is by the holder of a public key (``NAME+ID+BASE64``).

    Raises:
        LedgerError: That is not a public key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    *_, public = read_key(key)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def key_chain(rotations: Sequence[Rotation], first: str | None) -> tuple[tuple[str, ...], str]:
    """Return the keys that signed a ledger, the first one first, and what is wrong with them; empty if nothing is.

    Each key but the first was named by the one before it, in a checkpoint of the tree at that time.

    Args:
        rotations: What entries say, in order.
        first: The key that the ledger's first entry names; None if it names none.
    """
    keys = [first] if first else []
    for each in rotations:
        note = vouched(each.old, each.new, each.note)
        if note is None or (keys and keys[-1] != each.old) or (note.size, note.root) != (each.index, each.root):
            return tuple(keys), f"entry {each.index} names a new key, and the old one does not vouch for it"
        keys += [each.new] if keys else [each.old, each.new]
    return tuple(keys), ""


def vouched(old: str, new: str, note: str) -> SignedCheckpoint | None:
    """Return the checkpoint in which the holder of a key named the key that follows it; None if the note is not
    that.
    """
    try:
        checkpoint = read_checkpoint(note.encode())
        read_key(new)
        return (
            checkpoint if f"{_NEW_KEY} {new}" in checkpoint.text.split("\n") and checkpoint.is_signed_by(old) else None
        )
    except LedgerError:
        return None


def read_key(key: str) -> tuple[str, bytes, bytes]:
    """Name, id and 32 bytes of a public key.

    Raises:
        LedgerError: It is not one.
    """
    name, _, rest = key.strip().partition("+")
    number, _, data = rest.partition("+")
    try:
        decoded = base64.b64decode(data, validate=True)
    except ValueError:
        decoded = b""
    key_id = sha256(name.encode() + b"\n" + decoded).digest()[:4]
    is_whole = len(decoded) == 33 and decoded[0] == 1 and base64.b64encode(decoded).decode() == data
    if not _NAME.match(name) or key_id.hex() != number or not is_whole:
        raise LedgerError("that is not a whole public key: expected NAME+ID+BASE64 for Ed25519")
    return name, key_id, decoded[1:]


def read_checkpoint(data: bytes) -> SignedCheckpoint:
    """Read a checkpoint; whether its signatures hold is for :meth:`SignedCheckpoint.is_signed_by` to say.

    Raises:
        LedgerError: It is not one.
    """
    try:
        text, _, below = data.decode().partition("\n\n")
        origin, size, root, *extensions = text.split("\n")
        (version,) = [match for line in extensions if (match := _VERSION.match(line))]
        if len(extensions) - 1 > sum(line.startswith(f"{_NEW_KEY} ") for line in extensions) or len(extensions) > 2:
            raise ValueError("it says more than a checkpoint does")
        matches = [_SIGNATURE.match(line) for line in below.split("\n")[:-1]]
        if None in matches or (below and not below.endswith("\n")) or not data.decode().endswith("\n"):
            raise ValueError("a line below the text is no signature")
        signatures = tuple((each[1], base64.b64decode(each[2], validate=True)) for each in matches if each)
        decoded = base64.b64decode(root, validate=True)
        if str(int(size)) != size or len(decoded) != 32 or base64.b64encode(decoded).decode() != root:
            raise ValueError("its size or root is not well formed")
    except ValueError as error:
        raise LedgerError(f"that is not a checkpoint: {error}") from error
    return SignedCheckpoint(f"{text}\n", origin, int(size), decoded, int(version[1]), version[2], signatures)
