"""What an expression may be that people write in a file: one value over the columns of a row, and nothing else.

The text goes through gates, each of which refuses what it does not know:

1. lexical: length, nesting, comments, ``;``, parameters, prefixed strings, characters that are not what they seem;
2. DuckDB's own parser: exactly one statement that differs from the plain one in its ``where`` clause alone;
3. an allow-list over every node of that clause: kinds, operators, types and deterministic scalar functions;
4. DuckDB's binder, against an empty table of the row's columns: known names, fitting types;
5. a trial on odd values, for what fails beyond TRY (see probe).

Date parts and casts of ``timestamp`` depend on the session's time zone: the caller sets it to UTC.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from auditlake.engine import parse_tree
from auditlake.engine.characters import check_characters
from auditlake.engine.parse_tree import Node, bare, walk
from auditlake.engine.probe import ConditionError, check_runs
from auditlake.engine.sql_text import identifier

if TYPE_CHECKING:
    import duckdb

MAX_LENGTH = 4000
_MAX_DEPTH = 16  # sqlglot needs up to 43 of Python's 1,000 stack frames for each level
_PREFIX = "from events where "


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _table(text: str) -> dict[str, str]:
    """Return ``first: other, another; next: …`` as a table from every name to the first of its group."""
    groups = [re.split("[:,] *", group.strip()) for group in text.split(";")]
    return {name: names[0] for names in groups for name in names}


_KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "CONSTANT": ((), ("literal",)),
    "COLUMN_REF": ((), ("column_names",)),
    "COMPARISON": (("left", "right"), ()),
    "CONJUNCTION": (("children",), ()),
    "OPERATOR": (("children",), ()),
    "BETWEEN": (("input", "lower", "upper"), ()),
    "CASE": (("case_checks", "else_expr"), ()),
    "CAST": (("child",), ("try_cast", "type_expr")),
    "FUNCTION": (("arguments",), ("function_name", "qualified_name", "is_operator", "order_bys")),
    "LAMBDA": (("lhs", "expr"), ("syntax_type",)),
}
"""The kinds of node that may appear; of each, the fields that hold nodes, and those that are checked by hand."""

_OPERATORS = _names(
    "OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL COMPARE_IN OPERATOR_COALESCE OPERATOR_TRY ARRAY_EXTRACT"
)
_LITERALS = _names("STRING INTEGER NUMERIC BOOLEAN NULL_LITERAL")
_COMMON = _names("class type query_location query_location_length")

_CAST_TYPES = _table("""
    BOOLEAN: BOOL, LOGICAL; TINYINT: INT1; SMALLINT: INT2, SHORT; INTEGER: INT, INT4, SIGNED; BIGINT: INT8, LONG;
    HUGEINT: INT128; FLOAT: REAL, FLOAT4; DOUBLE: FLOAT8; DECIMAL: NUMERIC; VARCHAR: TEXT, STRING; DATE; TIME;
    TIMESTAMP: DATETIME; TIMESTAMP WITH TIME ZONE: TIMESTAMPTZ; INTERVAL; JSON
""")
"""The types that may be cast to, by each of their names."""

_ALIASES = _table("""
    strpos: instr, position; substring: substr; lower: lcase; upper: ucase; starts_with: ^@;
    length: len, char_length, character_length; string_split: str_split, string_to_array;
    ceil: ceiling; abs: @; %: mod; date_diff: datediff; date_sub: datesub; date_part: datepart; date_trunc: datetrunc;
    list_contains: list_has, array_has, array_contains; list_extract: array_extract; &&: list_has_any, array_has_any;
    ->>: json_extract_string, json_extract_path_text; json_extract: json_extract_path
""")
"""Other names of allowed functions: written either way, a condition comes out the same."""

FUNCTIONS = _names("""
    ~~ ~~* !~~ !~~* ~~~ like_escape ilike_escape regexp_matches regexp_full_match regexp_extract
    lower upper trim ltrim rtrim length strlen starts_with ends_with contains prefix suffix substring left right strpos
    split_part string_split reverse ascii concat concat_ws || nullif greatest least translate strip_accents md5 sha256
    + - * / // % abs sign floor ceil round trunc
    date_part year month day hour minute second dayofweek weekday isodow dayofyear week quarter dayname monthname
    last_day epoch epoch_ms date_trunc date_diff date_sub make_date
    to_seconds to_minutes to_hours to_days to_weeks to_months to_years
    ->> json_extract json_type json_exists json_array_length json_contains json_valid json_keys
    list_value list_contains list_position list_extract array_length &&
""")
"""The functions and operators that a condition may use: scalar, deterministic, and no longer in what they give than in
what they take. ``replace``, ``regexp_replace``, ``lpad``, ``repeat`` and ``format`` are left out: nested, they make
gigabytes of a line."""

_PATTERNS = {
    "~~": "LIKE", "!~~": "NOT LIKE", "~~*": "ILIKE", "!~~*": "NOT ILIKE", "~~~": "GLOB",
    "like_escape": "LIKE", "ilike_escape": "ILIKE",
    "regexp_matches": "regexp_matches", "regexp_full_match": "regexp_full_match", "regexp_extract": "regexp_extract",
}  # fmt: skip
_UNITS = _names("date_part date_trunc date_diff date_sub")
_PATHS = _names("->> json_extract json_type json_exists json_array_length json_keys")

_REASONS = {
    "SUBQUERY": "a subquery is not allowed; write a list of values as IN ('a', 'b')",
    "STAR": "* is not allowed; name one column",
    "COLLATE": "COLLATE is not allowed; use lower(…) or ILIKE",
}
_UNSTEADY = _names("""
    now today current_date current_time current_timestamp localtime localtimestamp get_current_timestamp
    transaction_timestamp random setseed uuid gen_random_uuid uuidv4 uuidv7 nextval currval current_user session_user
    user timezone age current_setting getvariable version current_schema current_schemas current_database
    current_catalog current_query txid_current getenv
""")
_ARROW_HINT = "-> binds more loosely than ->>, = and AND; put it in parentheses, as in (details -> '$.a')"


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that has passed the gates."""

    node: Node
    """DuckDB's syntax tree of it, with one spelling for each meaning."""
    spelling: str
    """The same in DuckDB's own normalised spelling, which alone is ever run."""
    type: str
    """DuckDB's name of its type."""


def _as_it_is(node: Node) -> Node:
    return node


class ExpressionGate:
    """Checks expressions over the columns of a row.

    Args:
        columns: The columns that an expression may name, in lower case, and their types in DuckDB.
        what: What an expression is called in messages.
        longest: How many characters it may have.
        functions: Functions that it may use beside :data:`FUNCTIONS`.
        aliases: Their other names.
        macros: The statements that define those that are not DuckDB's.
        prepare: Applied to what DuckDB's parser made of a text, before anything of that is checked.
        judge: Called with the tree of an expression in which all is allowed; raises ConditionError on what else is not.
    """

    def __init__(
        self,
        columns: Mapping[str, str],
        *,
        what: str = "condition",
        longest: int = MAX_LENGTH,
        functions: Iterable[str] = (),
        aliases: Mapping[str, str] | None = None,
        macros: tuple[str, ...] = (),
        prepare: Callable[[Node], Node] = _as_it_is,
        judge: Callable[[Node], object] = _as_it_is,
    ) -> None:
        self.columns = dict(columns)
        """The columns; more may be added."""
        self._what = what
        self._longest = longest
        self._a = f"an {what}" if what[0] in "aeiou" else f"a {what}"
        self._functions = FUNCTIONS.union(functions)
        self._aliases = _ALIASES if aliases is None else {**_ALIASES, **aliases}
        self._macros = macros
        self._prepare = prepare
        self._parsed: dict[str, Node] = {}
        self._ahead: dict[str, Expression] = {}
        self._judge = judge
        self._special = {
            "CONSTANT": self._constant, "COLUMN_REF": self._column, "FUNCTION": self._function,
            "CAST": self._cast, "LAMBDA": self._arrow, "OPERATOR": self._operator,
        }  # fmt: skip

    def read(self, texts: Sequence[str]) -> None:
        """Parse texts that are going to be checked, all at once: one by one takes several times as long."""
        trees = parse_tree.parse_all(self._connection, [_PREFIX + text for text in texts])
        self._parsed |= dict(zip(texts, trees, strict=True))

    def read_ahead(self, texts: Iterable[str]) -> None:
        """Parse, spell and bind texts that are going to be checked once, all at once. Any in which something is wrong,
        and all where they cannot be bound together, are left to their check.
        """
        import duckdb

        nodes: dict[str, Node] = {}
        with suppress(duckdb.Error, ConditionError, RecursionError):
            sound = list[str]()
            for text in texts:
                with suppress(ConditionError):
                    self._check_characters(text)
                    sound.append(text)
            trees = parse_tree.parse_all(self._connection, [_PREFIX + text for text in sound])
            for text, tree in zip(sound, trees, strict=True):
                with suppress(ConditionError, RecursionError):
                    nodes[text] = self._canonical(self._prepare(self._only(tree)))
            spellings = self.spell([*nodes.values()])
            row = ", ".join(f"cast(null as {kind}) as {identifier(name)}" for name, kind in self.columns.items())
            with self._connection.cursor() as cursor:
                bound = cursor.execute(f"select ({'), ('.join(spellings)}) from (select {row} limit 0)").description
            found = zip(nodes.items(), spellings, bound, strict=True)
            self._ahead = {text: Expression(node, spelling, str(kind[1])) for (text, node), spelling, kind in found}

    def check(self, text: str, *, tried: bool = True, kind: str = "") -> Expression:
        """Check an expression.

        Args:
            text: A SQL expression, such as ``status = 'failure'``.
            tried: Refuse also what fails on some rows in a way that TRY does not catch.
            kind: Its type, where that is known for sure; else DuckDB is asked.

        Raises:
            ConditionError: It is not one expression over the columns, or uses what is not allowed.
        """
        self._check_characters(text)
        ahead = self._ahead.pop(text, None)
        try:
            node = ahead.node if ahead else self.canonical(text)
            self._judge(node)
            spelling = ahead.spelling if ahead else self._spell(node)
            kind = kind or (ahead.type if ahead else self._type(node, spelling))
            if tried:
                columns = [(name, of) for name, of in self.columns.items() if name in spelling]
                check_runs(node, self.spell, self._connection, columns)
            return Expression(node, spelling, kind)
        except RecursionError:
            raise _error(None, f"the {self._what} is nested too deeply") from None
        except ConditionError as error:  # DuckDB counts bytes of the statement
            at = -1 if error.offset is None else error.offset - len(_PREFIX)
            error.offset = len(text.encode()[:at].decode(errors="ignore")) if 0 <= at <= len(text.encode()) else None
            raise

    def canonical(self, text: str) -> Node:
        """Return the tree of an expression, with one spelling for each meaning, if all of it is allowed."""
        return self._canonical(self._prepare(self._parse(text)))

    def spell(self, nodes: Sequence[Node]) -> list[str]:
        """Return DuckDB's spelling of each of several canonical trees, in one call."""
        spellings = parse_tree.spell_all(self._connection, [_statement(node) for node in nodes])
        return [self._condition_of(spelling) for spelling in spellings]

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return closed_connection(self._macros)

    # 1. Characters

    def _check_characters(self, text: str) -> None:
        check_characters(text, what=self._what, longest=self._longest, deepest=2 * _MAX_DEPTH)

    # 2. DuckDB's parser

    def _parse(self, text: str) -> Node:
        """Return the condition's node, if its statement differs from the plain one in nothing else."""
        return self._only(self._parsed.get(text) or parse_tree.parse(self._connection, _PREFIX + text))

    def _only(self, answer: Node) -> Node:
        if answer["error"]:
            raise _error(int(answer.get("position", -1)), _one_line(answer["error_message"]))
        condition = answer["statements"][0]["node"].get("where_clause")
        if condition is None or bare(answer) != bare(_statement(condition)):
            raise _error(None, f"{self._a} is one expression; no other clause or statement may follow it")
        return dict(condition)

    def _spell(self, node: Node) -> str:
        """Return DuckDB's own spelling of the node."""
        return self._condition_of(parse_tree.spell(self._connection, _statement(node)))

    def _condition_of(self, spelling: str) -> str:
        _, where, condition = spelling.partition(" FROM events WHERE ")
        if not where:
            raise _error(None, f"the {self._what} could not be written down again")
        return condition

    # 3. The allow-list

    def _canonical(self, node: Node, depth: int = 0) -> Node:
        """Return the node with one spelling for each meaning, after every part was found on the allow-list."""
        kind = str(node.get("class"))
        if depth > _MAX_DEPTH:
            raise _refuse(node, f"the {self._what} is nested more than {_MAX_DEPTH} deep")
        if kind not in _KINDS or (kind == "OPERATOR" and node["type"] not in _OPERATORS):
            what = str(node.get("type", kind)).removeprefix("OPERATOR_").replace("_", " ")
            raise _refuse(node, _REASONS.get(kind, f"{what} is not allowed in {self._a}"))
        children, details = _KINDS[kind]
        for key, value in node.items():
            if value and key not in (*_COMMON, *children, *details):  # what newer versions add may be there, and empty
                what = str(node.get("function_name", kind.lower()))
                raise _refuse(node, f"{what}: {key.replace('_', ' ')} is not allowed in {self._a}")
        node = dict(node)
        for field in children:
            node[field] = walk(node[field], lambda part, _: self._descend(part, depth + 1))
        return self._special[kind](node) if kind in self._special else node

    def _descend(self, value: Node, depth: int) -> Node:
        """Return the canonical form of a node, or of a record of nodes (an argument, a WHEN of CASE)."""
        if "class" in value:
            return self._canonical(value, depth)
        if value.get("name"):
            raise _error(None, f"a named argument ({value['name']}) is not allowed")
        return {key: walk(item, lambda part, _: self._descend(part, depth)) for key, item in value.items()}

    def _constant(self, node: Node) -> Node:
        kind, text = node["literal"]["kind"], node["literal"]["text"]
        if kind not in _LITERALS or set(node["literal"]) != {"kind", "text"}:
            raise _refuse(node, f"a constant of kind {kind} is not allowed")
        if kind in ("INTEGER", "NUMERIC"):
            text = text.replace("_", "")
            return _with_text(node, f"0{text}" if text.startswith(".") else text)
        return node

    def _column(self, node: Node) -> Node:
        names = [str(name).lower() for name in node["column_names"]]
        if len(names) > 1:
            raise _refuse(node, f"write the column alone, not as {'.'.join(names)}")
        if names[0] in _UNSTEADY:
            raise _refuse(node, self._unsteady(names[0]))
        if names[0] not in self.columns:
            raise _refuse(node, f"an event has no column {names[0]!r}{_nearest(names[0], self.columns)}")
        return {**node, "column_names": names}

    def _function(self, node: Node) -> Node:
        written = str(node["function_name"]).lower()
        name = self._aliases.get(written, written)
        if node["order_bys"].get("orders") or node["qualified_name"].get("path") != [node["function_name"]]:
            raise _refuse(node, f"{written} may only be called plainly, as {written}(…)")
        if name not in self._functions:
            if written in _UNSTEADY:
                raise _refuse(node, self._unsteady(written))
            plain = written[0].isalpha() or written[0] == "_"
            what = f"the function {written}()" if plain else f"the operator {written}"
            raise _refuse(node, f"{what} is not allowed in {self._a}{_nearest(written, self._functions)}")
        node = {**node, "function_name": name, "qualified_name": {"path": [name]}, "is_operator": not name[0].isalpha()}
        arguments = [argument["expression"] for argument in node["arguments"]]
        if name in _PATTERNS and any(argument["class"] != "CONSTANT" for argument in arguments[1:]):
            raise _refuse(node, f"the pattern of {_PATTERNS[name]} must be written out, not taken from an event")
        if name in _UNITS:
            arguments[0] = _unit(node, arguments)
        if name in _PATHS and (len(arguments) > 1 or name in ("->>", "json_extract")):
            if len(arguments) != 2:
                raise _refuse(node, f"{written} takes a value and one path")
            arguments[1] = _path(node, arguments[1])
        if name == "json_extract":
            return self._json_arrow(node, *arguments)
        if name == "+" and len(arguments) == 1:
            return dict(arguments[0])
        return {**node, "arguments": [{"name": "", "expression": argument} for argument in arguments]}

    def _json_arrow(self, node: Node, left: Node, right: Node) -> Node:
        """Return ``json_extract(a, 'p')`` as ``a -> 'p'``, which DuckDB's parser takes for a lambda."""
        place = {key: node[key] for key in ("query_location", "query_location_length")}
        kind = {"class": "LAMBDA", "type": "LAMBDA", "alias": "", "syntax_type": "SINGLE_ARROW"}
        return {**kind, **place, "lhs": left, "expr": right}

    def _arrow(self, node: Node) -> Node:
        """Return ``->`` of JSON: the parser takes it for a lambda unless it has a value and a constant path."""
        left, right = node["lhs"], node["expr"]
        if node["syntax_type"] != "SINGLE_ARROW":
            raise _refuse(node, "a lambda is not allowed")
        loose = left["class"] in ("COMPARISON", "CONJUNCTION", "BETWEEN") or left["type"] == "OPERATOR_NOT"
        if loose or right["class"] != "CONSTANT":
            raise _refuse(node, _ARROW_HINT)
        return {**node, "expr": _path(node, right)}

    def _cast(self, node: Node) -> Node:
        kind = node["type_expr"]
        written = str(kind.get("type_name", "")).upper()
        name, parts = _CAST_TYPES.get(written), kind.get("children", [])
        plain = kind["qualified_name"] == {"path": [kind["type_name"]]} and not kind["schema"] and not kind["catalog"]
        numbers = all(part["class"] == "CONSTANT" and part["literal"]["kind"] == "INTEGER" for part in parts)
        if name is None or not plain or bool(parts) != (name == "DECIMAL") or not numbers:
            what = f"{written.lower()}(…)" if parts else written.lower()
            raise _refuse(node, f"a cast to {what} is not allowed; use a plain type, such as DATE or DECIMAL(18, 3)")
        return {**node, "type_expr": {**kind, "type_name": name, "qualified_name": {"path": [name]}}}

    def _operator(self, node: Node) -> Node:
        """Return ``NOT (a IS NULL)`` as ``a IS NOT NULL``."""
        child = node["children"][0]
        if node["type"] == "OPERATOR_NOT" and child["type"] == "OPERATOR_IS_NULL":
            return {**child, "type": "OPERATOR_IS_NOT_NULL"}
        return node

    def _unsteady(self, name: str) -> str:
        return f"{name} is not allowed: {self._a} may not depend on the clock, on chance or on settings"

    # 4. DuckDB's binder

    def _type(self, node: Node, spelling: str) -> str:
        """Return the type of an expression, which must fit the columns."""
        import duckdb

        if node["class"] == "COLUMN_REF":
            return self.columns[node["column_names"][0]]
        words = set(re.findall(r"\w+", spelling))
        columns = (
            f"cast(null as {kind}) as {identifier(name)}" for name, kind in self.columns.items() if name in words
        )
        row = f"select {', '.join(columns) or 'null as nothing'} limit 0"
        with self._connection.cursor() as cursor:
            try:
                with suppress(
                    duckdb.Error
                ):  # a constant part may fail, which the next way leaves alone, and takes longer
                    return str(cursor.execute(f"select ({spelling}) as met from ({row})").description[0][1])
                return str(cursor.sql(row).project(f"({spelling}) as met").types[0])
            except duckdb.Error as error:
                raise _error(None, _one_line(str(error))) from None


def _error(offset: int | None, message: str) -> ConditionError:
    return ConditionError(message, offset)


@cache
def closed_connection(macros: tuple[str, ...]) -> duckdb.DuckDBPyConnection:
    """Open a database in memory, locked down, with nothing in it but these macros."""
    import duckdb

    closed = {"enable_external_access": False, "autoload_known_extensions": False, "python_enable_replacements": False}
    connection = duckdb.connect(config={**closed, "threads": 1})  # no thread of its own, for processes that fork
    for macro in macros:
        connection.execute(macro.replace(" temp macro ", " macro ", 1))  # every cursor is to have it
    connection.execute("set timezone = 'UTC'")
    connection.execute("set disabled_optimizers = 'common_subexpressions'")  # it pulls expressions out of TRY
    connection.execute("set lock_configuration = true")
    return connection


@cache
def _plain_statement() -> Node:
    return parse_tree.parse(closed_connection(()), _PREFIX + "true")


def _statement(condition: Node) -> Node:
    """Return the tree of the plain statement with another condition."""
    (plain,) = _plain_statement()["statements"]
    return {**_plain_statement(), "statements": [{**plain, "node": {**plain["node"], "where_clause": condition}}]}


def _refuse(node: Node, message: str) -> ConditionError:
    return _error(node.get("query_location"), message)


def _with_text(constant: Node, text: str, kind: str = "") -> Node:
    return {**constant, "literal": {"kind": kind or constant["literal"]["kind"], "text": text}}


def _unit(node: Node, arguments: list[Node]) -> Node:
    """Return the unit of ``date_part('HOUR', …)``, in lower case."""
    if not arguments or arguments[0]["class"] != "CONSTANT" or arguments[0]["literal"]["kind"] != "STRING":
        raise _refuse(node, f"{node['function_name']} takes its unit as a string, such as 'hour'")
    return _with_text(arguments[0], arguments[0]["literal"]["text"].lower())


def _path(node: Node, path: Node) -> Node:
    """Return a JSON path in full: ``'a'`` as ``'$.a'``, ``'a b'`` as ``'$."a b"'``, ``0`` as ``'$[0]'``."""
    kind, text = (path["literal"]["kind"], path["literal"]["text"]) if path["class"] == "CONSTANT" else ("", "")
    if kind == "INTEGER":
        return _with_text(path, f"$[#{text}]" if text.startswith("-") else f"$[{text}]", "STRING")
    if kind != "STRING" or not text:
        raise _refuse(node, "a JSON path must be written out, as in details ->> '$.a'")
    if text.startswith(("$", "/")):
        return path
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        return _with_text(path, f"$.{text}")
    if '"' in text or "\\" in text:
        raise _refuse(node, f"write the JSON path {text!r} in full, beginning with $")
    return _with_text(path, f'$."{text}"')


def _nearest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, [known for known in names if known[0].isalpha()], n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def _one_line(message: str) -> str:
    """Return DuckDB's message without its class and without the lines that show the statement."""
    first = next((line for line in message.splitlines() if line.strip()), "it could not be understood")
    return re.sub(r"^(?:[A-Z][A-Za-z ]+ Error: )+|\. You might .*$", "", first).strip().rstrip(".!")[:200]
