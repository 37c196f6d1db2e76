"""Regular expressions of other people, by RE2: none takes longer than in proportion to the length of the text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

_GROUPS = 9
"""How many groups of an expression count."""
_REMEMBERED = 1 << 16
_SHORT = 256
"""How many characters a text has at most whose answer is remembered: names come again, and long texts take memory."""


class RegexError(ValueError):
    """An expression that RE2 does not take, with the reason."""


class LinearRegex:
    r"""An expression that a whole text fits, or not; :func:`linear_regex` makes one.

    Args:
        pattern: The expression, as DuckDB takes it: it has no references, no look-ahead and no look-behind.

    Raises:
        RegexError: RE2 does not take it.
    """

    def __init__(self, pattern: str) -> None:
        import pyarrow as pa
        from pyarrow import compute  # with DuckDB's own engine for them, and no connection to open

        regex = rf"\A(?:{pattern})\z"
        self._value = pa.scalar
        self._match = compute.get_function("match_substring_regex")
        self._replace = compute.get_function("replace_substring_regex")
        self._options = compute.MatchSubstringOptions(regex)
        self._parts: list[Any] = []
        try:
            self._match.call(
                [pa.scalar("")], compute.MatchSubstringOptions(pattern)
            )  # brackets that close by themselves
            self._fits("")
        except (pa.ArrowInvalid, UnicodeEncodeError) as error:
            raise RegexError(str(error).removeprefix("Invalid regular expression: ")) from error
        for group in range(1, _GROUPS + 1):
            options = compute.ReplaceSubstringOptions(regex, rf"\{group}")
            try:
                self._part("", options)
            except pa.ArrowInvalid:  # it has fewer
                break
            self._parts.append(options)
        self._remembered = lru_cache(_REMEMBERED)(self._fits)

    def fits(self, text: str) -> bool:
        """Return whether a text fits as a whole."""
        return self._remembered(text) if len(text) <= _SHORT else self._fits(text)

    def groups(self, text: str) -> Iterator[str]:
        """Yield what the groups hold in a text that fits, empty ones left out."""
        if self._parts and self.fits(text):
            yield from filter(None, (self._part(text, options) for options in self._parts))

    def _fits(self, text: str) -> bool:
        return bool(self._match.call([self._value(_valid(text))], self._options).as_py())

    def _part(self, text: str, options: Any) -> str:
        return str(self._replace.call([self._value(_valid(text))], options).as_py())


@cache
def linear_regex(pattern: str) -> LinearRegex:
    """Return an expression, made once.

    Raises:
        RegexError: RE2 does not take it.
    """
    return LinearRegex(pattern)


def _valid(text: str) -> str:
    """Return a text without halves of characters, which no UTF-8 has."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
