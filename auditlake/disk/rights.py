"""Who may read the files of a lake: what ``[files]`` of lake.toml says, given to each file and folder as it is made.

Files are made for their owner alone, by whatever library, and get the rest then. Where that cannot be given, they stay
as they are: no writer fails for it, and no other group gets it.
"""

from __future__ import annotations

import grp
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


@dataclass(frozen=True, slots=True)
class Rights:
    """What the files of a lake have beside their owner: the section ``[files]`` of lake.toml."""

    mode: int = FILE_MODE
    """Of each file but the private keys; of each folder, with the right to enter it for whoever may read."""
    group: str | None = None
    """The group of each file and folder; that of the process if None."""

    @property
    def folder_mode(self) -> int:
        """The mode of a folder."""
        return FOLDER_MODE | self.mode | (self.mode & 0o444) >> 2

    def missing(self) -> str:
        """Return why this process cannot give them, in a few words; empty if it can."""
        if self.group is None:
            return ""
        if (gid := self.gid()) is None:
            return f"there is no group {self.group!r} here"
        is_member = os.geteuid() == 0 or gid in {os.getegid(), *os.getgroups()}
        return "" if is_member else f"this account is not in the group {self.group!r}"

    def gid(self) -> int | None:
        """Return the number of the group; None if there is none of that name."""
        with suppress(KeyError):
            return None if self.group is None else grp.getgrnam(self.group).gr_gid
        return None


_KEPT: dict[Path, Rights] = {}
"""Of each lake that was opened, by its folder, if they are not for the owner alone."""


def keep(root: Path, rights: Rights) -> None:
    """Give these rights to what is made in a lake from now on."""
    _KEPT.pop(root, None)
    if rights != Rights():
        _KEPT[root] = rights


def rights_of(path: Path) -> Rights:
    """Return the rights that a file or folder is to have, or those of what lies in no lake that was opened."""
    for root in (path, *path.parents) if _KEPT else ():
        if (rights := _KEPT.get(root)) is not None:
            return rights
    return Rights()


def give(made: int | Path, path: Path) -> None:
    """Give a file that was just made its rights.

    Args:
        made: Its descriptor, or its path.
        path: Where it is, or will be.
    """
    rights = rights_of(path)
    _give(made, rights, rights.mode)


def make_folder(path: Path) -> None:
    """Make a folder with its rights, unless it is there.

    Raises:
        OSError: The disk refused, or something else has its name.
    """
    try:
        path.mkdir(mode=FOLDER_MODE)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    rights = rights_of(path)
    if rights != Rights():
        _give(path, rights, rights.folder_mode)


def _give(made: int | Path, rights: Rights, mode: int) -> None:
    if rights.missing():
        mode &= FOLDER_MODE
    elif (gid := rights.gid()) is not None:
        os.chown(made, -1, gid)
    os.chmod(made, mode)  # noqa: PTH101 - of a descriptor, too
