"""An address that is none of a bucket is refused in words, wherever it comes in."""

from __future__ import annotations

from pathlib import Path

import pytest

import auditlake
from auditlake.errors import LakeError

ADDRESSES = ("S3://bucket/lake", "gcs://bucket/lake", "https://user:hidden@example.org/lake", "file:///lake",
             "s3://key:hidden@bucket/lake", Path("s3://bucket/lake"))  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses(address: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no lake to open, none to make and no place for a backup; nothing is made, and it is not told, since it may
    have a password.
    """
    monkeypatch.chdir(tmp_path)
    there = auditlake.create(tmp_path / "lake", policies="none")
    for verb in (auditlake.open, auditlake.create, there.backup):
        with pytest.raises(LakeError, match=r"expected s3://, gs:// or az://") as refused:
            verb(address)
        assert "hidden" not in str(refused.value)
    assert [each.name for each in tmp_path.iterdir()] == ["lake"]
