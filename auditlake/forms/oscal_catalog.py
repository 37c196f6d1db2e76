"""A pack as an OSCAL 1.2.3 catalogue: its controls in our own words, so that what assessment results name is there."""

from __future__ import annotations

from collections.abc import Mapping

from auditlake.forms.oscal_words import Json, line, metadata, one_line, properties, resource, statement_of, tokens
from auditlake.forms.writing import identified, written
from auditlake.packs.model import Control, Pack, Source


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
    file = resource(identified("pack", pack.digest), "The pack", f"{pack.id}.yaml", "application/yaml", pack.digest)
    return written({
        "catalog": {
            "uuid": identified("catalog", pack.digest),
            "metadata": metadata(title, made, pack.revision, about, role="creator")
            | {"remarks": line(f"{pack.about} The words are those of the pack, not of {pack.publisher}.")},
            "controls": [_control(each, names, pack) for each in pack.controls] or None,
            "back-matter": {"resources": [file, *(_source(each, pack) for each in pack.sources if each.url)]},
        }
    })  # fmt: skip


def _source(source: Source, pack: Pack) -> Json:
    return {
        "uuid": _identified(source, pack), "title": line(source.title),
        "props": properties({"checked": source.checked}), "rlinks": [{"href": source.url}],
    }  # fmt: skip


def _identified(source: Source, pack: Pack) -> str:
    return identified("source", pack.digest, source.id)


def _control(control: Control, names: Mapping[str, str], pack: Pack) -> Json:
    token = names[control.id]
    sources = [each for each in pack.sources if each.id in control.cites]
    parts = [
        {"id": f"{token}_{name}", "name": "guidance", "props": properties({"about": name}), "prose": line(text)}
        for name, text in (("says", control.says), ("says-not", control.says_not)) if text
    ]  # fmt: skip
    about = {
        "shows": control.shows, "in-force": control.in_force, "ended": control.ended,
        "replaced-by": control.replaced_by, "only-if": control.only_if and control.only_if.text,
    }  # fmt: skip
    links = [{"href": f"#{_identified(each, pack)}", "rel": "reference"} for each in sources if each.url]
    links += [{"href": f"#{names[each]}", "rel": "required"} for each in control.all_of]
    return {
        "id": token, "class": "auditlake", "title": line(control.title, control.id),
        # OSCAL has no resource without a place: a source without one is named as a property.
        "props": [{"name": "label", "value": one_line(control.id)},
                  *(properties(about, also=[("source", each.title) for each in sources if not each.url]) or ())],
        "links": links or None,
        "parts": [{"id": statement_of(token), "name": "statement", "prose": line(control.title, control.id)}, *parts],
    }  # fmt: skip
