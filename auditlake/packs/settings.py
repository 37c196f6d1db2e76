"""``LAKE/frameworks.yaml``: by which packs a lake is judged, with which values, what is due, and who is a program."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.errors import PackError
from auditlake.events.times import MICROSECOND
from auditlake.packs.controls import read_length
from auditlake.packs.model import Pack, Value
from auditlake.packs.parameters import known_parameter, read_value
from auditlake.yaml_reader import Reader, is_null, nearest

if TYPE_CHECKING:
    from collections.abc import Collection

    from auditlake.runs.model import Schedule

FILE = "frameworks.yaml"
ALL = "all"
"""What a schedule evaluates that names every policy."""
Load = Callable[[str], Pack | None]
_KEYS = ("packs", "schedules", "programs")
_SCHEDULE = ("name", "every", "at", "evaluate", "within")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A pack that a lake is judged by."""

    revision: str
    """The one that the lake means."""
    values: Mapping[str, Value] = field(default_factory=dict)
    """What it sets of the pack's parameters."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Where it sets them, as ``frameworks.yaml:line:column``: reports say it, whatever the lake's path."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``frameworks.yaml`` says."""

    packs: Mapping[str, Chosen] = field(default_factory=dict)
    """By id, those with mistakes aside."""
    schedules: tuple[Schedule, ...] = ()
    faults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The mistakes, each ``file:line:column: message``: of the entry of each pack, and of all else under ``""``."""
    programs: tuple[str, ...] | None = None
    """Accounts that are no persons: what they sign is no review by a person. None where that is not said."""
    evaluated: tuple[tuple[str, str], ...] = ()
    """What schedules evaluate, each with its place as ``line:column``: policies and packs by id, and :data:`ALL`."""


def read_settings(
    content: str | bytes, file: str, there: Collection[str], load: Load, *, in_use: bool = False
) -> Settings:
    """Read the settings of a lake's packs. Mistakes are given back, since one pack must not stop the others.

    Args:
        content: The file's content.
        file: What to call the file in messages.
        there: The ids of the packs that the lake has.
        load: Gives one of them, with the defaults of its parameters; None if it cannot be used.
        in_use: As for :func:`~auditlake.policies.loader.load_policy`.
    """
    reader, fields, schedules = _top(content, in_use=in_use)
    programs = reader.several(fields["programs"], "programs", reader.name) if "programs" in fields else None
    chosen: dict[str, Chosen] = {}
    faults: dict[str, tuple[str, ...]] = {}
    node = fields.get("packs")
    entries = node.value if node is not None and reader.is_a(node, yaml.MappingNode, "packs", "packs by id") else ()
    for key, body in entries:
        own = _Reader("pack", (), frozenset())
        own.in_use, own.lines = in_use, reader.lines
        entry = own.chosen(key, body, there, load)
        if own.mistakes:
            faults[str(key.value)] = own.problems(file)
        elif entry is not None:
            chosen[str(key.value)] = entry
    if reader.mistakes:
        faults[""] = reader.problems(file)
    return Settings(chosen, schedules, faults, programs, tuple(reader.evaluated))


def _is_blank(text: str) -> bool:
    """Return whether a file holds nothing but comments, as where its last pack was taken out."""
    return all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines())


def _given(fields: Mapping[str, yaml.Node]) -> dict[str, yaml.Node]:
    """Return the keys that have a value: one whose entries were all taken out says nothing."""
    return {key: value for key, value in fields.items() if not is_null(value)}


def read_schedules(content: str | bytes, file: str) -> tuple[Schedule, ...]:
    """Return the schedules alone; a mistake in what the file says of a pack is none of them.

    Raises:
        PackError: With every other mistake.
    """
    reader, _, schedules = _top(content, in_use=True)
    if reader.mistakes:
        raise PackError(reader.problems(file), hint="correct every line listed")
    return schedules


def _top(content: str | bytes, *, in_use: bool) -> tuple[_Reader, dict[str, yaml.Node], tuple[Schedule, ...]]:
    """Return the keys of the file, and its schedules."""
    reader = _Reader("file of settings", _KEYS, frozenset())
    reader.in_use = in_use
    text = reader.decoded(content)
    root = None if text is None or _is_blank(text) else reader.tree(text)
    fields = {} if root is None else _given(reader.mapping(root, FILE, _KEYS, ()))
    return reader, fields, reader.schedules(fields["schedules"]) if "schedules" in fields else ()


class _Reader(Reader):
    """Reads the settings, or what they say of one pack."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.evaluated: list[tuple[str, str]] = []

    def chosen(self, key: yaml.Node, node: yaml.Node, there: Collection[str], load: Load) -> Chosen | None:
        """Return what is said of a pack; None if it is a mistake, or the pack is one that cannot be used."""
        pack_id = str(key.value)
        if pack_id not in there:
            self.wrong(
                key,
                f"packs: there is no packs/{pack_id}.yaml that can be read; {nearest(pack_id, there or ['(none)'])}",
            )
        fields = self.mapping(node, pack_id, ("revision", "parameters"), ("revision",))
        pack = load(pack_id) if pack_id in there else None
        if pack is None:
            return None
        revision = self.text(fields["revision"], "revision") if "revision" in fields else None
        if revision is not None and revision != pack.revision:
            why = f"revision: packs/{pack_id}.yaml is the revision {pack.revision}, not {revision}"
            self.wrong(fields["revision"], f"{why}; auditlake pack upgrade changes both")
        values: dict[str, Value] = {}
        places: dict[str, str] = {}
        parameters = _given(fields).get("parameters")
        if parameters is not None and self.is_a(parameters, yaml.MappingNode, "parameters", "values by name"):
            for name, value in parameters.value:
                parameter = known_parameter(self, name, "parameters", str(name.value), pack.parameters)
                read = None if parameter is None else read_value(self, value, str(name.value), parameter)
                if read is not None:
                    values[str(name.value)] = read
                    places[str(name.value)] = f"{FILE}:{name.start_mark.line + 1}:{name.start_mark.column + 1}"
        return Chosen(revision or "", values, places)

    def schedules(self, node: yaml.Node) -> tuple[Schedule, ...]:
        """Return the schedules."""
        from auditlake.runs.due import offset_of
        from auditlake.runs.model import Schedule

        schedules: dict[str, Schedule] = {}
        if not self.is_a(node, yaml.SequenceNode, "schedules", "a list of schedules"):
            return ()
        for item in node.value:
            fields = self.mapping(item, "a schedule", _SCHEDULE, _SCHEDULE)
            values = {key: self.scheduled(value, key) for key, value in fields.items()}
            if None in values.values() or len(values) < len(_SCHEDULE):
                continue
            schedule = Schedule(**values)
            if offset_of(schedule) // MICROSECOND >= schedule.every.microseconds:
                self.wrong(fields["at"], f"at: expected a time within {schedule.every}, got {schedule.at!r}")
            if schedules.setdefault(schedule.name, schedule) is not schedule:
                self.wrong(item, f"schedules: two are named {schedule.name!r}")
        return tuple(schedules.values())

    def scheduled(self, node: yaml.Node, key: str) -> Any:
        """Return the value of a key of a schedule."""
        if key in ("every", "within"):
            return read_length(self, node, key)
        if key == "evaluate":
            expected = "a pack, a policy, or all"
            return self.several(node, key, lambda item, key: self.named(item, key, expected))
        pattern, expected = (_CLOCK, "a time of the day, UTC, such as '00:15'") if key == "at" else (_NAME, "a name")
        return self.matching(node, key, pattern, expected)

    def named(self, node: yaml.Node, key: str, expected: str) -> str | None:
        """Return what a schedule evaluates, and note where it says so."""
        name = self.matching(node, key, _NAME, expected)
        if name is not None:
            self.evaluated.append((f"{node.start_mark.line + 1}:{node.start_mark.column + 1}", name))
        return name

    def matching(self, node: yaml.Node, key: str, pattern: re.Pattern[str], expected: str) -> str | None:
        """Return a text of a form."""
        text = self.text(node, key, expected=expected)
        if text is None or pattern.fullmatch(text):
            return text
        self.wrong(node, f"{key}: expected {expected}, got {text!r}")
        return None


def revisions_in(content: bytes | None) -> dict[str, str]:
    """Return the revision of each pack that settings name, as far as they can be read."""
    try:
        packs = yaml.safe_load(content or b"")["packs"]
        return {str(name): str(each["revision"]) for name, each in packs.items()}
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, ValueError, RecursionError):
        return {}


def with_pack(content: bytes, pack_id: str, revision: str) -> bytes:
    """Return the file with a pack's revision in it, and all else as it was.

    Args:
        content: The file, without mistakes; empty if there is none.
        pack_id: The pack.
        revision: The revision that the lake means from now on.
    """
    lines = content.decode().splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    packs, entry, present = _marks(content, pack_id)
    if present is not None:
        start, end = present.start_mark, present.end_mark
        line = lines[start.line]
        lines[start.line] = f"{line[: start.column]}{revision}{line[end.column :]}"
    elif packs is None:
        lines += ["packs:\n", f"  {pack_id}:\n", f"    revision: {revision}\n"]
    elif entry is None:  # the key has no value
        lines.insert(packs.end_mark.line + 1, f"  {pack_id}:\n    revision: {revision}\n")
    elif (line := lines[entry.line])[entry.column] == "{":
        more = "" if line[entry.column + 1 :].lstrip().startswith("}") else ", "
        lines[entry.line] = (
            f"{line[: entry.column + 1]}{pack_id}: {{revision: {revision}}}{more}{line[entry.column + 1 :]}"
        )
    else:
        indent = line[: entry.column]
        lines.insert(entry.line, f"{indent}{pack_id}:\n{indent}  revision: {revision}\n")
    return "".join(lines).encode()


def _marks(content: bytes, pack_id: str) -> tuple[yaml.Node | None, Any, yaml.Node | None]:
    """Return the key ``packs``, where its entries begin, and the node of a pack's revision; each None if not there."""
    reader = _Reader("file of settings", _KEYS, frozenset())
    root = reader.tree(reader.decoded(content) or "") if content.strip() else None
    key, packs = next((pair for pair in root.value if pair[0].value == "packs"), (None, None)) if root else (None, None)
    if not isinstance(packs, yaml.MappingNode):
        return key, None, None
    pairs = next((value.value for name, value in packs.value if name.value == pack_id), ())
    return key, packs.start_mark, next((value for name, value in pairs if name.value == "revision"), None)
