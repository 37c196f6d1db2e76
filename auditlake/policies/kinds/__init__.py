"""Question kinds: one file each, with everything that is its own; a new kind is a file here and a row of ``KINDS``.

Hides how a question is written in YAML, which statements answer it, and how rows become findings.
The door: ``KINDS``, ``finding_kinds``, ``measure_of``, ``model.Kind``.
Read first: ``model.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from auditlake.policies.kinds.average import AverageKind
from auditlake.policies.kinds.baseline import BaselineKind
from auditlake.policies.kinds.count import CountKind
from auditlake.policies.kinds.coverage import CoverageKind
from auditlake.policies.kinds.distinct import DistinctKind
from auditlake.policies.kinds.dormant import DormantKind
from auditlake.policies.kinds.fields import FieldsKind
from auditlake.policies.kinds.first_seen import FirstSeenKind
from auditlake.policies.kinds.max_retention import MaxRetentionKind
from auditlake.policies.kinds.model import FindingKind, Kind
from auditlake.policies.kinds.retention_due import RetentionDueKind
from auditlake.policies.kinds.sequence import SequenceKind
from auditlake.policies.kinds.sum import SumKind
from auditlake.policies.kinds.threshold import ThresholdKind
from auditlake.policies.kinds.together import TogetherKind

if TYPE_CHECKING:
    from auditlake.policies.model import Policy

KINDS: tuple[Kind, ...] = (
    CountKind(), DistinctKind(), SumKind(), AverageKind(), TogetherKind(), SequenceKind(), FirstSeenKind(),
    DormantKind(), BaselineKind(), CoverageKind(), FieldsKind(), RetentionDueKind(),
    MaxRetentionKind(),
)  # fmt: skip
"""Every kind, in the order in which a policy's questions are asked. Look it up on this module when it is needed."""


BATCH = "evaluated in batch: reports find its episodes, and no alert is raised"
"""What is said of a measure that is not evaluated live."""
ASKED = "asked of the lake: its alerts come some seconds later than those of a count"
"""What is said of a measure that is evaluated live, and is not counted event by event."""


def finding_kinds() -> Mapping[str, FindingKind]:
    """Return every sort of finding, by its name, in the order of the kinds."""
    return {each.name: each for kind in KINDS for each in kind.finding_kinds}


def measures() -> tuple[ThresholdKind, ...]:
    """Return the kinds that hold something against a threshold; a policy has one of them at most."""
    return tuple(kind for kind in KINDS if isinstance(kind, ThresholdKind))


def measure_named(name: str) -> ThresholdKind:
    """Return what is held against a threshold, by its name."""
    return next(kind for kind in measures() if kind.name == name)


def expressions_of(policy: Policy) -> tuple[str, ...]:
    """Return every condition and value of a policy, as they were written."""
    own = measure_of(policy).expressions(policy)
    return (*filter(None, [policy.where, policy.scope]), *policy.group_by, *own)


def how_alerted(policy: Policy) -> str | None:
    """Return what is to be said of how a policy's measure is alerted; None of a count."""
    kind = measure_of(policy)
    return None if kind.is_tallied else f"{kind.name} is {ASKED if kind.raises_alerts else BATCH}"


def measure_of(policy: Policy) -> ThresholdKind:
    """Return what a policy holds against its threshold, if it has one."""
    return measure_named(policy.measure)
