"""Deletion: exactly what is due goes, in one commit, with a certificate, and nothing comes back or stays unnoticed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyarrow.parquet import ParquetFile

from auditlake import AuditEvent, AuditLake
from auditlake.engine.statements import statement
from auditlake.errors import AuditLakeError, RetentionError, SnapshotError
from auditlake.events.schema import FILE_COLUMNS
from auditlake.retention import apply as applying
from auditlake.retention.cleanup import Cleanup, certificate_paths
from auditlake.store.deltalog import commit_metadata
from auditlake.store.model import DataFile
from tests.cli.conftest import Run
from tests.lakes import before_classes
from tests.retention.lakes import DAY, NOW, Clock, bring, graced, ids, made, policy_text, record
from tests.soak import mostly
from tests.store.lakes import data_files
from tests.templates import copy_of

HOLD = {"reason": "r", "owner": "o", "ticket": "t"}


def twelve_days(folder: Path) -> None:
    """Make a lake with policies of two and of ten days, an event of each for twelve days, no grace, nothing deleted."""
    policies = {"two": policy_text(["login"], "2d"), "ten": policy_text(["logout"], "10d")}
    lake = graced(made(folder / "lake", policies, Clock(NOW - 11 * DAY)), "0h")
    lake.retention.apply(accept_weaker="a lake of tests")
    bring(lake, (record(2 * n, NOW - n * DAY) for n in range(12)), "a.jsonl")
    bring(lake, (record(2 * n + 1, NOW - n * DAY, "logout") for n in range(12)), "b.jsonl")


def twelve_mixed_days(folder: Path) -> None:
    """Make the same lake as earlier versions did, which knew no classes: each day is one file, compacted."""
    with before_classes():
        twelve_days(folder)
        AuditLake(folder / "lake", clock=Clock(NOW)).compact(grace_seconds=0)


@pytest.fixture
def full(tmp_path: Path) -> AuditLake:
    """A lake of twelve days of which most is due, written in classes."""
    return AuditLake(copy_of(twelve_days, tmp_path) / "lake", clock=Clock(NOW))


@pytest.fixture
def mixed(tmp_path: Path) -> AuditLake:
    """The same of an earlier version."""
    return AuditLake(copy_of(twelve_mixed_days, tmp_path) / "lake", clock=Clock(NOW))


KEPT_WHOLE = ("-30/", "-31/", "04-01/")
"""How the paths of days look of which nothing is due."""
LEFT = sorted([f"e{2 * n}" for n in range(3)] + [f"e{2 * n + 1}" for n in range(11)])


def check_goes(lake: AuditLake, actions: Sequence[str]) -> None:
    """What is due goes, and nothing else."""
    before = {file.path for file in lake.snapshot().files}
    plan = lake.retention.plan()
    done = lake.retention.apply(plan=plan.digest)

    assert ids(lake) == LEFT
    assert done.plan == plan
    assert (plan.due, done.snapshot) == (10, lake.snapshot().version)
    assert [each.action for each in plan.changes] == list(actions)
    assert data_files(lake) == {file.path for file in lake.snapshot().files}
    untouched = {path for path in before if any(day in path for day in KEPT_WHOLE)}
    assert untouched <= data_files(lake)
    assert not (lake.layout.events / "event_date=2026-03-21").exists()
    assert lake.retention.plan().due == 0
    assert lake.retention.apply().certificate is None
    assert lake.ledger.verify().ok


def test_exactly_what_is_due_goes(full: AuditLake) -> None:
    """What leaves together lies together: files leave by metadata alone, and nothing is kept of their events."""
    files = {file.path for file in full.snapshot().files}
    check_goes(full, ["drop"] * 9)
    assert {file.path for file in full.snapshot().files} < files
    assert not (full.layout.ledger / "kept").exists()


def test_what_an_earlier_version_wrote_goes(mixed: AuditLake) -> None:
    """Whole days leave by metadata alone, mixed days are rewritten, all else stays as it is, on the disk too."""
    check_goes(mixed, ["drop", *["rewrite"] * 8])


def test_certificate(full: AuditLake) -> None:
    """A certificate says what, how many, by which policy at which digest, by whom, when, and on which snapshots."""
    full.holds.add("smith", **HOLD, event_types=["login"], until=NOW - 10 * DAY - timedelta(hours=1))
    before = full.snapshot()
    done = full.retention.apply(operator="ann")
    assert done.certificate is not None
    made, page = certificate_paths(full.layout, done.certificate)
    said = json.loads(made.read_bytes())

    assert said["deleted"] == done.plan.due == sum(each["deleted"] for each in said["rules"])
    assert [(each["id"], each["deleted"], each["controls"]) for each in said["rules"]] == [
        ("ten", 1, {"GDPR": ["5(1)(e)"]}), ("two", 8, {"GDPR": ["5(1)(e)"]}),
    ]  # fmt: skip
    assert {each["id"]: each["digest"] for each in said["rules"]}["two"] == full.policies.get("two").digest
    assert (said["operator"], said["at"]) == ("ann", "2026-04-01T12:00:00.000000Z")
    assert (said["snapshot_before"], said["inputs_digest_before"]) == (before.version, before.inputs_digest)
    assert (said["snapshot_after"], said["inputs_digest_after"]) == (done.snapshot, full.snapshot().inputs_digest)
    assert said["plan_digest"] == done.plan.digest
    assert [each["id"] for each in said["holds"]] == ["smith"]
    assert f"{done.plan.due} events deleted" in page.read_text()
    assert commit_metadata(full.layout, done.snapshot)["certificate"] == said  # type: ignore[index]
    assert made.stat().st_mode & 0o777 == page.stat().st_mode & 0o777 == 0o600


def test_holds_win(full: AuditLake) -> None:
    """What is under a hold stays, expired or not, until the hold is released."""
    full.holds.add("smith", **HOLD, user_ids=["user 0"], event_types=["login"])
    held = [f"e{2 * n}" for n in range(3, 12) if (2 * n) % 3 == 0]
    full.retention.apply()

    assert ids(full) == sorted([*LEFT, *held])

    full.holds.release("smith", reason="settled")
    full.retention.apply()
    assert ids(full) == LEFT


def test_a_plan_that_was_carried_out_is_finished(full: AuditLake, run: Run) -> None:
    """The same plan again does nothing and says so, whatever is due by now: an apply may have died before it ended."""
    digest = full.retention.plan().digest
    done = full.retention.apply(plan=digest)
    bring(full, [record(100, NOW - 20 * DAY)])
    again = full.retention.apply(plan=digest)

    assert (again.was_done, again.certificate, again.plan.due) == (True, done.certificate, 1)
    assert (done.was_done, len(ids(full))) == (False, len(LEFT) + 1)
    shown = run("--lake", full.layout.root, "retention", "apply", "--yes", "--plan", digest)
    assert "this plan was carried out before, 0 files removed" in shown.out


def test_another_plan_is_refused(full: AuditLake) -> None:
    """A plan that is not the one that was shown is refused, and so is an instant that lies ahead."""
    digest = full.retention.plan().digest
    bring(full, [record(100, NOW - 20 * DAY)])

    with pytest.raises(RetentionError, match="the plan has changed since it was shown"):
        full.retention.apply(plan=digest)
    with pytest.raises(RetentionError, match="lies ahead"):
        full.retention.apply(as_of=NOW + DAY)
    assert len(ids(full)) == 25


def rewrite(lake: AuditLake, text: str) -> None:
    lake.layout.policy("ten").write_text(text)


WEAKER: dict[str, tuple[Callable[[AuditLake], Any], str]] = {
    "shortened": (lambda lake: rewrite(lake, policy_text(["logout"], "5d")),
                  r"events of logout were kept for 10d \(ten\) and are kept for 5d \(ten\)"),
    "a first retention period": (lambda lake: rewrite(lake, policy_text(["logout", "api_call"], "10d")),
                                 r"events of api_call were kept for ever and are kept for 10d \(ten\)"),
    "personal data limited": (lambda lake: rewrite(lake, policy_text(["logout"], "10d", "9d")),
                              r"personal data in events of logout could stay for ever and may stay for 9d \(ten\)"),
    "hold gone": (lambda lake: lake.layout.hold("smith").unlink(), "the hold smith has gone"),
    "hold changed": (lambda lake: lake.layout.hold("smith").write_text(
        lake.layout.hold("smith").read_text() + 'user_ids: ["nobody"]\n'), "the hold smith has changed"),
}  # fmt: skip


@pytest.mark.parametrize("name", mostly(WEAKER, always=["shortened", "personal data limited", "hold gone"]))
def test_weaker_rules_are_refused(name: str, full: AuditLake) -> None:
    """Rules that may be weaker than recorded are refused unless a reason is given, which is recorded."""
    full.holds.add("smith", **HOLD)
    change, said = WEAKER[name]
    change(full)

    assert any(re.search(said, sentence) for sentence in full.retention.plan().weaker)
    with pytest.raises(RetentionError, match=said):
        full.retention.apply()
    with pytest.raises(RetentionError, match=said):
        full.retention.apply(accept_weaker=" ")
    assert len(ids(full)) == 24

    done = full.retention.apply(accept_weaker="counsel agreed")
    own = commit_metadata(full.layout, done.snapshot)
    assert own is not None
    assert own["weaker"]["reason"] == own["certificate"]["weaker"]["reason"] == "counsel agreed"
    assert full.retention.plan().weaker == ()


def test_stronger_rules_are_taken(full: AuditLake) -> None:
    """What keeps no event shorter needs no reason: another text or condition, a policy that goes or comes."""
    text = policy_text(["login"], "2d").replace("Article 5", "Article 6").replace("1000", "3")
    full.layout.policy("two").write_text(text + "where: status = 'failure'\nwindow: 1h\n")
    assert full.retention.plan().weaker == ()
    full.policies.remove("ten")  # nothing else ends what it kept
    full.layout.policy("more").write_text(policy_text(["login"], "100d"))
    full.layout.policy("alert").write_text("name: n\ndescription: d\nrequired_events: [api_call]\nalert_threshold: 2\n")
    full.retention.apply()

    assert len(ids(full)) == 24


def test_default_retention_that_appears_is_weaker(full: AuditLake) -> None:
    """A default_retention where there was none, or a shorter one, needs a reason."""
    config = full.layout.config.read_text()
    full.layout.config.write_text(config.replace('# default_retention = "365d"', 'default_retention = "3d"'))
    lake = AuditLake(full.layout.root, clock=Clock())

    with pytest.raises(RetentionError, match="default_retention was for ever and is 3d"):
        lake.retention.apply()


def test_old_snapshots_say_what_was_taken(full: AuditLake) -> None:
    """A snapshot from before a deletion is refused with what was deleted; later ones are read, also once compacted."""
    old = full.snapshot().version
    done = full.retention.apply()
    bring(full, [record(100, NOW)])
    newer = full.snapshot().version
    bring(full, [record(101, NOW)])
    full.compact(grace_seconds=0)

    with pytest.raises(
        SnapshotError, match=f"version {done.snapshot} deleted.* 10 events .certificate {done.certificate}"
    ):
        ids(full, old)
    assert ids(full, done.snapshot) == LEFT
    assert ids(full, newer) == sorted([*LEFT, "e100"])


def test_whole_snapshots_are_read(tmp_path: Path) -> None:
    """A deletion refuses no snapshot that lost none of its rows, whatever compaction did to its files."""
    clock = Clock(NOW - 11 * DAY)
    lake = graced(made(tmp_path / "lake", {"two": policy_text(["login"], "2d")}, clock), "0h")
    lake.retention.apply(accept_weaker="a lake of tests")
    for n in range(3):
        bring(lake, [record(n, NOW - n * DAY / 2)])
    old = lake.snapshot().version
    bring(lake, [record(10, NOW - DAY), record(11, NOW - 9 * DAY), record(12, NOW - 8 * DAY)])
    all_of_them = lake.snapshot().version
    lake.compact(grace_seconds=0)
    compacted = lake.snapshot().version
    clock.now = NOW
    done = lake.retention.apply()
    assert [each.action for each in done.plan.changes] == ["drop", "drop"]

    assert ids(lake, old) == ["e0", "e1", "e2"]
    assert ids(lake, done.snapshot) == ["e0", "e1", "e10", "e2"]
    for version in (all_of_them, compacted):
        with pytest.raises(SnapshotError, match=f"version {done.snapshot} deleted or pseudonymised 2 events"):
            ids(lake, version)
    lake.retention.erase("user 1", reason="r", ticket="t")
    with pytest.raises(SnapshotError, match="replaced the personal data in 2 events"):
        lake.sql("select user_id from events", snapshot=old).fetchall()


def test_files_stay_for_the_grace(full: AuditLake) -> None:
    """Within the grace an old snapshot is read as it was; after it, the next apply removes exactly what went."""
    lake = graced(full, "24h")
    bring(lake, [record(200, NOW)], "c.jsonl")
    lake.compact()
    replaced = data_files(lake) - {file.path for file in lake.snapshot().files}
    old = lake.snapshot()
    assert lake.retention.apply().unlinked == 0
    assert len(ids(lake, old.version)) == 25

    late = graced(lake, "0")
    late.retention.apply()
    live = {file.path for file in late.snapshot().files}
    # Of today nothing was deleted: what compaction replaced there stays for compaction's own grace.
    assert data_files(late) - live == {
        path for path in replaced if "2026-03-30" in path or "03-31" in path or "04-01" in path
    }


def test_max_retention_pseudonymises_in_the_same_commit(tmp_path: Path) -> None:
    """Personal data past its limit is replaced where another policy keeps the event, and only there, and once."""
    lake = made(tmp_path / "lake", {
        "limit": policy_text(["login"], "2d", "5d"), "keep": policy_text(["login"], "10d"),
    })  # fmt: skip
    lake.layout.config.write_text(
        lake.layout.config.read_text().replace("personal = []", 'personal = ["$.details.email"]')
    )
    lake = AuditLake(lake.layout.root, clock=Clock())
    details = {"email": "a@b.c", "n": 1.50, "list": [1, {"x": None}]}
    bring(lake, (
        record(n, NOW - n * DAY, user_id="ann", ip_address="::1", session_id=None, details=details) for n in range(12)
    ))  # fmt: skip
    lake.holds.add("h", **HOLD, since=NOW - 7 * DAY, until=NOW - 7 * DAY)
    done = lake.retention.apply(accept_weaker="tests")
    columns = "event_id, user_id, ip_address, session_id, details"
    rows = {row[0]: row[1:] for row in lake.sql(f"select {columns} from events").fetchall()}

    names = {row[0] for row in rows.values()}
    assert len(rows) == 11
    assert (done.plan.due, done.plan.pseudonymise) == (1, 5)
    changed = {name for name, row in rows.items() if row[0] != "ann"}
    assert changed == {"e5", "e6", "e8", "e9", "e10"}
    assert len(names) == 2
    for name in changed:
        user, address, session, said = rows[name]
        assert user.startswith("pseudonym-")
        assert address.startswith("pseudonym-") and address != user
        assert session is None
        assert json.loads(said)["email"].startswith("pseudonym-")
        assert json.loads(said)["list"] == [1, {"x": None}]
    assert lake.retention.apply().certificate is None
    assert "ann" not in certificate_paths(lake.layout, done.certificate or "")[0].read_text()


def test_quarantine_and_reports(full: AuditLake) -> None:
    """A quarantine file and a kept report go when all that they can hold is due, not while a hold is active."""
    clock = full._context.clock
    assert isinstance(clock, Clock)
    clock.now = NOW - 11 * DAY
    bad = full.layout.root.parent / "bad.jsonl"
    bad.write_text('{"event_type": "nothing", "timestamp": "2026-03-01T00:00:00Z"}\n')
    full.ingest(bad)
    (kept,) = full.layout.quarantine.iterdir()
    full.report("two").write(full.layout.reports)
    full.report("ten").write(full.layout.reports)
    clock.now = NOW
    full.report("two").write(full.layout.reports)
    full.holds.add("h", **HOLD, user_ids=["nobody"])

    assert full.retention.plan().leftovers == ()
    assert "quarantine file stays, since a legal hold is active" in str(commit_metadata(
        full.layout, full.retention.apply().snapshot))  # fmt: skip
    assert kept.exists()

    full.holds.release("h", reason="r")
    plan = full.retention.plan()
    assert sorted(each.kind for each in plan.leftovers) == ["quarantine", *["report"] * 4]
    done = full.retention.apply()
    assert not kept.exists()
    assert [path.name[:14] for path in sorted(full.layout.reports.iterdir())] == ["compliance_two"] * 2
    assert done.certificate

    assert full.ingest(bad).quarantined == 1
    full.retention.apply()
    assert kept.exists()


def test_what_a_dead_apply_left_is_done(full: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """An apply that died after its commit is finished by the next: certificate, leftovers, files and all."""

    bad = full.layout.root.parent / "bad.jsonl"
    bad.write_text('{"event_type": "nothing", "timestamp": "2026-03-01T00:00:00Z"}\n')
    clock = full._context.clock
    assert isinstance(clock, Clock)
    clock.now = NOW - 11 * DAY
    full.ingest(bad)
    clock.now = NOW
    calls, real = iter([0]), Cleanup.complete_pending

    def dying(*arguments: Any) -> int:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Cleanup, "complete_pending", dying)
        full.retention.apply()
    assert ids(full) == LEFT
    assert len(list(full.layout.quarantine.iterdir())) == 1
    before = sorted(full.layout.certificates.iterdir())

    done = full.retention.apply()

    assert (done.certificate, done.plan.due) == (None, 0)
    assert done.unlinked > 0
    assert data_files(full) == {file.path for file in full.snapshot().files}
    assert not list(full.layout.quarantine.iterdir())
    assert len(sorted(full.layout.certificates.iterdir())) == len(before) + 2


def test_a_reader_under_way_is_told(full: AuditLake) -> None:
    """A reader whose files go under it gets an error that says so, not fewer rows."""
    reader = full.sql("select event_id from events")
    full.retention.apply()

    with pytest.raises(SnapshotError, match="retention has taken files from under it"):
        reader.fetchall()


def test_hostile_text_in_a_certificate(full: AuditLake) -> None:
    """Text of others is escaped in a certificate's page, and what would act on a terminal is not in its JSON."""
    full.layout.policy("two").write_text(policy_text(["login"], "2d").replace("a policy", "'<script>x</script>'"))
    done = full.retention.apply(accept_weaker="\u202e<b>", operator="<i>\x1b[31m")
    assert done.certificate is not None
    made, page = certificate_paths(full.layout, done.certificate)

    assert not re.search("<script|<b>|<i>|\u202e|\x1b", page.read_text())
    assert "\u202e" not in made.read_text()
    assert json.loads(made.read_bytes())["operator"] == "<i>\x1b[31m"


def test_the_landing_is_flushed_first(full: AuditLake) -> None:
    """What was logged and is due goes too, and what was logged and is not stays."""
    with full.trail() as trail:
        trail.log(AuditEvent("login", NOW - 8 * DAY, event_id="old"))
        trail.log(AuditEvent("login", NOW, event_id="new"))
    full.retention.apply()

    assert ids(full) == sorted([*LEFT, "new"])


def test_the_same_old_file_again(full: AuditLake) -> None:
    """Deleted events that come again land, are due in the next plan and go with the next apply."""
    full.retention.apply()
    again = full.ingest(full.layout.root.parent / "a.jsonl")

    assert (again.landed, again.duplicates) == (9, 3)
    assert full.retention.plan().due == 9
    full.retention.apply()
    assert ids(full) == LEFT


def test_only_those_files(mixed: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mixed day reads the files of that day and no others, and writes one for each class that it still has."""
    from auditlake.retention import shorten

    read: list[Path] = []
    written: list[Path] = []
    view, write = shorten.view_events, shorten.write_days

    def view_and_note(connection: Any, files: Sequence[Path], *, columns: Sequence[str], **options: Any) -> None:
        read.extend(files)
        view(connection, files, columns=columns, **options)

    def write_and_note(*given: Any) -> dict[Any, list[tuple[Path, DataFile]]]:
        files = write(*given)
        written.extend(draft for some in files.values() for draft, _ in some)
        return files

    monkeypatch.setattr(shorten, "view_events", view_and_note)
    monkeypatch.setattr(shorten, "write_days", write_and_note)
    plan = mixed.retention.plan()
    mixed.retention.apply()

    rewritten = [each for each in plan.changes if each.action == "rewrite"]
    assert sorted(path.as_posix() for path in {*read} if mixed.layout.events in path.parents) == sorted(
        (mixed.layout.events / file.path).as_posix() for each in rewritten for file in each.files
    )
    assert len(written) == len(rewritten)


def test_other_rows_than_those_that_stay_are_refused(mixed: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what was written is read back with another value, nothing changes."""
    from auditlake.retention import shorten

    view = shorten.view_events

    def damaged(connection: Any, files: Sequence[Path], *, name: str = "events", columns: Sequence[str]) -> None:
        view(connection, files, name="good" if name == "rewritten" else name, columns=columns)
        if name == "rewritten":
            connection.execute("create temp view rewritten as select * replace (upper(user_id) as user_id) from good")

    monkeypatch.setattr(shorten, "view_events", damaged)
    before = mixed.snapshot()
    with pytest.raises(AuditLakeError, match="have other rows than those that stay"):
        mixed.retention.apply()
    assert mixed.snapshot() == before


def test_other_rows_than_planned_are_refused(mixed: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of which other rows would go than was planned is refused, and nothing changes."""
    real = applying._day
    monkeypatch.setattr(applying, "_day", lambda each: real(type(each)(**{
        **{name: getattr(each, name) for name in each.__slots__},
        "due": {"two": 0} if each.action == "rewrite" else each.due,
    })))  # fmt: skip
    before = mixed.snapshot()

    with pytest.raises(AuditLakeError, match="would take 1 rows, where 0 were planned"):
        mixed.retention.apply()
    assert mixed.snapshot() == before


def test_on_the_command_line(unanswered: Run, tmp_path: Path) -> None:
    """The command line shows, asks, refuses another plan, and deletes."""
    apply = partial(unanswered, "--lake", tmp_path / "lake", "retention", "apply")
    root = made(tmp_path / "lake", {"two": policy_text(["login"], "2d")}, Clock()).layout.root
    bring(AuditLake(root), [record(0, NOW - 9 * DAY), record(1, NOW)])

    assert "1 event due" in apply("--as-of", NOW.isoformat(), "--dry-run").out
    assert apply("--as-of", NOW.isoformat(), "--yes").code == 3
    accept = ("--as-of", NOW.isoformat(), "--accept-weaker", "tests")
    assert apply(*accept).code != 0
    other = apply(*accept, "--yes", "--plan", "sha256:x")
    assert "the plan has changed" in other.err
    assert len(ids(AuditLake(root))) == 2

    done = apply(*accept, "--yes")
    assert "1 event deleted" in done.out
    assert ids(AuditLake(root)) == ["e1"]


# Defects of the predecessor


def test_b1_the_longest_retention_wins(tmp_path: Path) -> None:
    """B1: an event stays for its policy of a year though another keeps thirty days, and so does one that none names."""
    lake = made(tmp_path / "lake", {
        "short": policy_text(["login"], "30d"), "long": policy_text(["data_breach", "login"], "365d"),
    })  # fmt: skip
    bring(lake, [record(0, NOW - 60 * DAY, "data_breach"), record(1, NOW - 31 * DAY, "permission_change"),
                 record(2, NOW - 60 * DAY, "login"), record(3, NOW - 5000 * DAY, "permission_change")])  # fmt: skip
    lake.retention.apply(accept_weaker="tests")

    assert ids(lake) == ["e0", "e1", "e2", "e3"]


def test_b2_reports_do_not_count_what_is_deleted(full: AuditLake) -> None:
    """B2: what retention deleted is in no report and no statistic any more."""
    full.retention.apply()
    report = full.report("two", since=NOW - 5000 * DAY).report

    assert report.total_events == 3
    assert report.retention.due == 0
    assert full.statistics().total_events == len(LEFT)


def test_b3_retention_reaches_the_disk(full: AuditLake) -> None:
    """B3: no data file holds a deleted event any more, and what was deleted, when and by which rule is on record."""
    done = full.retention.apply()
    left = {name for path in data_files(full) for name in
            ParquetFile(full.layout.events / path).read(["event_id"])["event_id"].to_pylist()}  # fmt: skip

    assert left == set(LEFT)
    own = commit_metadata(full.layout, done.snapshot)
    assert own is not None
    assert own["certificate"]["at"] == "2026-04-01T12:00:00.000000Z"
    assert {each["id"]: each["deleted"] for each in own["certificate"]["rules"]} == {"two": 9, "ten": 1}


def test_rows_of_another_program_have_no_leaf_to_keep() -> None:
    """Of files that are written anew, only rows of batches are moved rows; what is of no batch is only counted."""
    with duckdb.connect() as connection:
        for name, keys in (("events", "(null, null, 'a'), (null, 7, 'b'), (1, 0, 'c'), (1, 1, 'd')"),
                           ("rewritten", "(null, 7, 'B'), (1, 1, 'd')")):  # fmt: skip
            listed = ", ".join(f"null as {each}" for each in FILE_COLUMNS if each not in ("batch", "seq", "event_type"))
            rows = f"(values {keys}) as given (batch, seq, event_type)"
            connection.execute(f"create temp table {name} as select {listed}, batch, seq, event_type from {rows}")
        connection.execute(statement("retention/day.sql", "moved_rows").text)
        gone = connection.sql(statement("retention/day.sql", "gone_rows").text).fetchall()
        counted = connection.sql(statement("retention/day.sql", "differences").text).fetchall()

    assert gone == [(1, "c", 0)]
    assert counted == [(2, 1)]


def test_what_looks_like_a_pseudonym_stops_nothing(tmp_path: Path) -> None:
    """What stands at a personal place is counted and replaced however it is written: a false pseudonym, a key twice."""
    lake = made(tmp_path / "lake", {"keep": policy_text(["login"], "100d", "2d")}, Clock())
    config = lake.layout.config
    config.write_text(config.read_text().replace("personal = []", 'personal = ["$.details.email", "$.details.p.q"]'))
    lake = AuditLake(lake.layout.root, clock=Clock())
    texts = (
        '{"email":"pseudonym-ann"}', '{"email":null,"email":"ann"}', '[{"email":"ann"}]',
        '{"p":{"q":1},"p":{"q":"ann"}}',
    )  # fmt: skip
    event = f'{{"event_type":"login","timestamp":"{(NOW - 9 * DAY).isoformat()}"'
    lines = [f'{event},"event_id":"e{number}","details":{text}}}\n' for number, text in enumerate(texts)]
    (tmp_path / "odd.jsonl").write_text("".join([*lines, f'{event},"event_id":"e9","user_id":"ann"}}\n']))
    assert lake.ingest(tmp_path / "odd.jsonl").landed == 5
    assert lake.retention.apply(accept_weaker="r").plan.pseudonymise == 5
    assert lake.retention.plan().pseudonymise == 0
    assert not any("ann" in str(row) for row in lake.sql("select user_id, details from events"))
