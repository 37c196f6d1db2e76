"""Reports in every form: what each says of a status, that it fits its schema, and that nothing in it acts."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import duckdb
import pytest
from markdown_it import MarkdownIt

from auditlake.cli.docs import FOLDER
from auditlake.disk.layout import REPORT_FILE
from auditlake.display.formula_guard import guarded
from auditlake.display.markdown import escaped
from auditlake.display.text import UNSEEN, visible
from auditlake.errors import ReportError
from auditlake.forms.csv_rows import COLUMNS
from auditlake.forms.model import FormOptions, Item, Judgement
from auditlake.forms.oscal_words import tokens
from auditlake.forms.table import FORMS, NAMES, rendered
from auditlake.forms.text import LINES
from auditlake.frameworks.framework import Framework
from auditlake.frameworks.judgement import judgement_of
from auditlake.frameworks.model import STATUSES
from auditlake.reports.compliance import ComplianceReport
from auditlake.retention import mentions
from auditlake.site.entries import Folder
from tests.forms.schemas import FAULTS
from tests.reports import samples as policies
from tests.site import samples as frameworks

RENDERED = [each.name for each in FORMS if each.file]
CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "corpora" / "naughty-strings" / "blns.json"
HOSTILE = (
    "=cmd|' /C calc'!A0", 'a,b"c\r\nd', "<script>alert(1)</script>", "| a | b |\n|---|---|", "**x** _y_ `z` ~~q~~",
    "[go](https://evil.example) ![i](http://evil.example/p.png) www.evil.example https://evil.example",
    "@octocat #1 GH-2 :tada: owner/name#3 $x$", "{{ insert: param, x }}", "\x00\x1b[31m\x85\u202e\ufeff\ud800\uffff]]>",
    " \u3000x\u00a0 ", "\\", "\\| \\\\| \\", "-\n- x\n# y", "\n", "%", "\U0001f600 \u0645\u0631\u062d\u0628\u0627",
    "</code><img src=x onerror=alert(1)>", "`" * 7, "x" * 7_000, "a" * 40, "~~~", "1. a", "<!-- -->", "&lt;", "\t",
)  # fmt: skip


@cache
def of_framework(text: str = "what others wrote") -> Judgement:
    """A framework with every status, as every form has it; the text stands wherever others write."""
    return frameworks.made(text)[0].judgement


def of_policies() -> Iterator[Judgement]:
    """Reports of policies, one of each status."""
    for report, detail in (policies.violation(), policies.compliant(), policies.no_data()):
        yield ComplianceReport(report, detail).judgement
    report, _ = policies.compliant()
    broken = replace(report, status="error", status_now=None, threshold=None, error="it counts nothing")
    yield ComplianceReport(broken, None).judgement


def faults(name: str, data: bytes) -> list[str]:
    """What is wrong with a form, by the schema that others publish."""
    return FAULTS[name](data) if name in FAULTS else []


def naughty() -> list[str]:
    """Hostile texts of our own, and every tenth that people have collected."""
    if not CORPUS.is_file():
        pytest.skip(f"no corpus of naughty strings at {CORPUS}")
    return [*HOSTILE, *json.loads(CORPUS.read_text(encoding="utf-8"))[::10]]


# What every form is


def test_a_form_is_a_row_and_a_file() -> None:
    """Each row has a name and an ending of its own, and what it names can be called."""
    assert len({*NAMES}) == len({each.ending for each in FORMS}) == len(FORMS)
    for each in FORMS:
        assert re.fullmatch(r"[a-z]+", each.name)
        assert each.about
        if each.file is None:
            with pytest.raises(ReportError, match=f"{each.name} shows more"):
                rendered(each.name, of_framework())
    with pytest.raises(ReportError, match="no form 'docx'"):
        rendered("docx", of_framework())


@pytest.mark.parametrize("name", RENDERED)
def test_forms_fit_their_schemas(name: str) -> None:
    """Frameworks and policies of every status fit, and the same report gives the same bytes."""
    for judgement in (of_framework(), *of_policies()):
        data = rendered(name, judgement)
        assert faults(name, data) == []
        assert rendered(name, replace(judgement)) == data
        assert data.endswith(b"\n")
        assert not data.endswith(b"\n\n")


@pytest.mark.parametrize("name", RENDERED)
def test_another_report_is_another_document(name: str) -> None:
    """A report of other content has other bytes, and no identifier of the first."""
    first = of_framework()
    later = replace(first, report="sha256:" + "1" * 64, as_of=first.as_of + timedelta(seconds=60))
    second = replace(first, report="sha256:" + "1" * 64) if name in {"oscal", "ocsf"} else later
    texts = [rendered(name, each).decode() for each in (first, second)]
    made = [{*re.findall(r'"uuid": "([0-9a-f-]{36})"', each)} for each in texts]
    assert texts[0] != texts[1]
    assert len(made[0] & made[1]) <= 1  # the party is auditlake in both


def test_python_gives_every_form() -> None:
    """A report gives each form by name, with the options that the command line has."""
    framework, policy = frameworks.made()
    for name in RENDERED:
        assert framework.to(name) == rendered(name, framework.judgement)
        assert policy.to(name) == rendered(name, policy.judgement)
    assert policy.to("json") == policy.json()
    assert framework.to("json") == framework.json()
    assert policy.to("html") == policy.html()
    plan = json.loads(framework.to("oscal", plan="https://plans.example/1"))["assessment-results"]
    assert plan["import-ap"] == {"href": "https://plans.example/1"}


# What each says


def item_of(status: str) -> tuple[Judgement, Item]:
    """A framework with one control of a status, and that control."""
    item = next(each for each in of_framework().items if each.status == status)
    return replace(of_framework(), items=(item,)), item


@pytest.mark.parametrize(("status", "inside"), [
    ("fail", "failure"), ("not_evaluated", "error"), ("no_data", "error"), ("exception", "skipped"), ("pass", ""),
    ("not_applicable", "skipped"),
])  # fmt: skip
def test_junit_says_the_status(status: str, inside: str) -> None:
    """A case that does not pass has one element, of the true word and with the reason; each says what a log shows."""
    judgement, item = item_of(status)
    (case,) = ET.fromstring(rendered("junit", judgement)).iter("testcase")
    found = [each for each in case if each.tag != "system-out"]
    assert [each.tag for each in found] == [inside] * bool(inside)
    assert all(each.get("type") == status and each.get("message") == item.reason for each in found)
    assert f"a log shows: {item.shows}" in (case.findtext("system-out") or "")


@pytest.mark.parametrize(("status", "state", "reason"), [
    ("fail", "not-satisfied", "fail"), ("not_evaluated", "not-satisfied", "other"),
    ("no_data", "not-satisfied", "other"), ("exception", "not-satisfied", "other"), ("pass", "satisfied", "pass"),
])  # fmt: skip
def test_oscal_says_the_status(status: str, state: str, reason: str) -> None:
    """A finding has one of the two states, the reason, and the true word; a failure is an open risk."""
    judgement, item = item_of(status)
    (result,) = json.loads(rendered("oscal", judgement))["assessment-results"]["results"]
    (finding,) = result["findings"]
    assert {**finding["target"]["status"], "remarks": ""} == {"state": state, "reason": reason, "remarks": ""}
    assert {each["name"]: each["value"] for each in finding["props"]}["status"] == status
    assert finding["target"]["target-id"] == f"house_{item.id}_smt"
    risks = {"fail": ["open"], "exception": ["deviation-approved"]}.get(status, [])
    assert [each["status"] for each in result.get("risks", [])] == risks
    assert [bool(each.get("deadline")) for each in result.get("risks", [])] == [status == "exception"] * len(risks)


def test_oscal_leaves_out_what_does_not_apply() -> None:
    """A control that does not apply is named in a remark and nowhere else, also where it is the only one."""
    judgement, item = item_of("not_applicable")
    (result,) = json.loads(rendered("oscal", judgement))["assessment-results"]["results"]
    assert "findings" not in result
    assert item.reason in result["reviewed-controls"]["remarks"]
    whole = json.loads(rendered("oscal", of_framework()))["assessment-results"]["results"][0]
    named = {each["control-id"] for each in whole["reviewed-controls"]["control-selections"][0]["include-controls"]}
    assert len(named) == len(of_framework().items) - 1


def test_oscal_names_people_and_files() -> None:
    """A statement is an interview that ends, with the digests of what it rests on; evidence is the report's JSON."""
    document = json.loads(rendered("oscal", of_framework()))["assessment-results"]
    observations = document["results"][0]["observations"]
    (said,) = [each for each in observations if each["methods"] == ["INTERVIEW"]]
    assert said["expires"] > said["collected"]
    assert any(each["name"] == "evidence" and each["value"].endswith("0" * 64) for each in said["props"])
    assert {"TEST", "EXAMINE"} <= {method for each in observations for method in each["methods"]}
    files = {each["uuid"]: each["rlinks"][0] for each in document["back-matter"]["resources"]}
    evidence = files[observations[0]["relevant-evidence"][0]["href"][1:]]
    assert evidence["href"] == f"{of_framework().stem}.json"
    assert evidence["hashes"][0]["value"] == of_framework().report.removeprefix("sha256:")


def test_ids_of_oscal_are_tokens() -> None:
    """Ids of controls become tokens, each its own, and NIST's become those of its catalogue."""
    ids = ["12(1)", "12.1", "12/1", "", "ä", "164.312(b)"]
    made = tokens("house", ids)
    assert len({*made.values()}) == len(ids)
    assert all(re.fullmatch(r"[^\W\d][\w.-]*", each) for each in made.values())
    assert tokens("fedramp-moderate", ["AU-2", "AC-6(9)", "X"]) == {
        "AU-2": "au-2", "AC-6(9)": "ac-6.9", "X": "fedramp-moderate_X",
    }  # fmt: skip
    assert tokens("21-cfr-11", ["11.10(e)"]) == {"11.10(e)": "_21-cfr-11_11.10_e"}
    assert tokens("", ["failed_logins"]) == {"failed_logins": "failed_logins"}


@pytest.mark.parametrize(("status", "number", "severity"), [
    ("fail", 3, 4), ("not_evaluated", 99, 3), ("no_data", 2, 3), ("exception", 99, 1), ("pass", 1, 1),
    ("not_applicable", 99, 1),
])  # fmt: skip
def test_ocsf_says_the_status(status: str, number: int, severity: int) -> None:
    """An event has the number of the status, the true word and what a log shows; only what is open is severe."""
    judgement, item = item_of(status)
    (event,) = map(json.loads, rendered("ocsf", judgement).splitlines())
    assert (event["compliance"]["status_id"], event["severity_id"]) == (number, severity)
    assert event["unmapped"]["status"] == status
    assert event["unmapped"]["shows"] == item.shows
    assert event["compliance"]["requirements"] == [item.id]
    assert number != 99 or event["compliance"]["status"] == status


@pytest.mark.parametrize(("status", "results"), [
    ("fail", {"failed"}), ("not_evaluated", {"skipped"}), ("no_data", {"skipped"}), ("exception", {"skipped"}),
    ("pass", {"passed"}), ("not_applicable", {"skipped"}),
])  # fmt: skip
def test_hdf_says_the_status(status: str, results: set[str]) -> None:
    """Heimdall reads the status off the results; what does not apply has no impact."""
    judgement, _ = item_of(status)
    (profile,) = json.loads(rendered("hdf", judgement))["profiles"]
    (control,) = profile["controls"]
    assert {each["status"] for each in control["results"]} == results
    assert (control["impact"] == 0) == (status == "not_applicable")
    assert control["tags"]["status"] == status
    assert all(status in each["skip_message"] for each in control["results"] if each["status"] == "skipped")


def test_hdf_says_what_people_decided() -> None:
    """A control whose checks pass and which is an exception by a decision has a result more that says so."""
    judgement, item = item_of("exception")
    passing = replace(item, checks=(replace(item.checks[0], outcome="pass", status="pass"),))
    (profile,) = json.loads(rendered("hdf", replace(judgement, items=(passing,))))["profiles"]
    assert [each["status"] for each in profile["controls"][0]["results"]] == ["passed", "skipped"]


def test_csv_has_a_row_a_finding() -> None:
    """Each finding of each check of each control has a row, and a check or a control without one has one too."""
    judgement = of_framework()
    data = rendered("csv", judgement)
    head, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    assert data.count(b"\r\n") == data.count(b"\n") == len(rows) + 1
    assert tuple(head) == COLUMNS
    assert len(COLUMNS) == 22
    expected = [
        (item.id, check.kind if check else "", finding.id if finding else "")
        for item in judgement.items
        for check in item.checks or (None,)
        for finding in (check.findings if check else ()) or (None,)
    ]
    found = [dict(zip(head, row, strict=True)) for row in rows]
    assert [(each["control"], each["check_kind"], each["finding_id"]) for each in found] == expected
    assert {each["control_status"] for each in found} == {*STATUSES}
    assert {each["pack_revision"] for each in found} == {judgement.revision}


def test_a_mail_is_short_and_says_what_to_do() -> None:
    """The verdict comes first; each cause is one line with its controls; the page is named; no person is."""
    text = rendered("text", of_framework(), FormOptions(page="p.html")).decode()
    assert text.startswith("what others wrote 2026: Not met, were it in force\n")
    assert "Page: p.html, beside this file" in text
    assert "- Not evaluated, 11: " in text
    found = replace(of_framework().items[0].findings[0], group={"user_id": "frank"}, message="5 events for frank")
    check = replace(of_framework().items[0].checks[0], findings=(found,), reason="5 events for frank")
    named = replace(of_framework(), items=(replace(item_of("fail")[1], checks=(check,)),))
    assert "- Fail, 1: 1 finding of house--sign_ins\n" in rendered("text", named).decode()
    many = tuple(
        replace(item_of("fail")[1], id=f"c{number}", checks=(), reasons=(f"reason {number} " + "x" * 200,))
        for number in range(99)
    )  # fmt: skip
    text = rendered("text", replace(of_framework(), items=many)).decode()
    assert len(text.splitlines()) <= LINES
    assert re.search(r"- and \d\d more: see the page", text)
    assert "auditlake report --framework house --format html,json" in text


def test_a_mail_about_a_policy_names_findings_and_no_person() -> None:
    """What a policy found by user is named by its id and its time."""
    violation, compliant, no_data, error = of_policies()
    text = rendered("text", violation).decode()
    found = violation.items[0].findings
    assert all(each.id in text for each in found if not each.accepted)
    assert not any(name in text for each in found for name in (each.group or {}).values())
    assert "Nothing needs doing." in rendered("text", compliant).decode()
    assert "What needs doing" in rendered("text", no_data).decode()
    assert "it counts nothing" in rendered("text", error).decode()


# What hostile text does


class Page(HTMLParser):
    """What a reader of Markdown makes of it: the text of each cell, and every element."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Note an element."""
        self.tags.add(tag)
        if tag in {"td", "p"}:
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        """Add to the cell."""
        if self.cells:
            self.cells[-1] = f"{self.cells[-1]}{data}".rstrip("\n")


def as_page(markdown: bytes | str) -> Page:
    """Markdown of GitHub's kind as a page."""
    text = markdown if isinstance(markdown, str) else markdown.decode()
    return Page(MarkdownIt("gfm-like", {"html": True, "linkify": True}).render(text))


def hostile(texts: Sequence[str]) -> Judgement:
    """A framework whose controls fail, one a text, which stands wherever others write of a control."""
    (check,) = item_of("exception")[1].checks
    items = []
    for number, text in enumerate(texts):
        found = replace(check.findings[0], message=text, group={text or "x": text}, event_type=text)
        own = replace(check, status="fail", outcome="fail", reason=text, policy=text, findings=(found,))
        about = {"title": text, "says": text, "says_not": text, "reasons": (text or "x",), "basis": "log"}
        items.append(replace(item_of("fail")[1], id=f"c{number}", checks=(own,), **about))
    return replace(of_framework(), items=tuple(items))


def assert_harmless(name: str, data: bytes) -> None:
    """It fits its schema, and has no character that a reader does not see; of CSV a spreadsheet's reader has them."""
    assert faults(name, data) == []
    assert name == "csv" or not [each for each in UNSEEN.findall(data.decode()) if each != "\n"]


def test_hostile_texts_stay_texts() -> None:
    """In each form a hostile text fits the schema, and a foreign reader reads it as what it is."""
    texts = naughty()
    judgement = hostile(texts)
    made = {name: rendered(name, judgement) for name in RENDERED}
    for name, data in made.items():
        assert_harmless(name, data)
    shown = [visible(each) for each in texts]
    events = [json.loads(line) for line in made["ocsf"].splitlines()]
    page = as_page(made["markdown"])
    rows = [page.cells[at + 2] for at, cell in enumerate(page.cells) if re.fullmatch(r"c\d+", cell)]
    (result,) = json.loads(made["oscal"])["assessment-results"]["results"]
    titles = ["".join(as_page(each["title"]).cells) for each in result["findings"]]
    assert _titles(made["csv"]) == [guarded(each).encode("utf-8", "backslashreplace").decode() for each in texts]
    assert [each.get("name") for each in ET.fromstring(made["junit"]).iter("testcase")] == [
        f"c{number} {each}" for number, each in enumerate(shown)
    ]
    assert [each["compliance"]["control"] for each in events] == [
        each or f"c{number}" for number, each in enumerate(shown)
    ]
    assert [each["title"] for each in json.loads(made["hdf"])["profiles"][0]["controls"]] == shown
    assert page.tags <= {"h2", "p", "strong", "code", "table", "thead", "tbody", "tr", "th", "td"}
    assert [" ".join(each.split()) for each in rows] == [" ".join(each.split()) for each in shown]
    assert [each.split() for each in titles] == [[f"c{number}", *each.split()] for number, each in enumerate(shown)]


@pytest.mark.parametrize("text", ["", "\ud800\x00", "=1+1", "<b>|\n|</b>", "@octocat `x` \\", "y" * 9_000])
def test_hostile_texts_everywhere(text: str) -> None:
    """A hostile name of a framework, of its publisher, of people and of files does no harm either."""
    for name in RENDERED:
        assert_harmless(name, rendered(name, of_framework(text)))
    lines = rendered("text", of_framework(text)).decode().splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= 110


def _titles(data: bytes) -> list[str]:
    """The titles, read as Python does."""
    return [each["title"] for each in csv.DictReader(io.StringIO(data.decode(), newline=""))]


def test_csv_is_read_by_a_database(tmp_path: Path) -> None:
    """DuckDB reads every row, and raw text as what it is."""
    texts, file = [each for each in HOSTILE if "\x00" not in each], tmp_path / "report.csv"
    file.write_bytes(rendered("csv", hostile(texts), FormOptions(raw=True)))
    read = "select title from read_csv($1, header=true, all_varchar=true, strict_mode=true)"
    assert [title or "" for (title,) in duckdb.execute(read, [str(file)]).fetchall()] == texts


@pytest.mark.parametrize("person", ["ann", 'a*b"c|d', 'O\'Neil <x> & "y"', "_y_", "Zo\xeb", "@octocat", "=x", "a\\b"])
def test_an_erasure_finds_whom_a_form_names(tmp_path: Path, person: str) -> None:
    """A form that names an erased person is found, however the form spells the name; one that names others is not."""
    pattern = mentions._pattern(person)
    for form in (each for each in FORMS if each.file):
        theirs, others = (tmp_path / f"compliance_{name}_20261124T060000Z_v1.{form.ending}" for name in ("a", "b"))
        theirs.write_bytes(rendered(form.name, hostile([person])))
        others.write_bytes(rendered(form.name, hostile([f"{person}ette"])))
        assert REPORT_FILE.fullmatch(theirs.name)
        assert mentions._naming(pattern, [theirs, others]) == [theirs], form.name
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.7")
    assert mentions._naming(pattern, [tmp_path / "x.pdf"]) == [tmp_path / "x.pdf"]  # nobody can say


def test_nothing_calls_people_on_github() -> None:
    """What GitHub acts on after Markdown stands in code, and addresses are no links."""
    for text in ("@octocat", "cc @org/team, please", "fixes #12", "see GH-7", ":rocket:", "org/repo#3", "a" * 40):
        assert escaped(text).startswith("<code>")
        assert Page(MarkdownIt("gfm-like").render(escaped(text))).cells == [text]
    for text in (
        "frank@example.com",
        "2026-07-20T23:51:20.808667Z",
        "at 23:51:20",
        "failed_logins",
        "10.2.1.1: no data",
    ):
        assert escaped(text) == text
    assert escaped("see www.evil.example") == "see www\\.evil.example"
    assert "a" not in as_page(escaped("www.evil.example https://evil.example ftp://x.example")).tags


def test_order_of_outcomes_is_the_frameworks() -> None:
    """A form's words are in the order in which one status goes before another."""
    from auditlake.forms.words import OUTCOME_WORDS

    assert tuple(OUTCOME_WORDS) == STATUSES
    assert all(earlier != later for earlier, later in pairwise(OUTCOME_WORDS.values()))


def test_only_runs_of_the_period_are_named() -> None:
    """The log of the assessment has the runs of the period that judged the pack, and no others."""
    report = replace(frameworks.framework(), since=frameworks.AS_OF - timedelta(days=60))
    judgement = judgement_of(report, frameworks.runs(), "sha256:x", "stem")
    assert [each.number for each in judgement.runs] == [3, 4]
    (result,) = json.loads(rendered("oscal", judgement))["assessment-results"]["results"]
    assert [each["title"] for each in result["assessment-log"]["entries"]] == ["Run 3 (nightly)", "Run 4 (nightly)"]


def test_a_framework_writes_its_forms_beside_one_another(tmp_path: Path) -> None:
    """Each form has its ending; written again nothing changes, and another report takes no name of the first."""
    framework = frameworks.made()[0]
    paths = framework.write(tmp_path, ("csv", "oscal"))
    assert [path.name for path in paths] == [f"{framework.stem}.csv", f"{framework.stem}.oscal.json"]
    assert framework.write(tmp_path, ("csv", "oscal")) == paths
    assert Folder.at(tmp_path).groups == {}  # the list of reports is of pages and JSON
    assert [path.name for path in framework.write(tmp_path, ("json", "text"))] == [
        f"{framework.stem}.json", f"{framework.stem}.txt",
    ]  # fmt: skip
    other = Framework(replace(framework.report, about="other"), framework.case)
    (path,) = other.write(tmp_path, ("csv",))
    assert path.name.startswith(f"{framework.stem}_")
    assert path.read_bytes() != paths[0].read_bytes() or path != paths[0]


# The page of the documentation


def test_the_page_has_every_form() -> None:
    """Its first table is the table of forms, and its table of statuses says what forms say."""
    page = (FOLDER / "reference" / "forms.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    assert [row for row in rows if row[1].startswith("`.")] == [
        [f"`{each.name}`", f"`.{each.ending}`", each.about] for each in FORMS
    ]
    assert re.findall(r"`(\w+)`", page[page.index("`framework`,") : page.index("`group` is")]) == [*COLUMNS]
    told = {row[0].strip("`"): row for row in rows if row[0].strip("`") in STATUSES}
    assert tuple(told) == STATUSES
    for status, row in told.items():
        judgement, _ = item_of(status)
        (case,) = ET.fromstring(rendered("junit", judgement)).iter("testcase")
        assert row[2].strip("`") == (next(iter(case)).tag if len(case) > 1 else "passes")
        compliance = json.loads(rendered("ocsf", judgement))["compliance"]
        name = compliance["status"] if compliance["status_id"] != 99 else "Other"
        assert row[4] == f"{compliance['status_id']} {name}"
        (control,) = json.loads(rendered("hdf", judgement))["profiles"][0]["controls"]
        assert row[5].startswith(f"`{control['results'][-1]['status']}`")
        found = json.loads(rendered("oscal", judgement))["assessment-results"]["results"][0].get("findings")
        state = found and found[0]["target"]["status"]
        assert row[3] == (f"{state['state']}, {state['reason']}" if state else "left out, named in a remark")
