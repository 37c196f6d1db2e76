"""Parameters of packs: their values, which of two values is the weaker one, and ``$name`` replaced by a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import yaml

from auditlake.events.durations import Duration, parse_duration
from auditlake.packs.model import OnlyIf, Parameter, Value
from auditlake.policies.condition import ConditionError, with_conditions
from auditlake.policies.kinds.values import read_condition
from auditlake.yaml_reader import Reader, filled, nearest, refused

STRICTER: dict[str, tuple[str, ...]] = {
    "duration": ("longer", "shorter", "free"), "number": ("higher", "lower", "free"), "condition": ("free",),
    "boolean": ("free",), "one": ("free",), "several": ("subset", "superset", "free"),
}  # fmt: skip
"""The directions that the parameters of a type may have."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""What a parameter's name looks like."""
_ALONE = re.compile(r"\$([A-Za-z0-9_]+)")
_CONDITIONS = ("where", "scope")
"""The keys of a policy that are conditions, in which parameters may stand beside other things."""
OWN_WORDS = ("name", "description", "tests", "placeholders")
"""The keys of a policy in which ``$name`` is what it says."""
_ONLY_IF = re.compile(
    r"\$(?P<flag>[a-z0-9_]+)|'(?P<item>[^']*)' in \$(?P<several>[a-z0-9_]+)|\$(?P<one>[a-z0-9_]+) == '(?P<name>[^']*)'"
)
_LONGEST_NUMBER = Decimal(10**9)


def is_weaker(parameter: Parameter, value: Value, than: Value | None = None) -> bool:
    """Return whether a value goes against the direction of a parameter.

    Args:
        parameter: The parameter.
        value: The value.
        than: What it is compared with; the default of the parameter if None.
    """
    other: Any = parameter.default if than is None else than
    match parameter.stricter:
        case "longer" | "higher":
            return _size(value) < _size(other)
        case "shorter" | "lower":
            return _size(value) > _size(other)
        case "superset":
            return isinstance(value, tuple) and not set(value) >= set(other)
        case "subset":
            return isinstance(value, tuple) and not set(value) <= set(other)
    return False


def needs_decision(parameter: Parameter, value: Value) -> bool:
    """Return whether a value is weaker than what a control asks for."""
    return bool(parameter.cites) and is_weaker(parameter, value)


def is_same(parameter: Parameter, value: Value, shown: Any) -> bool:
    """Return whether a value is the one that JSON shows, however either is written: 2d is 48h.

    Args:
        parameter: The parameter.
        value: What it has.
        shown: The other value, as JSON.
    """
    try:
        return bool(_compared(value) == _compared(value_of(parameter, shown)))
    except ValueError:
        return False


def _compared(value: Value) -> Any:
    return value.microseconds if isinstance(value, Duration) else {*value} if isinstance(value, tuple) else value


def value_of(parameter: Parameter, shown: Any) -> Value:
    """Return a value of a parameter from JSON.

    Args:
        parameter: The parameter.
        shown: The value, as :func:`shown_value` gives it.

    Raises:
        ValueError: It is none that the parameter can have.
    """
    reader = Reader("value", (), frozenset())
    written = f"{Decimal(str(shown)):f}" if isinstance(shown, float) else shown
    value = read_value(reader, filled(yaml.ScalarNode("", ""), written), parameter.name, parameter)
    if value is None or reader.mistakes:
        raise ValueError("; ".join(what for _, _, what in reader.mistakes))
    return value


def _size(value: Any) -> int | Decimal:
    """Return what lengths and numbers are compared by."""
    size: int | Decimal = value.microseconds if isinstance(value, Duration) else value
    return size


def shown_value(value: Value) -> Any:
    """Return a value as it stands in YAML and in JSON."""
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, Duration) else list(value) if isinstance(value, tuple) else value


def as_text(value: Value) -> str:
    """Return a value as text, as it stands in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def read_value(reader: Reader, node: yaml.Node, key: str, parameter: Parameter) -> Value | None:
    """Read a value of a parameter; None where a mistake was noted."""
    value: Value | None
    match parameter.type:
        case "duration":
            return _parsed_length(reader, node, key, _field(parameter))
        case "number":
            return reader.decimal(node, key, Decimal(0), _LONGEST_NUMBER, 6)
        case "boolean":
            return reader.flag(node, key)
        case "condition":
            return read_condition(reader, node, key)
        case "one":
            return reader.choice(node, key, parameter.of)
    noted = len(reader.mistakes)
    value = reader.several(node, key, lambda item, key: reader.choice(item, key, parameter.of))
    return value if len(reader.mistakes) == noted else None


def _field(parameter: Parameter) -> str:
    """Return as which field of a policy a parameter counts months and years."""
    return "max_retention" if parameter.stricter == "shorter" else "retention_period"


def _parsed_length(reader: Reader, node: yaml.Node, key: str, field: str) -> Duration | None:
    """Read a length of time, in which months and years count as they do in a field of a policy."""
    length: Duration | None = reader.parsed(node, key, "a length of time", lambda text: parse_duration(text, field))
    return length


def read_only_if(reader: Reader, node: yaml.Node, parameters: Mapping[str, Parameter]) -> OnlyIf | None:
    """Read when a control applies: ``$flag``, ``'x' in $several`` or ``$one == 'x'``."""
    text = reader.text(node, "only_if")
    if text is None:
        return None
    match = _ONLY_IF.fullmatch(text)
    if match is None:
        reader.wrong(node, f"only_if: expected $flag, 'x' in $several or $one == 'x', got {text!r}")
        return None
    kind = {"flag": "boolean", "several": "several", "one": "one"}
    ((way, name),) = ((way, match[way]) for way in kind if match[way] is not None)
    value = match["item"] if way == "several" else match["name"]
    parameter = known_parameter(reader, node, "only_if", name, parameters)
    if parameter is None:
        return None
    if parameter.type != kind[way]:
        reader.wrong(node, f"only_if: expected a parameter of the type {kind[way]}, but ${name} is {parameter.type}")
    elif value is not None and value not in parameter.of:
        reader.wrong(node, f"only_if: ${name} is never {value!r}; {nearest(value, parameter.of)}")
    else:
        return OnlyIf(text, name, value)
    return None


def known_parameter(
    reader: Reader, node: yaml.Node, key: str, name: str, parameters: Mapping[str, Parameter]
) -> Parameter | None:
    """Return a parameter by its name, and note a mistake where there is none."""
    if name not in parameters:
        reader.wrong(
            node, f"{key}: there is no parameter {name!r}; {nearest(name, parameters or ['(the pack has none)'])}"
        )
    return parameters.get(name)


class Filling:
    """Replaces ``$name`` in the nodes of a pack by values, and notes which parameters were used.

    Args:
        reader: Where mistakes are noted.
        parameters: The parameters of the pack.
        values: Their values; of a parameter whose value was a mistake, none.
    """

    def __init__(self, reader: Reader, parameters: Mapping[str, Parameter], values: Mapping[str, Value]) -> None:
        self._reader = reader
        self._parameters = parameters
        self._values = values
        self.used: set[str] = set()
        """The names of the parameters that were used."""

    def policy(self, node: yaml.Node) -> yaml.Node:
        """Return a policy's body with values: for ``$name`` alone, and in a condition for each ``$name``."""
        return self.value(node, "a policy", but=OWN_WORDS)

    def value(self, node: yaml.Node, key: str, *, but: tuple[str, ...] = ()) -> yaml.Node:
        """Return a node with values in the places of ``$name`` alone; the values of some keys stay as they are."""
        if isinstance(node, yaml.MappingNode):
            pairs = [
                (name, value if name.value in but else self.value(value, str(name.value)))
                for name, value in node.value
                if isinstance(name, yaml.ScalarNode)
            ]
            return yaml.MappingNode("", pairs, node.start_mark, node.end_mark)
        if isinstance(node, yaml.SequenceNode):
            items = [self.value(item, key) for item in node.value]
            return yaml.SequenceNode("", items, node.start_mark, node.end_mark)
        if not isinstance(node, yaml.ScalarNode) or "$" not in node.value:
            return node
        if alone := _ALONE.fullmatch(node.value):
            return self._put(node, key, alone[1])
        return self._condition(node, key) if key in _CONDITIONS else node

    def _put(self, node: yaml.ScalarNode, key: str, name: str) -> yaml.Node:
        """Return the value of a parameter as a node."""
        if known_parameter(self._reader, node, key, name, self._parameters) is None or name not in self._values:
            return refused(node)
        self.used.add(name)
        value = self._values[name]
        return filled(node, str(value) if isinstance(value, Duration) else value)

    def _condition(self, node: yaml.ScalarNode, key: str) -> yaml.Node:
        """Return a condition with the conditions of parameters within it, as trees and never as text."""
        conditions = {
            name: str(value) for name, value in self._values.items() if self._parameters[name].type == "condition"
        }
        named = set(_ALONE.findall(node.value)) & self._parameters.keys()
        if not named <= self._values.keys():
            return refused(node)
        named &= conditions.keys()
        try:
            text = with_conditions(node.value, {name: conditions[name] for name in named})
        except ConditionError as error:
            self._reader.wrong(node, f"{key}: {error}")
            return refused(node)
        self.used |= named
        return filled(node, text)
