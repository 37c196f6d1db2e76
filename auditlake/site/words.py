"""What the pages of frameworks call things, and what their files are called."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from auditlake.display.text import count, visible
from auditlake.packs.model import State

STATUS_WORDS = {
    "fail": "Fail", "not_evaluated": "Not evaluated", "no_data": "No data", "exception": "Exception", "pass": "Pass",
    "not_applicable": "Not applicable",
}  # fmt: skip
"""Every status of a control in a word or two, in the order in which one goes before another."""
SHOWS_WORDS = {
    "operation": "shows operation", "logging": "only that logging exists", "nothing": "cannot be shown from logs",
}  # fmt: skip
"""How much a log can show of a control."""
STATE_WORDS = {
    "proposed": "Proposed", "adopted": "Adopted", "deferred": "Deferred", "in_force": "In force",
    "superseded": "Superseded", "rescinded": "Rescinded",
}  # fmt: skip
"""What a framework is."""
CHECK_WORDS = {
    "policy": "events", "review": "reviews", "evaluation": "evaluations", "response": "response to findings",
    "retention": "retention", "integrity": "verification", "arrival": "arrival of events", "clock": "clocks",
}  # fmt: skip
"""What a check looks at."""
NOTHING = "\u2013"
"""What stands where there is no value."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?Z")
_UNFIT = re.compile(r"[^A-Za-z0-9.]+")
_EDGE = "framework_"
_LONGEST = 60


def plain(text: str) -> str:
    """Return a reason or a message for a table: instants to the minute, hidden characters spelled out."""
    return visible(_TIME.sub(r"\1 \2", text))


def state_words(state: State | None, since: str = "since") -> str:
    """Return what a framework is, and since when; or from when."""
    if state is None:
        return "No state yet"
    return f"{STATE_WORDS[state.state]} {since} {state.since}"


def control_files(stem: str, control_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the names of the pages of a framework's controls, by id: plain names, each of its own.

    Args:
        stem: The name of the framework's files without their ending.
        control_ids: The ids of all its controls, in order.

    Example:
        >>> control_files("framework_eu-ai-act_20260930T235959Z_v1", ["26(5)"])
        {'26(5)': 'control_eu-ai-act_26-5_20260930T235959Z_v1.html'}
    """
    pack, _, rest = stem.removeprefix(_EDGE).partition("_")
    names = {each: _UNFIT.sub("-", each).strip("-.")[:_LONGEST] or "control" for each in control_ids}
    number = Counter(name.lower() for name in names.values())
    return {
        each: f"control_{pack}_{name if number[name.lower()] == 1 else f'{name}-{_short(each)}'}_{rest}.html"
        for each, name in names.items()
    }


def listed(parts: Sequence[str]) -> str:
    """Return parts as a list in a sentence.

    Example:
        >>> listed(["a"]), listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def and_more(parts: Sequence[str], what: str = "more reason") -> str:
    """Return the first part, and how many there are beside it."""
    return parts[0] + (f", and {count(len(parts) - 1, what)}" if len(parts) > 1 else "") if parts else ""


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
