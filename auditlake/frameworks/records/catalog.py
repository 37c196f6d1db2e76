"""Every kind of check over records: a file of this folder, and a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from auditlake.frameworks.model import CheckResult
from auditlake.frameworks.records.arrival import check_arrival
from auditlake.frameworks.records.clock import check_clock
from auditlake.frameworks.records.evaluation import check_evaluation
from auditlake.frameworks.records.integrity import check_integrity
from auditlake.frameworks.records.model import Case
from auditlake.frameworks.records.response import check_response
from auditlake.frameworks.records.retention import check_retention
from auditlake.frameworks.records.review import check_review
from auditlake.packs.model import Control, RecordCheck

CHECKS: Mapping[str, Callable[[RecordCheck, Control, Case], CheckResult]] = {
    "review": check_review,
    "evaluation": check_evaluation,
    "response": check_response,
    "retention": check_retention,
    "integrity": check_integrity,
    "arrival": check_arrival,
    "clock": check_clock,
}
"""Each kind of check, with what judges it."""
