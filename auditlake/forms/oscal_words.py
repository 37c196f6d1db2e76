"""What OSCAL 1.2.3 documents of ours have in common: ids as tokens, texts as it allows them, metadata, properties."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from auditlake.display.canonical_json import instant
from auditlake.display.markdown import marked
from auditlake.display.text import visible
from auditlake.forms.writing import identified

OSCAL = "1.2.3"
"""Published on 2026-08-07 by NIST: https://pages.nist.gov/OSCAL/."""
NAMESPACE = "urn:auditlake:oscal"
"""Of our properties and roles."""
_NIST_PACK = re.compile(r"nist-800-53|fedramp")
_NIST_CONTROL = re.compile(r"([A-Z]{2}-\d{1,2})(?:\((\d{1,2})\))?")
_UNFIT = re.compile(r"[^0-9A-Za-z.-]+")
_SPACE = re.compile(r"\s+")
_YEARS = range(1900, 3000)
"""The years that OSCAL's times may have."""
Json = dict[str, Any]


def tokens(pack_id: str, control_ids: Iterable[str]) -> Mapping[str, str]:
    """Return the ids of controls as OSCAL's tokens, each of its own: NIST's as its catalogue has them.

    Args:
        pack_id: The pack.
        control_ids: The ids of all its controls.

    Example:
        >>> tokens("hipaa-security", ["164.312(b)"]), tokens("nist-800-53-r5", ["AU-6(1)"])
        ({'164.312(b)': 'hipaa-security_164.312_b'}, {'AU-6(1)': 'au-6.1'})
    """
    made = {each: _token(pack_id, each) for each in control_ids}
    often = Counter(made.values())
    return {each: name if often[name] == 1 else f"{name}_{_short(each)}" for each, name in made.items()}


def _token(pack_id: str, control_id: str) -> str:
    nist = _NIST_CONTROL.fullmatch(control_id) if _NIST_PACK.match(pack_id) else None
    if nist:
        return f"{nist[1].lower()}.{nist[2]}" if nist[2] else nist[1].lower()
    fit = _UNFIT.sub("_", control_id).strip("_")
    token = "_".join(filter(None, (pack_id, fit)))
    return token if token[:1].isalpha() else f"_{token}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def statement_of(token: str) -> str:
    """Return the id of a control's statement, which a finding is about."""
    return f"{token}_smt"


def line(text: str, otherwise: str = "none") -> str:
    """Return text for a title or a description, which are Markdown."""
    return marked(one_line(text, otherwise))


def one_line(text: str, otherwise: str = "none") -> str:
    """Return text for a value, which has no space at its ends and no line break; ``otherwise`` where none is left."""
    return _SPACE.sub(" ", visible(text)).strip() or otherwise


def properties(values: Mapping[str, object], *, also: Iterable[tuple[str, str]] = ()) -> list[Json] | None:
    """Return properties of our namespace; those without a value are left out."""
    pairs = [*((name, str(value)) for name, value in values.items() if value not in (None, "")), *also]
    return [{"name": name, "ns": NAMESPACE, "value": one_line(value)} for name, value in pairs] or None


def time(when: datetime) -> str | None:
    """Return an instant; None where OSCAL has no time for it."""
    return instant(when) if when.year in _YEARS else None


def metadata(title: str, modified: datetime | str, version: str, props: list[Json] | None, *, role: str) -> Json:
    """Return the metadata of a document that auditlake made.

    Args:
        title: Its title, as Markdown.
        modified: When it was made.
        version: Its version.
        props: Its properties.
        role: The role that auditlake has in it.
    """
    party = identified("party", "auditlake")
    return {
        "title": title, "last-modified": modified if isinstance(modified, str) else instant(modified),
        "version": one_line(version), "oscal-version": OSCAL, "props": props,
        "roles": [{"id": role, "title": role.capitalize()}],
        "parties": [{"uuid": party, "type": "organization", "name": "auditlake",
                     "remarks": "A program: it made this document of a report."}],
        "responsible-parties": [{"role-id": role, "party-uuids": [party]}],
    }  # fmt: skip


def resource(uuid: str, title: str, href: str, media_type: str, digest: str) -> Json:
    """Return a file with its digest, which is ``sha256:`` and hex digits."""
    link: Json = {"href": href, "media-type": media_type}
    if digest.startswith("sha256:"):
        link["hashes"] = [{"algorithm": "SHA-256", "value": digest.removeprefix("sha256:")}]
    return {"uuid": uuid, "title": title, "rlinks": [link]}
