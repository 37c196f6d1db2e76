"""A process of its own that logs into a lake and would evaluate it: ``python -m tests.alerts.worker LAKE``.

It says ``evaluating`` on standard output once it does, and logs one event of a user for each line of standard input,
which is the user's name.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from auditlake import AuditEvent, AuditLake
from auditlake.alerts.watch import start_watching
from auditlake.machine import system_clock


def main() -> None:
    lake = AuditLake(Path(sys.argv[1]))
    watching = start_watching(lake.layout, lake.config, system_clock)

    def tell() -> None:
        while not watching.is_evaluating:
            time.sleep(0.01)
        print("evaluating", flush=True)

    threading.Thread(target=tell, daemon=True).start()
    with lake.trail(flush_seconds=None, alerts=False) as trail:
        for line in sys.stdin:
            trail.log(AuditEvent("login", system_clock(), user_id=line.strip()))


if __name__ == "__main__":
    main()
