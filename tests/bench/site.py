"""The index of reports after a year of runs: what its writing takes, and how large it is.

The rival reads every report, as a list of reports does that has no journal of runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench.data import SMALL, Place
from tests.bench.work import Work

POLICIES, DAYS = 20, 365
_FIRST, _DAY = datetime(2026, 1, 1, 0, 15, tzinfo=UTC), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Listed:
    """The newest status of each policy, how long that took, and how large the page is."""

    statuses: Mapping[str, str]
    seconds: float
    size: int = 0


def works() -> dict[str, Work]:
    """The index from the runs, and one from every report."""
    sides = {"ours": _from_runs, "every report read": _from_reports}
    return {
        name: Work(run, lambda made: made.statuses, lambda made: made.seconds, lambda made: made.size / 1000)
        for name, run in sides.items()
    }


def _made(place: Place, folder: Path) -> tuple[Path, Path]:
    """Make a year of daily runs in a folder, a few days to warm up on; return the lake and its reports."""
    from auditlake.disk.layout import Layout, report_stem
    from auditlake.reports.document import render_json
    from auditlake.runs.journal import entry_dict
    from auditlake.runs.model import Answer, Declaration, Run, Schedule
    from auditlake.yaml_reader import digest_of
    from tests.frameworks.cases import length
    from tests.reports import samples

    layout = Layout(folder)
    for path in (layout.reports, layout.run_journal.parent):
        path.mkdir()
    nightly = Schedule("nightly", length("1d"), "00:15", ("all",), length("6h"))
    lines = [json.dumps(entry_dict(Declaration(1, _FIRST - _DAY, "0", "ops", {"nightly": nightly})))]
    made = {"violation": samples.violation(30)[0], "compliant": samples.compliant()[0]}
    for day in range(15 if place.events <= SMALL else DAYS):
        at, answers = _FIRST + day * _DAY, {}
        for number in range(POLICIES):
            name = f"policy_number_{number:02}"
            status = "violation" if number < 3 or (day + number) % 13 == 0 else "compliant"
            report = replace(made[status], policy_id=name, as_of=at)
            content = render_json(replace(report, evidence=replace(report.evidence, snapshot=day)))
            stem = report_stem(name, at, day)
            (layout.reports / f"{stem}.json").write_bytes(content)
            (layout.reports / f"{stem}.html").touch()
            answers[name] = Answer("sha256:" + "0" * 64, at - 90 * _DAY, at, status, 3, 1, 999, digest_of(content))
        run = Run(day + 2, f"{day:016x}", at, at, "schedule", "0", "ops", at, at, day, 10**6, 3, "sha256:" + "0" * 64,
                  "ok", None, answers, {}, "nightly", at)  # fmt: skip
        lines.append(json.dumps(entry_dict(run), separators=(",", ":")))
    layout.run_journal.write_text("".join(f"{each}\n" for each in lines))
    return folder, layout.reports


def _from_runs(place: Place, folder: Path) -> Listed:
    from auditlake.disk.layout import Layout
    from auditlake.site.entries import Folder
    from auditlake.site.index import write_index

    root, reports = _made(place, folder)
    write_index(reports, Layout(root))  # the pages of the months before are there by then
    (newest,) = (
        reports.glob("index-2026-[0-9][0-9].html") if place.events <= SMALL else [reports / "index-2026-12.html"]
    )
    newest.unlink()
    began = time.process_time()
    index = write_index(reports, Layout(root))
    seconds = time.process_time() - began
    statuses = {each.policy_id: each.status for each in Folder.at(reports).newest_policies()}
    return Listed(statuses, seconds, index.stat().st_size)


def _from_reports(place: Place, folder: Path) -> Listed:
    from auditlake.disk import evidence_json
    from auditlake.reports.document import check_report

    _, reports = _made(place, folder)
    began = time.process_time()
    newest: dict[str, tuple[str, str]] = {}
    for path in reports.glob("*.json"):
        report = evidence_json.parse(path.read_bytes())
        check_report(report)
        newest[report["policy_id"]] = max(
            newest.get(report["policy_id"], ("", "")), (report["as_of"], report["status"])
        )
    return Listed({name: status for name, (_, status) in newest.items()}, time.process_time() - began)
