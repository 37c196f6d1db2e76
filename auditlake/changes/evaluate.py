"""One evaluation as it is compared: numbers, findings and controls, read from the JSON of a report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditlake.changes.model import Found, Numbers


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a report says, as far as it is compared."""

    numbers: Numbers
    found: tuple[Found, ...]
    controls: Mapping[str, str]
    """Of a framework, the status of each control, in its order."""
    was: Mapping[str, str]
    """Controls that had another id in the revision before, with that id."""
    document: Mapping[str, Any]
    """The whole JSON."""


def evaluation_of(document: Mapping[str, Any], listed_beside: Iterable[Mapping[str, Any]] | None = None) -> Evaluation:
    """Read the JSON of a report of a policy or a framework.

    Args:
        document: The JSON.
        listed_beside: All findings, where it lists some of them alone.
    """
    return _of_framework(document) if "framework_version" in document else _of_policy(document, listed_beside)


def _of_policy(document: Mapping[str, Any], listed_beside: Iterable[Mapping[str, Any]] | None) -> Evaluation:
    listed = document["violations"] if listed_beside is None else listed_beside
    found = tuple(_found(document["policy_id"], each) for each in listed)
    more = document.get("more_findings")
    every = more["total"] if more else len(found)
    accepted = more["accepted"] if more else sum(bool(each.accepted_by) for each in found)
    numbers = Numbers(
        document["status"], document["total_events"], every, every - accepted,
        document["events_by_type"], {},
    )  # fmt: skip
    return Evaluation(numbers, found, {}, {}, document)


def _of_framework(document: Mapping[str, Any]) -> Evaluation:
    found = tuple({(each.policy, each.id): each for each in _of_controls(document)}.values())
    controls = {each["id"]: each["status"] for each in document["controls"]}
    numbers = Numbers(
        document["status"], sum(each["events"] for each in document["policies"]), len(found),
        sum(not each.accepted_by for each in found), {}, dict(Counter(controls.values())),
    )  # fmt: skip
    was = {each["id"]: each["was"] for each in document["controls"] if each["was"]}
    return Evaluation(numbers, found, controls, was, document)


def _of_controls(document: Mapping[str, Any]) -> Iterator[Found]:
    for control in document["controls"]:
        for check in control["checks"]:
            whose = check["policy"] or f"{document['pack_id']}/{control['id']}"
            yield from (_found(whose, each) for each in check["findings"])


def _found(policy: str, values: Mapping[str, Any]) -> Found:
    measures = values.get("measures") or {}
    peak = values.get("peak", measures.get("peak"))
    peak = int(peak) if isinstance(peak, float) and peak.is_integer() else peak  # a whole number may be a double
    accepted = values.get("accepted")
    return Found(
        id=values["id"], policy=policy, kind=values["kind"], message=values["message"],
        event_type=values.get("event_type") or "", group=_compact(values.get("group") or {}),
        start=_instant(values.get("start")), end=_instant(values.get("end")),
        peak="" if peak is None else f"{peak}", accepted_by=accepted["owner"] if accepted else "",
    )  # fmt: skip


def _compact(group: Mapping[str, Any]) -> str:
    return json.dumps(group, ensure_ascii=False, separators=(",", ":")) if group else ""


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
