"""Lakes whose events are logged, flushed and evaluated by hand, under a clock that stands where it is put."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from auditlake import AuditEvent, AuditLake
from auditlake.alerts.evaluator import Evaluator
from auditlake.alerts.model import Alert
from auditlake.events.times import instant
from auditlake.landing.trail import Terms, Trail, TrailOptions
from auditlake.testing import set_policies

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
BASE = 1_795_500_000 * SECOND
"""Where most clocks of these tests begin, in 2026."""


def policy(
    threshold: int, *, window: str = "20s", group_by: Sequence[str] = ("user_id",), where: str | None = None,
    types: str = "[login]", name: str = "Watched",
) -> str:  # fmt: skip
    """A policy file."""
    lines = [f"name: {name}", "description: d", f"required_events: {types}", "retention_period: 30d",
             f"alert_threshold: {threshold}", f"window: {window}", "coverage: optional"]  # fmt: skip
    lines += [f"group_by: [{', '.join(group_by)}]"] if group_by else []
    lines += [f'where: "{where}"'] if where else []
    return "\n".join(lines) + "\n"


class Collected:
    """Takes the place of those who bring alerts to sinks: keeps them."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def take_up(self, outbox: object) -> None:
        """Nothing is ever left."""

    def send(self, alert: Alert) -> None:
        """Keep it."""
        self.alerts.append(alert)

    def outbox(self) -> tuple[()]:
        """Nothing is ever left."""
        return ()


class Play:
    """A lake with policies of its own, what logs into it, and what evaluates it.

    Args:
        path: Where to make the lake.
        template: A lake to copy.
        policies: The policy files by id.
        lateness: Microseconds.
    """

    def __init__(self, path: Path, template: Path, policies: dict[str, str], lateness: int = 10 * SECOND) -> None:
        shutil.copytree(template, path)
        self.now = BASE
        self.lake = AuditLake(path, clock=self.clock)
        set_policies(self.lake, policies)
        self.lateness = lateness
        self.sent = Collected()
        self.evaluator: Evaluator | None = None
        self._trails = self._begin_trails()

    @property
    def alerts(self) -> list[Alert]:
        """All alerts, resolutions left out."""
        return [alert for alert in self.sent.alerts if alert.kind == "threshold_exceeded"]

    @property
    def resolutions(self) -> list[Alert]:
        return [alert for alert in self.sent.alerts if alert.kind == "resolved"]

    def clock(self) -> datetime:
        return instant(self.now)

    def log(self, *events: AuditEvent, trail: int = 0) -> None:
        self._trails[trail].log_many(events)

    def log_many(self, events: Sequence[AuditEvent]) -> None:
        self._trails[0].log_many(events)

    @property
    def kept(self) -> int:
        """How many events are kept to count with."""
        tallies = self.evaluator._tallies.values() if self.evaluator else ()
        return sum(len(each.sightings) for tally in tallies for each in tally._kept.values())

    def evaluate(self) -> None:
        """Evaluate until there is nothing to do."""
        while self.cycle():
            pass

    def cycle(self) -> bool:
        """Evaluate for a moment; whether there is more to do."""
        if self.evaluator is None:
            self.evaluator = Evaluator(
                self.lake.layout, self.lake.config, self.clock, self.sent,  # type: ignore[arg-type]
                lateness=self.lateness, threads=1,
            )  # fmt: skip
        return self.evaluator.cycle(at_once=True)

    def stop(self, *, crash: bool = False) -> None:
        """End the evaluator, in good order or not."""
        if self.evaluator is not None:
            if not crash:
                self.evaluator.save()
            self.evaluator.close()
            self.evaluator = None

    def flush(self) -> None:
        """Bring what has landed into the table."""
        self.lake.flush()

    def _begin_trails(self) -> list[Trail]:
        terms = Terms(self.lake.config.event_types, self.lake.config.max_record)
        return [Trail(self.lake.layout, terms, TrailOptions(durability="os")) for _ in range(2)]

    def end_trails(self) -> None:
        """Whoever logs ends, and others begin."""
        for trail in self._trails:
            trail.close()
        self._trails = self._begin_trails()

    def close(self) -> None:
        """Let go of everything, and of the lake."""
        self.stop()
        for trail in self._trails:
            trail.close()
        shutil.rmtree(self.lake.layout.root)


def event(at: int, user: str | None = "ann", **fields: object) -> AuditEvent:
    """A login so many microseconds after 1970."""
    return AuditEvent(**{"event_type": "login", "timestamp": instant(at), "user_id": user, **fields})  # type: ignore[arg-type]
