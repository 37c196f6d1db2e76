"""JSON by RFC 8259."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.sources import strictjson
from auditlake.sources.strictjson import nesting, repeated_key, why_not_json

VALID = [
    b"{}", b" [ ] ", b"null", b"-0", b"1E+2", b'"\\u0000"', b'"\\ud83d\\ude00"', b"1e400", b"-1e400",
    b"[1e-400, 1E+999]",
    b"1" + b"0" * 1000, b"-" + b"9" * 5000 + b".5", b'{"a": [1e400, "\\"1e400"]}', b'"' + b"[" * 600 + b'"',
    b"[" * 512 + b"]" * 512, "\u00e9".join('""').encode(),
]  # fmt: skip
INVALID = {
    b"": "empty",
    b" \n": "empty",
    b"NaN": "unexpected",
    b"[Infinity]": "unexpected",
    b"[1,]": "comma",
    b'{"a":1,}': "comma",
    b'{"a":1} x': "",
    b"01": "",
    b"+1": "",
    b'"\t"': "control character",
    b'"a\0"': "control character",
    b'"\\ud800"': "lone surrogate at character",
    b'"\xff"': "invalid UTF-8 at byte 1",
    b'"\xed\xa0\x80"': "invalid UTF-8",
    b"\xef\xbb\xbf{}": "",
    b"1e400 1e400": "",
    b"[1e400,]": "",
    b"01e400": "",
    b"--1e400": "",
    b"1e400.5": "",
    b"[1e400, NaN]": "",
    b'[1e400, "\\ud800"]': "lone surrogate",
    b"[" * 513 + b"]" * 513: "nested too deeply: 513 levels",
    b"[" * 1_000_000: "a bracket is not closed",
    b'[{"":' * 50_000: "a bracket is not closed",
}


@pytest.mark.parametrize("data", VALID, ids=lambda data: repr(data[:20]))
def test_valid(data: bytes) -> None:
    """Everything that RFC 8259 allows is JSON, numbers of any size included."""
    assert why_not_json(data) is None


@pytest.mark.parametrize("data", INVALID, ids=lambda data: repr(data[:20]))
def test_invalid(data: bytes) -> None:
    """Everything else is not, and the answer says why in one short line."""
    why = why_not_json(data)
    assert why
    assert INVALID[data] in why
    assert "\n" not in why
    assert len(why) < 120


def test_positions() -> None:
    """A message names the place."""
    assert re.search(r"at character 5$", why_not_json(b"[1, 2x]") or "")


@given(st.text(st.sampled_from('[]{}",:\\ 1e0.-+5tru'), max_size=30))
def test_as_python_has_it(text: str) -> None:
    """Python's parser, made strict, agrees on any text."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text.replace("9", "5"), parse_constant=refuse)
        valid = True
    except ValueError:
        valid = False
    assert (why_not_json(text.encode()) is None) == valid


@given(
    st.lists(st.sampled_from(["1e999", "-", "+", ".", "e", "0", "5", "1" * 400, "[", "]", ",", '"', " "]), max_size=8)
)
def test_large_numbers_change_nothing_else(parts: list[str]) -> None:
    """With numbers too large for a double, what is valid is still what Python's parser finds valid."""
    text = "".join(parts)
    try:
        json.loads(text, parse_int=len, parse_float=len)
        valid = True
    except ValueError:
        valid = False
    assert (why_not_json(text.encode()) is None) == valid


DEPTHS = {
    b"": 0, b"1": 0, b"[]": 1, b'{"a":[1,"]["]}': 2, b"]]][[": 2, b'"\\"[["': 0, b'"\\\\"[[': 2,
    b"[" * 1_000_000: 1_000_000,
}  # fmt: skip


@pytest.mark.parametrize("data", DEPTHS, ids=lambda data: repr(data[:20]))
@pytest.mark.parametrize("window", [1, 3, strictjson.WINDOW])
def test_depth(data: bytes, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Depth counts brackets outside strings, and does not recurse."""
    if len(data) > 1000 and window < 1000:
        return
    monkeypatch.setattr(strictjson, "WINDOW", window)
    assert nesting(data)[0] == DEPTHS[data]


KEYS = {
    b"{}": None,
    b'{"a":1,"b":1}': None,
    b'{"a":1,"A":2}': None,
    b'{"a":1,"a":1}': "a",
    b' {"b":1,"a":{"b":1,"b":2}}': None,
    b'{"x":1e400,"a":1,"y":' + b"9" * 5000 + b',"\\u0061":2}': "a",
    b'{"":1,"":2}': "",
    b'[{"a":1,"a":1}]': None,
    b"1": None,
}


@pytest.mark.parametrize("data", KEYS, ids=lambda data: repr(data[:20]))
def test_repeated_key(data: bytes) -> None:
    """A key twice at the top is found however it is written; one twice further down is the source's affair."""
    assert repeated_key(data) == KEYS[data]
