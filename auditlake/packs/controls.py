"""The controls of a pack, read from YAML: every name that they use must be there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.events.durations import Duration, parse_duration
from auditlake.packs import schema
from auditlake.packs.model import QUESTIONS, USUAL_QUESTIONS, Control, Parameter, PolicyCheck, RecordCheck, Value
from auditlake.packs.parameters import Filling, read_only_if
from auditlake.policies.kinds.max_retention import read_max_retention
from auditlake.yaml_reader import nearest

if TYPE_CHECKING:
    from auditlake.yaml_reader import Reader

_HOUR = 3_600_000_000
_FIELDS = {"min": "retention_period", "hot": "retention_period"}
"""As which field of a policy a length of a check counts months and years, where it may."""


@dataclass(frozen=True, slots=True)
class Known:
    """The names that the parts of a pack may use."""

    sources: Collection[str]
    controls: Collection[str]
    policies: Collection[str]
    parameters: Mapping[str, Parameter]
    values: Mapping[str, Value]
    uses: Mapping[str, frozenset[str]]
    """The parameters that each policy is made with."""


def names(reader: Reader, node: yaml.Node, key: str, known: Collection[str], what: str) -> tuple[str, ...]:
    """Read a list of names that must be there."""
    return reader.several(node, key, lambda item, key: one_name(reader, item, key, known, what))


def one_name(reader: Reader, node: yaml.Node, key: str, known: Collection[str], what: str) -> str | None:
    """Read a name that must be there."""
    name = reader.text(node, key)
    if name is None or name in known:
        return name
    reader.wrong(node, f"{key}: the pack has no {what} {name!r}; {nearest(name, known or ['(none)'])}")
    return None


def control_ids(node: yaml.Node | None) -> tuple[str, ...]:
    """Return the ids in a list of controls or sources, as far as it has the form of one."""
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    pairs = (pair for item in items if isinstance(item, yaml.MappingNode) for pair in item.value)
    return tuple(str(value.value) for key, value in pairs if key.value == "id" and isinstance(value, yaml.ScalarNode))


def keys_of(node: yaml.Node | None) -> tuple[str, ...]:
    """Return the keys of a mapping."""
    return tuple(str(key.value) for key, _ in node.value) if isinstance(node, yaml.MappingNode) else ()


def read_controls(reader: Reader, node: yaml.Node, known: Known) -> tuple[Control, ...]:
    """Read the controls of a pack."""
    if not reader.is_a(node, yaml.SequenceNode, "controls", "a list of controls"):
        return ()
    controls: dict[str, Control] = {}
    places: dict[str, yaml.Node] = {}
    for item in node.value:
        control = _control(reader, item, known)
        if control.id in controls:
            reader.wrong(item, f"controls: two controls have the id {control.id!r}")
        controls.setdefault(control.id, control)
        places.setdefault(control.id, item)
    for name in _circular(controls):
        reader.wrong(places[name], f"all_of: {name!r} is a part of itself")
    return tuple(controls.values())


def _circular(controls: Mapping[str, Control]) -> Iterator[str]:
    """Yield a control of each circle of parts: one that a walk down the parts of a control comes back to."""
    within: set[str] = set()
    done: set[str] = set()
    waiting = [*controls][::-1]
    while waiting:
        name = waiting[-1]
        if name in done or name in within:  # it was walked already, or all its parts are now
            waiting.pop()
            within.discard(name)
            done.add(name)
            continue
        within.add(name)
        for part in controls[name].all_of:
            if part in within:
                yield part
            elif part in controls and part not in done:
                waiting.append(part)


def _control(reader: Reader, node: yaml.Node, known: Known) -> Control:
    keys = schema.CONTROL["properties"]
    fields = reader.mapping(node, "a control", tuple(keys), schema.CONTROL["required"])
    values: dict[str, Any] = {}
    for key, value in fields.items():
        values[key] = _value(reader, value, key, known)
    values = {key: value for key, value in values.items() if value is not None}
    if len(values.get("title", "")) > keys["title"]["maxLength"]:
        reader.wrong(fields["title"], f"title: expected at most {keys['title']['maxLength']} characters")
    if {"in_force", "ended"} <= values.keys() and values["ended"] <= values["in_force"]:
        reader.wrong(fields["ended"], "ended: expected a day after in_force")
    _check_shows(reader, node, fields, values.get("shows"))
    checks: Iterable[RecordCheck] = values.get("records", ())
    used = frozenset[str]().union(
        *(each.parameters for each in checks),
        *(known.uses.get(each.policy, ()) for each in values.get("policies", ())),
    )
    if condition := values.get("only_if"):
        used |= {condition.parameter}
    return Control(**{"id": "", "title": "", "shows": "nothing", "cites": (), **values}, parameters=used)


def _check_shows(reader: Reader, node: yaml.Node, fields: Mapping[str, yaml.Node], shows: str | None) -> None:
    """Note what does not go with how much a log can show of a control."""
    checks = [key for key in ("policies", "records", "all_of") if key in fields]
    if shows == "nothing":
        for key in checks:
            reader.wrong(fields[key], f"{key}: a control that shows nothing has no checks")
    elif shows is not None and not checks:
        reader.wrong(node, f"a control that shows {shows} needs the key 'policies', 'records' or 'all_of'")
    for key in ("says", "says_not"):
        if shows == "operation" and key not in fields:
            reader.wrong(node, f"a control that shows operation needs the key {key!r}")


def _value(reader: Reader, node: yaml.Node, key: str, known: Known) -> Any:
    """Read the value of a key of a control."""
    match key:
        case "shows":
            return reader.value(node, key, schema.CONTROL["properties"][key])
        case "in_force" | "ended":
            return reader.day(node, key)
        case "cites":
            return names(reader, node, key, known.sources, "source")
        case "related":
            return names(reader, node, key, known.policies, "policy")
        case "all_of":
            return names(reader, node, key, known.controls, "control")
        case "replaced_by":
            return one_name(reader, node, key, known.controls, "control")
        case "only_if":
            return read_only_if(reader, node, known.parameters)
        case "was":
            return _earlier_id(reader, node, known)
        case "policies":
            return _policy_checks(reader, node, known)
        case "records":
            return _record_checks(reader, node, known)
    return reader.text(node, key) if key.startswith("says") else reader.label(node, key)


def _earlier_id(reader: Reader, node: yaml.Node, known: Known) -> str | None:
    """Read what a control was called once; the decisions about a control that is still there are its own."""
    name = reader.label(node, "was")
    if name in known.controls:
        reader.wrong(node, f"was: the pack has a control {name!r}; only a control that is no more was renamed")
        return None
    return name


def _policy_checks(reader: Reader, node: yaml.Node, known: Known) -> tuple[PolicyCheck, ...]:
    if not isinstance(node, yaml.MappingNode):
        return tuple(PolicyCheck(each) for each in names(reader, node, "policies", known.policies, "policy"))
    checks = []
    for key, value in node.value:
        policy = one_name(reader, key, "policies", known.policies, "policy")
        asks = reader.several(value, str(policy), lambda item, key: reader.choice(item, key, QUESTIONS, "question"))
        if isinstance(value, yaml.SequenceNode) and not value.value:
            reader.wrong(value, f"{policy}: expected at least one of {', '.join(QUESTIONS)}")
        checks.append(PolicyCheck(policy or "", asks or USUAL_QUESTIONS))
    return tuple(checks)


def _record_checks(reader: Reader, node: yaml.Node, known: Known) -> tuple[RecordCheck, ...]:
    checks: list[RecordCheck] = []
    if not reader.is_a(node, yaml.SequenceNode, "records", "a list of checks"):
        return ()
    for item in node.value:
        fields = reader.mapping(item, "records", tuple(schema.RECORDS), ())
        if isinstance(item, yaml.MappingNode) and len(item.value) != 1:
            reader.wrong(item, f"records: expected one check an entry, got {len(item.value)}")
        checks.extend(_record_check(reader, kind, body, known) for kind, body in fields.items())
    return tuple(checks)


def _record_check(reader: Reader, kind: str, node: yaml.Node, known: Known) -> RecordCheck:
    shape = schema.RECORDS[kind]
    filling = Filling(reader, known.parameters, known.values)
    fields = reader.mapping(filling.value(node, kind), kind, tuple(shape["properties"]), shape["required"])
    if kind == "retention" and isinstance(node, yaml.MappingNode) and not node.value:
        reader.wrong(node, f"retention: expected at least one of {', '.join(shape['properties'])}")
    values: dict[str, Any] = {}
    for key, value in fields.items():
        if key == "of":
            values[key] = names(reader, value, key, known.policies, "policy")
        elif key == "share":
            values[key] = reader.decimal(value, key, Decimal(0), Decimal(1), 6)
        elif key == "kept":
            values[key] = reader.flag(value, key)
        elif key == "max":
            values |= read_max(reader, value)
        elif "enum" in shape["properties"][key]:
            values[key] = reader.value(value, key, shape["properties"][key])
        else:
            values[key] = read_length(reader, value, key)
    return RecordCheck(kind, **values, parameters=frozenset(filling.used))  # type: ignore[arg-type]


def read_max(reader: Reader, node: yaml.Node) -> dict[str, Any]:
    """Read how long something may be kept at most, as the values ``max`` and ``max_of``; none where it is a mistake."""
    most = read_max_retention(reader, node, "max")
    return {"max": most.longest, "max_of": most.of} if most else {}


def read_length(reader: Reader, node: yaml.Node, key: str) -> Duration | None:
    """Read a length of time of a check or of a retention."""

    def parse(text: str) -> Duration:
        length = parse_duration(text, _FIELDS.get(key, key))
        if key == "every" and not is_interval(length):
            raise ValueError(f"expected whole days, or 1h, 6h or 12h, got {text!r}")
        return length

    length: Duration | None = reader.parsed(node, key, "a length of time", parse)
    return length


def is_interval(length: Duration) -> bool:
    """Return whether a length can be that of intervals that are judged: whole days, or 1, 6 or 12 hours."""
    return length.microseconds % (24 * _HOUR) == 0 or length.microseconds in (_HOUR, 6 * _HOUR, 12 * _HOUR)
