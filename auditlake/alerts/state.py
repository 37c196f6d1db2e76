"""What the evaluator knows that the lake does not: written down whole, so that a restart repeats and misses nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditlake.alerts.breaches import Breach
from auditlake.alerts.late_events import Lot, Stretch
from auditlake.alerts.model import Alert, Group
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.landing.segments import Position
from auditlake.storage.lake import write

_FORMAT = 1
_LOG = logging.getLogger("auditlake.alerts.watch")


@dataclass(frozen=True, slots=True)
class PolicyState:
    """What was alerted for a policy."""

    judged_by: str
    """What of the policy decides on its counts, as a digest."""
    breaches: Mapping[Group, list[Breach]]


@dataclass(frozen=True, slots=True)
class State:
    """Where the evaluator stood, of a host that was elected to evaluate for all of them."""

    judged: int
    """Up to when everything was judged, in microseconds since 1970."""
    version: int
    """The version of the table up to which everything that came through the landing was counted."""
    positions: Mapping[int, Position]
    """Of each slot, what of it was counted."""
    policies: Mapping[str, PolicyState] = field(default_factory=dict)
    lots: tuple[Lot, ...] = ()
    """What waits to be judged from the table."""
    outbox: tuple[tuple[Alert, tuple[str, ...]], ...] = ()
    """Alerts that have not reached all sinks, each with the names of those that lack it."""
    host: int | None = 0
    """The number of the host that has these slots; 0 where the lake is a folder, None for a host that has none yet."""


def write_state(layout: Layout, state: State) -> None:
    """Write it down, durably, in a bucket too.

    Raises:
        OSError: The disk or the bucket refused, or another host has written its own; the old one is still there.
    """
    written = {
        "format": _FORMAT,
        "judged": state.judged,
        "version": state.version,
        "positions": {str(slot): position.packed for slot, position in state.positions.items()},
        "policies": {policy_id: _policy_dict(each) for policy_id, each in state.policies.items()},
        "waiting": [_lot_dict(lot) for lot in state.lots],
        "outbox": [{"alert": alert.as_dict(), "sinks": list(names)} for alert, names in state.outbox],
        "host": state.host,
    }
    write(layout, layout.alert_state, json.dumps(written, separators=(",", ":")).encode("ascii"))


def read_state(path: Path) -> State | None:
    """Read what was written down; return None if nothing was, or if it cannot be understood, which is logged."""
    try:
        written = json.loads(read_file(path, within=path.parent))
        if written["format"] != _FORMAT:
            raise ValueError(f"format {_FORMAT} expected, got {written['format']!r}")
        return State(
            judged=int(written["judged"]),
            version=int(written["version"]),
            positions={int(slot): Position.unpack(packed) for slot, packed in written["positions"].items()},
            policies={policy_id: _policy_of(each) for policy_id, each in written["policies"].items()},
            lots=tuple(_lot_of(each) for each in written["waiting"]),
            outbox=tuple((Alert.from_dict(each["alert"]), tuple(each["sinks"])) for each in written["outbox"]),
            host=written.get("host", 0),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _LOG.warning("%s cannot be used, so alerts of the last days may come again: %s", path, error)
        return None


def _policy_dict(policy: PolicyState) -> dict[str, Any]:
    breaches = [
        [list(group), each.start, each.end, each.raised, each.waiting]
        for group, listed in policy.breaches.items()
        for each in listed
    ]
    return {"judged_by": policy.judged_by, "breaches": breaches}


def _policy_of(written: Mapping[str, Any]) -> PolicyState:
    breaches: dict[Group, list[Breach]] = {}
    for group, start, end, raised, waiting in written["breaches"]:
        breach = Breach(
            int(start), int(end), [(int(at), int(count)) for at, count in raised], [int(at) for at in waiting]
        )
        breaches.setdefault(tuple(group), []).append(breach)
    return PolicyState(str(written["judged_by"]), breaches)


def _lot_dict(lot: Lot) -> dict[str, Any]:
    stretches = [
        [each.policy_id, None if each.group is None else list(each.group), each.first, each.last]
        for each in lot.stretches()
    ]
    return {"needs": {str(slot): position for slot, position in lot.needs.items()}, "stretches": stretches}


def _lot_of(written: Mapping[str, Any]) -> Lot:
    lot = Lot({int(slot): int(position) for slot, position in written["needs"].items()})
    for policy_id, group, first, last in written["stretches"]:
        lot.add(Stretch(policy_id, None if group is None else tuple(group), int(first), int(last)), 0)
    return lot
