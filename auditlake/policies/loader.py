"""Policies from YAML: every mistake at once, each with its place in the file (see yaml_reader)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import POLICY_ID
from auditlake.display.canonical_json import canonical
from auditlake.errors import MistakesError, PolicyError
from auditlake.events.durations import Duration
from auditlake.events.times import as_exclusive, parse_bound, parse_end, parse_instant, print_instant
from auditlake.policies import kinds, schema
from auditlake.policies.condition import read_ahead
from auditlake.policies.kinds.model import Key
from auditlake.policies.model import Policy, PolicyTest
from auditlake.yaml_reader import Reader, digest_of, is_null, load_folder, nullable, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_HINT = "correct every line listed; files with errors are not loaded"

_REQUIRED = ("name", "description", "required_events")
_CONDITIONS = ("where", "scope")
_MANY = 16
"""From how many files on it is sooner to read their conditions together, although each is parsed twice then."""
_JSON_COLUMNS = ("details", "metadata")
_NOT_A_COLUMN = ("event_type", "type", "timestamp", "at", *_JSON_COLUMNS, "count", "every")


def load_policy(
    text: str | bytes, file: str, policy_id: str, *, event_types: frozenset[str], in_use: bool = False,
    is_later: bool = False,
) -> Policy:  # fmt: skip
    """Read one policy.

    Args:
        text: The file's content.
        file: What to call the file in messages.
        policy_id: The file's name without ``.yaml``.
        event_types: The event types that this lake knows.
        in_use: Whether it is in a lake already: then a condition is no mistake that may fail on some events, which an
            earlier version let in. What it keeps stays kept, and it is judged as long as no event brings that out.
        is_later: Whether it is only found where the policy is judged that a condition cannot be carried into a query:
            for those who judge many, with :func:`~auditlake.policies.evaluate.evaluate`, which tells it.

    Raises:
        PolicyError: With every mistake of the file, each ``file:line:column: message``, in the file's order.
    """
    policy = _read(text, policy_id, event_types, in_use, is_later, kinds.KINDS)
    if isinstance(policy, _Reader):
        raise PolicyError(policy.problems(file), hint=_HINT)
    return policy


@lru_cache(maxsize=1024)  # most processes read the policies of one lake, and each verb reads them
def _read(
    text: str | bytes, policy_id: str, event_types: frozenset[str], in_use: bool, is_later: bool, known: object  # noqa: ARG001
) -> Policy | _Reader:  # fmt: skip
    """Return the policy of a text, or what has its mistakes; ``known`` are the kinds, by which it is read."""
    reader = _Reader("policy", _REQUIRED, event_types)
    reader.in_use, reader.is_later = in_use, is_later
    return reader.policy(text, policy_id) or reader


def policy_within(outer: Reader, node: yaml.Node, policy_id: str) -> Policy | None:
    """Read a policy that a file of another sort holds; the mistakes are noted there.

    Returns:
        The policy, whose text and digest are those of a policy file that says the same; None if there was any mistake.
    """
    reader = _Reader("policy", _REQUIRED, outer.event_types)
    reader.in_use, reader.is_later, reader.lines = outer.in_use, outer.is_later, outer.lines
    policy = reader.body(node, policy_id, lambda: canonical(plain(node)).decode())
    outer.mistakes.extend(reader.mistakes)
    return policy


def load_policies(
    folder: Path | str,
    event_types: frozenset[str],
    *,
    tolerant: bool = False,
    in_use: bool = True,
    follow: bool = False,
    is_later: bool = False,
) -> tuple[Policy, ...]:
    """Read every policy of a folder: its files ``*.yaml``, one policy each.

    Args:
        folder: The folder; folders within it are not looked into.
        event_types: The event types that this lake knows.
        tolerant: Let a policy that asks nothing stand for a file that cannot be used, with its mistakes as its
            ``fault``: for those who judge policies, of which no one stops the others.
        in_use: As for :func:`load_policy`.
        follow: Whether its files may be links: those of a lake may not.
        is_later: As for :func:`load_policy`.

    Returns:
        The policies, sorted by id.

    Raises:
        PolicyError: With every mistake of every file; where ``tolerant``, only if the folder cannot be read.
    """
    load = partial(load_policy, event_types=event_types, in_use=in_use, is_later=is_later)
    instead = _unreadable if tolerant else None
    policies = load_folder(
        Path(folder), "policy", load, PolicyError, hint=_HINT, instead=instead, follow=follow, ahead=_read_ahead
    )
    return tuple(sorted(policies, key=lambda each: each.id))


def _read_ahead(contents: Sequence[bytes]) -> None:
    """Have the conditions of many files read that are going to be loaded."""
    if len(contents) >= _MANY:
        _read_conditions(frozenset(contents))


@lru_cache(maxsize=8)
def _read_conditions(contents: frozenset[bytes]) -> None:
    conditions: set[str] = set()
    for content in contents:
        reader = Reader("policy", (), frozenset())
        root = reader.tree(reader.decoded(content) or "")
        fields = root.value if isinstance(root, yaml.MappingNode) else ()
        scalars = ((key.value, value.value) for key, value in fields if isinstance(value, yaml.ScalarNode))
        conditions.update(text for key, text in scalars if key in _CONDITIONS)
    read_ahead(conditions)


def _unreadable(path: Path, error: MistakesError) -> Policy:
    """Return the policy that stands for a file that cannot be used."""
    try:
        content = read_file(path, within=path.parent, limit=SMALL)
    except OSError:
        content = b""
    problems = "; ".join(each.replace(str(path), path.name) for each in error.problems)
    return stand_in(path.stem if path.suffix == ".yaml" else path.name, content, problems)


def stand_in(name: str, content: bytes, fault: str) -> Policy:
    """Return a policy that asks nothing and stands for a file that cannot be used.

    Args:
        name: The file's name; the id is made of it.
        content: The file's bytes, as far as they could be read.
        fault: Why it cannot be used.
    """
    plain = re.sub(r"[^a-z0-9_-]", "-", name.lower())[:64]
    return Policy(
        text=content.decode("utf-8", "replace"),
        id=plain if POLICY_ID.fullmatch(plain) else f"policy-{plain}"[:64], name=name, description="",
        required_events=(), coverage="optional", digest=digest_of(content), fault=fault,
    )  # fmt: skip


def policy_keys() -> dict[str, Key]:
    """Return every key of a policy's file, by name: those of every policy, and those of the question kinds."""
    keys = {key.name: key for key in (*_COMMON, *(key for kind in kinds.KINDS for key in kind.keys))}
    counting = tuple(each.asked_by for each in kinds.measures() if each.asked_by and each.default_threshold is not None)
    needs = ("alert_threshold", *counting)
    return keys | {name: replace(keys[name], needs=needs) for name in ("window", "group_by", "where")}


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy's file, for editors; ``policy.schema.json`` is the shipped copy."""
    keys = policy_keys()
    asked = [kind for kind in kinds.measures() if kind.instead]
    properties = {name: key.schema for name, key in keys.items()}
    ways: list[dict[str, Any]] = [
        {"if": {"required": [kind.asked_by]}, "then": {"properties": {key.name: key.schema for key in kind.instead}}}
        for kind in asked
    ]
    usual = {key.name: properties[key.name] for kind in asked for key in kind.instead}
    named = [{"required": [kind.asked_by]} for kind in asked]
    ways.append({"if": {"not": {"anyOf": named}}, "then": {"properties": usual}})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "auditlake policy",
        "type": "object",
        "additionalProperties": False,
        "required": list(_REQUIRED),
        "properties": properties | {name: {"type": "number"} for name in usual},
        "allOf": ways,
        "dependentSchemas": {
            name: {"anyOf": [{"required": [each]} for each in key.needs]} for name, key in keys.items() if key.needs
        },
    }


class _Reader(Reader):
    """Reads one policy's file."""

    test_events = 0

    def policy(self, content: str | bytes, policy_id: str) -> Policy | None:
        """Return the policy; None if there was any mistake."""
        self.check_id(policy_id)
        text = self.decoded(content)
        root = None if text is None else self.tree(text)
        if text is None or root is None:
            return None
        policy = self.body(root, policy_id, lambda: text)
        return policy and replace(policy, digest=digest_of(content))  # of a file that may begin with a mark

    def body(self, root: yaml.Node, policy_id: str, text: Callable[[], str]) -> Policy | None:
        """Return the policy that a node says; None if there was any mistake.

        Args:
            root: The node.
            policy_id: The policy's id.
            text: Gives the policy's file, whose digest is the policy's.
        """
        keys = policy_keys()
        fields = self.mapping(root, "a policy", tuple(keys), _REQUIRED)
        named = next((kind for kind in kinds.measures() if kind.asked_by in fields), None)
        instead = {key.name: key for key in named.instead} if named else {}
        values = self.values(fields, keys | instead)
        self.measure(fields, values)
        if self.mistakes:
            return None
        more = {name: values.pop(name) for name in [*values] if name not in Policy.__slots__}
        content = text()
        return Policy(id=policy_id, **values, more=more, digest=digest_of(content), text=content)

    # A policy's values

    def values(self, fields: dict[str, yaml.Node], keys: Mapping[str, Key]) -> dict[str, Any]:
        """Read the values of a policy's keys, and check what they have to do with each other."""
        values: dict[str, Any] = {}
        for name, node in fields.items():
            key = keys[name]
            if key.read is None or (nullable(key.schema) and is_null(node)):
                values[name] = self.value(node, name, key.schema)
            else:
                values[name] = key.read(self, node, name)
        self.check_questions(fields, values, keys.values())
        for kind in kinds.KINDS:
            kind.check(self, fields, values)
        for test in values.get("tests", ()):
            for missing in set(test.expect.get("missing", ())) - set(values.get("required_events") or ()):
                self.mistakes.append((test.line, 1, f"test {test.name!r}: {missing!r} is not among required_events"))
        return values

    def check_questions(self, fields: dict[str, yaml.Node], values: dict[str, Any], keys: Iterable[Key]) -> None:
        """Refuse a key without the one that it needs, and a policy that asks nothing."""
        present = {name for name, node in fields.items() if not is_null(node)}
        for key in keys:
            if key.needs and key.name in present and not fields.keys() & set(key.needs):
                needed = " or ".join(filter(None, (", ".join(map(repr, key.needs[:-1])), repr(key.needs[-1]))))
                self.wrong(fields[key.name], f"{key.name}: expected with {needed}, which is missing")
        asking = [key.name for key in keys if key.asks]
        if present.intersection(asking) == {"coverage"} and values["coverage"] == "optional":
            others = ", ".join(name for name in asking if name != "coverage")
            why = "asks nothing by itself, and no other key asks anything"
            self.wrong(fields["coverage"], f"coverage: 'optional' {why}: write 'required', or add one of {others}")

    def measure(self, fields: dict[str, yaml.Node], values: dict[str, Any]) -> None:
        """Note what is held against the threshold, of which there is one thing at most, and what follows from that."""
        named = [kind for kind in kinds.measures() if kind.asked_by in fields]
        for kind in named[1:]:
            first = named[0].asked_by
            self.wrong(fields[str(kind.asked_by)], f"{kind.asked_by}: a policy has one measure, and has {first!r} too")
        if named and not self.mistakes:
            values["measure"] = named[0].name
            named[0].complete(self, fields, values)

    def required_events(self, node: yaml.Node, key: str) -> tuple[str, ...]:
        return tuple(sorted(self.value(node, key, schema.EVENT_TYPES)))

    def controls(self, node: yaml.Node, key: str) -> dict[str, tuple[str, ...]]:
        frameworks: dict[str, tuple[str, ...]] = {}
        if self.is_a(node, yaml.MappingNode, key, "frameworks, each with a list of controls"):
            for framework, ids in node.value:
                frameworks[self.name(framework, key) or ""] = self.value(ids, key, schema.LABELS)
        return frameworks

    # The tests within a policy

    def tests(self, node: yaml.Node, key: str) -> tuple[PolicyTest, ...]:
        if not self.is_a(node, yaml.SequenceNode, key, "a list of tests"):
            return ()
        tests: dict[str, PolicyTest] = {}
        for item in node.value:
            test = self.test(item)
            if tests.setdefault(test.name, test) is not test and test.name:
                self.wrong(item, f"{key}: two tests are named {test.name!r}")
        return tuple(tests.values())

    def test(self, node: yaml.Node) -> PolicyTest:
        fields = self.mapping(node, "a test", tuple(schema.TEST["properties"]), schema.TEST["required"])
        name = self.label(fields["name"], "name") if "name" in fields else None
        as_of, since = (
            self.instant(fields[key], key, read) if key in fields else None
            for key, read in (("as_of", parse_end), ("since", lambda text: as_exclusive(parse_bound(text))))
        )
        events: list[dict[str, Any]] = []
        if "events" in fields and self.is_a(fields["events"], yaml.SequenceNode, "events", "a list of events"):
            for item in fields["events"].value:
                events.extend(self.events(item))
            if not fields["events"].value and "as_of" not in fields:
                self.wrong(node, "a test without events needs the key 'as_of'")
        if as_of is not None and since is not None and since >= as_of:
            self.wrong(fields["since"], "since: expected an instant before as_of")
        expect = self.expect(fields["expect"]) if "expect" in fields else {}
        return PolicyTest(name or "", tuple(events), expect, as_of, since, node.start_mark.line + 1)

    def events(self, node: yaml.Node) -> list[dict[str, Any]]:
        """Return the events of one entry of a test: a single one, or as many as its ``count`` says."""
        fields = self.mapping(node, "an event", tuple(schema.EVENT["properties"]), ())
        event: dict[str, Any] = {}
        for key, short, read in (("event_type", "type", self.event_type), ("timestamp", "at", self.instant)):
            if isinstance(node, yaml.MappingNode) and (key in fields) == (short in fields):
                self.wrong(node, f"an event needs either {short!r} or {key!r}")
            for name in {key, short} & set(fields):
                event[key] = read(fields[name], name)
        for key in (name for name in fields if name not in _NOT_A_COLUMN):
            event[key] = None if is_null(fields[key]) else self.text(fields[key], key)
        for key in (name for name in fields if name in _JSON_COLUMNS):  # the column holds JSON text
            value = self.json_value(fields[key], key)
            event[key] = value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        count = self.integer(fields["count"], "count", 1, schema.MAX_TEST_EVENTS) if "count" in fields else 1
        every = self.duration(fields["every"], "every") if "every" in fields else Duration("", 0)
        if "every" in fields and "count" not in fields:
            self.wrong(fields["every"], "every: expected with 'count', which is missing")
        if "event_id" in fields and "count" in fields:
            self.wrong(fields["event_id"], "event_id: not with 'count': each event has an id of its own")
        self.test_events += count or 0
        if self.test_events > schema.MAX_TEST_EVENTS >= self.test_events - (count or 0):
            self.wrong(node, f"the tests of a policy have at most {schema.MAX_TEST_EVENTS:,} events in all")
        if (
            event.get("timestamp") is None
            or every is None
            or count is None
            or self.test_events > schema.MAX_TEST_EVENTS
        ):
            return []
        first, step = parse_instant(event["timestamp"]), timedelta(microseconds=every.microseconds)
        try:
            return [{**event, "timestamp": print_instant(first + step * number)} for number in range(count)]
        except OverflowError:
            self.wrong(node, "the last of these events would be after the year 9999")
            return []

    def expect(self, node: yaml.Node) -> dict[str, Any]:
        known = schema.EXPECT["properties"]
        fields = self.mapping(node, "expect", tuple(known), ())
        if isinstance(node, yaml.MappingNode) and not node.value:
            self.wrong(node, f"expect: expected at least one of {', '.join(known)}")
        ordered = sorted(fields, key=lambda key: (key == "missing", key == "status"))
        values = {key: self.value(fields[key], key, known[key]) for key in ordered}
        return values | ({"missing": tuple(sorted(values["missing"]))} if "missing" in values else {})


_COMMON = (
    Key("name", schema.NAME),
    Key("description", schema.DESCRIPTION),
    Key("required_events", schema.EVENT_TYPES, _Reader.required_events),
    Key("severity", schema.SEVERITY),
    Key("controls", schema.CONTROLS, _Reader.controls),
    Key("tests", schema.TESTS, _Reader.tests),
)
