"""A compliance report, ready to be read, shown, rendered and written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from auditlake.config import MAX_FINDINGS
from auditlake.disk.layout import report_stem
from auditlake.display.cards import Card, CardFact, Shown, cut
from auditlake.display.text import moment
from auditlake.errors import ReportError
from auditlake.forms.model import FormOptions, Judgement
from auditlake.forms.table import other_forms, rendered
from auditlake.policies.kinds.coverage import CoverageAnswer
from auditlake.policies.kinds.retention_due import RetentionAnswer
from auditlake.policies.kinds.threshold import Threshold
from auditlake.policies.model import Policy
from auditlake.reports.document import FORMS, REPORT_VERSION, render_json
from auditlake.reports.files import FORMATS, TakenError, is_free, write_files
from auditlake.reports.findings_card import SHOWN, Findings, findings_card
from auditlake.reports.judgement import judgement_of
from auditlake.reports.model import Detail, Report, Status
from auditlake.reports.page import Served, render_page
from auditlake.reports.sentences import nothing_met, verdict_words

if TYPE_CHECKING:
    import altair as alt

    from auditlake.reports.listing import WholeList
    from auditlake.reports.notebook_charts import Ask

T = TypeVar("T")
_NO_WISHES = FormOptions()
SHARING = 50
"""From so many reports on, those of policies that no event met share the page of the list."""


@dataclass(frozen=True, slots=True)
class ComplianceReport(Shown):
    """One policy's report, ready to be rendered and written."""

    report: Report
    """What it says."""
    detail: Detail | None
    """What only its page shows; None where no page was asked for."""
    usual_period: bool = True
    """Whether its period is the one that the policy is judged on unless another is asked for."""
    max_findings: int = MAX_FINDINGS
    """How many findings its JSON lists; where there are more, all of them lie beside it as Parquet."""
    asked: Policy | None = field(default=None, repr=False, compare=False)
    """The policy as it was asked, where that passes over events on which its condition fails."""
    _ask: Ask | None = field(default=None, repr=False, compare=False)
    """Asks the lake on a snapshot, for charts of more than the report says."""
    _served: tuple[Any, ...] = field(default=(), repr=False, compare=False)
    """The controls that its page names, each a :class:`auditlake.reports.page.Served`."""
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def policy_id(self) -> str:
        """The policy's id."""
        return self.report.policy_id

    @property
    def status(self) -> Status:
        """``compliant``, ``violation``, ``no_data`` or ``error``."""
        return self.report.status

    @property
    def status_now(self) -> Status | None:
        """How the last window before ``as_of`` stands; None where the policy has no threshold."""
        return self.report.status_now

    @property
    def is_quiet(self) -> bool:
        """Whether no event of the period met the policy's condition or let it fail, and nothing else was found."""
        answer = self.report.threshold
        return (
            self.status == "compliant"
            and not self.report.violations
            and answer is not None
            and nothing_met(
                answer.measure, answer.where, answer.recent_events, answer.ungrouped_events, answer.where_errors,
                *(day.peak for day in answer.daily_peaks),
            )
        )  # fmt: skip

    @property
    def as_of(self) -> datetime:
        """The instant that the report is judged at."""
        return self.report.as_of

    @property
    def since(self) -> datetime:
        """Where the period begins, exclusive."""
        return self.report.since

    @property
    def until(self) -> datetime:
        """Where the period ends, inclusive."""
        return self.report.until

    @property
    def total_events(self) -> int:
        """Governed events in the period."""
        return self.report.total_events

    @property
    def events_by_type(self) -> Mapping[str, int]:
        """The same by required type, zero included."""
        return self.report.events_by_type

    @property
    def threshold(self) -> Threshold | None:
        """Counts in a rolling window; None where the policy has no threshold."""
        return self.report.threshold

    @property
    def coverage(self) -> CoverageAnswer:
        """The silent days and the longest gap allowed; missing types and gaps are among :attr:`findings`."""
        return self.report.coverage

    @property
    def retention(self) -> RetentionAnswer | None:
        """What is due, kept and held; None where the policy has no retention period."""
        return self.report.retention

    @property
    def findings(self) -> Findings:
        """Everything that the policy found, in the order of the report, whether or not its JSON lists it."""
        return Findings(self.report.violations)

    def chart(self, name: str) -> alt.LayerChart:
        """Return a chart of the report: ``daily_peaks``, ``coverage``, ``by_user`` or ``retention``.

        Raises:
            ReportError: There is no such chart, Altair is not installed, or the report was made without what it shows.
            SnapshotError: The report's snapshot cannot be read any more; only ``by_user`` and ``retention`` read it.
        """
        from auditlake.reports.notebook_charts import report_chart

        return report_chart(name, self.report, self.detail, self._ask)

    def _card(self) -> Card:
        report = self.report
        answer, kept, narrowed_by = report.threshold, report.retention, report.coverage.narrowed_by
        threshold = "not judged" if report.error else "none"
        if answer:
            threshold = f"{answer.alert_threshold:,} in {answer.window}" + "".join(f" by {c}" for c in answer.group_by)
        asked = (
            CardFact("events", f"{report.total_events:,}"),
            *((CardFact("narrowed by", cut(narrowed_by)),) if narrowed_by else ()),
            CardFact("threshold", threshold),
            CardFact("due for deletion", f"{kept.due:,}" if kept else "none: no retention period"),
        )
        facts = (
            CardFact("period", f"{moment(report.since)} to {moment(report.until)}"),
            CardFact("as of", moment(report.as_of)),
            CardFact("snapshot", str(report.evidence.snapshot)),
            *(() if report.is_unread else asked),
            CardFact("why", verdict_words(report)),
        )
        findings = findings_card([(None, each) for each in report.violations[:SHOWN]], len(report.violations))
        note = "; ".join(filter(None, [findings.note, '.chart("daily_peaks"), .findings, .html(), .json()']))
        return Card("report", cut(report.policy_name), report.status, facts, findings.headings, findings.rows, note)

    @property
    def stem(self) -> str:
        """Its files' name without their ending."""
        period, evidence = None if self.usual_period else (self.since, self.until), self.report.evidence
        return report_stem(self.policy_id, self.as_of, evidence.snapshot, period, evidence.journal.entries)

    def json(self, form: int = REPORT_VERSION) -> bytes:
        """Return the canonical JSON: the same bytes for the same snapshot, policies and as_of.

        Args:
            form: The version of the form, 1 or 2; the first lists every finding.

        Raises:
            ReportError: There is no such form, or the report cannot be said in it.
        """
        if form not in FORMS:
            raise ReportError(f"a report has no form {form!r}", hint=f"expected one of {', '.join(map(str, FORMS))}")

        def made() -> bytes:
            whole = self.whole if form > 1 else None
            return render_json(self.report, whole.summary if whole else None, form=form)

        return self._once(f"json {form}", made)

    def relisted(self, listed: int) -> ComplianceReport:
        """Return the same report, whose JSON lists so many findings."""
        return replace(self, max_findings=listed, _cache={})

    @property
    def whole(self) -> WholeList | None:
        """All findings as a Parquet file, where there are more than the JSON lists."""
        if len(self.report.violations) <= self.max_findings:
            return None
        from auditlake.reports.listing import whole_list

        return self._once("whole", lambda: whole_list(self.policy_id, self.report.violations, self.max_findings))

    def html(self) -> bytes:
        """Return the page: one self-contained file."""
        return self._page(f"{self.stem}.json", "index.html")

    def to(self, form: str, *, raw: bool = False, plan: str | None = None) -> bytes:
        """Return it in one form: the same bytes for the same snapshot, policies and as_of.

        Args:
            form: One of those of ``auditlake report --format``: ``csv``, ``markdown`` and so on.
            raw: Of CSV: leave text as it is where a spreadsheet would run it.
            plan: Of OSCAL: where the assessment plan is that the results belong to.

        Raises:
            ReportError: There is no such form.
        """
        own = {"json": self.json, "html": self.html}
        return own[form]() if form in own else rendered(form, self.judgement, FormOptions(raw, plan))

    @property
    def judgement(self) -> Judgement:
        """What every form has of it."""
        return self._judgement(self.stem)

    def _judgement(self, stem: str) -> Judgement:
        digest = f"sha256:{hashlib.sha256(self.json()).hexdigest()}"
        return judgement_of(self.report, digest, stem)

    def files(
        self, formats: Sequence[str] = FORMATS, form: int = REPORT_VERSION, *, stem: str | None = None,
        options: FormOptions = _NO_WISHES,
    ) -> dict[str, bytes]:  # fmt: skip
        """Return what :meth:`write` writes, by file name; ``stem`` replaces the usual one."""
        name = stem or self.stem
        renderers: dict[str, Callable[[], bytes]] = {
            "json": lambda: self.json(form),
            "html": lambda: self._page(f"{name}.json", "index.html") if "json" in formats else self._page(),
        }
        made = {f"{name}.{each}": renderers[each]() for each in formats if each in renderers}
        if form > 1 and "json" in formats and (whole := self.whole) is not None:
            made[whole.file] = whole.data
        if others := other_forms(formats):
            judgement, options = (
                self._judgement(name),
                replace(options, page=f"{name}.html" if "html" in formats else None),
            )
            made |= {f"{name}.{each.ending}": rendered(each.name, judgement, options) for each in others}
        return made

    def pdf(self, *, annex: bool = True) -> bytes:
        """Return it as PDF/A-3 with its JSON inside: the same bytes, with the same fonts and WeasyPrint.

        Args:
            annex: Whether the SQL is its annex.

        Raises:
            ReportError: It was made without what pages show, the extra ``pdf`` is missing, or it takes too much.
        """
        from auditlake.printing.press import Enclosed, Press

        enclosed = Enclosed(f"{self.stem}.json", self.json(), "The report as data, of which this file was made")
        with Press() as press:
            return press.pdf(self.sheet(annex=annex), enclosed, self.as_of)

    def sheet(self, *, stem: str | None = None, annex: bool = True) -> bytes:
        """Return it as a page for paper, of which PDFs are made."""
        from auditlake.reports.sheet import render_sheet

        return render_sheet(
            self.report, self._shown, self._served, self.json(), stem=stem or self.stem, annex=annex
        )  # fmt: skip

    def page(self, json_file: str) -> bytes:
        """Return the page, for a folder in which only its JSON lies too, under that name."""
        return self._page(json_file)

    def write(
        self, folder: Path, formats: Sequence[str] = FORMATS, *, form: int = REPORT_VERSION,
        options: FormOptions = _NO_WISHES,
    ) -> tuple[Path, ...]:  # fmt: skip
        """Write it into a folder, each file whole or not at all; all findings as Parquet too, where there are many.

        What is there with the same bytes is left as it is. Where another report has its name, as one of the same second
        by other policies, it has a digest of itself in it.

        Args:
            folder: Where to.
            formats: Names of forms: ``json``, ``html`` and the others of ``auditlake report --format``.
            form: The version of the JSON's form.
            options: What forms are asked for.

        Raises:
            ReportError: The folder cannot be written to, or other bytes have both names.
        """
        files = self.files(formats, form, options=options)
        if is_free(folder, files, self.json(form), self.judgement, options):
            try:
                return write_files(folder, files)
            except TakenError:  # meanwhile
                pass
        digest = hashlib.sha256()
        for data in files.values():
            digest.update(data)
        stem = f"{self.stem}_{digest.hexdigest()[:12]}"
        return write_files(folder, self.files(formats, form, stem=stem, options=options))

    def _page(self, json_file: str | None = None, index_file: str | None = None) -> bytes:
        return self._once(
            f"page {json_file} {index_file}",
            lambda: render_page(self.report, self._shown, self._served, json_file=json_file, index_file=index_file),
        )

    @property
    def _shown(self) -> Detail:
        """What only pages show.

        Raises:
            ReportError: It was made without.
        """
        if self.detail is None:
            message = f"the report of {self.policy_id} was made without what its page shows"
            raise ReportError(message, hint="make it with pages=True")
        return self.detail

    def _once(self, name: str, make: Callable[[], T]) -> T:
        """Return what was made under a name, or make it."""
        if name not in self._cache:
            self._cache[name] = make()
        made: T = self._cache[name]
        return made


def serving(made: ComplianceReport, served: tuple[Served, ...]) -> ComplianceReport:
    """Return the same report, whose page names these controls."""
    cache = {name: each for name, each in made._cache.items() if not name.startswith("page")}  # noqa: SLF001
    return replace(made, _served=served, _cache=cache) if served else made


def formats_of(made: Sequence[ComplianceReport], formats: Sequence[str]) -> list[Sequence[str]]:
    """Return in which forms :func:`write_reports` writes each report."""
    with_pages = len(made) < SHARING or "json" not in formats
    without = [each for each in formats if each not in {"html", "pdf"}]
    return [formats if with_pages or not each.is_quiet else without for each in made]


def write_reports(
    made: Sequence[ComplianceReport], folder: Path, formats: Sequence[str] = FORMATS, *, form: int = REPORT_VERSION,
    options: FormOptions = _NO_WISHES,
) -> list[tuple[Path, ...]]:  # fmt: skip
    """Write reports into a folder; all of them are rendered before the first is written.

    Where there are many, those whose condition no event met have no page: the list of reports names them, and their
    JSON is written like any other.

    Raises:
        ReportError: One cannot be rendered or written; the hint names those that were written before it.
    """
    chosen = list(zip(made, formats_of(made, formats), strict=True))
    for each, own in chosen:
        each.files(own, form, options=options)
    written: list[tuple[Path, ...]] = []
    try:
        for each, own in chosen:
            written.append(each.write(folder, own, form=form, options=options))
    except ReportError as error:
        before = ", ".join(each.policy_id for each, _ in chosen[: len(written)])
        hints = (error.hint, f"written before it: {before}" if before else "")
        raise ReportError(str(error), hint="; ".join(filter(None, hints))) from error
    return written
