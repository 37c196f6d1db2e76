"""What makes a lake one that can be checked: ``verify``, ``checkpoint`` and ``prove``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.disk.files import is_file
from auditlake.disk.layout import Layout
from auditlake.errors import ReportError
from auditlake.machine import Clock

if TYPE_CHECKING:
    from auditlake.upkeep.backup import BackupSummary
    from auditlake.verify.anchors import Anchor
    from auditlake.verify.model import VerifyReport


class Provable:
    """The verbs of a lake that a third party's trust rests on."""

    layout: Layout
    _clock: Clock
    _wait: float

    def verify(self, **options: Any) -> VerifyReport:
        """Compare everything with the ledger, by public data alone; ``report.ok`` says whether all is as recorded.

        Where the lake can be written to, its list of reports then says when this was and what it found.

        Args:
            **options: ``full`` (False: files and tree only), ``checkpoint`` (the bytes of one that was kept elsewhere),
                ``public_key`` (text, kept elsewhere), ``tsa_roots`` (certificates of time stamp authorities, PEM).

        Raises:
            LedgerError: The kept checkpoint or public key is not one.
        """
        from auditlake.reports.compliance import write_index
        from auditlake.reports.last_verification import Verification, remember
        from auditlake.verify.check import verify

        now = self._clock()
        found = verify(self.layout, now=now, **options)
        remember(self.layout, Verification(now, found.full, found.version, found.wrong))
        if is_file(self.layout.reports / "index.html", within=self.layout.root):
            with suppress(ReportError):
                write_index(self.layout.reports, self.layout)
        return found

    def checkpoint(self) -> bytes:
        """The ledger's newest checkpoint, a signed note to be kept elsewhere."""
        from auditlake.store.bookkeeping import newest_checkpoint

        return newest_checkpoint(self.layout, wait_seconds=self._wait)

    def rotate_key(self) -> str:
        """Let a new key sign the ledger's checkpoints, and give its public half, to be kept elsewhere; the old is gone.

        A verification with the old public key still holds: the old key vouches for the new one in the ledger.

        Raises:
            LedgerError: The lake is unsigned, or its key may be that of other lakes too.
        """
        from auditlake.store.bookkeeping import rotate_key

        return rotate_key(self.layout, now=self._clock(), wait_seconds=self._wait)

    def anchor(self, url: str, *, tsa_roots: bytes | None = None) -> Anchor:
        """Have an authority stamp the newest checkpoint (RFC 3161), and keep the stamp in ``LAKE/ledger/anchors``.

        Args:
            url: The authority; http or https.
            tsa_roots: Certificates that its signature must lead to, PEM; it is not checked if None.

        Raises:
            LedgerError: It gave no stamp of this checkpoint, or ``auditlake[anchor]`` is not installed.
        """
        from auditlake.upkeep.timestamp import anchor

        return anchor(self.layout, self.checkpoint(), url, roots=tsa_roots)

    def backup(self, destination: str | Path, *, key: bool = True) -> BackupSummary:
        """Copy the lake to a new folder, consistently while others write; restoring it is copying it back.

        Args:
            destination: The folder; it is there whole or not at all.
            key: Whether to copy the private key of the ledger too, if it lies in the lake.

        Raises:
            LakeError: There is something at the destination, or the disk refused.
            LakeFormatError: The lake lost a file.
            LedgerError: The ledger is damaged.
        """
        from auditlake.upkeep.backup import backup

        return backup(self.layout, Path(destination), key=key, wait_seconds=self._wait)

    def prove(self, event_id: str, *, source: str | None = None) -> bytes:
        """A proof that an event is in the ledger, a JSON object that ``auditlake verify-proof`` checks by itself.

        Raises:
            LedgerError: There is no such event, or it is not what was recorded.
            LakeFormatError: A file of the lake is damaged.
        """
        from auditlake.store.failures import explained
        from auditlake.verify.prove import prove

        with explained(self.layout, "the proof"):
            return prove(self.layout, event_id, source=source)
