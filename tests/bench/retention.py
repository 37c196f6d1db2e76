"""``python -m tests.bench.retention --data FOLDER``: what it costs to delete, on the lake of the other rows.

Every run works on a copy whose data files are hard links: what a run removes there stays where it was made. There is no
rival: what is to be reached is absolute.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from auditlake import AuditLake
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.retention import rewrite
from tests.bench.data import DAYS, FIRST_DAY, place

KEPT_DAYS = 95
"""So many of the 365 days stay."""
FIRST = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)


def linked(lake: Path, target: Path) -> Path:
    """A copy of a lake whose data files are hard links."""

    def link(origin: str, copy: str) -> None:
        (os.link if origin.endswith(".parquet") else shutil.copy)(origin, copy)

    shutil.copytree(lake, target, copy_function=link)
    return target


def policy(types: frozenset[str], days: int, limit: str = "") -> str:
    return (
        f"name: a policy\ndescription: of the bench\nrequired_events: [{', '.join(sorted(types))}]\n"
        f"retention_period: {days}d\nalert_threshold: 1000000000\n{limit}"
    )


def lake_of(root: Path, policies: dict[str, str], as_of: datetime, grace: str) -> AuditLake:
    """A lake with these policies, on record already."""
    for file in (root / "policies").iterdir():
        file.unlink()
    for name, text in policies.items():
        (root / "policies" / f"{name}.yaml").write_text(text)
    config = (root / "lake.toml").read_text()
    (root / "lake.toml").write_text(config.partition("[retention]")[0] + f'[retention]\ngrace = "{grace}"\n')
    return AuditLake(root, clock=lambda: as_of)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def drop(lake: Path, folder: Path) -> dict[str, float]:
    """Drop 270 of 365 days; the unlinks by themselves."""
    as_of = FIRST + timedelta(days=DAYS, hours=12)
    root = linked(lake, folder / "drop")
    made = lake_of(root, {"all": policy(BUILT_IN_TYPES, KEPT_DAYS)}, as_of, "24h")
    plan = made.retention_plan()
    dropped = [each for each in plan.changes if each.action == "drop"]
    assert len(dropped) == len(plan.changes) == DAYS - KEPT_DAYS, len(dropped)
    seconds = {"plan": timed(made.retention_plan)}
    seconds["apply"] = timed(lambda: made.retention_apply(accept_weaker="bench"))
    assert len(made.snapshot().files) == KEPT_DAYS
    at_once = lake_of(root, {"all": policy(BUILT_IN_TYPES, KEPT_DAYS)}, as_of, "0")
    seconds["unlinks"] = timed(at_once.retention_apply)
    assert len(list((root / "events").glob("event_date=*"))) == KEPT_DAYS
    return seconds


def mixed(lake: Path, folder: Path) -> dict[str, float]:
    """Delete one type of one day, and pseudonymise another: only that day's files are read for it, one is written."""
    as_of = FIRST + timedelta(days=96, hours=12)
    root = linked(lake, folder / "mixed")
    policies = {
        "login": policy(frozenset({"login"}), 95),
        "data": policy(frozenset({"data_access"}), 3000, "max_retention: 96d\n"),
    }
    made = lake_of(root, policies, as_of, "0")
    plan = made.retention_plan()
    (day,) = plan.changes
    read: list[Path] = []
    written: list[Path] = []
    view, write = rewrite.view_events, rewrite.write_parquet
    rewrite.view_events = lambda c, files, **k: (read.extend(files), view(c, files, **k))[1]  # type: ignore[assignment]
    rewrite.write_parquet = lambda c, q, v, t: (written.append(t), write(c, q, v, t))[1]  # type: ignore[assignment]
    seconds = {"one mixed day": timed(lambda: made.retention_apply(accept_weaker="bench"))}
    rewrite.view_events, rewrite.write_parquet = view, write
    of_events = [path for path in read if root / "events" in path.parents]
    assert of_events == [root / "events" / file.path for file in day.files]
    assert len(written) == 1
    print(f"one mixed day: {day.events:,} events, {day.deleted:,} deleted, {day.pseudonymised:,} pseudonymised; "
          f"{len(of_events)} file read, {len(written)} written")  # fmt: skip
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.retention")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--data", type=Path, required=True, help="where the events of the other rows are, or will be")
    options = parser.parse_args()
    if not place(options.data, options.scale).root.exists():
        made = f"make(Path({str(options.data)!r}), {options.scale})"
        code = f"from pathlib import Path; from tests.bench.data import make; {made}"
        subprocess.run([sys.executable, "-c", code], check=True)
    lake = place(options.data, options.scale).lake
    found: dict[str, list[float]] = {}
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(dir=options.data) as folder:
            for name, seconds in (drop(lake, Path(folder)) | mixed(lake, Path(folder))).items():
                found.setdefault(name, []).append(seconds)
    for name, each in found.items():
        print(f"{name:16} {median(each):6.2f} s  ({min(each):.2f} - {max(each):.2f})")


if __name__ == "__main__":
    main()
