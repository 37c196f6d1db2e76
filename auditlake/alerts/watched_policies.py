"""The policies that are evaluated: read again whenever a file of theirs changes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import suppress

from auditlake.disk.layout import Layout
from auditlake.display.text import visible
from auditlake.errors import PolicyError
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


class Rules:
    """The policies of a lake as their files are now.

    A file that cannot be used is logged once, and the policy stays as it was, if it was there.

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

    @property
    def counted(self) -> dict[str, Policy]:
        """The policies that are counted, by id: the others have nothing to alert of."""
        counting = [kind for kind in kinds.KINDS if kind.raises_alerts]
        return {name: each for name, each in self.policies.items() if any(kind.is_asked(each) for kind in counting)}

    def changed(self) -> bool:
        """Look at the files; whether a policy is new, gone, or not the same as before."""
        files = self._look()
        if files == self._files:
            return False
        before, known = self.policies, self._files
        self.policies = {}
        for name in sorted(files):
            policy_id = name.removesuffix(".yaml")
            if files[name] == known.get(name):
                policy = before.get(policy_id)
            else:
                policy = self._read(name) or before.get(policy_id)
            if policy is not None:
                self.policies[policy_id] = policy
        self._files = files
        return self.policies != before

    def _look(self) -> _Files:
        files: _Files = {}
        with suppress(FileNotFoundError), os.scandir(self._layout.policies) as entries:
            for entry in entries:
                if entry.name.endswith(".yaml") and not entry.name.startswith("."):
                    with suppress(FileNotFoundError):
                        status = entry.stat()
                        files[entry.name] = (status.st_ino, status.st_mtime_ns, status.st_size)
        return files

    def _read(self, name: str) -> Policy | None:
        try:
            return read_policy(self._layout.policies / name, self._event_types, in_use=True, within=self._layout.root)
        except PolicyError as error:
            _LOG.error("a policy is not evaluated as it is now: %s", visible(str(error)))
            return None
