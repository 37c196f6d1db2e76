"""What the pages say, and that templates and dataclasses agree."""

from __future__ import annotations

import ast
import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import meta, nodes

from auditlake import assets
from auditlake.alerts import chat, mail
from auditlake.changes import page as changes_page
from auditlake.display import cards, text
from auditlake.display.templates import environment, render_bytes
from auditlake.errors import ReportError
from auditlake.policies.kinds.coverage import CoverageAnswer
from auditlake.reports import day_axis, document, heat_map, page, page_charts, sheet
from auditlake.reports.model import Detail, Report
from auditlake.reports.page import compliance_page, render_page
from auditlake.reports.sections import catalog, counts, coverage, episodes, evidence, kinds, retention
from auditlake.reports.sections.coverage import SHOWN_RANGES, silent_ranges
from auditlake.reports.sentences import SHOWN_EPISODES
from auditlake.retention import certificate
from auditlake.site import (
    control_page,
    framework_page,
    framework_sheet,
    index_page,
    latest,
    matrix,
    month_page,
    past,
    run_rows,
    strips,
    tally,
    trend,
    year,
)
from auditlake.site.entries import Folder
from auditlake.site.index import index_pages
from tests.reports import samples

FOLDER = assets.folder("reports_templates")
MODULES = (
    cards, day_axis, page_charts, heat_map, document, page, text, catalog, counts, coverage, episodes, evidence,
    kinds, retention, certificate, control_page, framework_page, framework_sheet, index_page, latest, matrix,
    month_page, past, run_rows, sheet, strips, tally, trend, year, chat, mail, changes_page,
)  # fmt: skip
KINDS = [
    kind for module in MODULES for kind in vars(module).values()
    if is_dataclass(kind) and getattr(kind, "__module__", "") == module.__name__
]  # fmt: skip
DOCUMENTS = {kind.template: kind for kind in KINDS if hasattr(kind, "template")}


class Words(HTMLParser):
    """The text of a page and its links."""

    def __init__(self, markup: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.links: list[str] = []
        self.feed(markup.decode())

    def handle_data(self, data: str) -> None:
        """Collects text."""
        self.found.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects links."""
        self.links += [value or "" for name, value in attrs if name in {"href", "src"} and tag != "use"]

    @property
    def text(self) -> str:
        """All text, white space as one."""
        return " ".join("".join(self.found).split())


@pytest.mark.parametrize("template", DOCUMENTS)
def test_contract(template: str) -> None:
    """A template uses exactly the fields of its dataclass, and may nest a document."""
    assert used_by(template) - {"fragment"} == {field.name for field in fields(DOCUMENTS[template])}


def used_by(template: str) -> set[str]:
    """The variables that a template uses, and the one that it extends."""
    tree = environment().parse((FOLDER / template).read_text())
    extended = [each.template.value for each in tree.find_all(nodes.Extends)]
    return meta.find_undeclared_variables(tree).union(*map(used_by, extended))


def test_every_template_has_a_document() -> None:
    """What lies in the folder is filled by a document, included by those that are, or a schema."""
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.*")}
    shared = {"README.md", "evidence.txt", "charts.html", "parts.html", "runs.html", "style.css"}
    shared |= {"control_parts.html", "print_parts.html", "print.css", "print_pictures.css"}
    assert files - shared - set(DOCUMENTS) == {
        "certificate.schema.json", "compliance.1.schema.json", "compliance.schema.json", "framework.schema.json",
    }  # fmt: skip


def test_every_part_is_used() -> None:
    """No nested field is built for nothing."""
    markup = "".join(path.read_text() for path in sorted(FOLDER.rglob("*.html")))
    apart = {*DOCUMENTS.values(), day_axis.Bin, index_page.Year}
    unused = {
        f"{kind.__name__}.{item.name}"
        for kind in KINDS
        if kind not in apart
        for item in fields(kind)
        if f".{item.name}" not in markup
    }
    assert unused == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_dataclasses_are_frozen_and_explained(module: object) -> None:
    """Every dataclass is frozen and slotted and has a docstring under each field."""
    tree = ast.parse(Path(str(getattr(module, "__file__", ""))).read_text())
    for kind in (node for node in tree.body if isinstance(node, ast.ClassDef) and node.decorator_list):
        decorator = ast.unparse(kind.decorator_list[0])
        assert decorator == "dataclass(frozen=True, slots=True)", kind.name
        for item, after in zip(kind.body, [*kind.body[1:], None], strict=True):
            if isinstance(item, ast.AnnAssign) and ast.unparse(item.target) != "template":
                explained = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                assert explained, f"{kind.name}.{ast.unparse(item.target)}"


def test_templates_do_not_compute() -> None:
    """Templates hold no arithmetic, sorting or filtering; the JSON's one filter is tojson."""
    for path in (*FOLDER.rglob("*.html"), *FOLDER.glob("*.json")):
        if path.name.endswith(".schema.json"):
            continue
        marks = re.findall(r"\{[{%](.*?)[%}]\}", path.read_text(), re.DOTALL)
        assert set(re.findall(r"\|\s*(\w+)", " ".join(marks))) <= {"tojson"}, path.name
        assert not re.search(r"[^-]\s[+*/%]\s|\bset\b|\bloop\b", " ".join(marks)), path.name


MADE: dict[str, Callable[[], tuple[Report, Detail]]] = {
    "violation": samples.violation,
    "compliant": samples.compliant,
    "no_data": samples.no_data,
    "one day": lambda: samples.violation(1, unknown=0),
    "seven years": lambda: samples.violation(2562, threshold=100_000, unknown=300),
}


@pytest.mark.parametrize("name", MADE)
def test_page_is_self_contained(name: str) -> None:
    """A page links only to its siblings, holds no script and no style attribute, and its style fits its policy."""
    markup = render_page(*MADE[name](), json_file="r.json", index_file="index.html").decode()
    links = [link for link in Words(markup.encode()).links if not link.startswith("#")]
    assert [each for each in links if not each.endswith("_trend.html")] == ["index.html", "r.json"]
    assert len(links) == 3
    assert not re.search(r"<script|\sstyle=|\son\w+=|@import|url\((?!#)|https?:", markup)
    style = re.search(r"<style>(.*?)</style>", markup, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in markup.replace("&#39;", "'").replace("&#43;", "+")
    assert "{{" not in style[1] and "{%" not in style[1]


SENTENCES: dict[str, tuple[Callable[[], Report], str]] = {
    "violation": (
        lambda: samples.violation()[0],
        (
            "Violation The policy found 6 episodes of at least 5 matching events with the same user_id within 24 "
            "hours, 1 required event type without a single event and 2 gaps of more than 48 hours in the events of "
            "a required type."
        ),
    ),
    "only a missing type": (
        lambda: replace(
            samples.violation()[0],
            violations=samples.violation()[0].violations[2:3],
            threshold=replace(samples.violation()[0].threshold, episodes=0),
        ),
        "Violation The policy found 1 required event type without a single event.",
    ),
    "accepted": (
        lambda: replace(samples.small(), status="compliant"),
        "and 1 gap of more than 48 hours in the events of a required type. Every finding has been accepted.",
    ),
    "compliant": (
        lambda: samples.compliant()[0],
        (
            "Compliant No window of 24 hours contained 5,000 or more governed events, and no required event type is "
            "missing."
        ),
    ),
    "no data": (
        lambda: samples.no_data()[0],
        (
            "No data The lake holds no event of any type in this period. Silence is neither compliance nor a "
            "violation. The policy's findings are still listed below."
        ),
    ),
    "no data and no finding": (
        lambda: replace(samples.no_data()[0], violations=()),
        (
            "No data The lake holds no event of any type in this period. Silence is neither compliance nor a "
            "violation. As of"
        ),
    ),
    "reached now": (
        lambda: samples.violation()[0],
        (
            "As of 2026-11-24 06:00:00 UTC the threshold is reached by at least one group. "
            "In the last 24 hours: 41 matching events in all groups."
        ),
    ),
    "not reached now": (lambda: samples.compliant()[0], "the threshold is not reached. In the last 24 hours: 41 gov"),
    "what is counted, unfiltered": (
        lambda: samples.compliant()[0],
        "Every event of the 4 required types counts; no condition narrows the count.",
    ),
    "what is counted, filtered": (
        lambda: samples.violation()[0],
        "Only governed events that match the policy's condition count.",
    ),
}


def fitting(report: Report) -> Detail:
    """A detail for any report of the samples."""
    days = tuple(day.date for day in report.threshold.daily_peaks)
    return Detail(days, {name: (1,) * len(days) for name in report.events_by_type}, {}, days[0])


@pytest.mark.parametrize("name", SENTENCES)
def test_verdict(name: str) -> None:
    """The page says in words what the status is, why, how it stands now and what is counted."""
    made, sentence = SENTENCES[name]
    report = made()
    assert sentence in Words(render_page(report, fitting(report))).text


def test_many_episodes() -> None:
    """A page shows the first episodes and says how many more the JSON has."""
    report, detail = samples.violation()
    many = tuple(
        samples.episode(f"e{number}", "alice", samples.AS_OF - timedelta(days=80, minutes=-number), 0.01, 5)
        for number in range(1243)
    )
    report = replace(report, violations=many, threshold=replace(report.threshold, episodes=len(many)))
    said = Words(render_page(report, detail)).text
    assert f"The first {SHOWN_EPISODES} of 1,243 episodes, in order of time. The other 1,043 are in the JSON" in said
    assert f"finding {many[SHOWN_EPISODES - 1].id}" in said
    assert f"finding {many[SHOWN_EPISODES].id}" not in said


def test_many_silent_days() -> None:
    """Silent days are said as stretches, and not more of them than can be read."""
    report, detail = samples.violation(365)
    silent = tuple(day for number, day in enumerate(detail.days) if number % 3)
    said = silent_ranges(silent)
    assert said[0] == "2025-11-25 to 2025-11-26 (2 days)"
    assert said[-1].startswith("and ")
    assert len(said) == SHOWN_RANGES + 1
    report = replace(report, coverage=CoverageAnswer("48h", silent))
    assert (
        "244 of 366 days have no governed event; 6 of them lie before the lake's first event."
        in Words(render_page(report, detail)).text
    )


def test_detail_must_fit() -> None:
    """A detail that lacks a type is refused rather than drawn wrong."""
    report, detail = samples.violation()
    with pytest.raises(ReportError, match="authentication_monitoring"):
        render_page(report, replace(detail, day_counts={}))


@pytest.mark.parametrize(
    "name", ["javascript:alert(1)", "../a.html", "a b.html", "//x/a.html", "a.html\n", "a.exe", ""]
)
def test_links_are_plain_file_names(name: str) -> None:
    """A link leads to a file beside the page or is refused."""
    with pytest.raises(ReportError, match="plain file names"):
        compliance_page(*samples.violation(), json_file=name)
    with pytest.raises(ReportError, match="plain file names"):
        compliance_page(*samples.violation(), (page.Served(text.Text("1"), text.Text("t"), "fail", "Fail", name),))


def test_index_order() -> None:
    """Policies stand with violations and the severe ones first."""
    listed = samples.index_pages()["index.html"]
    assert [row.policy_id for row in listed.policies] == [
        "data_export", "authentication_monitoring", "ai_system_logging", "audit_log_control", "session_activity",
    ]  # fmt: skip
    assert listed.words == "As of 2026-11-24 06:00:00 UTC: 5 policies."
    assert listed.policies[1].findings_words == "6 episodes, 1 missing type, 2 gaps"


def test_index_without_files() -> None:
    """A report without a page or JSON is listed without a link, and an empty folder says so."""
    bare = [replace(entry, html_file=None, json_file=None) for entry in samples.entries()]
    assert Words(render_bytes(index_pages(Folder(Path()), bare)["index.html"])).links == []
    assert "No report yet." in Words(render_bytes(index_pages(Folder(Path()))["index.html"])).text


def colours(block: str) -> dict[str, tuple[float, float, float]]:
    """The colours that a part of the style defines."""
    found = re.findall(r"--([\w-]+): #([0-9a-f]{6});", block)
    return {name: tuple(int(code[at : at + 2], 16) / 255 for at in (0, 2, 4)) for name, code in found}  # type: ignore[misc]


def luminance(colour: tuple[float, float, float]) -> float:
    """Relative luminance (WCAG 2.2)."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme: str) -> None:
    """Text has at least the contrast 4.5 : 1 on every ground it stands on, in light and in dark."""
    style = (FOLDER / "style.css").read_text()
    light, dark = style.split("@media screen and (prefers-color-scheme: dark)")
    palette = colours(light) | (colours(dark.split("}\n}")[0]) if scheme == "dark" else {})
    for ground in ("paper", "ground", "violation-ground", "compliant-ground", "no_data-ground"):
        own = (
            [ground.removesuffix("-ground")]
            if ground.endswith("-ground")
            else ["link", "violation", "compliant", "no_data"]
        )
        for ink in ("ink", "soft", *own):
            bright, dull = sorted((luminance(palette[ink]), luminance(palette[ground])), reverse=True)
            assert (bright + 0.05) / (dull + 0.05) >= 4.5, (ink, ground)
