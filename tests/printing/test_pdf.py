"""A report as PDF, read by another program than wrote it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pdfua
import pikepdf
import pytest

from auditlake.confined.worker import FailedError, Worker
from auditlake.errors import ReportError
from auditlake.printing import press
from auditlake.printing.press import Enclosed, Press
from auditlake.reports.document import render_json
from auditlake.reports.sheet import render_sheet
from auditlake.site.framework_sheet import render_framework_sheet
from tests.reports import samples
from tests.reports.test_hostile import PAYLOADS, naughty, poisoned
from tests.site import samples as frameworks

HOSTILE = "<b>&\u202e\u05e9\u05dc\u05d5\u05dd"
"""Markup, a mark that turns the direction, and Hebrew."""


@dataclass(frozen=True)
class Made:
    """A PDF, and what it was made of."""

    data: bytes
    json: bytes
    stem: str
    as_of: datetime


def printed(made: Press, page: bytes, json: bytes, stem: str, as_of: datetime) -> Made:
    try:
        return Made(made.pdf(page, Enclosed(f"{stem}.json", json, "the report"), as_of), json, stem, as_of)
    except ReportError as error:
        if "a PDF needs" in str(error):
            pytest.skip(f"{error}; {error.hint}")
        raise


def of_policy(made: Press, text: str, *, annex: bool = True) -> Made:
    report, detail = poisoned(text)
    json = render_json(report)
    page = render_sheet(report, detail, (), json, stem="compliance_x", annex=annex)
    return printed(made, page, json, "compliance_x", report.as_of)


def of_framework(made: Press, text: str) -> Made:
    framework, policy = frameworks.made(text)
    policies = {policy.policy_id: (policy.report, policy.detail)}
    page = render_framework_sheet(
        framework.report, framework.case.runs, policies, framework.json(), stem=framework.stem, annex=False
    )
    return printed(made, page, framework.json(), framework.stem, framework.report.as_of)


PAGE = b"""<!doctype html><html lang="en"><title>A page</title>
<p>\xee\x80\x80 is a character that no font has, \xd7\xa9 is Hebrew
<img alt="x" src="http://127.0.0.1:%d/x.png"><img alt="y" src="file:///etc/hostname">
<svg width="20" height="20"><rect class="bar" width="100%%" height="10"/></svg>"""


@dataclass(frozen=True)
class All:
    """Everything that is set once."""

    policy: Made
    framework: Made
    page: bytes
    again: bytes
    """The same page in another process, the first that it did."""
    asked: bool
    """Whether anything was asked for over the network."""


@pytest.fixture(scope="module")
def everything() -> Iterator[All]:
    enclosed, at = Enclosed("x.json", b"{}", "data"), datetime(2026, 10, 1, 8, tzinfo=UTC)
    with socket.create_server(("127.0.0.1", 0)) as server:
        page = PAGE % server.getsockname()[1]
        with Press() as first:
            policy, framework = of_policy(first, HOSTILE), of_framework(first, "what others wrote")
            once = first.pdf(page, enclosed, at)
        with Press() as second:
            again = second.pdf(page, enclosed, at)
        server.setblocking(False)
        try:
            server.accept()
            asked = True
        except BlockingIOError:
            asked = False
    yield All(policy, framework, once, again, asked)


@pytest.fixture(params=["policy", "framework"])
def made(everything: All, request: pytest.FixtureRequest) -> Made:
    return getattr(everything, request.param)


def opened(data: bytes) -> pikepdf.Pdf:
    return pikepdf.open(BytesIO(data))


def headings(pdf: pikepdf.Pdf) -> dict[str, int]:
    """The headings of an outline, each with the number of its page."""
    pages = {page.objgen: number for number, page in enumerate(pdf.pages, 1)}
    with pdf.open_outline() as outline:
        waiting, found = list(outline.root), {}
        while waiting:
            item = waiting.pop(0)
            found[item.title] = pages[item.destination[0].objgen]
            waiting = [*item.children, *waiting]
    return found


def test_the_data_inside(made: Made) -> None:
    """The report's JSON is inside, byte for byte, once, as the source of the document."""
    pdf = opened(made.data)
    assert [*pdf.attachments] == [f"{made.stem}.json"]
    file = pdf.attachments[f"{made.stem}.json"].get_file()
    assert file.read_bytes() == made.json
    assert file.mime_type == "application/json"
    (named,) = pdf.Root.AF
    assert named.AFRelationship == "/Source"


def test_for_keeping_and_for_everyone(made: Made, tmp_path: Path) -> None:
    """It says that it is PDF/A-3a, has a title and a language, is tagged, and a checker of PDF/UA finds no error."""
    pdf = opened(made.data)
    with pdf.open_metadata() as metadata:
        assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("3", "A")
        assert metadata["dc:title"] == pdf.docinfo.Title
        assert metadata["dc:creator"] == ["auditlake"]
    assert pdf.Root.Lang == "en"
    assert pdf.Root.MarkInfo.Marked
    assert pdf.Root.OutputIntents[0].S == "/GTS_PDFA1"
    file = tmp_path / "made.pdf"
    file.write_bytes(made.data)
    found = {each.rule_id for outcome in pdfua.validate(str(file)).outcomes for each in outcome.findings}
    assert found <= {"UA-28-004"}  # that it does not claim PDF/UA, of which a program can check a part alone


def test_no_instant_but_as_of(made: Made) -> None:
    """Nothing says when it was made."""
    pdf, at = opened(made.data), f"{made.as_of.astimezone(UTC):D:%Y%m%d%H%M%SZ}"
    params = pdf.Root.AF[0].EF.F.Params
    assert {
        str(each) for each in (pdf.docinfo.CreationDate, pdf.docinfo.ModDate, params.CreationDate, params.ModDate)
    } == {at}
    assert {*re.findall(rb"\d{4}-\d\d-\d\dT[\d:]+Z", pdf.Root.Metadata.read_bytes())} == {
        f"{made.as_of.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}".encode()
    }


def test_summary_and_annexes(everything: All) -> None:
    """The summary has two pages, whatever is in it; what follows has its headings in the outline."""
    policy, framework = (headings(opened(each.data)) for each in (everything.policy, everything.framework))
    assert [*policy.items()][1:3] == [("At a glance", 2), ("1 Counts in a rolling window", 3)]
    assert [name for name in policy if name.startswith("Annex")] == ["Annex The SQL"]
    assert [*framework.items()][1:3] == [("What needs attention", 2), ("1 Controls", 3)]
    assert [name for name in framework if name.startswith("Annex")] == [
        "Annex A Controls with findings",
    ]


def test_characters(everything: All) -> None:
    """Hebrew is there as itself; a character that no font has is spelled out, and never a box."""
    pdf = opened(everything.page)
    maps = b"".join(font.ToUnicode.read_bytes() for font in pdf.pages[0].Resources.Font.values()).lower()
    assert b"<05e9>" in maps
    assert b"<e000>" not in maps


def test_same_bytes(everything: All) -> None:
    """The same page and data give the same bytes, in another process as after other work."""
    assert everything.page == everything.again
    assert everything.page.count(b"/EmbeddedFile") >= 1


def test_nothing_is_fetched(everything: All) -> None:
    """A page that names pictures elsewhere gets none: nothing is asked for, and it is set all the same."""
    assert not everything.asked
    assert len(opened(everything.page).pages) == 1


def test_without_the_annex() -> None:
    """Without the annex no SQL is shown, and the evidence says where it is."""
    report, detail = poisoned("x")
    with_it, without = (
        render_sheet(report, detail, (), b"{}", stem="compliance_x", annex=annex).decode() for annex in (True, False)
    )
    assert "The SQL" in with_it
    assert "The SQL" not in without
    assert "Every number comes from statements that the data inside has" in without


def test_a_long_statement_is_broken() -> None:
    """A line of SQL without an end is broken, and a statement without an end is cut and says so."""
    report, detail = samples.violation()
    long = replace(report.evidence.queries[0], sql="x" * 900 + "\nx" * 3000)
    report = replace(report, evidence=replace(report.evidence, queries=(long,)))
    page = render_sheet(report, detail, (), b"{}", stem="compliance_x", annex=True).decode()
    assert "x" * 401 not in page
    assert "more lines in the data inside" in page


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without WeasyPrint or Pango one message says what to install, and that any browser prints the page."""
    arguments = (b"<p>x", Enclosed("x.json", b"{}", "data"), datetime(2026, 1, 1, tzinfo=UTC))
    with monkeypatch.context() as patch, Press() as made:
        patch.setattr(press, "find_spec", lambda _: None)
        with pytest.raises(ReportError, match="needs WeasyPrint") as missing:
            made.pdf(*arguments)
    told = FailedError("its process could not begin: OSError: cannot load library 'libpango-1.0-0'")
    monkeypatch.setattr(Worker, "run", lambda *_: (_ for _ in ()).throw(told))
    monkeypatch.setattr(press, "find_spec", lambda _: object())
    with Press() as made, pytest.raises(ReportError, match="needs Pango") as lacking:
        made.pdf(*arguments)
    for error in (missing, lacking):
        assert "pip install 'auditlake[pdf]'" in error.value.hint
        assert "browser" in error.value.hint


@pytest.mark.soak
@pytest.mark.parametrize("text", PAYLOADS, ids=lambda text: ascii(text)[:40])
def test_hostile_texts(text: str) -> None:
    """Every hostile text becomes a PDF in time, whose summary has two pages."""
    with Press() as made:
        assert [*headings(opened(of_policy(made, text).data)).values()][2] == 3
        assert [*headings(opened(of_framework(made, text or "x").data)).values()][2] == 3


@pytest.mark.soak
def test_naughty_strings() -> None:
    """So does every fiftieth naughty string that people have collected."""
    with Press() as made:
        for text in naughty()[::50]:
            assert [*headings(opened(of_policy(made, text).data)).values()][2] == 3


@pytest.mark.soak
def test_long_reports() -> None:
    """A year with three hundred types and five hundred findings is set in time, and twice with the same bytes."""
    report, detail = samples.violation(365)
    names = [f"type_{at:04}" for at in range(300)]
    report = replace(
        report, policy_name="A very long name of a policy " * 9, description="word " * 400,
        events_by_type=dict.fromkeys(names, 5), last_seen=dict.fromkeys(names, samples.AS_OF),
        violations=report.violations * 60, controls={f"Framework {at}": ("x",) * 80 for at in range(30)},
    )  # fmt: skip
    detail = replace(detail, day_counts={name: (1,) * len(detail.days) for name in names})
    json = render_json(report)
    page = render_sheet(report, detail, (), json, stem="compliance_x", annex=True)
    once, again = (printed(made, page, json, "compliance_x", report.as_of).data for made in (Press(), Press()))
    assert once == again
    assert [*headings(opened(once)).values()][2] == 3
