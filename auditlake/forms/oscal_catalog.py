"""A pack as an OSCAL 1.2.3 catalogue: its controls in our own words, so that what assessment results name is there."""

from __future__ import annotations

from collections.abc import Mapping

from auditlake.forms.oscal_words import Json, line, metadata, properties, resource, statement_of, tokens
from auditlake.forms.writing import identified, written
from auditlake.packs.model import Control, Pack


def render(pack: Pack) -> bytes:
    """Return the catalogue; every identifier follows from the pack's file."""
    names = tokens(pack.id, [each.id for each in pack.controls])
    about = properties({
        "pack": pack.id, "edition": pack.edition, "revision": pack.revision, "digest": pack.digest,
        "recheck": pack.recheck,
    })  # fmt: skip
    # A revision begins with its date, and the file says of no other instant.
    made = f"{pack.revision.partition('.')[0]}T00:00:00Z"
    title = line(f"{pack.framework} {pack.edition}")
    sources = {each.id: identified("source", pack.digest, each.id) for each in pack.sources}
    return written({
        "catalog": {
            "uuid": identified("catalog", pack.digest),
            "metadata": metadata(title, made, pack.revision, about, role="creator")
            | {"remarks": line(f"{pack.about} The words are those of the pack, not of {pack.publisher}.")},
            "controls": [_control(each, names, sources) for each in pack.controls] or None,
            "back-matter": {"resources": [
                resource(identified("pack", pack.digest), "The pack", f"{pack.id}.yaml", "application/yaml",
                         pack.digest),
                *({"uuid": uuid, "title": line(each.title), "props": properties({"checked": each.checked}),
                   "rlinks": [{"href": each.url}] if each.url else None}
                  for each, uuid in zip(pack.sources, sources.values(), strict=True)),
            ]},
        }
    })  # fmt: skip


def _control(control: Control, names: Mapping[str, str], sources: Mapping[str, str]) -> Json:
    token = names[control.id]
    parts = [
        {"id": f"{token}_{name}", "name": "guidance", "props": properties({"about": name}), "prose": line(text)}
        for name, text in (("says", control.says), ("says-not", control.says_not)) if text
    ]  # fmt: skip
    return {
        "id": token, "class": "auditlake", "title": line(control.title, control.id),
        "props": [
            {"name": "label", "value": control.id},
            *(properties({
                "shows": control.shows, "in-force": control.in_force, "ended": control.ended,
                "replaced-by": control.replaced_by, "only-if": control.only_if and control.only_if.text,
            }) or ()),
        ],
        "links": [
            *({"href": f"#{sources[each]}", "rel": "reference"} for each in control.cites if each in sources),
            *({"href": f"#{names[each]}", "rel": "required"} for each in control.all_of if each in names),
        ] or None,
        "parts": [{"id": statement_of(token), "name": "statement", "prose": line(control.title, control.id)}, *parts],
    }  # fmt: skip
