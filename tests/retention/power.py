"""Delete or erase on a disk whose power is cut: ``python -m tests.retention.power LAKE VERB TOLD``.

The file TOLD gets a line once everything that is slow to import is there, and one at the end of the work, each with the
ticks of processor time until then.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from auditlake import AuditLake
from auditlake.alerts.watch import evaluate_once
from tests.retention.lakes import DAY, NOW, Clock, bring, made, policy_text, record
from tests.waiting import processor_time

VERBS = ("apply", "erase")
ALERTING = policy_text(["login"], "2d").replace("1000", "2").replace("controls", "group_by: [user_id]\ncontrols")
_PSEUDONYM = re.compile(r"pseudonym-[0-9a-f]{40}")
_KEYED = re.compile('"keyed":"[0-9a-f]{64}"')


def build(root: Path) -> None:
    """A lake with days that go whole, mixed days, a pseudonymisation, quarantine and alerts, and no grace."""
    clock = Clock(NOW - 400 * DAY)
    lake = made(root, {"two": ALERTING, "long": policy_text(["logout"], "90d", "3d")}, clock)
    lake.layout.config.write_text(lake.layout.config.read_text().replace('grace = "24h"', 'grace = "0"'))
    lake = AuditLake(root, clock=clock)
    lake.retention.apply(accept_weaker="tests")
    bad = root.parent / "bad.jsonl"
    bad.write_text("".join(
        json.dumps({"event_type": "login", "timestamp": "never", "user_id": user}) + "\n" for user in ("ann", "bob")
    ))  # fmt: skip
    lake.ingest(bad)
    clock.now = NOW
    days = ((0, "login"), (0, "login"), (5, "logout"), (5, "login"), (6, "login"), (7, "logout"))
    bring(
        lake, (record(n, NOW - age * DAY, kind, user_id=("ann", "bob")[n // 4]) for n, (age, kind) in enumerate(days))
    )
    evaluate_once(lake.layout, lake.config, clock)
    assert b'"ann"' in (lake.layout.alerts / "state.json").read_bytes()


def work(root: Path, verb: str) -> None:
    """Delete, or erase."""
    lake = AuditLake(root, clock=Clock())
    if verb == "apply":
        lake.retention.apply()
    else:
        lake.retention.erase("ann", reason="r", ticket="t")


def state(root: Path) -> dict[str, object]:
    """All that a lake holds, with one word for all that its key makes: that is made on the way."""
    lake = AuditLake(root, clock=Clock())
    folders = (lake.layout.quarantine, lake.layout.alerts)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    rows = lake.sql("select * exclude (ingested_at) from events order by event_id").fetchall()
    texts = sorted(_KEYED.sub("K", _PSEUDONYM.sub("P", path.read_text())) for path in files)
    return {"files": texts, "rows": _PSEUDONYM.sub("P", repr(rows))}


def main(root: Path, verb: str, told: Path) -> None:
    """Plan, work, and write the line before and the line after the work."""
    AuditLake(root, clock=Clock()).retention.plan()
    with told.open("w", buffering=1) as file:
        print("begun", processor_time(os.getpid()), file=file)
        work(root, verb)
        print("done", processor_time(os.getpid()), file=file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
