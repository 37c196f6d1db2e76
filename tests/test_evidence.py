"""Evidence packs: all that somebody needs who checks a report without auditlake."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake import AuditEvent, AuditLake
from auditlake.errors import ReportError
from tests.lakes import create

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = """\
name: Watched
description: What is watched.
required_events: [login, logout, auth_failure]
retention_period: 90d
alert_threshold: {threshold}
window: {window}
group_by: {group_by}
max_gap: {max_gap}
"""


def make(path: Path, group_by: str = "[user_id]", window: str = "1h", threshold: int = 2, gap: str = "2h") -> AuditLake:
    lake = create(path / "lake", clock=lambda: NOON)
    text = POLICY.format(group_by=group_by, window=window, threshold=threshold, max_gap=gap)
    (path / "watched.yaml").write_text(text)
    lake.policies.add(path / "watched.yaml")
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """An episode of ``=ann``, a gap in logins, and no logout at all."""
    lake = make(tmp_path)
    lake.ingest([
        AuditEvent("login", NOON - minutes * MINUTE, user_id="=ann", action="+1") for minutes in (600, 30, 29, 28)
    ])  # fmt: skip
    lake.ingest(AuditEvent("auth_failure", NOON - MINUTE))
    return lake


def stored(folder: Path, finding_id: str, columns: str) -> list[tuple[object, ...]]:
    """Columns of the events behind a finding, as anybody's DuckDB gives them."""
    with duckdb.connect() as connection:
        return connection.sql(f"select {columns} from '{folder}/events/{finding_id}.parquet'").fetchall()


def unpacked(pack: Path) -> Path:
    folder = pack.with_suffix("")
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(folder)
    return folder


def test_what_is_in_it(lake: AuditLake, tmp_path: Path) -> None:
    """The report in both forms, the SQL with its values, all policies, the events, and the digest of everything."""
    done = lake.evidence("watched", tmp_path / "pack.zip")
    folder = unpacked(done.path)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    manifest = json.loads((folder / "MANIFEST.json").read_bytes())

    assert done.sha256 == hashlib.sha256(done.path.read_bytes()).hexdigest()
    assert done.files == len(names)
    assert {"README.txt", "report.json", "report.html", "findings.csv", "sql/1_rolling_counts.sql"} < names
    assert (folder / "report.json").read_bytes() == lake.report("watched").json()
    assert {f"policies/{each.id}.yaml" for each in lake.policies.all()} < names
    assert set(manifest["files"]) == names - {"MANIFEST.json", "SHA256SUMS"}
    assert manifest["lake_id"] == lake.config.id
    assert 'href="report.json"' in (folder / "report.html").read_text()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_it_can_be_checked_by_others(lake: AuditLake, tmp_path: Path) -> None:
    """sha256sum checks every file, and finds the one that was changed."""
    folder = unpacked(lake.evidence("watched", tmp_path / "pack.zip").path)
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=folder, check=False, capture_output=True).returncode == 0
    listed = {line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    for name in listed:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert subprocess.run(check, cwd=folder, check=False, capture_output=True).returncode == 1, name
        (folder / name).write_bytes(data)


def test_the_bytes_are_the_same_each_time(lake: AuditLake, tmp_path: Path) -> None:
    """Two packs of the same are equal, byte for byte, but for the checkpoint: it says how far the ledger has come."""
    first = lake.evidence("watched", tmp_path / "one.zip", as_of=NOON)
    second = lake.evidence("watched", tmp_path / "two.zip", as_of=NOON)
    assert first.path.read_bytes() == second.path.read_bytes()

    lake.ingest(AuditEvent("logout", NOON))
    snapshot = first.report.report.evidence.snapshot
    later = lake.evidence("watched", tmp_path / "three.zip", as_of=NOON, snapshot=snapshot)
    before, after = (json.loads((unpacked(each.path) / "MANIFEST.json").read_bytes()) for each in (first, later))
    assert before["files"].pop("checkpoint.txt") != after["files"].pop("checkpoint.txt")
    assert before == after


def test_events_behind_each_kind(lake: AuditLake, tmp_path: Path) -> None:
    """Those that count in an episode, those around a gap, and none where a type is missing."""
    done = lake.evidence("watched", tmp_path / "pack.zip")
    folder = unpacked(done.path)
    found = {(each.kind, each.event_type): each.id for each in done.report.report.violations}
    episode, gap, = found["threshold_exceeded", None], found["coverage_gap", "login"]  # fmt: skip
    missing = found["missing_required_type", "logout"]

    assert (done.events[episode], done.events[gap], missing in done.events) == (3, 2, False)
    assert stored(folder, episode, 'minute("timestamp")') == [(30,), (31,), (32,)]
    assert not (folder / "events" / f"{missing}.parquet").exists()


def test_spreadsheets_run_nothing(lake: AuditLake, tmp_path: Path) -> None:
    """A text that looks like a formula has an apostrophe in every CSV file, and is as it was in the Parquet file."""
    done = lake.evidence("watched", tmp_path / "pack.zip")
    folder = unpacked(done.path)
    episode = next(each.id for each in done.report.report.violations if each.kind == "threshold_exceeded")
    rows = list(csv.DictReader(io.StringIO((folder / "events" / f"{episode}.csv").read_text())))
    assert {(row["user_id"], row["action"]) for row in rows} == {("'=ann", "'+1")}
    assert stored(folder, episode, "distinct user_id, action") == [("=ann", "+1")]
    for file in folder.rglob("*.csv"):
        cells = [cell for row in csv.reader(io.StringIO(file.read_text())) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_a_pack_is_never_overwritten(lake: AuditLake, tmp_path: Path) -> None:
    """A file of that name stays, and nothing else is left there."""
    (tmp_path / "pack.zip").write_bytes(b"mine")
    with pytest.raises(ReportError, match="is there already"):
        lake.evidence("watched", tmp_path / "pack.zip")
    assert (tmp_path / "pack.zip").read_bytes() == b"mine"
    with pytest.raises(ReportError, match="cannot be written"):
        lake.evidence("watched", tmp_path / "nowhere" / "pack.zip")
    assert not list(tmp_path.glob(".pack*"))


GROUPINGS = {"[]": lambda _user, _ip: (), "[user_id]": lambda user, _ip: (user,), "[user_id, ip_address]": lambda *g: g}
EVENTS = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from(["ann", "ben", None]), st.sampled_from(["::1", "10.0.0.1"])),
    max_size=25,
)


CASES = st.tuples(EVENTS, st.sampled_from(sorted(GROUPINGS)), st.integers(1, 4), st.integers(0, 100))
Case = tuple[list[tuple[int, str | None, str]], str, int, int]


@given(CASES)
@settings(max_examples=7, suppress_health_check=list(HealthCheck), deadline=None)
def test_the_events_are_those_that_count(tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """Behind an episode are exactly the events of its group that count at some moment of it, up to the period's end."""
    check_the_events_are_those_that_count(tmp_path_factory.mktemp("evidence"), *case)


@pytest.mark.soak
@given(CASES)
@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
def test_the_events_are_those_that_count_at_length(tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    """The same over many more cases."""
    check_the_events_are_those_that_count(tmp_path_factory.mktemp("evidence"), *case)


def check_the_events_are_those_that_count(
    path: Path, events: list[tuple[int, str | None, str]], grouping: str, least: int, begins: int
) -> None:
    lake = make(path, grouping, "10min", least, "400d")
    lake.ingest([
        AuditEvent("login", NOON - (200 - minute) * MINUTE, event_id=f"e{i}", user_id=user, ip_address=ip)
        for i, (minute, user, ip) in enumerate(events)
    ])  # fmt: skip
    since = NOON - (200 - begins) * MINUTE
    done = lake.evidence("watched", path / "pack.zip", since=since)
    folder = unpacked(done.path)
    for finding in done.report.report.violations:
        if finding.kind != "threshold_exceeded":
            continue
        group = tuple((finding.group or {}).values())
        assert finding.start is not None
        expected = {
            f"e{i}"
            for i, (minute, user, ip) in enumerate(events)
            if GROUPINGS[grouping](user, ip) == group
            and NOON - (200 - minute) * MINUTE > finding.start - 10 * MINUTE
            and (finding.end is None or NOON - (200 - minute) * MINUTE < finding.end)
        }
        found = stored(folder, finding.id, "event_id")
        assert {name for (name,) in found} == expected
        assert len(found) == len(expected) == done.events[finding.id]
        assert finding.peak is not None
        assert len(found) >= finding.peak


def rewritten(pack: Path, out: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A pack with other files, whose sums and digests fit them as far as ``change`` leaves that to us."""
    with zipfile.ZipFile(pack) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out


def sealed(files: dict[str, bytes], change: Callable[[str], str]) -> None:
    """Change the text of the manifest, and the sums with it."""
    files["MANIFEST.json"] = change(files["MANIFEST.json"].decode()).encode()
    sums = files["SHA256SUMS"].decode().splitlines(keepends=True)[:-1]
    own = hashlib.sha256(files["MANIFEST.json"]).hexdigest()
    files["SHA256SUMS"] = "".join([*sums, f"{own}  MANIFEST.json\n"]).encode()


def swollen(files: dict[str, bytes]) -> None:
    """A policy of more bytes than one may have, as the manifest and the sums say."""
    before = files[name := "policies/watched.yaml"]
    files[name] = before + b"#" * (2 << 20)
    digest = hashlib.sha256(files[name]).hexdigest()
    files["SHA256SUMS"] = files["SHA256SUMS"].replace(hashlib.sha256(before).hexdigest().encode(), digest.encode())
    manifest = json.loads(files["MANIFEST.json"])
    manifest["files"][name] = {"sha256": digest, "size": len(files[name])}
    sealed(files, lambda _: json.dumps(manifest))


FORGERIES: dict[str, Callable[[dict[str, bytes]], None]] = {
    "has 'opinion.txt', which its manifest does not name": lambda files: files.update({"opinion.txt": b"all is well"}),
    "'report.html' is not what its manifest says": lambda files: files.update({"report.html": b"<p>compliant</p>"}),
    "its MANIFEST.json has 'reviewed'": lambda files: sealed(files, lambda text: '{"reviewed": "yes",' + text[1:]),
    "the key 'status' is there twice": lambda files: sealed(files, lambda text: '{"status": "compliant",' + text[1:]),
    "of 'README.txt' has 'by'": lambda files: sealed(
        files, lambda text: text.replace('"size"', '"by": "me", "size"', 1)
    ),
    "says 'compliant' as status": lambda files: sealed(
        files, lambda text: text.replace('"violation"', '"compliant"', 1)
    ),
    "its form is 9": lambda files: sealed(files, lambda text: text.replace('"form": 1', '"form": 9', 1)),
    "its SHA256SUMS are not those": lambda files: files.update({"SHA256SUMS": b""}),
    "bytes, expected at most 1048576": swollen,
    "no item named 'policies/watched.yaml'": lambda files: files.pop("policies/watched.yaml") and None,
}


def test_a_pack_is_done_again(lake: AuditLake, tmp_path: Path) -> None:
    """A pack re-performs with its own policies; one that says more or less than its manifest is refused."""
    pack = lake.evidence("watched", tmp_path / "pack.zip").path
    text = lake.layout.policy("watched").read_text()
    lake.layout.policy("watched").write_text(text.replace("alert_threshold: 2", "alert_threshold: 3"))
    again = lake.reperform(pack)
    assert again.identical, again.differences
    for number, (what, change) in enumerate(FORGERIES.items()):
        with pytest.raises(ReportError, match=re.escape(what)):
            lake.reperform(rewritten(pack, tmp_path / f"{number}.zip", change))
    (tmp_path / "none.zip").write_bytes(b"PK")
    with pytest.raises(ReportError, match="is no whole evidence pack"):
        lake.reperform(tmp_path / "none.zip")
