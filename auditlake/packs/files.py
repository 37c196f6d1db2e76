"""The packs of a lake as files: one that ships with auditlake, or any other, is added to a lake, or takes an old one's
place. What is to be written is made first, as :class:`PackChange`, and is written whole or told why not.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from auditlake.context import LakeContext
from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import PackError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.packs.effective import SHIPPED, LakePacks, lake_files, read_packs
from auditlake.packs.loader import read_pack
from auditlake.packs.model import PACK_ID, Pack, revision_key
from auditlake.packs.settings import with_pack
from auditlake.policies.model import Policy
from auditlake.yaml_reader import near


@dataclass(frozen=True, slots=True)
class PackChange:
    """A pack that is to come into a lake, or to take an earlier revision's place."""

    pack: Pack
    """With the values that the lake sets."""
    old: Pack | None
    writes: tuple[tuple[Path, bytes], ...]
    """What is to be written, in this order."""
    before: Mapping[str, Policy] = field(default_factory=dict)
    """The policies of all packs of the lake, by id."""
    after: Mapping[str, Policy] = field(default_factory=dict)
    """The same, as they are to be."""

    def write(self, layout: Layout) -> None:
        """Write the files; the caller holds the lake's lock."""
        for path, content in self.writes:
            make_folders(path.parent, below=layout.root)
            write_whole(path, content)


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
    return _change(context, pack, new, None)


def upgrading(context: LakeContext, pack_id: str, file: Path | None) -> PackChange:
    """Return what is written where a pack of a lake is replaced by another revision.

    Args:
        context: The lake.
        pack_id: The pack.
        file: The other revision; that which ships with auditlake if None.

    Raises:
        PackError: It cannot be used, or is no later revision; or the lake's values do not fit it.
    """
    layout = context.layout
    file = file or shipped_or_file(pack_id)
    if file.stem != pack_id:
        raise PackError(f"{file} is no revision of the pack {pack_id}: its name says another id")
    files, settings = lake_files(layout)
    if pack_id not in files or settings is None:
        raise PackError(f"the lake has no pack {pack_id!r}", hint=f"auditlake pack add {pack_id} adds it")
    old = read_file_of_pack(layout.pack(pack_id), context.config.event_types, layout)
    pack = read_file_of_pack(file, context.config.event_types, layout)
    content = _content(file)
    if content != files[pack_id] and revision_key(pack.revision) <= revision_key(old.revision):
        message = f"{file} is the revision {pack.revision}, and the lake has {old.revision}"
        raise PackError(message, hint="a later revision can take its place; give the file a later one")
    return _change(context, pack, {pack_id: content}, old)


def _change(context: LakeContext, pack: Pack, new: Mapping[str, bytes], old: Pack | None) -> PackChange:
    """Return what is written so that files of packs are the lake's, and the pack's revision is the one that it means.

    Raises:
        PackError: A pack of the lake could not be used then that can be now.
    """
    layout, pack_id = context.layout, pack.id
    files, settings = lake_files(layout)
    before = _read(context, files, settings)
    if "" in before.faults:
        raise PackError(before.faults[""], hint="correct every line listed first")
    is_base = old is not None and pack_id not in before.known  # another pack extends it: it judges nothing by itself
    changed = settings if is_base and settings else with_pack(settings or b"", pack_id, pack.revision)
    after = _read(context, {**files, **new}, changed)
    if worse := {name: after.faults[name] for name in after.faults if name not in before.faults or name == pack_id}:
        raise PackError(tuple(each for problems in worse.values() for each in problems))
    writes = [(layout.pack(name), content) for name, content in new.items() if files.get(name) != content]
    if old is not None and files[pack_id] != new[pack_id]:
        writes.insert(0, (layout.old_pack(pack_id, old.revision), files[pack_id]))
    policies = ({each.id: each for each in found.policies()} for found in (before, after))
    return PackChange(after.packs.get(pack_id, pack), old, (*writes, (layout.frameworks, changed)), *policies)


def _read(context: LakeContext, files: Mapping[str, bytes], settings: bytes | None) -> LakePacks:
    names = {"": str(context.layout.frameworks), **{name: str(context.layout.pack(name)) for name in files}}
    return read_packs(files, settings, context.config.event_types, names=names)
