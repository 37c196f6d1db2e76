"""Whether writers were at work while a verification ran: then what it found may be due to them, and it looks again."""

from __future__ import annotations

import time
from collections.abc import Callable

from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.verify.model import VerifyReport

_SIGNING_SECONDS = 1.0
UNSIGNED = "is not signed yet"
"""What is told of a commit whose writer may be about to sign it."""


def state(layout: Layout) -> tuple[bytes, int]:
    """Return what changes with every commit."""
    try:
        data = read_file(layout.ledger / "checkpoint", within=layout.root)
    except OSError:
        data = b""
    return data, sum(1 for _ in layout.log.glob("*.json"))


def stays(layout: Layout, before: tuple[bytes, int], report: VerifyReport, bring_log: Callable[[], object]) -> bool:
    """Return whether what was found is not due to a writer at work meanwhile; one that is just signing is waited for.

    Another host that replaced files may have taken them from the bucket: its commit is brought first.
    """
    bring_log()
    deadline = time.monotonic() + (_SIGNING_SECONDS if any(UNSIGNED in each.what for each in report.problems) else 0)
    while (same := state(layout) == before) and time.monotonic() < deadline:
        time.sleep(0.05)
    return same
