"""A finding: one thing that a policy found, with an id that every run over the same period gives it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from auditlake.findings.decisions import Acceptance, Subject

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a policy found."""

    id: str
    """16 hex digits, the same in every run over the same period (docs/reference/semantics.md, The JSON report)."""
    kind: str
    """Its sort, as ``threshold_exceeded``: one of those that the kinds of :mod:`auditlake.policies.kinds` have."""
    message: str
    event_type: str | None = None
    """The event type that it is about; None where it is about none or several."""
    group: Mapping[str, str] | None = None
    """Column to value, of a policy that counts by group."""
    start: datetime | None = None
    end: datetime | None = None
    """None where the finding continues at the end of the period."""
    measures: Mapping[str, Any] = field(default_factory=dict)
    """What its kind measures, by name: an episode has ongoing, started_before_period, peak and peak_at."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What it was found by, where its kind tells: of ``distinct`` the values that were seen."""
    accepted: Acceptance | None = None
    """The acceptance that covers it: an accepted finding does not count for the status."""

    @property
    def about(self) -> str | None:
        """What it is about: its event type, and the values of its group; None where it has neither."""
        return ", ".join([*filter(None, [self.event_type]), *(self.group or {}).values()]) or None

    @property
    def peak(self) -> int | Decimal | None:
        """The highest measure, of a kind that measures."""
        return self.measures.get("peak")

    @property
    def peak_at(self) -> datetime | None:
        """When an episode's count was highest; None of another kind."""
        return self.measures.get("peak_at")

    @property
    def ongoing(self) -> bool | None:
        """Whether an episode runs on at the end of the period; None of another kind."""
        return self.measures.get("ongoing")

    @property
    def started_before_period(self) -> bool | None:
        """Whether an episode had begun before the period; None of another kind."""
        return self.measures.get("started_before_period")


def finding_id(policy_id: str, kind: str, group: str, event_type: str, start: str) -> str:
    """Return the first 16 hex digits of SHA-256 over the compact JSON array of the five."""
    text = _compact([policy_id, kind, group, event_type, start])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def subject_id(subject: Subject) -> str:
    """Return the id that findings of a subject share, whenever they start: that of one without a start."""
    return finding_id(subject.policy_id, subject.kind, subject.group, subject.event_type, "")


def canonical_group(group: Mapping[str, str] | None) -> str:
    """Return a group as compact JSON text, keys in the order of the policy's group_by; empty where there is none."""
    return _compact(dict(group)) if group else ""


def subject_of(policy_id: str, finding: Finding) -> Subject:
    """Return what a finding has in common with those that an acceptance of it covers."""
    return Subject(policy_id, finding.kind, canonical_group(finding.group), finding.event_type or "")
