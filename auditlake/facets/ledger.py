"""What makes a lake one that can be checked: ``lake.ledger``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from auditlake.context import Facet
from auditlake.disk.files import is_file
from auditlake.errors import LakeError, ReportError
from auditlake.machine import login_name

if TYPE_CHECKING:
    from auditlake.verify.anchors import Anchor
    from auditlake.verify.model import VerifyReport


class Ledger(Facet):
    """The verbs that a third party's trust rests on."""

    def verify(
        self,
        *,
        full: bool = True,
        new: bool = False,
        checkpoint: bytes | None = None,
        public_key: str | None = None,
        tsa_roots: bytes | None = None,
    ) -> VerifyReport:
        """Compare everything with the ledger, by public data alone; ``report.ok`` says whether all is as recorded.

        The journal of runs, and so the list of reports, then says when this was and what it found. Where the lake
        cannot be written to, a notice says that it does not.

        Args:
            full: Whether to hash every row; otherwise only files and tree are compared.
            new: Whether to hash also every row of the days to which files were added since a verification last read
                rows, and of those days where such a one found something wrong.
            checkpoint: A checkpoint that was kept elsewhere: the lake must be its continuation.
            public_key: The public key, as text, that was kept elsewhere; that of the lake if None.
            tsa_roots: Certificates of time stamp authorities, PEM; without them, stamps anchor nothing.

        Raises:
            LedgerError: The kept checkpoint or public key is not one.
            LakeError: This host's copy of a lake in a bucket lacks what the bucket has, and its disk takes nothing.
        """
        from importlib.metadata import version  # slow to import

        from auditlake.runs.journal import append, rows_read
        from auditlake.runs.model import RowsRead, Verification
        from auditlake.site.index import write_index
        from auditlake.storage.lake import bring_beside, bring_up_to_date, brought, compared
        from auditlake.storage.names import NEEDED
        from auditlake.store.failures import explained
        from auditlake.verify.check import verify
        from auditlake.verify.model import Problem

        layout, now = self._context.layout, self._context.now
        known = rows_read(layout) if new else RowsRead()
        with explained(layout, "the verification"):
            spoilt = compared(layout, wait_seconds=self._context.wait_seconds) if full else []
            report = verify(
                layout, now=now, full=full, since=known.entries if new else None, again=known.damaged,
                checkpoint=checkpoint, public_key=public_key, tsa_roots=tsa_roots, elsewhere=partial(brought, layout),
                bring=partial(bring_beside, layout, NEEDED), bring_log=partial(bring_up_to_date, layout),
            )  # fmt: skip
        wrong = (Problem(name, "the bucket has not what this host has, or not what its name says") for name in spoilt)
        report = replace(report, problems=(*report.problems, *wrong))
        try:
            append(layout, Verification(
                number=0, at=now, finished=self._context.now, version=version("auditlake"), user=login_name(),
                level="full" if full else "quick", kept=checkpoint is not None, snapshot=report.version,
                entries=report.size, problems=report.wrong, read=report.size if full or new else None,
                damaged=report.damaged_days,
            ))  # fmt: skip
        except LakeError as error:
            notice = Problem("runs/journal.jsonl", f"this verification is not on record: {error}")
            report = replace(report, notices=(*report.notices, notice))
        if is_file(layout.reports / "index.html", within=layout.root):
            with suppress(ReportError):
                write_index(layout.reports, layout)
        return report

    def checkpoint(self) -> bytes:
        """Return the ledger's newest checkpoint, a signed note to be kept elsewhere."""
        from auditlake.store.bookkeeping import newest_checkpoint

        return newest_checkpoint(self._context)

    def rotate_key(self) -> str:
        """Let a new key sign the ledger's checkpoints, remove the old one, and return the new public key.

        Keep it elsewhere. A verification with the old public key still holds: in the ledger, the old key vouches for
        the new one.

        Raises:
            LedgerError: The lake is unsigned, or its key may be that of other lakes too.
        """
        from auditlake.store.turn import writer_turn

        with writer_turn(self._context) as turn:
            return turn.rotate_key(self._context.now)

    def upgrade(self) -> int | None:
        """Take the lake to format 2, whose commits hold the ledger's entries; return the version that does.

        Returns:
            None if the lake is of format 2 already.

        Raises:
            LakeFormatError: lake.toml says its format in another way than auditlake writes it.
            LedgerError: The ledger is damaged.
        """
        from auditlake.store.turn import writer_turn

        with writer_turn(self._context) as turn:
            return turn.snapshot.version if turn.upgrade(self._context.now) else None

    def anchor(self, url: str, *, tsa_roots: bytes | None = None) -> Anchor:
        """Have an authority stamp the newest checkpoint (RFC 3161), and keep the stamp in ``LAKE/ledger/anchors``.

        Args:
            url: The authority; http or https.
            tsa_roots: Certificates that its signature must lead to, PEM; the signature is not checked if None.

        Raises:
            LedgerError: It gave no stamp of this checkpoint, or ``auditlake[anchor]`` is not installed.
        """
        from auditlake.upkeep.timestamp import anchor

        return anchor(self._context.layout, self.checkpoint(), url, roots=tsa_roots)

    def prove(self, event_id: str, *, source: str | None = None) -> bytes:
        """Return a proof that an event is in the ledger: JSON that ``auditlake verify-proof`` checks by itself.

        Raises:
            LedgerError: There is no such event, or it is not what was recorded.
            LakeFormatError: A file of the lake is damaged.
        """
        from auditlake.storage.lake import bring_beside
        from auditlake.storage.names import NEEDED
        from auditlake.store.failures import explained
        from auditlake.verify.prove import prove

        with explained(self._context.layout, "the proof"):
            bring_beside(self._context.layout, NEEDED)
            return prove(self._context.layout, event_id, source=source)
