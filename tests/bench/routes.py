"""How long the routes of six verbs are, counted on a small lake: ``python -m tests.bench.routes``.

Each verb runs twice, on one of two equal lakes; the second run is counted, so that imports and caches are none of it.
Nothing here depends on the machine: the numbers say how far a reader has to go, not how long the verb takes.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import auditlake
from auditlake import AuditEvent, AuditLake
from tests.lakes import create

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
PACKAGE = str(Path(auditlake.__file__).parent)
CALLS = {
    "snapshots opened": ("read_snapshot",), "ledger settled": ("settle",), "log synced": ("sync_log",),
    "certificates rendered": ("render_certificate_json", "render_certificate_page"),
}  # fmt: skip
"""Functions of the package that are counted by their names, which every version of it has."""
READ = {
    "log entries read": re.compile(r"\d{20}\.json\Z"), "lake.toml read": re.compile(r"lake\.toml\Z"),
    "policies read": re.compile(r"short\.yaml\Z|other\.yaml\Z"), "holds read": re.compile(r"case\.yaml\Z"),
}  # fmt: skip
"""Files that are counted whenever Python opens them to read."""


@dataclass
class Route:
    """What one run of a verb touched."""

    files: set[str] = field(default_factory=set)
    functions: set[CodeType] = field(default_factory=set)
    hops: int = 0
    """Calls from one file of the package into another."""
    counts: Counter[str] = field(default_factory=Counter)

    def row(self) -> list[int]:
        """Return the numbers in the order of :data:`HEADINGS`."""
        numbers = [len(self.files), len(self.functions), self.hops]
        return numbers + [self.counts[name] for name in (*CALLS, *READ)]

    def entered(self, frame: FrameType, event: str, _: Any) -> None:
        """Count a call into the package; this is what ``sys.setprofile`` takes."""
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(PACKAGE):
            return
        self.files.add(code.co_filename)
        self.functions.add(code)
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(PACKAGE):
            caller = caller.f_back
        self.hops += caller is None or caller.f_code.co_filename != code.co_filename
        self.counts.update(name for name, functions in CALLS.items() if code.co_name in functions)

    def opened(self, path: object, flags: object) -> None:
        """Count a file that is opened to be read."""
        if isinstance(path, str) and isinstance(flags, int) and not flags & 3:
            self.counts.update(name for name, pattern in READ.items() if pattern.search(path))


HEADINGS = ("files entered", "functions entered", "hops between files", *CALLS, *READ)
_counted: list[Route] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _counted:
        _counted[-1].opened(str(arguments[0]), arguments[2])


def count(verb: Callable[[], object]) -> Route:
    """Return the route of a verb, threads that it starts included."""
    _counted.append(route := Route())
    threading.setprofile(route.entered)
    sys.setprofile(route.entered)
    try:
        verb()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        _counted.clear()
    return route


def small_lake(root: Path) -> AuditLake:
    """Return a lake of two policies, one hold and three commits, in which a day is due and another is partly held."""
    lake = create(root / "lake", clock=lambda: NOW)
    for file in lake.layout.policies.iterdir():
        file.unlink()
    for name, kind, period in (("short", "login", "5d"), ("other", "data_access", "400d")):
        text = f"name: {name}\ndescription: d\nrequired_events: [{kind}]\nretention_period: {period}\n"
        lake.layout.policy(name).write_text(text + "alert_threshold: 3\n")
    for number, days in enumerate((40, 30, 1)):
        _events(root / f"{number}.jsonl", number, NOW - timedelta(days=days))
        lake.ingest(root / f"{number}.jsonl")
    lake.holds.add("case", reason="r", owner="o", ticket="T-1", user_ids=["u1"])
    _events(root / "more.jsonl", 9, NOW - timedelta(days=2))
    return lake


def _events(file: Path, number: int, at: datetime) -> None:
    lines = [
        {"event_id": f"{number}-{i}", "event_type": "login" if i % 2 else "data_access", "timestamp": at.isoformat(),
         "user_id": f"u{i % 3}"}
        for i in range(12)
    ]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _flushed(lake: AuditLake) -> Callable[[], object]:
    lake.log(AuditEvent("login", NOW, "u1"))
    return lake.flush


VERBS: dict[str, Callable[[AuditLake], Callable[[], object]]] = {
    "retention apply": lambda lake: lambda: lake.retention.apply(accept_weaker="bench"),
    "ingest": lambda lake: lambda: lake.ingest(lake.layout.root.parent / "more.jsonl"),
    "report": lambda lake: lambda: lake.report("short"),
    "hold": lambda lake: lambda: lake.holds.add("other_case", reason="r", owner="o", ticket="T-2", user_ids=["u2"]),
    "flush": _flushed,
    "verify": lambda lake: lake.ledger.verify,
}
"""Each verb, made ready on a lake."""


def main() -> None:
    """Print the table."""
    sys.addaudithook(_audit)
    print("|", " | ".join(("verb", *HEADINGS)), "|")
    print("|---" * (1 + len(HEADINGS)) + "|")
    for name, ready in VERBS.items():
        with tempfile.TemporaryDirectory() as warm, tempfile.TemporaryDirectory() as counted:
            ready(small_lake(Path(warm)))()
            numbers = count(ready(small_lake(Path(counted)))).row()
            print("|", " | ".join((name, *(f"{number:,}" for number in numbers))), "|")


if __name__ == "__main__":
    main()
