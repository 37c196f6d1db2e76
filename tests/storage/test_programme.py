"""Whatever becomes of requests, and wherever writers die: nothing acknowledged is lost, nothing lands twice, nothing is
there in part, and every retry is bounded.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from auditlake.storage import objects
from tests.storage.conftest import Proxy
from tests.storage.programme import Memory, Programme

_NUMBERS = count()


def followed(programme: Programme, deaths: int) -> Programme:
    """Take steps until so many writers have died, each of which compares the bucket with what was acknowledged."""
    while programme.deaths < deaths:
        programme.step()
    programme.end()
    return programme


def test_fifty_deaths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty writers die on two hosts of a bucket in memory, while its requests are spoilt."""
    line = Memory()
    monkeypatch.setattr(objects, "opened", line.opened)
    programme = followed(Programme("s3://lakes/memory", tmp_path, line, seed=1, stride=7, often=5, deadly=0.95), 50)

    assert programme.rows, "something was acknowledged"
    assert programme.faults, "requests were spoilt"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50))
def test_a_thousand_deaths(seed: int, proxy: Proxy, tmp_path: Path) -> None:
    """So many processes are killed on two hosts of a server of S3, twenty for each seed."""
    if proxy.scheme != "s3":
        pytest.skip("what the bucket has is read in the server of S3")
    url = proxy.address(f"programme-{next(_NUMBERS)}")
    programme = Programme(url, tmp_path, proxy, seed, stride=5, often=10, deadly=0.9)
    try:
        followed(programme, 20)
    finally:
        print(f"seed {seed}: {programme.steps} steps, {programme.deaths} deaths, {programme.failed} failed, "
              f"{len(programme.rows)} events, {dict(programme.faults)}, {programme.most}")  # fmt: skip
    assert programme.rows, "something was acknowledged"
    assert programme.faults, "requests were spoilt"
