"""Question kinds: one file each, with everything that is its own; a new kind is a file here and a row of ``KINDS``.

Hides how a question is written in YAML, which statements answer it, and how rows become findings.
The door: ``KINDS``, ``finding_kinds``, ``model.Kind``.
Read first: ``model.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

from auditlake.policies.kinds.coverage import CoverageKind
from auditlake.policies.kinds.model import FindingKind, Kind
from auditlake.policies.kinds.retention_due import RetentionDueKind
from auditlake.policies.kinds.threshold import ThresholdKind

KINDS: tuple[Kind, ...] = (ThresholdKind(), CoverageKind(), RetentionDueKind())
"""Every kind, in the order in which a policy's questions are asked. Look it up on this module when it is needed."""


def finding_kinds() -> Mapping[str, FindingKind]:
    """Return every sort of finding, by its name, in the order of the kinds."""
    return {each.name: each for kind in KINDS for each in kind.finding_kinds}
