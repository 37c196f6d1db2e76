"""PDFs and users' templates on the command line: what is written, what fails, and that nothing else does."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

import auditlake
from auditlake import AuditLake
from auditlake.disk.layout import FRAMEWORK_FILE, REPORT_FILE
from auditlake.errors import ReportError
from auditlake.printing import press
from auditlake.printing.press import Enclosed, Press
from auditlake.retention.side_files import report_files
from tests.cli.conftest import Run
from tests.cli.test_forms_cli import PACK, PERIOD

ASKED = ("report", "failed_logins", "--framework", "house", *PERIOD)


@pytest.fixture
def lake(filled: AuditLake) -> AuditLake:
    """A lake with a policy that finds something, and a pack."""
    filled.layout.packs.mkdir()
    filled.layout.pack("house").write_text(PACK)
    filled.layout.frameworks.write_text("packs:\n  house: {revision: 2026-09-01.1}\n")
    return auditlake.open(filled.layout.root)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The pages that would be set, by the name of the data inside; what stands in for a PDF says how long each is."""
    found: dict[str, bytes] = {}

    def pdf(_: Press, page: bytes, enclosed: Enclosed, as_of: datetime) -> bytes:
        assert as_of.tzinfo is not None
        assert enclosed.data.startswith(b"{")
        if b"<h1><bdi>Sign-ins" in page:
            raise ReportError("the PDF cannot be made: it took longer than it may", hint="print the page")
        found[enclosed.name] = page
        return b"%%PDF-1.7 %d" % len(page)

    monkeypatch.setattr(Press, "pdf", pdf)
    monkeypatch.setattr(press, "find_spec", lambda _: object())
    return found


def test_pdfs(run: Run, lake: AuditLake, pages: dict[str, bytes]) -> None:
    """Policies and frameworks have a PDF under the report's name; one that fails is named, and stops no other."""
    done = run(*ASKED, "--format", "json,pdf", "--json")
    files = [Path(each) for part in ("reports", "frameworks") for one in done.json[part] for each in one["files"]]
    names = sorted(each.name for each in files if each.suffix == ".pdf")
    assert done.code == 3
    assert [name[:25] for name in names] == ["compliance_failed_logins_", "framework_house_20261124T"]
    assert [name.replace(".pdf", ".json") for name in names] == sorted(pages)
    assert all(name.replace(".pdf", ".json") in {each.name for each in files} for name in names)
    assert "error: house--sign_ins: the PDF cannot be made: it took longer than it may\n  print the page\n" in done.err
    assert {*files} - {*report_files(lake.layout)} == set()  # retention knows all of them
    assert all(b"The SQL" in page for page in pages.values())

    before = {each: each.read_bytes() for each in files}
    pages.clear()
    again = run(*ASKED, "--format", "pdf", "--no-annex", "--json").json
    assert not any(b"The SQL" in page for page in pages.values())
    (other,) = again["frameworks"][0]["files"]
    assert re.fullmatch(r".*_[0-9a-f]{12}\.pdf", other)  # a report is never overwritten
    assert {each: each.read_bytes() for each in files} == before


def test_without_the_extra(run: Run, lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where WeasyPrint is missing nothing is judged, and one message says what to do."""
    monkeypatch.setattr(press, "find_spec", lambda _: None)
    done = run(*ASKED, "--format", "pdf")
    assert done.code == 3
    assert done.err.count("\n") == 2
    assert "pip install 'auditlake[pdf]'" in done.err
    assert not [*lake.layout.reports.iterdir()]


def test_templates(run: Run, lake: AuditLake) -> None:
    """The example is filled for both kinds of report; those that fail are named once, and all else is written."""
    assert run("template", "list", "--json").json == {"templates": [], "faults": []}
    assert run("report", "--template", "letter").err.startswith("auditlake: there is no template 'letter'")
    added = run("template", "add", "--json").json["files"]
    assert [Path(each).name for each in added] == ["letter.html.j2", "logo.svg"]
    assert run("template", "add").code == 3
    lake.layout.templates.joinpath("bad.txt.j2").write_text("\n{{ report.nothing_of_it }}")
    lake.layout.templates.joinpath("junit.xml.j2").write_text("<x/>")
    asked = ("--template", "letter", "--template", "bad", "--template", "junit", "--format", "json", "--json")

    done = run(*ASKED, *asked)

    made = {Path(each).name: Path(each) for part in ("reports", "frameworks") for one in done.json[part]
            for each in one["files"]}  # fmt: skip
    assert done.code == 3
    assert done.err.count("error: ") == 2
    assert "error: failed_logins, house--sign_ins, house: the template bad.txt.j2, line 2: 'dict object'" in done.err
    assert "the template junit.xml.j2 would write files that end as a form of auditlake's does: .junit.xml" in done.err
    letters = [name for name in made if name.endswith(".letter.html")]
    assert len(letters) == 3
    assert len(made) == 6
    assert all((REPORT_FILE.match(name) or FRAMEWORK_FILE.match(name)) for name in made)
    for name in letters:
        page = made[name].read_text()
        assert page.startswith("<!-- made by auditlake of the report sha256:")
        assert 'src="data:image/svg+xml;base64,' in page
        assert name.replace(".letter.html", ".json") in page
    assert {*made.values()} <= {*report_files(lake.layout)}  # retention deletes them with the report
