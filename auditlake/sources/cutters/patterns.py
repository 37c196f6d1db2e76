"""Patterns of lines: RE2 regular expressions in which ``%{NAME}`` and ``%{NAME:group}`` stand for pieces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute

PIECES: Mapping[str, str] = {
    "SYSLOGTIME": r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +[0-9]{1,2} [0-9]{2}:[0-9]{2}:[0-9]{2}",
    "ISO8601": (
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
        r"(?: ?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?"
    ),
    "WORD": r"\w+",
    "NOTSPACE": r"\S+",
    "INT": r"[+-]?[0-9]+",
    "DATA": r".*?",
    "GREEDYDATA": r".*",
    "IP": (
        r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
        r"|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?(?:%[\w.-]+)?)"
    ),
    "QUOTED": r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""",
    "USER": r"[\w.@$+\\-]+",
    "HOST": r"[\w.:-]+",
    "UUID": r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
}
"""The pieces that every mapping knows."""
LINE = "line"
"""The field that is no group: the line."""
NAME = re.compile("[A-Z][A-Z0-9_]*")
"""What the name of a piece looks like."""
_USE = re.compile(r"%\{([^{}:]*)(?::([^{}]*))?\}")
_GROUP = re.compile(r"[A-Za-z]\w{0,60}", re.ASCII)
_MOST = 32_768


class PatternError(ValueError):
    """A pattern that is none, with the reason."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as RE2 takes it."""

    regex: str
    groups: tuple[str, ...]
    stamps: tuple[str, ...]
    """The groups that are stamps without a year."""


def compiled(pattern: str, own: Mapping[str, str]) -> Pattern:
    """Return a pattern with its pieces written out.

    Args:
        pattern: The pattern.
        own: Further pieces; one of a name that every mapping knows goes before that.

    Raises:
        PatternError: It is no pattern.
    """
    stamps: list[str] = []
    regex = _expanded(pattern, {**PIECES, **own}, (), stamps)
    try:
        kind = compute.extract_regex(pa.array([], pa.large_string()), regex).type
        compute.extract_regex(pa.array([""], pa.large_string()), regex)
    except pa.ArrowInvalid as error:
        why = str(error).removeprefix("Invalid regular expression: ")
        if "unnamed groups" in why:
            why = "a group has no name; write (?P<name>...), or (?:...) where it needs none"
        elif "invalid perl operator: (?" in why or "bad perl operator: (?" in why:
            why += " (RE2 has no look-ahead, look-behind, atomic groups or references)"
        raise PatternError(why) from error
    groups = tuple(kind.field(i).name for i in range(kind.num_fields))
    for group in groups:
        if not _GROUP.fullmatch(group) or group == LINE:
            raise PatternError(f"a group cannot be called {group!r}")
    twice = sorted({group for group in groups if groups.count(group) > 1})
    if twice:
        raise PatternError(f"the group {twice[0]!r} is there twice")
    return Pattern(regex, groups, tuple(stamps))


def _expanded(pattern: str, pieces: Mapping[str, str], within: tuple[str, ...], stamps: list[str]) -> str:
    parts: list[str] = []
    at = size = 0
    for use in _USE.finditer(pattern):
        name, group = use[1], use[2]
        if name not in pieces:
            known = ", ".join(sorted(pieces))
            raise PatternError(f"unknown piece %{{{name}}}; there are {known}")
        if name in within:
            raise PatternError(f"the piece %{{{name}}} stands in itself")
        if name == "SYSLOGTIME" and group:
            stamps.append(group)
        inner = _expanded(pieces[name], pieces, (*within, name), stamps)
        parts += [pattern[at : use.start()], f"(?P<{group}>{inner})" if group is not None else f"(?:{inner})"]
        at = use.end()
        size += len(inner)
        if size > _MOST:
            raise PatternError(f"it is longer than {_MOST} characters with its pieces written out")
    return "".join([*parts, pattern[at:]])
