"""The keys of a mapping's file that hold no expressions: names, places, ways to read, tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from auditlake.sources.cutters.patterns import NAME, PatternError, compiled
from auditlake.sources.cutters.plain import ENCODINGS
from auditlake.sources.mappings.model import COLUMNS, MappingTest
from auditlake.sources.mappings.names import Place, list_path, place
from auditlake.sources.mappings.outline import SOURCE_NAME
from auditlake.yaml_reader import Reader, is_null

READS = ("json", "csv", "kv", "lines", "auditd", "otlp", "parquet")
"""How an input can be cut into records."""
_SELF_EVIDENT = frozenset({"lines", "auditd"})
"""The ways to read in which a record shows by itself whose it is, so that `match` may be left out."""
_ONLY_FOR = {
    "pattern": ("lines",), "patterns": ("lines",), "columns": ("csv",), "delimiter": ("csv",), "preamble": ("csv",),
    "year": ("lines",), "encoding": ("csv", "lines", "kv", "auditd"),
}  # fmt: skip
"""The keys that tell how to read, and the ways to read that they are for."""
PLAIN = ("int", "float", "bool", "timestamp")
"""What YAML takes some texts for that are written without quotes."""
_TESTED = (*COLUMNS, "event_type", "details", "metadata")


class PlainKeys(Reader):
    """Reads them, and notes what is wrong."""

    def _name(self, node: yaml.Node) -> str | None:
        name = self.label(node, "source")
        if name is not None and (not SOURCE_NAME.fullmatch(name) or name.partition(".")[0] == "auditlake"):
            expected = "small letters, digits, _ and ., the first a letter, and not auditlake"
            self.wrong(node, f"source: expected {expected}; got {name!r}")
        return name

    def _check_simple(self, key: str, node: yaml.Node) -> None:
        if key == "records":
            self.several(node, key, self.text)
        else:
            self.text(node, key, also=PLAIN)

    def _check_reading(self, root: yaml.Node, keys: Mapping[str, yaml.Node]) -> None:
        """Check how inputs are read, and what belongs to that."""
        node = keys.get("read")
        if isinstance(node, yaml.SequenceNode):
            reads = self.several(node, "read", self._way)
        else:
            reads = () if node is None else tuple(filter(None, [self._way(node, "read")]))
        reads = reads or ("json",)
        if "match" not in keys and keys and not _SELF_EVIDENT.issuperset(reads):
            self.wrong(root, "a mapping needs the key 'match'")
        if "lines" in reads and "pattern" not in keys:
            self.wrong(keys["read"], "read: lines needs the key 'pattern'")
        for key, ways in _ONLY_FOR.items():
            if key in keys and not set(ways) & set(reads):
                self.wrong(keys[key], f"{key}: only where read is {' or '.join(ways)}")
        own = dict(self._pieces(keys["patterns"])) if "patterns" in keys else {}
        if "pattern" in keys:
            node = keys["pattern"]
            for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
                self._check_pattern(each, "pattern", own)
            if isinstance(node, yaml.SequenceNode) and not node.value:
                self.wrong(node, "pattern: expected at least one pattern, got an empty list")
        if "columns" in keys:
            self.several(keys["columns"], "columns", self.text)
        if "delimiter" in keys:
            delimiter = self._written(keys["delimiter"])
            if delimiter is None or len(delimiter.encode()) != 1 or delimiter in '"\r\n':
                self.wrong(keys["delimiter"], "delimiter: expected one character of ASCII, such as ';' or \"\\t\"")
        if "preamble" in keys:
            self.integer(keys["preamble"], "preamble", 0, 1_000)
        if "encoding" in keys:
            self.choice(keys["encoding"], "encoding", ENCODINGS)
        if "year" in keys:
            self.integer(keys["year"], "year", 1970, 9998)

    def _way(self, node: yaml.Node, key: str) -> str | None:
        return self.choice(node, key, READS, "way to read")

    @staticmethod
    def _written(node: yaml.Node) -> str | None:
        """Return a text as it is written, blank or not."""
        return str(node.value) if isinstance(node, yaml.ScalarNode) else None

    def _pieces(self, node: yaml.Node) -> Iterator[tuple[str, str]]:
        """Yield the pieces that patterns may use; each is a pattern itself."""
        if not self.is_a(node, yaml.MappingNode, "patterns", "names with patterns"):
            return
        own = {str(name.value): str(written.value) for name, written in node.value}
        for name, written in node.value:
            if not NAME.fullmatch(str(name.value)):
                self.wrong(name, f"patterns: expected a name of capital letters, digits and _; got {name.value!r}")
            self._check_pattern(written, f"patterns {name.value}", own)
            yield str(name.value), str(written.value)

    def _check_pattern(self, node: yaml.Node, key: str, own: Mapping[str, str]) -> None:
        text = self.text(node, key, also=PLAIN)
        try:
            if text is not None:
                compiled(text, own)
        except PatternError as error:
            self.wrong(node, f"{key}: {error}")

    def _place(self, node: yaml.Node, key: str) -> Place | None:
        text = self.text(node, key)
        found = None if text is None else place(text)
        if text is not None and found is None:
            self.wrong(node, f"{key}: expected a field of a record, such as actor.id; got {text!r}")
        return found

    def _inside(self, node: yaml.Node) -> Iterator[Place]:
        for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if (found := self._place(item, "inside")) is not None:
                yield found

    def _each(self, node: yaml.Node) -> tuple[str, tuple[str | int, ...]]:
        """Return the JSON path of a list's elements, and the steps to them."""
        text = self.text(node, "each") or ""
        steps = [place(step) for step in text.removeprefix("$.").removesuffix("[*]").split("[*].")]
        if not text or None in steps:
            self.wrong(node, f"each: expected a list of a record, such as events or data[*].items; got {text!r}")
            return "", ()
        found = [step for step in steps if step is not None]
        path = "$" + "".join(f"{step.path.removeprefix('$')}[*]" for step in found)
        return path, tuple(each for step in found for each in (*step.steps, "*"))

    def _check_left_out(self, node: yaml.Node) -> None:
        if self.is_a(node, yaml.MappingNode, "leave_out", "what a document is, with the keys that mark it"):
            for _, marks in node.value:
                if not self.several(marks, "leave_out", self.text) and isinstance(marks, yaml.SequenceNode):
                    self.wrong(marks, "leave_out: expected at least one key")

    def _fields(self, node: yaml.Node) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield names of fields, each with the paths of its places."""
        if self.is_a(node, yaml.MappingNode, "fields", "names of fields with their places"):
            for name, where in node.value:
                if isinstance(where, yaml.SequenceNode):
                    found = self.several(where, "fields", self._list_path)
                else:
                    found = tuple(filter(None, [self._list_path(where, "fields")]))
                if isinstance(where, yaml.SequenceNode) and not where.value:
                    self.wrong(where, "fields: expected at least one field of a record, got an empty list")
                yield str(name.value), found

    def _list_path(self, node: yaml.Node, key: str) -> str | None:
        text = self.text(node, key)
        found = None if text is None else list_path(text)
        if text is not None and found is None:
            self.wrong(node, f"{key}: expected a field of a record, such as actor.id or target[*].id; got {text!r}")
        return found

    def _tests(self, node: yaml.Node) -> Iterator[MappingTest]:
        if not self.is_a(node, yaml.SequenceNode, "tests", "a list of tests"):
            return
        for item in node.value:
            keys = self.mapping(item, "a test", ("name", "record", "expect", "skipped", "quarantined"), ("record",))
            if sum(key in keys for key in ("expect", "skipped", "quarantined")) != 1:
                self.wrong(item, "a test needs one of expect, skipped and quarantined")
            line = item.start_mark.line + 1
            record = ""
            if "record" in keys:
                value = self.json_value(keys["record"], "record")
                record = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            plain = {
                key: self.text(keys[key], key, also=PLAIN) or ""
                for key in ("name", "skipped", "quarantined")
                if key in keys
            }
            expect = tuple(self._expected(keys["expect"])) if "expect" in keys else ()
            name = plain.pop("name", f"line {line}")
            yield MappingTest(name, record, expect, **plain, line=line)

    def _expected(self, node: yaml.Node) -> Iterator[Mapping[str, Any]]:
        for event in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            keys = self.mapping(event, "expect", _TESTED, ())
            yield {
                key: self.json_value(value, key)
                if key in ("details", "metadata")
                else (None if is_null(value) else self.text(value, key, also=PLAIN))
                for key, value in keys.items()
            }
