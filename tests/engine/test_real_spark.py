"""Real Spark answers with the same bytes: a server of Spark Connect with two executors, where Java and Spark are.

``.ci/spark`` installs both and runs these tests. Spark's own package cannot be installed beside its client, so it is
found by ``SPARK_HOME``.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import auditlake
from auditlake import AuditLake
from auditlake.engine.model import SliceEngine
from auditlake.spark.engine import open_spark
from tests.cli.test_engine_cli import NOW, POLICIES, lake  # noqa: F401 - a fixture
from tests.demos import copy_demo
from tests.engine import test_by_days
from tests.engine.test_by_group import bundles, evidence_at_peaks  # noqa: F401 - a fixture
from tests.engine.test_by_group import check as check_groups
from tests.engine.test_slices import Drawn, check
from tests.policies.test_coverage_law import asked
from tests.policies.test_kinds_law import MEASURES

pytestmark = pytest.mark.soak
_SECONDS = 120
"""How long a server may take to start."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Spark Connect server of this test run."""
    if shutil.which("java") is None:
        pytest.skip("Java is not on this machine")
    submit = Path(os.environ.get("SPARK_HOME", "/nowhere"), "bin", "spark-submit")
    if not submit.exists():
        pytest.skip("SPARK_HOME names no Spark")
    folder = tmp_path_factory.mktemp("spark")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    conf = {
        "spark.connect.grpc.binding.address": "127.0.0.1", "spark.connect.grpc.binding.port": port,
        "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": 2, "spark.sql.warehouse.dir": folder,
    }  # fmt: skip
    command = [submit, "--master", "local[2]", "--driver-memory", "2g"]
    command += [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    env = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        until = time.monotonic() + _SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert server.poll() is None and time.monotonic() < until, (folder / "log").read_text()[-2_000:]
            time.sleep(0.5)
        yield f"sc://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def spark(address: str) -> Iterator[SliceEngine]:
    """A session with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        with closing(open_spark(address)) as engine:
            yield engine


def test_the_demo(address: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every report of the demo."""
    copy_demo(tmp_path, tmp_path_factory)
    demo = auditlake.open(tmp_path / "demo" / "lake")
    usual, theirs = (demo.reports(as_of="2026-10-01", last="90d", engine=name) for name in ("duckdb", address))
    assert [each.json() for each in theirs] == [each.json() for each in usual]
    assert sum(each.total_events for each in usual) > 0


def test_a_lake_of_every_measure(lake: AuditLake, address: str) -> None:  # noqa: F811
    """Ties, events without a group, cut episodes, groups by several columns, a scope, a hold."""
    usual, theirs = (lake.reports(*POLICIES, as_of=NOW, last="60d", engine=name) for name in ("duckdb", address))
    assert [each.json() for each in theirs] == [each.json() for each in usual]
    assert sum(len(each.findings) for each in usual) > 0


@given(drawn=asked())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_counts_equal_oracle(spark: SliceEngine, tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> None:
    """Counts, gaps, scopes and fields of drawn lakes."""
    check(spark, tmp_path_factory.getbasetemp() / "spark.parquet", *drawn)


@pytest.mark.parametrize("kind", MEASURES)
def test_groups_equal_definitions(spark: SliceEngine, tmp_path: Path, kind: str) -> None:
    """Measures by group, over two parts."""
    check_groups(spark, tmp_path, next(bundles(kind, range(50), 3)), 2 * spark.in_a_part)


@pytest.mark.parametrize("what", test_by_days.MEASURES)
def test_stretches_equal_the_whole(spark: SliceEngine, tmp_path: Path, what: str) -> None:
    """Measures without groups, over stretches of days."""
    test_by_days.check(spark, tmp_path, what, 1, 100)
