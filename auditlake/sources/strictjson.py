"""JSON by RFC 8259 to the letter, and where its brackets are.

DuckDB takes ``NaN`` for JSON, and a recursive parser fails on deep nesting; text that passes here is fit for both.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson

from auditlake.sources.model import MAX_DEPTH, NOT_JSON, TOO_DEEP, Bytes, Ints

WINDOW = 512 * 1024
"""How many bytes are scanned at a time: the columns of a window fit into the processor's cache, and stay small."""

_QUOTE, _BACKSLASH, _COMMA = 0x22, 0x5C, 0x2C
_TOKEN = np.isin(np.arange(256), list(b'"\\[]{},'))
_STEP = np.zeros(256, np.int64)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1

# orjson reads numbers as doubles and refuses those that do not fit. RFC 8259 sets no limit.
_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*+"|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?', re.DOTALL)
_PAIRS = json.JSONDecoder(object_pairs_hook=lambda pairs: pairs, parse_int=len, parse_float=len)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The brackets and commas outside strings in one window."""

    at: Ints
    """Where in the window."""
    kind: Bytes
    """Which byte."""
    depth: Ints
    """How many brackets are open after it; a closing one too many leaves it 0."""


class Scanner:
    """Finds structure in JSON text that comes in windows, without parsing it; no input can make it fail."""

    def __init__(self) -> None:
        self.depth = 0
        """How many brackets are open now."""
        self.in_string = False
        """Whether a string is open now."""
        self._escaped = False

    def feed(self, data: Bytes) -> Tokens:
        """Scan the next window."""
        at = np.flatnonzero(_TOKEN[data])
        kind = data[at]
        quote = kind == _QUOTE
        slash = kind == _BACKSLASH
        if self._escaped or slash.any():
            quote &= ~self._escapes(at, slash, len(data))
        inside = (np.cumsum(quote) + int(self.in_string)) & 1
        if len(inside):
            self.in_string = bool(inside[-1])
        # A real quote is no structure, whichever side of it counts as inside.
        ours = np.flatnonzero((inside == 0) & (kind != _QUOTE) & ~slash)
        at, kind = at[ours], kind[ours]
        depth = self.depth + np.cumsum(_STEP[kind])
        if len(depth):
            if depth.min() < 0:
                depth -= np.minimum(np.minimum.accumulate(depth), 0)
            self.depth = int(depth[-1])
        return Tokens(at, kind, depth)

    def _escapes(self, at: Ints, slash: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.bool_]:
        """Return which tokens are escaped: those right after an odd number of backslashes."""
        escaped = np.zeros(len(at), np.bool_)
        if self._escaped and len(at) and at[0] == 0:
            escaped[0] = True
        near = np.zeros(len(at), np.bool_)
        near[1:] = at[1:] - at[:-1] == 1
        # A run of backslashes starts at one that follows no other, or whose neighbour the last window used up.
        first = slash.copy()
        first[1:] &= ~(slash[:-1] & near[1:])
        if len(at) > 1 and escaped[0] and slash[0]:
            first[0], first[1] = False, slash[1]
        index = np.arange(len(at))
        start = np.maximum.accumulate(np.where(first, index, 0))
        odd = slash & ((index - start) % 2 == 0) & ~escaped
        escaped[1:] |= odd[:-1] & near[1:]
        self._escaped = bool(len(at) and odd[-1] and at[-1] == size - 1)
        return escaped


def nesting(data: bytes | memoryview) -> tuple[int, bool]:
    """Return how deep brackets are nested, and whether all of them (and the last string) are closed again."""
    scanner, deepest = Scanner(), 0
    view = np.frombuffer(data, np.uint8)
    for start in range(0, len(view), WINDOW):
        depth = scanner.feed(view[start : start + WINDOW]).depth
        deepest = max(deepest, int(depth.max(initial=0)))
    return deepest, scanner.depth == 0 and not scanner.in_string


def why_not_json(data: bytes) -> str | None:
    """Say why this is not one JSON value, in a few words with a position; None if it is one.

    Args:
        data: The bytes, which may be anything.

    >>> why_not_json(b'{"a": 1e400}')
    >>> why_not_json(b'[NaN]')
    'unexpected character, expected a JSON value at character 1'
    """
    if len(data) > MAX_DEPTH and data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        deepest, closed = nesting(data)
        if deepest > MAX_DEPTH and closed:
            return f"{TOO_DEEP}: {deepest} levels, at most {MAX_DEPTH} are allowed"
        if deepest > MAX_DEPTH:
            return "a bracket is not closed"
    why = _refusal(data)
    if why is not None and "infinity" in why:
        return _refusal(_NUMBER.sub(_tame, data))
    return why


def _refusal(data: bytes) -> str | None:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if not data.strip(b" \t\r\n"):
            return "empty"
        try:
            data.decode()
        except UnicodeDecodeError as bad:
            return f"invalid UTF-8 at byte {bad.start}"
        what = error.msg.partition(": line ")[0]
        return f"{'lone surrogate' if 'surrogate' in what else what} at character {error.pos}"
    return None


def _tame(match: re.Match[bytes]) -> bytes:
    """Replace a number that may be too large by a small one of the same form: errors around it stay errors."""
    text = match[0]
    if text[:1] == b'"' or len(text) < 4:
        return text
    return b"-1e5" if text[:1] == b"-" else b"1e5"


def repeated_key(data: bytes) -> str | None:
    """Return the first key that an object has twice at its top level, however it is escaped; None without one.

    Args:
        data: Valid JSON; of anything but an object the answer is None.

    >>> repeated_key(rb'{"a": 1, "b": 2, "\u0061": 3}')
    'a'
    """
    if data.lstrip()[:1] != b"{":
        return None
    seen: set[str] = set()
    for key, _ in _PAIRS.decode(data.decode()):
        if key in seen:
            return str(key)
        seen.add(key)
    return None


def why_not_an_object(data: bytes) -> tuple[str, str] | None:
    """Return the reason and detail why a record cannot be an event's JSON object; None if it can.

    >>> why_not_an_object(b"[]")
    ('not a JSON object', '')
    """
    if (problem := why_not_json(data)) is not None:
        return NOT_JSON, problem
    if not data.lstrip().startswith(b"{"):
        return "not a JSON object", ""
    if (key := repeated_key(data)) is not None:
        return "repeated key", key
    return None
