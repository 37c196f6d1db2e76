"""Evidence packs: all that somebody needs who checks a report without auditlake."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.errors import ReportError
from auditlake.ledger.note import new_signer, parse_signer
from auditlake.reports.statement import ENVELOPE, FILES, public_pem, statement_files
from auditlake.testing import set_policies
from tests.demos import run
from tests.frameworks.test_lake import HOUSE
from tests.lakes import FORMS, create
from tests.soak import mostly

OWN = "reports/watched"
"""Where in a pack the report is."""
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
        return connection.sql(f"select {columns} from '{folder}/{OWN}/events/{finding_id}.parquet'").fetchall()


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
    own = {f"{OWN}/{each}" for each in ("report.json", "report.html", "findings.csv", "sql/1_rolling_counts.sql")}
    assert own | {"README.txt", "key.pub", "key.pem", "checkpoint.txt", "schema/compliance.schema.json"} < names
    assert (folder / OWN / "report.json").read_bytes() == lake.report("watched").json()
    assert {f"policies/{each.id}.yaml" for each in lake.policies.all()} < names
    assert set(manifest["files"]) == names - {"MANIFEST.json", "SHA256SUMS", *FILES}
    assert manifest["lake_id"] == lake.config.id
    assert 'href="report.json"' in (folder / OWN / "report.html").read_text()


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
    for name in (proofs := [name for name in before["files"] if "/proofs/" in name] + ["checkpoint.txt"]):
        assert before["files"].pop(name) != after["files"].pop(name)
    assert len(proofs) == 3
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
    assert not (folder / OWN / "events" / f"{missing}.parquet").exists()


def test_spreadsheets_run_nothing(lake: AuditLake, tmp_path: Path) -> None:
    """A text that looks like a formula has an apostrophe in every CSV file, and is as it was in the Parquet file."""
    done = lake.evidence("watched", tmp_path / "pack.zip")
    folder = unpacked(done.path)
    episode = next(each.id for each in done.report.report.violations if each.kind == "threshold_exceeded")
    rows = list(csv.DictReader(io.StringIO((folder / OWN / "events" / f"{episode}.csv").read_text())))
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
@settings(max_examples=4, suppress_health_check=list(HealthCheck), deadline=None)
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
    """A policy of more bytes than one may have, as the manifest and the sums say; unsigned."""
    for each in FILES:
        del files[each]
    before = files[name := "policies/watched.yaml"]
    files[name] = before + b"#" * (2 << 20)
    digest = hashlib.sha256(files[name]).hexdigest()
    files["SHA256SUMS"] = files["SHA256SUMS"].replace(hashlib.sha256(before).hexdigest().encode(), digest.encode())
    manifest = json.loads(files["MANIFEST.json"])
    manifest["files"][name] = {"sha256": digest, "size": len(files[name])}
    sealed(files, lambda _: json.dumps(manifest))


def other_key(files: dict[str, bytes]) -> None:
    """The key of a stranger for openssl, beside the lake's own."""
    before, files["key.pem"] = files["key.pem"], public_pem(new_signer("other").verifier)
    digests = [hashlib.sha256(each).hexdigest() for each in (before, files["key.pem"])]
    files["SHA256SUMS"] = files["SHA256SUMS"].replace(*(each.encode() for each in digests))
    sealed(files, lambda text: text.replace(*digests))


FORGERIES: dict[str, Callable[[dict[str, bytes]], None]] = {
    "has 'opinion.txt', which its manifest does not name": lambda files: files.update({"opinion.txt": b"all is well"}),
    "report.html' is not what its manifest says": lambda files: files.update({f"{OWN}/report.html": b"<p>ok</p>"}),
    "its MANIFEST.json has 'reviewed'": lambda files: sealed(files, lambda text: '{"reviewed": "yes",' + text[1:]),
    "the key 'as_of' is there twice": lambda files: sealed(files, lambda text: '{"as_of": "2026-11-24",' + text[1:]),
    "of 'README.txt' has 'by'": lambda files: sealed(
        files, lambda text: text.replace('"size"', '"by": "me", "size"', 1)
    ),
    "says 'compliant' as status": lambda files: sealed(
        files, lambda text: text.replace('"violation"', '"compliant"', 1)
    ),
    "its form is 9": lambda files: sealed(files, lambda text: text.replace('"form": 3', '"form": 9', 1)),
    "its SHA256SUMS are not those": lambda files: files.update({"SHA256SUMS": b""}),
    "bytes, expected at most 1048576": swollen,
    "no item named 'policies/watched.yaml'": lambda files: files.pop("policies/watched.yaml") and None,
    "is in 'reports/other'": lambda files: sealed(files, lambda text: text.replace(f'"{OWN}"', '"reports/other"', 1)),
    "is not what statement.dsse.json says": lambda files: files.update({"statement.signed": b"DSSEv1"}),
    "is not the signature of": lambda files: files.update({"statement.sig": b"0" * 64}),
    "no item named 'statement.sig'": lambda files: files.pop("statement.sig") and None,
    "key.pem is not the key": other_key,
    "is about other sums": lambda files: sealed(files, lambda text: text + " "),
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


def test_a_pack_that_an_earlier_key_signed(lake: AuditLake, tmp_path: Path) -> None:
    """A key that another followed is known by the ledger; what it signs after its time is told, as a stranger's is."""
    pack = lake.evidence("watched", tmp_path / "pack.zip").path
    assert lake.reperform(pack).signer == "own"
    old = lake.layout.ledger / "key"
    kept = old.read_bytes()
    lake.ledger.rotate_key()
    again = lake.reperform(pack)
    assert (again.identical, again.signer) == (True, "earlier")
    assert "a person who kept the earlier key can still sign with it" in again.reasons[-1]
    lake.ingest(AuditEvent("login", NOON))
    stolen = signed_again(lake.evidence("watched", tmp_path / "new.zip").path, tmp_path / "stolen.zip", kept)
    told = lake.reperform(stolen)
    assert (told.identical, told.signer) == (True, "unknown")
    assert "after its time" in told.reasons[-1]
    strange = signed_again(pack, tmp_path / "strange.zip", new_signer(old.name).secret().encode())
    assert lake.reperform(strange).signer == "unknown"
    assert run(f"auditlake --lake {lake.layout.root} reperform {strange}") == 1
    assert run(f"auditlake --lake {lake.layout.root} reperform {pack}") == 0


def signed_again(pack: Path, out: Path, secret: bytes) -> Path:
    """The pack, signed by another key, which is in it as the lake's would be."""
    signer = parse_signer(secret.decode())

    def change(files: dict[str, bytes]) -> None:
        said = json.loads(base64.b64decode(json.loads(files[ENVELOPE])["payload"]))["predicate"]
        for name, data in (("key.pub", f"{signer.verifier}\n".encode()), ("key.pem", public_pem(signer.verifier))):
            digests = [hashlib.sha256(each).hexdigest() for each in (files[name], data)]
            files[name] = data
            files["SHA256SUMS"] = files["SHA256SUMS"].replace(*(each.encode() for each in digests))
            manifest = json.loads(files["MANIFEST.json"])
            manifest["files"][name] = {"sha256": digests[1], "size": len(data)}
            sealed(files, lambda _, manifest=manifest: json.dumps(manifest))
        files.update(statement_files(signer, files["SHA256SUMS"], said))

    return rewritten(pack, out, change)


# Several reports, frameworks, and who reads them elsewhere


@pytest.fixture(scope="module", params=mostly(FORMS, always=["classes"]))
def packed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[AuditLake, Path, Path]]:
    """A lake, the pack of two policies and a framework, and the folder with what is in it; of both forms of parts."""
    path = tmp_path_factory.mktemp("packed")
    with FORMS[request.param]():
        lake = make(path)
        (path / "house.yaml").write_text(HOUSE)
        lake.packs.add(path / "house.yaml")
        lake.ingest([AuditEvent("login", NOON - minutes * MINUTE, user_id="ann") for minutes in (30, 29, 28)])
        lake.ingest([AuditEvent("auth_failure", NOON - n * MINUTE, user_id="bob") for n in range(7)])
        pack = lake.evidence(["watched", "failed_logins"], path / "pack.zip", frameworks=["house"], last="30d").path
        yield lake, pack, unpacked(pack)


def steps(folder: Path) -> list[str]:
    """The commands that the pack's own README tells its reader to run, in order."""
    text = (folder / "README.txt").read_text()
    return [line.strip() for line in text.splitlines() if re.match(r" {5}(sha256sum|openssl|sed) ", line)]


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("sha256sum")), reason="no openssl or sha256sum here")
def test_its_reader_needs_no_auditlake(packed: tuple[AuditLake, Path, Path]) -> None:
    """What README.txt says is run as it stands: sums, signature, and the digest that is signed."""
    _, _, folder = packed
    said = [
        subprocess.run(["sh", "-c", each], cwd=folder, capture_output=True, text=True, check=False)
        for each in steps(folder)[:6]
    ]
    assert [each.returncode for each in said] == [0] * 6
    assert "Verified Successfully" in said[1].stdout
    assert said[2].stdout.strip() == said[3].stdout.split()[0]
    assert said[4].stdout == said[5].stdout
    (other := folder.parent / "other").mkdir(exist_ok=True)
    for name in ("key.pem", "statement.sig"):
        shutil.copy(folder / name, other / name)
    (other / "statement.signed").write_bytes((folder / "statement.signed").read_bytes() + b" ")
    assert subprocess.run(["sh", "-c", steps(folder)[1]], cwd=other, capture_output=True, check=False).returncode


def test_every_report_is_in_it(packed: tuple[AuditLake, Path, Path]) -> None:
    """The two policies, the framework, and the policies that it rests on; each valid by the schema in the pack."""
    _, _, folder = packed
    manifest = json.loads((folder / "MANIFEST.json").read_bytes())
    there = [each["folder"] for each in manifest["reports"]]
    assert there == [
        "reports/failed_logins", "reports/house--refused", "reports/house--sign_ins", "reports/watched",
        "frameworks/house",
    ]  # fmt: skip
    for each in there:
        kind = "framework" if each.startswith("frameworks") else "compliance"
        schema = Draft202012Validator(json.loads((folder / "schema" / f"{kind}.schema.json").read_bytes()))
        assert schema.is_valid(json.loads((folder / each / "report.json").read_bytes()))


def test_the_events_are_proved(packed: tuple[AuditLake, Path, Path]) -> None:
    """Each event behind a finding has a proof that holds by the key in the pack; a changed one is named by its line."""
    _, _, folder = packed
    proofs = sorted(folder.glob("reports/*/proofs/*.jsonl"))
    assert {each.parents[1].name for each in proofs} == {"failed_logins", "house--refused", "watched"}
    for each in proofs:
        events = stored_ids(each.parents[1] / "events" / f"{each.stem}.parquet")
        shown = [json.loads(line)["event"]["event_id"] for line in each.read_text().splitlines()]
        assert shown == events
        assert run(f"auditlake verify-proof {each} --public-key {folder / 'key.pub'}") == 0
    lines = proofs[0].read_text().splitlines()
    (forged := folder.parent / "forged.jsonl").write_text("\n".join([lines[0], lines[1].replace("bob", "eve")]))
    assert run(f"auditlake verify-proof {forged} --public-key {folder / 'key.pub'}") == 4


def stored_ids(file: Path) -> list[str]:
    with duckdb.connect() as connection:
        return [name for (name,) in connection.sql(f"select event_id from '{file}'").fetchall()]


def test_another_machine_does_it_again(packed: tuple[AuditLake, Path, Path], tmp_path: Path) -> None:
    """A backup of the lake, opened elsewhere after the lake went on, gives every report again; a lie is told."""
    lake, pack, _ = packed
    lake.backup(tmp_path / "backup")
    elsewhere = auditlake.open(shutil.move(tmp_path / "backup", tmp_path / "elsewhere"), clock=lambda: NOON)
    elsewhere.ingest(AuditEvent("logout", NOON))
    set_policies(elsewhere, {})
    again = elsewhere.reperform(pack)
    assert again.identical, again.differences
    assert again.policy_id == "failed_logins, house--refused, house--sign_ins, watched, house"

    def lie(files: dict[str, bytes]) -> None:
        name = "reports/failed_logins/report.json"
        before, files[name] = files[name], files[name].replace(b'"total_events": 7', b'"total_events": 8')
        digests = [hashlib.sha256(each).hexdigest().encode() for each in (before, files[name])]
        files["SHA256SUMS"] = files["SHA256SUMS"].replace(*digests)
        sealed(files, lambda text: text.replace(*(each.decode() for each in digests)))
        for each in FILES:
            del files[each]

    told = elsewhere.reperform(rewritten(pack, tmp_path / "lie.zip", lie))
    assert [each.where for each in told.differences] == ["failed_logins: total_events"]


def test_a_lake_without_a_key_cannot_sign(tmp_path: Path) -> None:
    """Its packs say so, and are read as any other."""
    lake = create(tmp_path / "lake", clock=lambda: NOON, unsigned=True)
    lake.ingest(AuditEvent("login", NOON))
    done = lake.evidence("failed_logins", tmp_path / "pack.zip")
    assert done.unsigned == "the lake has no key"
    assert not {*FILES, "key.pem"} & {each.name for each in unpacked(done.path).iterdir()}
    assert lake.reperform(done.path).identical
