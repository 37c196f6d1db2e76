"""The terms of retention: what policies and holds demanded when last recorded, and whether they are weaker now.

Deleting early is easy: shorten a policy, remove a hold's file, apply. So every deletion records under which terms it
was made. The next one refuses what is weaker than those, or than all that the ledger has known since, unless the
operator gives a reason. Compared is what decides on events: how long each type is kept, how long personal data
may stay, and the holds. Whatever else a policy says may change.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from auditlake.config import read_config
from auditlake.disk.layout import Layout
from auditlake.errors import RetentionError
from auditlake.events.durations import Duration, parse_duration
from auditlake.ledger.book import Head, read_entry, read_head
from auditlake.ledger.entry import Entry
from auditlake.ledger.in_force import rules_since
from auditlake.ledger.rules import FRAMEWORKS, PACKS, digest_of_holds
from auditlake.ledger.sidecars import read_kept
from auditlake.packs.effective import read_packs
from auditlake.policies.holds import Hold
from auditlake.policies.model import Policy
from auditlake.store.deltalog import Commits

_ACCEPTING = ("delete", "begin")
"""The entries behind which nothing that was in force counts any more: a deletion asks for a reason."""
_DEFAULT = "default_retention"
_UNKNOWN = "?"

Terms = Mapping[str, Any]
"""``policies``, ``holds`` and ``default_retention`` as a commit records them; nothing but JSON."""


def terms_of(policies: Sequence[Policy], holds: Sequence[Hold], default_retention: Duration | None) -> dict[str, Any]:
    """Return what policies, holds and lake.toml demand now."""
    return {
        "policies": {
            each.id: {
                "digest": each.digest,
                **_terms(each.required_events, each.retention_period, each.max_retention, each.max_event_retention),
            }
            for each in policies
        },
        "holds": holds_of(holds),
        "default_retention": default_retention and str(default_retention),
        "default_retention_us": default_retention and default_retention.microseconds,
    }


def holds_of(holds: Sequence[Hold]) -> dict[str, str]:
    """Return what terms say of holds: the digest of each."""
    return {hold.id: hold.digest for hold in holds}


def last_recorded(commits: Commits) -> Terms | None:
    """Return the terms that the newest commit which has any was made under; None if none has."""
    for version in range(commits.newest, -1, -1):
        own = commits.metadata(version)
        if own and isinstance(terms := own.get("terms"), dict):
            return terms
    return None


def with_holds_as_they_are(
    commits: Commits, policies: Sequence[Policy], holds: Sequence[Hold], default: Duration | None, what: str
) -> dict[str, Any]:
    """Return the recorded terms with the holds as they are, for a change that asks nothing of the policies.

    Args:
        commits: The lake's commits.
        policies, holds, default: What there is now.
        what: What is not done where a hold has gone, in the past: ``erased``.

    Raises:
        RetentionError: A hold has gone or changed since it was recorded.
    """
    recorded = last_recorded(commits) or terms_of(policies, holds, default)
    terms = {**recorded, "holds": holds_of(holds)}
    if gone := weaker_holds(commits.layout, read_head(commits.layout), recorded, terms):
        message = f"nothing was {what}: {'; '.join(gone)}"
        hint = (
            "put the files back, and end a hold with auditlake hold release; or answer for it with "
            "auditlake retention apply --accept-weaker REASON"
        )
        raise RetentionError(message, hint=hint)
    return terms


def weaker(commits: Commits, now: Terms) -> tuple[str, ...]:
    """Return what may have become weaker since the terms were last accepted, in sentences."""
    layout, recorded = commits.layout, last_recorded(commits)
    head = read_head(layout)
    states, unknown = states_since(layout, head, recorded, now)
    return (*weaker_holds(layout, head, recorded, now), *shortened(states, now), *unknown)


def weaker_holds(layout: Layout, head: Head | None, recorded: Terms | None, now: Terms) -> list[str]:
    """Return how the holds may have become weaker, in sentences."""
    changes: dict[str, str] = {}
    for hold_id, digest in sorted((recorded or {"holds": {}})["holds"].items()):
        if hold_id not in now["holds"]:
            changes[hold_id] = f"the hold {hold_id} has gone"
        elif now["holds"][hold_id] != digest:
            changes[hold_id] = f"the hold {hold_id} has changed, and not through auditlake hold release"
    if head is None:
        return list(changes.values())
    known, lost = _holds_since(layout, head.size)
    there = {hold_id: digest.removeprefix("sha256:") for hold_id, digest in now["holds"].items()}
    for hold_id, digests in sorted(known.items()):
        if digests != {there.get(hold_id)}:
            how = "changed" if hold_id in there else "gone"
            changes.setdefault(hold_id, f"the hold {hold_id} has {how} since the ledger recorded it")
    last = read_entry(layout, head.size - 1).holds
    expected = {name for name in there if name in known or (recorded and name in recorded["holds"])}
    lists = ("".join(f"{name} {there[name[:-5]]}\n" for name in sorted(f"{each}.yaml" for each in some))
             for some in (there, expected))  # fmt: skip
    others = last and last not in set(map(digest_of_holds, lists))
    sentences = list(changes.values())
    if others and not sentences:  # which one is said
        sentences.append("the holds are not those of the last entry of the ledger: one has gone or changed")
    if lost:
        sentences.append(f"which holds there were is not known: ledger/holds/{lost[0]} has gone or changed")
    return sentences


def _holds_since(layout: Layout, size: int) -> tuple[dict[str, set[str]], list[str]]:
    """Return all digests of the holds made by hand since the last deletion, and the lists of them that have gone.

    A commit records what was changed by hand, but accepts nothing of it: only a deletion does, since it asks for a
    reason, and a verb that is about the hold. A hold that was never recorded only keeps more.
    """
    holds: dict[str, set[str]] = defaultdict(set)
    lost: list[str] = []
    through_verbs: set[str] = set()
    for entry, _ in rules_since(layout, size, ("hold", *_ACCEPTING)):
        if entry.kind in _ACCEPTING:
            break
        if entry.kind != "hold":
            continue
        if "hold" in entry.details:  # its commit has the terms
            through_verbs.add(entry.details["hold"]["id"])
            continue
        listed = read_kept(layout, "holds", entry.holds) if entry.holds else b""
        if listed is None:
            lost.append(entry.holds)
        for line in (listed or b"").decode().splitlines():
            name, _, digest = line.partition(".yaml ")
            if name not in through_verbs:
                holds[name].add(digest)
    return holds, lost


# What policies and lake.toml have demanded since the last deletion


@dataclass(frozen=True, slots=True)
class State:
    """What was in force at some moment."""

    policies: Mapping[str, Mapping[str, Any]]
    """Each policy's terms by its id, as :func:`terms_of` gives them."""
    default: Mapping[str, Any] | None
    """``default_retention`` and ``default_retention_us``; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Length:
    """How long something stays."""

    microseconds: float
    """Infinite: for ever."""
    text: str
    by: str = ""
    """What says so: a policy, or default_retention; empty where nothing does."""

    def __str__(self) -> str:
        return f"{self.text} ({self.by})" if self.by else self.text


FOR_EVER = Length(math.inf, "for ever")


def state_of(terms: Terms) -> State:
    """Return what is in force under terms."""
    return State(terms["policies"], {name: terms[name] for name in (_DEFAULT, f"{_DEFAULT}_us")})


def kept(state: State, event_type: str) -> Length | None:
    """Return how long events of a type are kept; None where that is not known."""
    lengths = _lengths(state, event_type, "retention_us", "retention_period")
    if lengths:
        return max(lengths, key=lambda each: each.microseconds)
    default = _default(state)
    enders = _lengths(state, event_type, "max_event_retention_us", "max_event_retention")
    return default and min([*enders, default], key=lambda each: each.microseconds)


def _lengths(state: State, event_type: str, microseconds: str, text: str) -> list[Length]:
    return [
        Length(each[microseconds], f"for {each[text]}", name)
        for name, each in sorted(state.policies.items())
        if each.get(microseconds) and event_type in each["required_events"]
    ]


def _default(state: State) -> Length | None:
    if state.default is None:
        return None
    length = state.default[f"{_DEFAULT}_us"]
    return Length(length, f"for {state.default[_DEFAULT]}", _DEFAULT) if length else FOR_EVER


def limit(state: State, event_type: str) -> Length | None:
    """Return how long personal data in events of a type may stay; None where that is not known.

    Earlier versions recorded no ``max_retention``.
    """
    naming = [each for each in state.policies.values() if event_type in each["required_events"]]
    if any("max_retention_us" not in each for each in naming):
        return None
    lengths = _lengths(state, event_type, "max_retention_us", "max_retention")
    return min(lengths, key=lambda each: each.microseconds, default=FOR_EVER)


def shortened(states: Sequence[State], now: Terms) -> list[str]:
    """Return what stays shorter now than under any of the states, in sentences."""
    present, by_rule = state_of(now), defaultdict(list)
    defaults = [length for state in states if (length := _default(state))]
    after = _default(present)
    named = {
        name for state in (*states, present) for each in state.policies.values() for name in each["required_events"]
    }
    for event_type in sorted(named):
        pairs: list[tuple[str, list[Length | None], Length | None]] = [
            ("events of {} were kept {} and are kept {}", [kept(state, event_type) for state in states],
             kept(present, event_type)),
            ("personal data in events of {} could stay {} and may stay {}",
             [limit(state, event_type) for state in states], limit(present, event_type)),
        ]  # fmt: skip
        for sentence, lengths, length in pairs:
            before = _longest(lengths)
            if (
                before
                and length
                and length.microseconds < before.microseconds
                and not before.by == length.by == _DEFAULT
            ):
                by_rule[sentence, f"{before}", f"{length}"].append(event_type)
    sentences = [
        sentence.format(", ".join(types), before, length) for (sentence, before, length), types in by_rule.items()
    ]
    before = _longest(defaults)
    if before and after and after.microseconds < before.microseconds:
        sentences.append(f"{_DEFAULT} was {_bare(before)} and is {_bare(after)}")
    return sentences


def _longest(lengths: Iterable[Length | None]) -> Length | None:
    return max((each for each in lengths if each), key=lambda each: each.microseconds, default=None)


def _bare(length: Length) -> str:
    return length.text if length is FOR_EVER else length.text.removeprefix("for ")


def states_since(
    layout: Layout, head: Head | None, recorded: Terms | None, now: Terms
) -> tuple[list[State], list[str]]:
    """Return all that was in force since the terms were last accepted, and in sentences what is unknown of that."""
    files = _Files(layout, recorded, now)
    states = [state_of(files.filled(recorded))] if recorded else []
    if head is None:
        return states, []
    entries: list[tuple[Mapping[str, str], Mapping[str, str], str | None]] = []
    for entry, default in rules_since(layout, head.size, ("policy-change", "pack-change", "hold", *_ACCEPTING)):
        packs = entry.details.get(PACKS, {})
        entries.append((entry.policies, packs, default))
        if entry.kind == "policy-change":
            entries.append((_before(entry, entry.policies), packs, _UNKNOWN))
        elif entry.kind == "pack-change":
            entries.append((entry.policies, _before(entry, packs), _UNKNOWN))
        if entry.kind in _ACCEPTING:
            break
    was_set = False
    for digests, packs, default in reversed(entries):
        was_set |= default not in (None, _UNKNOWN)
        policies = {name: terms for name, digest in digests.items() if (terms := files.terms(name, digest))}
        policies |= files.of_packs(packs)
        states.append(
            State(policies, _recorded_default(recorded, None if default is None and not was_set else default or ""))
        )
    return states, [
        f"what the {name} asked for before it was changed or removed is not known" for name in sorted(files.lost)
    ]


def _before(entry: Entry, now: Mapping[str, str]) -> dict[str, str]:
    """Return the policies or packs before an entry that says how they changed."""
    change = entry.details
    kept_ones = {name: digest for name, digest in now.items() if name not in change["added"]}
    return {**kept_ones, **{name: before for name, (before, _) in change["changed"].items()}, **change["removed"]}


def _recorded_default(recorded: Terms | None, default: str | None) -> Mapping[str, Any] | None:
    """Return what an entry says of default_retention; None where it does not.

    Args:
        recorded: The terms of the last deletion.
        default: What the entry says; empty where it says that there is none, None where it says nothing: those that
            earlier versions wrote said nothing, so that it is none only where the last deletion had none either.
    """
    if default is None and recorded and recorded[f"{_DEFAULT}_us"] is None:
        default = ""
    if default is None or default == _UNKNOWN:
        return None
    try:
        length = parse_duration(default, "retention_period").microseconds if default else None
    except ValueError:  # while lake.toml said that, nothing was deleted
        return None
    return {_DEFAULT: default or None, f"{_DEFAULT}_us": length}


class _Files:
    """The terms of policies by the digests of their files."""

    def __init__(self, layout: Layout, recorded: Terms | None, now: Terms) -> None:
        self._layout = layout
        self._known: dict[str, Mapping[str, Any] | None] = {}
        for terms in (recorded, now):
            each: Mapping[str, Any]
            for each in (terms or {"policies": {}})["policies"].values():
                self._known[each["digest"].removeprefix("sha256:")] = each
        self._of_packs: dict[str, Mapping[str, Any]] = {}
        self.lost: set[str] = set()
        """The policies and packs of which a file is not known, such as ``policy failed_logins``."""

    def filled(self, terms: Terms) -> Terms:
        """Return terms with what earlier versions did not record of their policies, as far as the files are known."""
        policies = terms["policies"].items()
        whole = {name: self.terms(name, each["digest"].removeprefix("sha256:")) or each for name, each in policies}
        return {**terms, "policies": whole}

    def terms(self, policy_id: str, digest: str) -> Mapping[str, Any] | None:
        """Return what a file demands; None where nothing, or where that is not known."""
        if "max_retention_us" not in (self._known.get(digest) or {}):
            if (content := read_kept(self._layout, "policies", digest)) is not None:
                self._known[digest] = _terms_of_file(content)
            elif digest not in self._known:
                self.lost.add(f"policy {policy_id}")
        return self._known.get(digest)

    def of_packs(self, digests: Mapping[str, str]) -> Mapping[str, Any]:
        """Return what the policies of packs demand that are judged.

        Args:
            digests: The SHA-256 of each pack's file, by id, and that of ``frameworks.yaml``.
        """
        key = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
        if key not in self._of_packs:
            contents = {name: read_kept(self._layout, "packs", digest) for name, digest in digests.items()}
            self.lost |= {f"pack {name}" for name, content in contents.items() if content is None}
            files = {name: content for name, content in contents.items() if content is not None}
            settings = files.pop(FRAMEWORKS, None)
            found = read_packs(files, settings, read_config(self._layout).event_types)
            self._of_packs[key] = terms_of(found.policies(), (), None)["policies"]
        return self._of_packs[key]


def _terms_of_file(content: bytes) -> Mapping[str, Any] | None:
    """Return what a policy's file demands of retention, whatever else is in it; None where it is no policy."""
    try:
        policy = yaml.safe_load(content)
        most, limit = policy.get("max_retention"), "max_retention"
        if isinstance(most, dict):
            limit = "max_event_retention" if most.get("of") == "event" else limit
            most = most["longest"]
        said = {
            "retention_period": ("retention_period", policy.get("retention_period")),
            limit: ("max_retention", most),
        }
        lengths = {name: parse_duration(str(text), of) for name, (of, text) in said.items() if text is not None}
        return _terms([str(name) for name in policy["required_events"]], **lengths)
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _terms(
    types: Sequence[str], retention_period: Duration | None = None, max_retention: Duration | None = None,
    max_event_retention: Duration | None = None,
) -> dict[str, Any]:  # fmt: skip
    ending = {} if max_event_retention is None else {
        "max_event_retention": str(max_event_retention),
        "max_event_retention_us": max_event_retention.microseconds,
    }  # fmt: skip
    return ending | {
        "retention_period": retention_period and str(retention_period),
        "retention_us": retention_period and retention_period.microseconds, "required_events": list(types),
        "max_retention": max_retention and str(max_retention),
        "max_retention_us": max_retention and max_retention.microseconds,
    }  # fmt: skip
