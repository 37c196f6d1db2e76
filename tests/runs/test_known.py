"""Since when findings are known: what lines leave out changes no answer, against reading all that runs found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.runs import known
from auditlake.runs.known import Known, all_news
from auditlake.runs.model import Answer, Found, Run

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, MICRO = timedelta(hours=1), timedelta(microseconds=1)
hours = st.integers(0, 8).map(lambda n: NOON + n * HOUR)
spans = st.lists(hours, min_size=2, max_size=2, unique=True).map(sorted)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Findings of two subjects in a period: stretches that may be cut by it, or run on, and what has no start."""
    since, until = draw(spans)
    found: dict[str, Found] = {}
    for subject in draw(st.lists(st.sampled_from("ab"), unique=True)):
        start, end = draw(spans)
        start, runs_on = max(start, since), end >= until
        if start < until and start < end:
            found[f"{subject}{start:%H}"] = Found(subject, start, None if runs_on else end)
    if draw(st.booleans()):
        found["c"] = Found()
    return Answer("sha256:00", since, until, "violation", len(found), 0, 1, "sha256:00", found)


runs = st.lists(st.tuples(answers(), st.integers(0, 4), st.booleans(), st.booleans()), max_size=6)


def line(number: int, hour: int, answer: Answer, *, ok: bool) -> Run:
    at = NOON + 24 * HOUR + hour * HOUR
    state = "ok" if ok else "error"
    return Run(number, "0" * 16, at, at, "report", "0", "u", at, at, 1, 1, 0, None, state, None, {"p": answer})


def first_of(lines: list[Run], subject: str, start: datetime, end: datetime) -> datetime | None:
    """Say it once more, slowly: all that each run found, one after the other."""
    at = []
    for run in (each for each in lines if each.state == "ok"):
        answer = run.answers["p"]
        stretches = [
            (found.start or answer.since, found.end or answer.until + MICRO)
            for name, found in (answer.found or {}).items()
            if (found.subject or name) == subject
        ]
        if answer.found is None and answer.findings:
            stretches = [(answer.since, answer.until + MICRO)]
        at += [run.at for first, last in stretches if first < end and start < last]
    return min(at, default=None)


@settings(max_examples=60)
@given(made=runs, span=spans, subject=st.sampled_from("abc"))
def test_what_a_line_leaves_out_is_known_by_an_earlier_one(made: list, span: list[datetime], subject: str) -> None:
    """The first run that found something is the same by the lines as by all that the runs found."""
    whole, lines = [], []
    for number, (answer, hour, ok, named) in enumerate(made, 1):
        answer = answer if named else replace(answer, found=None)
        run = line(number, hour, answer, ok=ok)
        whole.append(run)
        lines.append(replace(run, answers=all_news(lines, run.answers, run.at)))

    assert Known(lines, {"p"}).first("p", subject, *span) == first_of(whole, subject, *span)
    assert Known(lines, {"q"}).first("p", subject, *span) is None


def test_the_same_again_adds_nothing_to_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line names what is new, and what went on; nothing where that would be too much."""
    ended, on, timeless = Found("s", NOON, NOON + HOUR), Found("s", NOON + 2 * HOUR), Found()
    first = Answer("", NOON - HOUR, NOON + 3 * HOUR, "", 3, 3, 1, "", {"1": ended, "2": on, "3": timeless})
    lines = [line(1, 0, first, ok=True)]
    later = replace(first, until=NOON + 4 * HOUR)

    assert all_news(lines, {"p": first}, lines[0].at)["p"].found == {}
    assert all_news(lines, {"p": later}, lines[0].at)["p"].found == {"2": on, "3": timeless}
    wider = Found("s", NOON - HOUR, NOON + HOUR)
    assert all_news(lines, {"p": replace(first, found={"0": wider})}, lines[0].at)["p"].found == {"0": wider}
    assert all_news(lines, {"p": first}, lines[0].at - HOUR)["p"].found == first.found, "it began before"
    assert all_news([replace(lines[0], state="error")], {"p": first}, lines[0].at)["p"].found == first.found
    monkeypatch.setattr(known, "MOST", 2)
    assert all_news([], {"p": first}, NOON)["p"].found is None


def test_a_long_stretch_is_known_beside_short_ones() -> None:
    """One that begins before others and outlasts them is found in what they leave."""
    found = {"1": Found("s", NOON, NOON + 8 * HOUR), "2": Found("s", NOON + HOUR, NOON + 2 * HOUR)}
    lines = [line(1, 0, Answer("", NOON, NOON + 9 * HOUR, "", 2, 2, 1, "", found), ok=True)]

    assert Known(lines, {"p"}).first("p", "s", NOON + 3 * HOUR, NOON + 4 * HOUR) == lines[0].at
    assert Known(lines, {"p"}).first("p", "s", NOON + 8 * HOUR, NOON + 9 * HOUR) is None
