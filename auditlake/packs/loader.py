"""Packs from YAML: every mistake at once, each with its place in the file (see yaml_reader)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.disk.layout import POLICY_ID
from auditlake.errors import PackError
from auditlake.packs import schema
from auditlake.packs.controls import Known, control_ids, keys_of, names, read_controls, read_length, read_max
from auditlake.packs.model import PACK_ID, Pack, Parameter, Retention, Source, State, Value, Watch, qualified
from auditlake.packs.parameters import NAME, STRICTER, Filling, known_parameter, read_value
from auditlake.policies.loader import policy_within
from auditlake.yaml_reader import EXPECTED_ID, Reader, digest_of, filled

if TYPE_CHECKING:
    from auditlake.policies.model import Policy

HINT = "correct every line listed; a pack with mistakes judges nothing"
EXPECTED_PACK_ID = "small letters, digits and -, at most 31, no --, the first a letter or digit"
_REVISION = re.compile(r"\d{4}-\d{2}-\d{2}\.[1-9][0-9]{0,5}")
_TYPE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LENGTHS = {"retention_period", "hot", "max_retention"}
"""The keys of a policy by which it has a retention of its own."""
_TEXTS = ("framework", "edition", "publisher", "about")
Fields = dict[str, yaml.Node]
Find = Callable[[str], tuple[bytes, str] | None]
"""Gives the file of another pack by its id, with what to call it in messages; None if there is none."""


def _nowhere(_pack_id: str) -> None:
    """Find no pack."""


def read_pack(
    text: str | bytes,
    file: str,
    pack_id: str,
    *,
    event_types: frozenset[str],
    find: Find = _nowhere,
    values: Mapping[str, Value] | None = None,
    in_use: bool = False,
    is_later: bool = False,
) -> Pack:
    """Read one pack.

    Args:
        text: The file's content.
        file: What to call the file in messages.
        pack_id: The file's name without ``.yaml``.
        event_types: The event types that the lake knows.
        find: Where the pack lies that this one extends.
        values: What the lake sets of its parameters; the defaults fill the others.
        in_use, is_later: As for :func:`~auditlake.policies.loader.load_policy`.

    Raises:
        PackError: With every mistake of the file, each ``file:line:column: message``, in the file's order.
    """
    own = _Reader(file, event_types, in_use=in_use, is_later=is_later)
    fields = own.fields(text, pack_id)
    layers = [(own, fields)]
    if "extends" in fields and (base := own.extended(fields["extends"], pack_id, find)):
        layers.insert(0, base)
    pack = _joined(layers, pack_id, text, values or {}) if fields else None
    if pack is None or any(reader.mistakes for reader, _ in layers):
        raise PackError(tuple(each for reader, _ in layers[::-1] for each in reader.problems(reader.file)), hint=HINT)
    return pack


class _Reader(Reader):
    """Reads the parts of one pack's file.

    Args:
        file: What to call the file in messages.
        event_types: The event types that the lake knows.
        in_use, is_later: As for :func:`~auditlake.policies.loader.load_policy`.
    """

    def __init__(self, file: str, event_types: frozenset[str], *, in_use: bool, is_later: bool) -> None:
        super().__init__("pack", (*schema.PACK["required"], *schema.OWN), event_types)
        self.file = file
        self.in_use, self.is_later = in_use, is_later

    def fields(self, content: str | bytes, pack_id: str) -> Fields:
        """Return the file's keys; none if it cannot be read at all."""
        if not PACK_ID.fullmatch(pack_id):
            self.wrong(None, f"the file's name is the pack's id: expected {EXPECTED_PACK_ID}; got {pack_id!r}")
        text = self.decoded(content)
        root = None if text is None else self.tree(text)
        if root is None:
            return {}
        keys = tuple(schema.PACK["properties"])
        extending = isinstance(root, yaml.MappingNode) and any(key.value == "extends" for key, _ in root.value)
        needs = schema.PACK["required"] if extending else self.needs
        fields = self.mapping(root, "a pack", keys, needs)
        for key in schema.OWN if extending else ():
            if key in fields:
                self.wrong(fields.pop(key), f"{key}: a pack that extends another has none of its own")
        return fields

    def extended(self, node: yaml.Node, pack_id: str, find: Find) -> tuple[_Reader, Fields] | None:
        """Return a reader of the pack that this one extends, with that one's keys; None if there is none."""
        name = self.text(node, "extends")
        there = None if name is None or name == pack_id or not PACK_ID.fullmatch(name) else find(name)
        if there is None:
            if name is not None:
                self.wrong(node, f"extends: the pack {name!r} is not there, or is this one")
            return None
        content, file = there
        base = _Reader(file, self.event_types, in_use=self.in_use, is_later=self.is_later)
        fields = base.fields(content, name or "")
        if "extends" in fields:
            self.wrong(node, f"extends: {name!r} extends another pack itself")
            return None
        return (base, fields) if fields else None

    # The head of a pack

    def head(self, fields: Fields, pack_id: str) -> dict[str, Any]:
        """Return the values of the keys that say what a pack is."""
        values: dict[str, Any] = {key: self.label(fields[key], key) for key in _TEXTS[:3] if key in fields}
        if "about" in fields:
            values["about"] = self.text(fields["about"], "about")
        if "pack" in fields:
            self.integer(fields["pack"], "pack", 1, 1)
        if "id" in fields and (name := self.text(fields["id"], "id")) not in (pack_id, None):
            self.wrong(fields["id"], f"id: the file's name says {pack_id!r}, got {name!r}")
        if "revision" in fields:
            values["revision"] = self.parsed(fields["revision"], "revision", "a date and a number", _revision)
        if "recheck" in fields:
            values["recheck"] = self.day(fields["recheck"], "recheck")
        return values

    def entries(self, fields: Fields, key: str, shape: schema.Schema, what: str) -> list[tuple[yaml.Node, Fields]]:
        """Return the entries of a list, each with its keys."""
        if key not in fields or not self.is_a(fields[key], yaml.SequenceNode, key, f"a list, each entry {what}"):
            return []
        known = tuple(shape["properties"])
        return [(item, self.mapping(item, what, known, shape["required"])) for item in fields[key].value]

    def sources(self, fields: Fields) -> list[tuple[yaml.Node, Source]]:
        """Return the sources, each with its place."""
        sources = []
        for item, keys in self.entries(fields, "sources", schema.SOURCE, "a source"):
            values: dict[str, Any] = {
                name: self.label(keys[name], name) for name in ("id", "title", "url") if name in keys
            }
            if "checked" in keys:
                values["checked"] = self.value(keys["checked"], "checked", schema.SOURCE["properties"]["checked"])
            if "read" in keys:
                values["read"] = self.day(keys["read"], "read")
            sources.append((item, Source(**{"id": "", "title": "", "checked": "memory", **values})))
        return sources

    def states(self, fields: Fields, known: Known) -> tuple[State, ...]:
        states: list[State] = []
        for item, keys in self.entries(fields, "status", schema.STATE, "a state"):
            since = self.day(keys["from"], "from") if "from" in keys else None
            state = self.value(keys["state"], "state", schema.STATE["properties"]["state"]) if "state" in keys else None
            note = self.label(keys["note"], "note") if "note" in keys else None
            cites = self.cited(keys, known)
            when = self.when(keys["when"], known) if "when" in keys else {}
            if since is not None and state is not None:
                if states and since < states[-1].since:
                    self.wrong(item, "status: expected in order of time")
                states.append(State(since, state, cites, note or "", when))
        return tuple(states)

    def when(self, node: yaml.Node, known: Known) -> dict[str, str]:
        """Return the values that parameters must have for a state to count."""
        values: dict[str, str] = {}
        if not self.is_a(node, yaml.MappingNode, "when", "parameters, each with a value"):
            return values
        for key, value in node.value:
            parameter = known_parameter(self, key, "when", str(key.value), known.parameters)
            if parameter is not None and parameter.type not in ("one", "several"):
                self.wrong(key, f"when: expected a parameter of the type one or several, but {key.value} is not")
            elif parameter is not None and (name := self.choice(value, parameter.name, parameter.of)) is not None:
                values[parameter.name] = name
        return values

    def watched(self, fields: Fields, known: Known) -> tuple[Watch, ...]:
        coming = []
        for _, keys in self.entries(fields, "watch", schema.WATCH, "something to watch"):
            on = self.day(keys["on"], "on") if "on" in keys else None
            note = self.label(keys["note"], "note") if "note" in keys else None
            cites = self.cited(keys, known)
            if on is not None:
                coming.append(Watch(on, note or "", cites))
        return tuple(coming)

    def cited(self, fields: Fields, known: Known) -> tuple[str, ...]:
        return names(self, fields["cites"], "cites", known.sources, "source") if "cites" in fields else ()

    # What a lake may set

    def parameters(self, fields: Fields, controls: Sequence[str]) -> dict[str, Parameter]:
        parameters: dict[str, Parameter] = {}
        node = fields.get("parameters")
        if node is None or not self.is_a(node, yaml.MappingNode, "parameters", "parameters by name"):
            return parameters
        for key, body in node.value:
            name = self.text(key, "parameters")
            if name is None or not NAME.fullmatch(name):
                self.wrong(key, f"parameters: expected a name of small letters, digits and _, got {name!r}")
            elif (parameter := self.parameter(body, name, controls)) is not None:
                parameters[name] = parameter
        return parameters

    def parameter(self, node: yaml.Node, name: str, controls: Sequence[str]) -> Parameter | None:
        keys = schema.PARAMETER["properties"]
        fields = self.mapping(node, f"the parameter {name}", tuple(keys), schema.PARAMETER["required"])
        kind = self.value(fields["type"], "type", keys["type"]) if "type" in fields else None
        if kind is None or "default" not in fields:
            return None
        of = self.several(fields["of"], "of", self.text) if "of" in fields else ()
        if bool(of) != (kind in ("one", "several")):
            self.wrong(node, f"the parameter {name}: 'of' belongs to the types one and several, and to no other")
        ways = STRICTER[kind]
        stricter = self.choice(fields["stricter"], "stricter", ways, "direction") if "stricter" in fields else "free"
        cites = names(self, fields["cites"], "cites", controls, "control") if "cites" in fields else ()
        about = self.text(fields["about"], "about") if "about" in fields else ""
        parameter = Parameter(name, kind, "", of, stricter or "free", cites, about or "")
        default: Any = read_value(self, fields["default"], "default", parameter)
        return replace(parameter, default=default)  # None where it is a mistake: nothing is filled with it

    # What it asks

    def retention(self, fields: Fields, known: Known) -> tuple[Retention | None, frozenset[str]]:
        """Return how long events are kept, and the parameters that it is made with."""
        if (node := fields.get("retention")) is None:
            return None, frozenset()
        shape = schema.RETENTION
        filling = Filling(self, known.parameters, known.values)
        keys = self.mapping(filling.value(node, "retention"), "retention", (*shape["properties"],), shape["required"])
        lengths: dict[str, Any] = {key: read_length(self, keys[key], key) for key in ("min", "hot") if key in keys}
        lengths |= read_max(self, keys["max"]) if "max" in keys else {}
        if isinstance(node, yaml.MappingNode) and not lengths:
            self.wrong(node, "retention: expected at least one of min, hot, max")
        basis = self.value(keys["basis"], "basis", shape["properties"]["basis"]) if "basis" in keys else None
        cites = names(self, keys["cites"], "cites", known.controls, "control") if "cites" in keys else ()
        note = self.text(keys["note"], "note") if "note" in keys else ""
        return Retention(basis or "default", **lengths, cites=cites, note=note or ""), frozenset(filling.used)

    def needed(self, fields: Fields) -> tuple[str, ...]:
        """Return the event types that a lake must declare."""
        return self.several(fields["needs_types"], "needs_types", self.type_name) if "needs_types" in fields else ()

    def type_name(self, node: yaml.Node, key: str) -> str | None:
        name = self.text(node, key)
        if name is None or _TYPE.fullmatch(name):
            return name
        self.wrong(node, f"{key}: expected the name of an event type, got {name!r}")
        return None

    def policies(
        self, fields: Fields, pack_id: str, known: Known, usual: Mapping[str, Any]
    ) -> tuple[dict[str, Policy], dict[str, frozenset[str]]]:
        """Return the policies by id, and the parameters that each is made with.

        Args:
            fields: The file's keys.
            pack_id: The pack that they are of.
            known: What they may name.
            usual: The keys of retention that a policy has where it names no other.
        """
        policies: dict[str, Policy] = {}
        uses: dict[str, frozenset[str]] = {}
        node = fields.get("policies")
        if node is None or not self.is_a(node, yaml.MappingNode, "policies", "policies by id"):
            return policies, uses
        for key, body in node.value:
            name = self.text(key, "policies")
            if name is None or not POLICY_ID.fullmatch(name) or not POLICY_ID.fullmatch(qualified(pack_id, name)):
                self.wrong(key, f"policies: expected {EXPECTED_ID}, with the pack's id and -- before it; got {name!r}")
                continue
            filling = Filling(self, known.parameters, known.values)
            whole = filling.policy(body)
            if isinstance(whole, yaml.MappingNode):
                there = {each.value for each, _ in whole.value}
                if "controls" in there:
                    self.wrong(body, "controls: a policy of a pack is named by the controls of the pack")
                if there & _LENGTHS:  # the pack's clause is not that of other lengths
                    there |= {"clause", "basis"}
                more = [(filled(body, each), filled(body, value)) for each, value in usual.items() if each not in there]
                whole.value.extend(more)
            policy = policy_within(self, whole, qualified(pack_id, name))
            uses[name] = frozenset(filling.used)
            if policy is not None:
                policies[name] = policy
        return policies, uses


def _revision(text: str) -> str:
    if not _REVISION.fullmatch(text):
        raise ValueError(f"expected a date and a number, such as 2026-11-30.1, got {text[:40]!r}")
    return text


def _joined(
    layers: Sequence[tuple[_Reader, Fields]], pack_id: str, content: str | bytes, set_values: Mapping[str, Value]
) -> Pack | None:
    """Return a pack, read from its file and from that of the pack which it extends; None if there was a mistake.

    Args:
        layers: The files, that of the pack itself last.
        pack_id: The pack's id.
        content: The pack's own file.
        set_values: What the lake sets.
    """
    (lower, below), (upper, fields) = layers[0], layers[-1]
    head = upper.head(fields, pack_id)
    controls = control_ids(below.get("controls"))
    parameters: dict[str, Parameter] = {}
    sources: dict[str, Source] = {}
    types: dict[str, None] = {}
    for reader, each in layers:
        parameters |= reader.parameters(each, controls)
        types |= dict.fromkeys(reader.needed(each))
        for place, source in reader.sources(each):
            if sources.setdefault(source.id, source) is not source:
                reader.wrong(place, f"sources: two sources have the id {source.id!r}")
    defaults: dict[str, Any] = {name: each.default for name, each in parameters.items()}
    values: dict[str, Value] = {name: each for name, each in defaults.items() if each is not None}
    values |= {name: value for name, value in set_values.items() if name in parameters}
    known = Known(sources, controls, keys_of(below.get("policies")), parameters, values, {})
    keeper, kept = next((each for each in layers[::-1] if "retention" in each[1]), layers[-1])
    retention, of_retention = keeper.retention(kept, known)
    usual = _usual(str(head.get("framework")), retention)
    known_types = lower.event_types
    lower.event_types |= types.keys()
    policies, uses = lower.policies(below, pack_id, known, usual)
    states, watch = upper.states(fields, known), upper.watched(fields, known)
    known = replace(known, uses={name: each | of_retention for name, each in uses.items()})
    made = read_controls(lower, below["controls"], known) if "controls" in below else ()
    if any(reader.mistakes for reader, _ in layers):
        return None
    missing = {name: tuple(sorted({*each.required_events} - known_types)) for name, each in policies.items()}
    return Pack(
        pack_id, **head, states=states, sources=tuple(sources.values()), controls=made, policies=policies,
        parameters=parameters, values=values, watch=watch, retention=retention,
        extends=str(fields["extends"].value) if "extends" in fields else None, needs_types=tuple(types),
        unready={name: each for name, each in missing.items() if each},
        digest=digest_of(content), text=content.decode() if isinstance(content, bytes) else content,
    )  # fmt: skip


def _usual(framework: str, retention: Retention | None) -> dict[str, Any]:
    """Return the keys that a pack's retention gives each of its policies."""
    if retention is None:
        return {}
    lengths = {"retention_period": retention.min, "hot": retention.hot, "max_retention": retention.max}
    usual: dict[str, Any] = {key: str(length) for key, length in lengths.items() if length is not None}
    if retention.max and retention.max_of == "event":
        usual["max_retention"] = {"longest": str(retention.max), "of": "event"}
    clause = {"clause": f"{framework} {', '.join(retention.cites)}".strip(), "basis": retention.basis}
    return usual | clause if usual else usual
