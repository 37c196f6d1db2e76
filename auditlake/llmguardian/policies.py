"""LLMGuardian's policies as files of a lake: any key as a policy's id and back, and the YAML."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.disk.layout import POLICY_ID
from auditlake.errors import PolicyError
from auditlake.events.durations import Duration
from auditlake.llmguardian.model import AuditEventType, CompliancePolicy, type_name
from auditlake.policies.model import Policy

if TYPE_CHECKING:
    from auditlake.lake import AuditLake

_MARK = "# LLMGuardian's key: "
_SECOND = timedelta(seconds=1)
_KNOWN: dict[str, AuditEventType] = {each.value: each for each in AuditEventType}


def id_of(key: str) -> str:
    """The id of the policy with a key: the key itself where it can be one, else what is left of it and a digest.

    Raises:
        TypeError: The key is no text.
    """
    if POLICY_ID.fullmatch(key):
        return key
    kept = re.sub(r"[^a-z0-9_-]+", "_", key.lower()).lstrip("_-")[:40] or "policy"
    return f"{kept}-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def key_of(policy: Policy) -> str:
    """The key that a policy was added with; its id where somebody else added it."""
    marked = policy.text.partition("\n")[0].removeprefix(_MARK)
    with suppress(ValueError):
        if id_of(key := str(json.loads(marked))) == policy.id:
            return key
    return policy.id


def add(lake: AuditLake, key: str, policy: CompliancePolicy) -> None:
    """Check a policy and put it into the lake, in the place of one with the same key.

    Raises:
        PolicyError: It cannot be used, e.g. with a threshold of 0 or without any required event.
    """
    given: object = policy
    if not isinstance(given, CompliancePolicy):
        raise PolicyError(f"policy {key!r}: expected a CompliancePolicy, got {type(policy).__name__}")
    policy_id = id_of(key)
    mark = "" if policy_id == key else f"{_MARK}{json.dumps(key)}\n"
    text = mark + yaml.safe_dump(_fields(policy), sort_keys=False, allow_unicode=True, width=10_000)
    with TemporaryDirectory(prefix="auditlake-") as folder:
        file = Path(folder, f"{policy_id}.yaml")
        file.write_text(text, encoding="utf-8")
        lake.add_policy(file, replace=True)


def shown(policy: Policy) -> CompliancePolicy:
    """A lake's policy as LLMGuardian has it."""
    return CompliancePolicy(
        name=policy.name,
        description=policy.description,
        required_events={_KNOWN.get(name, name) for name in policy.required_events},
        retention_period=_kept(policy.retention_period),
        alert_threshold=policy.alert_threshold,
        window=timedelta(microseconds=policy.window.microseconds),
        group_by=policy.group_by,
        where=policy.where,
        severity=policy.severity,
        controls=policy.controls,
    )


def _kept(given: Duration | None) -> timedelta | None:
    return timedelta(microseconds=given.microseconds) if given else None


def _fields(policy: CompliancePolicy) -> dict[str, Any]:
    """The keys of the YAML, without those that say nothing."""
    fields: dict[str, Any] = {
        "name": policy.name,
        "description": policy.description,
        "required_events": sorted(type_name(each) for each in policy.required_events),
        "retention_period": None if policy.retention_period is None else _length(policy.retention_period),
        "alert_threshold": policy.alert_threshold,
        "window": None if policy.alert_threshold is None else _length(policy.window),
        "group_by": list(policy.group_by),
        "where": policy.where,
        "severity": policy.severity,
        "controls": {name: list(ids) for name, ids in policy.controls.items()},
    }
    return {name: value for name, value in fields.items() if value not in (None, [], {}) or name == "required_events"}


def _length(given: timedelta) -> str:
    """A length as policies write it, in days where it is whole days; a fraction of a second counts as one."""
    if given <= timedelta(0):
        raise PolicyError(f"expected a length of time longer than nothing, got {given!r}")
    seconds = -(-given // _SECOND)
    return f"{seconds // 86_400}d" if seconds % 86_400 == 0 else f"{seconds}s"
