"""Compliance reports of a snapshot: asked, built, rendered, and written whole or not at all."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.config import MAX_FINDINGS
from auditlake.disk import evidence_json
from auditlake.disk.durable import FILE_MODE, FOLDER_MODE, sync_folder, write_whole
from auditlake.disk.files import open_file, read_file
from auditlake.disk.layout import Layout, report_stem
from auditlake.display.shown import Shown
from auditlake.display.text import SHOWN_EPISODES
from auditlake.engine.model import Engine
from auditlake.errors import ReportError
from auditlake.events.durations import Duration
from auditlake.events.times import parse_instant
from auditlake.findings.cards import Findings
from auditlake.findings.decisions import NOTHING, Journal
from auditlake.policies.evaluate import evaluate, samples
from auditlake.policies.holds import Hold
from auditlake.policies.model import Policy
from auditlake.policies.question import Question, default_since
from auditlake.reports.build import build_detail, build_report
from auditlake.reports.document import FORMS, REPORT_VERSION
from auditlake.reports.last_verification import last_verification
from auditlake.reports.model import Detail, Report

if TYPE_CHECKING:
    import altair as alt

    from auditlake.display.cards import Card
    from auditlake.reports.index import IndexEntry
    from auditlake.reports.listing import WholeList
    from auditlake.reports.notebook_charts import Ask

FORMATS = ("json", "html")
_LARGE = 1 << 20
_LIST, _AFTER_LIST = b'\n  "violations": [', b',\n  "threshold": '
_HEAD, _TITLE = 4_096, b"<title>Compliance reports</title>"
"""How a list of reports begins, in every version."""
_KIND = re.compile(rb'\n      "kind": "([a-z_]{1,64})"')


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
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def policy_id(self) -> str:
        """The policy's id."""
        return self.report.policy_id

    @property
    def status(self) -> str:
        """``compliant``, ``violation``, ``no_data`` or ``error``."""
        return self.report.status

    @property
    def findings(self) -> Findings:
        """Everything that the policy found, in the order of the report, whether or not its JSON lists it."""
        return Findings(self.report.violations)

    def chart(self, name: str) -> alt.LayerChart:
        """A chart of the report: ``daily_peaks``, ``coverage``, ``by_user`` or ``retention``.

        Raises:
            ReportError: There is no such chart, Altair is not installed, or the report was made without what it shows.
            SnapshotError: The report's snapshot cannot be read any more; only ``by_user`` and ``retention`` read it.
        """
        from auditlake.reports.notebook_charts import report_chart

        return report_chart(name, self.report, self.detail, self._ask)

    def _card(self) -> Card:
        from auditlake.findings.cards import report_card

        return report_card(self.report)

    @property
    def stem(self) -> str:
        """Its files' name without their ending."""
        said = self.report
        period = None if self.usual_period else (said.since, said.until)
        evidence = said.evidence
        return report_stem(said.policy_id, said.as_of, evidence.snapshot, period, evidence.journal.entries)

    def json(self, form: int = REPORT_VERSION) -> bytes:
        """The canonical JSON: the same bytes for the same snapshot, policies and as_of.

        Args:
            form: The version of the form, 1 or 2; the first lists every finding.

        Raises:
            ReportError: There is no such form, or the report cannot be said in it.
        """
        if form not in FORMS:
            raise ReportError(f"a report has no form {form!r}", hint=f"expected one of {', '.join(map(str, FORMS))}")
        return self._rendered("json" if form == REPORT_VERSION else f"json {form}")

    def relisted(self, listed: int) -> ComplianceReport:
        """The same report, whose JSON lists so many findings."""
        return replace(self, max_findings=listed, _cache={})

    @property
    def whole(self) -> WholeList | None:
        """All findings as a Parquet file, where there are more than the JSON lists."""
        if len(self.report.violations) <= self.max_findings:
            return None
        if "whole" not in self._cache:
            from auditlake.reports.listing import whole_list

            self._cache["whole"] = whole_list(self.report.violations, self.max_findings)
        found: WholeList = self._cache["whole"]
        return found

    def html(self) -> bytes:
        """The page: one self-contained file."""
        return self._rendered("html", self.stem)

    def files(
        self, formats: Sequence[str] = FORMATS, form: int = REPORT_VERSION, *, stem: str | None = None
    ) -> dict[str, bytes]:
        """What :meth:`write` writes, by file name; under the usual name if no other one is given."""
        name = stem or self.stem
        ways: dict[str, Callable[[], bytes]] = {
            "json": lambda: self.json(form),
            "html": lambda: self._rendered("html", name if "json" in formats else None),
        }
        made = {f"{name}.{each}": ways[each]() for each in formats}
        if form > 1 and "json" in formats and (whole := self.whole) is not None:
            made[whole.file] = whole.data
        return made

    def page(self, json_file: str) -> bytes:
        """The page, for a place where only its JSON lies beside it, under that name."""
        from auditlake.reports.page import SiblingFiles
        from auditlake.reports.render import render_page  # Jinja is slow to import

        return render_page(self.report, self._shown(), SiblingFiles(json_file))

    def write(self, folder: Path, formats: Sequence[str] = FORMATS, *, form: int = REPORT_VERSION) -> tuple[Path, ...]:
        """Write it into a folder, each file whole or not at all; all findings as Parquet too, where there are many.

        What is there with the same bytes is left as it is. Where another report has its name, as one of the same second
        by other policies, it has a digest of itself in it.

        Args:
            folder: Where to.
            formats: ``json``, ``html`` or both.
            form: The version of the JSON's form.

        Raises:
            ReportError: The folder cannot be written to, or somebody has put other bytes under both names.
        """
        files = self.files(formats, form)
        digest = hashlib.sha256(b"".join(files.values())).hexdigest()
        if _is_free(folder, self.stem, files):
            try:
                return _write_all(folder, files)
            except TakenError:  # meanwhile
                pass
        return _write_all(folder, self.files(formats, form, stem=f"{self.stem}_{digest[:12]}"))

    def _rendered(self, form: str, linked: str | None = None) -> bytes:
        from auditlake.reports.page import SiblingFiles
        from auditlake.reports.render import render_json, render_page  # Jinja is slow to import

        form_key = form if form == "json" else f"{form} {linked}"
        if form_key not in self._cache:
            if form == "json":
                self._cache[form_key] = render_json(self.report, self.whole.said if self.whole else None)
            elif form == "json 1":
                self._cache[form_key] = render_json(self.report, form=1)
            else:
                siblings = SiblingFiles(f"{linked}.json", "index.html") if linked else SiblingFiles()
                self._cache[form_key] = render_page(self.report, self._shown(), siblings)
        rendered: bytes = self._cache[form_key]
        return rendered

    def _shown(self) -> Detail:
        if self.detail is None:
            message = f"the report of {self.policy_id} was made without what its page shows"
            raise ReportError(message, hint="make it with pages=True")
        return self.detail


def produce(
    engine: Engine,
    asked: Sequence[tuple[Policy, Question]],
    policies: Sequence[Policy],
    holds: Sequence[Hold] = (),
    *,
    generated_at: datetime | None,
    lake_id: str,
    snapshot: Mapping[str, Any],
    report_period: Duration,
    pages: bool,
    journal: Callable[[str], Journal] = lambda _: NOTHING,
    listen: Callable[[int, int, str], None] = lambda *_: None,
    ask: Ask | None = None,
    max_findings: int = MAX_FINDINGS,
) -> Iterator[ComplianceReport]:
    """Build the report of each policy on an engine that has the events of the snapshot.

    Args:
        engine: The engine.
        asked: Each policy with the instants that it is asked about.
        policies: Every policy of the lake.
        holds: Every legal hold of the lake.
        generated_at: What the reports say about when they were made; as_of if None.
        lake_id: The lake's id.
        snapshot: What the evidence says about the snapshot.
        report_period: How far back a report goes by default where a policy has no retention period.
        pages: Gather also what only the page shows.
        journal: What people decided about findings of a policy, by its id.
        listen: Told how many are done, of how many, and which is next.
        ask: How the reports' charts read more of their snapshot; those charts cannot be had if None.
        max_findings: How many findings a report's JSON lists.
    """
    listen(0, len(asked), asked[0][0].id if asked else "")
    for done, answers in enumerate(evaluate(engine, asked, policies, holds), 1):
        policy, question = answers.policy, answers.question
        report = build_report(
            answers, generated_at=generated_at or question.as_of, lake_id=lake_id, snapshot=snapshot,
            journal=journal(policy.id),
        )  # fmt: skip
        detail = None
        if pages:
            shown = (
                samples(engine, answers.asked or policy, question, SHOWN_EPISODES)
                if report.threshold and report.threshold.episodes
                else {}
            )
            detail = build_detail(answers, report, shown)
        usual = (default_since(policy, question.as_of, report_period), question.as_of)
        yield ComplianceReport(
            report, detail, (question.since, question.until) == usual, max_findings, answers.asked, ask
        )
        listen(done, len(asked), asked[done][0].id if done < len(asked) else "")


def write_reports(
    made: Sequence[ComplianceReport], folder: Path, formats: Sequence[str] = FORMATS, *, form: int = REPORT_VERSION
) -> list[tuple[Path, ...]]:
    """Write reports into a folder; all of them are rendered before the first is written.

    Raises:
        ReportError: One cannot be rendered or written; the hint names those that were written before it.
    """
    for each in made:
        each.files(formats, form)
    written: dict[str, tuple[Path, ...]] = {}
    try:
        for each in made:
            written[each.policy_id] = each.write(folder, formats, form=form)
    except ReportError as error:
        hints = (error.hint, f"written before it: {', '.join(written)}" if written else "")
        raise ReportError(str(error), hint="; ".join(filter(None, hints))) from error
    return list(written.values())


class TakenError(ReportError):
    """There is a file of that name with other bytes."""


def _write_all(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    for name, data in files.items():
        write_once(folder / name, data)
    return tuple(folder / name for name in files)


def _is_free(folder: Path, stem: str, files: Mapping[str, bytes]) -> bool:
    """Whether a name is nobody's, or that of these files, of which some may be missing."""
    named = {name for name in files if name.startswith(f"{stem}.")}  # a list of all findings has a name of its own
    there = {name for name in (f"{stem}.{form}" for form in FORMATS) if os.path.lexists(folder / name)}
    ours = {name for name in there & named if _has(folder / name, files[name])}
    return not there or (f"{stem}.json" in ours and there & named == ours) or there == ours == named


def _has(path: Path, data: bytes) -> bool:
    try:
        return read_file(path, within=path.parent) == data
    except OSError:
        return False


def write_once(path: Path, data: bytes) -> None:
    """Write a new file, whole or not at all; a file of that name with the same bytes is left as it is.

    Raises:
        TakenError: There is one with other bytes.
        ReportError: The folder cannot be written to.
    """
    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except FileExistsError as error:  # a file, or a link to nothing
        raise ReportError(f"{path.parent} is there and no folder", hint="name another with --out") from error
    except OSError as error:
        raise ReportError(f"the folder {path.parent} cannot be made: {error.strerror or error}") from error
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}.draft")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A link is refused where the name is taken, by whatever it is taken and however many write at once.
        os.link(draft, path)
        sync_folder(path.parent)
    except FileExistsError:
        if not _has(path, data):
            message = f"{path} exists with other bytes, and a report is never overwritten"
            raise TakenError(message, hint="name another folder with --out") from None
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            draft.unlink()


def check_index(folder: Path) -> None:
    """Refuse a folder in which the list of reports would be written over a page that is something else.

    Raises:
        ReportError: Its ``index.html`` is no list of ours.
    """
    path, begins = folder / "index.html", b""
    with suppress(OSError), open_file(path) as file:
        begins = file.read(_HEAD)
    if os.path.lexists(path) and _TITLE not in begins:
        message = f"{path} is there already, and is no list of reports"
        raise ReportError(message, hint="name another folder with --out")


def write_index(folder: Path, layout: Layout | None = None) -> Path:
    """Write ``index.html`` over all reports that lie in a folder; what is no report of ours is left out.

    Args:
        folder: The folder.
        layout: The lake, whose last verification the page names; it names none if None.

    Raises:
        ReportError: It cannot be written.
    """
    from auditlake.reports.render import render_index  # Jinja is slow to import

    path = folder / "index.html"
    entries = (_entry(found) for found in sorted(folder.glob("compliance_*_v*.json")))
    verified = last_verification(layout) if layout else None
    page = render_index((entry for entry in entries if entry is not None), verified)
    try:
        write_whole(path, page)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _entry(path: Path) -> IndexEntry | None:
    """What the list says about a file, or None if it is no report: not JSON, not of our form, not of a plain name.

    The findings of a large report are not read: the second form counts them beside the list, and in the first each has
    a line of its own that names its kind.
    """
    from auditlake.reports.index import IndexEntry
    from auditlake.reports.page import file_name

    page = path.with_suffix(".html")
    try:
        report, kinds, digest = _without_findings(path)
        threshold = report["threshold"]
        return IndexEntry(
            policy_id=report["policy_id"],
            policy_name=report["policy_name"],
            status=report["status"],
            severity=report["severity"] if report["events_by_type"] or report["status"] != "error" else "",
            as_of=parse_instant(report["as_of"]),
            since=datetime.fromisoformat(report["period"]["since"]),
            until=datetime.fromisoformat(report["period"]["until"]),
            snapshot=int(report["evidence"]["snapshot"]),
            findings=sum(kinds.values()),
            html_file=page.name if page.exists() else None,
            json_file=file_name(path.name),
            missing=kinds["missing_required_type"],
            episodes=threshold["episodes"] if threshold else kinds["threshold_exceeded"],
            digest=digest[:12],
        )
    except (OSError, ValueError, RecursionError, ReportError):
        return None


def _without_findings(path: Path) -> tuple[dict[str, Any], Counter[str], str]:
    """A report's JSON, of a large one without the list; how many findings of each kind it has; and its SHA-256."""
    from auditlake.reports.render import check

    with open_file(path, within=path.parent) as file:
        if os.fstat(file.fileno()).st_size < _LARGE:
            whole = file.read()
            report = evidence_json.parse(whole)
            check(report)
            kinds = Counter(finding["kind"] for finding in report["violations"])
            return report, Counter(report.get("findings_by_kind", kinds)), hashlib.sha256(whole).hexdigest()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            start, end = data.find(_LIST), data.rfind(_AFTER_LIST)
            if not 0 <= start < end:
                raise ValueError("its keys are not where ours are")
            rest = b"%b%b[]%b" % (data[:start], _LIST[:-1], data[end:])
            report, digest = evidence_json.parse(rest), hashlib.sha256(data).hexdigest()
            check(report)
            if report["report_version"] > 1:
                return report, Counter(report["findings_by_kind"]), digest
            return report, Counter(match[1].decode() for match in _KIND.finditer(data, start, end)), digest
