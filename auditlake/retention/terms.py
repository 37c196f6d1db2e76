"""What a lake's policies and holds demanded when it was last recorded, and whether that has become weaker since.

Deleting early is easy: shorten a policy, remove a hold's file, apply. So every deletion records under which terms it
was made, and the next one refuses what is not at least as strong as those, and as all that the ledger has known since,
unless somebody gives a reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from auditlake.files import read_file
from auditlake.ledger.book import (
    digest_of_holds,
    entries_of,
    hold_files,
    list_holds,
    policy_digests,
    read_entry,
    read_head,
)
from auditlake.ledger.kept import holds_path
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
    """What may have become weaker since the terms were last accepted, in sentences."""
    return tuple(_weaker(layout, last_recorded(layout, newest), now).values())


def weaker_holds(layout: Layout, recorded: Terms, now: Terms) -> tuple[str, ...]:
    """What of the holds may have become weaker, in sentences."""
    return tuple(said for what, said in _weaker(layout, recorded, now).items() if what.split()[0] in {"hold", "holds"})


def _weaker(layout: Layout, recorded: Terms | None, now: Terms) -> dict[str, str]:
    known = weakened(recorded, now)
    found = known | {what: said for what, said in since_accepted(layout, recorded).items() if what not in known}
    if any(what.startswith("hold ") for what in found):
        found.pop("holds", None)  # which one is said
    return found


def weakened(recorded: Terms | None, now: Terms) -> dict[str, str]:
    """What may have become weaker since the terms were recorded: by what it is, a sentence each, in order."""
    if recorded is None:
        return {}
    found: dict[str, str] = {}
    for policy_id, before in sorted(recorded["policies"].items()):
        if said := _weakened_policy(policy_id, before, now["policies"].get(policy_id)):
            found[f"policy {policy_id}"] = said
    for hold_id, digest in sorted(recorded["holds"].items()):
        if hold_id not in now["holds"]:
            found[f"hold {hold_id}"] = f"the hold {hold_id} has gone"
        elif now["holds"][hold_id] != digest:
            found[f"hold {hold_id}"] = f"the hold {hold_id} has changed, and not through auditlake hold release"
    before, after = recorded["default_retention_us"], now["default_retention_us"]
    if after is not None and (before is None or after < before):
        was = recorded["default_retention"] or "for ever"
        found["default_retention"] = f"default_retention was {was} and is {now['default_retention']}"
    return found


def since_accepted(layout: Layout, recorded: Terms | None) -> dict[str, str]:
    """What the ledger has known since the last deletion, or ever, and is otherwise now or gone.

    A commit records what somebody changed by hand, and that policies were changed by a verb, but accepts nothing of it:
    only a deletion does, since it asks for a reason, and a verb that is about a hold. What is there and was never
    recorded only keeps more.
    """
    if (head := read_head(layout)) is None:
        return {}
    found: dict[str, str] = {}
    policies, holds, lost = _in_force(layout, head.size)
    files = hold_files(layout)
    there = {path.stem: sha256(read_file(path, within=layout.root)).hexdigest() for path in files}
    for what, known, now in (("policy", policies, policy_digests(layout)), ("hold", holds, there)):
        for name, digests in sorted(known.items()):
            if digests != {now.get(name)}:
                how = "changed" if name in now else "gone"
                found[f"{what} {name}"] = f"the {what} {name} has {how} since the ledger recorded it"
    last = read_entry(layout, head.size - 1).holds
    expected = [path for path in files if path.stem in holds or (recorded and path.stem in recorded["holds"])]
    others = last and last not in {digest_of_holds(list_holds(each)) for each in (files, expected)}
    if others:
        found["holds"] = "the holds are not those of the last entry of the ledger: one has gone or changed"
    if lost:
        found["holds lost"] = f"which holds there were is not known: ledger/holds/{lost[0]} has gone or changed"
    return found


def _in_force(layout: Layout, size: int) -> tuple[dict[str, set[str]], dict[str, set[str]], list[str]]:
    """What the ledger has known since the last deletion: all digests of every policy, and of every hold made by hand.

    Also the lists of holds that have gone: which holds those were is not known.
    """
    policies: dict[str, set[str]] = defaultdict(set)
    holds: dict[str, set[str]] = defaultdict(set)
    lost: list[str] = []
    through_verbs: set[str] = set()
    last = read_entry(layout, size - 1)
    states = [last.policies]
    for entry in entries_of(layout, size, ("policy-change", "hold", "delete", "begin")):
        states.append(entry.policies)
        said = entry.details
        if entry.kind == "policy-change":
            states += [said["removed"], {name: before for name, (before, _) in said["changed"].items()}]
        elif "hold" in said:  # its commit has the terms
            through_verbs.add(said["hold"]["id"])
        elif entry.kind == "hold":
            if (listed := _list_of(layout, entry.holds)) is None:
                lost.append(entry.holds)
            for line in (listed or "").splitlines():
                name, _, digest = line.partition(".yaml ")
                if name not in through_verbs:
                    holds[name].add(digest)
        else:
            break
    for state in states:
        for name, digest in state.items():
            policies[name].add(digest)
    return policies, holds, lost


def _list_of(layout: Layout, digest: str) -> str | None:
    """The list of holds that an entry has the digest of; None if it is not there, or is another one."""
    if not digest:
        return ""
    try:
        data = read_file(holds_path(layout, digest), within=layout.root)
    except OSError:
        return None
    return data.decode() if sha256(data).hexdigest() == digest else None


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "digest": policy.digest, "retention_period": str(policy.retention_period),
        "retention_us": policy.retention_period.microseconds, "required_events": list(policy.required_events),
    }  # fmt: skip


def _weakened_policy(policy_id: str, before: Mapping[str, Any], after: Mapping[str, Any] | None) -> str:
    if after is None:
        return f"the policy {policy_id} has gone"
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
    return "; ".join(found)
