"""Lakes in buckets cannot be used yet: an address is refused in words, wherever it comes in."""

from __future__ import annotations

from pathlib import Path

import pytest

import auditlake
from auditlake.errors import LakeError
from auditlake.storage import lake as room

ADDRESSES = ("s3://bucket/lake", "S3://bucket/lake", "gs://bucket", "az://container/lake", "gcs://bucket/lake",
             "https://user:hidden@example.org/lake", "file:///lake")  # fmt: skip
REFUSED = "lakes in buckets cannot be used yet"


@pytest.fixture(autouse=True)
def unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reachable: None) -> None:
    """What a user has, in an empty folder."""
    monkeypatch.delenv(room._REACHABLE)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("address", [*ADDRESSES, Path("s3://bucket/lake")])
def test_addresses(address: str | Path, tmp_path: Path) -> None:
    """An address is no lake to open, none to make and no place for a backup; nothing is made, and it is not told, since
    it may have a password.
    """
    there = auditlake.create(tmp_path / "lake", policies="none")
    for verb in (auditlake.open, auditlake.create, there.backup):
        with pytest.raises(LakeError, match=f"{REFUSED}$"):
            verb(address)
    assert [each.name for each in tmp_path.iterdir()] == ["lake"]


def test_copies(tmp_path: Path) -> None:
    """A folder that says it is a copy of a bucket is none that can be used."""
    lake = auditlake.create(tmp_path / "lake", policies="none")
    lake.layout.bucket.write_text("{}")
    with pytest.raises(LakeError, match=f"{REFUSED}: {lake.layout.root} is a host"):
        auditlake.open(lake.layout.root)
