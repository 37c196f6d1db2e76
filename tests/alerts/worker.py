"""A process of its own that logs into a lake and would evaluate it: ``python -m tests.alerts.worker LAKE``.

It prints ``evaluating`` once it does, and logs one event of a user for each line of standard input, which is the user's
name. Its end waits for the evaluator, however long that takes.
"""

from __future__ import annotations

import sys
import threading
from functools import partialmethod
from pathlib import Path

from auditlake import AuditEvent, AuditLake
from auditlake.alerts import watch as room
from auditlake.machine import system_clock
from tests.waiting import HANG_SECONDS, until


def main() -> None:
    room._END_SECONDS = HANG_SECONDS
    room.Watch.stop = partialmethod(room.Watch.stop, wait_seconds=HANG_SECONDS)
    lake = AuditLake(Path(sys.argv[1]))
    watching = room.Watch(lake.layout, lake.config, system_clock)
    watching.start()

    def tell() -> None:
        until(lambda: watching.is_evaluating)
        print("evaluating", flush=True)

    threading.Thread(target=tell, daemon=True).start()
    with lake.trail(flush_seconds=None, alerts=False) as trail:
        for line in sys.stdin:
            trail.log(AuditEvent("login", system_clock(), user_id=line.strip()))


if __name__ == "__main__":
    main()
