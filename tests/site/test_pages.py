"""What the pages of frameworks and controls say, and that the text of others stays text in them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import pytest

from auditlake.display.templates import render_bytes
from auditlake.display.text import UNSEEN
from auditlake.site.matrix import matrices_of
from auditlake.site.past import months_of, past_of
from auditlake.site.strips import strips_of
from auditlake.site.tally import spark_of, tally_of
from auditlake.site.words import control_files
from tests.reports.test_hostile import PAYLOADS, Outline, harmless
from tests.reports.test_page import Words
from tests.site import samples

REPORT = samples.framework()
PAGE = Words(samples.pages()[f"{samples.STEM}.html"])


def test_a_framework_says_all_of_it() -> None:
    """Verdict, six counts by how much a log can show, each control, what came, what was due, and what was decided."""
    text = PAGE.text
    for part in (
        "Not met, were it in force", "4 of 10 controls fail.", "2 are not evaluated: 1 cannot be shown from logs",
        "No percentage is given", "43 of operation, 1 only logging", "Deferred since 2026-01-01",
        "In force from 2027-01-01", "default what others wrote, weaker than 1", "the worst of its parts: 1",
        "binds from 2027-01-01", "ended 2026-01-01", "1 of 4 in time, 1 late, 1 missed, 1 failed, 1 open",
        "pseudonyms after 1mo, kept 12mo", "1 event type has a maximum that is shorter.",
        "Stated: met", "Not applicable", "keep is weaker", "checked against a copy, read 2026-01-01",
        "Not legal advice", "never seen", "due for a check",
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    "page", [samples.pages()[f"{samples.STEM}.html"], samples.control(), render_bytes(samples.index())]
)
def test_there_is_no_percentage(page: bytes) -> None:
    """No page says how many per cent of anything."""
    assert not re.search(r"\d\s?%|per cent", Words(page.replace(b"<style>", b"<!--").replace(b"</style>", b"-->")).text)


def test_a_control_says_what_a_pass_does_not() -> None:
    """Verdict, what a pass says and not, how many events lack a field, the findings, earlier months, and the SQL."""
    text = Words(samples.control()).text
    for part in ("What a pass says", "What it does not say", "4 missing", "Never seen",
                 "finding 0000000000000002", "Sep Pass", "Oct Fail", "SQL"):  # fmt: skip
        assert part in text, part
    assert "No statement was run for it" in Words(samples.control(control_id="11")).text


def test_each_day_is_told_apart() -> None:
    """Shades go by row; other events, a silent source and a certificate have marks; a type never seen has a frame."""
    (matrix,) = matrices_of(REPORT)
    first, second, never = matrix.rows
    assert [cell.level for cell in first.cells] == ["5", "1", "none", "source_silent", "taken", "1", "3"]
    assert {cell.level for cell in second.cells} == {"5"}
    assert (never.is_never, never.cells, never.words) == (True, (), "never seen")
    assert first.words == "190, none on 1 day, silent on 1, deleted on 1"
    assert [(row.control.text, row.begins) for row in matrix.rows] == [("1, 5", True), ("", False), ("1", True)]
    assert matrix.marks == {"none", "source_silent", "taken", "never"}


def test_each_type_has_one_row() -> None:
    """What several controls ask for stands once, beside all of them; long pictures are cut for paper."""
    controls, types = REPORT.controls, REPORT.coverage.types_of
    first, second = [each.id for each in controls if any(check.policy for check in each.checks)][:2]
    coverage = replace(REPORT.coverage, types_of=types | {second: types[first]})
    alike = replace(REPORT, coverage=coverage)
    (matrix,) = matrices_of(alike)
    assert matrix.rows[0].control.text == f"{first}, {second}"
    assert [(row.begins, row.control.text) for row in matrix.rows[1:]] == [(False, "")] * (len(matrix.rows) - 1)
    parts = matrices_of(alike, 2)
    assert [row.name for part in parts for row in part.rows] == [row.name for row in matrix.rows]
    assert {part.rows[0].control.text for part in parts} == {f"{first}, {second}"}, "each part says whose rows it has"


def test_intervals_lie_in_the_period() -> None:
    """Each interval lies where its days are; what began before the period is cut."""
    strips = strips_of(REPORT)
    assert strips is not None
    (row,) = strips.rows
    lefts = [float(mark.x[:-1]) for mark in row.marks]
    assert lefts == sorted(lefts)
    assert all(0 <= left <= 100 for left in lefts)
    assert [mark.state for mark in row.marks] == ["met", "late", "missed", "failed", "open"]


def test_the_past_is_one_run_a_month() -> None:
    """The last run of each month before the report counts; a control that was not in the pack says so."""
    months = months_of(REPORT, samples.runs())
    assert [(month, run.number) for month, run in months] == [("Sep", 1), ("Sep", 3), ("Oct", 4)]
    assert [each.status for each in past_of(REPORT, "1", months)] == ["fail", "pass", "fail"]
    assert next(each.words for each in past_of(REPORT, "99", months)) == "Sep: not in the pack"
    assert months_of(replace(REPORT, pack_id="other"), samples.runs()) == ()


def test_small_pictures() -> None:
    """The bar shares its width among what there is, and the line stays within its picture."""
    parts = tally_of(REPORT.counts).parts
    assert [part.kind for part in parts] == ["pass", "logging", "exception", "no_data", "not_evaluated", "fail"]
    assert sum(float(part.width) for part in parts) == pytest.approx(200, abs=0.3)
    spark = spark_of((0, None, 10), 5)
    assert (spark.points, spark.limit_y) == ("0.0,24.0 75.0,24.0 150.0,2.0", "13.0")


def test_names_of_control_pages_are_plain_and_apart() -> None:
    """Ids that would give one name get a name of their own each, whatever they are."""
    ids = ["12(2)(a)", "12-2-a", "..", "/etc/passwd", "A", "a", "x" * 300]
    files = control_files("framework_p_20260930T235959Z_v1", ids)
    assert len({name.lower() for name in files.values()}) == len(ids)
    assert all(
        re.fullmatch(r"control_p_[A-Za-z0-9.-]{1,70}_20260930T235959Z_v1\.html", name) for name in files.values()
    )


@cache
def outlines(text: str) -> list[Outline]:
    pages = samples.pages(text)
    made = [page for name, page in pages.items() if name.endswith(".html")]
    return [Outline(page.decode()) for page in (*made, render_bytes(samples.index(text)))]


@pytest.mark.parametrize("text", [PAYLOADS[number] for number in (1, 3, 5, 7, 14, 17, 19, 21)], ids=ascii)
def test_payloads(text: str) -> None:
    """Text of packs, decisions and findings changes nothing but text, on every page."""
    for made, expected in zip(outlines(text), outlines(harmless(text)), strict=True):
        assert [tag[0] for tag in made.tags] == [tag[0] for tag in expected.tags]
        assert made.links == expected.links
        assert not any(tag[0] in {"script", "iframe", "object", "embed", "comment"} for tag in made.tags)
        assert set(UNSEEN.findall("".join(made.text))) <= {"\n"}
