"""What differs between two revisions of a pack, in what they ask; what they find is for who judges them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditlake.packs.model import Control, Pack, Parameter, PolicyCheck, RecordCheck, Retention
from auditlake.packs.parameters import as_text

_Change = tuple[str, str, str]
"""A key, its value before and after."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs."""

    what: str
    """``control``, ``policy``, ``parameter``, ``retention``, ``state``, ``text``, or ``base``: what it extends."""
    name: str
    """The id of the control, policy or base, or the name of the parameter."""
    change: str
    """``added``, ``gone``, ``renamed``, or which key of it has changed."""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class ControlEffect:
    """A control that one revision judges otherwise than the other, on the same events over the same period."""

    control: str
    """Its id in the new revision; in the old one where it has gone."""
    title: str
    was: str | None
    """Its id in the old revision; None where it is new."""
    before: str | None
    """Its status by the old revision; None where that does not have it."""
    after: str | None
    """Its status by the new one; None where that does not have it."""
    why: str
    """What decides it in the new one; in the old one where it has gone."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How two revisions were judged, one as the other."""

    snapshot: int
    since: datetime
    until: datetime
    controls: int
    """How many controls there are in either."""
    before: str
    """The status of the framework by the old revision."""
    after: str


@dataclass(frozen=True, slots=True)
class PackDiff:
    """What differs between two revisions of a pack."""

    pack_id: str
    old: str
    """The revision of the one."""
    new: str
    """The revision of the other."""
    old_digest: str
    new_digest: str
    differences: tuple[Difference, ...]
    effect: tuple[ControlEffect, ...] | None = None
    """Which controls would stand otherwise over the last period; None where both were not judged."""
    judged: Judged | None = None
    """How both were judged, if they were."""
    not_judged: str | None = None
    """Why both could not be judged, if they were to be."""


def pack_diff(old: Pack, new: Pack, base: tuple[Difference, ...] = ()) -> PackDiff:
    """Return what differs between two revisions of a pack.

    Args:
        old, new: The revisions, with the defaults of their parameters.
        base: That the pack which it extends comes in a later revision with it.
    """
    differences = (
        *base,
        *_controls(old, new),
        *_named("policy", _bodies(old), _bodies(new), _of_body),
        *_named("parameter", old.parameters, new.parameters, _of_parameter),
        *_texts("retention", "", _retention(old.retention), _retention(new.retention)),
        *_texts("state", "", _states(old), _states(new)),
        *_texts("text", "", _head(old), _head(new)),
    )  # fmt: skip
    return PackDiff(new.id, old.revision, new.revision, old.digest, new.digest, differences)


def _controls(old: Pack, new: Pack) -> Iterator[Difference]:
    """Yield what differs in controls; one that ``was`` another is compared with that one."""
    before = {each.id: each for each in old.controls}
    after = {each.id: each for each in new.controls}
    renamed = {each.was: each.id for each in new.controls if each.was in before and each.was not in after}
    for was, now in renamed.items():
        yield Difference("control", now, "renamed", str(was), now)
    before = {renamed.get(name, name): each for name, each in before.items()}
    yield from _named("control", before, after, _of_control)


def _named(
    what: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    compare: Callable[[Any, Any], Iterable[_Change]],
) -> Iterator[Difference]:
    """Yield what was added, what has gone, and what differs in what is in both."""
    for name in [*old, *(each for each in new if each not in old)]:
        if name not in new:
            yield Difference(what, name, "gone")
        elif name not in old:
            yield Difference(what, name, "added")
        elif old[name] != new[name]:
            yield from (Difference(what, name, *change) for change in compare(old[name], new[name]))


def _texts(what: str, name: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for key in dict.fromkeys((*old, *new)):
        if old.get(key, "") != new.get(key, ""):
            yield Difference(what, name, key, old.get(key, ""), new.get(key, ""))


def _bodies(pack: Pack) -> dict[str, dict[str, Any]]:
    """Return what the files of the policies say."""
    return {name: json.loads(each.text) for name, each in pack.policies.items()}


def _of_body(old: dict[str, Any], new: dict[str, Any]) -> Iterator[_Change]:
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield key, _said(old.get(key, "")), _said(new.get(key, ""))


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _of_control(old: Control, new: Control) -> Iterator[tuple[str, str, str]]:
    for key, one, other in zip(_KEYS, _shown(old), _shown(new), strict=True):
        if one != other:
            yield key, one, other


_KEYS = ("title", "shows", "says", "says_not", "policies", "records", "all_of", "related", "only_if", "in_force",
         "ended", "replaced_by", "cites")  # fmt: skip


def _shown(control: Control) -> list[str]:
    """Return the values of a control's keys, as text."""
    plain = {key: getattr(control, key) for key in _KEYS}
    plain["policies"] = "; ".join(map(_policy_check, control.policies))
    plain["records"] = "; ".join(map(record_check, control.records))
    plain["only_if"] = control.only_if and control.only_if.text
    return [", ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
            for value in plain.values()]  # fmt: skip


def _policy_check(check: PolicyCheck) -> str:
    return f"{check.policy} ({', '.join(check.asks)})"


def record_check(check: RecordCheck) -> str:
    """Return a check over records in words: its kind and its values."""
    keys = ("every", "of", "within", "by", "level", "kept", "share", "ahead", "min", "hot", "max")
    values = ((key, getattr(check, key)) for key in keys)
    shown = [f"{key} {', '.join(value) if isinstance(value, tuple) else value}" for key, value in values if value]
    shown += ["of the event"] if check.max and check.max_of == "event" else []
    return f"{check.kind}: {', '.join(shown)}"


def _of_parameter(old: Parameter, new: Parameter) -> Iterator[tuple[str, str, str]]:
    for key in ("type", "default", "of", "stricter", "cites", "about"):
        one, other = (getattr(each, key) for each in (old, new))
        if one != other:
            yield key, as_text(one), as_text(other)


def _retention(retention: Retention | None) -> dict[str, str]:
    if retention is None:
        return {}
    keys = ("min", "hot", "max", "max_of", "basis", "cites", "note")
    values = ((key, getattr(retention, key)) for key in keys if key != "max_of" or retention.max)
    return {key: ", ".join(value) if isinstance(value, tuple) else str(value) for key, value in values if value}


def _states(pack: Pack) -> dict[str, str]:
    return {f"{each.since} {' '.join(map(' '.join, each.when.items()))}".strip(): each.state for each in pack.states}


def _head(pack: Pack) -> dict[str, str]:
    return {key: str(getattr(pack, key)) for key in ("framework", "edition", "publisher", "about", "recheck")}
