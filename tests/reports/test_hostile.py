"""Text from events and policies is hostile: it stays text."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from auditlake.display.templates import render_bytes
from auditlake.display.text import SHOWN_CHARACTERS, UNSEEN, shown, visible
from auditlake.policies.kinds.coverage import CoverageAnswer
from auditlake.policies.model import RetentionConflict
from auditlake.reports.document import render_json
from auditlake.reports.model import Detail, Query, Report, SampleEvent
from auditlake.reports.page import render_page
from auditlake.site.entries import Folder
from auditlake.site.index import index_pages
from tests.reports import samples

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "corpora" / "naughty-strings" / "blns.json"

PAYLOADS = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</code></pre><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' autofocus onfocus='alert(1)",
    "javascript:alert(1)",
    "https://evil.example/?q=1",
    "data:text/html;base64,PHNjcmlwdD4=",
    '<a href="javascript:alert(1)">x</a>',
    "<svg/onload=alert(1)>",
    "<!-- ",
    "-->",
    "]]>",
    "&lt;b&gt;&#x3c;&amp;",
    "{{ 7 * 7 }}{% raw %}{# #}",
    "${7*7}",
    "\x1b[2J\x1b]0;title\x07\x1b[31mred",
    "\x9b31mC1\x90\x9c",
    "a\rb\nc\td\x00e\x7f",
    "\u202eevil\u2066\u2069\u200b\u200d\ufeff\u00ad\u2028\u2029",
    "\U000e0041\U000e007f tag characters",
    "\ud800 half a pair \udfff",
    "\ufffe\uffff",
    "Z\u0351\u036b\u0343\u032a\u0302" * 30,
    "\u05d0\u05d1\u05d2 abc \u0645\u0631",
    "=cmd|' /C calc'!A0",
    "x" * 100_000,
    "<" * 5000,
    "",
    " ",
    "__proto__",
]  # fmt: skip


class Outline(HTMLParser):
    """The tags of a page with their attributes' names, and its text."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, ...]] = []
        self.links: list[str | None] = []
        self.text: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes a tag."""
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.links += [value for name, value in attrs if name in {"href", "src", "action", "formaction", "xlink:href"}]

    def handle_endtag(self, tag: str) -> None:
        """Notes the end of one."""
        self.tags.append((f"/{tag}",))

    def handle_comment(self, data: str) -> None:
        """There is none in our pages."""
        self.tags.append(("comment", data))

    def handle_data(self, data: str) -> None:
        """Notes text."""
        self.text.append(data)


def poisoned(text: str) -> tuple[Report, Detail]:
    """A small report with the text in every place that an event or a policy can fill."""
    full = text or "x"
    report = samples.small()
    gap, missing, episode = report.violations
    event = SampleEvent(samples.AS_OF, text, text, text, text, text, text, text, text)
    days = tuple(day.date for day in report.threshold.daily_peaks)
    hostile = replace(
        report,
        policy_name=text,
        description=text,
        controls={text: (text, text)},
        events_by_type={full: 9, "missing one": 0},
        last_seen={full: samples.AS_OF, "missing one": None},
        violations=(
            replace(gap, event_type=full, message=full),
            replace(missing, event_type=full, message=full),
            replace(episode, group={"user_id": text, "resource": text}, message=full),
        ),
        threshold=replace(report.threshold, window=full, where=full),
        coverage=CoverageAnswer(full, report.coverage.silent_days),
        retention=replace(
            report.retention, retention_period=full, conflicts=(RetentionConflict(full, "a", full, "b", full),)
        ),
        evidence=replace(report.evidence, lake_id=full, queries=(Query(full, full, {text: text, "more": [text]}, 1),)),
    )
    counts = {full: (4, 5), "missing one": (0, 0)}
    return hostile, Detail(days, counts, {episode.id: (event, replace(event, user_id=None))}, days[0])


def harmless(text: str) -> str:
    """A text that nobody can mind, as long as the hostile one."""
    return "x" * len(text)


def naughty() -> list[str]:
    """The big list of naughty strings, if this machine has it."""
    if not CORPUS.exists():
        pytest.skip(f"no corpus of naughty strings at {CORPUS}")
    strings: list[str] = json.loads(CORPUS.read_text(encoding="utf-8"))
    return strings


def page(text: str) -> str:
    return render_page(*poisoned(text), json_file="r.json", index_file="index.html").decode()


@cache
def outline_of(text: str) -> Outline:
    return Outline(page(text))


def stays_text(text: str) -> None:
    """Asserts that the text changes nothing but text, in every form."""
    markup = page(text)
    outline, expected = Outline(markup), outline_of(harmless(text))
    assert outline.tags == expected.tags
    assert outline.links == expected.links
    assert not any(tag[0] in {"script", "iframe", "object", "embed", "comment"} for tag in outline.tags)
    assert set(UNSEEN.findall(markup)) <= {"\n"}
    if 0 < len(text) <= SHOWN_CHARACTERS:
        assert outline.text.count(visible(text)) >= 14

    entry, folder = replace(samples.entries()[0], policy_name=text), Folder(Path())
    listed = render_bytes(index_pages(folder, [entry])["index.html"]).decode()
    tame = render_bytes(index_pages(folder, [replace(entry, policy_name=harmless(text))])["index.html"]).decode()
    assert Outline(listed).tags == Outline(tame).tags
    assert set(UNSEEN.findall(listed)) <= {"\n"}

    report, _ = poisoned(text)
    written = render_json(report).decode()
    assert set(UNSEEN.findall(written)) <= {"\n"}
    parsed = json.loads(written)
    assert parsed["policy_name"] == text
    assert parsed["violations"][2]["group"] == {"user_id": text, "resource": text}
    assert parsed["evidence"]["queries"][0]["parameters"] == {text: text, "more": [text]}


@pytest.mark.parametrize("text", PAYLOADS, ids=lambda text: ascii(text)[:40])
def test_payloads(text: str) -> None:
    """Script, attribute, URL, template, terminal and direction attacks stay text."""
    stays_text(text)


def test_naughty_strings() -> None:
    """So does every tenth naughty string that people have collected."""
    for text in naughty()[::10]:
        stays_text(text)


@pytest.mark.soak
def test_all_naughty_strings() -> None:
    """So does every one of them."""
    for text in naughty():
        stays_text(text)


def test_every_line_of_json_is_the_report_s_own() -> None:
    """A line break in a value does not begin a line of the JSON file."""
    plain, forged = (render_json(poisoned(text)[0]).count(b"\n") for text in ("a", 'a\n"status": "compliant"\r\n'))
    assert plain == forged


def test_long_values_say_their_length() -> None:
    """A value that is cut says how long it is."""
    value = shown("y" * 12_345)
    assert value.text == "y" * SHOWN_CHARACTERS
    assert value.rest == "cut: 12,345 characters in all"


def test_null_and_empty_are_told_apart() -> None:
    """A column that is null, one that is empty and one that says "none" look different."""
    assert [shown(value).kind for value in (None, "", "none")] == ["none", "empty", "text"]


def test_samples_are_few() -> None:
    """However many events come with an episode, the page shows five."""
    report, detail = poisoned("needle")
    (key, events), *_ = detail.samples.items()
    many = tuple(replace(events[0], timestamp=samples.AS_OF - timedelta(seconds=number)) for number in range(50))
    markup = render_page(report, replace(detail, samples={key: many})).decode()
    assert markup.split("Events behind episode 1", 1)[1].split("</table>", 1)[0].count("<tr>") == 6
