"""Which entry of the ledger is about a version, and which ones may have changed what was in force."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from auditlake.disk.layout import Layout
from auditlake.ledger import book
from auditlake.ledger.entry import Entry
from auditlake.ledger.held import commit_entry, commit_leaf
from auditlake.ledger.rules import DEFAULT_RETENTION
from auditlake.ledger.tiles import WIDTH

_DEFAULT = re.compile(b'"%s":"[^"]*"' % DEFAULT_RETENTION.encode())


def rules_since(layout: Layout, size: int, kinds: Collection[str]) -> Iterator[tuple[Entry, str | None]]:
    """Yield the entries among the first ``size`` under which other rules may have been in force, the newest first.

    Those are the newest one, those of some kinds, and those whose ``default_retention`` is another than that of the
    entry after it. Of all others only the bytes are read.

    Args:
        layout: The lake.
        size: How many entries count.
        kinds: Which entries may have other policies than the entry before.

    Returns:
        Each with the ``default_retention`` that it says.
    """
    wanted = [f'"kind":"{kind}"'.encode() for kind in kinds]
    after: str | bytes | None = ""
    for data in _newest_first(layout, size):
        match = _DEFAULT.search(data)
        now = match and match[0]
        if now != after or any(each in data for each in wanted):
            entry = book.parse_entry(layout, data)
            yield entry, entry.details.get(DEFAULT_RETENTION)
        after = now


def entry_about(layout: Layout, version: int) -> Entry | None:
    """Return the entry about a version; None if there is none.

    Raises:
        LedgerError: The ledger is damaged.
        OSError: It cannot be read.
    """
    data = commit_entry(layout, version)
    if data is None and commit_leaf(layout, version) is not None and (head := book.read_head(layout)) is not None:
        about = b',"version":%d}' % version  # how an entry ends
        data = next((each for each in _newest_first(layout, head.size) if each.endswith(about)), None)
    return None if data is None else book.parse_entry(layout, data)


def _newest_first(layout: Layout, size: int) -> Iterator[bytes]:
    tree = book.tiles(layout)
    for first in range((size - 1) // WIDTH * WIDTH, -1, -WIDTH):
        yield from reversed(list(tree.entries(first, min(first + WIDTH, size))))
