"""A lake of format 1 that becomes one of format 2, whose ledger has its entries inside the commits."""

from __future__ import annotations

import re

from auditlake.config import FORMAT_VERSION, INSIDE
from auditlake.context import LakeContext
from auditlake.disk.files import read_text
from auditlake.errors import LakeFormatError
from auditlake.storage.lake import write
from auditlake.store.turn import writer_turn

_SAID = re.compile(rf"^(\s*format_version\s*=\s*){FORMAT_VERSION}(?=\s*(#|$))", re.MULTILINE)


def upgrade(context: LakeContext) -> int | None:
    """Take a lake to format 2 in one commit, and return the version; None if it is there already.

    lake.toml says so first: an earlier auditlake then refuses the lake, which is of format 1 until the commit.
    A writer that dies in between leaves a lake of format 1 that this makes one of format 2.

    Raises:
        LakeFormatError: lake.toml says its format in another way than auditlake writes it.
        LedgerError: The ledger is damaged.
    """
    layout = context.layout
    with writer_turn(context) as turn:
        if turn.entries_lie_inside:
            return None
        text = read_text(layout.config, within=layout.root)
        changed, times = _SAID.subn(rf"\g<1>{INSIDE}", text)
        if context.config.format_version < INSIDE:
            if times != 1:
                message = f"{layout.config} does not have its format_version on one line of its own"
                raise LakeFormatError(message, hint=f"write it as format_version = {FORMAT_VERSION}, and try again")
            write(layout, layout.config, changed.encode())
        turn.upgrade(context.now)
        return turn.snapshot.version
