"""What every verb of a lake is handed: where it lies, how it is set, what time it is, and how long to wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from auditlake.config import LakeConfig
from auditlake.disk.layout import Layout
from auditlake.machine import Clock


@dataclass(frozen=True, slots=True)
class LakeContext:
    """An open lake, for the verbs that work on it."""

    layout: Layout
    """Where everything lies."""
    config: LakeConfig
    """What lake.toml says."""
    clock: Clock
    """Where the present comes from."""
    wait_seconds: float
    """How long a verb that writes waits for others."""
    classes: Callable[[], Mapping[str, str]] = dict
    """Gives the retention class of each event type now: what is kept equally long lies in one file."""

    @property
    def now(self) -> datetime:
        """The present; asked once a verb, and handed on."""
        return self.clock()


class Facet:
    """The verbs of a lake that are about one thing.

    Args:
        context: The lake.
    """

    def __init__(self, context: LakeContext) -> None:
        self._context = context
