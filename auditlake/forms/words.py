"""What forms for people call things."""

from __future__ import annotations

from auditlake.forms.model import Judgement, Outcome
from auditlake.packs.model import Shows

OUTCOME_WORDS: dict[Outcome, str] = {
    "fail": "Fail", "not_evaluated": "Not evaluated", "no_data": "No data", "exception": "Exception", "pass": "Pass",
    "not_applicable": "Not applicable",
}  # fmt: skip
"""Every outcome, the one that goes before the others first."""
SHOWS_WORDS: dict[Shows, str] = {
    "operation": "operation", "logging": "only that logging exists", "nothing": "nothing",
}  # fmt: skip
"""How much a log can show of a control."""


def subject(judgement: Judgement) -> str:
    """Return what the report is about."""
    return f"{judgement.name} {judgement.edition}".strip() or judgement.id
