"""Old pages go by a setting, with an entry before the first of them; what anybody named stays, and so does the JSON."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import auditlake
from auditlake import AuditLake
from auditlake.disk.layout import framework_stem, instant_in_name, report_stem
from auditlake.errors import LakeFormatError
from auditlake.facets.decisions import write_down
from auditlake.findings.decisions import Acceptance, Resolution, Review, Statement, Subject
from auditlake.runs.model import PackedEvidence, Pruning, Run
from auditlake.runs.recorder import record_evidence
from auditlake.testing import Clock
from tests.cli.conftest import Run as Command
from tests.cli.conftest import run  # noqa: F401 - a fixture
from tests.lakes import create
from tests.packs.text import HOUSE, TYPES
from tests.site.test_write import dead_links
from tests.templates import copy_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ENDINGS = ("html", "json")
WHO = {"by": "ana", "system_user": "root"}


def empty(folder: Path) -> None:
    create(folder / "lake", event_types=TYPES, clock=lambda: NOW)


def pages_of(at: datetime, snapshot: int) -> tuple[str, ...]:
    """The stems of the pages of a night: two policies, a framework, and one of its controls."""
    framework = framework_stem("house-rules", at, snapshot)
    return (
        report_stem("failed_logins", at, snapshot), report_stem("other", at, snapshot), framework,
        f"control_house-rules_7.4{framework.removeprefix('framework_house-rules')}",
    )  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def lake(tmp_path: Path, clock: Clock) -> AuditLake:
    """A lake that keeps pages for 10 days, with the pages of twenty nights: the last as of now."""
    lake = auditlake.open(copy_of(empty, tmp_path) / "lake", clock=clock)
    with lake.layout.config.open("a") as file:
        file.write('\n[reports]\nkeep_pages = "10d"\n')
    for night in range(20):
        for stem in pages_of(NOW - night * DAY, 40 - night):
            for ending in ENDINGS if not stem.startswith("control") else ENDINGS[:1]:
                (lake.layout.reports / f"{stem}.{ending}").write_text("<html>")
    return auditlake.open(lake.layout.root, clock=clock)


def nights(names: Sequence[str]) -> set[int]:
    """Which nights have a page among names, the newest is 0."""
    return {night for night in range(20) for name in names if instant_in_name(NOW - night * DAY) in name}


def there(lake: AuditLake) -> list[str]:
    return [path.name for path in lake.layout.reports.glob("*_v*.html")]


def test_old_pages_go_and_their_json_stays(lake: AuditLake) -> None:
    """Every page of the nights before, with an entry that names them; the index links to what is left."""
    json_files = {path.name for path in lake.layout.reports.glob("*.json")}
    planned = lake.routine.pruning()
    assert (planned.keep, planned.before, planned.kept) == ("10d", NOW - 10 * DAY, {})
    assert nights(planned.pages) == {*range(11, 20)}
    assert (len(planned.pages), planned.size) == (9 * 4, 9 * 4 * 6)
    assert lake.routine.prune() == planned
    assert nights(there(lake)) == {*range(11)}
    assert {path.name for path in lake.layout.reports.glob("*.json")} == json_files
    (entry,) = lake.runs.all()
    assert isinstance(entry, Pruning)
    assert (entry.pages, entry.keep, entry.before) == (planned.pages, "10d", NOW - 10 * DAY)
    assert dead_links(lake.layout.reports) == []
    assert lake.routine.prune().pages == ()
    assert len(lake.runs.all()) == 1


def test_what_a_template_made_is_no_page(lake: AuditLake) -> None:
    """A page that a user's template made is never taken, and keeps no page of auditlake's own."""
    stem = pages_of(NOW - 15 * DAY, 25)[0]
    (letter := lake.layout.reports / f"{stem}.letter.html").write_text("<p>mine")
    assert nights(lake.routine.prune().pages) == {*range(11, 20)}
    assert letter.read_text() == "<p>mine"


def test_all_pages_stay_by_default(lake: AuditLake) -> None:
    """Without the setting nothing goes, and a length that is none is told."""
    settings = lake.layout.config.read_text()
    lake.layout.config.write_text(settings.replace("\n[reports]\n", "\n# [reports]\n").replace("keep_pages", "# keep"))
    assert auditlake.open(lake.layout.root).routine.prune().before is None
    lake.layout.config.write_text(settings.replace("10d", "soon"))
    with pytest.raises(LakeFormatError, match=r"reports\.keep_pages: expected a length of time"):
        auditlake.open(lake.layout.root)
    assert len(there(lake)) == 80


def review(
    night: int, *, at: datetime | None = None, policies: tuple[str, ...] = ("failed_logins",), **more: object
) -> Review:
    as_of = NOW - night * DAY
    return Review(
        0, at or as_of, policies[0], as_of, 1, "compliant", "sha256:00", **WHO, note="seen", since=as_of - DAY,
        until=as_of, policies=policies, **more,
    )  # fmt: skip


MINUTE = timedelta(minutes=1)
SUBJECT = Subject("failed_logins", "coverage_gap", "", "login")
NAMED = {
    "a review of this very report": (review(15), {15}),
    "a review of a period that ended then": (
        replace(review(15), as_of=NOW - 15 * DAY + MINUTE, at=NOW - 16 * DAY - MINUTE), {15, 17},
    ),
    "a review when it was the newest": (
        replace(review(15), as_of=NOW - 14.5 * DAY, until=NOW - 14.5 * DAY, at=NOW - 14.5 * DAY), {15},
    ),
    "a review for a pack": (replace(review(15), policy_id="gone", policies=("gone",), pack="house-rules"), {15}),
    "a review of a policy without pages": (review(15, policies=("gone",)), set()),
    "an acceptance": (
        Acceptance(
            0, NOW - 12 * DAY, "0" * 16, SUBJECT, None, NOW - 16 * DAY, NOW - 18 * DAY, NOW, "known", "bea", **WHO
        ),
        {16, 18, 12},
    ),
    "an acceptance of a finding over records": (
        Acceptance(0, NOW - 16 * DAY, "0" * 16, replace(SUBJECT, policy_id="house-rules/7.4"), None, NOW - 16 * DAY,
                   NOW - 16 * DAY, NOW, "known", "bea", **WHO), {16},
    ),
    "a resolution": (
        Resolution(0, NOW - 13 * DAY, "0" * 16, SUBJECT, None, None, NOW - 19 * DAY, NOW - 14 * DAY, "done", **WHO),
        {13, 14},
    ),
    "a statement": (
        Statement(0, NOW - 13 * DAY, "house-rules", "7.4", "met", "looked", NOW, **WHO), set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "stay"), NAMED.values(), ids=NAMED.keys())
def test_what_a_person_named_stays(lake: AuditLake, entry: Review, stay: set[int]) -> None:
    """With all pages that were made with it, since they link to one another."""
    write_down(lake._context, entry)
    done = lake.routine.prune()
    assert nights(there(lake)) - {*range(11)} == stay
    assert done.kept == ({"named by a review or a decision": 4 * len(stay)} if stay else {})
    assert len(there(lake)) == 4 * (11 + len(stay))


def test_an_evidence_pack_on_record_keeps_its_report(lake: AuditLake) -> None:
    """Of that snapshot; the packs that are written say so themselves, be it of a policy or of a framework."""
    at = NOW - 15 * DAY
    record_evidence(lake._context, ("other",), at, 25, "00")
    record_evidence(lake._context, ("other",), NOW - 16 * DAY, 9, "00")
    assert lake.routine.prune().kept == {"in an evidence pack": 4}
    assert nights(there(lake)) - {*range(11)} == {15}
    pack = lake.evidence("failed_logins", lake.layout.root.parent / "pack.zip", last="30d")
    entry = lake.runs.all()[-1]
    assert isinstance(entry, PackedEvidence)
    assert (entry.about, entry.as_of, entry.snapshot, entry.sha256) == (("failed_logins",), NOW, 0, pack.sha256)


def test_the_newest_and_what_has_no_json_stay(lake: AuditLake) -> None:
    """The last page of a policy that is judged no more, and a page that alone says what was found."""
    old = report_stem("gone", NOW - 14 * DAY, 26)
    for ending in ENDINGS:
        (lake.layout.reports / f"{old}.{ending}").write_text("")
    (lake.layout.reports / f"{report_stem('other', NOW - 17 * DAY, 23)}.json").unlink()
    (lake.layout.reports / f"{framework_stem('house-rules', NOW - 18 * DAY, 22)}.json").unlink()
    done = lake.routine.prune()
    assert done.kept == {"the newest of a policy or framework": 5, "without their JSON": 8}
    assert nights(there(lake)) - {*range(11)} == {14, 17, 18}


def test_nothing_goes_within_the_retention_of_a_pack_or_while_it_cannot_be_told(lake: AuditLake) -> None:
    """The longest of all packs counts where it is longer; one that cannot be used, or a hold, keeps every page."""
    lake.layout.packs.mkdir()
    lake.layout.pack("house-rules").write_text(HOUSE)
    lake.layout.frameworks.write_text("packs:\n  house-rules:\n    revision: 2026-11-30.1\n")
    longest = max(each.retention_period.microseconds for each in lake.packs.get("house-rules").policies.values()
                  if each.retention_period)  # fmt: skip
    assert lake.routine.prune().before == NOW - timedelta(microseconds=longest) < NOW - 20 * DAY
    lake.layout.frameworks.write_text("packs:\n  house-rules:\n    revision: '1'\n")
    assert "house-rules cannot be used" in lake.routine.prune().obstacles[0]
    lake.layout.frameworks.unlink()
    lake.holds.add("case", reason="court", owner="bea", ticket="1")
    assert lake.routine.prune().obstacles == ("the hold case is active",)
    lake.layout.hold("case").write_text("[")
    assert "case.yaml" in lake.routine.prune().obstacles[0]
    lake.layout.hold("case").unlink()
    lake.layout.journal.parent.mkdir(exist_ok=True)
    lake.layout.journal.write_text("{}\n")
    assert "journal" in lake.routine.prune().obstacles[0]
    assert len(there(lake)) == 80
    lake.layout.journal.unlink()
    assert len(lake.routine.prune().pages) == 36


def test_the_commands(lake: AuditLake, clock: Clock, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """prune shows the plan and asks, nightly does it without asking, and both put it on record."""
    for command in ("prune", "routine", "runs"):
        monkeypatch.setattr(f"auditlake.cli.{command}.opened", lambda _: lake)
    monkeypatch.setattr("auditlake.site.prune._LINE", 30)
    place = ["--lake", str(lake.layout.root)]
    shown = run(*place, "prune", "--dry-run")
    assert "36 pages of reports as of before 2026-11-14 (10d)" in shown.out
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run(*place, "prune").code == 1
    assert len(there(lake)) == 80
    done = run(*place, "prune", "--yes", "--json")
    assert (done.code, len(done.json["pages"]), done.json["removed"]) == (0, 36, True)
    assert [len(each.pages) for each in lake.runs.all() if isinstance(each, Pruning)] == [30, 6]
    assert "36 pages" not in run(*place, "runs").out
    assert "30 pages from before 2026-11-14, kept for 10d" in run(*place, "runs").out
    clock.now += DAY
    night = run(*place, "nightly", "--json")
    assert night.json["steps"][-1]["said"] == "4 pages older than 10d removed, 0 kept"


KILLED = """
import os, shutil, sys
sys.path.insert(0, {root!r})
from datetime import timedelta
from pathlib import Path
import auditlake
from auditlake.runs.model import Pruning
from tests.site.test_prune import NOW, dead_links

first, most = Path(sys.argv[1]), 0
auditlake.open(first, clock=lambda: NOW).routine.pruning()
while True:
    folder = first.with_name(f"lake{{most}}")
    shutil.copytree(first, folder)
    lake = auditlake.open(folder, clock=lambda: NOW)
    before = {{path.name for path in lake.layout.reports.iterdir()}}
    if (child := os.fork()) == 0:
        left = [most]
        def dying(real):
            def call(*arguments, **options):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return real(*arguments, **options)
            return call
        for name in ("mkdir", "pwrite", "ftruncate", "replace", "fsync", "unlink"):
            setattr(os, name, dying(getattr(os, name)))
        lake.routine.prune()
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    gone = before - {{path.name for path in lake.layout.reports.iterdir()}}
    said = {{name for each in lake.runs.all() if isinstance(each, Pruning) for name in each.pages}}
    assert gone <= said, (most, gone - said)
    assert not gone or dead_links(lake.layout.reports) == [], most
    lake.routine.prune()
    left = {{path.name for path in lake.layout.reports.glob("*_v*.html")}}
    assert most == 0 or left == kept, most
    kept = left
    assert dead_links(lake.layout.reports) == []
    shutil.rmtree(folder)
    if ended:
        break
    most += 1
print(most)
"""


def test_killed_at_any_call_nothing_goes_unsaid(lake: AuditLake) -> None:
    """A page that has gone is on record, and the next pruning does the rest."""
    for path in lake.layout.reports.iterdir():
        if nights([path.name]) - {0, 19} or path.name.startswith("compliance_other"):
            path.unlink()
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(root=root), lake.layout.root], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 8


def test_a_run_keeps_its_answers(lake: AuditLake) -> None:
    """What a page said is on record whether the page is there or not."""
    with lake.runs.recorded() as made:
        made.reports("failed_logins", last="30d")
    lake.routine.prune()
    assert [type(each) for each in lake.runs.all()] == [Run, Pruning]
