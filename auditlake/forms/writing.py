"""What several forms write in one way: identifiers that follow from the report, and JSON fit to be looked at."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid5

from auditlake.display.canonical_json import canonical, instant
from auditlake.display.text import visible
from auditlake.forms.model import Judgement

_NAMESPACE = UUID("0f2a8f5e-3f0b-5b7e-9a3d-6d1c6f1f8a10")
"""Of all that is identified here; chosen once."""


def identified(*what: str) -> str:
    """Return a UUID of version 5: the same for the same texts, in this and in any later run."""
    return str(uuid5(_NAMESPACE, json.dumps(what)))


def identity(judgement: Judgement) -> tuple[str, ...]:
    """Return what makes a report this one and no other."""
    return (
        judgement.lake_id, judgement.kind, judgement.id, instant(judgement.as_of), str(judgement.snapshot),
        judgement.report,
    )  # fmt: skip


def written(document: dict[str, Any]) -> bytes:
    """Return a document as JSON; hidden characters in texts are spelled out, since people read them."""
    return canonical(shown_values(document))


def shown_values(value: Any) -> Any:
    """Return JSON values with hidden characters in all texts spelled out, and without what is None."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: shown_values(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [shown_values(each) for each in value]
    return value
