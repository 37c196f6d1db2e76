"""What confined processes make of reports: PDFs, and what users' templates make. One that fails stops no other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from auditlake.disk.durable import write_whole
from auditlake.disk.files import read_file
from auditlake.disk.layout import FRAMEWORK_FILE, REPORT_FILE
from auditlake.errors import ReportError
from auditlake.forms.model import Judgement
from auditlake.forms.table import ENDINGS
from auditlake.frameworks.framework import Framework
from auditlake.printing.press import Enclosed, Press
from auditlake.reports.compliance import ComplianceReport
from auditlake.reports.files import TakenError, write_files
from auditlake.site.framework_sheet import render_framework_sheet
from auditlake.templates.files import NO_TEMPLATES, Template, TemplateFolder
from auditlake.templates.fill import Filler

Listen = Callable[[int, int, str], None]
"""Told how many reports are done, of how many, and which is next."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which templates are to be filled, and who is told how far it is."""

    templates: tuple[Template, ...] = ()
    folder: TemplateFolder = NO_TEMPLATES
    """Where they lie."""
    listen: Listen = lambda *_: None


@dataclass(frozen=True, slots=True)
class Source:
    """A report, as everything here needs it."""

    judgement: Judgement
    """What it says; its stem is the name of its files."""
    json: bytes
    sheet: Callable[[], bytes] | None
    """Returns it as a page for paper; None where it is to have no PDF."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that could not be made."""

    report: str
    """The id of the policy or of the pack."""
    error: ReportError


def source_of(
    made: ComplianceReport | Framework, files: Sequence[Path], folder: Path, *, pdf: bool, annex: bool
) -> Source:  # fmt: skip
    """Return a report as everything here needs it.

    Args:
        made: The report.
        files: Its files that are written already: they have its name.
        folder: Where they lie.
        pdf: Whether it is to have a PDF.
        annex: Whether that has the SQL as an annex.
    """
    json = made.json()
    stem = _stem(made.stem, json, files, folder)

    def sheet() -> bytes:
        if isinstance(made, ComplianceReport):
            return made.sheet(stem=stem, annex=annex)
        policies = {policy_id: (each.report, each.detail) for policy_id, each in made.policies.items()}
        return render_framework_sheet(made.report, made.case.runs, policies, json, stem=stem, annex=annex)

    return Source(replace(made.judgement, stem=stem), json, sheet if pdf else None)


def write_beside(
    sources: Sequence[Source], folder: Path, wanted: Wanted
) -> tuple[list[tuple[Path, ...]], tuple[Fault, ...]]:
    """Make what is wanted of each report, and write it.

    Returns:
        The files of each report, in order, and what could not be made.
    """
    faults: list[Fault] = []
    written: list[tuple[Path, ...]] = []
    asked = [number for number, source in enumerate(sources) if source.sheet or wanted.templates]
    with Press() as press, Filler(wanted.folder) as filler:
        for number, source in enumerate(sources):
            jobs = [partial(_pdf, press, source, folder)] if source.sheet else []
            jobs += [partial(_filled, filler, template, source, folder) for template in wanted.templates]
            if jobs:
                wanted.listen(asked.index(number), len(asked), source.judgement.id)
            own: list[Path] = []
            for job in jobs:
                try:
                    own += job()
                except ReportError as error:
                    faults.append(Fault(source.judgement.id, error))
            written.append(tuple(own))
        if asked:
            wanted.listen(len(asked), len(asked), "")
    return written, tuple(faults)


def _pdf(press: Press, source: Source, folder: Path) -> Sequence[Path]:
    assert source.sheet is not None
    judgement = source.judgement
    enclosed = Enclosed(f"{judgement.stem}.json", source.json, "The report as data, of which this file was made")
    data = press.pdf(source.sheet(), enclosed, judgement.as_of)
    try:
        return write_files(folder, {f"{judgement.stem}.pdf": data})
    except TakenError:  # as one with other fonts, or with the annex
        return write_files(folder, {f"{judgement.stem}_{hashlib.sha256(data).hexdigest()[:12]}.pdf": data})


def _filled(filler: Filler, template: Template, source: Source, folder: Path) -> Sequence[Path]:
    """Fill a template; what it made before of the same report is written over, since that is no evidence."""
    judgement = source.judgement
    if (ending := f"{template.name}.{template.ending}") in ENDINGS:
        message = f"the template {template.file} would write files that end as a form of auditlake's does: .{ending}"
        raise ReportError(message, hint="give it another name")
    filled = filler.fill(template, source.json, {
        "kind": judgement.kind, "title": judgement.name, "verdict": judgement.verdict,
        "sentence": judgement.sentence, "stem": judgement.stem,
    })  # fmt: skip
    if filled is None:
        return ()
    path = folder / f"{judgement.stem}.{filled.ending}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, filled.data)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error
    return (path,)


def _stem(usual: str, json: bytes, files: Sequence[Path], folder: Path) -> str:
    """Return the name that a report's files have, or are to have where none is written."""
    for path in files:
        match = REPORT_FILE.match(path.name) or FRAMEWORK_FILE.match(path.name)
        if match is not None and match["stem"].startswith(usual):
            return match["stem"]
    try:
        is_own = read_file(folder / f"{usual}.json", within=folder) == json
    except FileNotFoundError:
        is_own = True
    except OSError:
        is_own = False
    return usual if is_own else f"{usual}_{hashlib.sha256(json).hexdigest()[:12]}"
