"""Mappings from YAML: every mistake at once, each with its place in the file (see yaml_reader)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from auditlake.engine.expression_gate import Expression, ExpressionGate
from auditlake.engine.probe import ConditionError
from auditlake.engine.sql_text import literal
from auditlake.errors import MappingError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.sources.mappings.model import COLUMNS, MappingTest, SourceMapping
from auditlake.sources.mappings.names import ENVELOPE, ITEM, Place, Scope, place
from auditlake.sources.mappings.outline import parts_of, personal_places
from auditlake.sources.mappings.statement import ACTION, Event, Steps, cases, functions, mapping_statement, underivable
from auditlake.yaml_reader import Reader, digest_of, is_null

HINT = "correct every line listed; a mapping with errors is not used"
SOURCE_NAME = re.compile(r"[a-z][a-z0-9_.]{0,63}")
"""What the name of a source looks like."""
READS = ("json", "csv", "kv", "lines", "auditd", "otlp", "parquet")
"""How an input can be cut into records."""

_OF_A_SOURCE = (
    "source", "title", "version", "match", "before", "read", "records", "leave_out", "inside", "each", "let", "skip",
    "also", "personal", "fields", "tests", "pattern", "patterns", "columns", "delimiter", "year",
)  # fmt: skip
_OF_AN_EVENT = (*COLUMNS, "event_type", "metadata")
KEYS = (*_OF_A_SOURCE, *_OF_AN_EVENT)
"""Every key of a mapping's file."""
_REQUIRED = ("source", "match", "timestamp", "action", "event_type")
_TEXT_COLUMNS = ("event_id", "timestamp", "user_id", "action", "status", "session_id")
"""The columns in which an object or a list is a mistake of the record."""
_PLAIN = ("int", "float", "bool", "timestamp")
_LET = re.compile("[a-z][a-z0-9_]{0,40}")
_METADATA = re.compile("[a-z][a-z0-9_]{0,40}")
_MORE_FUNCTIONS = frozenset((
    "instant_of_s", "instant_of_ms", "instant_of_us", "instant_of_ns", "parse_time", "named", "named_value", "any_of",
    "in_network", "ip_address", "array_to_string", "list_distinct", "replace", "regexp_replace", "list_value",
))  # fmt: skip
_OTHER_NAMES = {f"epoch_{unit}": f"instant_of_{unit}" for unit in ("s", "ms", "us", "ns")}
_TESTED = (*COLUMNS, "event_type", "details", "metadata")


def load_mapping(
    content: str | bytes, *, file: str, event_types: frozenset[str] = BUILT_IN_TYPES, built_in: bool = False
) -> SourceMapping:
    """Read one mapping.

    Args:
        content: The file.
        file: What to call it in messages.
        event_types: The event types that are known.
        built_in: Whether it ships with auditlake: then its version alone is its name in ``metadata.mapping``, and its
            expressions, which a test has tried, are not tried again.

    Raises:
        MappingError: With every mistake of the file, each ``file:line:column: message``, in the file's order.
    """
    reader = _Reader("mapping", _REQUIRED, event_types, built_in=built_in)
    mapping = reader.mapping_of(content)
    if mapping is None:
        raise MappingError(reader.problems(file), hint=HINT)
    return mapping


@dataclass
class _Draft:
    """One event of a mapping while its keys are read."""

    columns: dict[str, str] = field(default_factory=dict)
    misplaced: list[tuple[str, Place]] = field(default_factory=list)
    when: str = ""


class _Reader(Reader):
    """Reads one mapping's file."""

    def __init__(self, what: str, needs: tuple[str, ...], event_types: frozenset[str], *, built_in: bool) -> None:
        super().__init__(what, needs, event_types)
        self._built_in = built_in
        self._scope = Scope()
        self._gate = self._new_gate(self._scope)
        self._types: dict[str, None] = {}
        self._label = ""

    @staticmethod
    def _new_gate(scope: Scope) -> ExpressionGate:
        gate = ExpressionGate(
            {}, what="expression", functions=_MORE_FUNCTIONS, aliases=_OTHER_NAMES, macros=functions(),
            prepare=scope.prepare,
        )  # fmt: skip
        scope.columns = gate.columns
        return gate

    def mapping_of(self, content: str | bytes) -> SourceMapping | None:
        """Return the mapping; None if there was any mistake."""
        text = self.decoded(content)
        root = None if text is None else self.tree(text)
        if text is None or root is None:
            return None
        keys = self.mapping(root, "a mapping", KEYS, _REQUIRED)
        name = self._name(keys["source"]) if "source" in keys else None
        version = self.integer(keys["version"], "version", 1, 10_000) if "version" in keys else 1
        digest = digest_of(content)
        own = "" if self._built_in else f"@{digest.removeprefix('sha256:')[:12]}"
        self._label = f"{name}/{version}{own}"
        match, match_paths = self._match(keys["match"]) if "match" in keys else ((), ())
        inside = self._place(keys["inside"], "inside") if "inside" in keys else None
        each, list_steps = self._each(keys["each"]) if "each" in keys else ("", ())
        top = str(list_steps[0]) if list_steps else ""
        self._scope.enveloped, self._scope.itemised = inside is not None, bool(each)
        lets = tuple(self._lets(keys["let"])) if "let" in keys else ()
        skips = tuple(self._conditions(keys["skip"], "skip")) if "skip" in keys else ()
        first = self._event({key: keys[key] for key in _OF_AN_EVENT if key in keys}, _Draft())
        events = [first]
        if "also" in keys and self.is_a(keys["also"], yaml.SequenceNode, "also", "a list of further events"):
            events += [self._also(node, first) for node in keys["also"].value]
        if "personal" in keys:
            self._check_personal(keys["personal"], top)
        fields = dict(self._fields(keys["fields"])) if "fields" in keys else {}
        tests = tuple(self._tests(keys["tests"])) if "tests" in keys else ()
        for key in ("title", "before", "read", "pattern", "delimiter", "year", "records", "leave_out", "columns"):
            if key in keys:
                self._check_simple(key, keys[key])
        if self.mistakes:
            return None
        steps = Steps(
            self._scope, lets, first.columns["action"],
            tuple(Event(each.columns, tuple(each.misplaced), each.when) for each in events), skips, inside, each, top,
        )  # fmt: skip
        return SourceMapping(
            label=self._label, statement=mapping_statement(steps), match=match, match_paths=match_paths,
            paths=tuple(each.path for each in self._scope.places["p"]), event_types=tuple(self._types),
            skips=tuple(name for name, _ in skips), fields=fields, tests=tests, digest=digest, each=list_steps,
            events=len(events), underivable=underivable(steps),
        )  # fmt: skip

    # The keys of a source

    def _name(self, node: yaml.Node) -> str | None:
        name = self.label(node, "source")
        if name is not None and (not SOURCE_NAME.fullmatch(name) or name.partition(".")[0] == "auditlake"):
            expected = "small letters, digits, _ and ., the first a letter, and not auditlake"
            self.wrong(node, f"source: expected {expected}; got {name!r}")
        return name

    def _check_simple(self, key: str, node: yaml.Node) -> None:
        if key == "read":
            self.choice(node, key, READS)
        elif key == "year":
            self.integer(node, key, 1970, 9998)
        elif key in ("records", "columns", "leave_out") or (key == "pattern" and isinstance(node, yaml.SequenceNode)):
            self.several(node, key, self.text)
        else:
            self.text(node, key, also=_PLAIN)

    def _match(self, node: yaml.Node) -> tuple[tuple[str, ...] | str, tuple[str, ...]]:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._place(item, "match")
            return self.several(node, "match", self.text), ()
        scope, gate = self._scope, self._gate
        self._scope = Scope()
        self._gate = self._new_gate(self._scope)
        condition = self._condition(node, "match")
        paths = tuple(place.path for place in self._scope.places["p"])
        self._scope, self._gate = scope, gate
        return condition, paths

    def _place(self, node: yaml.Node, key: str) -> Place | None:
        text = self.text(node, key)
        found = None if text is None else place(text)
        if text is not None and found is None:
            self.wrong(node, f"{key}: expected a field of a record, such as actor.id; got {text!r}")
        return found

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

    def _lets(self, node: yaml.Node) -> Iterator[tuple[str, str]]:
        if not self.is_a(node, yaml.MappingNode, "let", "names with expressions"):
            return
        for key, value in node.value:
            name = str(key.value)
            if not _LET.fullmatch(name) or name in (ITEM, ENVELOPE):
                self.wrong(key, f"let: expected a name of small letters, digits and _; got {name!r}")
                continue
            found = self._value(value, f"let {name}")
            self._scope.lets.add(name)
            self._scope.columns[f"let_{name}"] = found.type if found else "VARCHAR"
            yield name, found.spelling if found else "null"

    def _conditions(self, node: yaml.Node, key: str) -> Iterator[tuple[str, str]]:
        if self.is_a(node, yaml.MappingNode, key, "names with conditions"):
            for name, condition in node.value:
                yield str(name.value), self._condition(condition, key)

    def _check_personal(self, node: yaml.Node, top: str) -> None:
        keys = self.mapping(node, "personal", ("names", "traces", "nobody", "within"), ())
        for key, value in keys.items():
            texts = [self.text(value, key)] if key == "nobody" else self.several(value, key, self.text)
            for text in filter(None, texts):
                if key in ("names", "traces"):
                    if personal_places([text], top) is None:
                        self.wrong(value, f"personal: expected a field of a record, such as actor.id; got {text!r}")
                    continue
                try:
                    re.compile(text)
                except re.error as error:
                    self.wrong(value, f"{key}: not a regular expression: {error}")

    def _fields(self, node: yaml.Node) -> Iterator[tuple[str, str]]:
        if self.is_a(node, yaml.MappingNode, "fields", "names of fields with their places"):
            for name, where in node.value:
                text = self.text(where, "fields")
                if text is not None and place(text.replace("[*]", "")) is None:
                    self.wrong(where, f"fields: expected a field of a record, such as actor.id; got {text!r}")
                yield str(name.value), text or ""

    # The keys of an event

    def _event(self, keys: Mapping[str, yaml.Node], draft: _Draft) -> _Draft:
        """Read the columns of an event into a draft that may have some already."""
        for column in COLUMNS:
            if column in keys:
                self._column(column, keys[column], draft)
        if "event_type" in keys:
            draft.columns["event_type"] = self._event_type(keys["event_type"])
        if "metadata" in keys:
            draft.columns["metadata"] = self._metadata(keys["metadata"])
        else:
            draft.columns.setdefault("metadata", literal(json.dumps({"mapping": self._label}, separators=(",", ":"))))
        return draft

    def _column(self, column: str, node: yaml.Node, draft: _Draft) -> None:
        if isinstance(node, yaml.SequenceNode):
            draft.columns[column] = self._choices(node, column)
            return
        found = self._value(node, column)
        if found is None:
            return
        sql = found.spelling
        if column == "ip_address":
            sql = f"ip_address({sql})"
        elif found.type.startswith("TIMESTAMP"):
            sql = f"strftime({sql}, '%Y-%m-%d %H:%M:%S.%f')"
        elif found.type != "VARCHAR":
            sql = f"cast({sql} as varchar)"
        draft.columns[column] = sql
        draft.misplaced = [each for each in draft.misplaced if each[0] != column]
        if column in _TEXT_COLUMNS and isinstance(node, yaml.ScalarNode):
            for part in parts_of(node.value):
                if (spot := self._scope.column_of(part)) is not None:
                    draft.misplaced.append((self._scope.places["p"][spot], spot))

    def _also(self, node: yaml.Node, first: _Draft) -> _Draft:
        keys = self.mapping(node, "also", ("when", *_OF_AN_EVENT), ("when", "event_id"))
        draft = _Draft(dict(first.columns), list(first.misplaced))
        if "when" in keys:
            draft.when = self._condition(keys["when"], "when")
        draft = self._event(keys, draft)
        if (action := draft.columns.get("action")) != first.columns.get("action"):
            draft.columns["event_type"] = draft.columns.get("event_type", "null").replace(ACTION, f"try({action})")
        return draft

    def _event_type(self, node: yaml.Node) -> str:
        if not self.is_a(node, yaml.SequenceNode, "event_type", "a list of types with conditions"):
            return "null"
        found: list[tuple[str, str]] = []
        for item in node.value:
            if not isinstance(item, yaml.MappingNode) or len(item.value) != 1:
                self.wrong(item, "event_type: expected a type with a condition, such as - login: [user.session.start]")
                continue
            ((name, condition),) = item.value
            kind = self.event_type(name, "event_type")
            self._types.setdefault(kind or "")
            if isinstance(condition, yaml.SequenceNode):
                patterns = self.several(condition, "event_type", self._pattern)
                found.append((_any_pattern(patterns), literal(kind or "")))
            else:
                found.append((self._condition(condition, "event_type"), literal(kind or "")))
        return cases(found)

    def _pattern(self, node: yaml.Node, key: str) -> str | None:
        return self.text(node, key, also=_PLAIN)

    def _choices(self, node: yaml.SequenceNode, key: str) -> str:
        """Return the SQL of a list of cases: ``name: condition``, or an expression where nothing before it held."""
        sql: list[str] = []
        found: list[tuple[str, str]] = []
        for item in node.value:
            if isinstance(item, yaml.MappingNode) and len(item.value) == 1:
                ((name, condition),) = item.value
                found.append((self._condition(condition, key), literal(str(name.value))))
            else:
                if found:
                    sql.append(cases(found))
                    found = []
                expression = self._value(item, key)
                sql.append(f"try(cast({expression.spelling} as varchar))" if expression else "null")
        if found:
            sql.append(cases(found))
        return f"coalesce({', '.join(sql)})" if len(sql) > 1 else (sql or ["cast(null as varchar)"])[0]

    def _metadata(self, node: yaml.Node) -> str:
        parts = [literal(json.dumps({"mapping": self._label}, separators=(",", ":"))[:-1])]
        if self.is_a(node, yaml.MappingNode, "metadata", "names with expressions"):
            for key, value in node.value:
                name = str(key.value)
                if not _METADATA.fullmatch(name) or name == "mapping":
                    self.wrong(key, f"metadata: expected a name of small letters, digits and _; got {name!r}")
                    continue
                if isinstance(value, yaml.SequenceNode):
                    sql = self._choices(value, f"metadata {name}")
                else:
                    found = self._value(value, f"metadata {name}")
                    sql = found.spelling if found else "null"
                parts.append(f"{literal(f',{json.dumps(name)}:')} || to_json(try({sql}))")
        return f"concat({', '.join(parts)}, '}}')"

    # Expressions

    def _value(self, node: yaml.Node, key: str) -> Expression | None:
        """Return an expression, or the first of several that is not empty."""
        text = self.text(node, key, expected="an expression", also=_PLAIN)
        if text is None:
            return None
        parts = parts_of(text)
        found: list[Expression] = []
        at = 0
        for part in parts:
            at = text.index(part, at)
            if (expression := self._expression(node, key, part.strip(), at + len(part) - len(part.lstrip()))) is None:
                return None
            found.append(expression)
            at += len(part)
        if len(found) == 1:
            return found[0]
        spelled = (f"nullif(cast(try({each.spelling}) as varchar), '')" for each in found)
        return Expression({}, f"coalesce({', '.join(spelled)})", "VARCHAR")

    def _condition(self, node: yaml.Node, key: str) -> str:
        text = self.text(node, key, expected="a condition", also=_PLAIN)
        found = None if text is None else self._expression(node, key, text)
        if found is not None and found.node.get("class") == "COLUMN_REF" and found.type == "VARCHAR":
            return f"({found.spelling} = 'true')"
        if found is not None and found.type != "BOOLEAN":
            self.wrong(node, f"{key}: a condition must be true or false, but this is {found.type}")
        return found.spelling if found else "false"

    def _expression(self, node: yaml.Node, key: str, text: str, offset: int = 0) -> Expression | None:
        path = place(text) if text not in ("true", "false", "null") else None
        try:
            return self._gate.check(path.sql if path else text, tried=not self._built_in)
        except ConditionError as error:
            at = None if error.offset is None else error.offset + offset
            hint = ""
            if "syntax error" in str(error):
                hint = (
                    '; put a field whose name is a word of SQL or has odd characters in double quotes, as in "group".id'
                )
            line, column = self.inside(node, at)
            self.mistakes.append((line, column, f"{key}: {error}{hint}"))
        return None

    # Tests

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
                key: self.text(keys[key], key, also=_PLAIN) or ""
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
                else (None if is_null(value) else self.text(value, key, also=_PLAIN))
                for key, value in keys.items()
            }


def _any_pattern(patterns: tuple[str, ...]) -> str:
    """Return the condition that the action is one of these texts, in which ``*`` is any run of characters."""
    exact = [literal(pattern) for pattern in patterns if "*" not in pattern]
    runs = [".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns if "*" in pattern]
    conditions = [f"{ACTION} in ({', '.join(exact)})"] if exact else []
    if runs:
        conditions.append(f"regexp_full_match({ACTION}, {literal('|'.join(runs))}, 's')")
    return f"({' or '.join(conditions) or 'false'})"
