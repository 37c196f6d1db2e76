"""What is refused in every YAML file of a lake alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from auditlake.errors import MistakesError, PackError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.packs.effective import read_packs
from auditlake.policies.holds import load_hold
from auditlake.policies.loader import load_policy
from auditlake.sources.mappings.loader import load_mapping
from tests.packs.text import HOUSE, SETTINGS, TYPES, read
from tests.policies.test_coverage_keys import OFFICE
from tests.sources.test_cutters import DOORS

HOLD = "reason: r\nowner: o\nticket: t\ncreated: 2026-01-01T00:00:00Z\n"


def settings(text: str) -> None:
    found = read_packs({"house-rules": HOUSE.encode()}, text.encode(), TYPES)
    if found.faults:
        raise PackError(found.problems)


FILES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "policy": (OFFICE, lambda text: load_policy(text, "p.yaml", "p", event_types=BUILT_IN_TYPES)),
    "hold": (HOLD, lambda text: load_hold(text, "h.yaml", "h", event_types=BUILT_IN_TYPES)),
    "pack": (HOUSE, read),
    "settings": (SETTINGS, settings),
    "mapping": (DOORS, lambda text: load_mapping(text, file="m.yaml")),
}


def mappings(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    """All mappings of a document."""
    if isinstance(node, yaml.MappingNode):
        yield node
    for each in node.value if isinstance(node, yaml.CollectionNode) else ():
        for part in each if isinstance(each, tuple) else (each,):
            yield from mappings(part)


@pytest.mark.parametrize("what", FILES)
def test_keys_that_are_no_text(what: str) -> None:
    """A list or a map as a key is one mistake, wherever it stands: the keys beside it are read as they are."""
    text, load = FILES[what]
    load(text)
    root = yaml.compose(text)
    found = [*mappings(root)]
    for number, node in enumerate(found):
        odd = yaml.compose("[a]" if number % 2 else "{a: b}")
        node.value.append((odd, yaml.compose("1h")))
    with pytest.raises(MistakesError) as caught:
        load(yaml.serialize(root).replace("!!timestamp ", ""))
    assert {each.partition(": ")[2] for each in caught.value.problems} == {
        f"a key: expected text, got {got}" for got in ("keys with values", "a list")[: len(found)]
    }
    assert len(caught.value.problems) == len(found)
