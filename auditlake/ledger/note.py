"""Signed notes and checkpoints as C2SP lays them down: ``signed-note`` with Ed25519 keys, and ``tlog-checkpoint``.

A note is text that ends in a newline, an empty line, and one line a signature:
``— NAME BASE64(key id ‖ signature)``. The key id is the first four bytes of the SHA-256 of
``NAME \\n 0x01 public key``. A checkpoint is a note whose text is an origin, a tree's size, the base64 of its root, and
perhaps lines of extensions.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from auditlake.errors import LedgerError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VERSION_LINE = "auditlake/version"
"""Begins the line of a lake's checkpoint that says the newest version and the SHA-256 of its log entry."""
_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_LINE = re.compile(r"— (?P<name>[^\s+]+) (?P<data>[A-Za-z0-9+/]+={0,2})\Z")
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+\Z")
_SIZE = re.compile(r"0\Z|[1-9][0-9]{0,18}\Z", re.ASCII)
_MOST_BYTES = 1_000_000
_MOST_SIGNATURES = 100


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and the name of its holder: what is kept elsewhere to check notes with."""

    name: str
    key: bytes
    """32 bytes."""

    @property
    def key_id(self) -> bytes:
        """Four bytes that say which key of a name it is."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(_ED25519 + self.key)}"

    def verifies(self, text: str | bytes, signature: bytes) -> bool:
        """Whether it is a signature of the text, or of bytes that are no note, by this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(
                signature, text.encode() if isinstance(text, str) else text
            )
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"— {self.name} {_base64(self.key_id + self.signature)}"


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """A private key and the name of its holder."""

    name: str
    seed: bytes
    """32 bytes, the whole secret."""

    def __repr__(self) -> str:
        return f"<Signer {self.name}>"

    @property
    def verifier(self) -> Verifier:
        """The public key."""
        return Verifier(self.name, self._key().public_key().public_bytes_raw())

    def sign(self, text: str) -> Signature:
        """Sign a note's text."""
        return Signature(self.name, self.verifier.key_id, self._key().sign(text.encode()))

    def sign_bytes(self, data: bytes) -> bytes:
        """Return the 64 bytes of a signature over what is not a note."""
        return self._key().sign(data)

    def secret(self) -> str:
        """Return the key as a file holds it."""
        return f"{_PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{_base64(_ED25519 + self.seed)}"

    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed)


def new_signer(name: str) -> Signer:
    """Make a new key.

    Raises:
        LedgerError: The name cannot be one in a note.
    """
    from secrets import token_bytes

    if not _NAME.match(name):
        raise LedgerError(f"{name!r} cannot name a key: expected no spaces and no plus sign")
    return Signer(name, token_bytes(32))


def parse_verifier(text: str) -> Verifier:
    """Read a public key in the form ``NAME+ID+BASE64``.

    Raises:
        LedgerError: It is not one, or not an Ed25519 key.
    """
    name, key_id, key = _parse_key(text.strip(), "a public key")
    if (verifier := Verifier(name, key)).key_id != key_id:
        raise LedgerError(f"the public key of {name} is damaged: its id should be {verifier.key_id.hex()}")
    return verifier


def parse_signer(text: str) -> Signer:
    """Read a private key in the form ``PRIVATE+KEY+NAME+ID+BASE64``.

    Raises:
        LedgerError: It is not one, or not an Ed25519 key. The message does not hold the key.
    """
    text = text.strip()
    if not text.startswith(_PRIVATE):
        raise LedgerError("that is not a private key: expected PRIVATE+KEY+NAME+ID+BASE64")
    name, key_id, seed = _parse_key(text.removeprefix(_PRIVATE), "a private key")
    if (signer := Signer(name, seed)).verifier.key_id != key_id:
        raise LedgerError(f"the private key of {name} is damaged: it has another id than it says")
    return signer


def _parse_key(text: str, what: str) -> tuple[str, bytes, bytes]:
    try:
        name, key_id, data = text.split("+", 2)
        decoded, number = base64.b64decode(data, validate=True), bytes.fromhex(key_id)
    except ValueError:
        raise LedgerError(f"that is not {what}: expected NAME+ID+BASE64") from None
    if not _NAME.match(name) or len(number) != 4 or decoded[:1] != _ED25519 or len(decoded) != 33:
        raise LedgerError(f"that is not {what} for Ed25519: expected NAME+ID+BASE64 of 33 bytes")
    return name, number, decoded[1:]


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures, checked or not."""

    text: str
    """Ends in a newline."""
    signatures: tuple[Signature, ...] = ()

    def __bytes__(self) -> bytes:
        lines = "".join(f"{signature}\n" for signature in self.signatures)
        return f"{self.text}\n{lines}".encode()

    def signed_by(self, verifier: Verifier) -> bool:
        """Whether one of the signatures is by this key, and holds."""
        matching = [each for each in self.signatures if (each.name, each.key_id) == (verifier.name, verifier.key_id)]
        return any(verifier.verifies(self.text, each.signature) for each in matching)


def sign(text: str, signers: Iterable[Signer]) -> Note:
    """Sign a note's text.

    Raises:
        LedgerError: The text cannot be one of a note.
    """
    _check_text(text)
    return Note(text, tuple(signer.sign(text) for signer in signers))


def parse_note(data: bytes) -> Note:
    """Read a note; whether its signatures hold is for :meth:`Note.signed_by` to say.

    Raises:
        LedgerError: It is not one.
    """
    if len(data) > _MOST_BYTES:
        raise LedgerError(f"that is not a signed note: {len(data)} bytes, expected at most {_MOST_BYTES}")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise LedgerError(f"that is not a signed note: {error}") from error
    text, separator, listed = whole.rpartition("\n\n")
    if not separator or (listed and not listed.endswith("\n")):
        raise LedgerError("that is not a signed note: expected text, an empty line, and whole lines of signatures")
    text += "\n"
    _check_text(text)
    lines = listed.split("\n")[:-1] if listed else []
    if len(lines) > _MOST_SIGNATURES:
        raise LedgerError(f"that is not a signed note: {len(lines)} signatures, expected at most {_MOST_SIGNATURES}")
    return Note(text, tuple(_parse_signature(line) for line in lines))


def _parse_signature(line: str) -> Signature:
    match = _LINE.match(line)
    try:
        data = base64.b64decode(match["data"], validate=True) if match else b""
    except binascii.Error:
        data = b""
    if match is None or len(data) < 5 or _base64(data) != match["data"]:
        raise LedgerError(f"that is not a line with a signature: {line[:80]!r}")
    return Signature(match["name"], data[:4], data[4:])


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(ord(letter) < 32 and letter != "\n" for letter in text):
        raise LedgerError("the text of a note must end in a newline and have no control characters")


# Checkpoints


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a tree was at some moment."""

    origin: str
    """Which tree."""
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    """Further lines, none of them empty."""

    @property
    def text(self) -> str:
        """The text of its note."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, _base64(self.root), *self.extensions))


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint's note.

    Raises:
        LedgerError: It is not one.
    """
    lines = text.removesuffix("\n").split("\n")
    if not text.endswith("\n") or len(lines) < 3:
        raise LedgerError("that is not a checkpoint: expected at least three lines")
    origin, size, tree, *extensions = lines
    try:
        decoded = base64.b64decode(tree, validate=True)
    except binascii.Error:
        decoded = b""
    if not origin or not _SIZE.match(size) or len(decoded) != 32 or _base64(decoded) != tree or "" in extensions:
        raise LedgerError("that is not a checkpoint: expected an origin, a size and a root in base64, a line each")
    return Checkpoint(origin, int(size), decoded, tuple(extensions))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def covered(checkpoint: Checkpoint) -> tuple[int, str]:
    """Return the version that a checkpoint covers, and the SHA-256 of its log entry."""
    for line in checkpoint.extensions:
        name, _, rest = line.partition(" ")
        version, _, log = rest.partition(" ")
        if name == VERSION_LINE and version.isdecimal():
            return int(version), log
    raise LedgerError("the checkpoint does not say the version of the lake")
