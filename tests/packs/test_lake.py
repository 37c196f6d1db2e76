"""Packs of a lake: added, judged with its own policies, recorded, upgraded, and told where they cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.alerts.watched_policies import Rules
from auditlake.errors import PackError, PolicyError, RetentionError
from auditlake.ledger.sidecars import kept_path
from auditlake.retention.terms import states_since, terms_of
from auditlake.testing import Clock, events
from tests.ledger.lakes import entries
from tests.packs.text import HOUSE, STRICT
from tests.retention.lakes import made, policy_text
from tests.store.lakes import copied

LIMIT = "name: Limit\ndescription: d\nrequired_events: [login]\nmax_retention: 30d\nclause: GDPR 5(1)(e)\n"
SIGN_INS = "house-rules--sign_ins"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with a login, two policies of its own, and the house rules as a pack."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "house-rules.yaml").write_text(HOUSE)
    lake = made(folder / "lake", {"own": policy_text(["login"], "2d"), "limit": LIMIT})
    lake.ingest(events("login", "2026-03-31T09:00:00Z", user_id="ann"))
    lake.packs.add(str(folder / "house-rules.yaml"))
    return lake.layout.root


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of it."""
    return AuditLake(copied(template, tmp_path / "lake"), clock=Clock())


def revision(lake: AuditLake, number: int, *changes: tuple[str, str]) -> Path:
    """A file with another revision of the house rules."""
    text = HOUSE.replace("2026-11-30.1", f"2026-11-30.{number}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder := lake.layout.root.parent / f"r{number}").mkdir(exist_ok=True)
    (folder / "house-rules.yaml").write_text(text)
    return folder / "house-rules.yaml"


def test_added(lake: AuditLake) -> None:
    """The pack's bytes are the lake's, its revision is pinned, and its policies are judged with the lake's own."""
    assert lake.layout.pack("house-rules").read_text() == HOUSE
    assert lake.layout.frameworks.read_text() == "packs:\n  house-rules:\n    revision: 2026-11-30.1\n"
    assert [each.id for each in lake.policies] == ["house-rules--refused_sign_ins", SIGN_INS, "limit", "own"]
    assert [each.id for each in lake.packs] == ["house-rules"]
    reports = {each.policy_id: each for each in lake.reports()}
    assert reports[SIGN_INS].report.total_events == 1
    assert lake.policies.get(SIGN_INS).digest.encode() in reports[SIGN_INS].json()
    assert {each.policy_id for each in lake.statistics().policies} == {each.id for each in lake.policies}


def test_refused_additions(lake: AuditLake, tmp_path: Path) -> None:
    """A pack that is there is upgraded, not added again; one whose policy has an id of the lake's is not added."""
    with pytest.raises(PackError, match=r"names the pack house-rules already"):
        lake.packs.add(str(revision(lake, 2)))
    lake.layout.policy("mine--sign_ins").write_text(policy_text(["login"], "2d"))
    (tmp_path / "mine.yaml").write_text(HOUSE.replace("id: house-rules", "id: mine"))
    with pytest.raises(PackError, match=r"mine--sign_ins.yaml has the id of a policy of .*mine.yaml"):
        lake.packs.add(str(tmp_path / "mine.yaml"))
    with pytest.raises(PackError, match="neither a file nor a pack 'pci'"):
        lake.packs.add("pci")


def test_what_a_pack_changes(lake: AuditLake, tmp_path: Path) -> None:
    """Before it is added, a pack tells which events are kept how long, and which policies lack events."""
    text = HOUSE.replace("id: house-rules", "id: mine").replace("6mo", "1y")
    (tmp_path / "mine.yaml").write_text(text)
    effect = lake.packs.effect(str(tmp_path / "mine.yaml"))

    assert effect.without_data == {"refused_sign_ins": ("auth_failure",)}
    assert [(each.event_type, each.change) for each in effect.effect.types] == [("auth_failure", 1), ("login", 1)]
    assert effect.missed == {}
    (tmp_path / "mine.yaml").write_text(text.replace("[login]", "[login, logout]"))
    assert lake.packs.effect(str(tmp_path / "mine.yaml")).missed == {"sign_ins": ("logout",)}
    assert not lake.layout.pack("mine").exists()


def test_retention(lake: AuditLake) -> None:
    """The longest period and the shortest limit count over packs and own policies; a conflict names both clauses."""
    conflicts = {(each.keep_policy, each.keep_clause, each.limit_clause) for each in lake.retention.plan().conflicts}
    assert conflicts == {(SIGN_INS, "House rules 7.3, mandatory", "GDPR 5(1)(e)")}
    assert (lake.retention.plan(lake._context.now).due, lake.policies.get("own").retention_period.text) == (0, "2d")


def test_terms_of_policies_that_are_not_judged(lake: AuditLake) -> None:
    """A policy about types that the lake does not know keeps nothing, so that its terms never get weaker."""
    config = lake.layout.config.read_text()
    lake.layout.config.write_text(config.replace("# default_ret", 'default_retention = "30d"\n# default_ret'))
    lake = AuditLake(lake.layout.root, clock=Clock())
    traffic = "\npolicies:\n  traffic: {name: Traffic, description: d, required_events: [traffic]}"
    changes = ("\nstatus:", "needs_types: [traffic]\n\nstatus:"), ("\npolicies:", traffic)
    lake.packs.upgrade("house-rules", to=revision(lake, 2, *changes))
    lake.retention.apply(accept_weaker="tests")

    assert lake.packs.get("house-rules").unready == {"traffic": ("traffic",)}
    assert lake.retention.plan().weaker == ()


def test_recorded(lake: AuditLake) -> None:
    """The ledger has the digests of packs and settings, keeps their bytes, and tells changes by hand from others."""
    settings = lake.layout.frameworks
    settings.write_text(f"{settings.read_text()}# by hand\n")
    (problem,) = lake.ledger.verify().notices
    lake.ingest(events("login", "2026-03-31T10:00:00Z"))
    added, by_hand = (each for each in entries(lake) if each.kind == "pack-change")
    digest = sha256(HOUSE.encode()).hexdigest()

    assert problem.where == "frameworks.yaml"
    assert (added.details["by"], added.details["added"]["house-rules"]) == ("auditlake", digest)
    assert (by_hand.details["by"], *by_hand.details["changed"]) == ("hand", "frameworks.yaml")
    assert kept_path(lake.layout, "packs", digest).read_text() == HOUSE
    assert lake.ledger.verify().ok


def test_upgrade(lake: AuditLake) -> None:
    """A later revision takes the place of the old one, whose file stays; a weaker one needs a reason, on record."""
    stricter = lake.packs.upgrade("house-rules", to=revision(lake, 2, ("6mo", "1y")))
    weaker = revision(lake, 3, ("6mo", "3d"))
    with pytest.raises(RetentionError, match=rf"events of login were kept for 1y .{SIGN_INS}. and are kept for 3d"):
        lake.packs.upgrade("house-rules", to=weaker)
    assert lake.packs.get("house-rules").revision == "2026-11-30.2"
    lake.packs.upgrade("house-rules", to=weaker, accept_weaker="contract 12")

    assert ("parameter", "keep", "default", "6mo", "1y") in {
        (each.what, each.name, each.change, each.before, each.after) for each in stricter.differences
    }
    assert lake.layout.old_pack("house-rules", "2026-11-30.1").read_text() == HOUSE
    assert "2026-11-30.3" in lake.layout.frameworks.read_text()
    assert entries(lake)[-1].details["reason"] == "contract 12"
    with pytest.raises(PackError, match=r"is the revision 2026-11-30.2, and the lake has 2026-11-30.3"):
        lake.packs.upgrade("house-rules", to=revision(lake, 2))


def test_what_another_pack_extends_is_upgraded_and_judges_nothing_by_itself(lake: AuditLake, tmp_path: Path) -> None:
    """The file is replaced, and the settings name the packs that they named before."""
    (tmp_path / "house-rules-strict.yaml").write_text(STRICT)
    added = lake.packs.add(str(tmp_path / "house-rules-strict.yaml"))
    settings = f"packs:\n  house-rules-strict: {{revision: {added.revision}}}\n"
    lake.layout.frameworks.write_text(settings)

    assert lake.packs.upgrade("house-rules", to=revision(lake, 2)).new == "2026-11-30.2"
    assert lake.layout.frameworks.read_text() == settings
    assert b"2026-11-30.2" in lake.layout.pack("house-rules").read_bytes()
    assert [each.id for each in lake.packs] == ["house-rules-strict"]


def test_shortened_and_hidden(lake: AuditLake) -> None:
    """A term that a pack had since the last deletion counts, whatever it says now: it is in the ledger."""
    lake.retention.apply(accept_weaker="tests")
    lake.packs.upgrade("house-rules", to=revision(lake, 2, ("6mo", "1y")))
    lake.layout.frameworks.write_text(lake.layout.frameworks.read_text() + "    parameters: {keep: 3y}\n")
    lake.ingest(events("login", "2026-03-31T10:00:00Z"))
    lake.layout.frameworks.unlink()

    assert f"events of login were kept for 3y ({SIGN_INS}) and are kept for 2d (own)" in lake.retention.plan().weaker


def test_a_broken_pack_stops_no_other(lake: AuditLake) -> None:
    """It stands in reports with its mistakes, all else is judged, and nothing is deleted until it is mended."""
    lake.layout.pack("house-rules").write_text(HOUSE.replace("shows: logging", "shows: logs"))
    reports = {each.policy_id: each.report for each in lake.reports()}

    assert reports.keys() == {"house-rules-yaml", "limit", "own"}
    assert "house-rules.yaml:39:52: shows: unknown value" in str(reports["house-rules-yaml"].error)
    assert reports["own"].error is None
    with pytest.raises(PolicyError, match="39:52"):
        lake.retention.plan()
    with pytest.raises(PackError, match="39:52"):
        lake.packs.get("house-rules")


def test_an_id_that_two_files_have(lake: AuditLake, caplog: pytest.LogCaptureFixture) -> None:
    """A policy of the lake's own with the id of a pack's is an error that names both files, and neither is judged."""
    lake.layout.policy(SIGN_INS).write_text(policy_text(["login"], "2d"))
    (fault,) = (each.fault for each in lake.policies.all(tolerant=True) if each.id == SIGN_INS)

    assert f"policies/{SIGN_INS}.yaml" in fault
    assert "packs/house-rules.yaml" in fault
    with pytest.raises(PolicyError, match="rename one"):
        lake.policies.all()
    rules = Rules(lake.layout, lake.config.event_types)
    assert rules.changed()
    assert {*rules.policies} == {"house-rules--refused_sign_ins", "limit", "own"}
    lake.layout.policy("limit").unlink()
    assert rules.changed()
    assert [each.getMessage() for each in caplog.records] == [f"a policy is not evaluated as it is now: {fault}"]
    lake.layout.frameworks.unlink()
    assert rules.changed()
    assert {*rules.policies} == {SIGN_INS, "own"}


def test_alerts_follow(lake: AuditLake) -> None:
    """Who evaluates alerts reads packs again where a file of theirs changes, and keeps what it had of a broken one."""
    rules = Rules(lake.layout, lake.config.event_types)
    assert rules.changed()
    assert {*rules.policies} == {each.id for each in lake.policies}
    lake.layout.pack("house-rules").write_text("broken")
    assert not rules.changed()
    lake.layout.frameworks.unlink()
    assert rules.changed()
    assert {*rules.policies} == {"limit", "own"}


def test_what_schedules_evaluate_is_there(lake: AuditLake) -> None:
    """A policy or pack that a schedule names and the lake does not have is told with its place."""
    schedule = "- {name: n, every: 1d, at: '00:15', within: 6h, evaluate: [own, house-rules, limits]}\n"
    lake.layout.frameworks.write_text(lake.layout.frameworks.read_text() + "schedules:\n" + schedule)
    (problem,) = lake.packs.check().problems
    assert problem.startswith(f"{lake.layout.frameworks}:5:78: evaluate: 'limits' is neither a policy nor a pack")
    assert problem.endswith("did you mean 'limit'?")
    assert lake.packs.check("house-rules").problems == ()


def test_the_command_line(lake: AuditLake, run: Callable[..., Any]) -> None:
    """The verbs print what there is, and check's exit code says whether anything is wrong."""
    at = ("--lake", lake.layout.root)
    listed = run(*at, "pack", "list", "--json").json["packs"]
    shown = run(*at, "pack", "show", "house-rules").out
    weak = revision(lake, 2, ("6mo", "1y"))

    assert {each["id"] for each in listed if each["in_lake"]} == {"house-rules"}
    assert len(listed) == 16
    assert "7.4      operation  A person looks at the logs every week" in shown
    assert json.loads(run(*at, "pack", "diff", "house-rules", "--to", weak, "--json").out)["new"] == "2026-11-30.2"
    assert run(*at, "pack", "check").code == 0
    lake.layout.frameworks.write_text(lake.layout.frameworks.read_text() + "    parameters: {keep: 3d}\n")
    checked = run(*at, "pack", "check")
    assert (checked.code, "keep: 3d is weaker than 6mo" in checked.out) == (1, True)
    decided = ("--reason", "r", "--owner", "o", "--expires", "2027-01-31")
    assert "nothing to decide" in run(*at, "pack", "weaken", "house-rules", "review", *decided).err
    weakened = run(*at, "pack", "weaken", "house-rules", "keep", *decided, "--json").json
    assert (weakened["kind"], weakened["value"], run(*at, "pack", "check").code) == ("weaken", "3d", 0)
    assert "2026-11-30.2 now" in run(*at, "pack", "upgrade", "house-rules", "--to", weak).out
    assert run(*at, "pack", "add", "gdpr", "--yes", "--json").json["policies"][0] == "gdpr--data_use"
    assert run(*at, "policy", "sql", "gdpr--data_use").code == 0


def test_terms_of_packs_that_are_lost(lake: AuditLake) -> None:
    """Where the bytes of a pack are gone, what it asked for is not known, and that is said."""
    kept_path(lake.layout, "packs", sha256(HOUSE.encode()).hexdigest()).unlink()
    lake.layout.frameworks.unlink()
    lake.ingest(events("login", "2026-03-31T10:00:00Z"))
    assert any("what the pack house-rules asked for" in each for each in lake.retention.plan().weaker)
    assert states_since(lake.layout, None, None, terms_of((), (), None)) == ([], [])
