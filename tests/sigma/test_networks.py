"""``in_network`` in conditions of policies: every spelling of every address of a network, and no other text."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.policies.condition import ConditionError, check_condition
from auditlake.policies.networks import pattern_of


def spelled(address: Any, chance: random.Random) -> str:
    """An address in one of its spellings."""
    if address.version == 4:
        return chance.choice([str(address), f"::ffff:{address}"])
    groups = [f"{int(group, 16):x}" for group in address.exploded.split(":")]
    groups = [chance.choice([each, each.zfill(4), each.upper()]) for each in groups]
    if chance.random() < 0.3:
        groups[6:] = [str(IPv4Address(int(address) & 0xFFFFFFFF))]
    runs = [
        (first, last)
        for first in range(len(groups))
        for last in range(first + 1, len(groups) + 1)
        if all(not each.strip("0") for each in groups[first:last])
    ]
    if not runs:
        return ":".join(groups)
    first, last = chance.choice(runs)
    return f"{':'.join(groups[:first])}::{':'.join(groups[last:])}"


@settings(max_examples=40)
@given(
    st.booleans(),
    st.integers(0, 2**128 - 1),
    st.integers(0, 255),
    st.integers(0, 128),
    st.randoms(use_true_random=False),
)
def test_law(is_long: bool, base: int, zeros: int, prefix: int, chance: random.Random) -> None:
    """A text is in a network if and only if it is an address of it."""
    bits, kind = (128, IPv6Address) if is_long else (32, IPv4Address)
    for group in range(8):
        base &= ~((zeros >> group & 1) * 0xFFFF << 16 * group)
    network = ip_network((base % 2**bits, prefix % (bits + 1)), strict=False)
    near = [int(network.network_address) ^ chance.getrandbits(bits) >> chance.randrange(bits) for _ in range(12)]
    addresses = [kind(each) for each in (*near, int(network.network_address), int(network.broadcast_address))]
    texts = [spelled(each, chance) for each in addresses]
    odd = ["", "::1.2.3", "1.2.3", str(network), f" {texts[0]}", "1::2::3"]
    with duckdb.connect() as connection:
        asked = "select regexp_full_match(unnest($texts), $pattern)"
        rows = connection.execute(asked, {"texts": texts + odd, "pattern": pattern_of(str(network))}).fetchall()

    assert [each for (each,) in rows] == [each in network for each in addresses] + [False] * len(odd)


def test_in_conditions() -> None:
    """A condition may ask for several networks; what is no network, or not written out, is refused."""
    assert check_condition("in_network(ip_address, '10.0.0.0/8', 'fe80::/10')").startswith(
        "regexp_full_match(ip_address"
    )
    with pytest.raises(ConditionError, match="networks that are written out"):
        check_condition("in_network(ip_address, resource)")
    with pytest.raises(ConditionError, match="does not appear to be"):
        check_condition("in_network(ip_address, '10.0.0.0/99')")


def test_joined_lists() -> None:
    """A list may be joined by one character, which makes no text much longer."""
    assert check_condition("array_to_string(details ->> '$.a[*]', chr(31)) = 'x'")
    for separator in ("'ab'", "user_id", "chr(length(user_id))", "'' || 'ab'"):
        with pytest.raises(ConditionError, match="one character that is written out"):
            check_condition(f"array_to_string(details ->> '$.a[*]', {separator}) = 'x'")
