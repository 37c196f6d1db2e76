"""Time stamps over checkpoints (RFC 3161), kept in ``LAKE/ledger/anchors``: what was there, by another party's clock.

Of each anchor there are two files: ``SIZE-DIGEST.tsr``, the authority's response, whose SHA-256 is in its name, and
``SIZE-DIGEST.checkpoint``, the signed note that it is over. A lake must be the continuation of every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError
from auditlake.ledger.merkle import HASH_SIZE, root
from auditlake.verify.checkpoints import SignedCheckpoint, read_checkpoint
from auditlake.verify.model import Problem

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

_GRANTED = (0, 1)
_SHA256 = "2.16.840.1.101.3.4.2.1"


def anchors_path(layout: Layout) -> Path:
    """Where the anchors lie."""
    return layout.ledger / "anchors"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint that an authority has stamped."""

    at: datetime
    """When, by the authority's clock."""
    size: int
    """Entries that the checkpoint counts."""
    trusted: bool
    """Whether the authority's signature was checked against root certificates that were given."""
    checkpoint: SignedCheckpoint


@dataclass(slots=True)
class Anchors:
    """The anchors of a lake."""

    found: list[Anchor] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notices: list[Problem] = field(default_factory=list)

    def covered(self) -> int:
        """Entries that the largest checkpoint with a trusted stamp counts."""
        return max((anchor.size for anchor in self.found if anchor.trusted), default=0)


def needs_client() -> LedgerError:
    """Return the error where the library for time stamps is not installed."""
    return LedgerError("time stamps need the package rfc3161-client", hint="pip install 'auditlake[anchor]'")


def has_client() -> bool:
    """Whether the library for time stamps is installed."""
    from importlib.util import find_spec

    return find_spec("rfc3161_client") is not None


def decode(response: bytes) -> TimeStampResponse:
    """Read an authority's response.

    Raises:
        LedgerError: It is not one, or it grants nothing.
    """
    from rfc3161_client import decode_timestamp_response

    try:
        read = decode_timestamp_response(response)
        granted, status = read.status in _GRANTED, "; ".join(read.status_string)
    except (ValueError, TypeError) as error:
        raise LedgerError(f"that is not a time stamp: {error}") from error
    if not granted:
        raise LedgerError(f"the authority refused the time stamp: {status or 'it does not say why'}")
    return read


def check_stamp(response: TimeStampResponse, data: bytes, roots: bytes | None, nonce: int | None = None) -> None:
    """Check that a response is about these bytes and, where root certificates are given (PEM), who signed it.

    Raises:
        LedgerError: It is about others, or its signature does not lead to one of the certificates.
    """
    imprint = response.tst_info.message_imprint
    if imprint.hash_algorithm.dotted_string != _SHA256 or imprint.message != sha256(data).digest():
        raise LedgerError("the time stamp is over something else than the checkpoint")
    if nonce is not None and response.tst_info.nonce != nonce:
        raise LedgerError("the time stamp is the answer to another request")
    if roots is None:
        return
    from cryptography.x509 import load_pem_x509_certificates
    from rfc3161_client import VerificationError, VerifierBuilder

    try:
        VerifierBuilder(roots=load_pem_x509_certificates(roots)).build().verify_message(response, data)
    except (VerificationError, ValueError) as error:
        raise LedgerError(f"the time stamp is not one of the authority that was given: {error}") from error


def read_anchors(layout: Layout, hashes: bytes, roots: bytes | None) -> Anchors:
    """Read every anchor, and compare it with the leaves of the ledger; whatever is thrown is told.

    Args:
        layout: The lake.
        hashes: The leaves of the ledger's entries.
        roots: Certificates that stamps must lead to, PEM; signatures of stamps are not checked if None.
    """
    anchors = Anchors()
    files = sorted(anchors_path(layout).glob("*.tsr"))
    if files and not has_client():
        anchors.notices.append(Problem("ledger/anchors", f"{len(files)} time stamps were not read: {needs_client()}"))
        return anchors
    for file in files:
        where = file.relative_to(layout.root).as_posix()
        try:
            anchor = _read(file, roots, layout.root)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a damaged file may make a library throw anything
            anchors.problems.append(Problem(where, f"cannot be relied on: {error}"))
            continue
        anchors.found.append(anchor)
        day = anchor.at.isoformat()
        if len(hashes) < anchor.size * HASH_SIZE:
            what = f"the ledger was set back: it had {anchor.size} entries when it was stamped on {day}"
            anchors.problems.append(Problem(where, what))
        elif root(hashes[: anchor.size * HASH_SIZE]) != anchor.checkpoint.root:
            what = f"the ledger was rewritten: its first {anchor.size} entries are not those that were stamped on {day}"
            anchors.problems.append(Problem(where, what))
    return anchors


def _read(file: Path, roots: bytes | None, within: Path) -> Anchor:
    response, note = (read_file(each, within=within, limit=SMALL) for each in (file, file.with_suffix(".checkpoint")))
    if sha256(response).hexdigest() != file.stem.partition("-")[2]:
        raise LedgerError("its bytes are not those that its name says")
    stamp, checkpoint = decode(response), read_checkpoint(note)
    check_stamp(stamp, note, roots)
    return Anchor(stamp.tst_info.gen_time, checkpoint.size, roots is not None, checkpoint)
