"""Mappings from YAML: every mistake at once, each with its place in the file (see yaml_reader)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import yaml

from auditlake.engine.expression_gate import Expression, ExpressionGate
from auditlake.engine.probe import ConditionError
from auditlake.engine.sql_text import literal
from auditlake.errors import MappingError
from auditlake.events.linear_regex import RegexError, linear_regex
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.sources.mappings.infallible import never_fails
from auditlake.sources.mappings.length import longest
from auditlake.sources.mappings.model import COLUMNS, SourceMapping
from auditlake.sources.mappings.names import ENVELOPE, ITEM, Place, Scope, place
from auditlake.sources.mappings.outline import parts_of, personal_places
from auditlake.sources.mappings.plain_keys import PLAIN, PlainKeys
from auditlake.sources.mappings.statement import ACTION, Event, Steps, cases, functions, mapping_statement, underivable
from auditlake.yaml_reader import digest_of

HINT = "correct every line listed; a mapping with errors is not used"
_OF_A_SOURCE = (
    "source", "title", "version", "match", "before", "read", "records", "leave_out", "inside", "each", "empty", "let",
    "skip", "texts", "require", "also", "personal", "fields", "tests", "pattern", "patterns", "columns", "delimiter",
    "preamble", "encoding",
    "year",
)  # fmt: skip
_OF_AN_EVENT = (*COLUMNS, "event_type", "metadata")
KEYS = (*_OF_A_SOURCE, *_OF_AN_EVENT)
"""Every key of a mapping's file."""
_REQUIRED = ("source", "match", "timestamp", "action", "event_type")
_TEXT_COLUMNS = ("event_id", "timestamp", "user_id", "action", "status", "session_id")
"""The columns in which an object or a list is a mistake of the record."""
EMPTY = ("text", "absent")
"""What an empty text in a record may count as."""
_WITH_SQL = (*_OF_AN_EVENT, "let", "skip", "also", "require")
"""The keys whose values are expressions."""
_MOST_EXPRESSIONS = 500
"""How many expressions a mapping may have: each takes some hundredths of a second to check."""
_FEW = 3
"""How many patterns are compared one by one; more of them are faster as one regular expression."""
_LONGEST = 400
"""How many times as long as a record all of its values together may be."""
_TEXT_OF = re.compile(r"'(?:[^']|'')*'|\btext_of\((\w+)\)")
"""Texts that are written out, in which nothing is to be replaced, and ``text_of`` of a column."""
_LET = re.compile("[a-z][a-z0-9_]{0,40}")
_METADATA = re.compile("[a-z][a-z0-9_]{0,40}")
_MORE_FUNCTIONS = frozenset((
    "instant_of_s", "instant_of_ms", "instant_of_us", "instant_of_ns", "parse_local", "parse_zoned",
    "named", "named_value", "any_of",
    "in_network", "ip_address", "address", "text_of", "array_to_string", "list_distinct", "replace",
    "regexp_replace", "list_value",
))  # fmt: skip
_OTHER_NAMES = {f"epoch_{unit}": f"instant_of_{unit}" for unit in ("s", "ms", "us", "ns")}


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


def load_match(condition: str) -> tuple[str, tuple[str, ...]]:
    """Return a condition of a mapping without mistakes over columns ``p1``, ``p2``, …, and their JSON paths."""
    scope = Scope()
    checked = _gate_of(scope).check(condition, tried=False)
    return _as_condition(checked), tuple(each.path for each in scope.places["p"])


def _gate_of(scope: Scope, lengths: Mapping[str, int] | None = None) -> ExpressionGate:
    known = {} if lengths is None else lengths
    gate = ExpressionGate(
        {}, what="expression", functions=_MORE_FUNCTIONS, aliases=_OTHER_NAMES, macros=functions(),
        prepare=scope.prepare, judge=lambda node: longest(node, known),
    )  # fmt: skip
    scope.columns = gate.columns
    return gate


def _as_condition(found: Expression) -> str:
    """Return an expression as a condition: of a field alone, that it is true."""
    is_field = found.node.get("class") == "COLUMN_REF" and found.type == "VARCHAR"
    return f"({found.spelling} = 'true')" if is_field else found.spelling


@dataclass
class _Draft:
    """One event of a mapping while its keys are read."""

    columns: dict[str, str] = field(default_factory=dict)
    misplaced: list[tuple[str, Place]] = field(default_factory=list)
    when: str = ""


class _Reader(PlainKeys):
    """Reads one mapping's file."""

    def __init__(self, what: str, needs: tuple[str, ...], event_types: frozenset[str], *, built_in: bool) -> None:
        super().__init__(what, needs, event_types)
        self._built_in = built_in
        self._scope = Scope()
        self._lengths: dict[str, int] = {}
        """How many times as long as a record the value of each ``let`` can be, by its column."""
        self._expressions = self._length = 0
        self._gate = _gate_of(self._scope, self._lengths)
        self._types: dict[str, None] = {}
        self._label = ""

    def mapping_of(self, content: str | bytes) -> SourceMapping | None:
        """Return the mapping; None if there was any mistake."""
        text = self.decoded(content)
        root = None if text is None else self.tree(text)
        if text is None or root is None:
            return None
        keys = self.mapping(root, "a mapping", KEYS, [key for key in _REQUIRED if key != "match"])
        self._gate.read(list(dict.fromkeys(text for key in _WITH_SQL if key in keys for text in _texts(keys[key]))))
        self._check_reading(root, keys)
        name = self._name(keys["source"]) if "source" in keys else None
        version = self.integer(keys["version"], "version", 1, 10_000) if "version" in keys else 1
        digest = digest_of(content)
        own = "" if self._built_in else f"@{digest.removeprefix('sha256:')[:12]}"
        self._label = f"{name}/{version}{own}"
        if "match" in keys:
            self._check_match(keys["match"])
        inside = tuple(self._inside(keys["inside"])) if "inside" in keys else ()
        each, list_steps = self._each(keys["each"]) if "each" in keys else ("", ())
        top = str(list_steps[0]) if list_steps else ""
        self._scope.enveloped, self._scope.itemised = bool(inside), bool(each)
        if "empty" in keys:
            self._scope.empty_is_absent = self.choice(keys["empty"], "empty", EMPTY) == "absent"
        lets = tuple(self._lets(keys["let"])) if "let" in keys else ()
        skips = tuple(self._conditions(keys["skip"], "skip")) if "skip" in keys else ()
        first = self._event({key: keys[key] for key in _OF_AN_EVENT if key in keys}, _Draft())
        if "texts" in keys:
            first.misplaced = self._texts(keys["texts"])
        requires = tuple(self._requires(keys["require"])) if "require" in keys else ()
        events = [first]
        if "also" in keys and self.is_a(keys["also"], yaml.SequenceNode, "also", "a list of further events"):
            events += [self._also(node, first) for node in keys["also"].value]
        if "personal" in keys:
            self._check_personal(keys["personal"], top)
        fields = dict(self._fields(keys["fields"])) if "fields" in keys else {}
        tests = tuple(self._tests(keys["tests"])) if "tests" in keys else ()
        if "leave_out" in keys:
            self._check_left_out(keys["leave_out"])
        for key in ("title", "before", "records"):
            if key in keys:
                self._check_simple(key, keys[key])
        if self.mistakes:
            return None
        steps = Steps(
            self._scope, lets, first.columns["action"],
            tuple(Event(each.columns, tuple(each.misplaced), each.when) for each in events), skips, inside, each, top,
            requires,
        )  # fmt: skip
        return SourceMapping(
            label=self._label, statement=mapping_statement(steps),
            paths=tuple(each.path for each in self._scope.places["p"]), event_types=tuple(self._types),
            skips=tuple(name for name, _ in skips), fields=fields, tests=tests, digest=digest, each=list_steps,
            events=len(events), underivable=underivable(steps),
        )  # fmt: skip

    def _check_match(self, node: yaml.Node) -> None:
        """Note what is wrong with it; :func:`load_match` compiles a condition when it is asked for."""
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._place(item, "match")
            if not node.value:
                self.wrong(node, "match: expected one field at least: every record has none")
            self.several(node, "match", self.text)
            return
        if isinstance(node, yaml.MappingNode):
            keys = self.mapping(node, "match", ("at_least", "of", "or"), ("at_least", "of"))
            most = len(self.several(keys["of"], "match", self.text)) if "of" in keys else 1
            if "at_least" in keys:
                self.integer(keys["at_least"], "at_least", 1, max(most, 1))
            if "or" in keys:
                self.several(keys["or"], "match", self.text)
            return
        scope, gate = self._scope, self._gate
        self._scope = Scope()
        self._gate = _gate_of(self._scope)
        self._condition(node, "match")
        if not self.mistakes and not self._scope.places["p"]:
            self.wrong(node, "match: expected a condition that names a field of the records")
        self._scope, self._gate = scope, gate

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
            if found and self._is_address(found):
                self._scope.addresses.add(f"let_{name}")
            self._lengths[f"let_{name}"] = max(1, longest(found.node, self._lengths)) if found else 1
            yield name, self._tried(found) if found else "null"

    def _conditions(self, node: yaml.Node, key: str) -> Iterator[tuple[str, str]]:
        if self.is_a(node, yaml.MappingNode, key, "names with conditions"):
            for name, condition in node.value:
                yield str(name.value), self._condition(condition, key)

    def _texts(self, node: yaml.Node) -> list[tuple[str, Place]]:
        """Return the fields in which an object or a list is a mistake of the record, each with its column."""
        found = []
        for text in self.several(node, "texts", self.text):
            spot = self._scope.column_of(text)
            if spot is None:
                self.wrong(node, f"texts: expected a field of a record, such as actor.id; got {text!r}")
            else:
                found.append((self._scope.column_for(spot), spot))
        return found

    def _check_personal(self, node: yaml.Node, top: str) -> None:
        keys = self.mapping(node, "personal", ("names", "traces", "nobody", "within"), ())
        for key, value in keys.items():
            if key == "nobody":
                self._regex(value, key)
            elif key == "within":
                self.several(value, key, self._regex)
            else:
                for text in self.several(value, key, self.text):
                    if personal_places([text], top) is None:
                        self.wrong(value, f"personal: expected a field of a record, such as actor.id; got {text!r}")

    def _regex(self, node: yaml.Node, key: str) -> str | None:
        """Return a regular expression that RE2 takes."""
        text = self.text(node, key)
        try:
            linear_regex(text or "")
            linear_regex(f"(?:{text or ''})|(?:{text or ''})")  # `nobody` becomes one of all sources
        except RegexError as error:
            self.wrong(node, f"{key}: not a regular expression that can be used: {error}")
        return text

    def _requires(self, node: yaml.Node) -> Iterator[tuple[str, str]]:
        """Yield what a record must have, each with its expression."""
        if self.is_a(node, yaml.MappingNode, "require", "names with expressions"):
            for name, value in node.value:
                found = self._value(value, f"require {name.value}")
                yield str(name.value), self._tried(found) if found else "null"

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
        sql = self._tried(found)
        if column == "ip_address":
            sql = sql if self._is_address(found) else f"ip_address({sql})"
        elif found.type.startswith("TIMESTAMP"):
            sql = f"try(strftime({found.spelling}, '%Y-%m-%d %H:%M:%S.%f'))"
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
            draft.columns["event_type"] = draft.columns.get("event_type", "null").replace(ACTION, f"({action})")
        return draft

    def _event_type(self, node: yaml.Node) -> str:
        if not self.is_a(node, yaml.SequenceNode, "event_type", "a list of types with conditions"):
            return "null"
        if not node.value:
            self.wrong(node, "event_type: expected one type at least: a record without one is no event")
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
        return self.text(node, key, also=PLAIN)

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
                sql.append(f"cast({self._tried(expression)} as varchar)" if expression else "null")
        if found:
            sql.append(cases(found))
        return f"coalesce({', '.join(sql)})" if len(sql) > 1 else (sql or ["cast(null as varchar)"])[0]

    def _metadata(self, node: yaml.Node) -> str:
        sure = True
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
                    sql = self._tried(found) if found else "null"
                    sure = sure and found is not None and found.type in ("VARCHAR", "BOOLEAN")
                    if found and found.type in ("DOUBLE", "FLOAT"):  # JSON knows neither NaN nor infinity
                        sql = f"case when isfinite({sql}) then {sql} end"
                    if found and found.spelling in self._scope.fields:
                        sql = self._scope.column_absent_if_empty(found.spelling)
                parts.append(f"{literal(f',{json.dumps(name)}:')} || to_json({sql})")
        sql = f"concat({', '.join(parts)}, '}}')"
        return sql if sure else f"try({sql})"

    # Expressions

    def _value(self, node: yaml.Node, key: str) -> Expression | None:
        """Return an expression, or the first of several that is not empty."""
        text = self.text(node, key, expected="an expression", also=PLAIN)
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
        first = {"class": "OPERATOR", "type": "OPERATOR_COALESCE", "children": [each.node for each in found]}
        return Expression(first, f"coalesce({', '.join(map(self._present, found))})", "VARCHAR")

    def _present(self, found: Expression) -> str:
        """Return an expression's text, null where it is empty."""
        if found.spelling in self._scope.fields:
            return self._scope.column_absent_if_empty(found.spelling)
        return f"nullif(cast({self._tried(found)} as varchar), '')"

    def _tried(self, found: Expression) -> str:
        """Return an expression that is null where it fails."""
        return found.spelling if never_fails(found.node, self._scope.columns) else f"try({found.spelling})"

    def _is_address(self, found: Expression) -> bool:
        """Return whether an expression gives an address or nothing, whatever the record holds."""
        if found.node.get("class") == "FUNCTION":
            return found.node["function_name"] in ("address", "ip_address")
        return found.node.get("class") == "COLUMN_REF" and found.spelling in self._scope.addresses

    def _condition(self, node: yaml.Node, key: str) -> str:
        text = self.text(node, key, expected="a condition", also=PLAIN)
        is_field = text is not None and place(text) is not None
        kind = "" if is_field else "BOOLEAN"
        found = None if text is None else self._expression(node, key, text, kind=kind)
        condition = _as_condition(found) if found else "false"
        if found is not None and condition == found.spelling and found.type != "BOOLEAN":
            self.wrong(node, f"{key}: a condition must be true or false, but this is {found.type}")
        return condition if found is None or never_fails(found.node, self._scope.columns) else f"try({condition})"

    def _expression(self, node: yaml.Node, key: str, text: str, offset: int = 0, kind: str = "") -> Expression | None:
        self._expressions += 1
        if self._expressions > _MOST_EXPRESSIONS:
            if self._expressions == _MOST_EXPRESSIONS + 1:
                self.wrong(node, f"{key}: a mapping has at most {_MOST_EXPRESSIONS} expressions; see lists of patterns")
            return None
        try:
            if (path := _path_of(text)) is not None:
                read = self._scope.reference(path.steps)
                (column,) = read["column_names"]
                found = Expression(read, column, self._scope.columns[column])
            else:
                found = self._gate.check(text, tried=not self._built_in, kind=kind if self._built_in else "")
                found = replace(found, spelling=_TEXT_OF.sub(_of_column, found.spelling))
            before, self._length = self._length, self._length + longest(found.node, self._lengths)
            if before <= _LONGEST < self._length:
                self.wrong(node, f"{key}: the values so far can be more than {_LONGEST} times as long as a record")
            return found
        except ConditionError as error:
            at = None if error.offset is None else error.offset + offset
            hint = ""
            if "syntax error" in str(error):
                hint = (
                    '; put a field whose name is a word of SQL or has odd characters in double quotes, as in "group".id'
                )
            if "has no end" in str(error) and isinstance(node, yaml.ScalarNode) and not node.style:
                hint = '; " #" begins a comment in YAML: put the value in quotes'
            line, column = self.inside(node, at)
            self.mistakes.append((line, column, f"{key}: {error}{hint}"))
        return None


def _of_column(match: re.Match[str]) -> str:
    return f"text_of_column({match[1]})" if match[1] else match[0]


def _path_of(text: str) -> Place | None:
    """Return the place in a record that an expression is, where it is nothing but that."""
    return place(text) if text not in ("true", "false", "null") else None


def _texts(node: yaml.Node) -> Iterator[str]:
    """Yield every text of a part of a file that may be an expression, or one of several between commas."""
    if isinstance(node, yaml.ScalarNode):
        parts = {node.value, *map(str.strip, parts_of(node.value))}
        yield from (part for part in parts if _path_of(part) is None)
    for value in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from _texts(value[1] if isinstance(value, tuple) else value)


def _any_pattern(patterns: tuple[str, ...]) -> str:
    """Return the condition that the action is one of these texts, in which ``*`` is any run of characters."""
    exact = [literal(pattern) for pattern in patterns if "*" not in pattern]
    runs = [pattern.split("*") for pattern in patterns if "*" in pattern]
    conditions = [f"{ACTION} in ({', '.join(exact)})"] if exact else []
    if len(runs) <= _FEW:
        conditions += [f"{call}({ACTION}, {literal(text)})" for call, text in filter(None, map(_call_for, runs))]
        runs = [run for run in runs if _call_for(run) is None]
    if runs:
        pattern = "|".join(".*".join(map(re.escape, run)) for run in runs)
        conditions.append(f"regexp_full_match({ACTION}, {literal(pattern)}, 's')")
    return f"({' or '.join(conditions) or 'false'})"


def _call_for(run: list[str]) -> tuple[str, str] | None:
    """Return the function and the text that say the same as a pattern, given as its parts; None if none does."""
    if len(run) == 3 and not run[0] and not run[2]:
        return "contains", run[1]
    if len(run) == 2 and not run[0]:
        return "ends_with", run[1]
    return ("starts_with", run[0]) if len(run) == 2 and not run[1] else None
