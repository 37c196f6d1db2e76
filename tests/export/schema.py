"""What OCSF's own schemas say of an event: 1.8.0 from the package ocsf-json-schema, 1.9.0 from ``ocsf/``."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

REDUCED = Path(__file__).parent / "ocsf" / "ocsf-1.9.0.json"


@cache
def schema_of(version: str) -> OcsfJsonSchemaEmbedded:
    """The schema of a version."""
    return OcsfJsonSchemaEmbedded(reduced() if version == "1.9.0" else get_ocsf_schema(version))


def reduced() -> dict[str, Any]:
    """The schema of 1.9.0, with the captions that a JSON Schema has as titles."""
    schema: dict[str, Any] = json.loads(REDUCED.read_text(encoding="utf-8"))
    for family in (schema["classes"], schema["objects"]):
        for name, each in family.items():
            each.setdefault("caption", name)
            for attribute, what in each["attributes"].items():
                what["caption"] = attribute
    return schema


@cache
def validator(version: str, class_uid: int, profiles: tuple[str, ...]) -> Any:
    """What judges events of a class with these profiles."""
    schema = schema_of(version)
    name = schema.lookup_class_name_from_uid(class_uid)
    return Draft202012Validator(schema.get_class_schema(name, list(profiles)))


def faults(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event: its JSON Schema, and what a schema cannot say."""
    metadata = event["metadata"]
    judge = validator(metadata["version"], event["class_uid"], tuple(metadata.get("profiles", ())))
    found = [f"{'/'.join(map(str, error.instance_path))}: {error.message[:200]}" for error in judge.iter_errors(event)]
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append("type_uid is not class and activity")
    if event["category_uid"] != event["class_uid"] // 1000:
        found.append("category_uid is not that of the class")
    return found + [f"{path}: null" for path in nulls(event)]


def nulls(value: Any, path: str = "") -> list[str]:
    """Where a null or an empty object is, outside of what the source said."""
    if value is None or value == {}:
        return [path]
    if isinstance(value, dict):
        return [each for key, part in value.items() if key != "unmapped" for each in nulls(part, f"{path}/{key}")]
    if isinstance(value, list):
        return [each for number, part in enumerate(value) for each in nulls(part, f"{path}/{number}")]
    return []
