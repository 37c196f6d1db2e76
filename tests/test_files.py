"""Opening what somebody else may have put there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from auditlake.disk import files


@pytest.fixture
def folder(tmp_path):
    """A lake of sorts, reached through a link, with one thing of each kind in it."""
    (tmp_path / "real" / "in").mkdir(parents=True)
    (tmp_path / "lake").symlink_to("real")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"theirs")
    lake = tmp_path / "lake"
    (lake / "in" / "file").write_bytes(b"ours\r\n")
    (lake / "in" / "link").symlink_to("file")
    (lake / "in" / "dangling").symlink_to("nothing")
    (lake / "linked").symlink_to("../outside")
    os.mkfifo(lake / "in" / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(lake / "in" / "socket"))
    return lake


REFUSED = [
    ("in/link", OSError, "this is a symbolic link, expected a regular file"),
    ("in/dangling", OSError, "this is a symbolic link, expected a regular file"),
    ("linked/file", OSError, "this is a symbolic link, expected a folder"),
    ("in/pipe", OSError, "this is a named pipe, expected a regular file"),
    ("in/socket", OSError, "this is a socket, expected a regular file"),
    ("in", IsADirectoryError, "this is a folder, expected a regular file"),
    ("in/file/x", NotADirectoryError, "this is a file, expected a folder"),
    ("in/none", FileNotFoundError, "No such file or directory"),
    ("none/file", FileNotFoundError, "No such file or directory"),
]


@pytest.mark.parametrize(("name", "kind", "why"), REFUSED)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT])
def test_only_regular_files_of_the_lake(folder, name, kind, why, flags):
    """What is no regular file, or is reached through a link below the lake, is refused with its path."""
    if name == "in/none" and flags != os.O_RDONLY:
        os.close(files.descriptor_of(folder / name, within=folder, flags=flags))
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        return
    with pytest.raises(kind) as caught:
        files.descriptor_of(folder / name, within=folder, flags=flags)

    assert caught.value.strerror == why
    assert Path(caught.value.filename).is_relative_to(folder)
    assert not files.is_file(folder / name, within=folder)


def test_what_somebody_named(folder):
    """A file that somebody named may be a link, and is still a regular one of bounded size."""
    assert files.read_file(folder / "in" / "file", within=folder) == b"ours\r\n"
    assert files.read_text(folder / "in" / "link") == "ours\r\n"
    for path in (folder / "in" / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="expected a regular file"):
            files.read_file(path)
    with pytest.raises(OSError, match="this has 6 bytes, expected at most 5"):
        files.read_file(folder / "in" / "file", limit=5)


def test_nothing_outside_is_removed(folder):
    """Removing never goes through a link; a link that lies in the place of a file goes itself."""
    for remove in (files.remove_file, files.remove_tree):
        with pytest.raises(OSError, match="this is a symbolic link, expected a folder"):
            remove(folder / "linked" / "file", within=folder)
    files.remove_tree(folder / "linked", within=folder)
    files.remove_file(folder / "linked", within=folder)

    assert (folder / ".." / "outside" / "file").read_bytes() == b"theirs"
    assert not (folder / "linked").is_symlink()
    with pytest.raises(OSError, match="symbolic link"):
        files.check_folder(folder / "in" / "link", within=folder)
    files.check_folder(folder / "not" / "there", within=folder)


def test_an_interrupt_closes_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt right after a folder was closed is raised as itself, and no descriptor is closed twice."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    real, closed = os.close, []

    def close(descriptor: int) -> None:
        real(descriptor)
        closed.append(descriptor)
        if len(closed) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "close", close)
    with pytest.raises(KeyboardInterrupt):
        files.read_file(tmp_path / "a" / "b" / "file", within=tmp_path)

    assert len(closed) == len(set(closed))
