"""The pack that the documentation begins with, and how tests read it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import auditlake
from auditlake.errors import PackError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.packs.loader import read_pack
from auditlake.packs.model import Pack

_PAGE = (Path(auditlake.__file__).parent / "docs" / "reference" / "packs.md").read_text()
HOUSE, STRICT, SETTINGS = re.findall(r"^```yaml\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
TYPES = frozenset(BUILT_IN_TYPES)


def read(text: str = HOUSE, pack_id: str = "house-rules", **more: Any) -> Pack:
    """Read a pack; ``house-rules-strict`` finds the one that it extends."""
    find = {"house-rules": (HOUSE.encode(), "house-rules.yaml")}.get
    return read_pack(text, "p.yaml", pack_id, **{"event_types": TYPES, "find": find, **more})


def mistakes(text: str, pack_id: str = "house-rules") -> tuple[str, ...]:
    """The mistakes in a pack, without the file's name."""
    try:
        read(text, pack_id)
    except PackError as error:
        return tuple(each.removeprefix("p.yaml:") for each in error.problems)
    return ()
