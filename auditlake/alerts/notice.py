"""What an alert, or the alerts of a day, say to people: one notice, which each kind of sink has a template for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditlake.display.text import count, visible

_LONGEST_TITLE = 140
_LONGEST_TEXT = 1_500
_LONGEST_VALUE = 200
_MOST_FACTS = 10
"""Slack takes ten fields of a section."""
_MOST_LINES = 40
_MOST_POLICIES = 20
_SEVERITIES = ("critical", "high", "medium", "low")


@dataclass(frozen=True, slots=True)
class NoticeFact:
    """A fact of an alert."""

    label: str
    """What it is."""
    value: str
    """What it is in this alert."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people; harmless text, whatever the values of events are."""

    title: str
    """The heading."""
    text: str
    """What happened."""
    tone: str
    """What colour it may have: ``attention``, ``warning``, ``good`` or ``default``."""
    facts: tuple[NoticeFact, ...]
    """Of one alert: what there is to know."""
    lines: tuple[str, ...]
    """Of the alerts of a day: how many of each policy, and what the first ones say."""
    source: str
    """Where it comes from, in a line."""


def notice_of(document: Mapping[str, Any], lake: str) -> Notice:
    """Return the notice of an alert, or of the alerts of a day.

    Args:
        document: The alert as a dict, or a digest of several.
        lake: What the lake is called.
    """
    return _of_day(document, lake) if document.get("kind") == "digest" else _of_one(document, lake)


def _of_one(alert: Mapping[str, Any], lake: str) -> Notice:
    group = alert.get("group") or {}
    facts = [
        ("policy", alert.get("policy_id")), ("severity", alert.get("severity")), ("at", _time(alert.get("at"))),
        ("count", f"{alert.get('count')} of {alert.get('threshold')} within {alert.get('window')}"),
        *((str(name), value) for name, value in group.items()),
        *([("late", "the events came late")] if alert.get("late") else []), ("id", alert.get("id")),
    ]  # fmt: skip
    return Notice(
        title=_short(f"{_word(alert)}: {alert.get('policy_name')}", _LONGEST_TITLE),
        text=_short(str(alert.get("message")), _LONGEST_TEXT),
        tone=_tone([alert]),
        facts=tuple(NoticeFact(_short(label, 40), _short(str(value), _LONGEST_VALUE)) for label, value in facts)[
            :_MOST_FACTS
        ],
        lines=(),
        source=_source(lake),
    )


def _of_day(digest: Mapping[str, Any], lake: str) -> Notice:
    alerts = [each for each in digest.get("alerts", ()) if isinstance(each, Mapping)]
    begun = [each for each in alerts if each.get("kind") != "resolved"]
    title = f"{count(len(begun), 'alert')}, {len(alerts) - len(begun):,} resolved"
    return Notice(
        title=_short(title, _LONGEST_TITLE),
        text=f"raised from {_time(digest.get('since'))} to {_time(digest.get('until'))}",
        tone=_tone(begun),
        facts=(),
        lines=(*_by_policy(begun), *_first(alerts)),
        source=_source(lake),
    )


def _by_policy(alerts: Sequence[Mapping[str, Any]]) -> list[str]:
    counts = Counter((str(each.get("severity")), str(each.get("policy_name"))) for each in alerts)
    ordered = sorted(counts.items(), key=lambda item: (_rank(item[0][0]), -item[1], item[0][1]))
    lines = [_short(f"{number:,} {severity}: {name}", _LONGEST_VALUE) for (severity, name), number in ordered]
    rest = len(lines) - _MOST_POLICIES
    more = [f"and those of {count(rest, 'more policy', 'more policies')}"] if rest > 0 else []
    return [*lines[:_MOST_POLICIES], *more]


def _first(alerts: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        _short(f"{_time(each.get('at'))} {_word(each)}: {each.get('message')}", _LONGEST_VALUE)
        for each in alerts[:_MOST_LINES]
    ]
    rest = len(alerts) - _MOST_LINES
    return lines if rest <= 0 else [*lines, f"and {count(rest, 'more')}"]


def _word(alert: Mapping[str, Any]) -> str:
    if alert.get("kind") == "test":
        return "Test"
    return "Resolved" if alert.get("kind") == "resolved" else f"Alert, {alert.get('severity')}"


def _tone(alerts: Sequence[Mapping[str, Any]]) -> str:
    """Return the colour of the worst of these."""
    worst = min((_rank(each.get("severity")) for each in alerts if each.get("kind") != "resolved"), default=None)
    if worst is None:
        return "good"
    return "attention" if worst <= 1 else "warning" if worst == 2 else "default"


def _rank(severity: object) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else 2


def _time(text: object) -> str:
    """Return an instant to the second."""
    return f"{str(text)[:19].replace('T', ' ')}Z"


def _short(text: str, most: int) -> str:
    """Return a text in one line of at most so many characters, with nothing in it that acts."""
    shown = visible(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _source(lake: str) -> str:
    return _short(f"auditlake, {lake}", _LONGEST_VALUE)
