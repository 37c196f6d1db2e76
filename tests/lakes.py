"""Lakes whose policies keep, miss and find something: LLMGuardian's three, and failed logins kept for a month.

The starter set of :func:`auditlake.create` keeps nothing, and finds nothing on an ordinary day, so it shows little of
what a lake does. ``auditlake.policies.files.SETS`` says which set has which policies.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytest

import auditlake
from auditlake import AuditLake, testing
from auditlake.config import FORMAT_VERSION, INSIDE
from auditlake.machine import Clock, system_clock
from auditlake.policies.files import LLMGUARDIAN, READY
from auditlake.testing import change_settings, set_policies
from auditlake.upkeep.create import create_lake

_TEXT = (READY / "failed_logins.yaml").read_text(encoding="utf-8")
FOUR = {
    **{file.stem: file.read_text(encoding="utf-8") for file in sorted(LLMGUARDIAN.glob("*.yaml"))},
    "failed_logins": _TEXT.replace("alert_threshold: 5", "retention_period: 30d\nalert_threshold: 5", 1),
}
"""The text of each policy by its id."""
assert "retention_period: 30d" in FOUR["failed_logins"]
FORMAT = int(os.environ.get("AUDITLAKE_TEST_FORMAT", FORMAT_VERSION))
"""The format of the lakes that tests make."""


def create(
    path: str | Path,
    *,
    event_types: Sequence[str] = (),
    default_retention: str | None = None,
    unsigned: bool = False,
    clock: Clock = system_clock,
) -> AuditLake:
    """Make a lake that begins with the four policies; the rest is as for :func:`auditlake.create`."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{name}.yaml") for name in FOUR]
        for file in files:
            file.write_text(FOUR[file.stem], encoding="utf-8")
        create_lake(
            Path(path), now=clock(), event_types=event_types, default_retention=default_retention, policies=files,
            unsigned=unsigned, format_version=FORMAT,
        )  # fmt: skip
    return auditlake.open(path, clock=clock)


@contextmanager
def before_classes() -> Iterator[None]:
    """Write lakes within this as earlier versions did: a day is one file, and a part all of its batch on a day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditlake.packs.classes.lake_classes", lambda *_: {})
        yield


@contextmanager
def lakes_of_format(version: int) -> Iterator[None]:
    """Make lakes of a format within this: from 2 on, the ledger's entries lie inside the commits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.lakes.FORMAT", version)
        yield


entries_in_commits = partial(lakes_of_format, INSIDE)
of_format_1 = pytest.mark.skipif(FORMAT == INSIDE, reason="about entries that lie beside their commits")
FORMS = {"classes": nullcontext, "days": before_classes, "commits": entries_in_commits}
"""The forms of files and parts and of the ledger, and within what lakes get them."""


def make_lake(
    path: str | Path,
    *,
    clock: testing.Clock | None = None,
    policies: Mapping[str, str] | None = None,
    settings: Mapping[str, str | int] | None = None,
    event_types: Sequence[str] = (),
    default_retention: str | None = None,
    unsigned: bool = False,
) -> AuditLake:
    """Make a lake whose clock stands still, with the four policies, or with these in their place."""
    lake = create(
        path, clock=clock or testing.Clock(), event_types=event_types, default_retention=default_retention,
        unsigned=unsigned,
    )  # fmt: skip
    if policies is not None:
        set_policies(lake, policies)
    return change_settings(lake, **settings) if settings else lake


@contextmanager
def temporary_lake(*, event_types: Sequence[str] = ()) -> Iterator[AuditLake]:
    """Make a lake with the four policies in a temporary folder, which goes away with all that is in it."""
    with tempfile.TemporaryDirectory() as folder:
        lake = make_lake(Path(folder, "lake"), event_types=event_types)
        try:
            yield lake
        finally:
            if trail := vars(lake).get("_trail"):
                trail.close()
