"""Makes ``ocsf-1.9.0.json`` of a checkout of github.com/ocsf/ocsf-schema: ``python -m tests.export.ocsf.reduce PATH``.

No package validates OCSF 1.9. This compiles the classes that the export uses, with the objects that they reach, in the
form in which ``ocsf-json-schema`` has its own versions, so that one validator judges both. Descriptions are left out.
The schema is licensed under Apache-2.0; ``NOTICE`` beside the result is its notice.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CLASSES = (
    "process_activity", "compliance_finding", "detection_finding", "data_security_finding", "authentication",
    "entity_management", "group_management", "user_management", "role_management", "api_activity",
    "datastore_activity", "application_error",
)  # fmt: skip
MOST_STEPS = 3
"""How many objects deep the export goes; what is deeper may be anything."""
_KEPT = ("requirement", "type", "is_array", "enum", "profile")

Document = dict[str, Any]


class Checkout:
    """The files of a checkout, by what they are named."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dictionary: Document = read(root / "dictionary.json")
        self.classes = {each["name"]: each for each in map(read, sorted((root / "events").rglob("*.json")))}
        self.objects = {each["name"]: each for each in map(read, sorted((root / "objects").glob("*.json")))}
        self.categories: Document = read(root / "categories.json")["attributes"]

    def attributes(self, document: Document, family: dict[str, Document]) -> Document:
        """All attributes of a class or an object: the parents', those of included profiles, and its own."""
        parent = family.get(document.get("extends", ""))
        found = self.attributes(parent, family) if parent else {}
        own = dict(document.get("attributes", {}))
        for path in own.pop("$include", []):
            profile = read(self.root / path)
            for name, attribute in profile["attributes"].items():
                merge(found, name, {"profile": profile["name"]} | attribute)
        for name, attribute in own.items():
            merge(found, name, attribute)
        return found

    def observables(self) -> set[int]:
        """The kinds of observables: each type, attribute and object that is one says its number."""
        kinds = [self.dictionary["types"]["attributes"], self.dictionary["attributes"], self.objects]
        return {each["observable"] for family in kinds for each in family.values() if "observable" in each}

    def constraints(self, document: Document, family: dict[str, Document]) -> Document | None:
        """The nearest constraints on the way up: an object that has its own does not obey its parent's."""
        if "constraints" in document or "extends" not in document:
            return document.get("constraints")
        return self.constraints(family[document["extends"]], family)

    def compiled(self, document: Document, family: dict[str, Document]) -> Document:
        """A class or an object as ocsf-json-schema reads it."""
        attributes = {}
        for name, attribute in sorted(self.attributes(document, family).items()):
            joined = merged(self.dictionary["attributes"].get(name, {}), attribute)
            kept = {key: joined[key] for key in _KEPT if joined.get(key) is not None}
            kept["profiles"] = [kept.pop("profile")] if "profile" in kept else []
            if "enum" in kept:
                kept["enum"] = {key: {"caption": each.get("caption", key)} for key, each in kept["enum"].items()}
            if kept["type"] not in self.dictionary["types"]["attributes"]:
                kept |= {"type": "object_t", "object_type": kept["type"]}
            attributes[name] = kept
        constraints = self.constraints(document, family)
        return {"name": document["name"], "attributes": attributes} | (
            {"constraints": constraints} if constraints else {}
        )


def read(path: Path) -> Document:
    """Read a JSON file."""
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def merged(below: Document, above: Document) -> Document:
    """An attribute with what a nearer definition says of it; enumerations are joined."""
    both = below | above
    if "enum" in below and "enum" in above:
        both["enum"] = below["enum"] | above["enum"]
    return both


def merge(found: Document, name: str, attribute: Document) -> None:
    """Add an attribute to those that are found; a profile's adds nothing to one that needs no profile."""
    if name in found and attribute.get("profile") and not found[name].get("profile"):
        return
    found[name] = merged(found.get(name, {}), attribute)


def reduced(checkout: Checkout) -> Document:
    """The schema of the classes that the export uses."""
    classes, reached = {}, set()
    for name in CLASSES:
        raw = checkout.classes[name]
        category = category_of(raw, checkout.classes)
        whole = checkout.compiled(raw, checkout.classes)
        uid = checkout.categories[category]["uid"] * 1000 + raw["uid"]
        fixed = {"class_uid": uid, "category_uid": checkout.categories[category]["uid"]}
        for key, value in fixed.items():
            whole["attributes"][key]["enum"] = {str(value): {}}
        kinds = whole["attributes"]["activity_id"]["enum"]
        whole["attributes"]["type_uid"]["enum"] = {str(uid * 100 + int(kind)): {} for kind in kinds}
        classes[name] = {"uid": uid, "caption": raw["caption"], **whole}
        reached |= objects_of(whole)
    objects: Document = {}
    for step in range(MOST_STEPS + 1):
        for name in sorted(reached - objects.keys()):
            whole = checkout.compiled(checkout.objects[name], checkout.objects) if name in checkout.objects else {}
            objects[name] = whole if step < MOST_STEPS else {"name": name, "attributes": {}}
        reached = {each for whole in objects.values() for each in objects_of(whole)}
    numbers = checkout.observables()
    objects["observable"]["attributes"]["type_id"]["enum"] |= {str(number): {} for number in sorted(numbers)}
    types = {
        name: {key: kind[key] for key in ("type", "regex", "max_len", "range") if key in kind}
        for name, kind in checkout.dictionary["types"]["attributes"].items()
    }
    return {
        "version": "1.9.0", "dictionary": {"types": {"attributes": types}}, "classes": classes, "objects": objects,
    }  # fmt: skip


def category_of(document: Document, family: dict[str, Document]) -> str:
    """The category of a class, which a parent may name."""
    return document.get("category") or category_of(family[document["extends"]], family)


def objects_of(document: Document) -> set[str]:
    """The objects that the attributes of a class or an object are."""
    return {each["object_type"] for each in document.get("attributes", {}).values() if "object_type" in each}


if __name__ == "__main__":
    target = Path(__file__).with_name("ocsf-1.9.0.json")
    target.write_text(json.dumps(reduced(Checkout(Path(sys.argv[1]))), separators=(",", ":")) + "\n", encoding="utf-8")
