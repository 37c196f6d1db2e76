"""Ledgers whose entries lie inside the commits: each entry is the one that the commit of its version holds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import suppress

from auditlake.disk.files import read_text
from auditlake.disk.layout import Layout
from auditlake.verify.checkpoints import SignedCheckpoint
from auditlake.verify.deltalog import DeltaLog
from auditlake.verify.model import Problem
from auditlake.verify.tree import Tree, read_entry

_LISTS = ("parts", "adds", "removes", "taken")
UNSIGNED = "is not signed yet"
"""What is told of a commit whose writer may be about to sign it."""


def read_pending(layout: Layout, tree: Tree, newest: SignedCheckpoint, log: DeltaLog) -> list[Problem]:
    """Read the entries that commits hold and the newest checkpoint does not count yet into a tree; return notices.

    No key vouches for them. They are expected only where the checkpoint counts one that says that entries lie inside
    commits; an upgrade, which takes nothing, may wait to be the first. One that takes files away is a problem: its
    writer died just then, or a stranger made it.
    """
    notices: list[Problem] = []
    are_expected = tree.inside is not None
    for number, data in enumerate(log.after(newest.version)):
        where = f"version {newest.version + 1 + number}"
        try:
            tree.pending.append(read_entry(layout, newest.size + number, data))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
            tree.problems.append(Problem(where, f"its entry of the ledger cannot be read: {error}"))
            break
        pending = tree.pending[-1].fields
        begins = not number and pending["kind"] == "upgrade" and not any(pending[name] for name in _LISTS)
        if not (are_expected or begins):
            tree.problems.append(Problem(where, "is unknown to the ledger, whose entries do not lie inside commits"))
        elif pending["removes"] or pending["taken"]:
            what = f"takes files away and {UNSIGNED}: its writer died, and the next commit signs it, or it is made up"
            tree.problems.append(Problem(where, what))
        else:
            what = "is not in the ledger's tree yet, so no checkpoint vouches for it"
            notices.append(Problem(where, f"{what}: the next commit, or auditlake checkpoint, puts it there"))
    return notices


def check_inside(layout: Layout, tree: Tree, log: DeltaLog) -> Iterator[Problem]:
    """Compare each entry that lies inside a commit with the log, and yield what is wrong; lake.toml must say so too."""
    if (first := tree.inside) is None:
        with suppress(OSError, ValueError):
            settings = tomllib.loads(read_text(layout.config, within=layout.root))
            if settings.get("format_version") == 2 and not tree.problems:
                yield Problem("lake.toml", "says format_version = 2, and the lake is of format 1: write 1 there again")
        return
    place = {"index": first.index, "version": first.fields["version"]}
    if first.fields["details"]["entries_in_commits"] != place:
        yield Problem(f"entry {first.index}", "does not say truly from where on entries lie inside commits")
    for entry in tree.history:
        version = entry.fields["version"]
        if entry.index < first.index:
            continue
        if entry.index > first.index and "entries_in_commits" in entry.fields["details"]:
            yield Problem(f"entry {entry.index}", "says that entries lie inside commits from it on, as one before does")
        if version is None:
            yield Problem(
                f"entry {entry.index}", "is about no version, and lies behind entries that lie inside commits"
            )
        elif entry.fields["kind"] == "foreign":
            if version in log.entries or any(entry.fields[name] for name in _LISTS):
                yield Problem(f"entry {entry.index}", "says that another program made the version, which is not so")
            yield Problem(f"version {version}", "is unknown to the ledger: another program made it")
        elif log.entries.get(version) != entry.data:
            yield Problem(f"version {version}", "its commit does not hold its entry of the ledger")
