"""Other revisions of packs: what they would change, how they come into a lake, and reports of before done again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.errors import PackError, RetentionError
from auditlake.testing import NOW, Clock, events
from tests.cli.conftest import Run
from tests.ledger.lakes import entries
from tests.packs.text import HOUSE, STRICT
from tests.retention.lakes import made
from tests.templates import copy_of

DAY = timedelta(days=1)
BASE = HOUSE.replace("retention: {min: $keep", "retention: {min: $keep, max: 1y").replace(
    "{retention: {min: $keep}}", "{retention: {min: $keep, max: 1y}}"
)
BOTH = "packs:\n  house-rules: {revision: 2026-11-30.1}\n  house-rules-strict: {revision: 2026-11-30.1}\n"


def two_packs(folder: Path) -> None:
    """Make a lake with sign-ins of some days that is judged by the house rules, and by the strict ones over them."""
    (folder / "house-rules.yaml").write_text(BASE)
    (folder / "house-rules-strict.yaml").write_text(STRICT)
    clock = Clock(NOW - 300 * DAY)
    lake = made(folder / "lake", {}, clock=clock)
    lake.ingest(events("login", NOW - 7.5 * DAY, count=8, every=DAY, user_id="ann", ip_address="192.0.2.1"))
    lake.packs.add(str(folder / "house-rules.yaml"))
    lake.packs.add(str(folder / "house-rules-strict.yaml"))
    lake.layout.frameworks.write_text(BOTH)


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A copy of it."""
    return AuditLake(copy_of(two_packs, tmp_path) / "lake", clock=Clock(NOW))


def revised(lake: AuditLake, number: int, *changes: tuple[str, str], strict: str | None = None) -> Path:
    """A folder with another revision of the house rules, and of the strict ones if ``strict`` says what of it."""
    texts = {"house-rules": BASE} | ({} if strict is None else {"house-rules-strict": STRICT + strict})
    (folder := lake.layout.root.parent / f"r{number}").mkdir()
    for name, text in texts.items():
        for old, new in (("2026-11-30.1", f"2026-11-30.{number}"), *(changes if name == "house-rules" else ())):
            assert old in text
            text = text.replace(old, new)
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_what_a_revision_would_change_is_judged(lake: AuditLake, run: Run) -> None:
    """Each control that would stand otherwise is named with both statuses, on one snapshot; nothing is changed."""
    folder = revised(
        lake, 2, ("user: [user_id], origin:", "user: [session_id], origin:"), ('id: "7.5"', 'id: "7.6", was: "7.5"'),
        ("controls:\n", 'controls:\n  - {id: "7.0", title: New, shows: logging, policies: [sign_ins], cites: [R]}\n'),
    )  # fmt: skip
    before = lake.layout.frameworks.read_bytes(), lake.snapshot()
    found = lake.packs.diff("house-rules", to=folder / "house-rules.yaml")

    assert found.judged is not None
    assert (found.judged.until, found.judged.until - found.judged.since, found.judged.controls) == (NOW, 90 * DAY, 6)
    assert [(each.control, each.was, each.before, each.after) for each in found.effect or ()] == [
        ("7.0", None, None, "fail"), ("7.2", "7.2", "pass", "fail"),
    ]  # fmt: skip
    assert (lake.layout.frameworks.read_bytes(), lake.snapshot()) == before
    said = run("--lake", lake.layout.root, "pack", "diff", "house-rules", "--to", folder / "house-rules.yaml").out
    assert "7.0      not there        fail" in said
    assert "1 control of 6 would stand otherwise" in said
    other = revised(lake, 3, ("  keep: {", "  held: {"), ("$keep", "$held"))
    lake.layout.frameworks.write_text(BOTH.replace("house-rules: {", "house-rules: {parameters: {keep: 1y}, "))
    unfit = lake.packs.diff("house-rules", to=other / "house-rules.yaml")
    assert (unfit.effect, unfit.judged, "there is no parameter 'keep'" in str(unfit.not_judged)) == (None, None, True)
    same = lake.packs.diff("house-rules", to=lake.layout.pack("house-rules"))
    assert (same.differences, same.effect) == ((), ())


def test_what_a_pack_extends_comes_with_it(lake: AuditLake) -> None:
    """A later revision beside the file takes the old one's place, and is pinned; an earlier one stays away."""
    first = lake.frameworks.report("house-rules-strict").json()
    folder = revised(lake, 2, ("6mo", "1y"), strict="")
    found = lake.packs.upgrade("house-rules-strict", to=folder / "house-rules-strict.yaml")

    assert {(each.what, each.name, each.before, each.after) for each in found.differences} == {
        ("base", "house-rules", "2026-11-30.1", "2026-11-30.2"), ("parameter", "keep", "6mo", "1y"),
        *(("policy", name, "6mo", "1y") for name in ("sign_ins", "refused_sign_ins")),
        ("control", "7.3", "retention: min 6mo, max 1y", "retention: min 1y, max 1y"),
        ("retention", "", "6mo", "1y"),
    }  # fmt: skip
    assert lake.layout.frameworks.read_text() == BOTH.replace("30.1", "30.2")
    assert lake.layout.old_pack("house-rules", "2026-11-30.1").read_text() == BASE
    assert {each.id: each.revision for each in lake.packs} == dict.fromkeys(
        ("house-rules", "house-rules-strict"), "2026-11-30.2"
    )
    (report := lake.layout.root.parent / "first.json").write_bytes(first)
    assert lake.reperform(report).identical, "the base, the pack and the settings as they were"
    earlier = revised(lake, 3, strict="")
    (earlier / "house-rules.yaml").write_text(BASE)
    lake.packs.upgrade("house-rules-strict", to=earlier / "house-rules-strict.yaml")
    assert lake.packs.get("house-rules").revision == "2026-11-30.2"


def test_a_report_is_done_again_from_what_the_ledger_keeps(lake: AuditLake) -> None:
    """Where the old file has gone too, the ledger has it; without it, the report says that the pack has changed."""
    (report := lake.layout.root.parent / "first.json").write_bytes(lake.frameworks.report("house-rules").json())
    folder = revised(lake, 2, ("title: Logs stay for half a year", "title: Logs stay"))
    lake.packs.upgrade("house-rules", to=folder / "house-rules.yaml")
    lake.layout.old_pack("house-rules", "2026-11-30.1").unlink()
    assert lake.reperform(report).identical
    for kept in (lake.layout.ledger / "packs").iterdir():
        kept.unlink()
    again = lake.reperform(report)
    assert not again.identical
    assert "the pack has changed" in again.reasons


def test_holds_and_places_of_names_are_in_the_evidence(lake: AuditLake) -> None:
    """A report alone tells that the holds are other ones, or the places of names; an evidence pack has the holds."""
    lake.holds.add("first", reason="r", owner="o", ticket="t", user_ids=["ann"])
    folder = lake.layout.root.parent
    packed = lake.evidence([], folder / "e.zip", frameworks=["house-rules"])
    evidence = packed.frameworks[0].report.evidence
    (report := folder / "first.json").write_bytes(packed.frameworks[0].json())
    assert ([each.id for each in evidence.holds], evidence.places_digest is not None) == (["first"], True)
    lake.holds.add("second", reason="r", owner="o", ticket="t")
    again = lake.reperform(report)
    assert "the legal holds are other ones" in " ".join(again.reasons)
    assert lake.reperform(packed.path).identical, "the pack has the holds"
    config = lake.layout.config.read_text()
    lake.layout.config.write_text(config.replace("personal = []", 'personal = ["$.details.mail"]'))
    other = AuditLake(lake.layout.root, clock=Clock(NOW))
    assert any("where personal data lies" in each for each in other.reperform(packed.path).reasons)


def test_adding_refuses_what_makes_events_due(lake: AuditLake, tmp_path: Path) -> None:
    """As the command line asks before it, Python wants a reason, which the ledger has."""
    text = HOUSE.replace("id: house-rules", "id: short").replace("login", "logout").replace("6mo", "1d")
    (tmp_path / "short.yaml").write_text(text)
    lake.ingest(events("logout", NOW - 3 * DAY))
    with pytest.raises(RetentionError, match="1 event of logout would be due, which were kept for ever and would be"):
        lake.packs.add(str(tmp_path / "short.yaml"))
    assert not lake.layout.pack("short").exists()
    assert lake.packs.add(str(tmp_path / "short.yaml"), accept_weaker="contract 9").id == "short"
    assert entries(lake)[-1].details["reason"] == "contract 9"
    with pytest.raises(PackError, match="no pack 'gdpr'"):
        lake.packs.diff("gdpr")
