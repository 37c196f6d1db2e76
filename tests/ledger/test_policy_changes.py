"""Policies that were added, changed or removed are in the ledger, whoever did it."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.errors import LedgerError, PolicyError
from auditlake.ledger import book
from tests.lakes import of_format_1
from tests.ledger.lakes import check_ledger, entries, make_old
from tests.store.lakes import copied, made, opened, write_events
from tests.verify.lakes import checked

POLICY = """name: Mine
description: Mine
required_events: [login]
retention_period: {days}d
alert_threshold: 5
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of one ingest."""
    folder = tmp_path_factory.mktemp("template")
    lake = made(folder / "lake")
    lake.ingest(write_events(folder / "a.jsonl", range(4)))
    return lake.layout.root


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> AuditLake:
    """A copy of it."""
    return opened(copied(template, tmp_path / "lake"))


def mine(folder: Path, days: int) -> tuple[Path, str]:
    """A policy file, and its digest."""
    file = folder / "mine.yaml"
    file.write_text(POLICY.format(days=days))
    return file, sha256(file.read_bytes()).hexdigest()


def test_verbs_are_recorded(lake: AuditLake, tmp_path: Path, run: Callable[..., Any]) -> None:
    """Adding, replacing and removing a policy are entries with its digests; what changes nothing is none."""
    file, first = mine(tmp_path, 30)
    lake.policies.add(file)
    lake.policies.add(file)
    file, second = mine(tmp_path, 60)
    with pytest.raises(PolicyError, match="another policy 'mine'"):
        lake.policies.add(file)
    assert run("--lake", lake.layout.root, "policy", "add", file, "--replace").code == 0
    assert run("--lake", lake.layout.root, "policy", "remove", "mine", "--yes").code == 0

    check_ledger(lake)
    found = [(entry.kind, bool(entry.adds), dict(entry.details)) for entry in entries(lake)[2:]]
    nothing: dict[str, Any] = {"by": "auditlake", "added": {}, "changed": {}, "removed": {}}
    assert found == [
        ("policy-change", False, {**nothing, "added": {"mine": first}}),
        ("policy-change", False, {**nothing, "changed": {"mine": [first, second]}}),
        ("policy-change", False, {**nothing, "removed": {"mine": second}}),
    ]
    assert checked(lake).ok


@pytest.mark.parametrize("then", ["ingest", "add"])
def test_changes_by_hand_are_noticed(then: str, lake: AuditLake, tmp_path: Path) -> None:
    """What somebody changed in LAKE/policies is an entry of its own before the next one, whatever that is about."""
    lake.layout.policy("failed_logins").write_bytes(b"name: weaker\n")
    other, gone = mine(tmp_path, 30)[0], lake.layout.policy("security_compliance")
    was = sha256(gone.read_bytes()).hexdigest()
    gone.unlink()
    if then == "ingest":
        lake.ingest(write_events(tmp_path / "b.jsonl", range(4, 6)))
    else:
        lake.policies.add(other)

    noticed, last = entries(lake)[-2:]
    assert (noticed.kind, noticed.details["by"], last.kind) == (
        "policy-change", "hand", "append" if then == "ingest" else "policy-change",
    )  # fmt: skip
    assert noticed.details["removed"] == {"security_compliance": was}
    assert noticed.details["changed"]["failed_logins"][1] == sha256(b"name: weaker\n").hexdigest()
    check_ledger(lake)
    report = checked(lake)
    assert (report.problems, report.notices) == ((), ())


@of_format_1
def test_a_writer_that_dies_before_it_is_recorded(
    lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy whose writer died before the ledger had it is noticed by the next commit."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(book, "complete", _die)
        lake.policies.add(mine(tmp_path, 30)[0])
    assert [notice.where for notice in checked(lake).notices if "changed" in notice.what] == ["policies/mine.yaml"]

    lake.ingest(write_events(tmp_path / "b.jsonl", range(4, 6)))
    assert [entry.kind for entry in entries(lake)] == ["begin", "append", "policy-change", "append"]
    assert checked(lake).ok


def _die(*_: Any) -> None:
    raise KeyboardInterrupt


@of_format_1
def test_a_lake_without_a_ledger(lake: AuditLake, tmp_path: Path) -> None:
    """A lake that is older than ledgers takes policies as it did; the ledger that begins later has them."""
    make_old(lake)
    file, digest = mine(tmp_path, 30)
    lake.policies.add(file)
    assert book.read_head(lake.layout) is None

    lake.ingest(write_events(tmp_path / "b.jsonl", range(4, 6)))
    assert [(entry.kind, entry.policies["mine"]) for entry in entries(lake)] == [("begin", digest), ("append", digest)]


@pytest.mark.parametrize("folder", ["policies", "sources", "holds"])
def test_a_link_among_them_is_told_with_what_to_do(folder: str, lake: AuditLake, tmp_path: Path) -> None:
    """What lies behind a link may change without the lake, so nothing is committed while there is one."""
    (at := lake.layout.root / folder).mkdir(exist_ok=True)
    (tmp_path / "elsewhere.yaml").write_text("x: 1")
    (at / "linked.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    file = write_events(tmp_path / "more.jsonl", range(60, 62))
    with pytest.raises(LedgerError, match=r"linked\.yaml: this is a symbolic link") as told:
        lake.ingest(file)
    assert "put the file itself in its place, or take it away" in (told.value.hint or "")
    (at / "linked.yaml").unlink()

    assert lake.ingest(file).landed == 2
