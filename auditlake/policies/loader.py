"""Policies from YAML: every mistake at once, each with its place in the file.

The text becomes a tree of YAML nodes, never of objects, and each value is read as what its key asks for: a plain
``no`` where text belongs is a mistake, not ``False``. Anchors, aliases and tags are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.errors import PolicyError
from auditlake.events.times import parse_instant, print_instant
from auditlake.policies.condition import ConditionError, check_condition
from auditlake.policies.durations import parse_duration
from auditlake.policies.model import GROUP_COLUMNS, SEVERITIES, Duration, Policy, PolicyTest
from auditlake.store.layout import POLICY_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

_Mark = Any
MAX_BYTES = 1 << 20
_MAX_DEPTH = 32
_MAX_TEST_EVENTS = 10_000
_HINT = "correct every line listed; a policy is used only when its file has no mistake"

_REQUIRED = ("name", "description", "required_events", "retention_period", "alert_threshold")
_OPTIONAL = ("window", "group_by", "where", "coverage", "max_gap", "max_retention", "severity", "controls", "tests")
_TEST_KEYS = ("name", "events", "expect", "as_of", "since")
_EXPECT_COUNTS = ("episodes", "gaps", "total", "peak")
_TEXT_COLUMNS = ("user_id", "action", "resource", "status", "session_id", "ip_address", "source", "event_id")
_JSON_COLUMNS = ("details", "metadata")
_EVENT_KEYS = ("event_type", "type", "timestamp", "at", *_TEXT_COLUMNS, *_JSON_COLUMNS, "count", "every")
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = yaml.resolver.Resolver()
_PLAIN = {"bool": "a truth value", "int": "a number", "float": "a number", "timestamp": "a date", "null": "nothing"}
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,199})(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def load_policy(text: str | bytes, *, file: str, policy_id: str, event_types: frozenset[str]) -> Policy:
    """Read one policy.

    Args:
        text: The file's content.
        file: What to call the file in messages.
        policy_id: The file's name without ``.yaml``.
        event_types: The event types that this lake knows.

    Raises:
        PolicyError: With every mistake of the file, each ``file:line:column: message``, in the file's order.
    """
    reader = _Reader(event_types)
    policy = reader.policy(text, policy_id)
    if policy is None:
        mistakes = sorted(set(reader.mistakes))
        raise PolicyError(tuple(f"{file}:{line}:{column}: {what}" for line, column, what in mistakes), hint=_HINT)
    return policy


def load_policies(folder: Path | str, event_types: frozenset[str]) -> tuple[Policy, ...]:
    """Read every policy of a folder: its files ``*.yaml``, one policy each.

    Args:
        folder: The folder; folders within it are not looked into.
        event_types: The event types that this lake knows.

    Returns:
        The policies, sorted by id.

    Raises:
        PolicyError: With every mistake of every file.
    """
    try:
        paths = sorted(path for path in Path(folder).iterdir() if path.suffix in (".yaml", ".yml"))
    except OSError as error:
        raise PolicyError((f"{folder}:1:1: the folder of policies cannot be read: {error.strerror}",)) from error
    policies: list[Policy] = []
    problems: list[str] = []
    for path in paths:
        try:
            policies.append(_load_file(path, event_types))
        except PolicyError as error:
            problems.extend(error.problems)
    if problems:
        raise PolicyError(tuple(problems), hint=_HINT)
    return tuple(sorted(policies, key=lambda policy: policy.id))


def _load_file(path: Path, event_types: frozenset[str]) -> Policy:
    problem = "this is not a regular file"
    try:
        if path.suffix != ".yaml":
            problem = f"a policy's file name ends in .yaml; rename it to {path.stem}.yaml"
        elif path.is_file():
            with path.open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
            return load_policy(content, file=str(path), policy_id=path.stem, event_types=event_types)
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror}"
    raise PolicyError((f"{path}:1:1: {problem}",))


class _Refused(yaml.Node):
    """Stands where a value was refused already, so that nothing more is said about it."""


class _Reader:
    """Reads one file and collects its mistakes; a method that reads a value gives None where it noted one."""

    def __init__(self, event_types: frozenset[str]) -> None:
        self.event_types = event_types
        self.mistakes: list[tuple[int, int, str]] = []
        self.lines: list[str] = []
        self.test_events = 0

    def wrong(self, at: yaml.Node | _Mark, message: str) -> None:
        mark = at.start_mark if isinstance(at, yaml.Node) else at
        self.mistakes.append((mark.line + 1, mark.column + 1, message) if mark is not None else (1, 1, message))

    def policy(self, content: str | bytes, policy_id: str) -> Policy | None:
        """The policy; None if there was any mistake."""
        if not POLICY_ID.fullmatch(policy_id):
            expected = "small letters, digits, _ and -, at most 64, the first a letter or digit"
            self.wrong(None, f"the file's name is the policy's id: expected {expected}; got {policy_id!r}")
        text = self.decoded(content)
        root = None if text is None else self.tree(text)
        if text is None or root is None:
            return None
        values = self.values(self.mapping(root, "a policy", (*_REQUIRED, *_OPTIONAL), _REQUIRED))
        if self.mistakes:
            return None
        data = content if isinstance(content, bytes) else content.encode()
        return Policy(id=policy_id, **values, digest=f"sha256:{hashlib.sha256(data).hexdigest()}", text=text)

    # From bytes to nodes

    def decoded(self, content: str | bytes) -> str | None:
        data = content if isinstance(content, bytes) else content.encode(errors="surrogatepass")
        if len(data) > MAX_BYTES:
            self.wrong(None, "the file is larger than 1 MiB")
            return None
        try:
            text = data.decode().removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            self.wrong_after(data[: error.start].decode(), f"the file is not UTF-8 (byte 0x{data[error.start]:02x})")
            return None
        if found := _UNPRINTABLE.search(text):
            self.wrong_after(text[: found.start()], f"the character U+{ord(found[0]):04X} is not allowed in YAML")
            return None
        self.lines = _LINE_END.split(text)
        return text

    def wrong_after(self, text: str, message: str) -> None:
        lines = _LINE_END.split(text)
        self.mistakes.append((len(lines), len(lines[-1]) + 1, message))

    def tree(self, text: str) -> yaml.Node | None:
        """The one document's node; None if the text is not YAML, or nothing."""
        roots: list[yaml.Node] = []
        try:
            self.compose(yaml.parse(text, Loader=_PARSER), roots)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            self.wrong(mark, f"this is not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}")
            return None
        if not roots:
            self.wrong(None, f"the file is empty; a policy needs {', '.join(_REQUIRED)}")
        return roots[0] if roots else None

    def compose(self, events: Iterable[yaml.Event], roots: list[yaml.Node]) -> None:
        opened: list[tuple[yaml.CollectionNode, list[yaml.Node]]] = []
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and roots:
                self.wrong(event.start_mark, "a file holds one policy; a second document begins here")
                return
            if isinstance(event, yaml.CollectionEndEvent):
                node, children = opened.pop()
                node.value = children
                if isinstance(node, yaml.MappingNode):
                    node.value = list(zip(children[::2], children[1::2], strict=True))
                    self.check_keys(node)
            elif isinstance(event, yaml.NodeEvent):
                new = self.node(event)
                (opened[-1][1] if opened else roots).append(new)
                if isinstance(new, yaml.CollectionNode):
                    opened.append((new, []))
                if len(opened) > _MAX_DEPTH:
                    mark: _Mark = event.start_mark
                    raise yaml.MarkedYAMLError(None, None, f"nested more than {_MAX_DEPTH} deep", mark)

    def node(self, event: yaml.NodeEvent) -> yaml.Node:
        start: _Mark = event.start_mark
        end: _Mark = event.end_mark
        if isinstance(event, yaml.AliasEvent):
            self.wrong(start, f"an alias (*{event.anchor}) is not allowed; write the value out")
            return _Refused("", None, start, end)
        if event.anchor:
            self.wrong(start, f"an anchor (&{event.anchor}) is not allowed; write the value where it is used")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.wrong(start, f"a tag ({tag.replace('tag:yaml.org,2002:', '!!')}) is not allowed; remove it")
        if isinstance(event, yaml.CollectionStartEvent):
            kind = yaml.MappingNode if isinstance(event, yaml.MappingStartEvent) else yaml.SequenceNode
            return kind("", [], start, end)
        if tag is not None or not isinstance(event, yaml.ScalarEvent):
            return _Refused("", None, start, end)
        return yaml.ScalarNode("" if event.style else _plain_kind(event.value), event.value, start, end, event.style)

    def check_keys(self, node: yaml.MappingNode) -> None:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.is_a(key, yaml.ScalarNode, "a key", "text")
            elif key.value in lines:
                self.wrong(key, f"the key {key.value!r} is given twice, first in line {lines[key.value]}")
            else:
                lines[key.value] = key.start_mark.line + 1

    # From nodes to values

    def is_a(self, node: yaml.Node, kind: type[yaml.Node], key: str, expected: str) -> bool:
        if isinstance(node, kind):
            return True
        if not isinstance(node, _Refused):
            self.wrong(node, f"{key}: expected {expected}, got {_shown(node)}")
        return False

    def mapping(self, node: yaml.Node, what: str, keys: Sequence[str], required: Sequence[str]) -> dict[str, yaml.Node]:
        """The values of the known keys, after refusing the others and missing what is required."""
        if not self.is_a(node, yaml.MappingNode, what, "keys with values"):
            return {}
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                fields.setdefault(key.value, value)
            elif isinstance(key, yaml.ScalarNode):
                self.wrong(key, f"unknown key {key.value!r}; {_nearest(key.value, keys)}")
        for key in required:
            if key not in fields:
                self.wrong(node, f"{what} needs the key {key!r}")
        return fields

    def text(self, node: yaml.Node, key: str, *, expected: str = "text", also: Collection[str] = ()) -> str | None:
        """A text that is not blank; ``also`` names the plain kinds that are taken as they are written."""
        if not self.is_a(node, yaml.ScalarNode, key, expected):
            return None
        if node.tag and node.tag not in also:
            quote = "" if node.tag == "null" else f"; quote it: '{node.value}'"
            self.wrong(node, f"{key}: expected {expected}, got {_shown(node)}{quote}")
        elif not node.value.strip():
            self.wrong(node, f"{key}: expected {expected}, got nothing")
        else:
            return str(node.value)
        return None

    def label(self, node: yaml.Node, key: str) -> str | None:
        text = self.text(node, key)
        if text is None or len(_LINE_END.split(text)) == 1:
            return text
        self.wrong(node, f"{key}: expected one line")
        return None

    def integer(self, node: yaml.Node, key: str, least: int = 0, most: int = 10**9) -> int | None:
        expected = f"a whole number from {least} to {most}"
        if not self.is_a(node, yaml.ScalarNode, key, expected) or not isinstance(node, yaml.ScalarNode):
            return None
        number = re.fullmatch("-?(?:0|[1-9][0-9]{0,9})", node.value)
        if number and not node.style and least <= int(node.value) <= most:
            return int(node.value)
        unquote = "; remove the quotes" if number and node.style else ""
        self.wrong(node, f"{key}: expected {expected}, got {_shown(node)}{unquote}")
        return None

    def choice(self, node: yaml.Node, key: str, choices: Collection[str], what: str = "value") -> str | None:
        text = self.text(node, key)
        if text is None or text in choices:
            return text
        self.wrong(node, f"{key}: unknown {what} {text!r}; {_nearest(text, choices)}")
        return None

    def several(self, node: yaml.Node, key: str, read: Callable[[yaml.Node, str], str | None]) -> tuple[str, ...]:
        """A list of different texts, each read by ``read``."""
        values: dict[str, None] = {}
        if not self.is_a(node, yaml.SequenceNode, key, "a list, such as [a, b]"):
            return ()
        for item in node.value:
            value = read(item, key)
            if value is not None and value in values:
                self.wrong(item, f"{key}: {value!r} is listed twice")
            elif value is not None:
                values[value] = None
        return tuple(values)

    def parsed(self, node: yaml.Node, key: str, expected: str, parse: Callable[[str], Any]) -> Any:
        text = self.text(node, key, expected=expected, also=("int", "float", "timestamp"))
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            self.wrong(node, f"{key}: {error}")
            return None

    def duration(self, node: yaml.Node, key: str) -> Any:
        return self.parsed(node, key, "a length of time", lambda text: parse_duration(text, key))

    def instant(self, node: yaml.Node, key: str) -> Any:
        return self.parsed(node, key, "an instant", lambda text: print_instant(parse_instant(text)))

    def event_type(self, node: yaml.Node, key: str) -> str | None:
        return self.choice(node, key, self.event_types, "event type")

    def json_value(self, node: yaml.Node, key: str) -> Any:
        """What a JSON document would hold: YAML's other plain spellings are refused."""
        if isinstance(node, yaml.MappingNode):
            return {name.value: self.json_value(item, key) for name, item in node.value if hasattr(name, "style")}
        if isinstance(node, yaml.SequenceNode):
            return [self.json_value(item, key) for item in node.value]
        if not isinstance(node, yaml.ScalarNode) or _is_null(node):
            return None
        if not node.style and node.value in ("true", "false"):
            return node.value == "true"
        if not node.style and (number := _JSON_NUMBER.fullmatch(node.value)):
            return float(node.value) if number[1] or number[2] else int(node.value)
        return self.text(node, key, expected="what JSON knows", also=("timestamp",)) if node.value else ""

    # A policy's values

    def values(self, fields: dict[str, yaml.Node]) -> dict[str, Any]:
        readers: dict[str, Callable[[yaml.Node, str], Any]] = {
            "name": self.label, "description": self.text, "required_events": self.required_events,
            "alert_threshold": lambda node, key: self.integer(node, key, 1), "group_by": self.group_by,
            "where": self.condition, "controls": self.controls, "tests": self.tests,
            "coverage": lambda node, key: self.choice(node, key, ("required", "optional")),
            "severity": lambda node, key: self.choice(node, key, SEVERITIES),
        }  # fmt: skip
        values: dict[str, Any] = {}
        for key, node in fields.items():
            if key in ("where", "max_gap", "max_retention") and _is_null(node):
                values[key] = None
            else:
                values[key] = readers.get(key, self.duration)(node, key)
        for test in values.get("tests", ()):
            for missing in set(test.expect.get("missing", ())) - set(values.get("required_events") or ()):
                self.mistakes.append((test.line, 1, f"test {test.name!r}: {missing!r} is not among required_events"))
        return values

    def required_events(self, node: yaml.Node, key: str) -> tuple[str, ...]:
        if isinstance(node, yaml.SequenceNode) and not node.value:
            self.wrong(node, f"{key}: expected at least one event type, got an empty list")
        return tuple(sorted(self.several(node, key, self.event_type)))

    def group_by(self, node: yaml.Node, key: str) -> tuple[str, ...]:
        return self.several(node, key, lambda item, at: self.choice(item, at, GROUP_COLUMNS, "column"))

    def condition(self, node: yaml.Node, key: str) -> str | None:
        text = self.text(node, key, expected="a condition")
        if text is None:
            return None
        try:
            check_condition(text)
            return text.strip()
        except ConditionError as error:
            line, column = self.inside(node, error.offset)
            self.mistakes.append((line, column, f"{key}: {error}"))
            return None

    def inside(self, node: yaml.Node, offset: int | None) -> tuple[int, int]:
        """Where a character of a scalar's value is in the file; the scalar's start where that cannot be told.

        Folding and indentation change white space only, so the characters that are none can be counted.
        """
        line, column = node.start_mark.line, node.start_mark.column
        style = node.style if isinstance(node, yaml.ScalarNode) else None
        lines = self.lines[: node.end_mark.line + 1]
        if offset is None or (style == '"' and "\\" in "".join(lines[line:])):
            return line + 1, column + 1
        before = node.value[:offset].replace("'", "''") if style == "'" else node.value[:offset]
        start = (line + 1, 0) if style in ("|", ">") else (line, column + bool(style))
        visible = ((row, at) for row in range(line, len(lines)) for at, seen in enumerate(lines[row]) if seen.strip())
        places = (place for place in visible if place >= start)
        row, at = next(islice(places, len("".join(before.split())), None), (line, column))
        return row + 1, at + 1

    def controls(self, node: yaml.Node, key: str) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        if self.is_a(node, yaml.MappingNode, key, "frameworks, each with a list of controls"):
            for framework, ids in node.value:
                name = self.text(framework, key, also=("int", "float"))
                found[name or ""] = self.several(ids, key, lambda item, at: self.text(item, at, also=("int", "float")))
                if isinstance(ids, yaml.SequenceNode) and not ids.value:
                    self.wrong(ids, f"{key}: expected at least one control, got an empty list")
        return found

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
        fields = self.mapping(node, "a test", _TEST_KEYS, _TEST_KEYS[:3])
        name = self.label(fields["name"], "name") if "name" in fields else None
        as_of, since = (self.instant(fields[key], key) if key in fields else None for key in ("as_of", "since"))
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
        """One entry of a test's events: a single event, or as many as its ``count`` says."""
        fields = self.mapping(node, "an event", _EVENT_KEYS, ())
        found: dict[str, Any] = {}
        for key, short, read in (("event_type", "type", self.event_type), ("timestamp", "at", self.instant)):
            if isinstance(node, yaml.MappingNode) and (key in fields) == (short in fields):
                self.wrong(node, f"an event needs either {short!r} or {key!r}")
            for name in {key, short} & set(fields):
                found[key] = read(fields[name], name)
        for key in (name for name in fields if name in _TEXT_COLUMNS):
            found[key] = None if _is_null(fields[key]) else self.text(fields[key], key)
        for key in (name for name in fields if name in _JSON_COLUMNS):  # the column holds JSON text
            value = self.json_value(fields[key], key)
            found[key] = value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        count = self.integer(fields["count"], "count", 1, _MAX_TEST_EVENTS) if "count" in fields else 1
        every = self.duration(fields["every"], "every") if "every" in fields else Duration("", 0)
        if "every" in fields and "count" not in fields:
            self.wrong(fields["every"], "every: expected with 'count', which is missing")
        if "event_id" in fields and "count" in fields:
            self.wrong(fields["event_id"], "event_id: not with 'count': each event has an id of its own")
        self.test_events += count or 0
        if self.test_events > _MAX_TEST_EVENTS >= self.test_events - (count or 0):
            self.wrong(node, f"the tests of a policy have at most {_MAX_TEST_EVENTS:,} events in all")
        if found.get("timestamp") is None or every is None or count is None or self.test_events > _MAX_TEST_EVENTS:
            return []
        first, step = parse_instant(found["timestamp"]), timedelta(microseconds=every.microseconds)
        try:
            return [{**found, "timestamp": print_instant(first + step * number)} for number in range(count)]
        except OverflowError:
            self.wrong(node, "the last of these events would be after the year 9999")
            return []

    def expect(self, node: yaml.Node) -> dict[str, Any]:
        fields = self.mapping(node, "expect", ("status", "missing", *_EXPECT_COUNTS), ())
        if isinstance(node, yaml.MappingNode) and not node.value:
            self.wrong(node, "expect: expected at least one of status, missing, episodes, gaps, total, peak")
        found: dict[str, Any] = {key: self.integer(fields[key], key) for key in fields if key in _EXPECT_COUNTS}
        if "status" in fields:
            found["status"] = self.choice(fields["status"], "status", ("no_data", "violation", "compliant"))
        if "missing" in fields:
            found["missing"] = tuple(sorted(self.several(fields["missing"], "missing", self.event_type)))
        return found


def _plain_kind(value: str) -> str:
    """What YAML takes a plain scalar for, where that is not text: int, float, bool, null or timestamp."""
    kind = str(_RESOLVER.resolve(yaml.ScalarNode, value, (True, False))).rpartition(":")[2]  # type: ignore[no-untyped-call]
    return kind if kind in _PLAIN else ""


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "null"


def _shown(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        return "a list" if isinstance(node, yaml.SequenceNode) else "keys with values"
    value = node.value if len(node.value) <= 40 else f"{node.value[:40]}…"
    if not node.tag:
        return f"the text {value!r}"
    return "nothing" if node.tag == "null" else f"{value}, which YAML takes for {_PLAIN[node.tag]}"


def _nearest(word: str, words: Iterable[str]) -> str:
    """What may have been meant, as the end of a message."""
    known = sorted(words)
    close = get_close_matches(word[:64], known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
