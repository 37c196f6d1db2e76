"""How far applications have come, read from the log by ourselves: the same as delta-rs says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from deltalake import CommitProperties, DeltaTable, Transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError
from auditlake.store.deltalog import transaction_version
from tests.store.lakes import made

NAMES = ("a", "auditlake.landing.00", "auditlake.landing.01")


def commit(layout: Layout, reached: dict[str, int]) -> None:
    """A commit that brings nothing but transactions."""
    table = DeltaTable(str(layout.events))
    properties = CommitProperties(
        custom_metadata={"about": 'a "txn"'}, app_transactions=[Transaction(*each) for each in reached.items()]
    )
    table.create_write_transaction(
        [], "append", table.schema(), partition_by=["event_date"], commit_properties=properties
    )


@settings(
    max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    steps=st.lists(
        st.just("checkpoint") | st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2**62), max_size=2), max_size=8
    )
)
def test_as_delta_says(steps: list[str | dict[str, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """With any commits and checkpoints, each application has come as far as delta-rs says."""
    layout = made(tmp_path_factory.mktemp("lake") / "lake").layout
    for step in steps:
        if isinstance(step, str):
            DeltaTable(str(layout.events)).create_checkpoint()
        else:
            commit(layout, step)
    table = DeltaTable(str(layout.events))

    for name in NAMES:
        assert transaction_version(layout, name) == table.transaction_version(name)


def test_entries_before_a_checkpoint_are_not_needed(tmp_path: Path) -> None:
    """What another program has cleaned up before a checkpoint is not missed."""
    layout = made(tmp_path / "lake").layout
    commit(layout, {"a": 7})
    DeltaTable(str(layout.events)).create_checkpoint()
    layout.commit(0).unlink()

    assert transaction_version(layout, "a") == 7
    assert transaction_version(layout, "b") is None


@pytest.mark.parametrize("data", [None, b"", b'{"txn": {"appId"', b'{"txn": x}'])
def test_a_log_that_is_not_whole(data: bytes | None, tmp_path: Path) -> None:
    """A log with an entry that is damaged or not there is refused, by the name of the entry."""
    layout = made(tmp_path / "lake").layout
    commit(layout, {"a": 7})
    commit(layout, {"a": 8})
    (layout.commit(2)).write_bytes(json.dumps({"commitInfo": {}}).encode() + b"\n")
    layout.commit(1).unlink()
    if data is not None:
        layout.commit(1).write_bytes(data)

    with pytest.raises(LakeFormatError, match=layout.commit(1).name):
        transaction_version(layout, "a")


def test_a_damaged_checkpoint(tmp_path: Path) -> None:
    """A checkpoint that cannot be read is refused."""
    layout = made(tmp_path / "lake").layout
    (layout.log / f"{0:020d}.checkpoint.parquet").write_bytes(b"PAR1")

    with pytest.raises(LakeFormatError, match="checkpoint"):
        transaction_version(layout, "a")
