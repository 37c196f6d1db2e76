"""What a run made, written into a folder as a site: reports of policies, frameworks, their controls, and the index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from auditlake.display.templates import render_bytes
from auditlake.display.text import shown
from auditlake.forms.model import FormOptions
from auditlake.frameworks.framework import Framework
from auditlake.reports.compliance import ComplianceReport, formats_of, serving, write_reports
from auditlake.reports.document import REPORT_VERSION
from auditlake.reports.files import FORMATS, TakenError, is_free, write_files
from auditlake.reports.page import Served
from auditlake.site.beside import Fault, Wanted, source_of, write_beside
from auditlake.site.control_page import control_page
from auditlake.site.framework_page import framework_page
from auditlake.site.words import STATUS_WORDS, control_files

INDEX = "index.html"
_NO_WISHES = FormOptions()
_NOTHING = Wanted()


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a run."""

    reports: tuple[tuple[Path, ...], ...]
    """Of each report of a policy, in order."""
    frameworks: tuple[tuple[Path, ...], ...]
    """Of each framework, in order: the pages of its controls last, but for what confined processes make."""
    faults: tuple[Fault, ...] = ()
    """PDFs, and files of templates, that could not be made."""


def write_site(
    reports: Sequence[ComplianceReport], frameworks: Sequence[Framework], folder: Path, *,
    formats: Sequence[str] = FORMATS, form: int = REPORT_VERSION, every_control: bool = False,
    options: FormOptions = _NO_WISHES, wanted: Wanted = _NOTHING,
) -> Written:  # fmt: skip
    """Write reports and frameworks into a folder, with pages that link one another.

    The index is not among them: :func:`auditlake.site.index.write_index` comes after the run is on record.

    A page links to those that are written with it, and to the index; so nothing in it leads nowhere, and its bytes
    depend on nothing but what was judged together.

    Args:
        reports: Reports of policies.
        frameworks: Reports of packs.
        folder: Where to.
        formats: Names of forms: ``json``, ``html`` and the others of ``auditlake report --format``.
        form: The version of the form of the JSON of policies.
        every_control: Whether each control has a page; those with findings if false.
        options: What forms are asked for.
        wanted: The templates to fill, and who is told how far that and the PDFs are.

    Raises:
        ReportError: One cannot be rendered or written; what confined processes cannot make is in the answer.
    """
    pages = [Pages(each, formats, every_control=every_control, options=options) for each in frameworks]
    made = [serving(each, _served(each, pages)) for each in reports]
    policy_files = {
        each.stem: f"{each.stem}.html" for each, own in zip(made, formats_of(made, formats), strict=True)
        if "html" in own
    }  # fmt: skip
    rendered = [each.files(policy_files) for each in pages]
    written = write_reports(made, folder, formats, form=form, options=options)
    written += [_write(each, files, policy_files, folder) for each, files in zip(pages, rendered, strict=True)]
    own = [*formats_of(made, formats), *(formats for _ in frameworks)]
    sources = [
        source_of(each, files, folder, pdf="pdf" in forms, annex=options.annex)
        for each, files, forms in zip(chain[ComplianceReport | Framework](made, frameworks), written, own, strict=True)
    ]
    beside, faults = write_beside(sources, folder, wanted)
    files = [(*first, *then) for first, then in zip(written, beside, strict=True)]
    return Written(tuple(files[: len(made)]), tuple(files[len(made) :]), faults)


class Pages:
    """The files of one framework."""

    def __init__(
        self, made: Framework, formats: Sequence[str], *, every_control: bool, options: FormOptions = _NO_WISHES
    ) -> None:
        self.made, self._formats, self._every_control, self.options = made, formats, every_control, options

    def controls(self, stem: str) -> Mapping[str, str]:
        """Return the pages of the controls that have one, by control."""
        if "html" not in self._formats:
            return {}
        files = control_files(stem, [each.id for each in self.made.report.controls])
        return {each.id: files[each.id] for each in self.made.report.controls if self._every_control or each.findings}

    def page(self, stem: str) -> str | None:
        """Return the framework's page."""
        return f"{stem}.html" if "html" in self._formats else None

    def files(self, policy_files: Mapping[str, str], stem: str | None = None) -> dict[str, bytes]:
        """Return all of them by name.

        Args:
            policy_files: The pages of policies beside them, by the stem of their reports.
            stem: Their name, in place of the usual one.
        """
        made, name = self.made, stem or self.made.stem
        files = made.files(self._formats, stem=name, options=self.options)
        page, controls = self.page(name), self.controls(name)
        if page is None:
            return files
        runs = made.case.runs
        of_policies = {
            policy_id: policy_files[each.stem]
            for policy_id, each in made.policies.items() if each.stem in policy_files
        }  # fmt: skip
        json_file = f"{name}.json" if "json" in self._formats else None
        files[page] = render_bytes(
            framework_page(made.report, runs, files=controls, json_file=json_file, index_file=INDEX)
        )
        policies = {policy_id: (each.report, each.detail) for policy_id, each in made.policies.items()}
        for control_id, file in controls.items():
            files[file] = render_bytes(control_page(
                made.report, made.controls[control_id], runs, policies=policies, files=controls,
                policy_files=of_policies, framework_file=page, index_file=INDEX,
            ))  # fmt: skip
        return files


def _served(report: ComplianceReport, frameworks: Sequence[Pages]) -> tuple[Served, ...]:
    """Return the controls that a policy is a check of, where its report is the one that they rest on."""
    return tuple(chain.from_iterable(_served_by(report, each) for each in frameworks))


def _served_by(report: ComplianceReport, pages: Pages) -> Iterator[Served]:
    made = pages.made
    own = made.policies.get(report.policy_id)
    if own is None or own.stem != report.stem:
        return
    files, page = pages.controls(made.stem), pages.page(made.stem)
    for control in made.report.controls:
        if any(report.policy_id == check.policy for check in control.checks):
            yield Served(
                shown(f"{made.report.framework} {control.id}"), shown(control.title), control.status,
                STATUS_WORDS[control.status], files.get(control.id) or page,
            )  # fmt: skip


def _write(pages: Pages, files: Mapping[str, bytes], policy_files: Mapping[str, str], folder: Path) -> tuple[Path, ...]:
    """Write the files of a framework; under a name of its own where another report has the usual one."""
    if is_free(folder, files, pages.made.json(), pages.made.judgement, pages.options):
        try:
            return write_files(folder, files)
        except TakenError:  # a page of a control, or meanwhile
            pass
    digest = hashlib.sha256(b"".join(files.values())).hexdigest()
    return write_files(folder, pages.files(policy_files, f"{pages.made.stem}_{digest[:12]}"))
