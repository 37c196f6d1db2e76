"""What YAML files of a lake say, node by node: every mistake at once, each with its place in the file.

The text becomes a tree of YAML nodes, never of objects, and each value is read as what its key asks for: a plain
``no`` where text belongs is a mistake, not ``False``. Anchors, aliases and tags are refused.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from auditlake.disk.files import open_file
from auditlake.disk.layout import POLICY_ID
from auditlake.errors import MistakesError
from auditlake.events.durations import parse_duration
from auditlake.events.times import parse_instant, print_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

T = TypeVar("T")
_Mark = Any
EXPECTED_ID = "small letters, digits, _ and -, at most 64, the first a letter or digit"
MAX_BYTES = 1 << 20
_LARGE = Decimal(10**26)
_MAX_DEPTH = 32
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = yaml.resolver.Resolver()
_PLAIN = {"bool": "a truth value", "int": "a number", "float": "a number", "timestamp": "a date", "null": "nothing"}
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,199})(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def load_folder(
    folder: Path,
    what: str,
    load: Callable[[bytes, str, str], T],
    failure: type[MistakesError],
    *,
    hint: str,
    instead: Callable[[Path, MistakesError], T] | None = None,
    follow: bool = False,
    ahead: Callable[[list[bytes]], None] | None = None,
) -> list[T]:
    """Read every file ``*.yaml`` of a folder; folders within it are not looked into.

    Args:
        folder: The folder.
        what: What a file holds, for messages.
        load: Reads one, given its content, what to call it in messages, and its name without ``.yaml``.
        failure: What ``load`` raises.
        hint: What to do about mistakes.
        instead: What stands for a file that cannot be used; if None, any of them is an error.
        follow: Whether its files may be links: those of a lake may not.
        ahead: Given the content of all files that can be read, before any of them is loaded.

    Raises:
        MistakesError: As ``failure``, with every mistake of every file.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    except OSError as error:
        many = "policies" if what == "policy" else f"{what}s"
        raise failure((f"{folder}:1:1: the folder of {many} cannot be read: {error.strerror}",)) from error
    files = [(path, _content(path, what, failure, follow=follow)) for path in paths]
    if ahead is not None:
        ahead([content for _, content in files if isinstance(content, bytes)])
    contents: list[T] = []
    problems: list[str] = []
    for path, content in files:
        try:
            if not isinstance(content, bytes):
                raise content
            contents.append(load(content, str(path), path.stem))
        except MistakesError as error:
            if instead is not None:
                contents.append(instead(path, error))
            problems.extend(error.problems if instead is None else ())
    if problems:
        raise failure(tuple(problems), hint=hint)
    return contents


def _content(path: Path, what: str, failure: type[MistakesError], *, follow: bool) -> bytes | MistakesError:
    """Return what a file holds, or why it cannot be used."""
    problem = f"a {what}'s file name ends in .yaml; rename it to {path.stem}.yaml"
    if path.suffix == ".yaml":
        try:
            with open_file(path, within=None if follow else path.parent) as stream:
                return stream.read(MAX_BYTES + 1)
        except OSError as error:
            problem = f"the file cannot be read: {error.strerror}"
    return failure((f"{path}:1:1: {problem}",))


def digest_of(content: str | bytes) -> str:
    """Return ``sha256:`` and the hex digest of a file's bytes."""
    return f"sha256:{hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()}"


class _Refused(yaml.Node):
    """Stands where a value was refused already, so that nothing more is said about it."""


class Filled(yaml.ScalarNode):
    """A scalar in whose place another text was put: no character of it has a place in the file but its start."""


def filled(node: yaml.Node, value: object) -> yaml.Node:
    """Return a node with a value, None, a truth value, a number, a text or several, in the place of another one."""
    if isinstance(value, dict):
        pairs = [(filled(node, key), filled(node, each)) for key, each in value.items()]
        return yaml.MappingNode("", pairs, node.start_mark, node.end_mark)
    if isinstance(value, tuple | list):
        return yaml.SequenceNode("", [filled(node, each) for each in value], node.start_mark, node.end_mark)
    kinds = {bool: "bool", int: "int", Decimal: "float", type(None): "null"}
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Filled(kinds.get(type(value), ""), text, node.start_mark, node.end_mark)


def refused(node: yaml.Node) -> yaml.Node:
    """Return what stands in the place of a node about which a mistake was noted."""
    return _Refused("", None, node.start_mark, node.end_mark)


def plain(node: yaml.Node) -> Any:
    """Return a node without mistakes as JSON values: a file that holds these says the same."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    read: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "null": lambda _: None}
    if node.tag == "bool":
        return node.value == "true"
    return read.get(node.tag, str)(node.value)


class Reader:
    """Reads one file and collects its mistakes; a method that reads a value gives None where it noted one.

    Args:
        what: What the file holds, for messages.
        needs: The keys it must have.
        event_types: The event types that this lake knows.
    """

    in_use = False
    """Whether the file is in a lake already: then a condition that may fail on some events is no mistake."""
    is_later = False
    """Whether what only matters where a condition is carried into a query is found there."""

    def __init__(self, what: str, needs: Sequence[str], event_types: frozenset[str]) -> None:
        self.what = what
        self.needs = needs
        self.event_types = event_types
        self.mistakes: list[tuple[int, int, str]] = []
        self.lines: list[str] = []

    def problems(self, file: str) -> tuple[str, ...]:
        """Return every mistake noted, as ``file:line:column: message``, in the file's order."""
        return tuple(f"{file}:{line}:{column}: {what}" for line, column, what in sorted(set(self.mistakes)))

    def check_id(self, name: str) -> None:
        """Refuse a file whose name cannot be an id."""
        if not POLICY_ID.fullmatch(name):
            self.wrong(None, f"the file's name is the {self.what}'s id: expected {EXPECTED_ID}; got {name!r}")

    def wrong(self, at: yaml.Node | _Mark, message: str) -> None:
        """Note a mistake at a node."""
        mark = at.start_mark if isinstance(at, yaml.Node) else at
        self.mistakes.append((mark.line + 1, mark.column + 1, message) if mark is not None else (1, 1, message))

    def inside(self, node: yaml.Node, offset: int | None) -> tuple[int, int]:
        """Return where a character of a scalar is in the file; the scalar's start where that is unknown.

        Folding and indentation change white space only, so the characters that are none can be counted.
        """
        line, column = node.start_mark.line, node.start_mark.column
        style = node.style if isinstance(node, yaml.ScalarNode) else None
        lines = self.lines[: node.end_mark.line + 1]
        if offset is None or isinstance(node, Filled) or (style == '"' and "\\" in "".join(lines[line:])):
            return line + 1, column + 1
        before = node.value[:offset].replace("'", "''") if style == "'" else node.value[:offset]
        start = (line + 1, 0) if style in ("|", ">") else (line, column + bool(style))
        visible = ((row, at) for row in range(line, len(lines)) for at, seen in enumerate(lines[row]) if seen.strip())
        places = (place for place in visible if place >= start)
        row, at = next(islice(places, len("".join(before.split())), None), (line, column))
        return row + 1, at + 1

    # From bytes to nodes

    def decoded(self, content: str | bytes) -> str | None:
        """Return the file as text; None if it cannot be YAML."""
        data = content if isinstance(content, bytes) else content.encode(errors="surrogatepass")
        if len(data) > MAX_BYTES:
            self.wrong(None, "the file is larger than 1 MiB")
            return None
        try:
            text = data.decode().removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            self.wrong_after(data[: error.start].decode(), f"the file is not UTF-8 (byte 0x{data[error.start]:02x})")
            return None
        if match := _UNPRINTABLE.search(text):
            self.wrong_after(text[: match.start()], f"the character U+{ord(match[0]):04X} is not allowed in YAML")
            return None
        self.lines = _LINE_END.split(text)
        return text

    def wrong_after(self, text: str, message: str) -> None:
        """Note a mistake behind a text that the file begins with."""
        lines = _LINE_END.split(text)
        self.mistakes.append((len(lines), len(lines[-1]) + 1, message))

    def tree(self, text: str) -> yaml.Node | None:
        """Return the one document's node; None if the text is not YAML, or nothing."""
        roots: list[yaml.Node] = []
        try:
            self.compose(yaml.parse(text, Loader=_PARSER), roots)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            why = getattr(error, "problem", None) or "it cannot be read"
            hint = "; put a text with commas or brackets in quotes" if "or ']'" in why or "or '}'" in why else ""
            self.wrong(mark, f"this is not YAML: {why}{hint}")
            return None
        if not roots:
            self.wrong(None, f"the file is empty; a {self.what} needs {', '.join(self.needs)}")
        return roots[0] if roots else None

    def compose(self, events: Iterable[yaml.Event], roots: list[yaml.Node]) -> None:
        """Build the nodes of a stream of events."""
        opened: list[tuple[yaml.CollectionNode, list[yaml.Node]]] = []
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and roots:
                self.wrong(event.start_mark, f"a file holds one {self.what}; a second document begins here")
                return
            if isinstance(event, yaml.CollectionEndEvent):
                node, children = opened.pop()
                node.value = children
                if isinstance(node, yaml.MappingNode):
                    node.value = [*self.text_keys(zip(children[::2], children[1::2], strict=True))]
            elif isinstance(event, yaml.NodeEvent):
                new = self.node(event)
                (opened[-1][1] if opened else roots).append(new)
                if isinstance(new, yaml.CollectionNode):
                    opened.append((new, []))
                if len(opened) > _MAX_DEPTH:
                    mark: _Mark = event.start_mark
                    raise yaml.MarkedYAMLError(None, None, f"nested more than {_MAX_DEPTH} deep", mark)

    def node(self, event: yaml.NodeEvent) -> yaml.Node:
        """Return the node that an event begins."""
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

    def text_keys(self, pairs: Iterable[tuple[yaml.Node, yaml.Node]]) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """Yield the keys of a mapping with their values; refuse repeated ones, and leave out those that are no text."""
        lines: dict[str, int] = {}
        for key, value in pairs:
            if not self.is_a(key, yaml.ScalarNode, "a key", "text"):
                continue
            if key.value in lines:
                self.wrong(key, f"the key {key.value!r} is given twice, first in line {lines[key.value]}")
            lines.setdefault(key.value, key.start_mark.line + 1)
            yield key, value

    # From nodes to values

    def value(self, node: yaml.Node, key: str, schema: Mapping[str, Any]) -> Any:
        """Read a value as its schema says: the part of JSON Schema that the files of a lake need."""
        if nullable(schema) and is_null(node):
            return None
        if "enum" in schema:
            return self.choice(node, key, schema["enum"], schema.get("title", "value"))
        if schema["type"] == "integer":
            return self.integer(node, key, schema["minimum"], schema.get("maximum", 10**9))
        if schema["type"] == "number":
            return self.decimal(node, key, -_LARGE, _LARGE, 6)
        if schema["type"] == "array":
            item = schema["items"]
            if schema.get("minItems") and isinstance(node, yaml.SequenceNode) and not node.value:
                self.wrong(node, f"{key}: expected at least one {item['title']}, got an empty list")
            return self.several(node, key, lambda node, key: self.value(node, key, item))
        if "number" in schema["type"]:
            return self.name(node, key)
        formats = {"length": self.duration, "event type": self.event_type, "line": self.label}
        return formats.get(schema.get("format", ""), self.text)(node, key)

    def is_a(self, node: yaml.Node, kind: type[yaml.Node], key: str, expected: str) -> bool:
        """Return whether a node is of a kind, and note a mistake where it is not."""
        if isinstance(node, kind):
            return True
        if not isinstance(node, _Refused):
            self.wrong(node, f"{key}: expected {expected}, got {_shown(node)}")
        return False

    def mapping(self, node: yaml.Node, what: str, keys: Sequence[str], required: Sequence[str]) -> dict[str, yaml.Node]:
        """Return the values of known keys; note unknown keys, and required ones that are missing."""
        if not self.is_a(node, yaml.MappingNode, what, "keys with values"):
            return {}
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if key.value in keys:
                fields.setdefault(key.value, value)
            else:
                self.wrong(key, f"unknown key {key.value!r}; {nearest(key.value, keys)}")
        for key in required:
            if key not in fields:
                self.wrong(node, f"{what} needs the key {key!r}")
        return fields

    def text(self, node: yaml.Node, key: str, *, expected: str = "text", also: Collection[str] = ()) -> str | None:
        """Return a text that is not blank; ``also`` names the plain kinds that are taken as they are written."""
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
        """Return a text of one line."""
        text = self.text(node, key)
        if text is None or len(_LINE_END.split(text)) == 1:
            return text
        self.wrong(node, f"{key}: expected one line")
        return None

    def name(self, node: yaml.Node, key: str) -> str | None:
        """Return a text that may look like a number, as names and tickets do."""
        return self.text(node, key, also=("int", "float"))

    def integer(self, node: yaml.Node, key: str, least: int = 0, most: int = 10**9) -> int | None:
        """Return a whole number within bounds."""
        expected = f"a whole number from {least} to {most}"
        if not self.is_a(node, yaml.ScalarNode, key, expected) or not isinstance(node, yaml.ScalarNode):
            return None
        number = re.fullmatch("-?(?:0|[1-9][0-9]{0,9})", node.value)
        if number and not node.style and least <= int(node.value) <= most:
            return int(node.value)
        unquote = "; remove the quotes" if number and node.style else ""
        self.wrong(node, f"{key}: expected {expected}, got {_shown(node)}{unquote}")
        return None

    def decimal(self, node: yaml.Node, key: str, least: Decimal, most: Decimal, places: int) -> int | Decimal | None:
        """Return a number within bounds that has at most so many decimals; whole ones are ``int``."""
        expected = f"a number from {least} to {most} with at most {places} decimals"
        if not self.is_a(node, yaml.ScalarNode, key, expected) or not isinstance(node, yaml.ScalarNode):
            return None
        number = re.fullmatch(rf"-?(?:0|[1-9][0-9]{{0,30}})(\.[0-9]{{1,{places}}})?", node.value)
        if number and not node.style and least <= (value := Decimal(node.value)) <= most:
            whole = int(value)
            return whole if whole == value else Decimal(node.value.rstrip("0"))
        unquote = "; remove the quotes" if number and node.style else ""
        self.wrong(node, f"{key}: expected {expected}, got {_shown(node)}{unquote}")
        return None

    def choice(self, node: yaml.Node, key: str, choices: Collection[str], what: str = "value") -> str | None:
        """Return one of several texts."""
        text = self.text(node, key)
        if text is None or text in choices:
            return text
        self.wrong(node, f"{key}: unknown {what} {text!r}; {nearest(text, choices)}")
        return None

    def several(self, node: yaml.Node, key: str, read: Callable[[yaml.Node, str], str | None]) -> tuple[str, ...]:
        """Return a list of different texts, each read by ``read``."""
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
        """Return what a text is read as."""
        text = self.text(node, key, expected=expected, also=("int", "float", "timestamp"))
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            self.wrong(node, f"{key}: {error}")
            return None

    def duration(self, node: yaml.Node, key: str) -> Any:
        """Return a length of time, read as its key asks."""
        return self.parsed(node, key, "a length of time", lambda text: parse_duration(text, key))

    def instant(self, node: yaml.Node, key: str, read: Callable[[str], datetime] = parse_instant) -> Any:
        """Return an instant, spelled the one way."""
        return self.parsed(node, key, "an instant", lambda text: print_instant(read(text)))

    def day(self, node: yaml.Node, key: str) -> Any:
        """Return a date."""
        return self.parsed(node, key, "a date, such as 2026-11-30", _day)

    def flag(self, node: yaml.Node, key: str) -> bool | None:
        """Return a truth value, written plainly as true or false."""
        if isinstance(node, yaml.ScalarNode) and node.tag == "bool" and node.value in ("true", "false"):
            return bool(node.value == "true")
        self.is_a(node, _Refused, key, "true or false")
        return None

    def event_type(self, node: yaml.Node, key: str) -> str | None:
        """Return an event type that this lake knows."""
        return self.choice(node, key, self.event_types, "event type")

    def json_value(self, node: yaml.Node, key: str) -> Any:
        """Return what a JSON document would hold; YAML's other plain spellings are refused."""
        if isinstance(node, yaml.MappingNode):
            return {name.value: self.json_value(item, key) for name, item in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [self.json_value(item, key) for item in node.value]
        if not isinstance(node, yaml.ScalarNode) or is_null(node):
            return None
        if not node.style and node.value in ("true", "false"):
            return node.value == "true"
        if not node.style and (number := _JSON_NUMBER.fullmatch(node.value)):
            return float(node.value) if number[1] or number[2] else int(node.value)
        return self.text(node, key, expected="what JSON knows", also=("timestamp",)) if node.value else ""


def _day(text: str) -> date:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        with suppress(ValueError):  # a day that there is not
            return date.fromisoformat(text)
    raise ValueError(f"expected a date, such as 2026-11-30, got {text[:40]!r}")


def nullable(schema: Mapping[str, Any]) -> bool:
    """Return whether a schema takes null."""
    return "null" in schema.get("type", ())


def _plain_kind(value: str) -> str:
    """Return what YAML takes a plain scalar for, if not for text: int, float, bool, null or timestamp."""
    kind = str(_RESOLVER.resolve(yaml.ScalarNode, value, (True, False))).rpartition(":")[2]  # type: ignore[no-untyped-call]
    return kind if kind in _PLAIN else ""


def is_null(node: yaml.Node) -> bool:
    """Return whether a value is YAML's null."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "null"


def _shown(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        return "a list" if isinstance(node, yaml.SequenceNode) else "keys with values"
    value = node.value if len(node.value) <= 40 else f"{node.value[:40]}…"
    if not node.tag:
        return f"the text {value!r}"
    return "nothing" if node.tag == "null" else f"{value}, which YAML takes for {_PLAIN[node.tag]}"


def nearest(word: str, words: Iterable[str]) -> str:
    """Return what may have been meant, as the end of a message."""
    known = sorted(words)
    close = get_close_matches(word[:64], known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"


def near(word: str, words: Iterable[str]) -> str:
    """Return which name may have been meant, or all that there are, as the hint of an error."""
    known = sorted(words)
    close = get_close_matches(word[:64], known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known) or 'none'}"
