"""A first mapping from a sample of a log: what its fields are called tells what they may be."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from auditlake.events.event import is_address
from auditlake.events.times import parse_instant
from auditlake.sources.mappings.names import Place

_DEPTH = 4
_NAMES = {
    "event_id": "event_?id uuid _?document_id _id id insert_?id request_?id guid",
    "user_id": "user_?id user_?name user actor actor.id actor.email actor.login principal(email|id)? email login who"
    " remote_?user",
    "action": "action event_?name event_?type operation(name)? method(name)? verb activity command what type event"
    " (http_?|request_?)?method",
    "resource": "resource(_?(name|id))? object(_?id)? target(_?id)? path url repo(sitory)? (request_?)?uri",
    "status": "status outcome outcome.result result(_?status)? success ok",
    "session_id": "session_?id session",
}
"""What fields are called that fill a column, the most telling names first."""
_TIME = "timestamp @timestamp .*time(stamp)? .*_at published date created at ts when"
_EPOCHS = (("epoch_s", 1e9, 1e10), ("epoch_ms", 1e12, 1e13), ("epoch_us", 1e15, 1e16), ("epoch_ns", 1e18, 1e19))
"""Of each function, the numbers of the years 2001 to 2286 in its unit."""


def draft_mapping(name: str, records: Sequence[Mapping[str, Any]], *, wrapper: str = "", read: str = "json") -> str:
    """Return the text of a mapping to be finished by hand.

    Args:
        name: The source's name.
        records: Some records of the log, one at least.
        wrapper: The key under which its documents keep them; empty where they stand by themselves.
        read: How it is cut into records.
    """
    values: dict[str, list[Any]] = {}
    for record in records:
        for place, value in _fields(record, ()):
            values.setdefault(place, []).append(value)
    always = [place for place, found in values.items() if len(found) == len(records)]
    times = {place: expression for place in values if (expression := _time(place, values[place]))}
    timed = _best(_TIME, times) or next(iter(times), None)
    chosen = {column: _named(names, values) for column, names in _NAMES.items()}
    address = next((place for place, found in values.items() if all(map(_is_address, found))), None)
    top = [place for place in always if "." not in place and "[" not in place and not place.startswith('"')]
    action = chosen["action"]
    lines = [
        f"source: {name}",
        f"match: [{', '.join(top[:4] or map(_plain, always[:4]))}]   # fields of its records and of no other log",
        f"records: [{json.dumps(wrapper)}]   # where documents keep them" if wrapper else "",
        f"read: {read}" if read != "json" else "",
        "empty: absent   # an empty text counts as nothing" if any("" in each.values() for each in records) else "",
        _line("event_id", chosen["event_id"], "no field looks like an id: it is made from the record's bytes"),
        _line("timestamp", timed and times[timed], "no field looks like a time"),
        _line("user_id", chosen["user_id"], "no field looks like a person"),
        _line("action", action, "no field says what happened"),
        _line("resource", chosen["resource"], "no field says on what"),
        _line("ip_address", address, "no field is always an address"),
        _line("session_id", chosen["session_id"], "no field looks like a session"),
        _status(chosen["status"], values),
        "event_type:   # the first that holds; `auditlake docs events` lists the types",
    ]
    for value, number in Counter(map(str, values.get(action or "", ()))).most_common(12):
        lines.append(f"  # - TYPE: [{value}]   # {number} of {len(records)} records")
    lines += ["  - api_call: true"]
    people = [place for place in (chosen["user_id"], chosen["session_id"], address) if place]
    lines += [
        "personal:   # where people are named; erasure covers these places",
        f"  names: [{', '.join(map(_plain, people[:1]))}]",
    ]
    lines += [f"  traces: [{', '.join(map(_plain, people[1:]))}]"] if people[1:] else []
    used = {timed, *chosen.values(), address}
    rest = [place for place in values if place not in used]
    lines += ["# not used: " + ", ".join(rest[:20]) + (", …" if len(rest) > 20 else "")] if rest else []
    return "\n".join(line for line in lines if line) + "\n"


def _fields(value: Any, steps: tuple[str | int, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and len(steps) < _DEPTH:
        for key, item in value.items():
            if '"' not in key and "\\" not in key:
                yield from _fields(item, (*steps, key))
    elif isinstance(value, list) and value and isinstance(value[0], Mapping) and len(steps) < _DEPTH:
        yield from _fields(value[0], (*steps, 0))
    elif steps and value not in (None, ""):
        yield _written(steps), value


def _written(steps: tuple[str | int, ...]) -> str:
    return Place(steps).path.removeprefix("$").removeprefix(".")


def _plain(place: str) -> str:
    """Return a place as it stands in a list of YAML."""
    return f"'{place}'" if re.search(r'["\[]', place) else place


def _named(names: str, values: Mapping[str, Sequence[Any]]) -> str | None:
    """Return the field that is called like a column, of several that which most records have."""
    texts = [place for place, found in values.items() if not any(isinstance(each, list | dict) for each in found)]
    return _best(names, sorted(texts, key=lambda place: -len(values[place])))


def _best(names: str, places: Iterable[str]) -> str | None:
    """Return the best named place: the least deep, and by the order of the names."""
    bare = {place: place.replace('"', "") for place in places}
    for depth in range(_DEPTH):
        for name in names.split():
            pattern = re.compile(rf"(.*\.)?({name})", re.IGNORECASE)
            for place, text in bare.items():
                if text.count(".") == depth and pattern.fullmatch(text):
                    return place
    return None


def _time(place: str, values: Sequence[Any]) -> str:
    """Return the expression of a time, or an empty text if the values are none."""
    try:
        for value in values:
            parse_instant(value)
    except (ValueError, TypeError):
        numbers = [float(value) for value in values if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", str(value))]
        if len(numbers) == len(values):
            for function, least, most in _EPOCHS:
                if all(least <= number < most for number in numbers):
                    return f"{function}({place})"
        return ""
    return place


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and is_address(value)


def _line(column: str, value: str | None, otherwise: str) -> str:
    value = f"'{value}'" if value and value.startswith('"') else value
    return f"{column}: {value}" if value else f"# {column}:   # {otherwise}"


def _status(place: str | None, values: Mapping[str, Sequence[Any]]) -> str:
    if place is None:
        return "# status: [failure: …, success: true]   # no field says how it went"
    seen = ", ".join(sorted({str(value) for value in values[place]})[:6])
    return f"status: {place}   # better [success: {place} = '…', failure: …]; seen: {seen}"
