"""JSON Schema of a pack's YAML, for editors; the reader takes keys and choices from the same schemas."""

from __future__ import annotations

from typing import Any, get_args

from auditlake.packs import model
from auditlake.packs.parameters import OWN_WORDS, STRICTER
from auditlake.policies.loader import policy_schema
from auditlake.policies.model import Basis, Part

Schema = dict[str, Any]
OWN = ("policies", "controls")
"""The keys that a pack has of its own, unless it extends another."""


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _line(description: str, **more: Any) -> Schema:
    return _text(description, format="line", **more)


def _choice(choices: Any, description: str) -> Schema:
    return {"enum": get_args(choices), "description": description}


def _list(description: str, items: Schema | None = None) -> Schema:
    return {"type": "array", "items": items or {"type": "string"}, "description": description}


def _keys(required: str, **properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "required": tuple(required.split()),
            "properties": properties}  # fmt: skip


def _day(description: str) -> Schema:
    return _text(description, format="date")


_PARAMETER = {"type": "string", "pattern": r"^\$[a-z][a-z0-9_]*$"}
_LENGTH = {"type": "string"}
_MOST = {"type": ("string", "object"), "required": ("longest",), "additionalProperties": False, "properties": {
    "longest": _LENGTH, "of": _choice(Part, "What must be gone then.")}}  # fmt: skip
_SOURCES = _list("Ids of the pack's sources.")
_CONTROLS = _list("Ids of the controls that ask for it.")
_POLICIES = _list("Ids of policies of the pack.")

STATE = _keys(
    "from state cites", state=_choice(model.StateName, "What the framework is from that day on."), cites=_SOURCES,
    note=_line("What there is to say."), when={"type": "object", "description": "Counts only with these values."},
    **{"from": _day("From which day on, UTC.")},
)  # fmt: skip
WATCH = _keys("on note cites", on=_day("When."), note=_line("What is coming."), cites=_SOURCES)
SOURCE = _keys(
    "id title checked", id=_line("What cites names."), title=_line("What was read."), url=_line("Where."),
    read=_day("When."), checked=_choice(model.Checked, "Against what the fact was checked."),
)  # fmt: skip
PARAMETER = _keys(
    "type default", type=_choice(model.Type, "What its values are."),
    default={"description": "Its value if none is set."},
    of=_list("What there is to choose from."),
    stricter={"enum": sorted({each for ways in STRICTER.values() for each in ways}),
              "description": "In which direction a lake may go without asking."},
    cites=_CONTROLS, about=_text("What it is, and why the default is what it is."),
)  # fmt: skip
RETENTION = _keys(
    "basis cites", min=_LENGTH | {"description": "How long events are kept."},
    hot=_LENGTH | {"description": "How long events can be read without restoring anything."},
    max=_MOST | {"description": "How long personal data stays, or the event."},
    basis=_choice(Basis, "What the numbers are."), cites=_CONTROLS, note=_text("What there is to say."),
)  # fmt: skip
_EVERY = _LENGTH | {"description": "The interval: whole days, or 1h, 6h, 12h."}
_WITHIN = _LENGTH | {"description": "How long it may take."}
RECORDS: dict[str, Schema] = {
    "review": _keys("every of within", every=_EVERY, of=_POLICIES, within=_WITHIN, by={"enum": ("person",)}),
    "evaluation": _keys("every of within", every=_EVERY, of=_POLICIES, within=_WITHIN),
    "response": _keys("within of", within=_WITHIN, of=_POLICIES),
    "retention": _keys("", min=_LENGTH, hot=_LENGTH, max=_MOST),
    "integrity": _keys("every", every=_EVERY, level={"enum": ("quick", "full")}, kept={"type": "boolean"}),
    "arrival": _keys("within share", within=_WITHIN, share={"type": ("number", "string")}),
    "clock": _keys("ahead", ahead=_LENGTH),
}
"""The checks over auditlake's own records."""
CONTROL = _keys(
    "id title shows cites", id=_line("As it is cited."), title=_line("What it asks.", maxLength=90),
    shows=_choice(model.Shows, "How much a log can show of it."), says=_text("What a pass says."),
    says_not=_text("What a pass does not say."),
    policies={"description": "The policies that are its checks.", "anyOf": [_POLICIES, {
        "type": "object", "additionalProperties": _list("What counts.", {"enum": model.QUESTIONS})}]},
    records=_list("Checks over auditlake's own records.", {
        "type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1,
        "properties": RECORDS}),
    all_of=_list("Ids of its parts."), related=_list("Policies to show beside it."),
    only_if=_line("When it applies: $flag, 'x' in $several, $one == 'x'."), in_force=_day("From when it binds."),
    ended=_day("From when it binds no more."), replaced_by=_line("The control that took its place."),
    was=_line("Its id in the revision before."), cites=_SOURCES,
)  # fmt: skip
_REQUIRED = "pack id framework edition publisher about revision recheck status sources"
PACK = _keys(
    _REQUIRED, pack={"const": 1, "description": "The version of this form."}, id=_line("The file's name."),
    extends=_line("The pack whose policies and controls this one takes over."), framework=_line("What is judged."),
    edition=_line("As its publisher writes it."), publisher=_line("Who publishes it."),
    about=_text("What of it is in the pack, and what is not."), revision=_line("A date and a number: 2026-11-30.1."),
    recheck=_day("From which day its facts are due for a check."),
    status=_list("What the framework is, by time.", STATE),
    watch=_list("What is coming.", WATCH), sources=_list("Where its facts come from.", SOURCE),
    needs_types=_list("Event types that are not built in, and that a lake declares."),
    parameters={"type": "object", "additionalProperties": PARAMETER, "description": "What a lake may set."},
    retention=RETENTION, policies={"type": "object", "description": "Its policies, by id."},
    controls=_list("Its controls, in the order of the framework.", CONTROL),
)  # fmt: skip


def _or_parameter(schema: Schema) -> Schema:
    """Return a schema that takes ``$name`` wherever it takes a value."""
    inner: Schema = {key: _or_parameter(schema[key]) for key in ("items", "additionalProperties") if schema.get(key)}
    if "properties" in schema:
        inner["properties"] = {name: _or_parameter(each) for name, each in schema["properties"].items()}
    if "anyOf" in schema:
        inner["anyOf"] = [_or_parameter(each) for each in schema["anyOf"]]
    return {"anyOf": [schema | inner, _PARAMETER]}


def pack_schema() -> Schema:
    """Return the JSON Schema of a pack's file, for editors; ``pack.schema.json`` is the shipped copy."""
    policy = policy_schema()
    dropped = ("$schema", "title", "allOf", "dependentSchemas")
    body = {key: value for key, value in policy.items() if key not in dropped}
    body["properties"] = {
        name: each if name in OWN_WORDS else _or_parameter(each)
        for name, each in policy["properties"].items()
        if name != "controls"
    }
    policies = PACK["properties"]["policies"] | {"additionalProperties": body}
    return {"$schema": policy["$schema"], "title": "auditlake pack", **PACK} | {
        "properties": PACK["properties"] | {"policies": policies},
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": list(OWN)},
        "else": {"properties": dict.fromkeys(OWN, False)},
    }
