"""A plan says what it takes: which files are dropped, which are written anew, and how long that took in this lake."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake import AuditLake
from auditlake.retention.plan import Amount, Pace
from auditlake.store.deltalog import commit_metadata
from tests.cli.conftest import Run
from tests.retention.lakes import DAY, NOW, Clock
from tests.retention.test_classes import three_types, three_types_before_classes
from tests.templates import copy_of


def opened(folder: Path, *, classes: bool = True) -> AuditLake:
    """A lake of three types, in classes or as earlier versions made it."""
    made = three_types if classes else three_types_before_classes
    return AuditLake(copy_of(made, folder) / "lake", clock=Clock(NOW))


def test_whole_files_are_dropped(tmp_path: Path) -> None:
    """On an ordinary night nothing is written anew, which takes no time."""
    lake = opened(tmp_path)
    sizes = {file.path: file.size for file in lake.snapshot().files}
    plan = lake.retention.plan()
    done = lake.retention.apply()

    left = {file.path for file in lake.snapshot().files}
    gone = [size for path, size in sizes.items() if path not in left]
    assert plan.costs.dropped == done.costs.dropped == Amount(len(gone), sum(gone))
    assert plan.costs.rewritten == Amount()
    assert plan.costs.seconds == 0
    assert "took" not in (commit_metadata(lake.layout, done.snapshot) or {})
    assert plan.costs.words.endswith("dropped, none rewritten")


def test_time_is_told_once_it_is_known(tmp_path: Path) -> None:
    """How long files take that are written anew is not known before the lake did it once; then by that."""
    lake = opened(tmp_path, classes=False)
    first = lake.retention.plan()
    assert first.costs.seconds is None
    assert "not known yet" in first.costs.words
    done = lake.retention.apply()
    took = (commit_metadata(lake.layout, done.snapshot) or {})["took"]
    assert took["bytes"] == first.costs.rewritten.size == done.costs.rewritten.size > 0
    assert done.costs.seconds == took["microseconds"] / 1_000_000

    lake._context.clock.now = NOW + DAY  # type: ignore[attr-defined]
    lake.holds.add("h", reason="r", owner="o", ticket="t", user_ids=["user 0"])
    plan = lake.retention.plan()
    assert plan.costs.rewritten.files
    paced = plan.costs.rewritten.size * took["microseconds"] / took["bytes"] / 1_000_000
    assert plan.costs.seconds == pytest.approx(paced)
    assert plan.digest == lake.retention.plan().digest
    shown = plan.as_dict()
    assert shown["costs"]["rewritten"] == plan.costs.rewritten.as_dict()
    assert sum(each["rewritten"]["files"] for each in shown["partitions"]) == plan.costs.rewritten.files
    assert sum(each["dropped"]["bytes"] for each in shown["partitions"]) == plan.costs.dropped.size


def test_at_the_command_line(tmp_path: Path, run: Run) -> None:
    """The plan and the outcome of an apply say it in words and as JSON."""
    root = opened(tmp_path, classes=False).layout.root
    assert "rewritten, how long that takes is not known yet" in run("--lake", root, "retention", "plan").out
    done = run("--lake", root, "retention", "apply", "--yes", "--json").json
    assert done["costs"].keys() == {"dropped", "rewritten", "seconds"}
    assert done["costs"]["dropped"]["files"] + done["costs"]["rewritten"]["files"] > 0
    assert done["costs"]["seconds"] is not None


@given(
    fixed=st.integers(0, 10_000_000),
    a_byte=st.integers(0, 50),
    doublings=st.lists(st.integers(10, 34), min_size=5, max_size=10, unique=True),
    busy=st.integers(0, 10**9),
    asked=st.integers(1, 10**11),
)
def test_a_fixed_share_and_a_rate_are_learned(
    fixed: int, a_byte: int, doublings: list[int], busy: int, asked: int
) -> None:
    """A small night is told its share that no byte takes, and one night on a busy machine changes neither number."""
    taken = [(2**each, fixed + a_byte * 2**each) for each in doublings]
    taken[0] = (taken[0][0], taken[0][1] + busy)
    pace = Pace.learned(taken)
    assert pace is not None
    assert pace.seconds(asked) == pytest.approx((fixed + a_byte * asked) / 1_000_000)


@given(
    taken=st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**9)), min_size=1, max_size=10),
    sizes=st.lists(st.integers(1, 10**9), min_size=2, max_size=5),
)
def test_more_bytes_take_longer(taken: list[tuple[int, int]], sizes: list[int]) -> None:
    """Whatever was recorded, no time is negative, and none is shorter than that for fewer bytes."""
    pace = Pace.learned(taken)
    assert pace is not None
    told = [pace.seconds(size) for size in sorted(sizes)]
    assert told == sorted(told)
    assert told[0] >= 0
    order = sorted(taken)
    if order[-1][0] < 2 * order[0][0]:  # a rate alone: nothing tells it from the share
        assert pace.fixed == 0
    assert Pace.learned([]) is None
