"""What a lake's policies and holds demanded when it was last recorded, and whether that has become weaker since.

Deleting early is easy: shorten a policy, remove a hold's file, apply. So every commit of retention records under which
terms it was made, and the next one refuses terms that are not at least as strong unless somebody gives a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auditlake.ledger.book import holds_digest, policy_digests, read_entry, read_head
from auditlake.policies.model import Duration, Hold, Policy
from auditlake.store.history import commit_metadata
from auditlake.store.layout import Layout

Terms = Mapping[str, Any]
"""``policies``, ``holds`` and ``default_retention`` as a commit records them; nothing but JSON."""


def terms_of(policies: Sequence[Policy], holds: Sequence[Hold], default_retention: Duration | None) -> dict[str, Any]:
    """What policies, holds and lake.toml demand now."""
    return {
        "policies": {policy.id: _policy(policy) for policy in policies},
        "holds": {hold.id: hold.digest for hold in holds},
        "default_retention": default_retention and str(default_retention),
        "default_retention_us": default_retention and default_retention.microseconds,
    }


def with_hold(recorded: Terms, hold: Hold) -> dict[str, Any]:
    """Recorded terms with one hold as it is now; the rest stays as it was recorded."""
    return {**recorded, "holds": {**recorded["holds"], hold.id: hold.digest}}


def last_recorded(layout: Layout, newest: int) -> Terms | None:
    """The terms that the newest commit which has any was made under; None if none has."""
    for version in range(newest, -1, -1):
        own = commit_metadata(layout, version)
        if own and isinstance(terms := own.get("terms"), dict):
            return terms
    return None


def weaker(layout: Layout, newest: int, now: Terms) -> tuple[str, ...]:
    """What may have become weaker since the last commit of retention or the last entry of the ledger, in sentences."""
    recorded = last_recorded(layout, newest)
    found = weakened(recorded, now)
    named = {" ".join(sentence.split()[:3]) for sentence in found}  # "the policy logins"
    return found + tuple(
        sentence
        for sentence in since_last_entry(layout, recorded)
        if " ".join(sentence.split()[:3]) not in named and not (sentence.startswith("the holds") and _of_holds(found))
    )


def _of_holds(found: Sequence[str]) -> bool:
    return any(sentence.startswith("the hold ") for sentence in found)


def weakened(recorded: Terms | None, now: Terms) -> tuple[str, ...]:
    """What may have become weaker since the terms were recorded, one sentence each, in order."""
    if recorded is None:
        return ()
    found: list[str] = []
    for policy_id, before in sorted(recorded["policies"].items()):
        found += _weakened_policy(policy_id, before, now["policies"].get(policy_id))
    for hold_id, digest in sorted(recorded["holds"].items()):
        if hold_id not in now["holds"]:
            found.append(f"the hold {hold_id} has gone")
        elif now["holds"][hold_id] != digest:
            found.append(f"the hold {hold_id} has changed, and not through auditlake hold release")
    before, after = recorded["default_retention_us"], now["default_retention_us"]
    if after is not None and (before is None or after < before):
        was = recorded["default_retention"] or "for ever"
        found.append(f"default_retention was {was} and is {now['default_retention']}")
    return tuple(found)


def since_last_entry(layout: Layout, recorded: Terms | None) -> tuple[str, ...]:
    """What is not as the last entry of the ledger has it, one sentence each, in order: files changed or gone by hand.

    A hold that is there and not recorded yet only keeps more.
    """
    if (head := read_head(layout)) is None:
        return ()
    last, now = read_entry(layout, head.size - 1), policy_digests(layout)
    found = [
        f"the policy {name} has {'changed' if name in now else 'gone'} since the last entry of the ledger"
        for name, digest in sorted(last.policies.items())
        if now.get(name) != digest
    ]
    holds = sorted(layout.root.glob("holds/*.yaml"))
    known = [path for path in holds if recorded is not None and path.stem in recorded["holds"]]
    if last.holds and last.holds not in (holds_digest(holds), holds_digest(known)):
        found.append("the holds are not those of the last entry of the ledger: one has gone or changed")
    return tuple(found)


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "digest": policy.digest, "retention_period": str(policy.retention_period),
        "retention_us": policy.retention_period.microseconds, "required_events": list(policy.required_events),
    }  # fmt: skip


def _weakened_policy(policy_id: str, before: Mapping[str, Any], after: Mapping[str, Any] | None) -> list[str]:
    if after is None:
        return [f"the policy {policy_id} has gone"]
    found = []
    if after["retention_us"] < before["retention_us"]:
        found.append(
            f"the policy {policy_id} kept its events for {before['retention_period']} and keeps them for "
            f"{after['retention_period']}"
        )
    if gone := sorted(set(before["required_events"]) - set(after["required_events"])):
        found.append(f"the policy {policy_id} no longer keeps {', '.join(gone)}")
    if not found and after["digest"] != before["digest"]:
        found.append(f"the policy {policy_id} has changed")
    return found
