"""Signed notes and checkpoints: Go's own example, openssl as a second opinion, and whatever is not one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from auditlake.errors import LedgerError
from auditlake.ledger.note import (
    Checkpoint,
    Note,
    Signer,
    new_signer,
    parse_checkpoint,
    parse_note,
    parse_signer,
    parse_verifier,
    sign,
)  # fmt: skip

# The example of Go's golang.org/x/mod/sumdb/note, whose format signed-note is.
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
CHECKPOINT = Checkpoint("auditlake/7", 20, bytes(range(32)))


def test_the_example_of_go() -> None:
    """The published keys and note are read, made and verified to the byte."""
    verifier, signer, note = parse_verifier(PUBLIC), parse_signer(f"{PRIVATE}\n"), parse_note(NOTE.encode())

    assert note.signed_by(verifier)
    assert bytes(sign(note.text, [signer])) == bytes(note) == NOTE.encode()
    assert (str(verifier), signer.secret(), signer.verifier) == (PUBLIC, PRIVATE, verifier)


def test_several_signatures() -> None:
    """A note may carry signatures of several keys, also several of one name; each is found by its own key."""
    signers = [new_signer("lake"), new_signer("lake"), new_signer("witness")]
    note = parse_note(bytes(sign("text\n\nmore\n", signers)))

    assert note.text == "text\n\nmore\n"
    assert [note.signed_by(each.verifier) for each in signers] == [True] * 3
    assert not note.signed_by(new_signer("lake").verifier)


def test_unsigned() -> None:
    """A note without signatures is one too, and signed by nobody."""
    note = parse_note(bytes(Note(CHECKPOINT.text)))

    assert note == Note(CHECKPOINT.text)
    assert not note.signed_by(new_signer("lake").verifier)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
def test_openssl_agrees(tmp_path: Path) -> None:
    """openssl verifies a signature over the text with the public key, and refuses another text."""
    signer = new_signer("auditlake/7")
    note = sign(CHECKPOINT.text, [signer])
    key, text, signature = tmp_path / "key.pem", tmp_path / "text", tmp_path / "signature"
    public = Ed25519PublicKey.from_public_bytes(signer.verifier.key)
    key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    signature.write_bytes(note.signatures[0].signature)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", "-in", text, "-sigfile", signature]

    codes = []
    for content in (note.text, note.text.replace("20", "21")):
        text.write_text(content)
        codes.append(subprocess.run(command, capture_output=True, check=False).returncode)

    assert codes == [0, 1]


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(1, 255))
@example(0, 32)
def test_any_changed_byte_is_noticed(at: int, change: int) -> None:
    """A note of which one byte was changed cannot be read or is not signed."""
    data = bytearray(NOTE.encode())
    data[at] ^= change
    try:
        note = parse_note(bytes(data))
    except LedgerError:
        return

    assert not note.signed_by(parse_verifier(PUBLIC))


@pytest.mark.parametrize("data", [
    b"", b"text", b"text\n", b"text\n\n\xff\n", NOTE.encode()[:-1], NOTE.replace("—", "-").encode(), b"a\tb\n\n",
    NOTE.replace("— PeterNeumann", "— Peter+Neumann").encode(), NOTE.replace("x08g", "x08").encode(),
    b"text\n\n" + "— a AAAA\n".encode(), b"text\n\n" + 101 * "— a AAAAAAA=\n".encode(), b"a" * 1_000_001,
    b"text\n\n" + "— a AAAAAAB=\n".encode(),
])  # fmt: skip
def test_no_notes(data: bytes) -> None:
    """What is not a note is refused."""
    with pytest.raises(LedgerError):
        parse_note(data)


@pytest.mark.parametrize("text", [
    "", "lake", PUBLIC[:-4], PUBLIC.replace("c74f20a3", "c74f20a4"), PUBLIC.replace("c74f20a3", "zz"),
    PUBLIC.replace("+AR", "+AB"), PUBLIC.replace("Peter", "Peter "), PRIVATE,
])  # fmt: skip
def test_no_public_keys(text: str) -> None:
    """What is not a public key of this kind, or not whole, is refused."""
    with pytest.raises(LedgerError):
        parse_verifier(text)


@pytest.mark.parametrize("text", ["", PUBLIC, PRIVATE[:-4], PRIVATE.replace("c74f20a3", "c74f20a4")])
def test_no_private_keys(text: str) -> None:
    """What is not a private key is refused, without telling it."""
    with pytest.raises(LedgerError) as raised:
        parse_signer(text)

    assert "AYEK" not in str(raised.value)
    assert "AYEK" not in repr(parse_signer(PRIVATE))


def test_names_of_keys() -> None:
    """A key's name has no spaces and no plus sign."""
    for name in ("", "a b", "a+b", "a\n"):
        with pytest.raises(LedgerError):
            new_signer(name)


def test_texts_of_notes() -> None:
    """A text without a newline at its end, or with control characters, is not signed."""
    for text in ("", "text", "a\x00b\n"):
        with pytest.raises(LedgerError):
            sign(text, [Signer("lake", bytes(32))])


def test_checkpoints() -> None:
    """A checkpoint is its origin, size and root, a line each, and perhaps more lines."""
    assert CHECKPOINT.text == "auditlake/7\n20\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    for checkpoint in (CHECKPOINT, Checkpoint("o", 0, bytes(32), ("at 2026", "more"))):
        assert parse_checkpoint(checkpoint.text) == checkpoint


@pytest.mark.parametrize("text", [
    "", "a\n1\n", CHECKPOINT.text[:-1], CHECKPOINT.text.replace("20", "020"), CHECKPOINT.text.replace("20", "-1"),
    CHECKPOINT.text.replace("20", "٢"), CHECKPOINT.text.replace("8=", "9="), CHECKPOINT.text + "\n",
    "\n" + CHECKPOINT.text[12:], CHECKPOINT.text.replace("AAEC", "AAE"),
])  # fmt: skip
def test_no_checkpoints(text: str) -> None:
    """What is not a checkpoint is refused."""
    with pytest.raises(LedgerError):
        parse_checkpoint(text)
