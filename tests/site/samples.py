"""A framework to render: made up, with everything that a real one can have. It follows from the text alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from auditlake.findings.decisions import Acceptance, Applicability, EvidenceFile, Statement, Subject, Weakening
from auditlake.findings.finding import Finding
from auditlake.frameworks.document import framework_dict
from auditlake.frameworks.framework import Framework
from auditlake.frameworks.model import (
    SHOWS,
    STATUSES,
    Asker,
    CheckResult,
    ControlResult,
    Coverage,
    CoverageRow,
    Evidence,
    Extent,
    FrameworkReport,
    HoldThen,
    PolicyAnswer,
    RetentionRow,
    Setting,
    Slot,
    SourceLife,
)
from auditlake.packs.model import Source, State, Watch
from auditlake.reports.compliance import ComplianceReport
from auditlake.reports.files import FORMATS
from auditlake.reports.model import Query
from auditlake.runs.model import Answer, FailedRun, PackAnswer, Run
from auditlake.runs.newest import of_entries
from auditlake.site.entries import Folder, Name
from auditlake.site.happenings import happenings
from auditlake.site.index import index_pages
from auditlake.site.index_page import IndexPage
from auditlake.site.month_page import MonthPage, month_page
from auditlake.site.trend import TrendPage, trend_pages
from auditlake.site.words import control_files
from auditlake.site.write import Pages
from tests.reports import samples

AS_OF = samples.AS_OF
DAY = timedelta(days=1)
SINCE = AS_OF - 9 * DAY
DAYS = tuple(date(2026, 11, 15) + number * DAY for number in range(10))
STEM = "framework_house_20261124T060000Z_v1412"
POLICY = "house--sign_ins"
SNAPSHOT = 1412
DIGEST = "sha256:" + "0" * 64


def finding(kind: str, message: str, number: int = 0, **more: Any) -> Finding:
    """A finding with an id of its own."""
    return Finding(f"{number:016x}", kind, message, **more)


def framework(text: str = "what others wrote") -> FrameworkReport:
    """A report with every status, every state of an interval and of a day; the text stands wherever others write."""
    full = text or "x"
    accepted = Acceptance(
        1, SINCE, "0" * 16, Subject(POLICY, "coverage_gap"), SINCE, SINCE, AS_OF, AS_OF + DAY, text, text, text, text
    )
    said = Statement(2, SINCE, "house", "6", "met", text, AS_OF + DAY, text, text, (EvidenceFile(full, "0" * 64),))
    states = ("met", "late", "missed", "failed", "open")
    slots = tuple(
        Slot(SINCE + n * DAY, SINCE + (n + 1) * DAY, AS_OF, state, AS_OF, n + 1, full, 3, True)  # type: ignore[arg-type]
        for n, state in enumerate(states)
    )
    gap = finding("coverage_gap", full, 1, event_type="login", start=SINCE, end=AS_OF)
    lacking = finding(
        "field_incomplete", full, 2, event_type="login", group={"field": full},
        measures={"events": 9, "missing": 4, "first": SINCE, "by_source": {full: 4}},
    )  # fmt: skip
    missing = finding("missing_required_type", f"Never seen: {full}", 3, event_type=full)
    checks = {
        "1": CheckResult("policy", "fail", full, POLICY, ("coverage", "fields"), (gap, lacking, missing)),
        "2": CheckResult("review", "fail", full, slots=slots, findings=(finding("review_missed", full, 4),),
                         asked={"every": "1d"}, measures={"missed": 1}),
        "3": CheckResult("integrity", "not_evaluated", full),
        "4": CheckResult("retention", "no_data", full, measures={"begins": "2026-07-03"}),
        "5": CheckResult("policy", "exception", full, POLICY, ("coverage",), (replace(gap, accepted=accepted),)),
        "8": CheckResult("response", "fail", full, findings=(finding("response_missing", full, 5),)),
    }  # fmt: skip
    made = [
        _control("1", text, "operation", "fail", (checks["1"],), cites=("S1",), parameters=("keep",)),
        _control("2", text, "operation", "fail", (checks["2"],)),
        _control("3", text, "operation", "not_evaluated", (checks["3"],), in_force=date(2027, 1, 1)),
        _control("4", text, "operation", "no_data", (checks["4"],), ended=date(2026, 1, 1), replaced_by=full),
        _control("5", text, "logging", "exception", (checks["5"],), weakenings=(
            Weakening(3, SINCE, "house", "keep", text, text, text, AS_OF + DAY, text, text),)),
        _control("6", text, "nothing", "pass", (), statement=said, basis="statement"),
        _control("7", text, "nothing", "not_applicable", (), applicability=Applicability(
            4, SINCE, "house", "7", text, text, AS_OF + DAY, text, text)),
        _control("8", text, "operation", "fail", (checks["8"],), related=(POLICY,)),
        _control("9", text, "logging", "fail", (), parts=("1", "5"), reasons=("1: bad",)),
        _control("10(a)", text, "logging", "pass", (CheckResult("policy", "pass", full, POLICY, ("coverage",)),)),
        _control("11", text, "nothing", "not_evaluated", ()),
    ]  # fmt: skip
    counts = {
        status: {shows: sum((each.status, each.shows) == (status, shows) for each in made) for shows in SHOWS}
        for status in STATUSES
    }
    asker = Asker(POLICY, "12mo", 12, full, "mandatory")
    return FrameworkReport(
        pack_id="house", framework=text, edition="2026", publisher=text, about=text, revision="2026-09-01.1",
        digest=DIGEST, extends="base", recheck=date(2026, 1, 1), is_recheck_due=True,
        state=State(date(2026, 1, 1), "deferred", ("S1",), text),
        next_state=State(date(2027, 1, 1), "in_force", (), text),
        watch=(Watch(date(2027, 1, 1), text, ("S1",)),), as_of=AS_OF, since=SINCE, until=AS_OF, generated_at=AS_OF,
        status="fail", verdict="Not met, were it in force", sentence="4 of 10 controls fail.", counts=counts,
        applicable=10, failing=4, showable=8, passing=1, passing_only_logging=1,
        settings=(
            Setting("keep", text, text, False, False, True, ("1",), full, full, None),
            Setting("free", text, text, True, True, False, (), None),
        ),
        controls=tuple(made), coverage=_coverage(full),
        retention=(
            RetentionRow("login", asker, asker, replace(asker, length="1mo"), None, True, None),
            RetentionRow("logout", asker, None, None, None, False, None),
            RetentionRow(full, asker, None, None, asker, False, Finding("0" * 16, "retention_contradiction", full)),
        ),
        policies=(PolicyAnswer(
            POLICY, text, text, "high", "violation", None, 9, 3, 3, ("1", "5"), DIGEST,
            DIGEST, "compliance_x"),),
        sources=(Source("S1", text, "copy", text, date(2026, 1, 1)), Source("S2", text, "memory")),
        evidence=Evidence(
            "00000000-0000-4000-8000-000000000000", SNAPSHOT, 1, 9, DIGEST, DIGEST, None, None, Extent(4, DIGEST),
            Extent(0, ""), Extent(0, ""), (HoldThen(full, DIGEST),), DIGEST,
            (Query("looks", full, {"types": [text]}, 1),)),
    )  # fmt: skip


def _control(
    name: str, text: str, shows: str, status: str, checks: tuple[CheckResult, ...], **more: Any
) -> ControlResult:
    reasons = more.pop("reasons", (text or "x", f"{text} and more"))
    return ControlResult(
        name, text, shows, text, text, status, more.pop("basis", "log"), reasons, checks, **more  # type: ignore[arg-type]
    )  # fmt: skip


def _coverage(full: str) -> Coverage:
    cells = (120, 3, "none", "source_silent", "taken", "before", "after", "unknown", 7, 60)
    rows = (
        CoverageRow("login", "a", 190, SINCE, AS_OF, {}, cells),  # type: ignore[arg-type]
        CoverageRow("login", full, 10, SINCE, AS_OF, {}, (1,) * 10),
        CoverageRow(full, None, 0, None, None, {}, ("none",) * 10),
    )
    life = SourceLife("a", 190, SINCE, AS_OF, frozenset(DAYS))
    return Coverage(DAYS, (), rows, (life,), {"1": ("login", full), "2": ("login",), "5": ("login",)})


def runs() -> tuple[Run | FailedRun, ...]:
    """Runs of three months before the report, one that nobody finished, and one with an error."""

    def run(number: int, at: datetime, status: str, **more: Any) -> Run:
        answers = {"house": PackAnswer("sha256:x", status, {"1": status}, "sha256:x")}
        values: dict[str, Any] = {
            "verb": "nightly", "version": "1", "user": "root", "as_of": at, "generated_at": at, "snapshot": number,
            "rows": 9, "journal": 0, "settings": None, "state": "ok", "error": None, "packs": answers,
        }  # fmt: skip
        return Run(number, f"{number:016x}", at, at, **values | more)

    months = [datetime(2025, 9, 30, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 9, 30, tzinfo=UTC),
              datetime(2026, 10, 31, tzinfo=UTC)]  # fmt: skip
    made = [
        run(n, at, status)
        for n, (at, status) in enumerate(zip(months, ("fail", "fail", "pass", "fail"), strict=True), 1)
    ]
    failed = FailedRun(5, "5" * 16, AS_OF, AS_OF, "report", "1", "root")
    last = run(6, AS_OF, "fail", snapshot=None, rows=None, state="error", error="the disk is full", packs={})
    return (*made, failed, last)


@dataclass(frozen=True)
class Judged:
    """What a framework's pages take of what it was judged by."""

    runs: tuple[Any, ...] = field(default_factory=runs)


def made(text: str = "what others wrote") -> tuple[Framework, ComplianceReport]:
    """A framework, and the report of the policy that it rests on."""
    report, detail = samples.violation(10)
    coverage = replace(report.coverage, fields={
        "user": {"any_of": ["user_id"], "at_least": 1, "types": {"login": {"events": 9, "missing": 4}}},
        text or "x": {"any_of": ["action"], "at_least": 1, "types": {
            "login": {"events": 9, "missing": 0}, "logout": {"events": 0, "missing": 0}}},
    }, placeholders=("-", "unknown"))  # fmt: skip
    policy = ComplianceReport(replace(report, policy_id=POLICY, coverage=coverage), detail)
    return Framework(framework(text), Judged(), {POLICY: policy}), policy  # type: ignore[arg-type]


def as_json(text: str = "what others wrote") -> tuple[Name, dict[str, Any]]:
    """The framework as it lies in a folder."""
    return Name("framework", "house", "20261124T060000Z", SNAPSHOT, STEM), framework_dict(framework(text))


def pages(text: str = "what others wrote") -> dict[str, bytes]:
    """The files of the framework with a page for every control, by name."""
    framework_made, policy = made(text)
    return Pages(framework_made, FORMATS, every_control=True).files({policy.stem: f"{policy.stem}.html"})


def control(text: str = "what others wrote", control_id: str = "1") -> bytes:
    """The page of a control."""
    return pages(text)[control_files(STEM, [each.id for each in framework().controls])[control_id]]


def month() -> MonthPage:
    """The runs of the months before, on one page."""
    begins, ends = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    folder = Folder(Path(), frozenset(pages()))
    page = month_page(folder, happenings(folder, runs(), begins, ends), of_entries(runs()), "index.html")
    assert page is not None
    return page


def trend(text: str = "what others wrote") -> TrendPage:
    """A policy over time, with a gap, and a month without a run."""
    entry = replace(samples.entries()[6], policy_name=text)
    answers = [(status, number) for number, status in enumerate(("violation", "compliant", "no_data"))]
    made = [
        replace(each, answers={entry.policy_id: Answer("sha256:00", each.at, each.at, status, number, number, 9, "")})
        for each, (status, number) in zip((each for each in runs() if isinstance(each, Run)), answers, strict=False)
    ]
    (page,) = trend_pages(Folder(Path()), [replace(entry, html_file="newest.html")], of_entries(made)).values()
    return page


def index(text: str = "what others wrote") -> IndexPage:
    """The index over the framework, a report of a policy, and the runs."""
    names = frozenset(pages())
    entry = replace(samples.entries()[6], policy_name=text, peaks=(1, None, 7), threshold=5)
    return index_pages(Folder(Path(), names), [entry], [as_json(text)], runs())["index.html"]
