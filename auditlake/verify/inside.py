"""Ledgers whose entries lie inside the commits: each entry is the one that the commit of its version holds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import suppress

from auditlake.disk.files import read_text
from auditlake.disk.layout import Layout
from auditlake.verify.checkpoints import SignedCheckpoint, verifies
from auditlake.verify.deltalog import DeltaLog
from auditlake.verify.model import Problem
from auditlake.verify.tree import Tree, read_entry

_LISTS = ("parts", "adds", "removes", "taken")


def read_pending(layout: Layout, tree: Tree, newest: SignedCheckpoint, log: DeltaLog) -> None:
    """Read the entries that commits hold and the newest checkpoint does not count yet into a tree."""
    for number, data in enumerate(log.after(newest.version)):
        try:
            tree.pending.append(read_entry(layout, newest.size + number, data))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
            where = f"version {newest.version + 1 + number}"
            tree.problems.append(Problem(where, f"its entry of the ledger cannot be read: {error}"))
            break


def check_pending(tree: Tree, newest: SignedCheckpoint, log: DeltaLog, key: str) -> tuple[list[Problem], list[Problem]]:
    """Return what is wrong with entries that wait to be counted, and what is worth knowing of them.

    They are expected where the checkpoint counts one that says that entries lie inside commits; an upgrade, which takes
    nothing, may wait to be the first. The key signed each of them, where the lake has one.
    """
    problems: list[Problem] = []
    notices: list[Problem] = []
    are_expected = any(entry is tree.inside for entry in tree.entries)
    for version, entry in enumerate(tree.pending, newest.version + 1):
        where, is_first = f"version {version}", entry is tree.pending[0]
        begins = is_first and entry.fields["kind"] == "upgrade" and not any(entry.fields[name] for name in _LISTS)
        if not (are_expected or begins):
            problems.append(Problem(where, "is unknown to the ledger, whose entries do not lie inside commits"))
        elif key and not verifies(key, log.signatures.get(version, b""), entry.data):
            what = "holds an entry of the ledger that the key of the lake did not sign"
            problems.append(Problem(where, f"{what}: no writer with the key made it, and none goes on behind it"))
        else:
            what = "is not in the ledger's tree yet, so no checkpoint vouches for it"
            notices.append(Problem(where, f"{what}: the next commit, or auditlake checkpoint, puts it there"))
    return problems, notices


def check_inside(layout: Layout, tree: Tree, log: DeltaLog) -> Iterator[Problem]:
    """Compare each entry that lies inside a commit with the log, and yield what is wrong; lake.toml must say so too."""
    said = None
    with suppress(OSError, ValueError):
        said = tomllib.loads(read_text(layout.config, within=layout.root)).get("format_version")
    if (first := tree.inside) is None:
        if said == 2 and not tree.problems:
            yield Problem("lake.toml", "says format_version = 2, and the lake is of format 1: write 1 there again")
        return
    if said == 1 and (len(tree.entries) > first.index + 1 or first.fields["kind"] == "begin"):  # else its writer died
        what = "says format_version = 1, and the lake is of format 2, so an earlier auditlake would write to it"
        yield Problem("lake.toml", f"{what}: write 2 there again, as the next commit does")
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
