"""The policies by which a lake is judged: its own, and those of its packs with the lake's values in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import PackError, PolicyError
from auditlake.packs.loader import HINT, read_pack
from auditlake.packs.model import Pack, Value
from auditlake.packs.settings import FILE, Settings, read_settings
from auditlake.policies.files import chosen, read_policy, refuse_unreadable
from auditlake.policies.loader import load_policies, stand_in
from auditlake.policies.model import Policy
from auditlake.yaml_reader import near

SHIPPED = Path(__file__).resolve().parent / "shipped"
"""Where the packs lie that a lake has once they are added by name."""


@dataclass(frozen=True, slots=True)
class LakePacks:
    """The packs of a lake."""

    packs: Mapping[str, Pack] = field(default_factory=dict)
    """Those that judge, by id, with the lake's values."""
    settings: Settings = field(default_factory=Settings)
    faults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The mistakes by pack, each ``file:line:column: message``; those of ``frameworks.yaml`` under ``""``."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What was read: the files of packs by id, and ``frameworks.yaml`` under ``""``."""

    @property
    def known(self) -> frozenset[str]:
        """The ids of all packs that the settings name, those that cannot be used among them."""
        return frozenset(self.settings.packs) | {name for name in self.faults if name}

    @property
    def problems(self) -> tuple[str, ...]:
        """Every mistake."""
        return tuple(each for name in sorted(self.faults) for each in self.faults[name])

    def only(self, pack_ids: Collection[str]) -> LakePacks:
        """Return some of the packs, with their mistakes and those in the settings as a whole."""
        packs = {name: pack for name, pack in self.packs.items() if name in pack_ids}
        faults = {k: v for k, v in self.faults.items() if not k or k in pack_ids}
        return LakePacks(packs, self.settings, faults, self.files)

    def policies(self) -> tuple[Policy, ...]:
        """Return the policies that the lake can judge, by qualified id."""
        ready = (
            policy for pack in self.packs.values() for name, policy in pack.policies.items() if name not in pack.unready
        )
        return tuple(sorted(ready, key=lambda each: each.id))

    def get(self, pack_id: str) -> Pack:
        """Return a pack.

        Raises:
            PackError: It cannot be used, or is not one of the lake's.
        """
        if pack_id in self.packs:
            return self.packs[pack_id]
        if pack_id in self.faults:
            raise PackError(self.faults[pack_id], hint=HINT)
        raise PackError(f"the lake is not judged by a pack {pack_id[:100]!r}", hint=near(pack_id, self.packs))


def read_packs(
    files: Mapping[str, bytes],
    settings: bytes | None,
    event_types: frozenset[str],
    *,
    in_use: bool = True,
    is_later: bool = False,
    names: Mapping[str, str] | None = None,
) -> LakePacks:
    """Return the packs that settings choose, with the values that they set.

    Args:
        files: The files of the packs that are there, by id.
        settings: The file of settings; None if there is none, so that no pack judges.
        event_types: The event types that the lake knows.
        in_use, is_later: As for :func:`~auditlake.policies.loader.load_policy`.
        names: What to call files in messages, by id and under ``""`` the settings; their place in a lake if None.
    """
    if settings is None:
        return LakePacks()
    names = names or {"": FILE, **{name: f"packs/{name}.yaml" for name in files}}
    faults: dict[str, tuple[str, ...]] = {}

    def find(pack_id: str) -> tuple[bytes, str] | None:
        return (files[pack_id], names[pack_id]) if pack_id in files else None

    def load(pack_id: str, values: Mapping[str, Value] | None = None) -> Pack | None:
        try:
            return read_pack(
                files[pack_id], names[pack_id], pack_id, event_types=event_types, find=find, values=values,
                in_use=in_use, is_later=is_later,
            )  # fmt: skip
        except PackError as error:
            note = f" (with what {FILE} sets)" if values else ""
            faults[pack_id] = tuple(f"{each}{note}" for each in error.problems)
            return None

    plain: dict[str, Pack] = {}

    def remembered(pack_id: str) -> Pack | None:
        if pack := load(pack_id):
            plain[pack_id] = pack
        return pack

    said = read_settings(settings, names[""], files, remembered, in_use=in_use)
    packs = {name: load(name, own.values) if own.values else plain[name] for name, own in said.packs.items()}
    usable = {name: pack for name, pack in packs.items() if pack}
    return LakePacks(usable, said, {**said.faults, **faults}, {**files, "": settings})


def lake_packs(
    layout: Layout, event_types: frozenset[str], *, in_use: bool = True, is_later: bool = False
) -> LakePacks:
    """Return the packs of a lake.

    Args:
        layout: The lake.
        event_types: The event types that it knows.
        in_use, is_later: As for :func:`~auditlake.policies.loader.load_policy`.
    """
    try:
        files, settings = lake_files(layout)
    except PackError as error:
        return LakePacks(faults={"": error.problems})
    names = {"": str(layout.frameworks), **{name: str(layout.pack(name)) for name in files}}
    return read_packs(files, settings, event_types, in_use=in_use, is_later=is_later, names=names)


def lake_files(layout: Layout) -> tuple[dict[str, bytes], bytes | None]:
    """Return the files of a lake's packs that can be read, by id, and that of their settings; None if there is none.

    Raises:
        PackError: The settings cannot be read.
    """
    try:
        settings = read_file(layout.frameworks, within=layout.root, limit=SMALL)
    except FileNotFoundError:
        return {}, None
    except OSError as error:
        raise PackError(f"{layout.frameworks}:1:1: the file cannot be read: {error.strerror}") from error
    files: dict[str, bytes] = {}
    for path in layout.packs.glob("*.yaml"):
        with suppress(OSError):  # told where the settings name it
            files[path.stem] = read_file(path, within=layout.root, limit=SMALL)
    return files, settings


def lake_policies(
    layout: Layout, event_types: frozenset[str], *, tolerant: bool = False, in_use: bool = True,
    is_later: bool = False, packs: LakePacks | None = None,
) -> tuple[Policy, ...]:  # fmt: skip
    """Return every policy by which a lake is judged: those of its files, and those of its packs.

    Args:
        layout: The lake.
        event_types: The event types that it knows.
        tolerant: Let a policy that asks nothing stand for a file that cannot be used, be it a policy or a pack.
        in_use, is_later: As for :func:`~auditlake.policies.loader.load_policy`.
        packs: Its packs, where they were read already.

    Returns:
        The policies, sorted by id.

    Raises:
        PolicyError: With every mistake of every file; where ``tolerant``, only if a folder cannot be read.
    """
    found = lake_packs(layout, event_types, in_use=in_use, is_later=is_later) if packs is None else packs
    of_packs = {policy.id: policy for policy in found.policies()}
    problems: tuple[str, ...] = ()
    own: tuple[Policy, ...] = ()
    try:
        own = load_policies(layout.policies, event_types, tolerant=tolerant, in_use=in_use, is_later=is_later)
    except PolicyError as error:
        problems = error.problems
    clashing = {policy.id: clash(layout, policy.id) for policy in own if policy.id in of_packs}
    problems += (*clashing.values(), *found.problems)
    if problems and not tolerant:
        raise PolicyError(problems, hint="correct every line listed; files with errors are not loaded")
    unusable = [stand_in(f"{name or 'frameworks'}.yaml", b"", "; ".join(found.faults[name])) for name in found.faults]
    unusable += [stand_in(name, b"", why) for name, why in clashing.items()]
    judged = (each for each in (*own, *of_packs.values()) if each.id not in clashing)
    return tuple(sorted([*judged, *unusable], key=lambda each: each.id))


def clash(layout: Layout, policy_id: str) -> str:
    """Return what is wrong, with its place, with a policy of the lake's own that has the id of a pack's policy."""
    pack_id = policy_id.partition("--")[0]
    return f"{layout.policy(policy_id)}:1:1: {layout.pack(pack_id)} has a policy of this id; rename one of your own"


def named_policies(
    layout: Layout, event_types: frozenset[str], named: Sequence[str], *, in_use: bool = True
) -> tuple[Policy, ...]:
    """Return policies by ids of the lake or by paths of files outside of it; the lake's own if none is named.

    Raises:
        PolicyError: One of them cannot be used; those of the lake are taken as they are where they are ``in_use``.
    """
    policies = [read_policy(Path(name), event_types) for name in named if name.endswith(".yaml")]
    ids = [name for name in named if not name.endswith(".yaml")]
    if ids or not named:
        policies += chosen(lake_policies(layout, event_types, tolerant=True, in_use=in_use), ids)
    refuse_unreadable(policies)
    return tuple(policies)
