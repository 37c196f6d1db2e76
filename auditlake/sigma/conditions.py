"""From the conditions of a rule to a condition over an event's columns.

Sigma compares texts whatever their case, knows true and false alone, and takes a list for each of its elements. SQL
does none of it, so each value becomes the comparison that means the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sigma import conditions as tree
from sigma import types
from sigma.exceptions import SigmaError

from auditlake.engine.characters import UNSEEN
from auditlake.engine.sql_text import literal
from auditlake.sigma.logic import ALWAYS, Comparison, Condition, Not, every, some
from auditlake.sigma.logsources import Fields, Spot
from auditlake.sigma.model import RefusedRule

_EXACT = 1 << 53
"""From where on a number with floating point is not exact."""
_MOST_IN = 4
"""With more values, DuckDB makes a join of ``in``, whose errors TRY does not catch."""
_ANY, _ONE = types.SpecialChars.WILDCARD_MULTI, types.SpecialChars.WILDCARD_SINGLE
_OPERATORS = {
    types.CompareOperators.LT: "<", types.CompareOperators.LTE: "<=", types.CompareOperators.GT: ">",
    types.CompareOperators.GTE: ">=", types.CompareOperators.NEQ: "=",
}  # fmt: skip
_SPECIAL = re.compile(r"[.*+?^$()\[\]{}|\\]")
_JOINED = r"\x1f"
_HIDDEN = re.compile(
    f"{UNSEEN.pattern[:-1]}\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2028\u2029\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
"""A character without a look of its own: also those that an expression may have, such as U+200B."""


class Converter:
    """Makes conditions of rules about one source.

    Args:
        fields: The fields of its events.
    """

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self.spots: dict[str, Spot] = {}
        """Where each field lies that any condition so far names."""

    def condition_of(self, rule: Any) -> Condition:
        """Return the condition of a rule: any of its conditions.

        Raises:
            RefusedRule: It has none in SQL.
        """
        try:
            return some(*(self._of(each.parsed) for each in rule.detection.parsed_condition))
        except SigmaError as error:
            raise RefusedRule(_one_line(error)) from error

    def field(self, name: str) -> Spot:
        """Return where a field lies, which from now on counts as named."""
        return self.spots.setdefault(name, self._fields.spot(name))

    def _of(self, node: Any) -> Condition:
        if isinstance(node, tree.ConditionAND):
            return every(*map(self._of, node.args))
        if isinstance(node, tree.ConditionOR):
            return some(*self._alternatives(node.args))
        if isinstance(node, tree.ConditionNOT):
            return Not(self._of(node.args[0]))
        if isinstance(node, tree.ConditionFieldEqualsValueExpression):
            return self._compared(node.field, node.value)
        if isinstance(node, tree.ConditionValueExpression):
            return _keyword(node.value)
        raise RefusedRule("a part of its condition is empty")

    def _alternatives(self, nodes: Iterable[Any]) -> Iterator[Condition]:
        """Yield alternatives, those that compare one field with texts together."""
        texts: dict[str, list[Any]] = {}
        for node in nodes:
            if isinstance(node, tree.ConditionFieldEqualsValueExpression) and _is_text(node.value):
                texts.setdefault(node.field, []).append(node.value)
            else:
                yield self._of(node)
        for name, values in texts.items():
            yield self._texts(name, values)

    def _compared(self, name: str, value: Any) -> Condition:
        """Return the comparison of a field with one value."""
        if _is_text(value):
            return self._texts(name, [value])
        if isinstance(value, types.SigmaExpansion):
            return some(*(self._compared(name, each) for each in value.values))
        if isinstance(value, types.SigmaFieldReference):
            return self._referenced(name, value)
        spot = self.field(name)
        if isinstance(value, types.SigmaNull):
            return Comparison(f"{spot.sql} is null", (name,), absent=True)
        if isinstance(value, types.SigmaExists):
            there = Comparison(spot.exists, (name,))
            return there if value else Not(there)
        if spot.listed:
            return Comparison(_in_list(spot, self._patterns(name, value)), (name,))
        if isinstance(value, types.SigmaCompareExpression) and value.op is types.CompareOperators.NEQ:
            return Not(self._compared(name, value.number))
        return Comparison(_plain(spot.sql, value), (name,))

    def _texts(self, name: str, values: Sequence[Any]) -> Condition:
        """Return that a field is one of these texts, which may have wildcards."""
        spot = self.field(name)
        if spot.listed:
            return Comparison(_in_list(spot, "|".join(map(_pattern, values))), (name,))
        cased = [each for each in values if isinstance(each, types.SigmaCasedString)]
        folded = [each for each in values if not isinstance(each, types.SigmaCasedString)]
        return some(
            *(Comparison(sql, (name,)) for sql in _text_tests(f"lower({spot.sql})", spot.sql, map(_lowered, folded))),
            *(Comparison(sql, (name,)) for sql in _text_tests(spot.sql, spot.sql, map(_parts, cased), "like")),
        )

    def _patterns(self, name: str, value: Any) -> str:
        """Return a regular expression for an element of a list."""
        if isinstance(value, types.SigmaBool):
            return str(value).lower()
        if isinstance(value, types.SigmaNumber) and not isinstance(value, types.SigmaTimestampPart):
            number = re.escape(str(value.number))
            return rf"{number}(?:\.0+)?" if isinstance(value.number, int) else number
        raise RefusedRule(f"{name} has several values, which can be compared with texts alone")

    def _referenced(self, name: str, value: Any) -> Condition:
        """Return the comparison of a field with another one."""
        spots = self.field(name), self.field(value.field)
        if any(spot.listed for spot in spots):
            raise RefusedRule(f"{name} and {value.field} cannot be compared: one of them has several values")
        left, right = (f"lower({spot.sql})" for spot in spots)
        call = {
            (False, False): "{} = {}", (True, False): "starts_with({}, {})", (False, True): "ends_with({}, {})",
            (True, True): "contains({}, {})",
        }[value.starts_with, value.ends_with]  # fmt: skip
        return Comparison(call.format(left, right), (name, value.field))


def _is_text(value: Any) -> bool:
    return isinstance(value, types.SigmaString)


def _plain(field: str, value: Any) -> str:
    """Return the comparison of a text with a value that is no text."""
    if isinstance(value, types.SigmaBool):
        return f"lower({field}) = '{str(value).lower()}'"
    if isinstance(value, types.SigmaTimestampPart):
        return f"date_part('{value.timestamp_part.name.lower()}', try_cast({field} as timestamptz)) = {value.number}"
    if isinstance(value, types.SigmaNumber):
        if abs(value.number) >= _EXACT:
            raise RefusedRule(f"the number {value.number} is too large to be exact; put it in quotes in the rule")
        return f"try_cast({field} as double) = {value.number}"
    if isinstance(value, types.SigmaCompareExpression):
        return f"try_cast({field} as double) {_OPERATORS[value.op]} {value.number.number}"
    if isinstance(value, types.SigmaRegularExpression):
        return f"regexp_matches({field}, {literal(_regex(value))})"
    if isinstance(value, types.SigmaCIDRExpression):
        return f"in_network({field}, {literal(str(value.network))})"
    raise RefusedRule(f"a value of the kind {type(value).__name__} has no condition in SQL")


def _keyword(value: Any) -> Condition:
    """Return that a value is anywhere in the event's details."""
    if isinstance(value, types.SigmaExpansion):
        return some(*map(_keyword, value.values))
    if isinstance(value, types.SigmaRegularExpression):
        return Comparison(f"regexp_matches(details, {literal(_regex(value))})", ("details",))
    if isinstance(value, types.SigmaNumber | types.SigmaBool):
        value = types.SigmaString(str(value).lower())
    if not _is_text(value):
        raise RefusedRule(f"a keyword of the kind {type(value).__name__} has no condition in SQL")
    is_cased = isinstance(value, types.SigmaCasedString)
    parts = [_ANY, *(_parts if is_cased else _lowered)(value), _ANY]
    # Details are JSON, in which some characters are spelled otherwise.
    spelled = [json.dumps(part, ensure_ascii=False)[1:-1] if isinstance(part, str) else part for part in parts]
    folded = "details" if is_cased else "lower(details)"
    (sql,) = _text_tests(folded, "details", [_merged(spelled)], "like" if is_cased else "ilike")
    return ALWAYS if sql == "details is not null" else Comparison(sql, ("details",))


# Texts


def _parts(value: Any) -> list[Any]:
    """Return the texts and wildcards of a value."""
    for part in value.s:
        if isinstance(part, types.Placeholder):
            raise RefusedRule(f"it needs the values of the placeholder %{part.name}%")
    return _merged(value.s)


def _merged(parts: Iterable[Any]) -> list[Any]:
    """Return parts with texts that follow each other as one, and runs of ``*`` as one of them."""
    found: list[Any] = []
    for part in parts:
        if found and isinstance(part, str) and isinstance(found[-1], str):
            found[-1] += part
        elif not (found and part is _ANY and found[-1] is _ANY):
            found.append(part)
    return found


def _lowered(value: Any) -> list[Any]:
    return [_lower(part) if isinstance(part, str) else part for part in _parts(value)]


def _lower(text: str) -> str:
    """Return a text in small letters as DuckDB has them: each letter for itself."""
    return "".join(small if len(small := each.lower()) == 1 else each for each in text)


def _text_tests(folded: str, plain: str, values: Iterable[list[Any]], like: str = "ilike") -> Iterator[str]:
    """Yield comparisons of a text with values.

    Args:
        folded: The text in the case of the values.
        plain: The text as it is.
        values: Of each value, its texts and wildcards.
        like: The operator for those with wildcards inside.
    """
    equal: list[str] = []
    others: dict[str, None] = {}
    for parts in values:
        texts = [part for part in parts if isinstance(part, str)]
        ends = (bool(parts) and parts[0] is _ANY, bool(parts) and parts[-1] is _ANY)
        if len(parts) <= 1 and not any(ends) and _ONE not in parts:
            equal.append(_spelled(texts[0] if texts else ""))
        elif parts == [_ANY]:
            others[f"{plain} is not null"] = None
        elif len(texts) == 1 and _ONE not in parts and len(parts) == 1 + sum(ends):
            call = {(True, True): "contains", (False, True): "starts_with", (True, False): "ends_with"}[ends]
            others[f"{call}({folded}, {_spelled(texts[0])})"] = None
        else:
            others[_wildcards(plain, like, parts)] = None
    if equal:
        listed = ", ".join(distinct := dict.fromkeys(equal))
        if len(distinct) > _MOST_IN:
            yield f"list_position([{listed}], {folded}) > 0"
        else:
            yield f"{folded} in ({listed})" if len(distinct) > 1 else f"{folded} = {listed}"
    yield from others


def _wildcards(plain: str, like: str, parts: Sequence[Any]) -> str:
    """Return that a text is a value with wildcards inside; a pattern of LIKE cannot have numbers of characters."""
    pattern = _like(parts)
    if not _HIDDEN.search(pattern):
        return f"{plain} {like} {literal(pattern)} escape '\\'"
    flags, text = "is" if like == "ilike" else "s", _regular(parts, {_ANY: ".*", _ONE: "."})
    return f"regexp_matches({plain}, {literal(_plainly(f'(?{flags})^{text}$'))})"


def _like(parts: Iterable[Any]) -> str:
    spelled = {_ANY: "%", _ONE: "_"}
    return "".join(re.sub(r"[\\%_]", r"\\\g<0>", part) if isinstance(part, str) else spelled[part] for part in parts)


def _in_list(spot: Spot, patterns: str) -> str:
    """Return that an element of a list, as whole, is one of these patterns."""
    return f"regexp_matches({spot.sql}, {literal(f'(?:^|{_JOINED})(?:{_plainly(patterns)})(?:{_JOINED}|$)')})"


def _pattern(value: Any) -> str:
    """Return the regular expression of one text for an element of a list."""
    text = _regular(_parts(value), {_ANY: rf"[^{_JOINED}]*", _ONE: rf"[^{_JOINED}]"})
    return text if isinstance(value, types.SigmaCasedString) else f"(?i:{text})"


def _regular(parts: Iterable[Any], wildcards: Mapping[Any, str]) -> str:
    """Return the regular expression of texts and wildcards."""
    return "".join(_SPECIAL.sub(r"\\\g<0>", part) if isinstance(part, str) else wildcards[part] for part in parts)


def _regex(value: Any) -> str:
    """Return the text of a regular expression with its flags."""
    return _plainly(str(value.escape((), escape_escape_char=False)))


def _plainly(pattern: str) -> str:
    """Return a regular expression with the numbers of characters that a reader would not see."""
    return _HIDDEN.sub(lambda unseen: rf"\x{{{ord(unseen[0]):x}}}", pattern)


def _spelled(text: str) -> str:
    """Return a text in SQL, with the numbers of characters that a reader would not see."""
    seen, unseen = _HIDDEN.split(text), _HIDDEN.findall(text)
    parts = [literal(seen[0])]
    for each, after in zip(unseen, seen[1:], strict=True):
        parts += [f"chr({ord(each)})", *([literal(after)] if after else [])]
    return " || ".join(parts)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
