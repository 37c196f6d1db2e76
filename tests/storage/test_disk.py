"""A folder of a disk: what is synced when, and what lies there that is no file of a lake."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditlake.storage.disk import Disk
from auditlake.storage.model import put


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """An empty folder."""
    (tmp_path / "lake").mkdir()
    return Disk(tmp_path / "lake")


@pytest.fixture
def done(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the folder from now on, in order; a draft is named as its file will be."""
    calls: list[str] = []

    def shown(path: object) -> str:
        path = Path(f"/proc/self/fd/{path}").readlink() if isinstance(path, int) else Path(str(path))
        name = path.name.split(".")[1] if path.name.endswith(".draft") else path.name
        place = path.with_name(name)
        return place.relative_to(disk.root).as_posix() if place.is_relative_to(disk.root) else place.name

    for name in ("fsync", "link", "replace"):
        real = getattr(os, name)

        def record(*paths: object, name: str = name, real: object = real) -> None:
            calls.append(f"{name} {shown(paths[-1])}")
            real(*paths)  # type: ignore[operator]

        monkeypatch.setattr(os, name, record)
    return calls


def test_the_first_file_of_a_folder(disk: Disk, done: list[str]) -> None:
    """A file is synced before it gets its name, its folder after that, and a new folder before it has a file."""
    disk.create({"days/d=1/p": b"x", "days/d=1/q": b"y"})

    assert done[-5:] == ["fsync days/d=1/p", "link days/d=1/p", "fsync days/d=1/q", "link days/d=1/q", "fsync days/d=1"]
    assert {"fsync .", "fsync days"} <= set(done[:-5])
    done.clear()
    disk.create({"days/d=1/r": b"z"})
    assert done == ["fsync days", "fsync days/d=1/r", "link days/d=1/r", "fsync days/d=1"]


def test_a_folder_whose_maker_died(disk: Disk, done: list[str]) -> None:
    """A folder without a file may not be durable yet, whoever made it, and what a dead writer drafted is no file."""
    (disk.root / "days" / "d=1").mkdir(parents=True)
    (disk.root / "days" / "d=1" / ".p.0123.draft").write_bytes(b"")
    disk.create({"days/d=1/p": b"x"})

    assert done == ["fsync .", "fsync days", "fsync days/d=1/p", "link days/d=1/p", "fsync days/d=1"]


def test_a_folder_that_another_program_made(disk: Disk, done: list[str]) -> None:
    """A file in a folder does not show that the folder is durable: its parent is synced, once for all its folders."""
    for name in ("d=1", "d=2"):
        (disk.root / "days" / name).mkdir(parents=True)
        (disk.root / "days" / name / "theirs").write_bytes(b"")
    disk.create({"days/d=1/p": b"x", "days/d=2/p": b"x"})

    assert done[0] == "fsync days"
    assert done.count("fsync days") == 1


def test_a_folder_that_no_other_program_makes(disk: Disk, done: list[str]) -> None:
    """What takes turns lies in folders that only these calls make: one that has a file was durable before it had."""
    assert disk.swap("tile/0/1", b"x", None)
    assert {"fsync .", "fsync tile"} <= set(done)
    done.clear()

    assert disk.swap("tile/0/2", b"y", None)
    assert done == ["fsync tile/0/2", "link tile/0/2", "fsync tile/0"]


def test_a_file_of_the_callers(disk: Disk, done: list[str], tmp_path: Path) -> None:
    """A file of the caller's is synced and linked, and is gone then: what is written under its name is another file."""
    (tmp_path / "draft").write_bytes(b"x")
    disk.create({"p": tmp_path / "draft"})

    assert done == ["fsync draft", "link p", "fsync ."]
    (tmp_path / "draft").write_bytes(b"y")
    assert disk.read("p") == b"x"
    assert disk.create({"p": tmp_path / "draft"}) == {"p"}
    assert (tmp_path / "draft").read_bytes() == b"y"


def test_the_same_again(disk: Disk, done: list[str]) -> None:
    """What is there already with the same bytes is synced as well: its writer may have died before it was."""
    (disk.root / "p").write_bytes(b"x")
    assert not disk.create({"p": b"x"})

    assert done == ["fsync p", "link p", "fsync p", "fsync ."]
    done.clear()
    assert disk.swap("p", b"x", b"seen")
    assert done.count("fsync p") == 2
    assert done[-1] == "fsync ."


def test_a_replacement(disk: Disk, done: list[str]) -> None:
    """What is replaced is synced before it has the name, and its folder after that; what was not seen stays."""
    disk.create({"p": b"x"})
    done.clear()

    assert disk.swap("p", b"y", b"x")
    assert done == ["fsync p", "replace p", "fsync ."]
    assert not disk.swap("p", b"z", b"x")
    assert not disk.swap("q", b"z", b"x")
    assert disk.read("p") == b"y"


def test_a_full_disk(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot be synced, it does not get its name, and no draft is left."""

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        disk.create({"p": b"x"})
    assert list(disk.root.iterdir()) == []


def test_links_are_not_followed(disk: Disk, tmp_path: Path) -> None:
    """Nothing is read, made, listed or removed behind a link, and a link that has the name of a file is taken."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "p").write_bytes(b"x")
    (disk.root / "days").symlink_to(tmp_path / "outside")
    (disk.root / "p").symlink_to(tmp_path / "outside" / "p")

    for call in (
        lambda: disk.read("days/p"), lambda: disk.create({"days/q": b"y"}), lambda: disk.names("days"),
        lambda: disk.remove(["days/p"]), lambda: disk.local(["days/p"]), lambda: disk.local(["p"]),
        lambda: disk.read("p"),
    ):  # fmt: skip
        with pytest.raises(OSError, match="symbolic link"):
            call()
    assert disk.create({"p": b"x"}) == {"p"}
    disk.remove(["p"])
    assert (tmp_path / "outside" / "p").read_bytes() == b"x"
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["p"]


def test_a_damaged_file(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is named by what it holds is replaced where it holds something else: no reader sees it absent."""
    disk.create({"a": b"", "b": b"right"})
    (disk.root / "l").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "draft").write_bytes(b"linked")
    monkeypatch.setattr(Disk, "remove", lambda _, names: [(disk.root / each).unlink() for each in names if each == "l"])
    put(disk, {"a": b"whole", "b": b"right", "c": b"new", "l": tmp_path / "draft"})

    assert [disk.read(name) for name in "abcl"] == [b"whole", b"right", b"new", b"linked"]
    assert not (tmp_path / "draft").exists()
