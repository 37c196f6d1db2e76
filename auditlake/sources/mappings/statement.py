"""The statement of a mapping: the steps of ``sql/sources/mapping.sql`` with what the mapping's file says filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby

from auditlake.engine.expression_gate import closed_connection
from auditlake.engine.sql_text import literal
from auditlake.engine.statements import statement, statements
from auditlake.sources.mappings.names import Place, Scope, absent_if_empty

ACTION = "mapped_action"
"""The column of the last step that holds the mapped action, which patterns of event types are compared with."""
_STEPS = "sources/mapping.sql"
_PATTERN = re.compile(r"regexp_matches\((?P<column>\w+), '(?P<pattern>(?:[^']|'')*)'\)")
_APART = re.compile(r"\(\?P?<|\\Q")
"""What a pattern has that cannot be one of several in another: names of groups, and text to the pattern's end."""
_MANY = 3
"""As many patterns in a row are looked for together first."""
_SLOT = re.compile(r"\bslot_[a-z_]+\b")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a record, as SQL over the columns of the last step."""

    columns: Mapping[str, str]
    """The value of each column, ``event_type`` and ``metadata`` among them."""
    misplaced: tuple[tuple[str, Place], ...] = ()
    """The columns that stand for a path and must be text, with their places in the record."""
    when: str = ""
    """The condition under which the record gives this event; empty: always."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What the steps of a mapping's statement are made of."""

    scope: Scope
    lets: tuple[tuple[str, str], ...]
    """Names and their expressions, in order."""
    action: str
    """The expression of the column ``action``, which conditions on the type of an event may read."""
    events: tuple[Event, ...]
    skips: tuple[tuple[str, str], ...]
    """Names and conditions of the records that are left out."""
    inside: tuple[Place, ...] = ()
    """Where the record is that lies in a field of another: the first of these fields that is there."""
    each: str = ""
    """The JSON path of the list of which each element gives an event; or empty."""
    each_top: str = ""
    """The field of the record that this list lies in."""
    requires: tuple[tuple[str, str], ...] = ()
    """What a record must have, and the expression that is null where it has it not."""
    marks: tuple[str, ...] = ()
    """Keys of which a record that has enough is itself, whatever lies in it."""
    enough: int = 0
    """How many of them are enough."""


@cache
def functions() -> tuple[str, ...]:
    """Return the statements that define the functions of mappings."""
    defined = (each.text for each in statements("sources/functions.sql").values())
    return (*defined, statement("ingest/numbers.sql", "values_as_they_are").text)


def mapping_statement(steps: Steps) -> str:
    """Return the statement that maps ``records``."""
    scope = steps.scope
    paths = _paths(scope.places["p"])
    if steps.inside:
        parts = [("opened", _unwrapped(steps)), ("parsed", _filled_slots("parsed_inside", paths=paths))]
    else:
        parts = [("opened", _filled_slots("opened")), ("parsed", _filled_slots("parsed", paths=paths))]
    last = "parsed"
    if scope.places["e"]:
        parts.append(("enveloped", _filled_slots("enveloped", paths=_paths(scope.places["e"]))))
        last = "enveloped"
    if steps.each:
        each = _filled_slots("itemised", paths=_paths(scope.places["i"]), each=literal(steps.each))
        parts.append(("itemised", each))
        parts.append(("joined", _reading("parsed", last, _filled_slots("joined"))))
        last = "joined"
    read = "nullif({}[{}], '') as {}" if scope.empty_is_absent else "{}[{}] as {}"
    numbered = [(origin, i, name) for origin in "pei" for i, name in enumerate(scope.places[origin].values(), 1)]
    named = [read.format(*each) for each in numbered]
    named += [
        f"nullif({origin}[{i}], '') as {absent_if_empty(name)}"
        for origin, i, name in numbered
        if name in scope.absent_if_empty
    ]
    parts.append(("named", _reading("parsed", last, _filled_slots("named", columns=_listed(named)))))
    last = "named"
    for number, calls in enumerate(_rounds(_calls(steps)), 1):
        columns = _listed(f"{sql} as {name}" for name, sql in calls.items())
        parts.append((f"called_{number}", _reading("named", last, _filled_slots("called", columns=columns))))
        last = f"called_{number}"
    if steps.each:
        parts.append(("around", _filled_slots("emptied", without=literal(f"{{{_key(steps.each_top)}:null}}"))))
    several = bool(steps.each) or len(steps.events) > 1
    selects = []
    for number, event in enumerate(steps.events):
        selects.append(_reading("called", last, _event(steps, event, number if several else None)))
    ctes = ",\n".join(f"{name} as (\n{text}\n)" for name, text in parts)
    return f"with {ctes}\n" + "\nunion all\n".join(selects)


def underivable(steps: Steps) -> frozenset[str]:
    """Return the columns that read what an event's ``details`` do not have; see :class:`SourceMapping`."""
    names = set(steps.scope.places["e"].values())
    if steps.each:
        names |= {name for place, name in steps.scope.places["p"].items() if place.steps[0] == steps.each_top}
    names |= {*map(absent_if_empty, names)}
    for name, sql in _calls(steps).items():
        if names & set(_NAME.findall(sql)):
            names.add(name)
    columns = ((column, sql) for event in steps.events for column, sql in event.columns.items())
    return frozenset(column for column, sql in columns if names & set(_NAME.findall(sql)))


def _calls(steps: Steps) -> dict[str, str]:
    """Return the columns that are expressions with a name, in order."""
    firsts: dict[str, str] = {}
    for columns, name in steps.scope.first_texts.items():
        firsts[f"{name}_there"] = f"coalesce({_listed(columns)})"
        firsts[name] = f"text_of_first({name}_there, [{_listed(columns)}])"
    return {**firsts, **{f"let_{name}": sql for name, sql in steps.lets}, ACTION: steps.action}


def _rounds(calls: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the same in rounds, each of which reads those before it: DuckDB plans few steps far quicker than many."""
    rounds: list[dict[str, str]] = []
    at: dict[str, int] = {}
    for name, sql in calls.items():
        at[name] = max((at[read] + 1 for read in _NAME.findall(sql) if read in at), default=0)
        if at[name] == len(rounds):
            rounds.append({})
        rounds[at[name]][name] = sql
    return rounds


def _event(steps: Steps, event: Event, number: int | None) -> str:
    text = {name: ACTION if sql == steps.action else sql for name, sql in event.columns.items()}
    if steps.each:
        numbered = f"item_number * {len(steps.events)} + {number}"
        around = "(select around.around from around where around.record = called.record)"
        details = (
            f'case when item is null then (select opened."text" from opened where opened.record = called.record) '
            f"else concat(left({around}, length({around}) - 1), case when {around} <> '{{}}' then ',' end, "
            f"'\"item\":', item, '}}') end"
        )
    else:
        numbered, details = "cast(null as bigint)" if number is None else str(number), '"text"'
    skipped = cases((condition, literal(name)) for name, condition in steps.skips)
    return _filled_slots(
        "mapped",
        number=numbered,
        details=details,
        skipped=skipped,
        unreadable="p is null" if steps.scope.places["p"] else "false",
        misplaced=_misplaced(event) if not steps.each else "cast(null as varchar)",
        missing=cases((f"{sql} is null", literal(f"{name} is missing")) for name, sql in steps.requires),
        applies=f"coalesce({event.when}, false)" if event.when else "true",
        **{**dict.fromkeys(_TEXTS, "cast(null as varchar)"), **text},
    )


_TEXTS = (
    "event_id", "event_type", "timestamp", "user_id", "action", "resource", "status", "metadata", "session_id",
    "ip_address",
)  # fmt: skip


def _unwrapped(steps: Steps) -> str:
    places, inside = steps.scope.places, steps.inside
    before = len(places["p"])
    keys = f"list_filter(json_keys(written), lambda key: key in ({_listed(map(literal, steps.marks))}))"
    itself = f"len({keys}) >= {steps.enough}" if steps.marks else "false"
    seen = [f"found[{before + i}]" for i in range(1, len(inside) + len(places["e"]) + 1)]
    return _filled_slots(
        "unwrapped",
        paths=_paths([*places["p"], *inside, *places["e"]]),
        inside=f"case when coalesce({_listed(seen[: len(inside)])}, null) is null then null when {itself} then null "
        f"else coalesce({_listed(seen[: len(inside)])}, null) end",
        may_have=" or ".join(f"{each} is not null" for each in seen),
        has=" or ".join(f"json_exists(written, {literal(place.path)})" for place in inside),
        field=cases((f"{each} is not null", literal(place.shown)) for each, place in zip(seen, inside, strict=False)),
    )


def _misplaced(event: Event) -> str:
    """Return why a record is refused in which an object or a list stands where text belongs.

    Few texts open with a bracket, so that the look at each of them is rare.
    """
    if not event.misplaced:
        return "cast(null as varchar)"
    columns, places = zip(*dict.fromkeys(event.misplaced), strict=True)
    kinds = f'try(json_type("text", {_paths(places)}))'
    texts = f"concat_ws(chr(10), '', {_listed(dict.fromkeys(columns))})"
    shown = _listed(literal(place.shown) for place in places)
    return f"case when regexp_matches({texts}, '\\n[\\[{{]') then misplaced({kinds}, [{shown}]) end"


def cases(choices: Iterable[tuple[str, str]]) -> str:
    """Return the SQL of the first value whose condition holds; each condition is tried already, if it can fail."""
    whens: list[str] = []
    for column, run in groupby(choices, lambda choice: _column_of_pattern(choice[0])):
        some = list(run)
        own = " ".join(f"when {condition} then {value}" for condition, value in some)
        if column and len(some) >= _MANY and (any_of := _any_of(tuple(condition for condition, _ in some))):
            own = f"when {any_of} then case {own} end"
        whens.append(own)
    return f"case {' '.join(whens)} end" if whens else "cast(null as varchar)"


def _column_of_pattern(condition: str) -> str:
    """Return the column that a condition looks for a pattern in, if it does nothing else; else an empty text."""
    match = _PATTERN.fullmatch(condition)
    return "" if match is None or _APART.search(match["pattern"]) else match["column"]


@lru_cache(maxsize=1024)
def _any_of(conditions: tuple[str, ...]) -> str:
    """Return the condition that one of several patterns is in a column: one look where most have none of them.

    It is empty where the patterns make one that RE2 does not take: together they may be too large.
    """
    import duckdb

    found = [match for match in map(_PATTERN.fullmatch, conditions) if match]
    patterns = "|".join(f"(?:{match['pattern']})" for match in found)
    try:
        closed_connection(()).cursor().execute(f"select regexp_matches('', '{patterns}')")
    except duckdb.Error:
        return ""
    return f"regexp_matches({found[0]['column']}, '{patterns}')"


def _filled_slots(name: str, **slots: str) -> str:
    text = statement(_STEPS, name).text
    body = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return _SLOT.sub(lambda match: slots[match[0].removeprefix("slot_")], body)


def _reading(step: str, other: str, text: str) -> str:
    """Return a step that reads another one than is written in it."""
    return text if step == other else re.sub(rf"\b(from|join) {step}\b", rf"\1 {other} as {step}", text)


def _paths(places: Iterable[Place]) -> str:
    return f"[{_listed([literal(place.path) for place in places])}]" if places else "['$']"


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(columns)


def _key(name: str) -> str:
    return '"' + name.replace('"', '\\"') + '"'
