"""The names of a report's files: another name for another content, and the same one for the same again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from auditlake.disk.layout import REPORT_FILE
from auditlake.errors import ReportError
from auditlake.reports.compliance import ComplianceReport
from auditlake.site.index import write_index
from tests.reports import samples

REPORT, DETAIL = samples.compliant()
STEM = f"compliance_{REPORT.policy_id}_{REPORT.as_of:%Y%m%dT%H%M%SZ}_v{REPORT.evidence.snapshot}"


def made(**changes: Any) -> ComplianceReport:
    return ComplianceReport(replace(REPORT, **changes), DETAIL)


def names(paths: Iterable[Path]) -> list[str]:
    return sorted(path.name for path in paths)


def test_what_differs_has_another_name(tmp_path: Path) -> None:
    """Reports of one second, of other policies or in other formats lie side by side, whole, and each again the same."""
    asked = [
        (made(), ("json", "html")),
        (made(as_of=REPORT.as_of + timedelta(microseconds=7)), ("json", "html")),
        (made(description="of the policy as it was edited"), ("json", "html")),
        (made(), ("html",)),
        (made(description="as it was edited again"), ("json",)),
        (made(), ("json",)),
    ]
    written = [each.write(tmp_path, formats) for each, formats in asked]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    assert [each.write(tmp_path, formats) for each, formats in asked] == written
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert names(written[0]) == [f"{STEM}.html", f"{STEM}.json"]
    assert names(written[5]) == [f"{STEM}.json"]
    assert len({path for paths in written for path in paths}) == 2 * 3 + 1 + 1
    for (each, formats), paths in zip(asked, written, strict=True):
        assert [path.suffix[1:] for path in paths] == list(formats)
        assert all(REPORT_FILE.match(path.name) for path in paths)
        assert formats == ("html",) or paths[0].read_bytes() == each.json()
        if formats == ("json", "html"):  # a page leads to the JSON beside it
            assert paths[0].name.encode() in paths[1].read_bytes()


def test_a_page_alone_leaves_its_name_to_no_other_json(tmp_path: Path) -> None:
    """A JSON is never put beside a page of another report."""
    (page,) = made().write(tmp_path, ("html",))
    (other,) = made(description="edited").write(tmp_path, ("json",))
    assert page.stem == STEM != other.stem


def test_the_list_tells_them_apart(tmp_path: Path) -> None:
    """Where two reports of a run are of one policy and period, the list has digits of each; where not, it has none."""
    first = made().write(tmp_path)
    assert f"<bdi>{REPORT.policy_id}</bdi>" in write_index(tmp_path).read_text()
    second = made(description="edited").write(tmp_path)
    listed = write_index(tmp_path).read_text()
    pages = [path.name for path in (*first, *second) if path.suffix == ".html"]
    assert all(f'href="{name}"' in listed for name in pages)
    digest = second[0].stem.rpartition("_")[2]
    assert f"<bdi>{REPORT.policy_id}, {digest}</bdi>" in listed


def test_nothing_of_somebody_else_is_overwritten(tmp_path: Path) -> None:
    """Other bytes, a folder or a link to nothing under a report's name are left alone, under both of its names."""
    (tmp_path / f"{STEM}.json").symlink_to("nowhere")
    (path,) = made().write(tmp_path, ("json",))
    assert path.read_bytes() == made().json()
    path.unlink()
    path.mkdir()
    with pytest.raises(ReportError, match="never overwritten"):
        made().write(tmp_path, ("json",))
    assert (tmp_path / f"{STEM}.json").is_symlink()
    assert path.is_dir()
