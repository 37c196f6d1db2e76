"""Entries: one way to write each, read back as it was, and nothing else is read."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.errors import LedgerError
from auditlake.ledger.entry import KINDS, Entry, EntryFile, Taken, canonical_json, dump, parse
from auditlake.ledger.leaves import Part
from auditlake.ledger.tiles import LONGEST
from auditlake.verify.tree import parse_entry

DAY = date(2026, 3, 1)
PART = Part(1, DAY, 3, bytes(32))
ENTRY = Entry(
    "append",
    "2026-03-01T00:00:00Z",
    (PART,),
    (EntryFile("a", 10, 3),),
    lake_id="lake",
    version=1,
    previous_log="00" * 32,
)
ROOT = sha256(b"\x002026-03-01 3 " + bytes(32)).hexdigest().encode()
SIMPLE = (
    b'{"adds":[["a",10,3]],"at":"2026-03-01T00:00:00Z","details":{},"holds":"","kind":"append","lake_id":"lake",'
    b'"parts":[[1,"2026-03-01",3,"' + b"00" * 32 + b'"]],"policies":{},"previous_log":"' + b"00" * 32 + b'",'
    b'"removes":[],"roots":[[1,1,"' + ROOT + b'"]],"taken":[],"version":1}'
)

numbers, texts = st.integers(-(2**63), 2**63 - 1), st.text(max_size=10)
entries = st.builds(
    Entry,
    kind=st.sampled_from(sorted(KINDS)),
    lake_id=texts,
    at=texts,
    version=st.none() | st.integers(0, 2**31),
    previous_log=st.none() | texts,
    parts=st.lists(
        st.builds(Part, numbers, st.dates(), numbers, st.binary(min_size=32, max_size=32)), max_size=3
    ).map(tuple),
    adds=st.lists(st.builds(EntryFile, texts, numbers, numbers), max_size=3).map(tuple),
    removes=st.lists(texts, max_size=3).map(tuple),
    taken=st.lists(st.builds(Taken, numbers, st.dates(), numbers, texts), max_size=3).map(tuple),
    policies=st.dictionaries(texts, texts, max_size=3),
    holds=texts,
    details=st.dictionaries(texts, st.recursive(st.none() | numbers | texts, st.lists, max_leaves=4), max_size=3),
)  # fmt: skip


def nothing_aside(digest: str) -> bytes:
    raise AssertionError(digest)


def test_the_bytes_of_an_entry() -> None:
    """The bytes of one entry, written out: what has been hashed must be written so for ever."""
    assert dump(ENTRY).data == SIMPLE
    assert parse(SIMPLE, nothing_aside) == ENTRY


@given(entries)
def test_entries_are_read_back(entry: Entry) -> None:
    """Every entry is read back as it was, from ASCII."""
    dumped = dump(entry)

    assert dumped.data.isascii()
    assert parse(dumped.data, nothing_aside) == entry


def test_long_entries_have_a_file_aside() -> None:
    """An entry of a thousand days has its lists in a file named by its SHA-256, and fits into a tile."""
    parts = tuple(Part(1, date.fromordinal(730_000 + i), i, sha256(b"%d" % i).digest()) for i in range(1000))
    entry = Entry("append", "", parts, tuple(EntryFile("x" * 90, i, i) for i in range(1000)), lake_id="lake", version=1)
    dumped = dump(entry)

    assert len(dumped.data) < 1000 < LONGEST < len(dumped.aside)
    digest = sha256(dumped.aside).hexdigest()
    assert digest in dumped.data.decode()
    assert parse(dumped.data, {digest: dumped.aside}.__getitem__) == entry
    with pytest.raises(LedgerError, match="damaged"):
        parse(dumped.data, lambda _: dumped.aside + b" ")


def test_hundreds_of_policies() -> None:
    """An entry that hundreds of policies make too long has them, and what is said of them, aside; a judge reads it."""
    policies = {f"policy-{number}": sha256(b"%d" % number).hexdigest() for number in range(800)}
    entry = Entry("policy-change", "", details={"added": policies}, lake_id="lake", policies=policies)
    dumped = dump(entry)

    assert len(dumped.data) < 1000 < LONGEST < len(dumped.aside)
    assert parse(dumped.data, {sha256(dumped.aside).hexdigest(): dumped.aside}.__getitem__) == entry
    assert "policies" not in parse_entry(dumped.data)
    with pytest.raises(ValueError, match="has no 'details'"):
        parse_entry(dumped.data.replace(b'"holds"', b'"policies":{},"holds"'))


@given(st.integers(0, len(SIMPLE) - 1), st.integers(1, 127))
def test_changed_entries(at: int, change: int) -> None:
    """An entry of which a byte was changed is refused with an error of ours, or is another entry."""
    data = bytearray(SIMPLE)
    data[at] ^= change
    with suppress(LedgerError):
        assert parse(bytes(data), nothing_aside) != ENTRY


@pytest.mark.parametrize("data", [
    b"", b"null", b"[]", b"{}", b"7", SIMPLE + b" ", SIMPLE.replace(b":1}", b":1.0}"), SIMPLE.replace(b":1}", b":01}"),
    SIMPLE.replace(b'"kind":"append"', b'"kind":"other"'), SIMPLE.replace(b',"version":1', b""), b"\xff",
    SIMPLE.replace(b',"version"', b',"unknown":1,"version"'), SIMPLE.replace(b"2026-03", b"2026-13"),
    b'{"aside":"../key"}', b"[" * 100_000, SIMPLE.replace(b"[1,", b"[1,2,"), SIMPLE.replace(b"lake_id", b"lake"),
])  # fmt: skip
def test_no_entries(data: bytes) -> None:
    """What is not an entry in its one form is refused with an error of ours."""
    with pytest.raises(LedgerError):
        parse(data, nothing_aside)


@pytest.mark.parametrize("value", [1.5, {"a": [1, 2.0]}, [float("nan")], {"a": {"b": 1e300}}])
def test_only_whole_numbers(value: Any) -> None:
    """A number that is not whole is refused, wherever it is: readers disagree on how to write it."""
    with pytest.raises(LedgerError, match="whole"):
        canonical_json(value)


def test_canonical_json() -> None:
    """Keys are sorted, nothing is spaced, and every character beyond ASCII is escaped."""
    assert canonical_json({"b": "é", "a": [1, None, True]}) == b'{"a":[1,null,true],"b":"\\u00e9"}'
    assert json.loads(canonical_json({"😀": 1})) == {"😀": 1}
