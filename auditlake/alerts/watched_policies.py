"""The policies that are evaluated: read again whenever a file of theirs changes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import suppress
from pathlib import Path

from auditlake.disk.layout import Layout
from auditlake.display.text import visible
from auditlake.errors import PolicyError
from auditlake.packs.effective import clash, lake_packs
from auditlake.policies import kinds
from auditlake.policies.files import read_policy
from auditlake.policies.model import Policy

_LOG = logging.getLogger("auditlake.alerts.watch")
_Files = dict[str, tuple[int, int, int]]


def judged_by(policy: Policy) -> str:
    """Return a digest of what decides on a policy's counts: another change of its file changes no episode."""
    deciding = [
        policy.required_events,
        policy.alert_threshold,
        policy.window.microseconds,
        policy.group_by,
        policy.where,
        *filter(None, [policy.scope]),
    ]
    return hashlib.sha256(json.dumps(deciding).encode("utf-8")).hexdigest()


def _mark(status: os.stat_result) -> tuple[int, int, int]:
    """Return what tells a file from what it was before."""
    return status.st_ino, status.st_mtime_ns, status.st_size


class Rules:
    """The policies of a lake as their files are now, those of its packs among them.

    A file that cannot be used is logged once, and its policies stay as they were, if they were there. Where a policy of
    the lake's own and one of a pack have the same id, that is logged once, and neither is evaluated.

    Args:
        layout: The lake.
        event_types: The types that it knows.
    """

    def __init__(self, layout: Layout, event_types: frozenset[str]) -> None:
        self.policies: dict[str, Policy] = {}
        """By id."""
        self._layout = layout
        self._event_types = event_types
        self._files: _Files = {}
        self._pack_files: _Files = {}
        self._own: dict[str, Policy] = {}
        self._of_packs: dict[str, Policy] = {}
        self._clashing: set[str] = set()

    @property
    def counted(self) -> dict[str, Policy]:
        """The policies that are counted, by id: the others have nothing to alert of."""
        counting = [kind for kind in kinds.KINDS if kind.raises_alerts]
        return {name: each for name, each in self.policies.items() if any(kind.is_asked(each) for kind in counting)}

    def changed(self) -> bool:
        """Look at the files; whether a policy is new, gone, or not the same as before."""
        files, pack_files = self._look(self._layout.policies), self._look(self._layout.packs)
        with suppress(FileNotFoundError):
            pack_files[""] = _mark(self._layout.frameworks.stat())
        if (files, pack_files) == (self._files, self._pack_files):
            return False
        before, own = self.policies, self._own
        self._own = {}
        for name in sorted(files):
            policy_id = name.removesuffix(".yaml")
            is_read = files[name] != self._files.get(name)
            policy = (self._read(name) if is_read else None) or own.get(policy_id)
            if policy is not None:
                self._own[policy_id] = policy
        if pack_files != self._pack_files:
            self._read_packs()
        clashing = self._own.keys() & self._of_packs.keys()
        for policy_id in sorted(clashing - self._clashing):
            _LOG.error("a policy is not evaluated as it is now: %s", visible(clash(self._layout, policy_id)))
        self.policies = {k: v for k, v in {**self._of_packs, **self._own}.items() if k not in clashing}
        self._files, self._pack_files, self._clashing = files, pack_files, clashing
        return self.policies != before

    def _look(self, folder: Path) -> _Files:
        files: _Files = {}
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".yaml") and not entry.name.startswith("."):
                    with suppress(FileNotFoundError):
                        files[entry.name] = _mark(entry.stat())
        return files

    def _read_packs(self) -> None:
        """Read the packs again; the policies of one that cannot be used stay as they were."""
        try:
            found = lake_packs(self._layout, self._event_types)
        except PolicyError as error:
            _LOG.error("the packs are not evaluated as they are now: %s", visible(str(error)))
            return
        for problem in found.problems:
            _LOG.error("a pack is not evaluated as it is now: %s", visible(problem))
        broken = tuple(f"{name}--" if name else "" for name in found.faults)  # "" is frameworks.yaml, and all of them
        stay = {name: policy for name, policy in self._of_packs.items() if name.startswith(broken)}
        self._of_packs = {**stay, **{policy.id: policy for policy in found.policies()}}

    def _read(self, name: str) -> Policy | None:
        try:
            return read_policy(self._layout.policies / name, self._event_types, in_use=True, within=self._layout.root)
        except PolicyError as error:
            _LOG.error("a policy is not evaluated as it is now: %s", visible(str(error)))
            return None
