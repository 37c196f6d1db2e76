"""The commands that deal with findings and prove them, as a user types them."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditlake import AuditEvent
from auditlake.cli import main
from tests.lakes import create

Run = Callable[..., tuple[int, str, str]]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def burst(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one burst of failed logins."""
    lake = create(tmp_path_factory.mktemp("burst") / "lake")
    lake.ingest([AuditEvent("auth_failure", NOON - timedelta(seconds=i), user_id="\x1b[31mann") for i in range(7)])
    return lake.layout.root


@pytest.fixture
def run(burst: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on a lake with one burst of failed logins; gives the exit code and both outputs."""
    shutil.copytree(burst, tmp_path / "lake")
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["auditlake", *words])
        with pytest.raises(SystemExit) as left:
            main()
        done = capsys.readouterr()
        return int(left.value.code or 0), done.out, done.err

    return command


PERIOD = ("--period", "2026")


def test_a_finding_is_accepted_and_opened_again(run: Run) -> None:
    """List, accept, list, show, reopen: the words of the journal come back, and no control character does."""
    code, out, _ = run("finding", "list", "failed_logins", *PERIOD)
    assert (code, "\x1b" in out, "1 found, 1 of them open" in out) == (0, False, True)
    assert re.search(r"failed_logins: as of \S+Z, period \(2025-12-31T23:59:59.999999Z, 2026-\S+Z\]", out)
    (found,) = json.loads(run("finding", "list", "failed_logins", *PERIOD, "--json")[1])["findings"]
    words = ("--reason", "a drill", "--owner", "ops", "--until", "2099-01-01", "--by", "me")
    assert "ops answers for it: a drill" in run("finding", "accept", found["id"], *words, *PERIOD)[1]
    assert "accepted already" in run("finding", "accept", found["id"], *words, *PERIOD)[2]
    assert "0 of them open" in run("finding", "list", "failed_logins", "--accepted", *PERIOD)[1]
    assert run("report", "failed_logins", *PERIOD, "--fail-on", "violation", "--out", "o")[0] == 0
    assert "a drill" in run("finding", "show", found["id"], *PERIOD)[1]
    assert "opened again by me: over" in run("finding", "reopen", found["id"], "--reason", "over", "--by", "me")[1]
    assert run("report", "failed_logins", *PERIOD, "--fail-on", "violation", "--out", "o")[0] == 1
    entries = json.loads(run("finding", "show", found["id"], *PERIOD, "--json")[1])["journal"]
    assert [each["kind"] for each in entries] == ["accept", "reopen"]


def test_an_id_is_enough(run: Run) -> None:
    """Listed over any period, a finding is shown, accepted and opened again by the beginning of its id alone."""
    period = ("--since", "2026-11-24T11:59:58Z", "--until", "2026-11-24T12:00:00Z")  # which cuts it
    (found,) = json.loads(run("finding", "list", "failed_logins", *period, "--json")[1])["findings"]
    short, words = found["id"][:9], ("--reason", "a drill", "--owner", "ops")
    code, _, err = run("finding", "accept", short, *words)
    assert (code, "Missing option '--expires'" in err) == (2, True)
    assert f"{found['id']} accepted until 2099-01-31 23:59:59Z" in run(
        "finding", "accept", short, *words, "--expires", "2099-01-31"
    )[1]  # fmt: skip
    assert "a drill" in run("finding", "show", short)[1]
    assert "opened again" in run("finding", "reopen", short, "--reason", "over")[1]
    assert "  --until" not in run("finding", "accept", "--help")[1]


def test_reviews_are_listed(run: Run) -> None:
    """`review list` has every review with its period, whichever way it was given, and -h shows both commands."""
    assert "period (2026-09-30T23:59:59.999999Z, 2026-10-31T23:59:59.999999Z], reviewed by eve: fine" in run(
        "review", "--note", "fine", "--by", "eve", "failed_logins", "--period", "2026-10"
    )[1]  # fmt: skip
    assert run("review", "sign", "data_access_tracking", "--note", "and this", "--until", "2026-11-20")[0] == 0
    listed = json.loads(run("review", "list", "--json")[1])["reviews"]
    first = listed[0]
    assert (first["policies"], first["since"], first["until"][:10], first["pack"]) == (
        ["failed_logins"], "2026-09-30T23:59:59.999999Z", "2026-10-31", None
    )  # fmt: skip
    assert [each["note"] for each in listed] == ["fine", "and this"]
    assert "fine" in run("review", "list", "failed_logins")[1]
    assert "and this" not in run("review", "list", "failed_logins")[1]
    assert all(word in run("review", "-h")[1] for word in ("list", "sign"))


def test_a_finding_of_an_earlier_period_is_accepted(run: Run) -> None:
    """What list says of a period is what the other commands take; an acceptance has an end of its own beside it."""
    since, until = ("--since", "2026-11-01"), "2026-11-24T12:00:00Z"
    (found,) = json.loads(run("finding", "list", "failed_logins", *since, "--until", until, "--json")[1])["findings"]
    words = ("--reason", "a drill", "--owner", "ops", "--until", "2099-01-01")
    assert "ops answers for it" in run("finding", "accept", found["id"], *words, *since, "--period-until", until)[1]
    assert "1 found, 0 of them open" in run("finding", "list", "failed_logins", *since, "--until", until)[1]


def test_a_report_is_signed_off_packed_and_done_again(run: Run, tmp_path: Path) -> None:
    """Review, evidence, reperform; a report that was tampered with is exit code 1, and what is none is 3."""
    assert "reviewed by eve: fine" in run("review", "failed_logins", "--note", "fine", "--by", "eve", *PERIOD)[1]
    assert "7 events behind 1 finding, 7 proofs\n" in run("evidence", "failed_logins", *PERIOD, "--out", "p.zip")[1]
    assert (tmp_path / "p.zip").exists()
    run("report", "failed_logins", "--as-of", "2026-11-25", "--out", "o")
    (report,) = (tmp_path / "o").glob("compliance*.json")
    assert run("reperform", str(report))[:2] == (
        0, "identical: failed_logins as of 2026-11-25T23:59:59.999999Z on snapshot 1\n"
    )  # fmt: skip
    report.write_text(report.read_text().replace('"total_events": 7', '"total_events": 6'))
    code, out, _ = run("reperform", str(report))
    assert code == 1
    assert "total_events" in out
    assert json.loads(run("reperform", str(report), "--json")[1])["differences"] == [
        {"where": "total_events", "then": 6, "now": 7}
    ]
    assert run("reperform", "p.zip")[0] == 0
    (tmp_path / "none.json").write_text("{}")
    assert run("reperform", "none.json")[0] == 3
