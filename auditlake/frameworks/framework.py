"""A framework report, ready to be read and written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from auditlake.disk.layout import framework_stem
from auditlake.forms.model import FormOptions, Judgement
from auditlake.forms.table import other_forms, rendered
from auditlake.frameworks.document import render_json
from auditlake.frameworks.judgement import judgement_of
from auditlake.frameworks.model import ControlResult, FrameworkReport, Status
from auditlake.frameworks.records.model import Case
from auditlake.reports.compliance import ComplianceReport
from auditlake.reports.files import TakenError, is_free, write_files

T = TypeVar("T")
_NO_WISHES = FormOptions()


@dataclass(frozen=True, slots=True)
class Framework:
    """One pack's report, ready to be rendered and written."""

    report: FrameworkReport
    """What it says."""
    case: Case = field(repr=False, compare=False)
    """What it was judged by."""
    policies: Mapping[str, ComplianceReport] = field(default_factory=dict, repr=False, compare=False)
    """The reports over its period of the policies that it asks about, by id."""
    files_of_packs: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    """The files of the lake's packs by id, and ``frameworks.yaml`` under ``""``."""
    usual_period: bool = True
    """Whether its period is the one that it is judged on unless another is asked for."""
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def pack_id(self) -> str:
        """The pack's id."""
        return self.report.pack_id

    @property
    def status(self) -> Status:
        """``fail``, ``not_evaluated``, ``no_data``, ``exception``, ``pass`` or ``not_applicable``."""
        return self.report.status

    @property
    def controls(self) -> Mapping[str, ControlResult]:
        """The controls by id, in the order of the framework."""
        return {each.id: each for each in self.report.controls}

    @property
    def stem(self) -> str:
        """Its files' name without their ending."""
        report = self.report
        period = None if self.usual_period else (report.since, report.until)
        return framework_stem(self.pack_id, report.as_of, report.evidence.snapshot, period)

    def json(self) -> bytes:
        """Return the canonical JSON: the same bytes for the same snapshot, packs, settings, journals and as_of."""
        return self._once("json", lambda: render_json(self.report))

    def to(self, form: str, *, raw: bool = False, plan: str | None = None) -> bytes:
        """Return it in one form: the same bytes for the same snapshot, packs, settings, journals and as_of.

        Args:
            form: One of those of ``auditlake report --format``, but ``html``: the page is written together with others.
            raw: Of CSV: leave text as it is where a spreadsheet would run it.
            plan: Of OSCAL: where the assessment plan is that the results belong to.

        Raises:
            ReportError: There is no such form.
        """
        return self.json() if form == "json" else rendered(form, self.judgement, FormOptions(raw, plan))

    @property
    def judgement(self) -> Judgement:
        """What every form has of it."""
        return self._judgement(self.stem)

    def _judgement(self, stem: str) -> Judgement:
        digest = f"sha256:{hashlib.sha256(self.json()).hexdigest()}"
        return judgement_of(self.report, self.case.runs, digest, stem)

    def files(
        self, formats: Sequence[str] = ("json",), *, stem: str | None = None, options: FormOptions = _NO_WISHES
    ) -> dict[str, bytes]:
        """Return what :meth:`write` writes, by file name; ``stem`` replaces the usual one."""
        name = stem or self.stem
        made = {f"{name}.json": self.json()} if "json" in formats else {}
        if others := other_forms(formats):
            judgement, options = (
                self._judgement(name),
                replace(options, page=f"{name}.html" if "html" in formats else None),
            )
            made |= {f"{name}.{each.ending}": rendered(each.name, judgement, options) for each in others}
        return made

    def write(
        self, folder: Path, formats: Sequence[str] = ("json",), *, options: FormOptions = _NO_WISHES
    ) -> tuple[Path, ...]:
        """Write it into a folder, each file whole or not at all.

        Where another report has its name, as one with more entries of the journals, it has a digest of itself in it.

        Args:
            folder: Where to.
            formats: Names of forms; a page is written by :func:`auditlake.site.write.write_site`.
            options: What forms are asked for.

        Raises:
            ReportError: The folder cannot be written to, or other bytes have both names.
        """
        files = self.files(formats, options=options)
        if is_free(folder, files, self.json(), self.judgement, options):
            try:
                return write_files(folder, files)
            except TakenError:  # meanwhile
                pass
        digest = hashlib.sha256(b"".join(files.values())).hexdigest()
        return write_files(folder, self.files(formats, stem=f"{self.stem}_{digest[:12]}", options=options))

    def _once(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._cache:
            self._cache[name] = make()
        made: T = self._cache[name]
        return made
