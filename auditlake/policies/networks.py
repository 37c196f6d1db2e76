"""``in_network`` in a condition: an address in any of its spellings, as a regular expression of one network."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from auditlake.engine.parse_tree import Node, walk
from auditlake.engine.probe import ConditionError

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_DIGITS = "0123456789abcdef"
_CALL = "in_network"
_EXPECTED = f"{_CALL} takes an address and networks that are written out, such as {_CALL}(ip_address, '10.0.0.0/8')"


def expand_networks(node: Node) -> Node:
    """Return the tree of an expression with a regular expression in the place of each ``in_network``.

    Raises:
        ConditionError: A network is none.
    """
    node = {key: walk(value, lambda part, _: expand_networks(part)) for key, value in node.items()}
    if node.get("class") != "FUNCTION" or str(node["function_name"]).lower() != _CALL:
        return node
    address, *networks = [argument["expression"] for argument in node["arguments"]] or [{}]
    texts = [str(each["literal"]["text"]) for each in networks if each.get("class") == "CONSTANT"]
    if not networks or len(texts) < len(networks) or node["qualified_name"].get("path") != [node["function_name"]]:
        raise ConditionError(_EXPECTED, node.get("query_location"))
    try:
        pattern = "|".join(pattern_of(text) for text in texts)
    except ValueError as error:
        raise ConditionError(str(error), node.get("query_location")) from None
    constant: dict[str, Any] = {**networks[0], "literal": {"kind": "STRING", "text": pattern}}
    arguments = [{"name": "", "expression": each} for each in (address, constant)]
    name = "regexp_full_match"
    return {**node, "function_name": name, "qualified_name": {"path": [name]}, "arguments": arguments}


def pattern_of(text: str) -> str:
    """Return a regular expression of every spelling of every address of a network.

    Raises:
        ValueError: It is no network.

    Example:
        >>> pattern_of("10.1.0.0/16")[:20]
        '(?:::ffff:)?10\\\\.1\\\\.(?'
    """
    network = ip_network(text.strip())
    return _version_4(network) if isinstance(network, IPv4Network) else f"(?i:{_version_6(network)})"


def _version_4(network: IPv4Network) -> str:
    return "(?:::ffff:)?" + _octets(network.network_address.packed, 32 - network.prefixlen)


def _octets(least: bytes, free: int) -> str:
    """Return four numbers of which the last bits, as many as are free, may be any."""
    octets = []
    for number, low in enumerate(least):
        bits = _bits(free, 8, 3 - number)
        values = map(str, range(low, low + (1 << bits)))
        octets.append(_OCTET if bits == 8 else str(low) if bits == 0 else f"(?:{'|'.join(values)})")
    return r"\.".join(octets)


def _bits(free: int, size: int, after: int) -> int:
    """Return how many bits of a part of an address are free, which has so many parts of its size after it."""
    return min(max(free - size * after, 0), size)


def _version_6(network: IPv6Network) -> str:
    """Return the spellings without ``::``, and those in which it stands for any run of groups that may be 0."""
    packed, free = network.network_address.packed, 128 - network.prefixlen
    least = [int(group, 16) for group in network.network_address.exploded.split(":")]
    groups = [_group(low, _bits(free, 16, 7 - number)) for number, low in enumerate(least)]
    quad = _octets(packed[12:], min(free, 32))
    spelled = _tails(groups, quad)
    for first in range(8):
        for last in range(first + 1, 9):
            if any(least[first:last]):
                break
            spelled.append(
                f"{':'.join(groups[:first])}::(?:{'|'.join(_tails(groups[last:], quad)) if last < 8 else ''})"
            )
    return "|".join(spelled)


def _tails(groups: list[str], quad: str) -> list[str]:
    """Return groups in a row, and the same with the last two as four numbers."""
    rows = [":".join(groups)]
    return [*rows, ":".join([*groups[:-2], quad])] if len(groups) > 1 else rows


def _group(least: int, free: int) -> str:
    """Return the spellings of a group with so many free bits: without leading zeros, or with some."""
    if free == 16:
        return "[0-9a-f]{1,4}"
    digits = []
    for number in range(4):
        low = least >> (12 - 4 * number) & 15
        digits.append(_DIGITS[low : low + (1 << _bits(free, 4, 3 - number))])
    shorter = 0
    while shorter < 3 and digits[shorter][0] == "0":
        shorter += 1
    classes = [each if len(each) == 1 else "[0-9a-f]" if each == _DIGITS else f"[{each}]" for each in digits]
    spelled = ["".join(classes[start:]) for start in range(shorter + 1)]
    return spelled[0] if len(spelled) == 1 else f"(?:{'|'.join(spelled)})"
