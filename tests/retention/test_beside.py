"""Erasure beside the table: what was logged, what alerts keep, and what is left."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from auditlake import AuditEvent, AuditLake
from auditlake.alerts.watch import elected, evaluate_once
from auditlake.disk.lock import exclusive
from auditlake.landing.trail import Trail
from auditlake.retention.cleanup import certificate_paths
from auditlake.site.index import write_index
from auditlake.store.model import Change
from auditlake.store.turn import Turn
from tests.retention.lakes import DAY, NOW, Clock, ids, made, policy_text
from tests.site.test_write import dead_links
from tests.store.lakes import data_files

WHY = {"reason": "Article 17", "ticket": "G-1"}
ALERTING = policy_text(["login"], "100d").replace("1000", "2").replace("controls", "group_by: [user_id]\ncontrols")


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake whose policy alerts by user, without grace."""
    lake = made(tmp_path / "lake", {"keep": ALERTING}, Clock())
    config = lake.layout.config.read_text().replace('grace = "24h"', 'grace = "0h"')
    lake.layout.config.write_text(config.replace("[alerts]", '[alerts]\njsonl = "alerts/alerts.jsonl"'))
    return AuditLake(lake.layout.root, clock=Clock())


def log(lake: AuditLake, first: int, *people: str, trail: Trail | None = None) -> None:
    events = [
        AuditEvent("login", NOW, user_id=user, event_id=f"e{first + n}", ip_address="10.0.0.1")
        for n, user in enumerate(people)
    ]
    if trail is not None:
        trail.log_many(events)
        return
    with lake.trail(alerts=False) as short:
        short.log_many(events)


def mentions(lake: AuditLake, name: bytes) -> set[str]:
    """The files that have a name in them."""
    folders = (path for path in lake.layout.root.rglob("*") if path.is_file() and "_delta_log" not in path.parts)
    return {path.relative_to(lake.layout.root).as_posix() for path in folders if name in path.read_bytes()}


def test_nothing_names_the_person(lake: AuditLake) -> None:
    """Nothing of what was logged and alerted names the person afterwards, and no alert comes twice."""
    with lake.trail(alerts=False) as trail:
        log(lake, 0, "ann", "ann", "annette", "annette", trail=trail)
        lake.flush()
        log(lake, 10, "ann", trail=trail)
        evaluate_once(lake.layout, lake.config, Clock())
        file = lake.layout.alerts / "alerts.jsonl"
        (lake.layout.alerts / "alerts.jsonl.1").write_bytes(file.read_bytes() + b'{"torn')
        assert file.read_text().count('"ann"') == 1
        size = lake.layout.segment(0, 1).stat().st_size
        before = ids(lake)
        done = lake.retention.erase("ann", **WHY)

        assert mentions(lake, b'ann"') == set()
        assert mentions(lake, b"ann ") | mentions(lake, b"ann,") == set()
        assert (lake.layout.segment(0, 1).stat().st_size, ids(lake)) == (size, before)
        log(lake, 20, "bob", trail=trail)
    assert len(ids(lake)) == 6
    lake.flush()
    assert len(ids(lake)) == 6
    alerts = [json.loads(line) for line in file.read_text().splitlines()]
    assert {each["group"]["user_id"] for each in alerts} == {done.pseudonym, "annette"}
    assert all(each["message"].count(each["group"]["user_id"][:70]) == 1 for each in alerts)
    evaluate_once(lake.layout, lake.config, Clock())
    assert len(file.read_text().splitlines()) == len(alerts)
    assert done.certificate is not None
    said = json.loads(certificate_paths(lake.layout, done.certificate)[0].read_bytes())
    assert [(each["path"], each["kind"]) for each in said["leftovers"]] == [
        (f"alerts/{name}", "alert") for name in ("alerts.jsonl", "alerts.jsonl.1", "state.json")
    ]
    assert any("Alerts that were sent" in sentence for sentence in done.left)


def test_who_evaluates_is_left_alone(lake: AuditLake) -> None:
    """While a process evaluates, its files are named as left, and of segments only what it has read is blanked."""
    with lake.trail(alerts=False) as trail:
        log(lake, 0, "ann", "ann", trail=trail)
        lake.flush()
        evaluate_once(lake.layout, lake.config, Clock())
        log(lake, 10, "ann", trail=trail)
        with elected(lake.layout) as is_elected:
            assert is_elected
            done = lake.retention.erase("ann", **WHY)
        assert any("the process that evaluates them" in sentence for sentence in done.left)
        assert any("1 segment of the landing" in sentence for sentence in done.left)
        lines = lake.layout.segment(0, 1).read_bytes().splitlines()
        assert [line.strip() == b"" for line in lines] == [True, True, False]
        again = lake.retention.erase("ann", **WHY)

        assert again.certificate is not None
        assert mentions(lake, b'ann"') == set()
        assert not any("segment" in sentence or "evaluates" in sentence for sentence in again.left)


def test_logged_meanwhile(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is logged of the person between the flush and the erasure is named as left."""
    log(lake, 0, "ann", "annette")
    assert not any("were logged while" in sentence for sentence in lake.retention.erase("ann", **WHY).left)
    flush = lake.flush
    monkeypatch.setattr("auditlake.landing.flush.flush", lambda _: (monkeypatch.undo(), flush(), log(lake, 10, "ann")))
    assert any("were logged while" in sentence for sentence in lake.retention.erase("ann", **WHY).left)
    monkeypatch.undo()
    assert lake.retention.erase("ann", **WHY).events == 1


def test_the_journal_is_left(lake: AuditLake) -> None:
    """What people decided about findings of the person stays, and is named as left."""
    log(lake, 0, "ann", "ann")
    finding = next(each.finding for each in lake.findings.list() if each.finding.kind == "threshold_exceeded")
    lake.findings.accept(finding.id, reason="ann was travelling", owner="bob", until=NOW + DAY)
    before = lake.layout.journal.read_bytes()

    assert any("The journal of findings may name" in sentence for sentence in lake.retention.erase("ann", **WHY).left)
    assert lake.layout.journal.read_bytes() == before


def test_a_hold_keeps_alerts(lake: AuditLake) -> None:
    """While a hold is active, what alerts say stays as it is, and is named as left."""
    log(lake, 0, "ann", "ann")
    evaluate_once(lake.layout, lake.config, Clock())
    lake.holds.add("h", reason="r", owner="o", ticket="t", user_ids=["bob"])
    done = lake.retention.erase("ann", **WHY)

    assert "alerts/alerts.jsonl" in mentions(lake, b'"ann"')
    assert any("of the alerts may name the person, and stay" in each for each in done.left)


@pytest.mark.parametrize("where", ["in between", "after the commit"])
def test_interrupted_beside_the_alerts(where: str, lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is the commit of an erasure, files of the alerts name nobody, whenever its process died."""
    log(lake, 0, "ann", "ann")
    evaluate_once(lake.layout, lake.config, Clock())
    before = lake.flush().snapshot

    real = Turn.commit

    def die(turn: Turn, change: Change, *_: object) -> int:
        if where == "after the commit":
            real(turn, change)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Turn, "commit", die)
        lake.retention.erase("ann", **WHY)
    assert not {path for path in mentions(lake, b"ann") if path.startswith("alerts/")}
    committed = lake.snapshot().version > before
    assert committed is (where == "after the commit")
    again = lake.retention.erase("ann", **WHY)

    assert (again.events, again.certificate is None) == ((0, True) if committed else (2, False))
    assert mentions(lake, b'"ann"') == set()
    assert len(list(lake.layout.certificates.glob("*.json"))) == 1
    with exclusive(lake.layout.alerts / "watch.lock", wait_seconds=0):
        pass


def test_interrupted_before_its_key_is_kept(lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an erasure writes is made with a key that is on the disk: killed before, it leaves nothing behind."""
    log(lake, 0, "ann")
    (bad := tmp_path / "bad.jsonl").write_text('{"event_type": "login", "timestamp": "never", "user_id": "ann"}\n')
    lake.ingest(bad)
    files = sorted(lake.layout.quarantine.iterdir())

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("auditlake.retention.erase.keep_key", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        lake.retention.erase("ann", **WHY)

    assert sorted(lake.layout.quarantine.iterdir()) == files
    lake.retention.erase("ann", **WHY)
    assert len(list(lake.layout.quarantine.iterdir())) == 1
    assert lake.ledger.verify().ok


def test_addresses_in_alerts_are_left(tmp_path: Path) -> None:
    """An alert that is about an address of the person stays, since others may have had it, and is named as left."""
    lake = made(tmp_path / "lake", {"keep": ALERTING.replace("[user_id]", "[ip_address]")}, Clock())
    log(lake, 0, "ann", "bob")
    evaluate_once(lake.layout, lake.config, Clock())
    lake.layout.reports.joinpath("compliance_keep_20260401T120000Z_v1.html").write_text("<td>10.0.0.1</td>")
    lake.layout.reports.joinpath("compliance_keep_20260401T120000Z_v2.json").write_text('{"a":"10.0.0.12"}')
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"event_type": "login", "timestamp": "never", "ip_address": "10.0.0.1"}\n')
    lake.ingest(bad)
    (kept,) = lake.layout.quarantine.iterdir()

    left = lake.retention.erase("ann", **WHY).left
    (said,) = (sentence for sentence in left if "addresses or sessions of the person" in sentence)
    assert said.startswith("3 files beside the table")
    assert said.endswith(
        f"alerts/state.json, quarantine/{kept.name}, reports/compliance_keep_20260401T120000Z_v1.html."
    )


def test_places_that_nobody_reads_are_left(lake: AuditLake) -> None:
    """Files of dead writers, what doctor set aside and what people wrote is named as left, and what is not searched."""
    log(lake, 0, "ann")
    lake.flush()
    (path,) = data_files(lake)
    orphan = (lake.layout.events / path).with_name(f"part-{'0' * 64}.parquet")
    orphan.write_bytes(b"")
    aside = lake.layout.root / "set-aside" / "20260401T000000Z" / "x"
    aside.parent.mkdir(parents=True)
    aside.write_bytes(b"ann")
    lake.holds.add("h", reason="r", owner="o", ticket="t", user_ids=["ann"], until=NOW - DAY)
    lake.holds.release("h", reason="over")

    left = "\n".join(lake.retention.erase("ann", **WHY).left)
    for said in (
        f"1 data file of writers that died may name anybody.*/{orphan.name}", "1 file that auditlake doctor put into",
        "1 file of rules may name the person.*holds/h.yaml", "in other people's events and in questions",
        "The log and the ledger stay", "unsalted hashes of the events as they were",
    ):  # fmt: skip
        assert re.search(said, left), said


def test_deletion_blanks_what_it_deletes(lake: AuditLake) -> None:
    """Due events that a live writer's segment still has are blanked there; those not yet flushed stay."""
    with lake.trail(alerts=False) as trail:
        trail.log(AuditEvent("login", NOW - 200 * DAY, user_id="ann", event_id="old"))
        lake.retention.apply(accept_weaker="tests")
        log(lake, 1, "bob", trail=trail)

        (first, second) = lake.layout.segment(0, 1).read_bytes().splitlines()
        assert (first.strip(), b"bob" in second) == (b"", True)
        assert ids(lake) == ["e1"]
    assert lake.flush().landed == 1
    assert ids(lake) == ["e1"]
    assert len(data_files(lake)) == 1
    assert not lake.layout.segment(0, 1).exists()


def test_a_list_of_all_findings_is_a_kept_report(lake: AuditLake, tmp_path: Path) -> None:
    """The list beside a report is searched and named by an erasure, copied by a backup, and leaves with its reports."""
    lake.layout.config.write_text(lake.layout.config.read_text().replace("# max_findings = 10000", "max_findings = 1"))
    clock = Clock()
    lake = AuditLake(lake.layout.root, clock=clock)
    log(lake, 0, "aaron", "aaron", "ann", "ann")
    written = [path for until in (NOW, NOW - DAY) for path in lake.report("keep", until=until).write(
        lake.layout.reports, ["json"])]  # fmt: skip
    listed = next(path for path in written if path.suffix == ".parquet")
    done = lake.retention.erase("ann", **WHY)
    assert done.remaining["files"] == 2
    assert any("kept report file" in sentence and listed.name in sentence for sentence in done.left)
    lake.backup(tmp_path / "copy")
    assert (tmp_path / "copy" / "reports" / listed.name).read_bytes() == listed.read_bytes()

    def going(days: float) -> set[str]:
        clock.now = NOW + days * DAY
        return {each.path.rpartition("/")[2] for each in lake.retention.plan().leftovers}

    assert listed.name not in going(100.2) < {path.name for path in written} == going(101.2)
    for path in written:
        if path != listed:
            path.unlink()
    assert (going(100.2), going(101.2)) == (set(), {listed.name})
    listed.write_bytes(b"PAR1 damaged")
    assert going(1000) == set()
    clock.now = NOW
    assert any(listed.name in sentence for sentence in lake.retention.erase("aaron", **WHY).left)


def test_the_list_of_reports_follows_a_deletion(lake: AuditLake) -> None:
    """Where a deletion takes reports with it, the list of reports leads to none of them."""
    clock = Clock()
    lake = AuditLake(lake.layout.root, clock=clock)
    log(lake, 0, "ann")
    for until in (NOW, NOW - DAY):
        lake.report("keep", until=until).write(lake.layout.reports)
    write_index(lake.layout.reports, lake.layout)
    clock.now = NOW + 100.2 * DAY
    assert {each.kind for each in lake.retention.plan().leftovers} == {"report"}
    lake.retention.apply()
    assert len(list(lake.layout.reports.glob("compliance_*_v*.html"))) == 1
    assert dead_links(lake.layout.reports) == []


def test_policies_of_the_ledger_are_named(lake: AuditLake) -> None:
    """A policy that is no more, and that the ledger keeps, is named as left where its condition names the person."""
    log(lake, 0, "ann")
    policy = lake.layout.policy("keep")
    text = policy.read_text()
    file = lake.layout.root.parent / "keep.yaml"
    for new in (f"{text}where: user_id = 'ann'\n", text):
        file.write_text(new)
        lake.policies.add(file, replace=True)
    (kept,) = (path for path in (lake.layout.ledger / "policies").iterdir() if b"ann" in path.read_bytes())
    done = lake.retention.erase("ann", **WHY)
    assert done.remaining["files"] == 1
    assert any(sentence.endswith(f"stays on record: policies/{kept.name}.") for sentence in done.left)
