"""Evidence packs of frameworks: a report with the packs, settings, journals, policies and statements that gave it.

The events behind the findings of a policy are in the evidence pack of that policy's own report.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from auditlake import assets
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.display.canonical_json import canonical
from auditlake.events.times import print_instant
from auditlake.frameworks.framework import Framework
from auditlake.reports.evidence import zip_folder

FORM = 2
"""The version of the form of their lists."""


@dataclass(frozen=True, slots=True)
class FrameworkPack:
    """A pack that was written."""

    path: Path
    sha256: str
    """Hex digits, over the file's bytes."""
    files: int
    """How many files are in it."""
    framework: Framework


def write_pack(layout: Layout, made: Framework, out: Path) -> FrameworkPack:
    """Write a pack, whole or not at all.

    Args:
        layout: The lake.
        made: The report.
        out: The file; none of that name may be there.

    Raises:
        ReportError: The file is there already, or cannot be written.
    """
    report = made.report
    about = {
        "form": FORM, "lake_id": report.evidence.lake_id, "snapshot": report.evidence.snapshot,
        "pack_id": report.pack_id, "as_of": print_instant(report.as_of), "status": report.status,
    }  # fmt: skip
    with TemporaryDirectory(prefix="auditlake-pack-") as name:
        folder = Path(name)
        for each, data in _files(layout, made):
            (folder / each).parent.mkdir(parents=True, exist_ok=True)
            (folder / each).write_bytes(data)
        digest, files = zip_folder(folder, out, about)
    return FrameworkPack(out, digest, files, made)


def _files(layout: Layout, made: Framework) -> Iterator[tuple[str, bytes]]:
    evidence, case = made.report.evidence, made.case
    yield "README.txt", (assets.folder("reports_templates") / "framework_evidence.txt").read_bytes()
    yield "report.json", made.json()
    for name, content in made.files_of_packs.items():
        yield (f"packs/{name}.yaml" if name else "frameworks.yaml"), content
    for policy in case.policies:
        yield f"policies/{policy.id}.yaml", policy.text.encode("utf-8")
    for hold in evidence.holds:
        yield f"holds/{hold.id}.yaml", read_file(layout.hold(hold.id), within=layout.root)
    for each in made.policies.values():
        yield f"reports/{each.stem}.json", each.json()
    for number, query in enumerate(evidence.queries, 1):
        yield f"sql/{number}_{query.name}.sql", f"{query.sql}\n".encode()
        yield f"sql/{number}_{query.name}.parameters.json", canonical(query.parameters)
    for path, extent in ((layout.journal, evidence.journal), (layout.run_journal, evidence.runs)):
        if extent.entries:
            lines = read_file(path, within=layout.root).split(b"\n")[: extent.entries]
            yield f"{path.parent.name}.jsonl", b"".join(line + b"\n" for line in lines)
