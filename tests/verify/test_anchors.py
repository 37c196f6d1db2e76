"""Time stamps over checkpoints: asked of an authority, kept, and what a verification makes of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.errors import LedgerError
from auditlake.verify import anchors
from tests.store.lakes import copied, made, opened, write_events
from tests.verify.lakes import checked

pytest.importorskip("rfc3161_client")
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")

from tests.verify.authority import Authority  # noqa: E402 - needs what may not be there


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of one ingest."""
    folder = tmp_path_factory.mktemp("template")
    lake = made(folder / "lake")
    lake.ingest(write_events(folder / "a.jsonl", range(4)))
    return lake.layout.root


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def url(authority: Authority) -> Iterator[str]:
    """Where it listens."""
    with authority.listening() as found:
        yield found


def test_a_stamped_checkpoint(
    lake: AuditLake, authority: Authority, url: str, tmp_path: Path, run: Callable[..., Any]
) -> None:
    """The newest checkpoint is stamped; what came since is the unanchored window; openssl says the same."""
    roots = authority.folder / "root.pem"
    done = run("--lake", lake.layout.root, "anchor", url, "--tsa-root", roots)
    assert (done.code, done.out.startswith("stamped 2 entries at ")) == (0, True)
    report = checked(lake, tsa_roots=authority.roots)
    assert (report.ok, report.anchored, report.unanchored, report.unanchored_since) == (True, 2, 0, "")
    assert (report.stamped, report.stamp_trusted) == (2, True)

    lake.ingest(write_events(tmp_path / "b.jsonl", range(4, 8)))
    report = checked(lake, tsa_roots=authority.roots)
    assert (report.ok, report.anchored, report.unanchored) == (True, 2, 1)
    assert report.unanchored_seconds > 200 * 86400
    done = run("--lake", lake.layout.root, "verify", "--tsa-root", roots)
    assert done.code == 0
    assert "vouches for the last 1, since" in done.out
    assert f"newest time stamp of {report.stamped_at}, over 2 entries\n" in done.out
    (stamp,) = anchors.anchors_path(lake.layout).glob("*.tsr")
    command = ["openssl", "ts", "-verify", "-data", stamp.with_suffix(".checkpoint"), "-in", stamp, "-CAfile", roots]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_stamps_that_are_not_checked(lake: AuditLake, url: str, run: Callable[..., Any]) -> None:
    """Without the authority's certificate a stamp is reported, and anchors nothing."""
    assert "--tsa-root" in run("--lake", lake.layout.root, "anchor", url).out
    report = checked(lake)

    assert (report.ok, report.anchored, report.stamped, report.stamp_trusted) == (True, 0, 2, False)
    assert "was not checked" in run("--lake", lake.layout.root, "verify").out


def test_a_lake_set_back(lake: AuditLake, url: str, tmp_path: Path) -> None:
    """A lake that was set back or rewritten behind a stamp is found, with or without the authority's certificate."""
    before = copied(lake.layout.root, tmp_path / "before")
    lake.ingest(write_events(tmp_path / "b.jsonl", range(4, 8)))
    lake.ledger.anchor(url)
    stamps = anchors.anchors_path(lake.layout)
    shutil.copytree(stamps, before / "ledger" / "anchors")
    assert "was set back: it had 3 entries" in str(checked(opened(before)).problems)

    opened(before).ingest(write_events(tmp_path / "c.jsonl", range(20, 24)))
    assert "was rewritten: its first 3 entries" in str(checked(opened(before)).problems)


def test_changed_stamps(lake: AuditLake, authority: Authority, url: str) -> None:
    """A changed byte of a stamp or of its checkpoint is found, and so is one of the two that is gone."""
    lake.ledger.anchor(url)
    files = sorted(anchors.anchors_path(lake.layout).iterdir())
    assert len(files) == 2
    for file in files:
        data = file.read_bytes()
        for at in range(0, len(data), 97):
            file.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
            assert not checked(lake, full=False).ok
        file.write_bytes(data)
    files[0].unlink()
    assert "cannot be relied on" in str(checked(lake, tsa_roots=authority.roots).problems)


def test_the_stamp_of_another_authority(lake: AuditLake, url: str, tmp_path: Path) -> None:
    """A stamp that does not lead to the certificates that are given is refused, before and after it is kept."""
    other = Authority(tmp_path / "other").roots
    with pytest.raises(LedgerError, match="is not one of the authority that was given"):
        lake.ledger.anchor(url, tsa_roots=other)
    assert not anchors.anchors_path(lake.layout).exists()

    lake.ledger.anchor(url)
    report = checked(lake, tsa_roots=other)
    assert "is not one of the authority that was given" in str(report.problems)
    assert report.anchored == 0


@pytest.mark.parametrize("says", [b"", b"<html>", bytes(100), bytes.fromhex("30053003020102")])
def test_no_stamps(says: bytes, lake: AuditLake, authority: Authority, url: str) -> None:
    """What is no stamp, or a refusal, is told, and nothing is kept."""
    authority.says = says
    with pytest.raises(LedgerError, match=r"not a time stamp|refused the time stamp"):
        lake.ledger.anchor(url)
    assert not anchors.anchors_path(lake.layout).exists()


def test_the_stamp_of_another_request(lake: AuditLake, authority: Authority, url: str, tmp_path: Path) -> None:
    """A stamp that was made before, for the same checkpoint or another, is not taken."""
    lake.ledger.anchor(url)
    authority.says = (authority.folder / "response").read_bytes()
    with pytest.raises(LedgerError, match="answer to another request"):
        lake.ledger.anchor(url)
    lake.ingest(write_events(tmp_path / "b.jsonl", range(4, 8)))
    with pytest.raises(LedgerError, match="over something else"):
        lake.ledger.anchor(url)


def test_nobody_there(lake: AuditLake) -> None:
    """An authority that cannot be reached, or no URL of one, is told in a line."""
    with pytest.raises(LedgerError, match="gave no time stamp"):
        lake.ledger.anchor("http://127.0.0.1:1/")
    with pytest.raises(LedgerError, match="expected http"):
        lake.ledger.anchor("file:///etc/passwd")


def test_without_the_package(lake: AuditLake, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rfc3161-client a lake with stamps verifies, and says that it did not read them."""
    lake.ledger.anchor(url)
    monkeypatch.setattr(anchors, "has_client", lambda: False)
    monkeypatch.setattr("auditlake.upkeep.timestamp.has_client", lambda: False)
    report = checked(lake)

    assert (report.ok, report.stamped_at) == (True, "")
    assert "1 time stamps were not read" in str(report.notices)
    with pytest.raises(LedgerError, match="rfc3161-client"):
        lake.ledger.anchor(url)
