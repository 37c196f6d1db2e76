"""The packs of a lake as files: one that ships with auditlake, or any other, is added to a lake, or takes an old one's
place. What is to be written is made first, as :class:`PackChange`, and is written whole or told why not.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from auditlake.context import LakeContext
from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import PackError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.packs.effective import SHIPPED, LakePacks, lake_files, read_packs
from auditlake.packs.loader import read_pack
from auditlake.packs.model import PACK_ID, Pack, revision_key
from auditlake.packs.settings import with_pack
from auditlake.storage.lake import write
from auditlake.yaml_reader import near


@dataclass(frozen=True, slots=True)
class Revision:
    """Another revision of a pack of a lake, as its file says it."""

    old: Pack
    """That of the lake; both with the defaults of their parameters."""
    new: Pack
    files: Mapping[str, bytes]
    """Its file, and that of the pack that it extends where that comes in a later revision with it, by id."""
    bases: Mapping[str, tuple[str, str]]
    """The revisions of that pack, by id: the lake's, and the later one."""


@dataclass(frozen=True, slots=True)
class PackChange:
    """A pack that is to come into a lake, or to take an earlier revision's place."""

    pack: Pack
    """With the values that the lake sets."""
    writes: tuple[tuple[Path, bytes], ...]
    """What is to be written, in this order."""
    before: LakePacks
    """The packs of the lake."""
    after: LakePacks
    """The same, as they are to be."""

    def write(self, layout: Layout) -> None:
        """Write the files; the caller holds the lake's lock."""
        for path, content in self.writes:
            write(layout, path, content)


def revision_in(content: bytes) -> str:
    """Return the revision that the file of a pack says, which was read before."""
    return str(yaml.safe_load(content)["revision"])


def shipped_ids() -> list[str]:
    """Return the ids of the packs that ship with auditlake."""
    return sorted(file.stem for file in SHIPPED.glob("*.yaml"))


def shipped_pack(pack_id: str) -> Pack:
    """Return a pack that ships with auditlake, with the defaults of its parameters.

    Raises:
        PackError: There is none.
    """
    return read_file_of_pack(shipped_or_file(pack_id), frozenset(BUILT_IN_TYPES))


def shipped_or_file(name: str) -> Path:
    """Return the file at a path, or that of a shipped pack where nothing lies there.

    Raises:
        PackError: There is neither.
    """
    file, shipped = Path(name), SHIPPED / f"{name}.yaml"
    with suppress(OSError):  # no file has a name of that length
        if file.is_file():
            return file
        if PACK_ID.fullmatch(name) and shipped.is_file():
            return shipped
    message = f"there is neither a file nor a pack {name[:100]!r}"
    raise PackError(message, hint=near(name, shipped_ids()))


def read_file_of_pack(file: Path, event_types: frozenset[str], layout: Layout | None = None) -> Pack:
    """Return the pack of any file, with the defaults of its parameters.

    Args:
        file: The file; its name is the pack's id.
        event_types: The event types that are known.
        layout: A lake, whose packs may be extended; those beside the file and those of auditlake may be, too.

    Raises:
        PackError: It cannot be read or used.
    """
    return read_pack(
        _content(file), str(file), file.stem, event_types=event_types, find=lambda name: _found(name, file, layout)
    )


def _content(file: Path) -> bytes:
    try:
        return read_file(file, limit=SMALL)
    except OSError as error:
        raise PackError(f"{file} cannot be read: {error.strerror}") from error


def _found(pack_id: str, file: Path, layout: Layout | None) -> tuple[bytes, str] | None:
    """Return the file of a pack that another one extends."""
    places = [*([layout.packs] if layout else []), file.parent, SHIPPED]
    there = (folder / f"{pack_id}.yaml" for folder in places)
    path = next((each for each in there if each.is_file()), None)
    return None if path is None else (_content(path), str(path))


def adding(context: LakeContext, name: str) -> PackChange:
    """Return what is written where a pack is added to a lake.

    Args:
        context: The lake.
        name: The id of a pack that ships with auditlake, or a file.

    Raises:
        PackError: It cannot be used, the lake has a pack of that id, or a policy of one of its ids.
    """
    layout = context.layout
    file = shipped_or_file(name)
    pack = read_file_of_pack(file, context.config.event_types, layout)
    files, settings = lake_files(layout)
    if settings is not None and pack.id in _read(context, files, settings).known:
        raise PackError(f"{layout.frameworks} names the pack {pack.id} already",
                        hint=f"auditlake pack upgrade {pack.id} puts another revision in its place")  # fmt: skip
    new = {pack.id: _content(file)}
    if pack.extends is not None and pack.extends not in files and (base := _found(pack.extends, file, layout)):
        new[pack.extends] = base[0]
    for policy in pack.policies.values():
        if layout.policy(policy.id).exists():
            raise PackError(f"{layout.policy(policy.id)} has the id of a policy of {file}", hint="rename your own")
    there = layout.pack(pack.id)
    if there.exists() and _content(there) != new[pack.id]:
        raise PackError(f"there is another file {there}", hint="take it away, or add that one by its path")
    return _change(context, pack, new, adds=True)


def revision(context: LakeContext, pack_id: str, file: Path | None) -> Revision:
    """Return another revision of a pack of a lake.

    What it extends comes with it where it lies beside the file, or ships, in a later revision than the lake has.

    Args:
        context: The lake.
        pack_id: The pack.
        file: The other revision; that which ships with auditlake if None.

    Raises:
        PackError: One of the two cannot be used, or the lake does not have the pack.
    """
    layout, types = context.layout, context.config.event_types
    file = file or shipped_or_file(pack_id)
    if file.stem != pack_id:
        raise PackError(f"{file} is no revision of the pack {pack_id}: its name says another id")
    files, settings = lake_files(layout)
    if pack_id not in files or settings is None:
        raise PackError(f"the lake has no pack {pack_id!r}", hint=f"auditlake pack add {pack_id} adds it")
    old, content = read_file_of_pack(layout.pack(pack_id), types, layout), _content(file)
    bases: dict[str, Path] = {}

    def latest(name: str) -> tuple[bytes, str] | None:
        there = (folder / f"{name}.yaml" for folder in (layout.packs, file.parent, SHIPPED))
        known = {path: revision_key(read_file_of_pack(path, types).revision) for path in there if path.is_file()}
        if not known:
            return None
        bases[name] = max(known, key=lambda path: known[path])  # the lake's among equals
        return _content(bases[name]), str(bases[name])

    new = read_pack(content, str(file), pack_id, event_types=types, find=latest)
    later = {name: _content(path) for name, path in bases.items() if path.parent != layout.packs}
    revisions = {name: (revision_in(files[name]), revision_in(each)) for name, each in later.items() if name in files}
    return Revision(old, new, {pack_id: content, **later}, revisions)


def refuse_earlier(context: LakeContext, found: Revision) -> None:
    """Refuse a revision that is not later than that of the lake, unless it is the same file.

    Raises:
        PackError: It is not.
    """
    old, new, pack_id = found.old.revision, found.new.revision, found.new.id
    is_same = found.files[pack_id] == _content(context.layout.pack(pack_id))
    if not is_same and revision_key(new) <= revision_key(old):
        message = f"the other file is the revision {new}, and the lake has {old}"
        raise PackError(message, hint="a later revision can take its place; give the file a later one")


def replacing(context: LakeContext, found: Revision) -> PackChange:
    """Return what is written where a pack of a lake is replaced by another revision.

    Raises:
        PackError: The lake's values do not fit it.
    """
    return _change(context, found.new, found.files, adds=False)


def _change(context: LakeContext, pack: Pack, new: Mapping[str, bytes], *, adds: bool) -> PackChange:
    """Return what is written so that files of packs are the lake's, and their revisions are those that it means.

    What only another pack extends judges nothing by itself: the settings do not name it.

    Raises:
        PackError: A pack of the lake could not be used then that can be now.
    """
    layout, pack_id = context.layout, pack.id
    files, settings = lake_files(layout)
    before = _read(context, files, settings)
    if "" in before.faults:
        raise PackError(before.faults[""], hint="correct every line listed first")
    changed = settings or b""
    writes: list[tuple[Path, bytes]] = []
    for name, content in new.items():
        if name in before.known or (adds and name == pack_id):
            changed = with_pack(changed, name, revision_in(content))
        if name in files and files[name] != content:
            writes.append((layout.old_pack(name, revision_in(files[name])), files[name]))
        if files.get(name) != content:
            writes.append((layout.pack(name), content))
    after = _read(context, {**files, **new}, changed)
    if worse := {name: after.faults[name] for name in after.faults if name not in before.faults or name == pack_id}:
        raise PackError(tuple(each for problems in worse.values() for each in problems))
    return PackChange(after.packs.get(pack_id, pack), (*writes, (layout.frameworks, changed)), before, after)


def _read(context: LakeContext, files: Mapping[str, bytes], settings: bytes | None) -> LakePacks:
    names = {"": str(context.layout.frameworks), **{name: str(context.layout.pack(name)) for name in files}}
    return read_packs(files, settings, context.config.event_types, names=names)
