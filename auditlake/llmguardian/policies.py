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
from auditlake.llmguardian.model import AuditEventType, CompliancePolicy, type_name
from auditlake.policies.model import Policy

if TYPE_CHECKING:
    from auditlake.lake import AuditLake

_MARK = "# LLMGuardian's key: "
_SECOND = timedelta(seconds=1)
_KNOWN: dict[str, AuditEventType] = {each.value: each for each in AuditEventType}


def id_of(key: str) -> str:
    """Return the id of the policy with a key: the key itself if it can be one, else what is left of it and a digest.

    Raises:
        TypeError: The key is no text.
    """
    if POLICY_ID.fullmatch(key):
        return key
    kept = re.sub(r"[^a-z0-9_-]+", "_", key.lower()).lstrip("_-")[:40] or "policy"
    return f"{kept}-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def key_of(policy: Policy) -> str:
    """Return the key that a policy was added with; its id if it was not added here."""
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
    argument: object = policy
    if not isinstance(argument, CompliancePolicy):
        raise PolicyError(f"policy {key!r}: expected a CompliancePolicy, got {type(policy).__name__}")
    policy_id = id_of(key)
    mark = "" if policy_id == key else f"{_MARK}{json.dumps(key)}\n"
    text = mark + yaml.safe_dump(_fields(policy), sort_keys=False, allow_unicode=True, width=10_000)
    with TemporaryDirectory(prefix="auditlake-") as folder:
        file = Path(folder, f"{policy_id}.yaml")
        file.write_text(text, encoding="utf-8")
        lake.policies.add(file, replace=True)


def as_llmguardian(policy: Policy) -> CompliancePolicy:
    """Return a lake's policy as LLMGuardian has it: a threshold that it cannot hold is left out."""
    keep = policy.retention_period
    counts_all = policy.measure == "count" and policy.scope is None
    return CompliancePolicy(
        name=policy.name,
        description=policy.description,
        required_events={_KNOWN.get(name, name) for name in policy.required_events},
        retention_period=timedelta(microseconds=keep.microseconds) if keep else None,
        alert_threshold=int(policy.least) if counts_all and policy.alert_threshold else None,
        window=timedelta(microseconds=policy.window.microseconds),
        group_by=policy.group_by,
        where=policy.where,
        severity=policy.severity,
        controls=policy.controls,
    )


def _fields(policy: CompliancePolicy) -> dict[str, Any]:
    """Return the keys of the YAML, without empty ones."""
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


def _length(length: timedelta) -> str:
    """Return a length as policies write it, in days if it is whole days; a fraction of a second counts as one."""
    if length <= timedelta(0):
        raise PolicyError(f"expected a length of time longer than nothing, got {length!r}")
    seconds = -(-length // _SECOND)
    return f"{seconds // 86_400}d" if seconds % 86_400 == 0 else f"{seconds}s"
