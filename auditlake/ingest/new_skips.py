"""Rules of mappings that leave out more than they did: whoever may edit a mapping could hide events so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError
from auditlake.ingest.custody import InputSummary, NewSkip
from auditlake.store.deltalog import commit_metadata, ingests_of

SHARE = 0.01
"""The share of its source's records from which on what a rule leaves out is told when it is new."""


@dataclass(slots=True)
class _Share:
    """What was read of a source in one ingest."""

    read: int = 0
    skips: Counter[str] = field(default_factory=Counter)
    mappings: set[str] = field(default_factory=set)

    def has_much(self, rule: str) -> bool:
        return self.skips[rule] > SHARE * self.read


def new_skips(layout: Layout, version: int, inputs: Iterable[InputSummary]) -> tuple[NewSkip, ...]:
    """Return the rules that left out more than one record of their source in a hundred, and that did not in the last
    ingest of it which is recorded, or whose mapping has changed since.

    Args:
        layout: The lake.
        version: Its version before the ingest.
        inputs: What was read.
    """
    now = _shares((each.source, each.read, each.skips, each.mapping) for each in inputs)
    new = {source: [rule for rule in share.skips if share.has_much(rule)] for source, share in now.items()}
    wanted = {source for source, rules in new.items() if rules}
    before: dict[str, _Share] = {}
    while version >= 0 and not wanted <= before.keys():
        ingests = ingests_of(_metadata(layout, version))
        shares = _shares(_recorded(each) for own in ingests for each in own.get("inputs", ()))
        before = {**shares, **before}
        version -= 1
    return tuple(
        NewSkip(source, rule, now[source].skips[rule], now[source].read, why)
        for source in sorted(wanted)
        for rule in new[source]
        if (why := _news(rule, before.get(source), now[source]))
    )


def _metadata(layout: Layout, version: int) -> Mapping[str, Any]:
    """Return what a commit recorded; nothing of a damaged one, which an ingest that is done cannot fail for."""
    with suppress(LakeFormatError):
        return commit_metadata(layout, version) or {}
    return {}


def _news(rule: str, before: _Share | None, now: _Share) -> str:
    """Return what is new about a rule that leaves much out; empty if nothing is."""
    if before is None:
        return "there was no ingest of this source before"
    if before.mappings != now.mappings:
        return f"its mapping was {', '.join(sorted(before.mappings)) or 'none'} before"
    if not before.has_much(rule):
        return f"in the ingest before it was {before.skips[rule]:,} of {before.read:,}"
    return ""


def _recorded(given: Mapping[str, Any]) -> tuple[str, int, Mapping[str, int], str]:
    return given.get("source", ""), given.get("read", 0), given.get("skipped", {}), given.get("mapping", "")


def _shares(inputs: Iterable[tuple[str, int, Mapping[str, int], str]]) -> dict[str, _Share]:
    shares: dict[str, _Share] = {}
    for source, read, skips, mapping in inputs:
        if source and read:
            share = shares.setdefault(source, _Share())
            share.read += read
            share.skips.update(skips)
            share.mappings.add(mapping)
    return shares
