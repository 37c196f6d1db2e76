"""The retention classes of a lake, by its policies as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from auditlake.config import LakeConfig
from auditlake.disk.layout import Layout
from auditlake.errors import AuditLakeError
from auditlake.packs.effective import lake_policies
from auditlake.policies.classes import retention_classes
from auditlake.policies.model import Policy

_known: dict[Path, tuple[object, Mapping[str, str]]] = {}
"""Of each lake what its files of policies were last, and the classes by them."""


def lake_classes(layout: Layout, config: LakeConfig) -> Mapping[str, str]:
    """Return the retention class of each event type of a lake.

    A policy that cannot be used is passed over: a class says which events lie together, and neither keeps any nor lets
    any go. Files are read again only where one has changed.
    """
    state = (config, _state(layout))
    if layout.root not in _known or _known[layout.root][0] != state:
        policies: tuple[Policy, ...] = ()
        with suppress(AuditLakeError, OSError):
            policies = lake_policies(layout, config.event_types, tolerant=True)
        classes = retention_classes(policies, config.default_retention, config.event_types, config.classes)
        _known[layout.root] = state, classes
    return _known[layout.root][1]


def _state(layout: Layout) -> list[tuple[str, int, int, int]]:
    """Return what changes with every file that policies are read from."""
    found = []
    for path in sorted((*layout.policies.glob("*.yaml"), *layout.packs.glob("*.yaml"), layout.frameworks)):
        with suppress(OSError):
            about = path.lstat()
            found.append((path.name, about.st_mtime_ns, about.st_size, about.st_ino))
    return found
