"""Evidence packs: reports of policies and frameworks on one snapshot, with all that it takes to check them elsewhere.

A pack is a ZIP whose bytes follow from what is in it: entries by name, stored as they are, with the earliest date that
the format has. The Parquet in it is the same for the same versions of auditlake and its libraries, which it names. What
is in it is told to its reader by ``reports_templates/evidence.txt``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack

from auditlake import assets
from auditlake.context import LakeContext
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError, PackError
from auditlake.events.times import print_instant
from auditlake.evidence.proofs import write_proofs
from auditlake.frameworks.framework import Framework
from auditlake.frameworks.run import JudgedFrameworks
from auditlake.ledger.book import has_ledger
from auditlake.ledger.keys import read_public_key, read_settings, read_signer
from auditlake.policies.request import ReportOptions
from auditlake.reports.compliance import ComplianceReport
from auditlake.reports.evidence import query_files, write_report, zip_folder
from auditlake.reports.statement import public_pem, statement_files
from auditlake.runs.recorder import record_evidence
from auditlake.storage.lake import bring_beside
from auditlake.storage.names import NEEDED
from auditlake.store.bookkeeping import newest_checkpoint
from auditlake.store.failures import explained
from auditlake.verify.prove import Prover

FORM = 3
"""The version of the form of packs. Forms 1, of one policy, and 2, of one framework, can be read."""
_SCHEMAS = ("compliance.schema.json", "framework.schema.json")

Judge = Callable[..., AbstractContextManager[JudgedFrameworks]]


@dataclass(frozen=True, slots=True)
class EvidencePack:
    """A pack that was written."""

    path: Path
    sha256: str
    """Hex digits, over the file's bytes."""
    files: int
    """How many files are in it."""
    reports: tuple[ComplianceReport, ...]
    """Those of policies, by id: the ones that were asked for, and those that the frameworks rest on."""
    frameworks: tuple[Framework, ...]
    events: Mapping[str, int]
    """Finding id to the number of events behind it."""
    proofs: Mapping[str, int]
    """Finding id to the number of events whose proofs are in it."""
    unsigned: str
    """Why the lake's key has not signed it; empty where it has."""

    @property
    def report(self) -> ComplianceReport:
        """The report of the only policy, or of the first by id."""
        return self.reports[0]

    @property
    def findings(self) -> int:
        """How many findings the reports of policies have."""
        return sum(len(each.report.violations) for each in self.reports)


def write_evidence(
    context: LakeContext,
    judge: Judge,
    policy_ids: Sequence[str],
    pack_ids: Sequence[str],
    out: Path,
    **options: Unpack[ReportOptions],
) -> EvidencePack:
    """Write a pack, whole or not at all.

    Args:
        context: The lake.
        judge: Judges policies and packs, as :meth:`auditlake.facets.frameworks.Frameworks.judged` does.
        policy_ids: The policies.
        pack_ids: The frameworks.
        out: The file; none of that name may be there.
        **options: Those of :meth:`auditlake.AuditLake.reports`.

    Raises:
        PackError: A framework cannot be judged.
        ReportError: The file is there already, or cannot be written.
    """
    with (
        judge(
            policy_ids,
            pack_ids or None,
            only=not policy_ids,
            from_rows=True,
            **{**options, "cache": False, "engine": "duckdb"},
        ) as made,
        TemporaryDirectory(prefix="auditlake-pack-") as name,
    ):
        for why in made.faults.values():
            raise PackError(why)
        folder = Path(name)
        packing = _Packing(context, made, folder, newest_checkpoint(context) if has_ledger(context.layout) else None)
        events, proofs = packing.write()
        digest, files = zip_folder(folder, out, packing.about, packing.seal)
        reports = made.all_reports
        about = tuple(each.policy_id for each in reports) + tuple(each.pack_id for each in made.frameworks)
        record_evidence(context, about, made.judged.as_of, made.judged.snapshot.version, digest)
        return EvidencePack(out, digest, files, reports, made.frameworks, events, proofs, packing.unsigned)


class _Packing:
    def __init__(self, context: LakeContext, made: JudgedFrameworks, folder: Path, checkpoint: bytes | None) -> None:
        self._context, self._made, self._folder, self._checkpoint = context, made, folder, checkpoint
        self.unsigned = ""
        self.about = {
            "form": FORM, "lake_id": context.config.id, "snapshot": made.judged.snapshot.version,
            "as_of": print_instant(made.judged.as_of), "reports": [*_named(made)],
        }  # fmt: skip

    def write(self) -> tuple[dict[str, int], dict[str, int]]:
        """Write all files but the lists; return the events behind each finding, and how many of these are proved."""
        self._put("", self._common())
        events: dict[str, int] = {}
        proofs: dict[str, int] = {}
        judged = self._made.judged
        folders = {each.policy_id: self._folder / "reports" / each.policy_id for each in self._made.all_reports}
        for report in self._made.all_reports:
            folders[report.policy_id].mkdir(parents=True)
            self._made.again(report)
            events |= write_report(folders[report.policy_id], report, judged.policies, judged.engine.connection)
        if self._checkpoint is not None:
            with explained(self._context.layout, "the proofs"):
                bring_beside(self._context.layout, NEEDED)
                with Prover(self._context.layout) as prover:
                    for folder in folders.values():
                        proofs |= write_proofs(prover, folder)
        for framework in self._made.frameworks:
            self._put(f"frameworks/{framework.pack_id}/", _of_framework(framework))
        return events, proofs

    def seal(self, sums: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield the files by which the lake's key stands for the sums; none, and why, where it has no key."""
        layout = self._context.layout
        try:
            signer = read_signer(layout, read_settings(layout))
        except LedgerError as error:
            self.unsigned = str(error)
            return
        if signer is None:
            self.unsigned = "the lake has no key"
            return
        checkpoint = None if self._checkpoint is None else self._checkpoint.decode()
        predicate = {name: value for name, value in self.about.items() if name != "form"} | {"checkpoint": checkpoint}
        yield from statement_files(signer, sums, predicate)

    def _put(self, prefix: str, files: Iterable[tuple[str, bytes]]) -> None:
        for name, data in files:
            path = self._folder / f"{prefix}{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def _common(self) -> Iterator[tuple[str, bytes]]:
        layout, templates = self._context.layout, assets.folder("reports_templates")
        yield "README.txt", (templates / "evidence.txt").read_bytes()
        for name in _SCHEMAS:
            yield f"schema/{name}", (templates / name).read_bytes()
        for policy in self._made.judged.policies:
            yield f"policies/{policy.id}.yaml", policy.content
        if (key := read_public_key(layout)) is not None:
            yield "key.pub", f"{key}\n".encode()
            yield "key.pem", public_pem(key)
        if self._checkpoint is not None:
            yield "checkpoint.txt", self._checkpoint
        for framework in self._made.frameworks[:1]:  # each has the files of all packs
            for name, content in framework.files_of_packs.items():
                yield (f"packs/{name}.yaml" if name else "frameworks.yaml"), content
            for hold in framework.report.evidence.holds:
                yield f"holds/{hold.id}.yaml", read_file(layout.hold(hold.id), within=layout.root)
            yield from _journals(layout, self._made.frameworks)


def _named(made: JudgedFrameworks) -> Iterator[dict[str, Any]]:
    """Yield what a list says of each report."""
    for each in made.all_reports:
        yield {"folder": f"reports/{each.policy_id}", "policy_id": each.policy_id, "status": each.status}
    for framework in made.frameworks:
        folder = f"frameworks/{framework.pack_id}"
        yield {"folder": folder, "pack_id": framework.pack_id, "status": framework.status}


def _of_framework(made: Framework) -> Iterator[tuple[str, bytes]]:
    yield "report.json", made.json()
    yield from query_files(made.report.evidence.queries)


def _journals(layout: Layout, frameworks: Sequence[Framework]) -> Iterator[tuple[str, bytes]]:
    """Yield the journals, as far as the reports name them."""
    extents = [(each.report.evidence.journal, each.report.evidence.runs) for each in frameworks]
    for path, which in ((layout.journal, 0), (layout.run_journal, 1)):
        if entries := max(each[which].entries for each in extents):
            lines = read_file(path, within=layout.root).split(b"\n")[:entries]
            yield f"{path.parent.name}.jsonl", b"".join(line + b"\n" for line in lines)
