"""What policies write of events: conditions, and values, which are columns or expressions, as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.policies.condition import COLUMNS, LONGEST, ConditionError, check_condition, check_value

if TYPE_CHECKING:
    from auditlake.yaml_reader import Reader

_VALUE = "a column or an expression (put it in quotes, or on a line of its own)"
VALUE: dict[str, Any] = {
    "anyOf": [{"enum": sorted(COLUMNS)}, {"type": "string", "maxLength": LONGEST}], "title": "column or expression",
}  # fmt: skip
VALUES: dict[str, Any] = {"type": "array", "uniqueItems": True, "items": VALUE}


def read_condition(reader: Reader, node: yaml.Node, key: str) -> str | None:
    """Read a condition that may be run."""
    tried, carried = not reader.in_use, not reader.is_later
    return _checked(reader, node, key, "a condition", lambda text: check_condition(text, tried=tried, carried=carried))


def read_scope(reader: Reader, node: yaml.Node, key: str) -> str | None:
    """Read a condition that fails on no event in a way that TRY does not catch: no earlier version took others."""
    return _checked(reader, node, key, "a condition", lambda text: check_condition(text, carried=not reader.is_later))


def read_value(reader: Reader, node: yaml.Node, key: str) -> str | None:
    """Read a column or an expression."""
    return _checked(reader, node, key, _VALUE, check_value)


def read_values(reader: Reader, node: yaml.Node, key: str) -> tuple[str, ...]:
    """Read a list of different values."""
    return reader.several(node, key, lambda item, key: read_value(reader, item, key))


def read_tuple(reader: Reader, node: yaml.Node, key: str) -> tuple[str, ...]:
    """Read one value, or a list of several that are taken together."""
    if isinstance(node, yaml.ScalarNode):
        text = read_value(reader, node, key)
        return () if text is None else (text,)
    if not node.value:
        reader.wrong(node, f"{key}: expected at least one column or expression, got an empty list")
    return read_values(reader, node, key)


def _checked(
    reader: Reader, node: yaml.Node, key: str, expected: str, check: Callable[[str], object]
) -> str | None:  # fmt: skip
    text = reader.text(node, key, expected=expected)
    if text is None:
        return None
    try:
        check(text)
        return text.strip()
    except ConditionError as error:
        line, column = reader.inside(node, error.offset)
        reader.mistakes.append((line, column, f"{key}: {error}"))
        return None
