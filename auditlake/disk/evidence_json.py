"""JSON that is read as evidence: every key is known and there once, so that nothing is shown which nothing vouches for.

Readers of JSON differ about a key that is said twice, and pass keys on that they do not know. What is signed or hashed
is then not what is shown.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Never


def parse(data: bytes | str) -> Any:
    """Read JSON in which no object says a key twice and every number is one of JSON.

    Raises:
        ValueError: It is not that; or RecursionError, where it is nested too deep.
    """
    return json.loads(data, object_pairs_hook=_once, parse_constant=_refuse)


def known(value: Any, keys: Collection[str], what: str, *, optional: Collection[str] = ()) -> dict[str, Any]:
    """Give an object that has exactly these keys.

    Args:
        value: What was read.
        keys: The keys that it must have.
        what: What to call it in messages.
        optional: The keys that it may have beside them.

    Raises:
        ValueError: It is no object, lacks a key, or has one that is not known.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not an object")  # noqa: TRY004 - every mistake of a document is one of its value
    if missing := sorted(set(keys) - set(value)):
        raise ValueError(f"{what} has no {missing[0]!r}")
    if unknown := sorted(set(value) - set(keys) - set(optional)):
        raise ValueError(f"{what} has {unknown[0]!r}, which is not known and which nothing vouches for")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return values


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not a number")
