"""The pages in a real browser: nothing is asked of anywhere, nothing is complained about, everything fits."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from auditlake.display.templates import render_bytes, style_digest
from auditlake.display.text import Fact, Text
from auditlake.reports.page import render_page
from auditlake.retention.certificate import CertificatePage, DayRow, RuleRow
from tests.reports import samples
from tests.reports.test_hostile import PAYLOADS, poisoned
from tests.site import samples as site
from tests.soak import mostly
from tests.waiting import HANG_SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    # Playwright leaves pipes of its driver to the garbage collector; that is not about our pages.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AAA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice", "wcag2aaa"]
"""What the pages must meet, as axe-core calls it."""


def certificate() -> CertificatePage:
    """A certificate with something in each of its parts."""
    value = Text("a reason")
    facts = (Fact("Label", value, "a note"), Fact("Digest", Text("0" * 64), code=True))
    rule = RuleRow(value, "policy", value, ("PCI DSS: 10.5.1",), "keeps 12mo", "sha256:0", "9", "1")
    day = DayRow("2026-11-24", "rewritten", "9", "1", "1", "1", "0", ("0" * 64,), "1" * 64)
    return CertificatePage(
        style_digest(), "Certificate", "Certificate of deletion", "9 events deleted", "9 events went.", "1 stayed.",
        "c.json", facts[:1], facts, (rule,), facts, (day,), "1 day.", facts, facts, (value,), (value,), value, facts,
    )  # fmt: skip


SIBLINGS = {"json_file": "report.json", "index_file": "index.html"}
PAGES = {
    "violation": lambda: render_page(*samples.violation(), **SIBLINGS),
    "compliant": lambda: render_page(*samples.compliant(), **SIBLINGS),
    "no_data": lambda: render_page(*samples.no_data(), **SIBLINGS),
    "year": lambda: render_page(*samples.violation(365, threshold=400), **SIBLINGS),
    "short": lambda: render_page(*samples.violation(10), **SIBLINGS),
    "script": lambda: render_page(*poisoned(PAYLOADS[1]), **SIBLINGS),
    "long": lambda: render_page(*poisoned("W" * 4000), **SIBLINGS),
    "index": lambda: render_bytes(site.index()),
    "month": lambda: render_bytes(site.month()),
    "trend": lambda: render_bytes(site.trend("W" * 400)),
    "framework": lambda: site.pages()[f"{site.STEM}.html"],
    "control": site.control,
    "certificate": lambda: render_bytes(certificate()),
    "hostile": lambda: site.pages("W" * 4000)[f"{site.STEM}.html"],
}
TEMPLATES = ("short", "index", "month", "trend", "framework", "control", "certificate")
"""A page of each template."""
SCREENS = {"wide": (1280, "light"), "dark": (1280, "dark"), "phone": (390, "light")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, if this machine has it."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages as files."""
    folder = tmp_path_factory.mktemp("pages")
    for name, made in PAGES.items():
        (folder / f"{name}.html").write_bytes(made())
    return {name: folder / f"{name}.html" for name in PAGES}


class Screen:
    """One page of a browser: what is shown on it, what it complained about and what it asked for."""

    def __init__(self, browser: Browser) -> None:
        self.page = browser.new_context().new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.set_default_timeout(HANG_SECONDS * 1000)

    def show(self, path: Path, screen: str) -> Page:
        """Load a page afresh, on a screen of this size and scheme."""
        width, scheme = SCREENS[screen]
        self.page.emulate_media(media="screen", color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": 900})
        self.complaints.clear()
        self.requests.clear()
        self.page.goto(path.as_uri(), wait_until="load")
        return self.page


@pytest.fixture(scope="module")
def shown(browser: Browser) -> Screen:
    """A page for all tests: each of its own would take a process of the browser's."""
    return Screen(browser)


@pytest.mark.parametrize(
    ("name", "screen"),
    mostly(
        product(PAGES, SCREENS),
        # What is too wide is so on a phone first; colours come from one style.
        always=[*((name, "phone") for name in PAGES), *product(("violation", "framework"), SCREENS)],
    ),
)
def test_page_in_browser(shown: Screen, files: dict[str, Path], name: str, screen: str) -> None:
    """No console message, no error, no request but the file itself, no page wider than the screen, style applied."""
    page = shown.show(files[name], screen)
    assert page.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen][0]
    assert page.evaluate("getComputedStyle(document.body).fontSize") == "15px"
    assert page.evaluate("document.scripts.length") == 0
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(16, 19, 22)") == (screen == "dark")
    assert shown.complaints == []
    assert shown.requests == [files[name].as_uri()]


_BROKEN = r"""() => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), range = new Range();
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.parentElement.closest("table, .status, .state, .figures") || node.parentElement.closest(".parameters")) {
      continue;
    }
    for (const word of node.data.matchAll(/[^\s-]{1,24}(?![^\s-])/g)) {
      if (word.index && /[^\s-]/.test(node.data[word.index - 1])) { continue; }
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) { found.push(word[0]); }
    }
  }
  return found;
}"""


@pytest.mark.parametrize("screen", ["wide", "phone"])
@pytest.mark.parametrize("name", ["violation", "index"])
def test_words_are_whole(shown: Screen, files: dict[str, Path], name: str, screen: str) -> None:
    """No word of a table's value is broken inside, on a phone neither: the table scrolls."""
    page = shown.show(files[name], screen)
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate(_BROKEN) == []


def test_everybody_can_read_them(browser: Browser, files: dict[str, Path]) -> None:
    """axe-core finds no violation on a page of each template, open or folded, and no weak colour in the dark."""
    axe = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text()
    colours = ["color-contrast", "color-contrast-enhanced"]
    asked = {"light": {"type": "tag", "values": AAA}, "dark": {"type": "rule", "values": colours}}
    # Our pages allow no script of anybody; the browser lets this one in from outside.
    page, found = browser.new_context(bypass_csp=True).new_page(), {}
    for name in TEMPLATES:
        page.goto(files[name].as_uri(), wait_until="load")
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        page.evaluate(script)
        for scheme, rules in asked.items():
            page.emulate_media(color_scheme=scheme)
            options = {"runOnly": rules, "resultTypes": ["violations"]}
            said = page.evaluate("options => axe.run(document, options)", options)
            found[name, scheme] = [(each["id"], each["nodes"][0]["html"]) for each in said["violations"]]
    page.context.close()
    assert found == {(name, scheme): [] for name in TEMPLATES for scheme in asked}


def test_a_framework_prints_on_few_pages(shown: Screen, files: dict[str, Path]) -> None:
    """On paper no table of a framework is clipped, and the sample takes four pages of A4."""
    page = shown.show(files["framework"], "wide")
    page.emulate_media(media="print")
    made = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", made)) <= 4
    page.set_viewport_size({"width": 680, "height": 960})
    clipped = "[...document.querySelectorAll('.scroll')].filter(part => part.scrollWidth > part.clientWidth + 1).length"
    assert page.evaluate(clipped) == 0


def test_print(shown: Screen, files: dict[str, Path]) -> None:
    """On paper what is folded away is open, nothing scrolls, and SQL is not clipped."""
    page = shown.show(files["violation"], "wide")
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = false)")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 680, "height": 960})
    heights = page.evaluate("[...document.querySelectorAll('details')].map(part => part.clientHeight)")
    assert min(heights) > 60
    clipped = page.evaluate(
        "[...document.querySelectorAll('pre, .scroll')].filter(part => part.scrollWidth > part.clientWidth + 1).length"
    )
    assert clipped == 0
    assert len(page.pdf(prefer_css_page_size=True)) > 10_000
    assert shown.complaints == []
