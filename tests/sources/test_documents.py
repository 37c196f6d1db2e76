"""JSON documents as records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.sources.model import NOT_JSON, TOO_LONG, Damage
from auditlake.sources.split import split_documents
from auditlake.sources.strictjson import why_not_json
from tests.sources.pieces import SHARED, Pieces, Seen, seen

SIZES = (1, 2, 7, 64, 1 << 20)
SUITE = SHARED / "data" / "corpora" / "json-test-suite" / "test_parsing"

# What is in the stream: the records' raw bytes; and of each rejected one (its bytes, what the detail says).
CASES: dict[str, tuple[bytes, list[bytes], list[tuple[bytes, str]]]] = {
    "an object": (b'{"a": [1]}', [b'{"a": [1]}'], []),
    "an array": (b'[1, {"a":2} ,\n"x"]', [b"1", b'{"a":2}', b'"x"'], []),
    "an empty array": (b" [ \n] ", [], []),
    "nested arrays are one record": (b"[[1,2],[3]]", [b"[1,2]", b"[3]"], []),
    "Records": (b'{"Records":[{"a":1},{"b":[2]}]}', [b'{"a":1}', b'{"b":[2]}'], []),
    "Events after other keys": (b'{"NextToken": "]", "x": [1], "Events" : [ 5 ] }', [b"5"], []),
    "empty Records": (b'{"Records":[]}', [], []),
    "Records twice": (b'{"Records":[1],"Records":[2]}', [b"1", b"2"], []),
    "Records that is no array": (b'{"Records":{"a":[1]}}', [b'{"Records":{"a":[1]}}'], []),
    "Records deeper down": (b'{"a":{"Records":[1]}}', [b'{"a":{"Records":[1]}}'], []),
    "Records in a string": (b'{"a":",\\"Records\\":[1]"}', [b'{"a":",\\"Records\\":[1]"}'], []),
    "objects in an array are not unwrapped": (b'[{"Records":[1]}]', [b'{"Records":[1]}'], []),
    "several documents": (b'{"a":1}\n[2]\n\n3\n"x y"\n', [b'{"a":1}', b"2", b"3", b'"x y"'], []),
    "several wrappers": (b'{"Records":[1]}\n{"Records":[2]}', [b"1", b"2"], []),
    "a byte order mark": (b"\xef\xbb\xbf[1]", [b"1"], []),
    "escaped quotes and brackets": (b'["\\"]", "\\\\", "[{"]', [b'"\\"]"', b'"\\\\"', b'"[{"'], []),
    "nothing": (b"", [], [(b"", "empty")]),
    "white space": (b" \n\t", [], [(b"", "empty")]),
    "a byte order mark alone": (b"\xef\xbb\xbf", [], [(b"", "empty")]),
    "a comma too many": (b"[1,]", [b"1"], [(b"]", "after the last comma")]),
    "a value is missing": (b"[,1,,2]", [b"1", b"2"], [(b",", "before the comma"), (b",", "before the comma")]),
    "a comma is missing": (b"[1 true]", [b"1 true"], []),
    "closed by the wrong bracket": (b"[1}", [b"1"], [(b"}", "closes an array")]),
    "trailing garbage": (b"[1]x", [b"1", b"x"], []),
    "two documents on a line": (b'{"a":1} {"b":2}', [b'{"a":1}', b'{"b":2}'], []),
    "two arrays on a line": (b"[1][2,3]", [b"1", b"2", b"3"], []),
    "objects that touch": (b'{"a":{}}{"b":"}{"}{"c":3}', [b'{"a":{}}', b'{"b":"}{"}', b'{"c":3}'], []),
    "wrappers that touch": (b'{"Records":[1]}{"x":0,"Records":[2]}[3]', [b"1", b"2", b"3"], []),
    "byte order marks before documents": (
        b'\xef\xbb\xbf[1]\xef\xbb\xbf{"a":1}\n\xef\xbb\xbf\xef\xbb\xbf{"Records":[2]}\xef\xbb\xbf3\n\xef\xbb\xbf',
        [b"1", b'{"a":1}', b"2", b"3"],
        [],
    ),
    "garbage between documents": (b'{"a":1},{"b":2}', [b'{"a":1}', b",", b'{"b":2}'], []),
    "an array that is not closed": (b'[{"a":1},2', [b'{"a":1}', b"2"], [(b"[", "array is not closed")]),
    "a record that is not closed": (b'[{"a":1},{"b"', [b'{"a":1}'], [(b'{"b"', "bracket is not closed")]),
    "a string that is not closed": (b'[1,"b', [b"1"], [(b'"b', "string is not closed")]),
    "Records that is not closed": (b'{"Records":[1', [b"1"], [(b'{"Records":[', "array is not closed")]),
    "a wrapper that is not closed": (b'{"Records":[1]', [b"1"], [(b'{"Records":[]', "bracket is not closed")]),
    "a wrapper that is no JSON": (b'{"Records":[1],}', [b"1"], [(b'{"Records":[],}', "around the records")]),
    "a wrapper closed by the wrong bracket": (b'{"Records":[1]]', [b"1"], [(b'{"Records":[]]', "around the records")]),
    "a record that is not UTF-8": (b'["\xff",1]', [b"1"], [(b'"\xff"', "invalid UTF-8 at byte 1")]),
    "an object not UTF-8 around records": (
        b'{"\xff":1,"Records":[1]}',
        [b"1"],
        [(b'{"\xff":1,"Records":[]}', "UTF-8")],
    ),
    "good ones after a bad one": (b'}\n{"a":1}\n]]\n{"b":2}', [b"}", b'{"a":1}', b"]]", b'{"b":2}'], []),
}


def split(data: bytes, size: int = 1 << 25, max_record: int = 1 << 24) -> list[Seen]:
    """Cut it up, and check that places are right."""
    found = seen(split_documents(Pieces(data, size), max_record))
    for item in found:
        if item.reason != TOO_LONG and item.text is not None:
            assert data[item.offset : item.offset + len(item.raw)] == item.raw
        assert item.line == 1 + data[: item.offset].count(b"\n")
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_documents(name: str, size: int) -> None:
    """Records and rejected ones are the same however the stream is cut into chunks."""
    data, records, rejected = CASES[name]
    found = split(data, size)
    assert [item.raw for item in found if item.text is not None] == records
    bad = [item for item in found if item.text is None]
    assert [item.raw for item in bad] == [raw for raw, _ in rejected]
    for item, (_, detail) in zip(bad, rejected, strict=True):
        assert item.reason == NOT_JSON
        assert detail in item.detail


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(['"', "\\", '\\"', "[{", "]}", "Records"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
layouts = st.sampled_from([None, 0, 1, 3])


@given(
    st.lists(json_values, max_size=8),
    layouts,
    st.sampled_from(SIZES),
    st.sampled_from(["[%s]", '{"x":[1],"Records": [%s], "y":{}}']),
)
def test_elements_are_the_records(values: list[Any], indent: int | None, size: int, around: str) -> None:
    """Of any array, laid out in any way and read in any chunks, exactly the elements are records, byte for byte."""
    texts = [json.dumps(value, indent=indent, ensure_ascii=False) for value in values]
    data = (around % " ,\r\n".join(texts)).encode()
    found = split(data, size)
    assert [item.raw.decode() for item in found] == texts
    assert all(item.text is not None for item in found)


@given(
    st.lists(json_values, min_size=1, max_size=6),
    layouts,
    st.sampled_from(SIZES),
    st.sampled_from(["\n", "", " ", "\ufeff"]),
)
def test_concatenated_values_are_records(values: list[Any], indent: int | None, size: int, between: str) -> None:
    """Values one after another are records, on lines of their own or touching; of arrays their elements."""
    texts = [json.dumps(value, indent=indent) for value in values]
    expected: list[Any] = []
    for value in values:
        expected += value if isinstance(value, list) else [value]
    if between != "\n":  # numbers and strings need something that ends them
        texts = [
            text if isinstance(value, list | dict) else f"{text}\n" for text, value in zip(texts, values, strict=True)
        ]
    found = split(between.join(texts).encode(), size)
    wrapped = any(isinstance(value, dict) and isinstance(value.get("Records"), list) for value in values)
    assert wrapped or [json.loads(item.raw) for item in found] == expected


@given(
    st.text(st.sampled_from('[]{},:"\\ \n1ae'), max_size=40).map(str.encode) | st.binary(max_size=40),
    st.sampled_from(SIZES),
)
def test_any_bytes(data: bytes, size: int) -> None:
    """No input makes it fail, chunks do not matter, and what is not JSON never passes for JSON."""
    found = split(data, size)
    assert found == split(data)
    good = all(item.text is not None and why_not_json(item.raw) is None for item in found)
    if why_not_json(data.removeprefix(b"\xef\xbb\xbf")) is None:
        assert good
    elif good:
        assert len(found) != 1  # then it is several values


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_long_records(size: int) -> None:
    """A record over the limit is rejected with its length, and the others are records."""
    data = b'{"Records": [1,   "' + b"x" * 100 + b'"   , {"a":2}]}'
    found = split(data, size, max_record=30)
    assert [item.raw for item in found if item.text is not None] == [b"1", b'{"a":2}']
    (batchless,) = [item for batch in split_documents(Pieces(data, size), 30) for item in batch.rejected]
    assert (batchless.reason, batchless.length) == (TOO_LONG, 102)
    assert batchless.sha256 is not None


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_a_wrapper_after_long_keys(size: int) -> None:
    """Where what stands around the records is over the limit, that is rejected, and the records are not."""
    data = b'{"x":"' + b"x" * 100 + b'","Records":[1,2]}'
    found = split(data, size, max_record=40)
    assert [item.raw for item in found if item.text is not None] == [b"1", b"2"]
    assert [item.reason for item in found if item.text is None] == [TOO_LONG]


def test_a_broken_stream_leaves_a_record() -> None:
    """Damage is one more rejected record; an input that broke off at once is not called empty as well."""
    damage = Damage("truncated gzip", "")
    assert [item.reason for item in seen(split_documents(Pieces(b"", 9, damage)))] == ["truncated gzip"]
    assert [item.reason for item in seen(split_documents(Pieces(b"[1,2", 9, damage)))] == [
        "",
        "",
        NOT_JSON,
        "truncated gzip",
    ]


def test_without_wrappers() -> None:
    """A source that wraps nothing keeps an object whole, whatever its keys."""
    data = b'{"Records":[1]}'
    assert [item.raw for item in seen(split_documents(Pieces(data), wrappers=()))] == [data]


def suite() -> list[Path]:
    return sorted(SUITE.glob("*.json")) if SUITE.is_dir() else []


@pytest.mark.skipif(not suite(), reason="JSONTestSuite is not on this machine")
@pytest.mark.parametrize("size", [1, 64, 1 << 25])
def test_json_test_suite(size: int) -> None:
    """All of JSONTestSuite: nothing invalid passes, nothing valid is called invalid, nothing makes it fail."""
    wrong = []
    for path in suite():
        data = path.read_bytes()
        found = seen(split_documents(Pieces(data if size > 1 else data[:2000], size)))
        invalid = any(item.reason == NOT_JSON or (item.text is not None and why_not_json(item.raw)) for item in found)
        verdict = path.name[:2]
        if (verdict == "n_" and not invalid) or (verdict == "y_" and invalid):
            wrong.append(path.name)
    # Several values one after another are several records.
    assert set(wrong) == {"n_structure_double_array.json", "n_structure_object_with_trailing_garbage.json"}
    assert len(suite()) == 318


@pytest.mark.parametrize("name", CASES)
def test_small_windows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a chunk is scanned in many windows and given out in many batches, the records are the same."""
    data = CASES[name][0]
    expected = split(data)
    for window, records in ((1, 1 << 18), (5, 0), (3, 1)):
        monkeypatch.setattr("auditlake.sources.split.WINDOW", window)
        monkeypatch.setattr("auditlake.sources.split.BATCH_RECORDS", records)
        assert split(data) == expected
