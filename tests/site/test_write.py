"""A site in a folder: what is written, and that no link leads nowhere."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from auditlake.disk.layout import FRAMEWORK_FILE
from auditlake.site.index import write_index
from auditlake.site.write import write_site
from tests.site import samples


def dead_links(folder: Path) -> list[tuple[str, str]]:
    """Links of pages to files that are not beside them, or to places that a page has not."""
    dead, anchors, links = [], {}, []
    for path in sorted(folder.glob("*.html")):
        ids: set[str] = set()
        anchors[path.name] = ids

        class Reader(HTMLParser):
            def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]], ids=ids, path=path) -> None:
                """Notes links and places."""
                values = dict(attrs)
                ids.add(values.get("id") or "")
                if tag == "a":
                    links.append((path.name, values["href"] or ""))

        Reader().feed(path.read_text())
    for page, link in links:
        name, _, place = link.partition("#")
        target = name or page
        if not (folder / target).is_file() or "/" in link or (place and place not in anchors[target]):
            dead.append((page, link))
    assert links
    return dead


@pytest.mark.parametrize("formats", [("json", "html"), ("html",)])
@pytest.mark.parametrize("every_control", [True, False])
def test_no_link_leads_nowhere(tmp_path: Path, formats: tuple[str, ...], every_control: bool) -> None:
    """In a folder that was mailed, each link of each page leads to a file that is there."""
    framework, policy = samples.made()
    folder = tmp_path / "reports"
    for reports in ((policy,), ()):  # with the page of the policy, and without it
        written = write_site(reports, (framework,), folder, formats=formats, every_control=every_control)
        write_index(folder)
        shutil.copytree(folder, tmp_path / "mailed")
        assert dead_links(tmp_path / "mailed") == []
        pages = [path for path in written.frameworks[0] if path.name.startswith("control_")]
        assert len(pages) == (11 if every_control else 4)
        assert all(FRAMEWORK_FILE.match(path.name) for path in written.frameworks[0])
        if reports:
            markup = written.reports[0][-1].read_text()
            assert f'href="{pages[0].name}"' in markup
            assert "House rules" in markup or "what others wrote" in markup
        shutil.rmtree(tmp_path / "mailed")
        shutil.rmtree(folder)


def test_the_same_again_is_left_as_it_is(tmp_path: Path) -> None:
    """A site that is written again has the same files; another report of the same name gets a name of its own."""
    framework, policy = samples.made()
    first = write_site((policy,), (framework,), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert write_site((policy,), (framework,), tmp_path) == first
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    other, _ = samples.made("something else")
    second = write_site((), (other,), tmp_path).frameworks[0]
    assert not set(second) & set(before)
    write_index(tmp_path)
    assert dead_links(tmp_path) == []


def test_json_alone_has_no_pages(tmp_path: Path) -> None:
    """Who asks for JSON gets the reports, and the index."""
    framework, policy = samples.made()
    write_site((policy,), (framework,), tmp_path, formats=("json",))
    write_index(tmp_path)
    assert [path.name for path in tmp_path.glob("*.html")] == ["index.html"]
    assert dead_links(tmp_path) == []
